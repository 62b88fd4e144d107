//! The sides, the state and the parameters of a cycle, and what to do with errors of one mailbox.

use crate::engine::pass_state::PassState;
use crate::engine::report::{Ended, Observer, Stop};
use crate::model::{MailboxName, Scope, Side};
use crate::reconcile::Policy;
use crate::reconcile::policy::matches;
use crate::state::State;
use crate::store::{LocalStore, RemoteStore, StoreError};

/// The clock and the random numbers of the engine.
pub struct World {
    /// Seconds since 1970.
    pub now: Box<dyn Fn() -> i64>,
    /// A random number.
    pub random: Box<dyn Fn() -> u32>,
}

/// The mailboxes that a cycle reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All mailboxes that changed, and those whose full comparison is due.
    #[default]
    Due,
    /// Mailboxes that changed; on a server without change information only these.
    Woken(Scope),
    /// Every mailbox that was not compared message by message since then (seconds since 1970).
    Everything(i64),
}

/// The parameters of a cycle.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Plan only, write nothing.
    pub dry_run: bool,
    /// Only mailboxes that match one of these patterns; empty: all.
    pub only: Vec<String>,
    /// The mailboxes to read.
    pub reach: Reach,
    /// The settings that identify mailboxes, as one text (guard G6).
    pub config: String,
    /// The time that a cut upload may take to appear on the server, seconds.
    pub grace: i64,
}

/// Both sides of an account, its state, and the parameters of the cycle.
pub struct Context<'a, R: RemoteStore, L: LocalStore> {
    /// The server.
    pub remote: &'a mut R,
    /// The disk.
    pub local: &'a mut L,
    /// The state.
    pub state: &'a mut State,
    /// The policy.
    pub policy: Policy,
    /// The parameters.
    pub options: Options,
    /// The clock and the random numbers.
    pub world: World,
    /// Receives progress.
    pub observer: &'a dyn Observer,
    /// The user's request to stop.
    pub stop: Stop,
}

impl<R: RemoteStore, L: LocalStore> Context<'_, R, L> {
    pub(super) fn config_changed(&self) -> Result<bool, Ended> {
        let account = self.state.account()?;
        Ok(account.is_some_and(|account| account.config != self.options.config))
    }

    pub(super) fn check_stop(&self) -> Result<(), Ended> {
        if self.stop.requested() {
            Err(Ended::Stopped)
        } else {
            Ok(())
        }
    }

    /// Whether the run covers this mailbox.
    pub(super) fn concerns(&self, name: &MailboxName) -> bool {
        let only = &self.options.only;
        only.is_empty() || chosen(only, &name.to_string())
    }

    /// Reports a failure of one mailbox, and returns one that concerns all.
    pub(super) fn tolerate(
        &self,
        name: &MailboxName,
        done: Result<(), Ended>,
        pass: &mut PassState,
    ) -> Result<Result<(), StoreError>, Ended> {
        match done {
            Ok(()) => Ok(Ok(())),
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                // After `Stale` the next pass reads again.
                if !matches!(error, StoreError::Stale(_) | StoreError::Renumbered(_)) {
                    pass.trouble(Some(name), &error);
                }
                Ok(Err(error))
            }
            Err(ended) => Err(ended),
        }
    }

    /// Returns the time of this run's comparisons, seconds since 1970. A requested one counts as of
    /// the next second, so that an earlier run in the same second does not replace it.
    pub(super) fn time_of_compare(&self) -> i64 {
        let now = (self.world.now)();
        match self.options.reach {
            Reach::Everything(since) => since.clamp(now, now.saturating_add(1)),
            Reach::Due | Reach::Woken(_) => now,
        }
    }
}

/// Reports a failure of one mailbox and skips it; missing messages of these sides may be in it.
pub(super) fn passed_over<T>(
    name: &MailboxName,
    looked: Result<T, impl Into<Ended>>,
    sides: &[Side],
    pass: &mut PassState,
) -> Result<Option<T>, Ended> {
    match looked.map_err(Into::into) {
        Ok(looked) => Ok(Some(looked)),
        Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
            pass.trouble(Some(name), &error);
            pass.hide(name, sides);
            Ok(None)
        }
        Err(ended) => Err(ended),
    }
}

/// Leaves a mailbox that is gone on one side unchanged in this pass.
pub(super) fn wait_for_sight(name: &MailboxName, pass: &mut PassState) {
    pass.note_waiting(name);
    pass.hide(name, &Side::BOTH);
}

pub(super) fn chosen(only: &[String], name: &str) -> bool {
    only.iter().any(|pattern| matches(pattern, name))
}
