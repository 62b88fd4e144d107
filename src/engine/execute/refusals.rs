//! Changes that the server refuses, or at which the connection breaks: each waits separately, is
//! reported by each run, and is retried later.

use crate::engine::context::Context;
use crate::engine::execute::job::Works;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{MailboxName, PairId, Side};
use crate::reconcile::{Action, Plan};
use crate::store::{LocalStore, RemoteStore, StoreError};
use std::collections::BTreeSet;

/// Removes refused changes whose retry is not due, and drops records of changes that are not
/// needed any more.
pub(in crate::engine) fn leave_refused<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    plan: &mut Plan,
    works: &Works,
) -> Result<(), Ended> {
    let refused = ctx.state.refused_changes()?;
    if refused.is_empty() {
        return Ok(());
    }
    let now = (ctx.world.now)();
    let waits = refused.iter().filter(|one| one.retry_at > now);
    let waiting: BTreeSet<PairId> = waits.map(|one| one.pair).collect();
    let mut planned: BTreeSet<PairId> = BTreeSet::new();
    for (_, plan) in &mut plan.messages {
        plan.actions.retain(|action| match changed_there(action) {
            Some(pair) => {
                planned.insert(pair);
                !waiting.contains(&pair)
            }
            None => true,
        });
    }
    let looked = |name: &MailboxName| works.get(name).is_some_and(|work| work.complete);
    let over = refused.iter().filter(|one| looked(&one.mailbox));
    let over = over
        .map(|one| one.pair)
        .filter(|pair| !planned.contains(pair));
    Ok(ctx.state.forget_refusals(&over.collect::<Vec<_>>())?)
}

/// Records refused changes.
pub(in crate::engine) fn refuse_changes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pairs: impl Iterator<Item = PairId>,
    why: &str,
) -> Result<(), Ended> {
    let now = (ctx.world.now)();
    for pair in pairs {
        ctx.state.refuse_change(pair, why, now)?;
    }
    Ok(())
}

/// Reports all messages with a refused change.
pub(in crate::engine) fn name_refused_changes<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    for one in ctx.state.refused_changes()? {
        if ctx.concerns(&one.mailbox) {
            let what = format!(
                "{} stays as it is on the server (tried {} times, tried again later): {}",
                one.uid, one.attempts, one.detail
            );
            pass.trouble(Some(&one.mailbox), &StoreError::Mailbox(what));
        }
    }
    Ok(())
}

/// Returns the message that this action changes on the server.
fn changed_there(action: &Action) -> Option<PairId> {
    match action {
        Action::Flags(set) if !set.remote.is_empty() => Some(set.pair.id),
        Action::Unmark { pair, .. } => Some(pair.id),
        Action::Delete {
            on: Side::Remote,
            pair,
            ..
        } => Some(pair.id),
        Action::Move(step) if step.id.side() == Side::Remote => Some(step.pair.id),
        _ => None,
    }
}
