//! The steps that a user wants, as they are sent to the watcher.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ArrangeStep {
    /// A message gets and loses flags.
    Flag {
        /// The message.
        message: MessageTarget,
        /// Flags and keywords that it gets, as IMAP writes them.
        add: Vec<String>,
        /// Those that it loses.
        remove: Vec<String>,
    },
    /// A message goes to another mailbox.
    Move {
        /// The message.
        message: MessageTarget,
        /// The mailbox.
        to: String,
    },
    /// A message is in another mailbox, too.
    Copy {
        /// The message.
        message: MessageTarget,
        /// The mailbox.
        to: String,
    },
    /// A message is deleted.
    Delete {
        /// The message.
        message: MessageTarget,
    },
    /// A file becomes a message.
    Append {
        /// The file.
        file: PathBuf,
        /// In this mailbox.
        mailbox: String,
        /// Flags and keywords that it gets.
        flags: Vec<String>,
    },
    /// A mailbox is made.
    Create {
        /// Its name.
        mailbox: String,
    },
    /// A mailbox gets another name.
    Rename {
        /// Its name.
        mailbox: String,
        /// The new one.
        to: String,
    },
    /// A mailbox is deleted.
    Remove {
        /// Its name.
        mailbox: String,
    },
    /// A mailbox is subscribed to on the server, or no longer.
    Subscribe {
        /// Its name.
        mailbox: String,
        /// Whether it is from now on.
        on: bool,
    },
}

/// A message of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageTarget {
    /// The mailbox.
    pub mailbox: String,
    /// Which message.
    pub message: MessageName,
}

/// How a message is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageName {
    /// By the base name of its file.
    File(Vec<u8>),
    /// By its UID in a UIDVALIDITY: only the server has it.
    Uid(u32, u64),
}

/// The mailboxes that steps touch: a cycle looks into these.
pub fn touched(steps: &[ArrangeStep]) -> BTreeSet<String> {
    let all = steps.iter().flat_map(|step| match step {
        ArrangeStep::Flag { message, .. } | ArrangeStep::Delete { message } => {
            vec![message.mailbox.clone()]
        }
        ArrangeStep::Move { message, to } | ArrangeStep::Copy { message, to } => {
            vec![message.mailbox.clone(), to.clone()]
        }
        ArrangeStep::Append { mailbox, .. }
        | ArrangeStep::Create { mailbox }
        | ArrangeStep::Remove { mailbox }
        | ArrangeStep::Subscribe { mailbox, .. } => vec![mailbox.clone()],
        ArrangeStep::Rename { mailbox, to } => vec![mailbox.clone(), to.clone()],
    });
    all.collect()
}

impl ArrangeStep {
    /// The mailbox that it is about, for people.
    pub fn mailbox(&self) -> &str {
        match self {
            ArrangeStep::Flag { message, .. }
            | ArrangeStep::Move { message, .. }
            | ArrangeStep::Copy { message, .. }
            | ArrangeStep::Delete { message } => &message.mailbox,
            ArrangeStep::Append { mailbox, .. }
            | ArrangeStep::Create { mailbox }
            | ArrangeStep::Rename { mailbox, .. }
            | ArrangeStep::Remove { mailbox }
            | ArrangeStep::Subscribe { mailbox, .. } => mailbox,
        }
    }
}
