//! Recorded letters. A file name does not tell which mailbox's table its letters follow, so the
//! state records files without a pair, and files of pairs with keywords of their own, with their
//! keywords. From then on they follow the table of their mailbox, also after a move or copy.

use crate::engine::context::{Context, passed_over};
use crate::engine::execute::job::{Work, Works};
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::identify::letter_notes::{Note, NotedFiles};
use crate::engine::identify::relabel;
use crate::engine::identify::relabel::{Known, Tables};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Fate, Scene, Scenes};
use crate::model::{FlagChange, Flags, Letters, MailboxKey, MailboxName, MaildirId};
use crate::reconcile::filed::{Filed, Original, keywords};
use crate::state::{Lettered, LetteredContent};
use crate::store::{LocalStore, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// Finds the recorded files, and those that were moved since by their names.
pub(in crate::engine) async fn read_noted_letters<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &mut Scenes,
    pass: &mut PassState,
) -> Result<NotedFiles, Ended> {
    let notes = ctx.state.lettered()?;
    if notes.is_empty() {
        return Ok(NotedFiles::default());
    }
    let names = ctx.state.mailboxes()?.into_iter();
    let names: BTreeMap<MailboxKey, MailboxName> = names.map(|(name, key)| (key, name)).collect();
    let named = |note: Lettered| Some((names.get(&note.mailbox)?.clone(), note));
    let all = NotedFiles(notes.into_iter().filter_map(named).collect());
    let whole = !pass.deferred.hides_any() && ctx.options.only.is_empty();
    let mut moved = Vec::new();
    for (name, note) in &all.0 {
        if let Some(scene) = scenes.get_mut(name) {
            if !scene.local.shows_gone(&note.file) {
                scene.lettered.noted.insert(note.file.clone(), note.clone());
                continue;
            }
            scene.lettered.gone.extend(whole.then(|| note.file.clone()));
        }
        moved.push((name, note));
    }
    let homes = homes(scenes, &moved);
    let mut tables = Tables::new();
    for (name, note) in moved {
        for place in homes.get(&note.file).into_iter().flatten() {
            let table = relabel::table(ctx, name, &mut tables, pass).await?;
            let original = Original {
                agreed: &note.keywords,
                table: table.letters(),
                same_name: true,
                gone: is_gone(scenes.get(name), &note.file, &table),
            };
            if let Some(scene) = scenes.get_mut(place) {
                read_moved(scene, &note.file, &original, pass);
            }
        }
    }
    read_returned(ctx, scenes, &all, pass).await?;
    Ok(all)
}

/// Maps the letters of files of pairs that were moved away and back, with the letters of the
/// other mailbox, if the server must not be changed.
async fn read_returned<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &mut Scenes,
    all: &NotedFiles,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut tables = Tables::new();
    let lies = |name: &MailboxName, file: &MaildirId| {
        let scene = scenes.get(name);
        scene.is_none_or(|scene| !scene.local.shows_gone(file))
    };
    let left = all.0.iter().filter(|(name, note)| !lies(name, &note.file));
    let left: BTreeSet<_> = left.map(|(name, note)| (name, &note.file)).collect();
    for (place, scene) in scenes.iter_mut().filter(|_| !left.is_empty()) {
        let gone = |(name, note): &&(MailboxName, Lettered)| {
            let returned = scene.local.seen.contains_key(&note.file);
            returned && left.contains(&(name, &note.file)) && name != place
        };
        let gone: Vec<_> = all.0.iter().filter(gone).collect();
        let pairs: BTreeSet<&MaildirId> = match gone.is_empty() {
            true => BTreeSet::new(),
            false => scene.base.pairs.iter().map(|pair| &pair.file).collect(),
        };
        let gone = gone
            .into_iter()
            .filter(|(_, note)| pairs.contains(&note.file));
        for (name, note) in gone.cloned().collect::<Vec<_>>() {
            let table = relabel::table(ctx, &name, &mut tables, pass).await?;
            if let Some(letters) = table.letters() {
                scene.read_returned(&note, letters);
            }
        }
    }
    Ok(())
}

/// Returns the recorded keywords of a file.
pub(in crate::engine) fn noted_keywords<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    key: MailboxKey,
    file: &MaildirId,
) -> Result<Option<Flags>, Ended> {
    let mut notes = ctx.state.lettered()?.into_iter();
    let found = notes.find(|note| note.mailbox == key && note.file == *file);
    Ok(found.map(|note| note.keywords))
}

/// Records files with the letters of their mailbox. The content of those that are not being
/// uploaded is read, to find them under another name.
pub(in crate::engine) async fn note_letters<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut all = Vec::new();
    for (name, work) in works
        .iter_mut()
        .filter(|(_, work)| work.base.key != MailboxKey(0) && !work.letters.open.is_empty())
    {
        let notes = &work.letters.open;
        let unread = notes
            .iter()
            .filter(|(_, note)| note.body.is_none() && note.stays);
        let unread: Vec<MaildirId> = unread.map(|(file, _)| file.clone()).collect();
        let mut sink = HashSink::default();
        if !unread.is_empty() {
            let read = ctx.local.read(&work.place(), &unread, &mut sink).await;
            passed_over(name, read, &[], pass)?;
        }
        for (file, note) in std::mem::take(&mut work.letters.open) {
            let read = sink.hashes.get(&file);
            let read = read.map(|(hash, size)| LetteredContent {
                hash: *hash,
                size: *size,
            });
            let note = Note {
                body: note.body.or(read),
                ..note
            };
            // A file that could not be read is recorded once.
            let again = note.known && note.body.is_none();
            all.extend((!again).then(|| note.of(work.base.key, file)));
        }
    }
    Ok(ctx.state.note_letters(&all)?)
}

/// Records keywords that only files of pairs have, after the pairs, and drops files that are
/// gone.
pub(in crate::engine) fn note_own_keywords<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &mut Work,
) -> Result<(), Ended> {
    let key = work.base.key;
    ctx.state.forget_letters(key, &work.letters.gone)?;
    let own = std::mem::take(&mut work.letters.paired).into_iter();
    let own: Vec<Lettered> = own.map(|(file, note)| note.of(key, file)).collect();
    Ok(ctx.state.note_letters(&own)?)
}

/// Whether a recorded file certainly is not in its place.
fn is_gone(scene: Option<&Scene>, file: &MaildirId, table: &Known) -> bool {
    match scene {
        Some(scene) => scene.local.shows_gone(file),
        None => *table == Known::NoMailbox,
    }
}

/// Returns the mailboxes in which such files are new.
fn homes(
    scenes: &Scenes,
    moved: &[(&MailboxName, &Lettered)],
) -> BTreeMap<MaildirId, Vec<MailboxName>> {
    let wanted: BTreeSet<&MaildirId> = moved.iter().map(|(_, note)| &note.file).collect();
    let mut homes: BTreeMap<MaildirId, Vec<MailboxName>> = BTreeMap::new();
    if wanted.is_empty() {
        return homes;
    }
    for (name, scene) in scenes.iter().filter(|(_, s)| s.fate == Fate::Stays) {
        for file in scene.new_files() {
            if wanted.contains(&file) && !scene.lettered.noted.contains_key(&file) {
                homes.entry(file).or_default().push(name.clone());
            }
        }
    }
    homes
}

/// Maps the letters of a file by its record in another mailbox.
fn read_moved(scene: &mut Scene, file: &MaildirId, original: &Original<'_>, pass: &mut PassState) {
    let none = BTreeSet::new();
    let filed = Filed {
        letters: scene.local.carried.get(file).unwrap_or(&none),
        here: &scene.local.letters,
        cut: scene.local.cut.contains(file),
    };
    let reading = filed.keywords_of(original);
    if !reading.unclear.is_empty() {
        let what = format!("a letter may mean any of: {}", reading.unclear);
        let place = &scene.base.name;
        pass.note(format!("{place}: {file}: {what}; none of them was set"));
    }
    scene.read_as(file, &reading.keywords);
    scene.lettered.read.insert(file.clone());
}

impl Scene {
    /// Uses the record of a file in another mailbox for the file of a pair, if its letters are
    /// unchanged.
    fn read_returned(&mut self, note: &Lettered, table: &Letters) {
        let file = &note.file;
        let Some(seen) = self.local.seen.get(file).cloned().flatten() else {
            return;
        };
        let vague = self.local.vague.contains(file);
        let (now, there) = (self.local.letters.of(&seen), table.of(&note.keywords));
        let own = keywords(&seen);
        if own == note.keywords || !vague && now != there || !now.is_subset(&there) {
            return;
        }
        let change = FlagChange::between(&own, &note.keywords);
        let flags = seen.difference(&own).union(&note.keywords);
        self.local.seen.insert(file.clone(), Some(flags));
        self.local.vague.remove(file);
        self.relabels.insert(file.clone(), change);
    }
}
