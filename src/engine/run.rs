//! A cycle of one account: passes until nothing remains to be done.
//!
//! Both sides come as stores ([`crate::store`]).

use crate::engine::checkpoint::leaves_nothing;
use crate::engine::context::{Context, chosen};
use crate::engine::execute::job::{Survey, Work};
use crate::engine::execute::refusals;
use crate::engine::identify::{confirm, stability};
use crate::engine::pass_limits::{NextPass, PassLimits, PassOutcome};
use crate::engine::pass_state::PassState;
use crate::engine::plan::unreadable::await_sight;
use crate::engine::plan::{guarding, unreadable};
use crate::engine::report::{Ended, Report};
use crate::engine::{checkpoint, execute, phases};
use crate::model::{MailboxName, Side};
use crate::reconcile::{Action, Plan};
use crate::state::{AccountRecord, HeldRow};
use crate::store::{LocalStore, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

impl<R: RemoteStore, L: LocalStore> Context<'_, R, L> {
    /// Synchronizes both sides. The report tells what was done, also after an error.
    ///
    /// Safe to be dropped: a cycle that is dropped anywhere and run again ends like an uncut one.
    pub async fn sync(&mut self) -> Report {
        let mut pass = PassState::default();
        self.state.begin_run((self.world.now)());
        let passes = passes_and_confirm(self, &mut pass).await;
        let kept = passes.and_then(|()| remember_config(self, &pass));
        let ended = kept.and_then(|()| name_refused(self, &mut pass));
        let touched = self.state.end_run();
        pass.into_report(ended, touched)
    }
}

async fn passes_and_confirm<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    passes(ctx, pass).await?;
    match !ctx.options.dry_run && confirm::confirm_links(ctx, pass).await? {
        true => passes(ctx, pass).await,
        false => Ok(()),
    }
}

async fn passes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    pass.long_unseen = unreadable::long_unseen(ctx)?;
    let mut limits = PassLimits::new(ctx.options.grace);
    loop {
        pass.begin_pass();
        let before = pass.counts.progress();
        let outcome = run_pass(ctx, pass).await?;
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
fn name_refused<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    for (name, aside) in ctx.state.refused()? {
        if ctx.concerns(&name) {
            pass.trouble(
                Some(&name),
                &StoreError::Mailbox(crate::engine::execute::transfer::request::refusal(&aside)),
            );
        }
    }
    refusals::name_refused_changes(ctx, pass)
}

async fn run_pass<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<PassOutcome, Ended> {
    ctx.check_stop()?;
    let began = (ctx.world.now)();
    let Survey {
        mailboxes,
        mut works,
        listed,
        whole,
    } = phases::survey(ctx, pass).await?;
    let plan = Plan {
        mailboxes,
        messages: take_plans(&mut works),
    };
    let mut guarded = guarding::guard(ctx, plan, pass)?;
    let verdict = &mut guarded.verdict;
    let settles = leaves_nothing(verdict);
    if whole {
        pass.held = std::mem::take(&mut verdict.held);
    }
    for side in Side::BOTH {
        await_sight(side, &mut verdict.plan, pass);
    }
    if ctx.options.dry_run {
        pass.plan = Some(guarded.verdict.plan);
        return Ok(PassOutcome::Done);
    }
    refusals::leave_refused(ctx, &mut verdict.plan, &works)?;
    stability::await_rest(ctx, &mut verdict.plan, &works, pass).await?;
    let in_doubt = works.values().any(|work| work.in_doubt);
    if whole {
        unreadable::note_unseen(ctx, &works, pass)?;
        note_held(ctx, pass, &verdict.lasting)?;
    }
    for name in &verdict.uncreated {
        works.remove(name);
    }
    guarding::charge(ctx, &guarded)?;
    let verdict = guarded.verdict;
    for name in &verdict.turned {
        if let Some(work) = works.get_mut(name) {
            work.complete = false;
            ctx.state.look_anew(work.base.key)?;
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
    let works = execute::execute(ctx, verdict.plan, works, pass).await?;
    let smooth = works.len() == begun && !pass.failed;
    // A file with new letters is read again.
    let changed = changed || works.values().any(|work| !work.relabels.is_empty());
    let rests =
        changed && settles && checkpoint::rests(ctx, works, (&listed, smooth), began).await?;
    Ok(match in_doubt {
        true => PassOutcome::UploadsInDoubt,
        false if changed && !rests => PassOutcome::Changed,
        false if pass.can_retry() => PassOutcome::Deferred,
        false => PassOutcome::Done,
    })
}

fn note_held<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &PassState,
    lasting: &BTreeSet<String>,
) -> Result<(), Ended> {
    let only = ctx.options.only.clone();
    let elsewhere = |mailbox: &str| !only.is_empty() && !chosen(&only, mailbox);
    let now = (ctx.world.now)();
    let keeps = |row: &HeldRow| elsewhere(&row.mailbox) || lasting.contains(&row.id);
    ctx.state.set_held(&pass.held, now, keeps)?;
    Ok(())
}

/// All passes of a run use the guard's inputs of its start. A failure of single messages does
/// not make others look deleted; an unreadable mailbox may.
fn remember_config<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &PassState,
) -> Result<(), Ended> {
    let anew = Side::BOTH.iter().any(|side| pass.hides_anew(*side));
    let retried = pass.deferred.retried();
    let seen = !anew && retried.iter().all(|name| pass.long_unseen.contains(name));
    let whole = seen && pass.held.is_empty();
    let whole = whole && ctx.options.only.is_empty() && !ctx.options.dry_run;
    if whole
        && ctx.config_changed()?
        && let Some(account) = ctx.state.account()?
    {
        let config = ctx.options.config.clone();
        let now = (ctx.world.now)();
        ctx.state
            .set_account(&AccountRecord { config, ..account }, now)?;
    }
    Ok(())
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
