//! The heartbeat of one account's task: it beats on each turn of the loop and on each event of a
//! cycle. A task with work and without a beat is stuck.

use crate::engine::{Event, Observer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clones share the heartbeat.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    began: Instant,
    last: Arc<AtomicU64>,
}

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat {
            began: Instant::now(),
            last: Arc::default(),
        }
    }
}

impl Heartbeat {
    /// Records a beat.
    pub fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// The time since the last beat.
    pub fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }
}

impl Observer for Heartbeat {
    fn event(&self, _: Event<'_>) {
        self.beat();
    }
}
