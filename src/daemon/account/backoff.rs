//! Exponential delays after failures, with random spread so that clients do not retry at the same
//! moment. Pure.

use std::time::Duration;

/// The first delay.
const FIRST: Duration = Duration::from_secs(1);
/// The longest delay after a network failure.
pub const LONGEST: Duration = Duration::from_secs(300);
/// The longest delay after the server refused, unless it names a longer one.
pub const LONGEST_BUSY: Duration = Duration::from_secs(1800);

/// Counts consecutive failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Resets the count after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the delay after a failure, at most `longest`: between half and all of a time that
    /// doubles with each failure; `chance` selects the point in between.
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
