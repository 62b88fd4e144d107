//! What can be done with a mailbox as a whole.

use super::anew::Rematch;
use crate::model::{MailboxName, Side};
use std::fmt;

/// One thing to do with a whole mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxAction {
    /// Begin to keep it in step; both have it.
    Adopt(MailboxName),
    /// Create it on one side.
    Create {
        /// Where.
        on: Side,
        /// What.
        name: MailboxName,
        /// Whether the base forgets its messages, because they died with the mailbox there.
        forget: Forget,
    },
    /// Delete it on one side.
    Delete {
        /// Where.
        on: Side,
        /// What.
        name: MailboxName,
        /// How many messages go with it: all that lie in it, but for what was moved out of it on
        /// the other side.
        messages: usize,
    },
    /// Match it anew: its directory is another than the one that was recorded.
    Rematch {
        /// What.
        name: MailboxName,
        /// What the base learns of it.
        rematch: Rematch,
        /// What its directory is called by now.
        identity: String,
    },
    /// Neither side has it: drop its rows.
    Forget(MailboxName),
    /// Give it another name on one side.
    Rename {
        /// Where.
        on: Side,
        /// Its name there.
        from: MailboxName,
        /// Its name then.
        to: MailboxName,
    },
    /// Both sides call it otherwise by now.
    Follow {
        /// Its name in the base.
        from: MailboxName,
        /// Its name on both sides.
        to: MailboxName,
    },
}

impl MailboxAction {
    /// Messages that go with a mailbox that is deleted.
    pub fn messages(&self) -> usize {
        match self {
            MailboxAction::Delete { messages, .. } => *messages,
            _ => 0,
        }
    }

    /// The mailbox; of one that gets another name, that name.
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

/// What creating a mailbox anew means for the messages that the base knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// There are none.
    Nothing,
    /// They are to be copied again.
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
