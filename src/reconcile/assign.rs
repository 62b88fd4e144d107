//! Which of several equal messages is which: each is used once, those first that evidence brings
//! together.

use super::sighting::{Known, Sighting};
use crate::model::{Flags, Id, MailboxName, MaildirId, PairId, SystemFlag, Uid};
use std::collections::BTreeMap;

/// New messages by the pair that they are now.
pub(super) type Assigned<I> = BTreeMap<PairId, Sighting<I>>;

/// Whether evidence brings a pair and a new message together.
pub(super) type Prefer<'a, I> = &'a dyn Fn(&Known, &Sighting<I>) -> bool;

/// Where a message can be copied from.
pub(super) struct Source {
    pub uid: Option<(MailboxName, Uid)>,
    pub file: Option<(MailboxName, MaildirId)>,
    pub flags: Flags,
    pub size: u64,
}

/// Gives pairs that lost a message one of the new ones: those first that are still wanted across,
/// and within them those that a preference brings together. What is given leaves the list.
pub(super) fn assign<I: Id>(
    known: &[&Known],
    new: &mut Vec<Sighting<I>>,
    lost: &dyn Fn(&Known) -> Option<bool>,
    prefer: &[Prefer<'_, I>],
) -> Assigned<I> {
    let mut assigned = Assigned::new();
    for wanted in [true, false] {
        let any: Prefer<'_, I> = &|_, _| true;
        for fits in prefer.iter().chain([&any]) {
            for known in known.iter().filter(|known| lost(known) == Some(wanted)) {
                if assigned.contains_key(&known.pair.id) {
                    continue;
                }
                if let Some(at) = new.iter().position(|new| fits(known, new)) {
                    assigned.insert(known.pair.id, new.remove(at));
                }
            }
        }
    }
    assigned
}

/// Takes out a message that is new in this mailbox.
pub(super) fn take<I>(new: &mut Vec<Sighting<I>>, mailbox: &MailboxName) -> Option<Sighting<I>> {
    let at = new.iter().position(|new| new.mailbox == *mailbox)?;
    Some(new.remove(at))
}

pub(super) fn marked(flags: &Flags) -> bool {
    flags.has(SystemFlag::Deleted)
}
