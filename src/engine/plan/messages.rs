//! Plans the messages of a mailbox.

use crate::engine::context::Context;
use crate::engine::execute::job::{Uploads, Work};
use crate::engine::identify::by_content::Found;
use crate::engine::identify::{by_content, relabel};
use crate::engine::pass_state::{PassState, Reason};
use crate::engine::plan::unreadable;
use crate::engine::plan::unreadable::may_lie_elsewhere;
use crate::engine::recovery::unlisted;
use crate::engine::recovery::unlisted::tell_waiting;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::Scene;
use crate::model::{MailboxBase, MailboxKey, MaildirId, Uid};
use crate::reconcile::settled::{Moves, Settled};
use crate::reconcile::unlisted::Unlisted;
use crate::reconcile::{Coverage, Look, MailboxPlan, messages};
use crate::store::{LocalStore, RemoteStore, StoreError};
use std::collections::BTreeSet;

/// Returns the matches of new files, and the accepted uploads.
pub(in crate::engine) async fn find_uploads<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scene: &Scene,
    (settled, moves): (&mut Settled<'_>, &Moves),
    pass: &mut PassState,
) -> Result<(Found, Unlisted, bool), Ended> {
    let mut unlisted = unlisted::unlisted(ctx, scene.base.key, &pass.uploaded)?;
    let known = (moves, &mut unlisted);
    let found = by_content::find_links(ctx, scene, settled, known, pass).await?;
    let mut waits = tell_waiting(scene, &unlisted, pass);
    if unlisted.leaves_open(&scene.remote) && !ctx.options.dry_run {
        ctx.state.look_anew(scene.base.key)?;
        pass.defer(&scene.base.name, Reason::UnlistedUpload);
        waits = true;
    }
    Ok((found, unlisted, waits))
}

/// Plans a mailbox. In debug builds, proves that messages that were not loaded do not matter,
/// where that is cheap.
pub(in crate::engine) fn decide<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    case: &messages::Case<'_>,
) -> Result<MailboxPlan, Ended> {
    let plan = messages::decide(case);
    if cfg!(debug_assertions) && !case.base.others.is_empty() {
        let base = &ctx.state.base(case.base.key)?;
        let whole = messages::decide(&messages::Case { base, ..*case });
        assert_eq!(plan, whole, "{}: what was not read counts", base.name);
    }
    Ok(plan)
}

pub(in crate::engine) async fn plan_messages<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    mut scene: Scene,
    moves: &Moves,
    pass: &mut PassState,
) -> Result<Work, Ended> {
    let mut settled = moves.settled(&scene.base.name);
    let found = find_uploads(ctx, &scene, (&mut settled, moves), pass);
    let (found, unlisted, unshown) = found.await?;
    relabel::read_repeated_letters(ctx, &mut scene, &found.links).await?;
    let mut dim = scene.dim_files();
    let unreadable = unreadable::unreadable_files(ctx, &scene, pass);
    let unread = !unreadable.is_empty();
    dim.extend(unreadable);
    let (copies, waits) = settled.rest(&scene.base.name, moves, (&found.links, &dim));
    let lost = may_lie_elsewhere(&scene, pass);
    tell(&scene, pass);
    let (base, remote, local) = (&scene.base, &scene.remote, &scene.local);
    let case = messages::Case {
        base,
        remote,
        local,
        links: &found.links,
        in_doubt: &found.in_doubt,
        uploads: &found.uploads,
        unlisted: &unlisted,
        settled: &settled,
        policy: &ctx.policy,
        now: (ctx.world.now)(),
    };
    let mut plan = decide(ctx, &case)?;
    plan.actions
        .extend(moves.actions.get(&base.name).into_iter().flatten().cloned());
    tell_plan(&scene, &plan, pass);
    let partial = remote.coverage == Coverage::Partial || local.coverage == Coverage::Partial;
    if partial || waits || found.waits {
        pass.defer(&base.name, Reason::Incomplete);
    }
    let complete = !lost && !partial && !waits && !found.waits && !unread && !unshown;
    let complete = complete && copies.is_empty() && !has_remarks(remote, local);
    plan.actions.extend(copies);
    let looked = (&scene, &settled, &unlisted);
    let uploads = Uploads::of(looked, found.links, found.uploads, &plan);
    let letters = scene.to_note(&plan, &ctx.policy);
    let (base, remote) = (scene.base, scene.remote);
    // Until it was compared completely, new messages are old ones.
    let known = base.key != MailboxKey(0) && ctx.state.full_at(base.key)? > 0;
    Ok(Work {
        letters,
        plan,
        planned: 0,
        known,
        top: top(&base, &remote),
        remote_cursor: remote.cursor,
        local_cursor: scene.local.cursor,
        stores: remote.stores,
        kept: BTreeSet::new(),
        unproven: found.unproven,
        relabels: scene.relabels,
        dim: !dim.is_empty(),
        // If it cannot be read, waiting does not resolve it.
        in_doubt: !found.in_doubt.is_empty() && remote.coverage != Coverage::Partial,
        complete,
        full: scene.full,
        listed: remote.coverage == Coverage::Complete,
        sound: true,
        uploads,
        base,
    })
}

/// Passes the notes of snapshots to the report.
pub(in crate::engine) fn tell(scene: &Scene, pass: &mut PassState) {
    let (name, remote, local) = (&scene.base.name, &scene.remote, &scene.local);
    for remark in remote.remarks.iter().chain(&local.remarks) {
        pass.trouble(Some(name), &StoreError::Mailbox(remark.clone()));
    }
    if let Some(why) = remote.why_frozen {
        pass.note(format!("{name}: {why}"));
    }
}

/// Whether a mailbox is read again: skipped objects are reported by each run, and unreadable ones
/// retried.
pub(in crate::engine) fn has_remarks(remote: &Look<Uid>, local: &Look<MaildirId>) -> bool {
    !remote.remarks.is_empty() || !local.remarks.is_empty() || !remote.broken.is_empty()
}

/// Passes the notes of a plan to the report.
pub(in crate::engine) fn tell_plan(scene: &Scene, plan: &MailboxPlan, pass: &mut PassState) {
    let name = &scene.base.name;
    if scene.quiet {
        pass.compared(name, plan);
    }
    for note in &plan.notes {
        pass.note(format!("{name}: {}: {}", note.id, note.text));
    }
}

/// Returns the highest UID that the mailbox certainly assigned.
pub(in crate::engine) fn top(base: &MailboxBase, remote: &Look<Uid>) -> u32 {
    let known = base.pairs.iter().map(|pair| pair.uid);
    let known = known.chain(base.others.last().copied());
    let all = known.chain(remote.seen.keys().copied()).map(Uid::get);
    let given = remote.next.map(|next| next.saturating_sub(1));
    all.chain(given).max().unwrap_or(0)
}
