//! Signs of life of one account: it beats when the loop turns and whenever a cycle gets anything
//! done. An account that has something to do and does not beat is stuck.

use crate::engine::{Event, Observer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clones are the same pulse.
#[derive(Clone, Debug)]
pub struct Pulse {
    began: Instant,
    last: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse {
            began: Instant::now(),
            last: Arc::default(),
        }
    }
}

impl Pulse {
    /// A sign of life.
    pub fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// How long ago the last was.
    pub fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }
}

impl Observer for Pulse {
    fn event(&self, _: Event<'_>) {
        self.beat();
    }
}
