//! A held change and its kind.

use crate::model::{MailboxName, Side};

/// Why a change is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldKind {
    /// Too many deletions in a mailbox.
    MassDeletion,
    /// Too many deletions in the account.
    MassDeletionAccount,
    /// A mailbox with messages would be empty or deleted.
    Emptied,
    /// Too many mailboxes are gone at once.
    Mailboxes,
    /// The configuration changed since the last run, and this would delete.
    Configuration,
    /// Messages lost their UIDs, and the server does not have them.
    Unmatched,
    /// An account's mail would be uploaded to a server that has none of it.
    MassUpload,
}

impl HeldKind {
    /// All kinds.
    const ALL: [HeldKind; 7] = [
        HeldKind::MassDeletion,
        HeldKind::MassDeletionAccount,
        HeldKind::Emptied,
        HeldKind::Mailboxes,
        HeldKind::Configuration,
        HeldKind::Unmatched,
        HeldKind::MassUpload,
    ];

    /// Returns the kind of this name.
    pub fn named(name: &str) -> Option<HeldKind> {
        HeldKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it would upload: then `reject` has nothing to restore.
    pub fn uploads(self) -> bool {
        matches!(self, HeldKind::Unmatched | HeldKind::MassUpload)
    }

    /// Returns the reason for people.
    pub fn cause(self) -> &'static str {
        match self {
            HeldKind::MassDeletion => {
                "within a day, more messages of this mailbox would be deleted than \
                 max_delete_count and max_delete_percent allow"
            }
            HeldKind::MassDeletionAccount => {
                "within a day, more messages of the account would be deleted than may go unasked"
            }
            HeldKind::Emptied => "a mailbox with many messages would be empty or gone",
            HeldKind::Mailboxes => "within a day, many of the mailboxes would be gone",
            HeldKind::Configuration => {
                "the configuration was changed, and messages seem to be deleted since then"
            }
            HeldKind::Unmatched => {
                "the server gave new UIDs, and does not have these messages any more"
            }
            HeldKind::MassUpload => {
                "the server has nothing of this mail: is it the right server, with the right user?"
            }
        }
    }

    /// Returns the name in JSON and in the database.
    pub fn name(self) -> &'static str {
        match self {
            HeldKind::MassDeletion => "mass-deletion",
            HeldKind::MassDeletionAccount => "mass-deletion-account",
            HeldKind::Emptied => "emptied-mailbox",
            HeldKind::Mailboxes => "many-mailboxes-gone",
            HeldKind::Configuration => "configuration-changed",
            HeldKind::Unmatched => "unmatched-after-uidvalidity",
            HeldKind::MassUpload => "mass-upload",
        }
    }
}

/// A held change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id, made from its content.
    pub id: String,
    /// Its kind.
    pub kind: HeldKind,
    /// The side that it would change.
    pub side: Side,
    /// The mailbox; `None`: several.
    pub mailbox: Option<MailboxName>,
    /// The number of messages, including those in mailboxes that would be deleted.
    pub count: usize,
    /// The number of mailboxes that would be deleted.
    pub mailboxes: usize,
    /// What it would do, one line each.
    pub lines: Vec<String>,
}
