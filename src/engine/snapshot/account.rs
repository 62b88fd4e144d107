//! Lists both sides and reads the mailboxes that changed.

use crate::engine::context::{Context, Reach, passed_over, wait_for_sight};
use crate::engine::pass_state::PassState;
use crate::engine::report::{Ended, Event};
use crate::engine::snapshot::listing::{Overview, still};
use crate::engine::snapshot::mailbox::{Fate, Looked, Scenes};
use crate::engine::snapshot::read::note_kept;
use crate::engine::snapshot::{duplicate_listing, listing, read, remote, renames, unchanged};
use crate::model::{MailboxKey, MailboxName, Side};
use crate::reconcile::mailboxes::{self, Step};
use crate::reconcile::renames::without_shells;
use crate::reconcile::{Cursor, Listed, MailboxAction, News, Presence, anew, leaving};
use crate::state::UidDoubt;
use crate::store::{LocalStore, Prefetch, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The result of the listings.
pub(in crate::engine) enum Overlook {
    /// Mailboxes are renamed first, then everything is read again.
    Renames(Vec<MailboxAction>),
    /// These mailboxes have to be read.
    Clear(Box<Overview>, Vec<Step>),
}

/// Reads changed mailboxes: the disk first, then the server, whose requests are announced.
pub(in crate::engine) async fn scenes<R: RemoteStore, L: LocalStore>(
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

pub(in crate::engine) async fn settle_look<R: RemoteStore, L: LocalStore>(
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

/// Returns the listing of the disk.
pub(in crate::engine) async fn listed_here<R: RemoteStore, L: LocalStore>(
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

pub(in crate::engine) async fn overview<R: RemoteStore, L: LocalStore>(
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
pub(in crate::engine) fn restless<R: RemoteStore, L: LocalStore>(
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
