//! Wakes on their way from those who listen to the one who acts. They are gathered, not queued:
//! however many come, what is kept is the set of places.

use crate::model::{Scope, Side};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Where something may have happened, on each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rung {
    /// On the server.
    pub remote: Scope,
    /// On disk.
    pub local: Scope,
}

/// Rings from any thread; heard by one task. Clones are the same bell.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    rung: Arc<Mutex<Rung>>,
    notify: Arc<Notify>,
}

impl Bell {
    /// Something may have happened there.
    pub fn ring(&self, side: Side, scope: Scope) {
        tracing::debug!(%side, ?scope, "wake");
        {
            let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
            match side {
                Side::Remote => rung.remote.add(scope),
                Side::Local => rung.local.add(scope),
            }
        }
        self.notify.notify_one();
    }

    /// Something else is to be noticed: who listens has news.
    pub fn nudge(&self) {
        self.notify.notify_one();
    }

    /// Waits until it rings. Cancel safe.
    pub async fn heard(&self) {
        self.notify.notified().await;
    }

    /// What was rung since it was last asked.
    pub fn take(&self) -> Rung {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}
