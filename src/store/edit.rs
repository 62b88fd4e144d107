//! What is to be changed on messages of a side, and what became of it.

use crate::model::{FlagChange, Flags, Keyword, MailboxName};
use crate::reconcile::three_way::shows_interest;

/// A change of one message's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagEdit<I> {
    /// The message.
    pub id: I,
    /// What to change.
    pub change: FlagChange,
    /// The flags it has, as far as that is known. Helps to find it.
    pub saw: Option<Flags>,
}

/// A keyword that a server refused to store, although it says that it takes any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKeyword {
    /// Where.
    pub mailbox: MailboxName,
    /// The keyword.
    pub keyword: Keyword,
    /// What the server said.
    pub why: String,
}

/// A message to be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal<I> {
    /// The message.
    pub id: I,
    /// The flags it had when the removal was decided. `None`: it goes whatever they are by now.
    pub saw: Option<Flags>,
    /// Whether the same message lies in another mailbox too, so that only its place here goes.
    pub elsewhere: bool,
}

impl<I> Removal<I> {
    /// Whether the message may go although it has these flags by now: nobody has shown since that
    /// they want it. Flags that the side cannot hold are no change of mind.
    pub fn still_holds(&self, now: &Flags) -> bool {
        self.saw
            .as_ref()
            .is_none_or(|saw| !shows_interest(saw, now))
    }
}

/// What became of a message that was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone from the mailbox.
    Gone,
    /// It is gone from the mailbox, and its bytes are in quarantine, there.
    Kept(Vec<u8>),
    /// It was moved to the trash mailbox.
    Trashed,
    /// It carries `\Deleted`; the server cannot expunge single messages (no UIDPLUS).
    Marked,
}

/// What became of a mailbox that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is gone.
    Gone,
    /// It is gone, and lies as a whole at this path below the quarantine.
    Kept(Vec<u8>),
    /// It stays, and why: it cannot be deleted without danger for mail that arrives meanwhile, or
    /// for mailboxes below it. Its messages are as they were.
    Stays(String),
}

/// A message on which a side could not do its work, while it could on others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle<I> {
    /// Where it is.
    pub mailbox: MailboxName,
    /// The message.
    pub id: I,
    /// Why.
    pub why: String,
}
