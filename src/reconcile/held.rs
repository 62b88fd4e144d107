//! A part of a plan that waits for the user's word, and why.

use crate::model::{MailboxName, Side};

/// Why something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldKind {
    /// Too many deletions in one mailbox.
    MassDeletion,
    /// Too many deletions in the account.
    MassDeletionAccount,
    /// A mailbox that held messages would be empty or gone.
    Emptied,
    /// Too many mailboxes are gone at once.
    Mailboxes,
    /// The configuration changed since the last run, and this would delete.
    Configuration,
    /// Messages that lost their UIDs, and that the server does not have.
    Unmatched,
    /// An account's mail would be uploaded to a server that knows none of it.
    MassUpload,
}

impl HeldKind {
    /// All of them.
    const ALL: [HeldKind; 7] = [
        HeldKind::MassDeletion,
        HeldKind::MassDeletionAccount,
        HeldKind::Emptied,
        HeldKind::Mailboxes,
        HeldKind::Configuration,
        HeldKind::Unmatched,
        HeldKind::MassUpload,
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<HeldKind> {
        HeldKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it would upload, not delete: then `reject` has nothing to bring back.
    pub fn uploads(self) -> bool {
        matches!(self, HeldKind::Unmatched | HeldKind::MassUpload)
    }

    /// Why it is held, for people.
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

    /// As in `--json` and the database.
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

/// A part of a plan that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Names it, and exactly it.
    pub id: String,
    /// Why it waits.
    pub kind: HeldKind,
    /// Where it would act.
    pub side: Side,
    /// In which mailbox; `None`: in several.
    pub mailbox: Option<MailboxName>,
    /// How many messages, those in mailboxes that would be deleted included.
    pub count: usize,
    /// How many mailboxes would be deleted.
    pub mailboxes: usize,
    /// What it would do, a line each.
    pub lines: Vec<String>,
}
