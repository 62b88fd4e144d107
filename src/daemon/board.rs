//! How each account is doing, as values that can be shown at any time without asking the account:
//! it writes here what it does, `mailtide status` reads it.

use super::told::{Held, Told, Trouble};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What an account is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// Getting ready for its first look.
    #[default]
    Starting,
    /// In step, listening.
    InStep,
    /// A cycle is under way.
    Syncing,
    /// Something went wrong; it is tried again at `next_at`.
    Waiting,
    /// In step but for what waits for the user.
    Held,
    /// Some mailboxes are in trouble, the rest is in step.
    Trouble,
    /// Stopped until the user changes something.
    NeedsUser,
    /// Paused by the user.
    Paused,
    /// No watcher runs.
    NotRunning,
}

impl Doing {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Doing::Starting => "starting",
            Doing::InStep => "in step",
            Doing::Syncing => "syncing",
            Doing::Waiting => "waiting",
            Doing::Held => "in step, but something is held",
            Doing::Trouble => "in step, but for some mailboxes",
            Doing::NeedsUser => "stopped, needs you",
            Doing::Paused => "paused",
            Doing::NotRunning => "no watcher runs",
        }
    }
}

/// A connection that listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// `NOTIFY`, `IDLE INBOX`, ...
    pub how: String,
    /// Whether it listens now.
    pub listening: bool,
    /// What keeps it from it, or what it cannot do.
    pub trouble: Option<String>,
}

/// A mailbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Its name.
    pub name: String,
    /// Messages in step.
    pub messages: usize,
    /// `in-step`, `dirty`, `held` or `trouble`.
    pub state: String,
    /// When it was last compared message by message, seconds since 1970; 0: never.
    pub compared_at: i64,
    /// When something was last changed in it by us, seconds since 1970, since the watcher started.
    pub changed_at: Option<i64>,
    /// How long something has waited to be brought across, seconds.
    pub lag: f64,
    /// Messages that are not copied, and why.
    pub set_aside: Vec<String>,
}

/// An account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub account: String,
    /// What it does.
    pub state: Doing,
    /// What is wrong, and what to do about it.
    pub reason: Option<String>,
    /// When it was last found in step, seconds since 1970.
    pub in_step_at: Option<i64>,
    /// How long something has waited to be brought across, seconds; 0: nothing waits.
    pub lag: f64,
    /// When something is tried next if nothing happens before, seconds since 1970.
    pub next_at: Option<i64>,
    /// The last cycle.
    pub last: Option<Told>,
    /// When it ended, seconds since 1970.
    pub last_at: Option<i64>,
    /// Cycles since the watcher started.
    pub cycles: usize,
    /// Changes made since then.
    pub changes: usize,
    /// Mailboxes compared message by message since then although nothing seemed to have changed.
    pub compared: usize,
    /// Changes that wakes and cheap looks had missed, found by that. Should be 0.
    pub drift: usize,
    /// How changes are learned: `QRESYNC`, `CONDSTORE`, `plain`.
    pub tier: Option<String>,
    /// Connections that are open now.
    pub connections: usize,
    /// Who listens to the server.
    pub push: Vec<Push>,
    /// How much of the disk is watched.
    pub disk: String,
    /// What waits for the user.
    pub held: Vec<Held>,
    /// What is in trouble.
    pub errors: Vec<Trouble>,
    /// The mailboxes.
    pub mailboxes: Vec<Mailbox>,
}

/// Where an account writes and others read. Clones are the same board.
#[derive(Clone, Debug, Default)]
pub struct Board {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

/// What is on it, and what of it only the account itself reads.
#[derive(Debug, Default)]
pub struct Inner {
    /// What is shown.
    pub status: Status,
    /// When something was last changed in a mailbox.
    pub changed_at: BTreeMap<String, i64>,
}

impl Board {
    /// Of an account; `changed` learns when something else is on it.
    pub fn of(account: &str, changed: Arc<Notify>) -> Board {
        let board = Board {
            inner: Arc::default(),
            changed,
        };
        board.open().status.account = account.to_owned();
        board
    }

    /// To write on it, or read.
    pub fn open(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something else is on it.
    pub fn ring(&self) {
        self.changed.notify_one();
    }

    /// What is on it.
    pub fn status(&self) -> Status {
        self.open().status.clone()
    }
}
