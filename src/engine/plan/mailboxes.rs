//! Plans each mailbox without the messages decided for the whole account.

use crate::engine::context::{Context, passed_over};
use crate::engine::execute::job::Works;
use crate::engine::pass_state::PassState;
use crate::engine::plan::messages::plan_messages;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Fate, Scene, Scenes, touched, wait_for_each_other};
use crate::model::{MailboxName, Pair, Side};
use crate::reconcile::settled::Moves;
use crate::reconcile::{MailboxAction, anew};
use crate::store::{LocalStore, RemoteStore};
use std::collections::BTreeMap;

/// Plans each mailbox without the messages decided for the whole account.
pub(in crate::engine) async fn plan<R: RemoteStore, L: LocalStore>(
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

/// Matches a mailbox whose directory is not the recorded one again. Waits while a mailbox on disk
/// is unreadable, as missing messages may have moved there.
pub(in crate::engine) fn rematch(
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

pub(in crate::engine) fn creates(action: &MailboxAction, mailbox: &MailboxName) -> bool {
    matches!(action, MailboxAction::Create { name, .. } if name == mailbox)
}

/// Whether a mailbox that neither side has is forgotten later: it may have another name on each
/// side, and its messages are known by it until they are found.
pub(in crate::engine) fn waits(
    action: &MailboxAction,
    scene: &Scene,
    (moves, pass): (&Moves, &PassState),
) -> bool {
    let mut pairs = scene.base.pairs.iter();
    let moved = pairs.any(|pair| moves.pairs.contains(&pair.id));
    let unseen = || Side::BOTH.iter().any(|side| pass.hides_anew(*side));
    let any = !scene.base.pairs.is_empty();
    matches!(action, MailboxAction::Forget(_)) && (moved || any && unseen())
}

/// What was moved out of a mailbox does not die with it.
pub(in crate::engine) fn without(
    action: MailboxAction,
    scene: &Scene,
    moves: &Moves,
) -> MailboxAction {
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
