//! How long to wait after failures: longer each time, never as long as others who failed at the
//! same moment. Pure; the caller brings chance along.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// Longer than this the network is not waited for.
pub const LONGEST: Duration = Duration::from_secs(300);
/// Longer than this no server is left alone unless it asks for it.
pub const LONGEST_BUSY: Duration = Duration::from_secs(1800);

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It went well.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed: how long to wait, at most `longest`. Between half and all of a time that doubles
    /// with each failure; `chance` says where in between.
    pub fn failed(&mut self, chance: u32, longest: Duration) -> Duration {
        let doubled = FIRST.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        let whole = doubled.min(longest);
        let half = whole / 2;
        half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_with_jitter_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..12)
            .map(|_| backoff.failed(u32::MAX, LONGEST).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        backoff.reset();
        let half = Duration::from_millis(500);
        assert_eq!(backoff.failed(0, LONGEST), half);
        assert_eq!(backoff.failed(u32::MAX, LONGEST), 4 * half);
        for _ in 0..100 {
            assert!(backoff.failed(7, LONGEST_BUSY) <= LONGEST_BUSY);
        }
    }
}
