//! What the cheap look at both sides showed, before any mailbox was looked into.

use crate::model::{MailboxKey, MailboxName, Side};
use crate::reconcile::{Cursor, Listed};
use std::collections::{BTreeMap, BTreeSet};

/// What the cheap look at both sides showed.
pub(super) struct Overview {
    pub keys: BTreeMap<MailboxName, MailboxKey>,
    pub cursors: [BTreeMap<MailboxName, Cursor>; 2],
    pub quiet: BTreeSet<MailboxName>,
    /// Mailboxes in which nothing changed on the server.
    pub still: BTreeSet<MailboxName>,
    /// Mailboxes in which nothing had changed on disk.
    pub still_here: BTreeSet<MailboxName>,
    /// Mailboxes of which the server tells nothing without a closer look, and that nobody named.
    pub left: BTreeSet<MailboxName>,
    pub restless: BTreeSet<MailboxKey>,
    /// Whether no upload is in doubt: it may become one of a pair that neither side shows.
    pub certain: bool,
    /// What the server listed.
    pub listed: Vec<Listed>,
}

impl Overview {
    pub fn cursor(&self, side: Side, name: &MailboxName) -> Option<&Cursor> {
        let [remote, local] = &self.cursors;
        match side {
            Side::Remote => remote.get(name),
            Side::Local => local.get(name),
        }
    }

    /// The mailbox with this row.
    pub fn name_of(&self, key: MailboxKey) -> Option<&MailboxName> {
        self.keys
            .iter()
            .find(|(_, own)| **own == key)
            .map(|(name, _)| name)
    }

    /// Whether nothing calls for a look at it on the server.
    pub fn is_still_there(&self, name: &MailboxName) -> bool {
        let restless = |key: &MailboxKey| self.restless.contains(key);
        self.still.contains(name) && !self.keys.get(name).is_none_or(restless)
    }

    /// Whether what is known of it is all that counts, so that what did not change is not read.
    pub fn is_settled(&self, key: MailboxKey) -> bool {
        self.certain && !self.restless.contains(&key)
    }

    /// Whether nothing can have changed in it.
    pub fn is_quiet(&self, name: &MailboxName) -> bool {
        self.quiet.contains(name)
    }
}
