//! One cycle of one account: passes of look, decide, do, record until nothing is left to do.
//!
//! Does not know what the sides are; both come as stores ([`crate::store`]).

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

/// A pass that changed something is followed by another, which takes in what changed meanwhile;
/// after so many the cycle ends all the same, and the next one goes on.
const PASSES: usize = 6;

/// Passes one after another that were to change something and did not.
const IDLE_PASSES: usize = 2;

/// Time and chance, as the engine sees them.
pub struct World {
    /// Seconds since 1970.
    pub now: Box<dyn Fn() -> i64>,
    /// Any number.
    pub random: Box<dyn Fn() -> u32>,
}

/// How far a cycle looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Into all mailboxes that changed, and those whose compare message by message is due.
    #[default]
    Due,
    /// Into mailboxes that changed; on a server that tells nothing without a closer look, into
    /// these only.
    Woken(Scope),
    /// Into every mailbox that was not compared message by message since then (seconds since 1970).
    Everything(i64),
}

/// How a cycle is to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Plan only; nothing is written anywhere.
    pub dry_run: bool,
    /// Only mailboxes that match one of these patterns; empty: all.
    pub only: Vec<String>,
    /// How far to look.
    pub reach: Reach,
    /// The settings that decide which mailbox is which, as one text (guard G6).
    pub config: String,
    /// How long a cut upload may still appear on the server, seconds.
    pub grace: i64,
}

/// An account with both of its sides.
pub struct Account<'a, R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> {
    /// The server.
    pub remote: &'a mut R,
    /// The disk.
    pub local: &'a mut L,
    /// What both last agreed on.
    pub state: &'a mut State,
    /// What the user wants.
    pub policy: Policy,
    /// How to run.
    pub options: Options,
    /// Time and chance.
    pub world: World,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Set when the user wants to stop.
    pub stop: Stop,
}

/// What a pass came to.
pub(super) struct Passed {
    /// Whether a side was to be changed, so that another look is due.
    changed: bool,
    /// Whether cut uploads may yet appear.
    in_doubt: bool,
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Brings both sides in step. Whatever happens, the report tells what was done.
    ///
    /// Not cancel safe in the sense that progress is lost, but safe in the sense that nothing
    /// else is: a cycle that is dropped anywhere and run again ends where an uncut one ends.
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
        // Uploads of this run may be in doubt for as long as those of the last.
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
                // Nothing else is left to wait for: look again until the doubt is over.
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

    /// Messages that were refused, by this run or an earlier one, are named until they are taken.
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
        // A file that got other letters is looked at once more.
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

    /// All passes of the run are guarded by what was known when it began. What failed for some
    /// messages shows nothing deleted; what could not be seen may.
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

    /// Whether the run is about this mailbox.
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
