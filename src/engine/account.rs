//! A cycle of one account: passes until nothing remains to be done.
//!
//! Both sides come as stores ([`crate::store`]).

use super::out_of_sight::await_sight;
use super::report::{Ended, Observer, Report, Severity, Stop, Trouble};
use super::rest::leaves_nothing;
use super::work::{Survey, Work};
use crate::model::{MailboxName, MaildirId, Scope, Side, Uid};
use crate::reconcile::policy::matches;
use crate::reconcile::{Action, Plan, Policy};
use crate::state::{HeldRow, Memory, State};
use crate::store::{Keep, Serve, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most passes of a cycle. A pass that changed something is followed by another, which reads the
/// changes made meanwhile.
const PASSES: usize = 6;

/// Most consecutive passes without an effect that was planned.
const IDLE_PASSES: usize = 2;

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
pub struct Account<'a, R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> {
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

/// The result of a pass.
pub(super) struct Passed {
    /// Whether a side was to be changed, so that another pass is needed.
    changed: bool,
    /// Whether cut uploads may still appear.
    in_doubt: bool,
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Synchronizes both sides. The report tells what was done, also after an error.
    ///
    /// Safe to be dropped: a cycle that is dropped anywhere and run again ends like an uncut one.
    pub async fn sync(&mut self) -> Report {
        let mut report = Report::default();
        self.state.begin_run((self.world.now)());
        let passes = self.passes_and_confirm(&mut report).await;
        let kept = passes.and_then(|()| self.remember_config(&report));
        match kept.and_then(|()| self.name_refused(&mut report)) {
            Ok(()) => {}
            Err(Ended::Store(error)) => {
                report.trouble(None, &error);
                report.halted = Some(error);
            }
            Err(ended @ (Ended::State(_) | Ended::Stopped)) => {
                let severity = Severity::Partial;
                let text = ended.to_string();
                report.errors.push(Trouble {
                    mailbox: None,
                    severity,
                    text,
                });
            }
        }
        report.touched = self.state.end_run();
        report
    }

    async fn passes_and_confirm(&mut self, report: &mut Report) -> Result<(), Ended> {
        self.passes(report).await?;
        match !self.options.dry_run && self.confirm_links(report).await? {
            true => self.passes(report).await,
            false => Ok(()),
        }
    }

    async fn passes(&mut self, report: &mut Report) -> Result<(), Ended> {
        report.long_unseen = self.long_unseen()?;
        let (mut pass, mut idle, mut doubtful) = (0, 0, 0);
        // Uploads of this run may be unresolved as long as those of the last.
        let patience = self.options.grace.saturating_mul(2).saturating_add(10);
        while pass < PASSES {
            report.unsettled.clear();
            report.hidden.clear();
            let before = report.changes() + report.linked;
            let passed = self.pass(report).await?;
            idle = match report.changes() + report.linked == before {
                true => idle + usize::from(!passed.in_doubt),
                false => 0,
            };
            if self.options.dry_run {
                return Ok(());
            }
            if passed.in_doubt {
                doubtful += 1;
                if doubtful > patience {
                    let what = "uploads are still in doubt: the server neither lists them nor \
                                says that it has none; the next run goes on";
                    report.trouble(None, &StoreError::Mailbox(what.into()));
                    return Ok(());
                }
                // Only unresolved uploads remain: read again until they are resolved.
                tokio::time::sleep(Duration::from_secs(1)).await;
            } else if passed.changed && idle > IDLE_PASSES {
                report
                    .note("what is left to do could not be done; the next run tries again".into());
                return Ok(());
            } else if passed.changed || !report.unsettled.is_empty() && report.hidden.is_empty() {
                pass += 1;
            } else {
                return Ok(());
            }
        }
        for name in report.unsettled.clone() {
            let what = format!("{name} kept changing while it was looked at; deletions in it wait");
            report.trouble(Some(&name), &StoreError::Mailbox(what));
        }
        report.note("the mailboxes kept changing; the next run goes on".into());
        Ok(())
    }

    /// Reports messages that were refused by this or an earlier run.
    fn name_refused(&self, report: &mut Report) -> Result<(), Ended> {
        for (name, aside) in self.state.refused()? {
            if self.concerns(&name) {
                report.trouble(
                    Some(&name),
                    &StoreError::Mailbox(super::copy::refusal(&aside)),
                );
            }
        }
        self.name_refused_changes(report)
    }

    async fn pass(&mut self, report: &mut Report) -> Result<Passed, Ended> {
        self.check_stop()?;
        let (began, troubles) = ((self.world.now)(), report.errors.len());
        let Survey {
            mailboxes,
            mut works,
            listed,
            whole,
        } = self.survey(report).await?;
        let plan = Plan {
            mailboxes,
            messages: take_plans(&mut works),
        };
        let mut guarded = self.guard(plan, report)?;
        let verdict = &mut guarded.verdict;
        let settles = leaves_nothing(verdict);
        if whole {
            report.held = std::mem::take(&mut verdict.held);
        }
        for side in Side::BOTH {
            await_sight(side, &mut verdict.plan, report);
        }
        if !self.options.dry_run {
            self.leave_refused(&mut verdict.plan, &works)?;
        }
        if self.options.dry_run {
            report.plan = Some(guarded.verdict.plan);
            return Ok(Passed {
                changed: false,
                in_doubt: false,
            });
        }
        self.await_rest(&mut verdict.plan, &works, report).await?;
        let in_doubt = works.values().any(|work| work.in_doubt);
        if whole {
            self.note_unseen(&works, report)?;
            self.note_held(report, &verdict.lasting)?;
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
        let works = self.execute(verdict.plan, works, report).await?;
        let smooth = works.len() == begun && report.errors.len() == troubles;
        // A file with new letters is read again.
        let changed = changed || works.values().any(|work| !work.relabels.is_empty());
        let rests = changed && settles && self.rests(works, (&listed, smooth), began).await?;
        Ok(Passed {
            changed: changed && !rests,
            in_doubt,
        })
    }

    fn note_held(&mut self, report: &Report, lasting: &BTreeSet<String>) -> Result<(), Ended> {
        let only = self.options.only.clone();
        let elsewhere = |mailbox: &str| !only.is_empty() && !chosen(&only, mailbox);
        let now = (self.world.now)();
        let keeps = |row: &HeldRow| elsewhere(&row.mailbox) || lasting.contains(&row.id);
        self.state.set_held(&report.held, now, keeps)?;
        Ok(())
    }

    pub(super) fn config_changed(&self) -> Result<bool, Ended> {
        let account = self.state.account()?;
        Ok(account.is_some_and(|account| account.config != self.options.config))
    }

    /// All passes of a run use the guard's inputs of its start. A failure of single messages does
    /// not make others look deleted; an unreadable mailbox may.
    fn remember_config(&mut self, report: &Report) -> Result<(), Ended> {
        let anew = Side::BOTH.iter().any(|side| report.hides_anew(*side));
        let seen = !anew && report.unsettled.is_subset(&report.long_unseen);
        let whole = seen && report.held.is_empty();
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
