//! A cycle of one account: passes until nothing remains to be done.
//!
//! Both sides come as stores ([`crate::store`]).

use super::out_of_sight::await_sight;
use super::pass_limits::{NextPass, PassLimits, PassOutcome};
use super::pass_state::PassState;
use super::report::{Ended, Observer, Report, Stop};
use super::rest::leaves_nothing;
use super::work::{Survey, Work};
use crate::model::{MailboxName, MaildirId, Scope, Side, Uid};
use crate::reconcile::policy::matches;
use crate::reconcile::{Action, Plan, Policy};
use crate::state::{HeldRow, Memory, State};
use crate::store::{LocalStore, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

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

/// An account with both sides.
pub struct Account<'a, R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> {
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

impl<R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> Account<'_, R, L> {
    /// Synchronizes both sides. The report tells what was done, also after an error.
    ///
    /// Safe to be dropped: a cycle that is dropped anywhere and run again ends like an uncut one.
    pub async fn sync(&mut self) -> Report {
        let mut pass = PassState::default();
        self.state.begin_run((self.world.now)());
        let passes = self.passes_and_confirm(&mut pass).await;
        let kept = passes.and_then(|()| self.remember_config(&pass));
        let ended = kept.and_then(|()| self.name_refused(&mut pass));
        let touched = self.state.end_run();
        pass.into_report(ended, touched)
    }

    async fn passes_and_confirm(&mut self, pass: &mut PassState) -> Result<(), Ended> {
        self.passes(pass).await?;
        match !self.options.dry_run && self.confirm_links(pass).await? {
            true => self.passes(pass).await,
            false => Ok(()),
        }
    }

    async fn passes(&mut self, pass: &mut PassState) -> Result<(), Ended> {
        pass.long_unseen = self.long_unseen()?;
        let mut limits = PassLimits::new(self.options.grace);
        loop {
            pass.begin_pass();
            let before = pass.counts.progress();
            let outcome = self.pass(pass).await?;
            let had_effect = pass.counts.progress() != before;
            match limits.after(outcome, had_effect) {
                NextPass::End => return Ok(()),
                NextPass::Now => {}
                NextPass::After(time) => tokio::time::sleep(time).await,
                NextPass::GiveUp(why) => {
                    pass.give_up(why);
                    return Ok(());
                }
            }
        }
    }

    /// Reports messages that were refused by this or an earlier run.
    fn name_refused(&self, pass: &mut PassState) -> Result<(), Ended> {
        for (name, aside) in self.state.refused()? {
            if self.concerns(&name) {
                pass.trouble(
                    Some(&name),
                    &StoreError::Mailbox(super::copy::refusal(&aside)),
                );
            }
        }
        self.name_refused_changes(pass)
    }

    async fn pass(&mut self, pass: &mut PassState) -> Result<PassOutcome, Ended> {
        self.check_stop()?;
        let began = (self.world.now)();
        let Survey {
            mailboxes,
            mut works,
            listed,
            whole,
        } = self.survey(pass).await?;
        let plan = Plan {
            mailboxes,
            messages: take_plans(&mut works),
        };
        let mut guarded = self.guard(plan, pass)?;
        let verdict = &mut guarded.verdict;
        let settles = leaves_nothing(verdict);
        if whole {
            pass.held = std::mem::take(&mut verdict.held);
        }
        for side in Side::BOTH {
            await_sight(side, &mut verdict.plan, pass);
        }
        if !self.options.dry_run {
            self.leave_refused(&mut verdict.plan, &works)?;
        }
        if self.options.dry_run {
            pass.plan = Some(guarded.verdict.plan);
            return Ok(PassOutcome::Done);
        }
        self.await_rest(&mut verdict.plan, &works, pass).await?;
        let in_doubt = works.values().any(|work| work.in_doubt);
        if whole {
            self.note_unseen(&works, pass)?;
            self.note_held(pass, &verdict.lasting)?;
        }
        for name in &verdict.uncreated {
            works.remove(name);
        }
        self.charge(&guarded)?;
        let verdict = guarded.verdict;
        for name in &verdict.turned {
            if let Some(work) = works.get_mut(name) {
                work.complete = false;
                self.state.look_anew(work.base.key)?;
            }
        }
        let messages = verdict
            .plan
            .messages
            .iter()
            .flat_map(|(_, plan)| &plan.actions);
        let changed = !verdict.used.is_empty()
            || !verdict.plan.mailboxes.is_empty()
            || messages.into_iter().any(Action::changes_a_side);
        let begun = works.len();
        let works = self.execute(verdict.plan, works, pass).await?;
        let smooth = works.len() == begun && !pass.failed;
        // A file with new letters is read again.
        let changed = changed || works.values().any(|work| !work.relabels.is_empty());
        let rests = changed && settles && self.rests(works, (&listed, smooth), began).await?;
        Ok(match in_doubt {
            true => PassOutcome::UploadsInDoubt,
            false if changed && !rests => PassOutcome::Changed,
            false if pass.can_retry() => PassOutcome::Deferred,
            false => PassOutcome::Done,
        })
    }

    fn note_held(&mut self, pass: &PassState, lasting: &BTreeSet<String>) -> Result<(), Ended> {
        let only = self.options.only.clone();
        let elsewhere = |mailbox: &str| !only.is_empty() && !chosen(&only, mailbox);
        let now = (self.world.now)();
        let keeps = |row: &HeldRow| elsewhere(&row.mailbox) || lasting.contains(&row.id);
        self.state.set_held(&pass.held, now, keeps)?;
        Ok(())
    }

    pub(super) fn config_changed(&self) -> Result<bool, Ended> {
        let account = self.state.account()?;
        Ok(account.is_some_and(|account| account.config != self.options.config))
    }

    /// All passes of a run use the guard's inputs of its start. A failure of single messages does
    /// not make others look deleted; an unreadable mailbox may.
    fn remember_config(&mut self, pass: &PassState) -> Result<(), Ended> {
        let anew = Side::BOTH.iter().any(|side| pass.hides_anew(*side));
        let retried = pass.deferred.retried();
        let seen = !anew && retried.iter().all(|name| pass.long_unseen.contains(name));
        let whole = seen && pass.held.is_empty();
        let whole = whole && self.options.only.is_empty() && !self.options.dry_run;
        if whole
            && self.config_changed()?
            && let Some(account) = self.state.account()?
        {
            let config = self.options.config.clone();
            let now = (self.world.now)();
            self.state.set_account(&Memory { config, ..account }, now)?;
        }
        Ok(())
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
}

fn chosen(only: &[String], name: &str) -> bool {
    only.iter().any(|pattern| matches(pattern, name))
}

fn take_plans(
    works: &mut BTreeMap<MailboxName, Work>,
) -> Vec<(MailboxName, crate::reconcile::MailboxPlan)> {
    let plans = works.iter_mut().map(|(name, work)| {
        work.planned = work.plan.actions.len();
        (name.clone(), std::mem::take(&mut work.plan))
    });
    plans.filter(|(_, plan)| !plan.actions.is_empty()).collect()
}
