//! The I/O of one account as a trait: [`super::task`] decides when, the backend does it. Tests
//! implement it with stores in memory.

use super::agenda::DueCycle;
use crate::daemon::arrange::ArrangeStep;
use crate::daemon::hooks::HookEvents;
use crate::daemon::run_summary::RunSummary;
use crate::daemon::status_board::MailboxStatus;
use crate::daemon::undo;
use crate::engine::{Observer, Reach, Report, Stop};
use crate::model::Scope;
use std::time::Duration;

/// The I/O of one account.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread (decision 0003)"
)]
pub trait AccountBackend {
    /// Watches the directories of the current mailboxes. Call it before the disk is scanned.
    fn watch_directories(&mut self);

    /// Whether the disk is as the last checkpoint of these mailboxes, so that our own change caused
    /// the wake. `false` if that cannot be determined.
    async fn disk_is_unchanged(&mut self, scope: &Scope) -> bool;

    /// Runs a cycle. Cancel safe: the next cycle continues from the recorded state.
    async fn cycle(&mut self, task: &DueCycle, observer: &dyn Observer, stop: &Stop) -> Report;

    /// Runs a cycle on the user's request.
    async fn sync_now(
        &mut self,
        request: SyncRequest,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Report;

    /// The mailboxes with notifications, and whether the whole disk is watched; `None` until each
    /// push connection was tried once.
    fn notified(&self) -> Option<(Scope, bool)>;

    /// The server's text if it refused the login of a push connection.
    fn refused(&self) -> Option<String>;

    /// The mailboxes for `mailtide status`.
    fn mailboxes(&mut self) -> Vec<MailboxStatus>;

    /// Records the user's verdict on a held change; `false`: no held change has this id.
    fn decide(&mut self, id: &str, verdict: UserVerdict) -> Result<bool, String>;

    /// Checks the connections within `patience`, after a network change.
    async fn check_connections(&mut self, patience: Duration);

    /// Whether a refused login is tried again by itself: with a new access token.
    fn renews_login(&self) -> bool {
        false
    }

    /// Whether the secret's source changed since the secret was read.
    fn secret_changed(&self) -> bool;

    /// Discards the secret and the connections that used it.
    fn discard_secret(&mut self);

    /// Waits until an idle connection should give way to the work of another account.
    async fn asked_to_leave(&self) {
        std::future::pending().await
    }

    /// Disconnects idle connections.
    async fn disconnect_idle(&mut self);

    /// Disconnects everything.
    async fn close(&mut self);

    /// Records the outcome of a cycle for the time when no watcher runs, and adds to it since when
    /// changes are held.
    fn record(&mut self, _summary: &mut RunSummary) {}

    /// Passes events to the user's hooks.
    fn run_hooks(&mut self, facts: HookEvents);

    /// The current time, seconds since 1970.
    fn now(&self) -> i64;

    /// A random number.
    fn random(&self) -> u32;
}

/// A sync that the user requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncRequest {
    /// Only mailboxes that match one of these patterns; empty: all.
    pub only: Vec<String>,
    /// How thorough it is.
    pub depth: SyncDepth,
    /// The changes to undo before it.
    pub undo: Option<undo::UndoSelection>,
    /// The steps to carry out before it.
    pub arrange: Vec<ArrangeStep>,
}

/// How thorough a requested sync is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncDepth {
    /// Mailboxes with changes.
    #[default]
    Changes,
    /// Every mailbox, message by message.
    Everything,
}

impl SyncDepth {
    /// The reach of a cycle that starts now.
    pub fn reach(self) -> Reach {
        match self {
            SyncDepth::Changes => Reach::Due,
            // A message that was compared in this second may have changed since.
            SyncDepth::Everything => Reach::Everything(crate::daemon::open::now() + 1),
        }
    }
}

/// The user's verdict on a held change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserVerdict {
    /// Execute it once.
    Approve,
    /// Discard it and restore the missing messages.
    Reject,
}
