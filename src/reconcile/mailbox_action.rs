//! Actions on mailboxes.

use super::outcome::Outcome;
use crate::model::{MailboxName, Side};
use std::fmt;

/// An action on a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxAction {
    /// Add it to the base; both sides have it.
    Adopt(MailboxName),
    /// Create it on one side.
    Create {
        /// The side.
        on: Side,
        /// The mailbox.
        name: MailboxName,
        /// Whether the base drops its messages, because they were deleted with the mailbox there.
        forget: Forget,
    },
    /// Delete it on one side.
    Delete {
        /// The side.
        on: Side,
        /// The mailbox.
        name: MailboxName,
        /// The number of its messages, without those that were moved out of it on the other side.
        messages: usize,
    },
    /// Match it again: its directory is not the recorded one.
    Rematch {
        /// The mailbox.
        name: MailboxName,
        /// The changes of the base.
        rematch: Rematch,
        /// The identity of its directory.
        identity: String,
    },
    /// Remove it from the base; neither side has it.
    Forget(MailboxName),
    /// Rename it on one side.
    Rename {
        /// The side.
        on: Side,
        /// Its name there.
        from: MailboxName,
        /// Its new name.
        to: MailboxName,
    },
    /// Record its new name, which both sides have.
    Follow {
        /// Its name in the base.
        from: MailboxName,
        /// Its name on both sides.
        to: MailboxName,
    },
}

impl MailboxAction {
    /// Returns the number of messages that are deleted with a mailbox.
    pub fn messages(&self) -> usize {
        match self {
            MailboxAction::Delete { messages, .. } => *messages,
            _ => 0,
        }
    }

    /// Returns the mailbox; of a rename, the new name.
    pub fn name(&self) -> &MailboxName {
        match self {
            MailboxAction::Adopt(name)
            | MailboxAction::Forget(name)
            | MailboxAction::Create { name, .. }
            | MailboxAction::Rematch { name, .. }
            | MailboxAction::Delete { name, .. }
            | MailboxAction::Rename { to: name, .. }
            | MailboxAction::Follow { to: name, .. } => name,
        }
    }
}

/// The effect of creating a mailbox anew on its messages in the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// It has none.
    Nothing,
    /// They are copied again.
    Messages,
}

impl fmt::Display for MailboxAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailboxAction::Adopt(name) => write!(f, "keep mailbox {name} in step"),
            MailboxAction::Create { on, name, .. } => write!(f, "create mailbox {name} on {on}"),
            MailboxAction::Delete { on, name, messages } => {
                write!(f, "delete mailbox {name} with {messages} messages on {on}")
            }
            MailboxAction::Rename { on, from, to } => {
                write!(f, "rename mailbox {from} to {to} on {on}")
            }
            MailboxAction::Follow { from, to } => {
                write!(f, "note that mailbox {from} is called {to}")
            }
            MailboxAction::Rematch { name, rematch, .. } => {
                let lost = rematch.lost();
                write!(
                    f,
                    "match mailbox {name} anew, its directory lacks {lost} messages"
                )
            }
            MailboxAction::Forget(name) => write!(f, "forget mailbox {name}, deleted on both"),
        }
    }
}

/// A mailbox to match again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rematch {
    /// The changes of the base: messages that the directory lacks are dropped and downloaded again,
    /// and flags are set so that the merge equals a first match.
    pub outcomes: Vec<Outcome>,
    /// Whether these cover the whole mailbox.
    pub whole: bool,
}
