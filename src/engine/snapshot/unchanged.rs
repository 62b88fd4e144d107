//! Mailboxes that are as recorded need no plan, and their snapshots are dropped: a full comparison
//! of a large account never has all of it in memory.

use crate::engine::context::Context;
use crate::engine::report::Ended;
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::Looked;
use crate::engine::snapshot::request::Asked;
use crate::engine::snapshot::{base, edited};
use crate::model::{MailboxBase, MailboxName, Side};
use crate::reconcile::Coverage;
use crate::reconcile::rest::{agrees, agrees_there};
use crate::state::Checkpoint;
use crate::store::{Depth, LocalStore, Place, RemoteStore};

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
        base::read(ctx, known, &unlike.uids())?;
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

/// Returns the checkpoint of a mailbox that was compared message by message and is as recorded
/// on both sides.
pub(in crate::engine) fn is_as_recorded<R: RemoteStore, L: LocalStore>(
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
