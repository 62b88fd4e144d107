//! Takes snapshots of one mailbox on both sides, as deep as needed.

use crate::engine::context::Context;
use crate::engine::pass_state::PassState;
use crate::engine::recovery::unlisted;
use crate::engine::report::Ended;
use crate::engine::snapshot::base::{is_few, known_base, new_base, read};
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::{Fate, Looked, Scene};
use crate::engine::snapshot::request::Asked;
use crate::engine::snapshot::{edited, uid_proof, uidvalidity, unchanged};
use crate::model::{Aside, Flags, MailboxBase, MailboxName, Side, Uid};
use crate::reconcile::mailbox_action::Forget;
use crate::reconcile::mailboxes::{self, Missing, Step};
use crate::reconcile::{Direction, Look, MailboxAction};
use crate::store::{Ask, Depth, LocalStore, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Reads a mailbox on disk. `None`: this step needs another order.
pub(in crate::engine) async fn look_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    step: &Step,
    overview: &Overview,
) -> Result<Option<Asked>, Ended> {
    let (action, base) = match step {
        Step::Live(name)
        | Step::Forget(name)
        | Step::Leave(name)
        | Step::Keep(_, name)
        | Step::Unseen(name, ..) => {
            if !overview.others.contains_key(name) {
                if let Some(asked) = unchanged_here(ctx, name, overview).await? {
                    return Ok(Some(asked));
                }
                if let Some(asked) = unchanged::compared_here(ctx, name, overview).await? {
                    return Ok(Some(asked));
                }
            }
            (None, known_base(ctx, name, overview)?)
        }
        Step::Adopt(name) => {
            let action = MailboxAction::Adopt(name.clone());
            (Some(action), new_base(ctx, name))
        }
        Step::Create(Side::Local, name) => {
            let (on, name, forget) = (Side::Local, name.clone(), Forget::Nothing);
            let base = new_base(ctx, &name);
            let asked = Asked::of(base.outline(), Look::empty(), overview);
            return Ok(Some(Asked {
                action: Some(MailboxAction::Create { on, name, forget }),
                cursor: None,
                depth: Depth::Everything,
                base: Some(base),
                ..asked
            }));
        }
        Step::Create(Side::Remote, _) | Step::Recreate(..) | Step::Missing(..) => {
            return Ok(None);
        }
    };
    let known = overview.keys.contains_key(&base.name);
    let other = overview.others.contains_key(&base.name);
    let full = !known || other || overview.due.contains(&base.key);
    let depth = if full {
        Depth::Everything
    } else {
        Depth::Changes
    };
    let restless = !overview.certain && overview.restless.contains(&base.key);
    let cursor = overview.cursor(Side::Local, &base.name);
    let cursor = cursor.filter(|_| !restless);
    let ask = Ask {
        base: &base,
        cursor,
        depth,
    };
    let local = edited::look_on_disk(ctx, &ask).await?;
    let asked = Asked::of(base.outline(), local, overview);
    Ok(Some(Asked {
        action,
        base: Some(base),
        depth,
        full,
        ..asked
    }))
}

/// A mailbox that did not change on disk. Its base is loaded while the server answers.
async fn unchanged_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    overview: &Overview,
) -> Result<Option<Asked>, Ended> {
    let left = overview.cursor(Side::Local, name);
    let (Some(key), Some(left)) = (overview.keys.get(name), left) else {
        return Ok(None);
    };
    // The file of an unresolved upload is looked for whatever the timestamps are.
    let restless = !overview.certain && overview.restless.contains(key);
    // Where nothing follows to the server, files of pairs may be gone for long.
    let restless = restless || !ctx.policy.flows_to(Side::Remote);
    if restless || !overview.still_here.contains(name) || overview.due.contains(key) {
        return Ok(None);
    }
    let Some(local) = ctx.local.unchanged(name, left).await? else {
        return Ok(None);
    };
    let outline = ctx.state.outline(*key)?;
    Ok(Some(Asked::of(outline, local, overview)))
}

/// Reads a mailbox on the server, after the disk: so a message that we are copying is never
/// missing on both.
///
/// Of a stable mailbox without a change on disk only changed pairs are loaded: one new message
/// in a mailbox of 200,000 costs little.
pub(in crate::engine) async fn look_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    asked: Asked,
    settled: bool,
) -> Result<Looked, Ended> {
    let Asked {
        action,
        outline,
        base,
        local,
        agrees: _,
        there,
        cursor,
        depth,
        full,
        doubted,
    } = asked;
    let few = settled && local.is_empty_delta();
    let mut base = match base {
        Some(base) => base,
        None if few => ctx.state.sketch(outline.key)?,
        None => ctx.state.base(outline.key)?,
    };
    debug_assert_eq!(base.outline(), outline);
    // With direction push the server has flags of its own, which the base does not follow and
    // an incremental snapshot omits: they decide about a message deleted on disk.
    let mut gone = base.pairs.iter().map(|pair| local.shows_gone(&pair.file));
    let (there, depth) = match ctx.policy.direction == Direction::Push && gone.any(|gone| gone) {
        true => (None, Depth::Everything),
        false => (there, depth),
    };
    let ask = Ask {
        base: &base,
        cursor: cursor.as_ref(),
        depth,
    };
    let remote = match there {
        Some(there) => there,
        None => {
            let look = look_twice(ctx, &ask).await?;
            let look = unlisted::with_uploads(ctx, &ask, look).await?;
            uid_proof::checked(ctx, &base, look, doubted).await?
        }
    };
    read_touched(ctx, &mut base, &remote)?;
    let scene = Scene {
        base,
        remote,
        local,
        full,
        quiet: false,
        fate: Fate::Stays,
        forgotten: Vec::new(),
        relabels: BTreeMap::new(),
        lettered: Default::default(),
    };
    Ok((action, scene))
}

/// Reads a mailbox on the server; after a broken connection once more without ids.
async fn look_twice<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    ask: &Ask<'_>,
) -> Result<Look<Uid>, StoreError> {
    let looked = ctx.remote.look(ask).await;
    if !matches!(looked, Err(StoreError::Retry(_))) || !ctx.remote.connect().await {
        return looked;
    }
    let ask = Ask {
        base: ask.base,
        cursor: None,
        depth: Depth::Everything,
    };
    ctx.remote.look(&ask).await
}

/// Loads the changed pairs that are not loaded yet.
fn read_touched<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    base: &mut MailboxBase,
    remote: &Look<Uid>,
) -> Result<(), Ended> {
    if base.others.is_empty() {
        return Ok(());
    }
    let others = base.others.iter().copied();
    let mut touched: BTreeSet<Uid> = others.filter(|uid| !remote.leaves_as_is(uid)).collect();
    let same = base.uid_validity == remote.uid_validity && !remote.renumbered;
    if same && !is_few(&touched, base) {
        // All flags came, and most are as recorded.
        let like = |uid: &Uid, flags: &Flags| remote.shows_as(uid, flags);
        touched = ctx.state.pairs_unlike(base.key, &touched, like)?;
    }
    if same {
        return read(ctx, base, &touched);
    }
    *base = ctx.state.base(base.key)?;
    Ok(())
}

/// Reads a mailbox that is not on both sides. `None`: it stays unchanged.
pub(in crate::engine) async fn look_into<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    step: &Step,
    overview: &Overview,
    pass: &mut PassState,
) -> Result<Option<Looked>, Ended> {
    match step {
        Step::Recreate(on, name) => recreate(ctx, *on, name, overview).await.map(Some),
        Step::Missing(from, name) => missing(ctx, *from, name, overview, pass).await,
        Step::Forget(name) => {
            let base = known_base(ctx, name, overview)?;
            let action = MailboxAction::Forget(name.clone());
            Ok(Some((None, Scene::of_gone(base, action))))
        }
        Step::Live(name)
        | Step::Leave(name)
        | Step::Unseen(name, ..)
        | Step::Keep(_, name)
        | Step::Adopt(name)
        | Step::Create(_, name) => {
            let on = Side::Remote;
            let scene = look_across(ctx, on, new_base(ctx, name)).await?;
            let (name, forget) = (name.clone(), Forget::Nothing);
            Ok(Some((
                Some(MailboxAction::Create { on, name, forget }),
                scene,
            )))
        }
    }
}

/// A mailbox that comes back on one side. One that the policy keeps on the other side stays
/// there under its name.
async fn recreate<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    on: Side,
    name: &MailboxName,
    overview: &Overview,
) -> Result<Looked, Ended> {
    let known = known_base(ctx, name, overview)?;
    let fresh = MailboxBase {
        key: known.key,
        tag: known.tag,
        ..new_base(ctx, name)
    };
    let mut scene = look_across(ctx, on, fresh).await?;
    let numbered = on == Side::Remote || known.uid_validity == scene.remote.uid_validity;
    let stays = |aside: &Aside| aside.id.side() == on.other() && aside.outlives_mailbox();
    let aside = known.aside.into_iter().filter(stays);
    scene.base.aside = aside.filter(|_| numbered).collect();
    scene.forgotten = if numbered { known.pairs } else { Vec::new() };
    let (name, forget) = (name.clone(), Forget::Messages);
    Ok((Some(MailboxAction::Create { on, name, forget }), scene))
}

/// F4 to F7: gone on one side; checks for messages on the other that are not pairs.
async fn missing<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    from: Side,
    name: &MailboxName,
    overview: &Overview,
    pass: &mut PassState,
) -> Result<Option<Looked>, Ended> {
    let absent = match from {
        Side::Remote => ctx.remote.confirm_absent(name).await?,
        Side::Local => ctx.local.confirm_absent(name).await?,
    };
    if !absent {
        let what = format!("{name} was not listed on {from}, but may be there; left alone");
        return Err(StoreError::Mailbox(what).into());
    }
    let base = known_base(ctx, name, overview)?;
    let ask = Ask {
        base: &base,
        cursor: None,
        depth: Depth::Everything,
    };
    let (remote, local) = match from {
        Side::Local => (ctx.remote.look(&ask).await?, Look::empty()),
        Side::Remote => (Look::empty(), edited::look_on_disk(ctx, &ask).await?),
    };
    let missing = match from {
        Side::Local => mailboxes::gone_from_disk(&ctx.policy, &base, &remote),
        Side::Remote => mailboxes::gone_from_server(&ctx.policy, &base, &local),
    };
    // An upload that was never listed was not deleted with it.
    let unlisted = from == Side::Remote && ctx.state.unlisted()?.contains(&base.key);
    let missing = match missing {
        Missing::Goes(_) if unlisted => Missing::Returns,
        missing => missing,
    };
    let action = match missing {
        Missing::Goes(action) => action,
        Missing::Returns => return recreate(ctx, from, name, overview).await.map(Some),
        Missing::Stays => {
            note_kept(name, from, pass);
            return Ok(None);
        }
    };
    let scene = Scene {
        remote,
        local,
        ..Scene::of_gone(base, action)
    };
    Ok(Some((None, scene)))
}

/// A mailbox to create on one side: the plan assumes an empty one.
async fn look_across<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    on: Side,
    base: MailboxBase,
) -> Result<Scene, Ended> {
    let ask = Ask {
        base: &base,
        cursor: None,
        depth: Depth::Everything,
    };
    let (remote, local) = match on {
        Side::Remote => (Look::empty(), ctx.local.look(&ask).await?),
        Side::Local => (ctx.remote.look(&ask).await?, Look::empty()),
    };
    let (full, fate) = (false, Fate::Stays);
    let mut scene = Scene {
        base,
        remote,
        local,
        full,
        quiet: false,
        fate,
        forgotten: Vec::new(),
        relabels: BTreeMap::new(),
        lettered: Default::default(),
    };
    scene.base.uid_validity = scene.remote.uid_validity;
    Ok(scene)
}

/// Records the UIDVALIDITY of a snapshot; after a change all UIDs are matched again.
pub(in crate::engine) async fn settle_epoch<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scene: &mut Scene,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let Scene {
        base,
        remote,
        local,
        ..
    } = scene;
    if remote.uid_validity.is_none() && base.uid_validity.is_none() && !remote.seen.is_empty() {
        let what = format!("{}: the server gave no UIDVALIDITY", base.name);
        return Err(StoreError::Mailbox(what).into());
    }
    let moved = base.uid_validity.is_some()
        && remote.uid_validity.is_some()
        && base.uid_validity != remote.uid_validity;
    if moved || remote.renumbered {
        uidvalidity::renumber(ctx, base, remote, local, pass).await?;
    } else if base.uid_validity.is_none() {
        base.uid_validity = remote.uid_validity;
    }
    Ok(())
}

/// Notes that a mailbox stays although it is gone on the other side.
pub(in crate::engine) fn note_kept(name: &MailboxName, gone_from: Side, pass: &mut PassState) {
    let on = gone_from.other();
    pass.note(format!(
        "{name} is gone on {gone_from}; on {on} it stays, with its mail"
    ));
}
