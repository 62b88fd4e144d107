//! Unreadable mailboxes: a message missing from its mailbox may have been moved to one that cannot
//! be read now. Decisions that depend on its absence are deferred, everything else continues
//! (decision 0018). After a day deletions continue, as their bytes are kept.

use crate::engine::context::{Context, wait_for_sight};
use crate::engine::execute::job::Works;
use crate::engine::identify::candidates::Candidates;
use crate::engine::identify::sightings::{Contents, Sightings};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Fate, Scene, Scenes};
use crate::model::{ContentHash, MailboxName, MaildirId, Pair, Side};
use crate::reconcile::action::CopyWhy;
use crate::reconcile::sighting::{Known, Whereabouts};
use crate::reconcile::{Action, Plan};
use crate::store::{LocalStore, Obstacle, RemoteStore, StoreError};
use std::collections::BTreeSet;

/// The time that deletions wait for an unreadable mailbox, seconds.
const PATIENCE: i64 = 24 * 3600;

/// Defers actions on missing messages that may be in an unreadable mailbox.
pub(in crate::engine) fn await_sight(side: Side, plan: &mut Plan, pass: &mut PassState) {
    if !pass.hides(side) {
        return;
    }
    let anew = pass.hides_anew(side);
    for (name, plan) in &mut plan.messages {
        let before = plan.actions.len();
        plan.actions
            .retain(|action| !rests_on_absence(action, side) || !anew && keeps_bytes(action));
        if plan.actions.len() < before {
            pass.note_waiting(name);
        }
    }
}

/// Removes undecided messages, and then mailboxes that are gone on one side: their messages may
/// have moved to an unreadable one, so they are neither deleted nor created.
pub(in crate::engine) fn leave_out(scenes: &mut Scenes, pass: &mut PassState) {
    scenes.retain(|name, _| !pass.is_hidden(name));
    if !pass.deferred.hides_any() {
        return;
    }
    let anew = Side::BOTH.iter().any(|side| pass.hides_anew(*side));
    let goes = |scene: &Scene| anew && scene.fate != Fate::Stays;
    scenes.retain(|name, scene| {
        let gone = goes(scene) || !scene.forgotten.is_empty();
        if gone {
            wait_for_sight(name, pass);
        }
        !gone
    });
}

/// Whether a message of the mailbox may be in an unreadable one: then the mailbox is read again.
pub(in crate::engine) fn may_lie_elsewhere(scene: &Scene, pass: &PassState) -> bool {
    let mut pairs = scene.base.pairs.iter();
    let gone = |pair: &Pair| {
        pass.hides(Side::Local) && scene.local.shows_gone(&pair.file)
            || pass.hides(Side::Remote) && scene.remote.shows_gone(&pair.uid)
    };
    pairs.any(gone)
}

/// Returns contents of pairs in unreadable mailboxes, which unmatched messages may have.
pub(in crate::engine) fn hidden_contents(
    candidates: &Candidates,
    pass: &PassState,
) -> BTreeSet<ContentHash> {
    let pairs = candidates.pairs.values();
    let hidden = pairs.filter(|(name, _)| pass.is_hidden(name));
    hidden.map(|(_, relative)| relative.pair.hash).collect()
}

/// Returns contents that are missing on one side without a known place, as it could not be read
/// completely, and new on the other.
pub(in crate::engine) fn out_of_sight(
    known: &[Known],
    (uids, files): Sightings<'_>,
    pass: &PassState,
) -> Vec<ContentHash> {
    let (there, here) = (pass.hides(Side::Remote), pass.hides(Side::Local));
    if !there && !here {
        return Vec::new();
    }
    let (uids, files) = (Contents::new(uids), Contents::new(files));
    let lost = |one: &&Known| {
        let (new_there, new_here) = (uids.has(&one.pair.hash), files.has(&one.pair.hash));
        there && one.remote == Whereabouts::Gone && !new_there && new_here
            || here && one.local == Whereabouts::Gone && !new_here && new_there
    };
    let lost = known.iter().filter(lost);
    lost.map(|one| one.pair.hash).collect()
}

/// Whether an action depends on absence on this side and would double a message, or cost a transfer
/// if it was moved: deletions on disk do not, as moved messages are restored from quarantine.
pub(in crate::engine) fn rests_on_absence(action: &Action, side: Side) -> bool {
    match action {
        Action::Delete { on, .. } => (*on, side) == (Side::Remote, Side::Local),
        // Deleted on one side, but wanted or moved on the other: it would come back beside the
        // moved one.
        Action::Copy { from, why, .. } => {
            let gone = [CopyWhy::Wanted, CopyWhy::Moved].contains(why);
            gone && from.side() != side
        }
        // A message missing on both sides may have moved on either.
        Action::Forget { .. } => true,
        _ => false,
    }
}

/// Whether all removed bytes are kept: then it does not wait for ever. A moved message is new once
/// its mailbox is readable.
pub(in crate::engine) fn keeps_bytes(action: &Action) -> bool {
    matches!(action, Action::Delete { .. })
}

/// Returns mailboxes that were unreadable for so long that deletions do not wait.
pub(in crate::engine) fn long_unseen<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
) -> Result<BTreeSet<MailboxName>, Ended> {
    let now = (ctx.world.now)();
    let unseen = ctx.state.unseen()?.into_iter();
    let long = unseen.filter(|(_, since)| now - since >= PATIENCE);
    Ok(long.map(|(name, _)| name).collect())
}

/// Returns unreadable new files, each of which is reported: they may be any missing message.
pub(in crate::engine) fn unreadable_files<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    scene: &Scene,
    pass: &mut PassState,
) -> Vec<MaildirId> {
    let name = &scene.base.name;
    let mut all = ctx.local.unreadable(name);
    if all.is_empty() {
        return Vec::new();
    }
    let new: BTreeSet<MaildirId> = scene.new_files().into_iter().collect();
    all.retain(|one| new.contains(&one.id));
    for Obstacle { id, why, .. } in &all {
        let what = format!(
            "{id} cannot be read ({why}), so it is not uploaded, and what vanished here may be \
             it; let mailtide read it, or take it out of the Maildir"
        );
        pass.trouble(Some(name), &StoreError::Mailbox(what));
    }
    all.into_iter().map(|one| one.id).collect()
}

/// Records since when mailboxes are unreadable.
pub(in crate::engine) fn note_unseen<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    pass: &PassState,
) -> Result<(), Ended> {
    let hidden = pass.deferred.unreadable().map(|(name, _)| name);
    let dim = works.iter().filter(|(_, work)| work.dim);
    let names: BTreeSet<MailboxName> = hidden.chain(dim.map(|(name, _)| name)).cloned().collect();
    let known = ctx.state.unseen()?;
    let kept = known
        .into_keys()
        .filter(|name| !ctx.concerns(name))
        .collect();
    let now = (ctx.world.now)();
    Ok(ctx.state.set_unseen(&names, &kept, now)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain_values::{delete, file, pair_ref, uid};
    use crate::model::{AnyId, Flags, Id};

    #[test]
    fn what_is_done_for_an_absence_names_the_side_that_it_is_on() {
        let copy = |from: AnyId, why| Action::Copy {
            from,
            flags: Flags::default(),
            replaces: None,
            why,
        };
        let (there, here) = (
            |why| copy(uid(1).any(), why),
            |why| copy(file(1).any(), why),
        );
        let forget = Action::Forget { pair: pair_ref(1) };
        let sides = |action: &Action| Side::BOTH.map(|side| rests_on_absence(action, side));
        let of = |side: Side| Side::BOTH.map(|one| one == side);
        for why in [CopyWhy::Wanted, CopyWhy::Moved] {
            assert_eq!(sides(&there(why)), of(Side::Local));
            assert_eq!(sides(&here(why)), of(Side::Remote));
        }
        for why in [CopyWhy::New, CopyWhy::Retry, CopyWhy::Restore] {
            assert_eq!(sides(&there(why)), [false, false]);
        }
        assert_eq!(sides(&delete(Side::Remote, 1)), of(Side::Local));
        assert_eq!(sides(&delete(Side::Local, 1)), [false, false]);
        assert_eq!(sides(&forget), [true, true]);
    }
}
