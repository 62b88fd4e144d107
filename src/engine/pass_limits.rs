//! The end of a run: after which pass another one follows.

use std::time::Duration;

/// Most passes of a cycle. A pass that changed something is followed by another, which reads the
/// changes made meanwhile.
const PASSES: u32 = 6;

/// Most consecutive passes without an effect that was planned.
const IDLE_PASSES: u32 = 2;

/// The result of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassOutcome {
    /// Nothing remains to be done.
    Done,
    /// A side was to be changed: another pass reads the result.
    Changed,
    /// Decisions were deferred to another pass.
    Deferred,
    /// Interrupted uploads may still appear on the server.
    UploadsInDoubt,
}

/// The step after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextPass {
    /// The run ends.
    End,
    /// Another pass follows.
    Now,
    /// Another pass follows after this time.
    After(Duration),
    /// The run ends with something undone.
    GiveUp(GiveUp),
}

/// Why a run ends with something undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// Interrupted uploads were not resolved.
    UploadsInDoubt,
    /// Passes had no effect.
    NoEffect,
    /// Mailboxes keep changing.
    Unstable,
}

/// Counts passes.
#[derive(Clone, Debug)]
pub(super) struct PassLimits {
    passes: u32,
    idle: u32,
    in_doubt: i64,
    /// Most passes that wait for uploads: one per second.
    patience: i64,
}

impl PassLimits {
    /// Limits for uploads that may take this many seconds to appear. Those of this run may be
    /// unresolved as long as those of the last.
    pub fn new(grace: i64) -> PassLimits {
        PassLimits {
            passes: 0,
            idle: 0,
            in_doubt: 0,
            patience: grace.saturating_mul(2).saturating_add(10),
        }
    }

    /// Counts a pass, which had an effect or none, and returns the next step.
    pub fn after(&mut self, outcome: PassOutcome, had_effect: bool) -> NextPass {
        let doubtful = outcome == PassOutcome::UploadsInDoubt;
        self.idle = match had_effect {
            true => 0,
            false => self.idle + u32::from(!doubtful),
        };
        match outcome {
            PassOutcome::Done => NextPass::End,
            PassOutcome::UploadsInDoubt => {
                self.in_doubt += 1;
                match self.in_doubt > self.patience {
                    true => NextPass::GiveUp(GiveUp::UploadsInDoubt),
                    false => NextPass::After(Duration::from_secs(1)),
                }
            }
            PassOutcome::Changed if self.idle > IDLE_PASSES => NextPass::GiveUp(GiveUp::NoEffect),
            PassOutcome::Changed | PassOutcome::Deferred => {
                self.passes += 1;
                match self.passes < PASSES {
                    true => NextPass::Now,
                    false => NextPass::GiveUp(GiveUp::Unstable),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> PassLimits {
        PassLimits::new(1)
    }

    #[test]
    fn finished_pass_ends_the_run() {
        assert_eq!(limits().after(PassOutcome::Done, true), NextPass::End);
    }

    #[test]
    fn changing_mailboxes_end_after_six_passes() {
        let mut limits = limits();
        for _ in 1..6 {
            assert_eq!(limits.after(PassOutcome::Changed, true), NextPass::Now);
        }
        let last = limits.after(PassOutcome::Deferred, true);
        assert_eq!(last, NextPass::GiveUp(GiveUp::Unstable));
    }

    #[test]
    fn passes_without_effect_end_unless_one_has_an_effect() {
        let mut limits = limits();
        for had_effect in [false, true, false, false] {
            assert_eq!(
                limits.after(PassOutcome::Changed, had_effect),
                NextPass::Now
            );
        }
        let last = limits.after(PassOutcome::Changed, false);
        assert_eq!(last, NextPass::GiveUp(GiveUp::NoEffect));
    }

    #[test]
    fn uploads_in_doubt_wait_for_twice_the_grace() {
        let mut limits = limits();
        let after = NextPass::After(Duration::from_secs(1));
        for _ in 0..12 {
            assert_eq!(limits.after(PassOutcome::UploadsInDoubt, false), after);
        }
        let last = limits.after(PassOutcome::UploadsInDoubt, false);
        assert_eq!(last, NextPass::GiveUp(GiveUp::UploadsInDoubt));
        assert_eq!(limits.after(PassOutcome::Changed, false), NextPass::Now);
    }
}
