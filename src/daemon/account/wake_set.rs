//! Pending wakes, from any thread to the task of an account. They form a set of mailboxes, not a
//! queue, so their number is bounded.

use crate::model::{Scope, Side};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The mailboxes that may have changed, by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingWakes {
    /// On the server.
    pub remote: Scope,
    /// On disk.
    pub local: Scope,
}

/// A shared set of wakes: any thread adds, one task takes. Clones share the set.
#[derive(Clone, Debug, Default)]
pub struct WakeSet {
    pending: Arc<Mutex<PendingWakes>>,
    notify: Arc<Notify>,
}

impl WakeSet {
    /// Adds mailboxes that may have changed.
    pub fn ring(&self, side: Side, scope: Scope) {
        tracing::debug!(%side, ?scope, "wake");
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            match side {
                Side::Remote => pending.remote.add(scope),
                Side::Local => pending.local.add(scope),
            }
        }
        self.notify.notify_one();
    }

    /// Wakes the task without a mailbox: the state of a push connection changed.
    pub fn notify(&self) {
        self.notify.notify_one();
    }

    /// Waits for the next wake. Cancel safe.
    pub async fn heard(&self) {
        self.notify.notified().await;
    }

    /// Takes all pending wakes.
    pub fn take(&self) -> PendingWakes {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *pending)
    }
}
