//! What becomes of a held part of a plan when the user says no: what is gone on one side is brought
//! back there from the other, instead of going on both.

use super::action::Action;
use super::mailbox_action::MailboxAction;
use crate::model::{FlagChange, Flags, SystemFlag};

/// The action that undoes what led to this one.
pub fn instead(action: Action) -> Action {
    match action {
        // Without the pair it is a new message on the side that has it, and is copied.
        Action::Delete { pair, .. } => Action::Forget { pair },
        Action::Flags(mut set) => {
            let there = take_deleted(&mut set.remote);
            let here = take_deleted(&mut set.local);
            if there {
                set.local.remove.insert(SystemFlag::Deleted);
            }
            if here {
                set.remote.remove.insert(SystemFlag::Deleted);
            }
            set.merged = set.merged.without(SystemFlag::Deleted);
            Action::Flags(set)
        }
        other => other,
    }
}

/// The same for a whole mailbox: nothing is remembered of it, so that it is new where it is.
pub fn mailbox_instead(action: MailboxAction) -> MailboxAction {
    match action {
        MailboxAction::Delete { name, .. } => MailboxAction::Forget(name),
        other => other,
    }
}

fn take_deleted(change: &mut FlagChange) -> bool {
    let had = change.add.has(SystemFlag::Deleted);
    change.add = change.add.difference(&Flags::of(&[SystemFlag::Deleted]));
    had
}
