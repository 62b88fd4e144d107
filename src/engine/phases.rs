//! Takes snapshots and plans. Changes neither side; changes the state only after a UIDVALIDITY
//! change.

use crate::engine::context::{Context, Reach, passed_over, wait_for_sight};
use crate::engine::execute::job::{Survey, Uploads, Work, Works};
use crate::engine::identify::by_content::Found;
use crate::engine::identify::{by_content, letters, moves, relabel};
use crate::engine::pass_state::{PassState, Reason};
use crate::engine::plan::unreadable;
use crate::engine::plan::unreadable::may_lie_elsewhere;
use crate::engine::recovery::unlisted::tell_waiting;
use crate::engine::recovery::{moved_files, unlisted};
use crate::engine::report::{Ended, Event};
use crate::engine::snapshot::listing::{Overview, still};
use crate::engine::snapshot::mailbox::{Fate, Looked, Scene, Scenes, touched, wait_for_each_other};
use crate::engine::snapshot::read::note_kept;
use crate::engine::snapshot::{duplicate_listing, listing, read, remote, renames, unchanged};
use crate::model::{MailboxBase, MailboxKey, MailboxName, MaildirId, Pair, Side, Uid};
use crate::reconcile::mailboxes::{self, Step};
use crate::reconcile::renames::without_shells;
use crate::reconcile::settled::{Moves, Settled};
use crate::reconcile::unlisted::Unlisted;
use crate::reconcile::{
    Coverage, Cursor, Listed, Look, MailboxAction, MailboxPlan, News, Presence, anew, leaving,
    messages,
};
use crate::state::UidDoubt;
use crate::store::{LocalStore, Prefetch, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The result of the listings.
enum Overlook {
    /// Mailboxes are renamed first, then everything is read again.
    Renames(Vec<MailboxAction>),
    /// These mailboxes have to be read.
    Clear(Box<Overview>, Vec<Step>),
}

/// Lists both sides, reads changed mailboxes, and plans.
pub(super) async fn survey<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<Survey, Ended> {
    let (mut overview, steps) = match overview(ctx, pass).await? {
        Overlook::Clear(overview, steps) => (overview, steps),
        Overlook::Renames(actions) => return Ok(Survey::first(actions)),
    };
    pass.counts.mailboxes = steps.iter().filter(|step| !step.is_passive()).count();
    let mut actions = Vec::new();
    let mut scenes = scenes(ctx, steps, &mut overview, &mut actions, pass).await?;
    let Some(astray) = moved_files::find_astray(ctx, &scenes, pass).await? else {
        return Ok(Survey::first(Vec::new()));
    };
    let noted = letters::read_noted_letters(ctx, &mut scenes, pass).await?;
    let known = (astray, noted);
    let moves = moves::find_moves(ctx, (&mut scenes, known), &overview, pass);
    let moves = moves.await?;
    let found = (&moves, &overview.others);
    let (mailboxes, works) = plan(ctx, scenes, found, actions, pass).await?;
    Ok(Survey {
        mailboxes,
        works,
        listed: overview.listed,
        whole: true,
    })
}

/// Reads changed mailboxes: the disk first, then the server, whose requests are announced.
async fn scenes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    steps: Vec<Step>,
    overview: &mut Overview,
    actions: &mut Vec<MailboxAction>,
    pass: &mut PassState,
) -> Result<Scenes, Ended> {
    let (mut asked, mut rest, mut scenes) = (Vec::new(), Vec::new(), Scenes::new());
    for step in steps {
        ctx.check_stop()?;
        match &step {
            Step::Leave(_) => continue,
            Step::Unseen(name, why, sides) => {
                pass.trouble(Some(name), &StoreError::Mailbox(why.clone()));
                pass.hide(name, sides);
                continue;
            }
            Step::Keep(from, name) => {
                note_kept(name, *from, pass);
                continue;
            }
            Step::Forget(_) => {
                rest.push(step);
                continue;
            }
            _ if !overview.needs_look(&step) => continue,
            _ => {}
        }
        let looked = read::look_here(ctx, &step, overview).await;
        match passed_over(step.name(), looked, &Side::BOTH, pass)? {
            Some(Some(here)) if unchanged::is_only_touched(ctx, &here, overview)? => {
                ctx.local.forget(here.name());
                overview.quiet.insert(here.name().clone());
            }
            Some(Some(here)) => asked.push(unchanged::as_listed(ctx, here, overview)),
            Some(None) => rest.push(step),
            None => {}
        }
    }
    let open = asked.iter().filter(|here| here.there.is_none());
    let next: Vec<Prefetch<'_>> = open.map(|here| here.next()).collect();
    ctx.remote.prefetch(&next).await?;
    let mut looks = remote::look_at_server(ctx, asked, overview, pass).await?;
    for step in rest {
        ctx.check_stop()?;
        let waits = match &step {
            Step::Missing(from, _) => pass.hides_anew(*from),
            Step::Recreate(from, _) => pass.hides(*from),
            _ => false,
        };
        if waits {
            wait_for_sight(step.name(), pass);
            continue;
        }
        ctx.observer.event(Event::Looking(step.name()));
        let looked = read::look_into(ctx, &step, overview, pass).await;
        looks.extend(passed_over(step.name(), looked, &Side::BOTH, pass)?.flatten());
    }
    for look in looks {
        if let Some((action, scene)) = settle_look(ctx, look, overview, pass).await? {
            actions.extend(action);
            scenes.insert(scene.base.name.clone(), scene);
        }
    }
    Ok(scenes)
}

async fn settle_look<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (action, mut scene): Looked,
    overview: &Overview,
    pass: &mut PassState,
) -> Result<Option<Looked>, Ended> {
    let settled = match scene.fate {
        Fate::Stays => read::settle_epoch(ctx, &mut scene, pass).await,
        Fate::Goes(_) => Ok(()),
    };
    let name = &scene.base.name;
    let settled = passed_over(name, settled, &Side::BOTH, pass)?;
    scene.quiet = scene.full && overview.is_quiet(name);
    if settled.is_some() {
        let refused = ctx.state.refused_keywords(scene.base.key)?;
        scene.remote.sees = scene.remote.sees.without(&refused);
        scene.remote.stores = scene.remote.stores.without(&refused);
    }
    Ok(settled.map(|()| (action, scene)))
}

/// Plans each mailbox without the messages decided for the whole account.
async fn plan<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: Scenes,
    (moves, others): (&Moves, &BTreeMap<MailboxName, String>),
    mut actions: Vec<MailboxAction>,
    pass: &mut PassState,
) -> Result<(Vec<MailboxAction>, Works), Ended> {
    let touched = touched(moves, &scenes);
    let crosswise = wait_for_each_other(&scenes, moves);
    let mut works = Works::new();
    for (name, mut scene) in scenes {
        if let Fate::Goes(action) = scene.fate.clone() {
            if !waits(&action, &scene, (moves, pass)) {
                actions.push(without(action, &scene, moves));
            }
            continue;
        }
        let kept = scene.moved_out(moves);
        if !kept.is_empty() {
            // The server's mailbox is the same, and its UIDs are valid.
            if crosswise && scene.is_gone_here(&actions) {
                scene.leave_out(&kept);
            } else {
                // First messages that were moved out of it, by the base; then it is created
                // again.
                actions.retain(|action| !creates(action, &name));
                continue;
            }
        }
        let rematch = others
            .get(&name)
            .and_then(|identity| rematch(&mut scene, identity, moves, pass));
        let planned = plan_messages(ctx, scene, moves, pass).await;
        if let Some(mut work) = passed_over(&name, planned, &Side::BOTH, pass)? {
            // Messages that come to a restored mailbox are old.
            work.known &= rematch.is_none();
            actions.extend(rematch);
            work.complete &= !touched.contains(&name);
            work.kept = kept;
            works.insert(name, work);
        }
    }
    Ok((actions, works))
}

/// Returns the listing of the disk.
async fn listed_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    left: &BTreeMap<MailboxName, Cursor>,
) -> Result<Vec<Listed>, Ended> {
    let local = ctx.local.list(left).await?;
    let vacant = |one: &Listed| matches!(one.presence, Presence::Vacant(_));
    match local.iter().any(vacant) {
        true => Ok(without_shells(&ctx.state.homes()?, local)),
        false => Ok(local),
    }
}

async fn overview<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<Overlook, Ended> {
    let cursors = [
        ctx.state.cursors(Side::Remote)?,
        ctx.state.cursors(Side::Local)?,
    ];
    let [left_remote, left_local] = &cursors;
    let keys = ctx.state.mailboxes()?;
    let due = listing::due(ctx, &keys, pass)?;
    let local = listed_here(ctx, left_local).await?;
    listing::foresee(ctx, &local, &keys, &due);
    let remote = renames::listed_there(ctx, left_remote).await?;
    let mut returning = leaving::returning(&remote, &pass.not_renamed, &ctx.policy);
    returning.retain(|action| ctx.concerns(action.name()));
    if !returning.is_empty() {
        return Ok(Overlook::Renames(returning));
    }
    let (renames, untold) = renames::find_renames(ctx, (&remote, &local), pass).await?;
    if !renames.is_empty() {
        return Ok(Overlook::Renames(renames));
    }
    let base: BTreeSet<_> = keys.keys().cloned().collect();
    let case = mailboxes::Case {
        base: &base,
        remote: &remote,
        local: &local,
        policy: &ctx.policy,
    };
    let mut steps = mailboxes::decide(&case).map_err(|halt| StoreError::Guard(halt.to_string()))?;
    let active = |step: &&Step| !step.is_passive();
    let kept: BTreeSet<_> = steps.iter().filter(active).map(Step::name).collect();
    let synced = remote.iter().filter(|listed| kept.contains(&listed.name));
    let aliases = duplicate_listing::aliases(ctx, synced, &base, pass).await?;
    steps.retain(|step| ctx.concerns(step.name()));
    for step in &mut steps {
        if aliases.contains(step.name()) || untold.contains(step.name()) {
            *step = Step::Leave(step.name().clone());
        }
    }
    let (here, there) = (still(&local), still(&remote));
    let left = match &ctx.options.reach {
        Reach::Woken(named) => remote
            .iter()
            .filter(|l| l.news == News::Untold && !named.has(&l.name) && here.contains(&l.name))
            .map(|l| l.name.clone())
            .collect(),
        Reach::Due | Reach::Everything(_) => BTreeSet::new(),
    };
    let doubted = ctx.state.doubted()?;
    let (restless, unlisted) = restless(ctx, &doubted)?;
    let overview = Overview {
        keys,
        cursors,
        quiet: there.intersection(&here).cloned().collect(),
        still: there,
        still_here: here,
        left,
        restless,
        unlisted,
        doubted,
        lettered: ctx.state.lettered_mailboxes()?,
        due,
        others: anew::others(&ctx.state.homes()?, &local),
        certain: ctx.state.uploads_in_doubt()?.is_empty(),
        listed: remote,
    };
    Ok(Overlook::Clear(Box::new(overview), steps))
}

/// Returns mailboxes that need a read without a reported change; and those among them that only
/// wait for listed uploads.
fn restless<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    doubted: &BTreeMap<MailboxKey, UidDoubt>,
) -> Result<(BTreeSet<MailboxKey>, BTreeSet<MailboxKey>), Ended> {
    let mut restless = ctx.state.restless((ctx.world.now)())?;
    restless.extend(doubted.keys());
    let mut unlisted = ctx.state.unlisted()?;
    unlisted.retain(|key| !restless.contains(key));
    restless.extend(&unlisted);
    Ok((restless, unlisted))
}

/// Returns the matches of new files, and the accepted uploads.
async fn find_uploads<R: RemoteStore, L: LocalStore>(
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
fn decide<R: RemoteStore, L: LocalStore>(
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

async fn plan_messages<R: RemoteStore, L: LocalStore>(
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
fn tell(scene: &Scene, pass: &mut PassState) {
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
fn has_remarks(remote: &Look<Uid>, local: &Look<MaildirId>) -> bool {
    !remote.remarks.is_empty() || !local.remarks.is_empty() || !remote.broken.is_empty()
}

/// Passes the notes of a plan to the report.
fn tell_plan(scene: &Scene, plan: &MailboxPlan, pass: &mut PassState) {
    let name = &scene.base.name;
    if scene.quiet {
        pass.compared(name, plan);
    }
    for note in &plan.notes {
        pass.note(format!("{name}: {}: {}", note.id, note.text));
    }
}

/// Returns the highest UID that the mailbox certainly assigned.
fn top(base: &MailboxBase, remote: &Look<Uid>) -> u32 {
    let known = base.pairs.iter().map(|pair| pair.uid);
    let known = known.chain(base.others.last().copied());
    let all = known.chain(remote.seen.keys().copied()).map(Uid::get);
    let given = remote.next.map(|next| next.saturating_sub(1));
    all.chain(given).max().unwrap_or(0)
}

/// Matches a mailbox whose directory is not the recorded one again. Waits while a mailbox on disk
/// is unreadable, as missing messages may have moved there.
fn rematch(
    scene: &mut Scene,
    identity: &str,
    moves: &Moves,
    pass: &PassState,
) -> Option<MailboxAction> {
    if pass.hides(Side::Local) {
        return None;
    }
    let looks = (&scene.remote, &scene.local);
    let rematch = anew::match_anew(&mut scene.base, looks, &moves.pairs);
    Some(MailboxAction::Rematch {
        name: scene.base.name.clone(),
        rematch,
        identity: identity.to_owned(),
    })
}

fn creates(action: &MailboxAction, mailbox: &MailboxName) -> bool {
    matches!(action, MailboxAction::Create { name, .. } if name == mailbox)
}

/// Whether a mailbox that neither side has is forgotten later: it may have another name on each
/// side, and its messages are known by it until they are found.
fn waits(action: &MailboxAction, scene: &Scene, (moves, pass): (&Moves, &PassState)) -> bool {
    let mut pairs = scene.base.pairs.iter();
    let moved = pairs.any(|pair| moves.pairs.contains(&pair.id));
    let unseen = || Side::BOTH.iter().any(|side| pass.hides_anew(*side));
    let any = !scene.base.pairs.is_empty();
    matches!(action, MailboxAction::Forget(_)) && (moved || any && unseen())
}

/// What was moved out of a mailbox does not die with it.
fn without(action: MailboxAction, scene: &Scene, moves: &Moves) -> MailboxAction {
    let MailboxAction::Delete { on, name, messages } = action else {
        return action;
    };
    let lies_there = |pair: &&Pair| match on {
        Side::Remote => scene.remote.seen.contains_key(&pair.uid),
        Side::Local => scene.local.seen.contains_key(&pair.file),
    };
    let moved = scene
        .base
        .pairs
        .iter()
        .filter(|p| moves.pairs.contains(&p.id));
    let messages = messages - moved.filter(lies_there).count();
    MailboxAction::Delete { on, name, messages }
}

#[cfg(test)]
#[path = "phases_tests.rs"]
mod tests;
