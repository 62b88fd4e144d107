//! Changes of messages on one side, and their outcomes.

use crate::model::{FlagChange, Flags, Keyword, MailboxName};
use crate::reconcile::three_way::shows_interest;

/// A change of the flags of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagEdit<I> {
    /// The message.
    pub id: I,
    /// The change.
    pub change: FlagChange,
    /// Its flags, if known; they help to find the file.
    pub saw: Option<Flags>,
}

/// A keyword that the server refused to store although PERMANENTFLAGS has `\*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKeyword {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// The keyword.
    pub keyword: Keyword,
    /// The server's text.
    pub why: String,
}

/// A message to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal<I> {
    /// The message.
    pub id: I,
    /// Its flags when the removal was decided. `None`: remove it whatever its flags.
    pub saw: Option<Flags>,
    /// Whether another mailbox has the same message, so that only this place is removed.
    pub elsewhere: bool,
}

impl<I> Removal<I> {
    /// Whether the message may be removed although its flags are `now`: no flag was set since that
    /// shows interest. Flags that the side cannot store do not count.
    pub fn still_holds(&self, now: &Flags) -> bool {
        self.saw
            .as_ref()
            .is_none_or(|saw| !shows_interest(saw, now))
    }
}

/// The outcome of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The message was removed from the mailbox.
    Gone,
    /// The message was removed, and its bytes are in quarantine at this path.
    Kept(Vec<u8>),
    /// The message was moved to the trash mailbox.
    Trashed,
    /// The message was marked `\Deleted`; without UIDPLUS the server cannot expunge single
    /// messages.
    Marked,
}

/// The outcome of the deletion of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The mailbox was deleted.
    Gone,
    /// The mailbox was moved to this path in quarantine.
    Kept(Vec<u8>),
    /// The mailbox was kept, for this reason: its deletion could destroy mail that arrives
    /// meanwhile, or mailboxes below it. Its messages are unchanged.
    Stays(String),
}

/// A message on which an operation failed while others succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle<I> {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// The message.
    pub id: I,
    /// The error.
    pub why: String,
}
