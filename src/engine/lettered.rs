//! New files of which the letters were read. The name of a file does not tell for which mailbox its
//! letters were written; so the state notes files that have those of their mailbox and are no half
//! of a pair yet. They are read by its table from then on, and by it, too, where they were moved.

use super::account::Account;
use super::relabel::Tables;
use super::report::{Ended, Report};
use super::scene::{Fate, Lettering, Scene, Scenes};
use super::work::{Work, Works};
use crate::model::{AnyId, Flags, MailboxBase, MailboxKey, MailboxName, MaildirId, Uid};
use crate::reconcile::filed::{Filed, Original, keywords};
use crate::reconcile::{Action, Look, MailboxPlan};
use crate::state::Lettered;
use crate::store::{Keep, Serve};
use std::collections::{BTreeMap, BTreeSet};

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Finds new files with letters that the state has noted, and reads the letters of those that
    /// were moved since, under their names.
    pub(super) async fn read_noted_letters(
        &mut self,
        scenes: &mut Scenes,
        report: &mut Report,
    ) -> Result<(), Ended> {
        let notes = self.state.lettered()?;
        if notes.is_empty() {
            return Ok(());
        }
        let names = self.state.mailboxes()?.into_iter();
        let names: BTreeMap<MailboxKey, MailboxName> =
            names.map(|(name, key)| (key, name)).collect();
        let named = |note: Lettered| Some((names.get(&note.mailbox)?, note));
        let (mut moved, hidden) = (Vec::new(), !report.hidden.is_empty());
        for (name, note) in notes.into_iter().filter_map(named) {
            if let Some(scene) = scenes.get_mut(name) {
                if scene.local.seen.contains_key(&note.file) {
                    scene.lettered.noted.insert(note.file);
                    continue;
                }
                let gone = scene.local.shows_gone(&note.file) && !hidden;
                scene.lettered.gone.extend(gone.then(|| note.file.clone()));
            }
            moved.push((name, note));
        }
        let homes = homes(scenes, &moved);
        let mut tables = Tables::new();
        for (name, note) in moved {
            for place in homes.get(&note.file).into_iter().flatten() {
                let table = self.table(name, &mut tables, report).await?;
                let gone = scenes
                    .get(name)
                    .is_none_or(|s| s.local.shows_gone(&note.file));
                let original = Original {
                    agreed: &note.keywords,
                    table: table.letters(),
                    same_name: true,
                    gone,
                };
                if let Some(scene) = scenes.get_mut(place) {
                    read_moved(scene, &note.file, &original, report);
                }
            }
        }
        Ok(())
    }

    /// The keywords of a file when its letters were read, if they were.
    pub(super) fn noted_keywords(
        &self,
        key: MailboxKey,
        file: &MaildirId,
    ) -> Result<Option<Flags>, Ended> {
        let mut notes = self.state.lettered()?.into_iter();
        let found = notes.find(|note| note.mailbox == key && note.file == *file);
        Ok(found.map(|note| note.keywords))
    }

    /// Notes new files that have the letters of their mailbox.
    pub(super) fn note_letters(&mut self, works: &Works) -> Result<(), Ended> {
        let note = |work: &Work| {
            let mailbox = work.base.key;
            let each = work.letters.clone().into_iter();
            each.map(move |(file, keywords)| Lettered {
                mailbox,
                file,
                keywords,
            })
        };
        let known = works.values().filter(|work| work.base.key != MailboxKey(0));
        let all: Vec<Lettered> = known.flat_map(note).collect();
        Ok(self.state.note_letters(&all)?)
    }
}

/// The mailboxes in which such files are new.
fn homes(
    scenes: &Scenes,
    moved: &[(&MailboxName, Lettered)],
) -> BTreeMap<MaildirId, Vec<MailboxName>> {
    let wanted: BTreeSet<&MaildirId> = moved.iter().map(|(_, note)| &note.file).collect();
    let mut homes: BTreeMap<MaildirId, Vec<MailboxName>> = BTreeMap::new();
    if wanted.is_empty() {
        return homes;
    }
    for (name, scene) in scenes.iter().filter(|(_, s)| s.fate == Fate::Stays) {
        for file in scene.new_files() {
            if wanted.contains(&file) && !scene.lettered.noted.contains(&file) {
                homes.entry(file).or_default().push(name.clone());
            }
        }
    }
    homes
}

/// Reads the letters of a file by what was noted of it in another mailbox.
fn read_moved(scene: &mut Scene, file: &MaildirId, original: &Original<'_>, report: &mut Report) {
    let none = BTreeSet::new();
    let filed = Filed {
        letters: scene.local.carried.get(file).unwrap_or(&none),
        here: &scene.local.letters,
    };
    let reading = filed.keywords_of(original);
    if !reading.unclear.is_empty() {
        let what = format!("a letter may mean any of: {}", reading.unclear);
        let place = &scene.base.name;
        report.note(format!("{place}: {file}: {what}; none of them was set"));
    }
    scene.read_as(file, &reading.keywords);
    scene.lettered.read.insert(file.clone());
}

impl Lettering {
    /// New files whose letters were read and that the plan makes no half of a pair at once, with
    /// their keywords.
    pub fn to_note(
        &self,
        base: &MailboxBase,
        local: &Look<MaildirId>,
        plan: &MailboxPlan,
    ) -> BTreeMap<MaildirId, Flags> {
        if local.carried.is_empty() && self.read.is_empty() {
            return BTreeMap::new();
        }
        // Of what is set aside the flags are known.
        let aside = base.aside.iter().filter_map(|aside| match &aside.id {
            AnyId::Local(file) => Some(file),
            AnyId::Remote(_) => None,
        });
        let paired = plan.actions.iter().filter_map(paired);
        let paired: BTreeSet<&MaildirId> = paired.chain(aside).collect();
        let all: BTreeSet<&MaildirId> = local.carried.keys().chain(&self.read).collect();
        let open = all
            .into_iter()
            .filter(|file| !paired.contains(file) && !self.noted.contains(*file));
        let flags = |file: &MaildirId| local.seen.get(file).cloned().flatten();
        open.filter_map(|file| Some((file.clone(), keywords(&flags(file)?))))
            .collect()
    }
}

/// The new file that this makes half of a pair.
fn paired(action: &Action) -> Option<&MaildirId> {
    match action {
        Action::Link(link) => Some(&link.file),
        Action::Rekey(new) => Some(&new.file),
        Action::Move(step) => match &step.partner {
            AnyId::Local(file) => Some(file),
            AnyId::Remote(_) => None,
        },
        _ => None,
    }
}
