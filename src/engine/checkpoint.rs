//! Checkpoints after a pass that changed only the disk, so that no further pass has to read the
//! server. Changes there meanwhile show in the next listing. A pass that changed the server is
//! always followed by another.

use crate::engine::context::Context;
use crate::engine::execute::job::{Work, Works};
use crate::engine::report::Ended;
use crate::engine::snapshot::renames;
use crate::model::{MailboxBase, Pair, Side};
use crate::reconcile::guard::Verdict;
use crate::reconcile::mailbox_identity::Home;
use crate::reconcile::{Action, Cursor, Listed, MailboxAction};
use crate::state::Checkpoint;
use crate::store::{Depth, LocalStore, RemoteStore};

/// A longer pass is followed by another, seconds.
const LONG: i64 = 30;

/// Whether the plan changes only the disk, and completely.
pub(super) fn leaves_nothing(verdict: &Verdict) -> bool {
    let plain = |action: &MailboxAction| match action {
        MailboxAction::Adopt(_) => true,
        MailboxAction::Create { on, .. } => *on == Side::Local,
        MailboxAction::Delete { .. }
        | MailboxAction::Rematch { .. }
        | MailboxAction::Forget(_)
        | MailboxAction::Rename { .. }
        | MailboxAction::Follow { .. } => false,
    };
    let clear = |action: &Action| match action {
        Action::Copy { from, .. } => from.side() == Side::Remote,
        Action::Flags(set) => set.remote.is_empty(),
        Action::Link(link) => link.remote.is_empty(),
        Action::Delete { on, .. } => *on == Side::Local,
        Action::Forget { .. } => true,
        Action::Split { .. }
        | Action::Discard { .. }
        | Action::Move(_)
        | Action::Rekey(_)
        | Action::Duplicate(_)
        | Action::Recall(_)
        | Action::Detach { .. }
        | Action::Unmark { .. }
        | Action::SetAside(_)
        | Action::Unaside(_) => false,
    };
    let plan = &verdict.plan;
    let mut actions = plan.messages.iter().flat_map(|(_, plan)| &plan.actions);
    verdict.held.is_empty()
        && verdict.used.is_empty()
        && verdict.turned.is_empty()
        && plan.mailboxes.iter().all(plain)
        && actions.all(clear)
}

/// After execution, verifies that the disk matches the base within a short time, and saves
/// checkpoints of unchanged mailboxes.
pub(super) async fn rests<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: Works,
    (remote, smooth): (&[Listed], bool),
    began: i64,
) -> Result<bool, Ended> {
    // A mailbox that was just created is not the one that had its name.
    let created = |work: &Work| work.local_cursor == Cursor::default();
    let created = works.values().any(created);
    let mut left = Vec::new();
    let rest = all_rest(ctx, works, &mut left).await;
    ctx.state.leave(&left)?;
    if !rest? || !smooth || !(0..LONG).contains(&((ctx.world.now)() - began)) {
        return Ok(false);
    }
    let homes = ctx.state.homes()?;
    let unnamed = |home: &Home| home.remote.is_none() || home.local.is_none();
    if homes.iter().any(unnamed) || created {
        let local = ctx.local.list(&ctx.state.cursors(Side::Local)?).await?;
        renames::note_identities(ctx, homes, (remote, &local))?;
    }
    Ok(true)
}

/// Verifies these mailboxes; returns the checkpoints of those that match.
async fn all_rest<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: Works,
    left: &mut Vec<Checkpoint>,
) -> Result<bool, Ended> {
    let mut all = true;
    let done = works.values().filter(|work| work.is_done());
    let calm = done.filter(|work| ctx.local.is_stable(&work.base.name));
    let next = calm.map(|work| (work.base.name.clone(), depth_after(known_cursor(work))));
    ctx.local.prefetch(&next.collect::<Vec<_>>());
    for work in works.into_values() {
        if !work.is_done() {
            tracing::debug!(mailbox = %work.base.name, "not done");
            all = false;
            continue;
        }
        let cursor = known_cursor(&work);
        // A change in this very tick is left to the next run.
        if cursor.is_some() && !ctx.local.is_stable(&work.base.name) {
            continue;
        }
        let Some((cursor, whole)) = look_after(ctx, &work, cursor).await? else {
            tracing::debug!(mailbox = %work.base.name, "changed meanwhile on disk");
            all = false;
            continue;
        };
        // A mailbox that was new on one side is compared message by message now.
        let full = work.listed && whole;
        left.push(Checkpoint {
            full_at: full.then(|| ctx.time_of_compare()),
            ..Checkpoint::on(work.base.key, Side::Local, cursor)
        });
    }
    Ok(all)
}

/// Returns the cursor of the disk, if a mailbox matches its record, and whether it was compared
/// completely.
async fn look_after<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &Work,
    cursor: Option<&Cursor>,
) -> Result<Option<(Cursor, bool)>, Ended> {
    let looked = shows_just(ctx, &work.base, cursor).await;
    ctx.local.forget(&work.base.name);
    match looked {
        Err(Ended::Store(error)) if error.is_local_to_mailbox() => Ok(None),
        looked => looked,
    }
}

/// The same, with any error as `None`.
async fn shows_just<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    before: &MailboxBase,
    cursor: Option<&Cursor>,
) -> Result<Option<(Cursor, bool)>, Ended> {
    let name = &before.name;
    let depth = depth_after(cursor);
    let unburied = |pair: &Pair| pair.tombstone.is_none();
    let settled = before.aside.is_empty() && before.pairs.iter().all(unburied);
    if let Some(cursor) = cursor.filter(|_| settled)
        && let Some(look) = ctx.local.unchanged(name, cursor).await?
    {
        return Ok(Some((look.cursor, false)));
    }
    let Some(recorded) = ctx.state.recorded(before.key)? else {
        return Ok(None);
    };
    let looked = ctx.local.look_for(name, recorded, cursor, depth);
    let just = looked
        .await?
        .filter(|(look, unlike)| look.is_empty_delta() && unlike.is_empty());
    Ok(just.map(|(look, _)| (look.cursor, true)))
}

/// Returns the former cursor of the disk.
fn known_cursor(work: &Work) -> Option<&Cursor> {
    Some(&work.local_cursor).filter(|cursor| **cursor != Cursor::default())
}

/// A mailbox that was never read is compared completely.
fn depth_after(cursor: Option<&Cursor>) -> Depth {
    match cursor {
        Some(_) => Depth::Changes,
        None => Depth::Everything,
    }
}
