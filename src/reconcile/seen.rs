//! The state of a pair on each side, for the table of `messages`.

use super::action::{Action, PairRef};
use super::look::Look;
use super::three_way::{Opinion, shows_interest};
use crate::model::{
    AnyId, Aside, AsideReason, Flags, MailboxBase, MaildirId, Pair, Side, SystemFlag, Uid,
};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};

/// The state of a pair on a side.
pub(super) enum Seen {
    Here(Flags),
    Gone,
    Unknown,
    Broken,
    Edited(Flags),
}

/// The known messages of a mailbox by id; built once, when needed.
#[derive(Debug)]
pub struct Known<'a> {
    base: &'a MailboxBase,
    alone: fn(&Aside) -> bool,
    uids: OnceCell<HashSet<Uid>>,
    files: OnceCell<HashSet<&'a MaildirId>>,
}

impl<'a> Known<'a> {
    /// Of a mailbox: its pairs and skipped messages.
    pub fn of(base: &'a MailboxBase) -> Known<'a> {
        Known::with(base, |_| true)
    }

    /// Of a mailbox: messages that its deletion may delete, pairs and those that we marked.
    pub fn disposable(base: &'a MailboxBase) -> Known<'a> {
        Known::with(base, Aside::is_disposable)
    }

    fn with(base: &'a MailboxBase, alone: fn(&Aside) -> bool) -> Known<'a> {
        Known {
            base,
            alone,
            uids: OnceCell::new(),
            files: OnceCell::new(),
        }
    }

    /// Whether it contains a UID.
    pub fn uid(&self, uid: &Uid) -> bool {
        let all = || {
            let aside = self.base.aside.iter().filter(|aside| (self.alone)(aside));
            let aside = aside.filter_map(|aside| match &aside.id {
                AnyId::Remote(uid) => Some(*uid),
                AnyId::Local(_) => None,
            });
            self.base.pairs.iter().map(|p| p.uid).chain(aside).collect()
        };
        self.uids.get_or_init(all).contains(uid) || self.base.others.contains(uid)
    }

    /// Whether it contains a file.
    pub fn file(&self, file: &MaildirId) -> bool {
        let all = || {
            let aside = self.base.aside.iter().filter(|aside| (self.alone)(aside));
            let aside = aside.filter_map(|aside| match &aside.id {
                AnyId::Remote(_) => None,
                AnyId::Local(file) => Some(file),
            });
            self.base
                .pairs
                .iter()
                .map(|p| &p.file)
                .chain(aside)
                .collect()
        };
        self.files.get_or_init(all).contains(file)
    }
}

/// Links by either id.
pub(super) struct Links<'a> {
    by_uid: BTreeMap<&'a Uid, &'a MaildirId>,
    by_file: BTreeMap<&'a MaildirId, &'a Uid>,
}

impl<'a> Links<'a> {
    pub fn of(links: &'a [(Uid, MaildirId)]) -> Links<'a> {
        Links {
            by_uid: links.iter().map(|(uid, file)| (uid, file)).collect(),
            by_file: links.iter().map(|(uid, file)| (file, uid)).collect(),
        }
    }

    /// Returns the file of a message on the server.
    pub fn file_of(&self, uid: &Uid) -> Option<&'a MaildirId> {
        self.by_uid.get(uid).copied()
    }

    /// Returns the message of a file.
    pub fn uid_of(&self, file: &MaildirId) -> Option<Uid> {
        self.by_file.get(file).map(|uid| **uid)
    }

    /// Returns the link of a message.
    pub fn with(&self, id: &AnyId) -> Option<(Uid, MaildirId)> {
        match id {
            AnyId::Remote(uid) => Some((*uid, self.file_of(uid)?.clone())),
            AnyId::Local(file) => Some((self.uid_of(file)?, file.clone())),
        }
    }

    /// Returns a link that gives a pair a new id on one side.
    pub fn with_one_of(&self, pair: &Pair) -> Option<(Uid, MaildirId)> {
        if self.by_uid.is_empty() {
            return None;
        }
        let there = self.with(&AnyId::Remote(pair.uid));
        there.or_else(|| self.with(&AnyId::Local(pair.file.clone())))
    }
}

/// Row 1, nearly always: nothing changed.
pub(super) fn is_as_agreed(pair: &Pair, remote: &Look<Uid>, local: &Look<MaildirId>) -> bool {
    pair.tombstone.is_none()
        && remote.shows_as(&pair.uid, &pair.flags)
        && local.shows_as(&pair.file, &pair.flags)
}

pub(super) fn see<I: Ord + Clone>(look: &Look<I>, id: &I, base: &Flags) -> Seen {
    if look.broken.contains(id) {
        Seen::Broken
    } else if look.shows_gone(id) {
        Seen::Gone
    } else if look.leaves_open(id) {
        Seen::Unknown
    } else {
        let flags = look
            .seen
            .get(id)
            .cloned()
            .flatten()
            .unwrap_or_else(|| base.clone());
        if look.edited.contains(id) {
            Seen::Edited(flags)
        } else {
            Seen::Here(flags)
        }
    }
}

pub(super) fn state_of<I: Ord>(look: &Look<I>, id: &I, aside: &Aside) -> (bool, Flags) {
    let flags = look
        .seen
        .get(id)
        .cloned()
        .flatten()
        .unwrap_or_else(|| aside.flags.clone());
    (look.shows_gone(id), flags)
}

pub(super) fn opinion<'a, I: Ord>(
    look: &'a Look<I>,
    id: &I,
    flags: &'a Flags,
    follows: bool,
) -> Opinion<'a> {
    Opinion {
        flags,
        sees: &look.sees,
        stores: &look.stores,
        follows,
        vague: look.vague.contains(id),
    }
}

/// Whether the `\Deleted` of a message is the mark of a cut deletion of ours. If the message is not
/// deleted after all, it is no client's change.
pub(super) fn marked_by_us(pair: &Pair, there: &Flags) -> bool {
    let deleted = SystemFlag::Deleted;
    pair.tombstone == Some(Side::Remote) && there.has(deleted) && !pair.flags.has(deleted)
}

/// Whether a message that is not to be deleted has such a mark.
pub(super) fn left_marked(pair: &Pair, here: &Seen, there: &Flags) -> bool {
    let again = matches!(here, Seen::Gone) && !shows_interest(&pair.flags, there);
    !again && marked_by_us(pair, there)
}

/// Clears that mark.
pub(super) fn unmark(pair: &Pair) -> Action {
    Action::Unmark {
        pair: name(pair),
        agreed: pair.flags.clone(),
    }
}

pub(super) fn name(pair: &Pair) -> PairRef {
    PairRef {
        id: pair.id,
        uid: pair.uid,
        file: pair.file.clone(),
    }
}

pub(super) fn lone(id: AnyId, reason: AsideReason, flags: Flags) -> Aside {
    Aside {
        id,
        reason,
        attempts: 0,
        retry_at: None,
        flags,
        detail: String::new(),
    }
}
