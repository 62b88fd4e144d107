//! The report of a cycle: counts, held changes, errors, and progress.

use crate::model::{MailboxName, Side};
use crate::reconcile::Plan;
use crate::reconcile::guard::Held;
use crate::state::StateError;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Executed changes, and what was read for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Mailboxes that are synchronized or were read.
    pub mailboxes: usize,
    /// Messages downloaded.
    pub downloaded: usize,
    /// Messages uploaded.
    pub uploaded: usize,
    /// Messages found on both sides without a transfer.
    pub linked: usize,
    /// Messages whose flags changed on disk.
    pub flags_local: usize,
    /// Messages whose flags changed on the server.
    pub flags_remote: usize,
    /// Messages deleted on disk (they are in quarantine).
    pub deleted_local: usize,
    /// Messages deleted on the server.
    pub deleted_remote: usize,
    /// Messages moved on disk.
    pub moved_local: usize,
    /// Messages moved on the server.
    pub moved_remote: usize,
    /// Messages copied on disk, because they were copied on the server.
    pub copied_local: usize,
    /// Messages copied on the server, because they were copied on disk.
    pub copied_remote: usize,
    /// Mailboxes created on disk.
    pub mailboxes_created_local: usize,
    /// Mailboxes created on the server.
    pub mailboxes_created_remote: usize,
    /// Mailboxes renamed on disk.
    pub mailboxes_renamed_local: usize,
    /// Mailboxes renamed on the server.
    pub mailboxes_renamed_remote: usize,
    /// Mailboxes deleted on disk.
    pub mailboxes_deleted_local: usize,
    /// Mailboxes deleted on the server.
    pub mailboxes_deleted_remote: usize,
    /// Mailboxes compared message by message although the listings showed no change.
    pub compared: usize,
    /// Differences that these comparisons found. Must be 0.
    pub drift: usize,
    /// Bytes of downloaded messages.
    pub bytes_down: u64,
    /// Bytes of uploaded messages.
    pub bytes_up: u64,
}

impl Counts {
    /// Returns the number of changes on both sides.
    pub fn changes(&self) -> usize {
        self.downloaded
            + self.uploaded
            + self.flags_local
            + self.flags_remote
            + self.deleted_local
            + self.deleted_remote
            + self.moved_local
            + self.moved_remote
            + self.copied_local
            + self.copied_remote
            + self.mailboxes_renamed_local
            + self.mailboxes_renamed_remote
            + self.mailboxes_created_local
            + self.mailboxes_created_remote
            + self.mailboxes_deleted_local
            + self.mailboxes_deleted_remote
    }

    /// Returns the number of changes and of links: passes that do not raise it had no effect.
    pub(super) fn progress(&self) -> usize {
        self.changes() + self.linked
    }
}

/// The result of a cycle, for the user. The engine writes it at the end and does not read it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Executed changes.
    pub counts: Counts,
    /// Held changes.
    pub held: Vec<Held>,
    /// Errors.
    pub errors: Vec<Trouble>,
    /// Notes for the user that are not errors.
    pub notes: Vec<String>,
    /// Of a dry run, the plan.
    pub plan: Option<Plan>,
    /// The error of a side that ended the run.
    pub halted: Option<StoreError>,
    /// Unread messages that were downloaded, in mailboxes that were known before.
    pub arrived: BTreeMap<MailboxName, usize>,
    /// Mailboxes that were changed, by side.
    pub touched: BTreeSet<(Side, MailboxName)>,
}

impl Report {
    /// Returns the number of changes on both sides.
    pub fn changes(&self) -> usize {
        self.counts.changes()
    }

    /// Adds an error of the account, once.
    pub fn add_error(&mut self, error: &StoreError) {
        let trouble = Trouble::new(None, error);
        if !self.errors.contains(&trouble) {
            self.errors.push(trouble);
        }
    }

    /// Whether there was no error and no held change.
    pub fn ok(&self) -> bool {
        self.errors.is_empty() && self.held.is_empty()
    }
}

/// Classifies an error of a side.
pub fn severity(error: &StoreError) -> Severity {
    match error {
        StoreError::Retry(_) | StoreError::Busy { .. } => Severity::Temporary,
        StoreError::NeedsUser(_) | StoreError::LoginRefused(_) => Severity::Configuration,
        StoreError::Guard(_) => Severity::Guard,
        StoreError::Mailbox(_)
        | StoreError::Stale(_)
        | StoreError::Renumbered(_)
        | StoreError::Bug(_) => Severity::Partial,
    }
}

/// An error of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The mailbox; `None`: the account.
    pub mailbox: Option<MailboxName>,
    /// Its effect on the run.
    pub severity: Severity,
    /// What failed, on what, and what to do.
    pub text: String,
}

impl Trouble {
    /// An error of a mailbox, or of the account.
    pub(super) fn new(mailbox: Option<&MailboxName>, error: &StoreError) -> Trouble {
        Trouble {
            mailbox: mailbox.cloned(),
            severity: severity(error),
            text: error.to_string(),
        }
    }
}

/// The effect of an error on the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The others were synchronized.
    Partial,
    /// The network or the server failed.
    Temporary,
    /// A guard refused the account.
    Guard,
    /// The user has to change something.
    Configuration,
}

/// Why a cycle ended early.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A side failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The user requested it.
    #[error("stopped on request; what was done is recorded, the rest comes with the next run")]
    Stopped,
}

/// Receives progress.
pub trait Observer {
    /// An event happened.
    fn event(&self, event: Event<'_>);
}

/// Events of a cycle.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A mailbox is being read.
    Looking(&'a MailboxName),
    /// The number of messages to copy in both directions, and of mailboxes concerned.
    Planned {
        /// Messages to copy.
        messages: usize,
        /// Mailboxes with actions.
        mailboxes: usize,
    },
    /// Messages of a mailbox are copied.
    Copying(&'a MailboxName),
    /// This many more bytes were copied.
    Bytes(u64),
    /// This many more messages were copied durably.
    Copied(usize),
}

/// Ignores all events.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// A request to stop after the current batch; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    notify: Arc<Notify>,
}

impl Stop {
    /// Uses a flag that a signal handler sets. It cannot be waited for.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Stop {
        let notify = Arc::default();
        Stop { flag, notify }
    }

    /// Makes the request.
    pub fn request(&self) {
        self.flag.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Whether it was made.
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Waits for the request. Cancel safe.
    pub async fn asked(&self) {
        let made = self.notify.notified();
        let mut made = std::pin::pin!(made);
        // Registered before the check, so that no request is missed.
        made.as_mut().enable();
        if !self.requested() {
            made.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_counts() {
        let bit = |n: u32| 1_usize << n;
        let counts = Counts {
            downloaded: bit(0),
            uploaded: bit(1),
            flags_local: bit(2),
            flags_remote: bit(3),
            moved_local: bit(4),
            moved_remote: bit(5),
            copied_local: bit(6),
            copied_remote: bit(7),
            mailboxes_renamed_local: bit(8),
            mailboxes_renamed_remote: bit(9),
            mailboxes_created_local: bit(10),
            mailboxes_created_remote: bit(11),
            mailboxes_deleted_local: bit(12),
            mailboxes_deleted_remote: bit(13),
            deleted_local: bit(14),
            deleted_remote: bit(15),
            ..Counts::default()
        };
        assert_eq!(counts.changes(), bit(16) - 1);
    }

    #[test]
    fn a_signal_stops() {
        let flag = Arc::new(AtomicBool::new(false));
        let stop = Stop::from_flag(flag.clone());
        assert!(!stop.requested());
        flag.store(true, Ordering::SeqCst);
        assert!(stop.requested());
    }
}
