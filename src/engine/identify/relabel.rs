//! Keyword letters of files that other programs moved or copied. A letter has a meaning in its
//! mailbox only: the letters of a new file follow the table of its source, as far as known, and
//! before any other action the file gets the letters of its mailbox.

use crate::engine::context::{Context, passed_over};
use crate::engine::execute::job::{Work, Works};
use crate::engine::identify::candidates::Candidates;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Fate, Scene, Scenes, whereabouts};
use crate::model::{
    AnyId, ContentHash, FlagChange, Flags, Id, Letters, MailboxKey, MailboxName, MaildirId, Side,
    Uid,
};
use crate::reconcile::filed::{Filed, Original, Reading, keywords};
use crate::reconcile::sighting::{Sighting, Whereabouts};
use crate::reconcile::{Action, Look};
use crate::store::{FlagEdit, LocalStore, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// The table of a mailbox, as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Known {
    /// The table.
    Table(Letters),
    /// The mailbox no longer exists.
    NoMailbox,
    /// The table cannot be read now.
    Unreadable,
}

impl Known {
    /// Returns the table, if there is one.
    pub fn letters(&self) -> Option<&Letters> {
        match self {
            Known::Table(letters) => Some(letters),
            Known::NoMailbox | Known::Unreadable => None,
        }
    }
}

/// The tables of mailboxes.
pub(in crate::engine) type Tables = BTreeMap<MailboxName, Known>;

/// A known message, or a file with recorded letters, that may be the source of a new file.
struct Likely<'a> {
    mailbox: &'a MailboxName,
    file: &'a MaildirId,
    /// Its recorded keywords.
    keywords: Flags,
    /// Whether its own file is gone.
    gone: bool,
}

/// Sources by content.
type Origins<'a> = BTreeMap<ContentHash, Vec<Likely<'a>>>;

/// The possible sources of new files.
fn origins<'a>(candidates: &'a Candidates, scenes: &Scenes) -> Origins<'a> {
    let noted = &candidates.noted;
    let gone = |mailbox: &MailboxName, file: &MaildirId| {
        let scene = scenes.get(mailbox);
        scene.is_some_and(|scene| whereabouts(&scene.local, file) == Whereabouts::Gone)
    };
    let (mut all, mut paired) = (Origins::new(), BTreeSet::new());
    for (mailbox, relative) in candidates.pairs.values() {
        let (file, pair) = (&relative.pair.file, &relative.pair);
        let own = noted.keywords(relative.mailbox, file);
        paired.extend(own.map(|_| (relative.mailbox, file)));
        all.entry(pair.hash).or_default().push(Likely {
            mailbox,
            file,
            keywords: own.cloned().unwrap_or_else(|| keywords(&pair.flags)),
            gone: gone(mailbox, file),
        });
    }
    for (mailbox, note, body) in noted.bodies() {
        if !paired.contains(&(note.mailbox, &note.file)) {
            all.entry(body.hash).or_default().push(Likely {
                mailbox,
                file: &note.file,
                keywords: note.keywords.clone(),
                gone: gone(mailbox, &note.file),
            });
        }
    }
    all
}

/// Maps the letters of new files: of those with the content of a known message by the table of
/// its mailbox.
pub(in crate::engine) async fn read_letters<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (scenes, files): (&mut Scenes, &mut [Sighting<MaildirId>]),
    candidates: &Candidates,
    pass: &mut PassState,
) -> Result<(), Ended> {
    read_known_letters(ctx, scenes, files, candidates, pass).await?;
    read_strange_letters(ctx, scenes, files).await
}

async fn read_known_letters<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &mut Scenes,
    files: &mut [Sighting<MaildirId>],
    candidates: &Candidates,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let known = origins(candidates, scenes);
    let mut tables = Tables::new();
    let uploads = ctx.state.uploads_in_doubt()?.into_iter();
    // A file gets the letters of its mailbox before its upload is recorded.
    let uploads: BTreeSet<_> = uploads.map(|(key, upload)| (key, upload.file)).collect();
    for file in files.iter_mut() {
        if let Some(scene) = scenes.get_mut(&file.mailbox) {
            let size = file.size.unwrap_or_default();
            scene.lettered.learn(&file.id, file.hash, size);
        }
        let sent = |scene: &Scene| uploads.contains(&(scene.base.key, file.id.clone()));
        let is_read = |scene: &Scene| sent(scene) || scene.lettered.knows(&file.id);
        if scenes.get(&file.mailbox).is_some_and(is_read) {
            continue;
        }
        let likely = known.get(&file.hash).map_or(&[][..], Vec::as_slice);
        let lettered = |scene: &Scene| scene.local.carried.contains_key(&file.id);
        let named = |one: &Likely<'_>| !one.keywords.is_empty();
        if !scenes.get(&file.mailbox).is_some_and(lettered) && !likely.iter().any(named) {
            // A letter that it gets later follows this mailbox.
            if let Some(scene) = scenes.get_mut(&file.mailbox) {
                scene.lettered.read.insert(file.id.clone());
            }
            continue;
        }
        for one in likely {
            let table = table(ctx, one.mailbox, &mut tables, pass).await?;
            if table == Known::Unreadable {
                // The next run maps the letters of the file.
                pass.hide(&file.mailbox, &Side::BOTH);
            }
        }
        let Some(scene) = scenes.get_mut(&file.mailbox) else {
            continue;
        };
        let mut reading = read(file, &scene.local, likely, &tables);
        if let Some((filed, agreed)) = astray(file, scene, likely, &reading)
            && filed.repeats(&agreed, &ctx.local.letter_tables().await?)
        {
            reading = Reading::sure(agreed);
        }
        if !reading.unclear.is_empty() {
            let (place, id) = (&file.mailbox, &file.id);
            let what = format!("a letter may mean any of: {}", reading.unclear);
            pass.note(format!("{place}: {id}: {what}; none of them was set"));
        }
        file.flags = scene.read_as(&file.id, &reading.keywords);
        scene.lettered.read.insert(file.id.clone());
    }
    Ok(())
}

/// Reads the table of a mailbox, once.
pub(in crate::engine) async fn table<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    mailbox: &MailboxName,
    tables: &mut Tables,
    pass: &mut PassState,
) -> Result<Known, Ended> {
    if let Some(table) = tables.get(mailbox) {
        return Ok(table.clone());
    }
    let told = ctx.local.letters(mailbox).await;
    let table = match passed_over(mailbox, told, &Side::BOTH, pass)? {
        Some(Some(letters)) => Known::Table(letters),
        Some(None) => Known::NoMailbox,
        None => Known::Unreadable,
    };
    tables.insert(mailbox.clone(), table.clone());
    Ok(table)
}

/// Maps letters without a meaning, of new files without a source, by the tables of all
/// mailboxes.
pub(in crate::engine) async fn read_strange_letters<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &mut Scenes,
    files: &[Sighting<MaildirId>],
) -> Result<(), Ended> {
    let known: BTreeSet<(&MailboxName, &MaildirId)> =
        files.iter().map(|file| (&file.mailbox, &file.id)).collect();
    let mut tables = None;
    for (name, scene) in scenes.iter_mut().filter(|(_, s)| s.fate == Fate::Stays) {
        let strange = |(file, letters): &(&MaildirId, &BTreeSet<u8>)| {
            let known = known.contains(&(name, *file)) || scene.lettered.knows(file);
            !known && !scene.local.letters.name_all(letters)
        };
        let strange = scene.local.carried.iter().filter(strange);
        let strange: Vec<_> = strange.map(|(f, l)| (f.clone(), l.clone())).collect();
        for (file, letters) in strange {
            if tables.is_none() {
                tables = Some(ctx.local.letter_tables().await?);
            }
            let filed = Filed {
                letters: &letters,
                here: &scene.local.letters,
                cut: false,
            };
            let keywords = filed.keywords_alone(tables.as_deref().unwrap_or_default());
            if keywords != scene.local.letters.read(&letters) {
                scene.read_as(&file, &keywords);
            }
        }
    }
    Ok(())
}

/// If two new messages are equal, and the letters of the file equal the server's keywords by
/// the table of another mailbox, they follow that one. After a comparison a new file without a
/// source has the letters of its own mailbox.
pub(in crate::engine) async fn read_repeated_letters<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scene: &mut Scene,
    links: &[(Uid, MaildirId)],
) -> Result<(), Ended> {
    let key = scene.base.key;
    let known = key != MailboxKey(0) && !links.is_empty() && ctx.state.full_at(key)? > 0;
    if known {
        return Ok(());
    }
    for (uid, file) in links {
        let told = scene.remote.seen.get(uid).cloned().flatten();
        let (Some(letters), Some(there)) = (scene.local.carried.get(file), told) else {
            continue;
        };
        let filed = Filed {
            letters,
            here: &scene.local.letters,
            cut: false,
        };
        let own = scene.local.letters.read(letters);
        let known = scene.relabels.contains_key(file) || scene.lettered.knows(file);
        if own.difference(&there).is_empty() || known {
            continue;
        }
        if filed.repeats(&there, &ctx.local.letter_tables().await?) {
            scene.read_as(file, &keywords(&there));
        }
    }
    Ok(())
}

/// Gives new files the letters of their mailbox. A file that does not get them has no other
/// action.
pub(in crate::engine) async fn relabel<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut failed: BTreeSet<(MailboxName, AnyId)> = BTreeSet::new();
    for (name, work) in works
        .iter_mut()
        .filter(|(_, work)| !work.relabels.is_empty())
    {
        ctx.check_stop()?;
        let edit = |(id, change): (&MaildirId, &FlagChange)| FlagEdit {
            id: id.clone(),
            change: change.clone(),
            saw: None,
        };
        let edits: Vec<FlagEdit<MaildirId>> = work.relabels.iter().map(edit).collect();
        let done = ctx.local.set_flags(&work.place(), &edits).await;
        let done = passed_over(name, done, &[], pass)?.unwrap_or_default();
        let done: BTreeSet<MaildirId> = done.into_iter().collect();
        for file in work.relabels.keys().filter(|file| !done.contains(file)) {
            work.sound = false;
            work.letters.open.remove(file);
            failed.insert((name.clone(), file.any()));
        }
    }
    if !failed.is_empty() {
        for work in works.values_mut() {
            leave(work, &failed);
            let name = work.base.name.clone();
            let done = |file: &MaildirId| !failed.contains(&(name.clone(), file.any()));
            work.relabels.retain(|file, _| done(file));
        }
    }
    Ok(())
}

impl Scene {
    /// Sets the keywords of a new file, and records the change of its name. Returns its flags.
    pub fn read_as(&mut self, file: &MaildirId, keywords: &Flags) -> Flags {
        let none = BTreeSet::new();
        let letters = self.local.carried.get(file).unwrap_or(&none);
        let now = self.local.letters.read(letters);
        let seen = self.local.seen.get(file).cloned().flatten();
        let flags = seen.unwrap_or_default().difference(&now).union(keywords);
        let change = FlagChange::between(&now, keywords);
        if !change.is_empty() || !self.local.letters.name_all(letters) {
            self.local.seen.insert(file.clone(), Some(flags.clone()));
            self.relabels.insert(file.clone(), change);
        }
        flags
    }
}

/// Returns the keywords of a new file by its most likely source.
fn read(
    file: &Sighting<MaildirId>,
    local: &Look<MaildirId>,
    likely: &[Likely<'_>],
    tables: &Tables,
) -> Reading {
    let none = BTreeSet::new();
    let (letters, here) = (local.carried.get(&file.id).unwrap_or(&none), &local.letters);
    let filed = Filed {
        letters,
        here,
        cut: local.cut.contains(&file.id),
    };
    let read = |one: &Likely<'_>| {
        let own = one.mailbox == &file.mailbox;
        let original = Original {
            agreed: &one.keywords,
            table: tables.get(one.mailbox).and_then(Known::letters),
            same_name: *one.file == file.id,
            gone: one.gone,
        };
        let same = original.has_letters(letters);
        let rank = match (own, original.same_name, one.gone, same) {
            (false, true, _, _) => 0,
            (_, _, true, true) => 1,
            (true, _, false, true) => 2,
            (false, _, false, true) if !letters.is_empty() => 3,
            (true, _, true, false) => 4,
            (false, _, false, true) => 5,
            (false, _, true, false) => 6,
            (..) => 7,
        };
        let reading = match own {
            true => filed.keywords_in(&original),
            false => filed.keywords_of(&original),
        };
        (rank, reading)
    };
    let mut readings: Vec<(u32, Reading)> = likely.iter().map(read).collect();
    readings.sort_by_key(|(rank, _)| *rank);
    let best = readings.first().map(|(rank, _)| *rank);
    let mut readings = readings.into_iter().filter(|(rank, _)| Some(*rank) == best);
    let first = readings.next().map(|(_, reading)| reading);
    let first = first.unwrap_or_else(|| Reading {
        keywords: here.read(letters),
        ..Reading::default()
    });
    // The source is ambiguous: only what holds for all is certain.
    readings.fold(first, |all, (_, other)| {
        let keywords = all.keywords.intersection(&other.keywords);
        let either = all.keywords.union(&other.keywords);
        let unclear = all.unclear.union(&other.unclear);
        Reading {
            unclear: unclear.union(&either.difference(&keywords)),
            keywords,
        }
    })
}

/// A file whose letters differ from the base and that may have passed a third mailbox; with the
/// keywords agreed on.
fn astray<'a>(
    file: &Sighting<MaildirId>,
    scene: &'a Scene,
    likely: &[Likely<'_>],
    reading: &Reading,
) -> Option<(Filed<'a>, Flags)> {
    let first = likely.first()?;
    let agreed = first.keywords.clone();
    let same = |one: &Likely<'_>| one.mailbox != &file.mailbox && one.keywords == agreed;
    let letters = scene.local.carried.get(&file.id)?;
    let here = &scene.local.letters;
    let changed = reading.keywords != agreed && likely.iter().all(same);
    let cut = false;
    changed.then_some((Filed { letters, here, cut }, agreed))
}

/// Removes the actions on these files.
fn leave(work: &mut Work, failed: &BTreeSet<(MailboxName, AnyId)>) {
    let name = &work.base.name;
    let is = |place: &MailboxName, id: &AnyId| failed.contains(&(place.clone(), id.clone()));
    let touches = |action: &Action| match action {
        Action::Move(step) => is(name, &step.partner) || is(&step.from, &step.id),
        Action::Duplicate(copy) => is(name, &copy.partner),
        Action::Rekey(new) => is(name, &new.file.any()),
        Action::Link(link) => is(name, &link.file.any()),
        Action::Copy { from, .. } => is(name, from),
        _ => false,
    };
    work.plan.actions.retain(|action| !touches(action));
}
