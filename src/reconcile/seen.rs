//! How the two sides see one message of the base, as the table of `messages` asks for it.

use super::look::Look;
use super::plan::{Action, PairRef};
use super::three_way::{Opinion, shows_interest};
use crate::model::{
    AnyId, Aside, AsideReason, Flags, MailboxBase, MaildirId, Pair, Side, SystemFlag, Uid,
};
use std::collections::BTreeSet;

/// How a side sees one message of the base.
pub(super) enum Seen {
    Here(Flags),
    Gone,
    Unknown,
    Broken,
    Edited(Flags),
}

/// The messages that the base knows, by either name.
#[derive(Debug)]
pub struct Known<'a> {
    /// On the server.
    pub uids: BTreeSet<&'a Uid>,
    /// On disk.
    pub files: BTreeSet<&'a MaildirId>,
}

impl<'a> Known<'a> {
    /// Of one mailbox: its pairs and what was set aside.
    pub fn of(base: &'a MailboxBase) -> Known<'a> {
        let mut uids: BTreeSet<&Uid> = base.pairs.iter().map(|pair| &pair.uid).collect();
        let mut files: BTreeSet<&MaildirId> = base.pairs.iter().map(|pair| &pair.file).collect();
        for aside in &base.aside {
            match &aside.id {
                AnyId::Remote(uid) => uids.insert(uid),
                AnyId::Local(file) => files.insert(file),
            };
        }
        Known { uids, files }
    }
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
    flags: &'a Flags,
    follows: bool,
) -> Opinion<'a> {
    Opinion {
        flags,
        sees: &look.sees,
        stores: &look.stores,
        follows,
    }
}

/// Whether the `\Deleted` that a message carries there is the mark of a deletion of ours that was
/// cut before its EXPUNGE. Where the message is not deleted after all, it is nobody's wish.
pub(super) fn marked_by_us(pair: &Pair, there: &Flags) -> bool {
    let deleted = SystemFlag::Deleted;
    pair.tombstone == Some(Side::Remote) && there.has(deleted) && !pair.flags.has(deleted)
}

/// Whether such a mark is on a message that is not to be deleted any more.
pub(super) fn left_marked(pair: &Pair, here: &Seen, there: &Flags) -> bool {
    let again = matches!(here, Seen::Gone) && !shows_interest(&pair.flags, there);
    !again && marked_by_us(pair, there)
}

/// Takes that mark away.
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
