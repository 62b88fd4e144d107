//! Plain values for the unit tests of this room.

use crate::engine::execute::job::Work;
use crate::engine::snapshot::mailbox::{Fate, Scene};
use crate::model::{
    Canonical, FlagChange, Flags, Id, MailboxBase, MailboxKey, MailboxName, MaildirId, Pair,
    PairId, Side, Uid,
};
use crate::reconcile::action::{CopyWhy, DeleteWhy, Merge, PairRef};
use crate::reconcile::{Action, Cursor, FlagMask, Look, MailboxPlan};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

pub(super) fn file(n: u32) -> MaildirId {
    MaildirId::new(format!("f{n}"))
}

pub(super) fn mb(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

/// A pair; its content is its number.
pub(super) fn pair(n: u32) -> Pair {
    Pair {
        id: PairId(n.into()),
        uid: uid(n),
        file: file(n),
        flags: Flags::default(),
        hash: Canonical::of(n.to_string().as_bytes()),
        size: 1,
        stamp: None,
        kin: None,
        tombstone: None,
    }
}

pub(super) fn base(name: &str, pairs: &[u32]) -> MailboxBase {
    MailboxBase {
        key: MailboxKey(1),
        name: mb(name),
        tag: 1,
        uid_validity: None,
        pairs: pairs.iter().copied().map(pair).collect(),
        others: BTreeSet::new(),
        aside: Vec::new(),
    }
}

/// An unchanged mailbox with these pairs.
pub(super) fn scene(name: &str, pairs: &[u32]) -> Scene {
    Scene {
        base: base(name, pairs),
        remote: Look::unchanged(None, Cursor::default()),
        local: Look::unchanged(None, Cursor::default()),
        full: false,
        quiet: false,
        fate: Fate::Stays,
        forgotten: Vec::new(),
        relabels: BTreeMap::new(),
        lettered: Default::default(),
    }
}

/// A mailbox with this plan.
pub(super) fn work(name: &str, actions: Vec<Action>) -> Work {
    Work {
        planned: actions.len(),
        plan: MailboxPlan {
            actions,
            ..MailboxPlan::default()
        },
        base: base(name, &[]),
        remote_cursor: Cursor::default(),
        local_cursor: Cursor::default(),
        top: 0,
        stores: FlagMask::All,
        known: true,
        kept: Default::default(),
        unproven: Default::default(),
        relabels: BTreeMap::new(),
        letters: Default::default(),
        in_doubt: false,
        complete: true,
        full: false,
        listed: true,
        sound: true,
        dim: false,
        uploads: Default::default(),
    }
}

pub(super) fn pair_ref(n: u32) -> PairRef {
    PairRef {
        id: PairId(n.into()),
        uid: uid(n),
        file: file(n),
    }
}

pub(super) fn delete(on: Side, n: u32) -> Action {
    Action::Delete {
        on,
        pair: pair_ref(n),
        saw: None,
        why: DeleteWhy::DeletedAcross,
    }
}

pub(super) fn download(n: u32) -> Action {
    Action::Copy {
        from: uid(n).any(),
        flags: Flags::default(),
        replaces: None,
        why: CopyWhy::New,
    }
}

/// Flags to set.
pub(super) fn merge(n: u32, remote: FlagChange, local: FlagChange) -> Action {
    let (pair, merged) = (pair_ref(n), Flags::default());
    Action::Flags(Box::new(Merge {
        pair,
        merged,
        remote,
        local,
    }))
}
