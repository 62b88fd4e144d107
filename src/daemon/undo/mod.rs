//! `mailtide undo`: reverts the changes of runs. It acts on the disk only, like a user: it takes
//! messages out of quarantine and resets flags; the next cycle carries that to the server, under
//! the same guards. An undo is a run of its own and can be undone.

mod carry_out;

mod plan;

mod select;

pub use carry_out::{carry_out, done_text};
pub use plan::plan;

use crate::maildir::QuarantinedMessage;
use crate::model::{FlagChange, MailboxName, MaildirId};
use serde::{Deserialize, Serialize};

/// One step of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoStep {
    /// Create a mailbox again.
    Create {
        /// Its name.
        mailbox: MailboxName,
    },
    /// Restore a message from quarantine.
    PutBack {
        /// The target mailbox.
        mailbox: MailboxName,
        /// The message in quarantine.
        kept: QuarantinedMessage,
        /// The reason of the deletion.
        what: String,
    },
    /// Put a restored message back into quarantine.
    TakeAway {
        /// Its mailbox.
        mailbox: MailboxName,
        /// Its file.
        file: MaildirId,
    },
    /// Reset the flags of a message.
    Flags {
        /// Its mailbox.
        mailbox: MailboxName,
        /// Its file.
        file: MaildirId,
        /// The change to apply.
        change: FlagChange,
    },
    /// Move a message back.
    Move {
        /// Its mailbox.
        mailbox: MailboxName,
        /// Its file.
        file: MaildirId,
        /// The mailbox that it left.
        to: MailboxName,
    },
    /// Give a mailbox its former name.
    Rename {
        /// Its name.
        mailbox: MailboxName,
        /// The former name.
        to: MailboxName,
    },
    /// The change cannot be undone.
    Cannot {
        /// The message and the reason.
        what: String,
    },
}

/// The changes to undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoSelection {
    /// By run.
    pub runs: RunSelection,
    /// Only in mailboxes that match; empty: all.
    pub mailboxes: Vec<String>,
    /// Only of this message; `None`: all.
    pub message: Option<SelectedMessage>,
}

/// A choice of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectedMessage {
    /// The UID or file name, as in the history.
    Named(String),
    /// The UID in a mailbox.
    Uid {
        /// The mailbox.
        mailbox: String,
        /// The UID.
        uid: u32,
        /// The UIDVALIDITY; `None`: any.
        uid_validity: Option<u64>,
    },
    /// The file of a mailbox whose base name has this digest.
    File {
        /// The mailbox.
        mailbox: String,
        /// The digest.
        digest: String,
    },
    /// All messages with this Message-ID, with `<` and `>`.
    MessageId(String),
}

/// A choice of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunSelection {
    /// The last run with a selected change that can be undone.
    Last,
    /// The run of this number.
    Run(i64),
    /// All runs since this time, seconds since 1970.
    Since(i64),
}

/// The steps of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoPlan {
    /// The run, if it is one.
    pub run: Option<i64>,
    /// The newest change first.
    pub steps: Vec<UndoStep>,
}
