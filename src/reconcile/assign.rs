//! Assigns equal messages to pairs: each is used once, those with evidence first.

use super::pool::{Pool, Wanted};
use super::sighting::{Known, Sighting};
use crate::model::{Flags, Id, MailboxName, MaildirId, PairId, SystemFlag, Uid};
use std::collections::BTreeMap;

/// New messages by pair.
pub(super) type Assigned<I> = BTreeMap<PairId, Sighting<I>>;

/// A new message that evidence connects with a pair.
pub(super) type Prefer<'a, I> = &'a dyn for<'k> Fn(&'k Known) -> Wanted<'k, I>;

/// A source for a copy.
pub(super) struct Source {
    pub uid: Option<(MailboxName, Uid)>,
    pub file: Option<(MailboxName, MaildirId)>,
    pub flags: Flags,
    pub size: u64,
}

/// Assigns new messages to pairs that lost theirs: first to those that the other side has, and
/// among them by preference. Assigned messages leave the list.
pub(super) fn assign<I: Id>(
    known: &[&Known],
    new: &mut Pool<I>,
    lost: &dyn Fn(&Known) -> Option<bool>,
    prefer: &[Prefer<'_, I>],
) -> Assigned<I> {
    let mut assigned = Assigned::new();
    for wanted in [true, false] {
        let any: Prefer<'_, I> = &|_| Wanted::Any;
        for fits in prefer.iter().chain([&any]) {
            for known in known.iter().filter(|known| lost(known) == Some(wanted)) {
                if assigned.contains_key(&known.pair.id) {
                    continue;
                }
                if let Some(new) = new.take(&fits(known)) {
                    assigned.insert(known.pair.id, new);
                }
            }
        }
    }
    assigned
}

pub(super) fn marked(flags: &Flags) -> bool {
    flags.has(SystemFlag::Deleted)
}
