//! Selects files whose keywords are recorded: new files without a pair, skipped files, and files of
//! pairs whose keywords differ from the base, if the server must not be changed.

use crate::engine::snapshot::mailbox::{Lettering, Scene};
use crate::model::{
    AnyId, ContentHash, FlagChange, Flags, MailboxBase, MailboxKey, MailboxName, MaildirId, Pair,
    Side,
};
use crate::reconcile::filed::keywords;
use crate::reconcile::{Action, Look, MailboxPlan, Policy};
use crate::state::{Lettered, LetteredContent};
use std::collections::{BTreeMap, BTreeSet};

/// The keywords to record of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Note {
    /// The keywords of its letters.
    pub keywords: Flags,
    /// Its content, if known.
    pub body: Option<LetteredContent>,
    /// Whether no action concerns the file now.
    pub stays: bool,
    /// Whether the state has these keywords, without the content.
    pub known: bool,
}

impl Note {
    /// Returns the row of this file.
    pub fn of(self, mailbox: MailboxKey, file: MaildirId) -> Lettered {
        Lettered {
            mailbox,
            file,
            keywords: self.keywords,
            body: self.body,
        }
    }
}

/// The records about the files of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Notes {
    /// Files without a pair.
    pub open: BTreeMap<MaildirId, Note>,
    /// Files of pairs, to record with these.
    pub paired: BTreeMap<MaildirId, Note>,
    /// Files whose record is dropped.
    pub gone: Vec<MaildirId>,
}

/// A mailbox with its plan.
struct Planned<'a> {
    base: &'a MailboxBase,
    local: &'a Look<MaildirId>,
    plan: &'a MailboxPlan,
    /// Whether changes of flags are sent to the server.
    follows: bool,
}

/// Files with an action.
#[derive(Default)]
struct Ends<'a> {
    /// Files without a record, as they become halves of pairs.
    paired: BTreeSet<&'a MaildirId>,
    /// Files that are being uploaded.
    sent: BTreeSet<&'a MaildirId>,
}

impl<'a> Ends<'a> {
    fn of(plan: &'a MailboxPlan) -> Ends<'a> {
        let mut ends = Ends::default();
        for action in &plan.actions {
            match action {
                Action::Link(link) => drop(ends.paired.insert(&link.file)),
                Action::Rekey(new) => drop(ends.paired.insert(&new.file)),
                Action::Move(step) => ends.paired.extend(file(&step.partner)),
                Action::Copy { from, .. } => ends.sent.extend(file(from)),
                Action::Duplicate(copy) => ends.sent.extend(file(&copy.partner)),
                _ => {}
            }
        }
        ends
    }
}

fn file(id: &AnyId) -> Option<&MaildirId> {
    match id {
        AnyId::Local(file) => Some(file),
        AnyId::Remote(_) => None,
    }
}

fn body(pair: &Pair) -> LetteredContent {
    let (hash, size) = (pair.hash, pair.size);
    LetteredContent { hash, size }
}

impl Scene {
    /// Returns the records about the letters of files.
    pub fn to_note(&self, plan: &MailboxPlan, policy: &Policy) -> Notes {
        self.lettered.to_note(&Planned {
            base: &self.base,
            local: &self.local,
            plan,
            follows: policy.flows_to(Side::Remote) && self.remote.writable,
        })
    }
}

impl Lettering {
    /// Adds the content of new files that were read.
    pub fn learn(&mut self, file: &MaildirId, hash: ContentHash, size: u64) {
        self.bodies
            .insert(file.clone(), LetteredContent { hash, size });
    }

    /// Returns the records of a mailbox.
    fn to_note(&self, planned: &Planned<'_>) -> Notes {
        let mut notes = Notes {
            gone: self.gone.clone(),
            ..Notes::default()
        };
        let quiet = self.noted.is_empty() && self.read.is_empty();
        if planned.follows && quiet && planned.local.carried.is_empty() && !has_aside(planned) {
            return notes;
        }
        let pairs = planned.base.pairs.iter();
        let pairs: BTreeMap<&MaildirId, &Pair> = pairs.map(|pair| (&pair.file, pair)).collect();
        self.note_open(planned, &pairs, &mut notes);
        self.note_paired(planned, &pairs, &mut notes);
        notes
    }

    /// New and skipped files.
    fn note_open(
        &self,
        planned: &Planned<'_>,
        pairs: &BTreeMap<&MaildirId, &Pair>,
        notes: &mut Notes,
    ) {
        let (local, ends) = (planned.local, Ends::of(planned.plan));
        let seen = |file: &MaildirId| local.seen.get(file).cloned().flatten();
        let new = local.carried.keys().chain(&self.read);
        let new: BTreeSet<&MaildirId> = new.chain(self.noted.keys()).collect();
        for one in new.into_iter().filter(|file| !pairs.contains_key(file)) {
            if let Some(flags) = seen(one).filter(|_| !ends.paired.contains(one)) {
                let stays = !ends.sent.contains(one);
                if stays || self.noted.contains_key(one) || !keywords(&flags).is_empty() {
                    self.add(one, (&flags, stays), None, notes);
                }
            }
        }
        for aside in &planned.base.aside {
            let Some(one) = file(&aside.id).filter(|one| !self.noted.contains_key(*one)) else {
                continue;
            };
            let flags = seen(one).unwrap_or_else(|| aside.flags.clone());
            let open = !ends.paired.contains(one) && !local.shows_gone(one);
            if open && !keywords(&flags).is_empty() {
                self.add(one, (&flags, !ends.sent.contains(one)), None, notes);
            }
        }
        for action in &planned.plan.actions {
            if let Action::Detach { pair, aside } = action
                && let Some(one) = file(&aside.id)
                && !keywords(&aside.flags).is_empty()
            {
                let content = pairs.get(&pair.file).map(|pair| body(pair));
                self.add(one, (&aside.flags, true), content, notes);
            }
        }
    }

    fn add(
        &self,
        file: &MaildirId,
        (flags, stays): (&Flags, bool),
        content: Option<LetteredContent>,
        notes: &mut Notes,
    ) {
        let (keywords, noted) = (keywords(flags), self.noted.get(file));
        let old = noted.and_then(|noted| noted.body);
        let body = content.or_else(|| self.bodies.get(file).copied()).or(old);
        let known = noted.is_some_and(|noted| noted.keywords == keywords);
        if !known || old.is_none() && (stays || body.is_some()) {
            let note = Note {
                keywords,
                body,
                stays,
                known,
            };
            notes.open.insert(file.clone(), note);
        }
    }

    /// Files of pairs with keywords of their own.
    fn note_paired(
        &self,
        planned: &Planned<'_>,
        pairs: &BTreeMap<&MaildirId, &Pair>,
        notes: &mut Notes,
    ) {
        let mut changes: BTreeMap<&MaildirId, (&Flags, &FlagChange)> = BTreeMap::new();
        for action in &planned.plan.actions {
            match action {
                Action::Flags(set) => {
                    changes.insert(&set.pair.file, (&set.merged, &set.local));
                }
                Action::Link(link) => {
                    changes.insert(&link.file, (&link.flags, &link.local));
                }
                _ => {}
            }
        }
        let none = FlagChange::default();
        for (one, seen) in &planned.local.seen {
            let pair = pairs.get(one);
            let agreed = pair.map(|pair| (&pair.flags, &none));
            let (Some((agreed, change)), Some(seen)) = (changes.get(one).copied().or(agreed), seen)
            else {
                continue;
            };
            if planned.local.vague.contains(one) {
                continue;
            }
            let hidden = planned.local.sees.hide(agreed);
            let own = keywords(&change.apply(seen).union(&hidden));
            let noted = pair.and_then(|_| self.noted.get(one));
            if planned.follows || own == keywords(agreed) {
                notes.gone.extend(noted.map(|_| one.clone()));
            } else if noted.is_none_or(|noted| noted.keywords != own) {
                let note = Note {
                    keywords: own,
                    body: pair.map(|pair| body(pair)),
                    stays: true,
                    known: false,
                };
                notes.paired.insert(one.clone(), note);
            }
        }
    }
}

fn has_aside(planned: &Planned<'_>) -> bool {
    let detached = |action: &Action| matches!(action, Action::Detach { .. });
    let mut asides = planned.base.aside.iter();
    asides.any(|aside| file(&aside.id).is_some()) || planned.plan.actions.iter().any(detached)
}

/// The recorded files with their mailboxes.
#[derive(Debug, Default)]
pub(in crate::engine) struct NotedFiles(pub Vec<(MailboxName, Lettered)>);

impl NotedFiles {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns those with a known content.
    pub fn bodies(&self) -> impl Iterator<Item = (&MailboxName, &Lettered, LetteredContent)> {
        let all = self.0.iter();
        all.filter_map(|(name, note)| Some((name, note, note.body?)))
    }

    /// Returns the recorded keywords of a file.
    pub fn keywords(&self, mailbox: MailboxKey, file: &MaildirId) -> Option<&Flags> {
        let order =
            |(_, note): &(MailboxName, Lettered)| (note.mailbox, &note.file).cmp(&(mailbox, file));
        let at = self.0.binary_search_by(order).ok()?;
        self.0.get(at).map(|(_, note)| &note.keywords)
    }
}
