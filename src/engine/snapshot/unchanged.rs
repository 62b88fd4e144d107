//! Mailboxes that are as recorded need no plan, and their snapshots are dropped: a full comparison
//! of a large account never has all of it in memory.

use crate::engine::context::Context;
use crate::engine::context::passed_over;
use crate::engine::execute::transfer::breaks::FEW;
use crate::engine::pass_state::PassState;
use crate::engine::phases::Looked;
use crate::engine::report::{Ended, Event};
use crate::engine::snapshot::edited;
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::read;
use crate::engine::snapshot::read::Asked;
use crate::engine::snapshot::uid_proof;
use crate::model::{MailboxBase, MailboxName, Side};
use crate::reconcile::rest::{agrees, agrees_there};
use crate::reconcile::{Coverage, MailboxPlan};
use crate::state::Checkpoint;
use crate::store::{Depth, LocalStore, Place, RemoteStore, StoreError};

/// Compares a mailbox that changed on disk with its record, and loads only the pairs that
/// changed. `None`: it has to be read completely.
pub(in crate::engine) async fn compared_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    overview: &Overview,
) -> Result<Option<Asked>, Ended> {
    let Some(key) = overview.keys.get(name) else {
        return Ok(None);
    };
    let full = overview.due.contains(key);
    let depth = match full {
        true => Depth::Everything,
        false => Depth::Changes,
    };
    let Some(recorded) = ctx.state.recorded(*key)? else {
        return Ok(None);
    };
    let left = overview.cursor(Side::Local, name);
    let look = ctx.local.look_for(name, recorded, left, depth).await?;
    let Some((mut local, unlike)) = look else {
        return Ok(None);
    };
    let place = Place {
        mailbox: name.clone(),
        uid_validity: None,
    };
    if !edited::are_unedited(ctx, (*key, &place), &unlike.touched).await? {
        return Ok(None);
    }
    let agrees = local.is_empty_delta() && unlike.is_empty();
    let mut base = None;
    if !agrees {
        if !overview.is_settled(*key) {
            return Ok(None);
        }
        let known = base.insert(ctx.state.sketch(*key)?);
        read::read(ctx, known, &unlike.uids())?;
        let gone = known.pairs.iter().filter(|p| unlike.gone.contains(&p.uid));
        let gone = gone.map(|pair| pair.file.clone()).collect();
        local.coverage = Coverage::Delta { gone };
    }
    let asked = Asked::of(ctx.state.outline(*key)?, local, overview);
    Ok(Some(Asked {
        base,
        agrees,
        depth,
        full,
        ..asked
    }))
}

/// Whether the only local changes are our own, already recorded, and the server reports no
/// change.
pub(in crate::engine) fn is_only_touched<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    here: &Asked,
    overview: &Overview,
) -> Result<bool, Ended> {
    // A mailbox that was not scanned did not change on disk, so the server requires the read.
    let agrees = |base: &MailboxBase| agrees(base, &here.local);
    let same = here.depth == Depth::Changes
        && here.action.is_none()
        && overview.is_still_there(here.name())
        && !overview.lettered.contains(&here.outline.key)
        && (here.agrees || here.base.as_ref().is_some_and(agrees));
    if same && !ctx.options.dry_run {
        let (key, cursor) = (here.outline.key, here.local.cursor.clone());
        ctx.state
            .leave(&[Checkpoint::on(key, Side::Local, cursor)])?;
    }
    Ok(same)
}

/// Whether only known files changed, and nothing on the server: then their messages are changed
/// there without a prior read. New files need a read after the scan, as their messages may have
/// arrived there just before.
pub(in crate::engine) fn as_listed<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    mut here: Asked,
    overview: &Overview,
) -> Asked {
    let disk = &here.local;
    let plain = here.depth == Depth::Changes
        && here.action.is_none()
        && here.sides_with_news() == [Side::Remote]
        && disk.broken.is_empty()
        && disk.edited.is_empty();
    let still = overview.certain && overview.is_still_there(here.name());
    if let Some(left) = here.cursor.as_ref().filter(|_| plain && still) {
        here.there = ctx.remote.assume_unchanged(&here.outline, left);
    }
    here
}

/// Reads these on the server, too, and excludes those that are as recorded.
pub(in crate::engine) async fn look_at_server<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    asked: Vec<Asked>,
    overview: &Overview,
    pass: &mut PassState,
) -> Result<Vec<Looked>, Ended> {
    let (mut looks, mut left, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    let moved = ctx.config_changed()?;
    // Commands of this run passed this connection, too.
    let (mut broken, mut witness) = (Vec::new(), pass.counts.changes() > 0);
    for here in asked {
        ctx.check_stop()?;
        let (name, sides) = (here.name().clone(), here.sides_with_news());
        ctx.observer.event(Event::Looking(&name));
        let settled = overview.is_settled(here.outline.key);
        // A change without a prior read is verified when it is made.
        let looked_at = here.there.is_none();
        let looked = read::look_there(ctx, here, settled).await;
        let looked = match looked {
            Err(Ended::Store(error @ StoreError::Retry(_)))
                if broken.len() < FEW && ctx.remote.connect().await =>
            {
                broken.push((name, sides, error));
                continue;
            }
            looked => looked,
        };
        witness |= looked_at && looked.is_ok();
        let Some(look) = passed_over(&name, looked, sides, pass)? else {
            continue;
        };
        if looked_at {
            checks.extend(uid_proof::check_of(ctx, &look.1, moved)?);
        }
        let Some(as_recorded) = is_as_recorded(ctx, &look, overview) else {
            looks.push(look);
            continue;
        };
        left.push(as_recorded);
        if overview.is_quiet(&name) {
            pass.compared(&name, &MailboxPlan::default());
        }
    }
    for (name, sides, error) in broken {
        // If no other mailbox could be read, the connection failed.
        let what = format!("the connection breaks when it is looked into: {error}");
        let error = match witness {
            true => StoreError::Mailbox(what),
            false => error,
        };
        let _passed: Option<()> = passed_over(&name, Err(error), sides, pass)?;
    }
    let proven = uid_proof::prove(ctx, checks, &mut looks, pass).await?;
    left.retain(|one: &Checkpoint| !proven.untold.contains(&one.key));
    looks.retain(|(_, scene)| !proven.untold.contains(&scene.base.key));
    for (name, key) in proven.others {
        left.retain(|one: &Checkpoint| one.key != key);
        looks.retain(|(_, scene)| scene.base.key != key);
        let looked = uid_proof::look_renumbered(ctx, &name, overview).await;
        let scene = passed_over(&name, looked, &Side::BOTH, pass)?;
        looks.extend(scene.map(|scene| (None, scene)));
    }
    if !ctx.options.dry_run {
        ctx.state.leave(&left)?;
    }
    Ok(looks)
}

/// Returns the checkpoint of a mailbox that was compared message by message and is as recorded
/// on both sides.
fn is_as_recorded<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (action, scene): &Looked,
    overview: &Overview,
) -> Option<Checkpoint> {
    let base = &scene.base;
    let same = scene.full
        && action.is_none()
        && !overview.others.contains_key(&base.name)
        && !overview.restless.contains(&base.key)
        && !overview.lettered.contains(&base.key)
        && agrees(base, &scene.local)
        && agrees_there(base, &scene.remote);
    if !same {
        return None;
    }
    ctx.local.forget(&base.name);
    let cursors = [
        (Side::Remote, scene.remote.cursor.clone()),
        (Side::Local, scene.local.cursor.clone()),
    ];
    Some(Checkpoint {
        key: base.key,
        cursors: cursors.into(),
        full_at: Some(ctx.time_of_compare()),
    })
}
