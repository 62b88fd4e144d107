//! The status of each account, shared between its task, which writes it, and the control socket,
//! which reads it.

use crate::daemon::last_run::Totals;
use crate::daemon::progress::Progress;
use crate::daemon::run_summary::{HeldChange, RunError, RunSummary};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The state of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// Before the first cycle.
    #[default]
    Starting,
    /// Both sides are synchronized.
    Synced,
    /// A cycle runs.
    Syncing,
    /// The last cycle failed; the next attempt is at `next_at`.
    Waiting,
    /// Synchronized except for changes that wait for the user's approval.
    ApprovalNeeded,
    /// Some mailboxes failed, the others are synchronized.
    Partial,
    /// The server refused the login; no retry before the user acts.
    LoginFailed,
    /// Paused by the user.
    Paused,
    /// No watcher runs.
    NotRunning,
    /// No watcher runs, and the last run was stopped before its end.
    Stopped,
}

impl AccountState {
    /// Returns the text for people.
    pub fn text(self) -> &'static str {
        match self {
            AccountState::Starting => "starting",
            AccountState::Synced => "synced",
            AccountState::Syncing => "syncing",
            AccountState::Waiting => "waiting",
            AccountState::ApprovalNeeded => "synced, approval needed",
            AccountState::Partial => "partly synced",
            AccountState::LoginFailed => "login failed",
            AccountState::Paused => "paused",
            AccountState::NotRunning => "no watcher runs",
            AccountState::Stopped => "stopped before its end",
        }
    }
}

/// A push connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushStatus {
    /// `NOTIFY`, `IDLE INBOX`, ...
    pub how: String,
    /// Whether it receives notifications now.
    pub listening: bool,
    /// The error that prevents it, or the reason of a limit.
    pub trouble: Option<String>,
}

/// A mailbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MailboxStatus {
    /// Its name.
    pub name: String,
    /// Messages on both sides.
    pub messages: usize,
    /// `synced`, `approval-needed` or `partial`.
    pub state: String,
    /// Time of the last comparison message by message, seconds since 1970; 0: never.
    pub compared_at: i64,
    /// Time of our last change in it since the watcher started, seconds since 1970.
    pub changed_at: Option<i64>,
    /// Age of the oldest change that is not synchronized yet, seconds.
    pub lag: f64,
    /// Messages that are not copied, with the reason.
    pub set_aside: Vec<String>,
}

/// The status of an account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// Its state.
    pub state: AccountState,
    /// The error, and what to do about it.
    pub reason: Option<String>,
    /// Time when it was last fully synchronized, seconds since 1970.
    pub synced_at: Option<i64>,
    /// Age of the oldest change that is not synchronized yet, seconds; 0: none.
    pub lag: f64,
    /// Time of the next scheduled cycle, seconds since 1970.
    pub next_at: Option<i64>,
    /// Time when the last run began, while no watcher runs, seconds since 1970.
    pub began_at: Option<i64>,
    /// The progress of the cycle that runs, or of the one that was stopped.
    pub progress: Option<Progress>,
    /// Sums over all runs.
    #[serde(default)]
    pub totals: Totals,
    /// The last cycle.
    pub last: Option<RunSummary>,
    /// Time when it ended, seconds since 1970.
    pub last_at: Option<i64>,
    /// Cycles since the watcher started.
    pub cycles: usize,
    /// Changes since then.
    pub changes: usize,
    /// Mailboxes compared message by message since then without a reported change.
    pub compared: usize,
    /// Changes that wakes and incremental cycles missed, found by that. Should be 0.
    pub drift: usize,
    /// The source of changes: `QRESYNC`, `CONDSTORE`, `plain`.
    pub tier: Option<String>,
    /// Open connections.
    pub connections: usize,
    /// The push connections.
    pub push: Vec<PushStatus>,
    /// The watched part of the disk.
    pub disk: String,
    /// The held changes.
    pub held: Vec<HeldChange>,
    /// The current errors.
    pub errors: Vec<RunError>,
    /// The mailboxes.
    pub mailboxes: Vec<MailboxStatus>,
}

/// The shared status of an account. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

/// The status, and values that only the task reads.
#[derive(Debug, Default)]
pub struct Inner {
    /// The status.
    pub status: AccountStatus,
    /// Time of our last change by mailbox.
    pub changed_at: BTreeMap<String, i64>,
}

impl StatusBoard {
    /// Makes the status of an account; `changed` is notified by [`StatusBoard::ring`].
    pub fn of(account: &str, changed: Arc<Notify>) -> StatusBoard {
        let board = StatusBoard {
            inner: Arc::default(),
            changed,
        };
        board.open().status.account = account.to_owned();
        board
    }

    /// Locks it.
    pub fn open(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notifies that the status changed.
    pub fn ring(&self) {
        self.changed.notify_one();
    }

    /// Returns a copy of the status.
    pub fn status(&self) -> AccountStatus {
        self.open().status.clone()
    }
}
