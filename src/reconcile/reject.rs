//! Reverts a rejected change: the missing messages are restored from the other side.

use super::action::Action;
use super::mailbox_action::MailboxAction;
use crate::model::{FlagChange, Flags, SystemFlag};

/// Returns the action that reverts this one.
pub fn instead(action: Action) -> Action {
    match action {
        // Without the pair the message is new on the side that has it, and is copied.
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

/// Returns the same for a mailbox: the base forgets it, so that it is new on the side that has it.
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
