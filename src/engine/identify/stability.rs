//! Detects changes during the snapshots of mailboxes, which are taken one after another. A message
//! that moved between two snapshots appears in both and looks like a copy. So the original is
//! verified once more; if it is gone, the decision is deferred to the next pass.

use crate::engine::context::{Context, wait_for_sight};
use crate::engine::execute::job::{Work, Works};
use crate::engine::identify::evidence::kin_there;
use crate::engine::identify::excerpt::passable;
use crate::engine::identify::sightings::{Contents, Sightings};
use crate::engine::pass_state::{PassState, Reason};
use crate::engine::plan::unreadable::{keeps_bytes, out_of_sight, rests_on_absence};
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Fate, Scene, Scenes};
use crate::model::{ContentHash, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::settled::Moves;
use crate::reconcile::sighting::{Known, Sighting, Whereabouts};
use crate::reconcile::{Action, Cursor, Listed, MailboxAction, News, Plan, Presence};
use crate::store::{LocalStore, Place, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// Most passes that wait for a disk that keeps changing.
const PATIENCE: usize = 3;

/// Removes irreversible actions on a side while the other has changed since its snapshot: a
/// vanished message may have arrived in a mailbox that was read before. The next pass sees its
/// place.
pub(in crate::engine) async fn await_rest<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    plan: &mut Plan,
    works: &Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let patient = !is_out_of_patience(pass);
    // It may have got another name on this side.
    let forgets = |action: &MailboxAction| matches!(action, MailboxAction::Forget(_));
    for side in [Side::Local, Side::Remote] {
        let rests = |action: &Action| rests_on_absence(action, side);
        let mut plans = plan.messages.iter();
        let any = plans.any(|(_, plan)| plan.actions.iter().any(rests))
            || plan.mailboxes.iter().any(forgets);
        // Whatever is gone may be what cannot be looked at, however long.
        let here = side == Side::Local;
        let dim =
            |name: &MailboxName, work: &Work| here && work.dim && !pass.long_unseen.contains(name);
        let anew = works.iter().any(|(name, work)| dim(name, work));
        let dim = here && works.values().any(|work| work.dim);
        let left = works.iter().map(|(name, work)| (name, work.cursor(side)));
        let waits = any && (anew || patient && moved_on(ctx, side, left, pass).await?);
        if !waits && (!any || !dim) {
            continue;
        }
        pass.unstable_passes += 1;
        let kept = plan.mailboxes.extract_if(.., |action| forgets(action));
        for action in kept {
            pass.defer(action.name(), Reason::Unstable);
        }
        for (name, plan) in &mut plan.messages {
            let before = plan.actions.len();
            plan.actions
                .retain(|action| !rests(action) || !waits && keeps_bytes(action));
            if plan.actions.len() < before {
                pass.defer(name, Reason::Unstable);
            }
        }
    }
    Ok(())
}

/// Keeps the intents of uploads whose files vanished after the scan, and skips downloads of the
/// same content: the files may have moved into a mailbox that was scanned earlier. The next
/// pass, or the next run, sees their place.
pub(in crate::engine) async fn await_files<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    lost: &[MailboxName],
    scenes: &Scenes,
    pass: &mut PassState,
) -> Result<bool, Ended> {
    if lost.is_empty() || ctx.options.dry_run || is_out_of_patience(pass) {
        return Ok(false);
    }
    let looked = scenes.iter().filter(|(_, s)| s.fate == Fate::Stays);
    let left = looked.map(|(name, scene)| (name, &scene.local.cursor));
    if !moved_on(ctx, Side::Local, left, pass).await? {
        return Ok(false);
    }
    let waits = !pass.deferred.hides_any();
    if waits {
        pass.unstable_passes += 1;
        pass.defer_all(lost, Reason::Unstable);
    } else {
        lost.iter().for_each(|name| wait_for_sight(name, pass));
    }
    Ok(waits)
}

/// Whether a side changed since its snapshot. A side without change information is read twice.
async fn moved_on<'a, R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    side: Side,
    looked: impl Iterator<Item = (&'a MailboxName, &'a Cursor)>,
    pass: &PassState,
) -> Result<bool, Ended> {
    let mut left = ctx.state.cursors(side)?;
    for (name, cursor) in looked {
        if *cursor != Cursor::default() {
            left.insert(name.clone(), cursor.clone());
        }
    }
    let listed = match side {
        Side::Remote => ctx.remote.list(&left).await?,
        Side::Local => ctx.local.list(&left).await?,
    };
    let twice = side == Side::Remote && pass.unstable_passes == 0;
    let moved = |l: &Listed| match l.news {
        _ if l.presence != Presence::Mailbox => false,
        News::None => false,
        News::Some => true,
        News::Untold => twice,
    };
    Ok(listed.iter().any(moved))
}

/// Returns the contents of originals that no longer exist. An original that was gone before
/// the last look at its mailbox becomes gone.
pub(in crate::engine) async fn in_flux<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &Scenes,
    known: &mut [Known],
    (uids, files): Sightings<'_>,
    pass: &mut PassState,
) -> Result<BTreeSet<ContentHash>, Ended> {
    let place = |name: &MailboxName| match scenes.get(name) {
        Some(scene) => scene.place(),
        None => Place {
            mailbox: name.clone(),
            uid_validity: None,
        },
    };
    let mut flux = unclear(scenes, known, (uids, files), pass);
    flux.extend(out_of_sight(known, (uids, files), pass));
    let mut there: BTreeMap<&MailboxName, BTreeMap<Uid, ContentHash>> = BTreeMap::new();
    let (new_there, new_here) = (Contents::new(uids), Contents::new(files));
    for one in known.iter().filter(|k| k.remote == Whereabouts::Here) {
        let hash = one.pair.hash;
        if new_there.has_outside(&hash, &one.mailbox) {
            there
                .entry(&one.mailbox)
                .or_default()
                .insert(one.pair.uid, hash);
        }
    }
    for (name, mut asked) in there {
        let ids: Vec<Uid> = asked.keys().copied().collect();
        // If it cannot be asked, the mailbox reports the error later.
        let told = passable(kin_there(&mut *ctx.remote, &place(name), &ids).await)?;
        for (uid, _) in told.unwrap_or_default() {
            asked.remove(&uid);
        }
        flux.extend(asked.into_values());
    }
    let seen = known.iter_mut().filter(|k| k.local == Whereabouts::Here);
    for one in seen {
        let hash = one.pair.hash;
        if !new_here.has_outside(&hash, &one.mailbox) {
            continue;
        }
        let ids = [(one.pair.file.clone(), None)];
        let told = ctx.local.excerpts(&place(&one.mailbox), &ids).await;
        match passable(told)? {
            Some(told) if !told.is_empty() => {}
            Some(_) if may_lack_files(ctx, scenes.get(&one.mailbox)) => {
                one.local = Whereabouts::Gone;
            }
            _ => {
                flux.insert(hash);
                let unread = !scenes.contains_key(&one.mailbox);
                let name = unread.then(|| one.mailbox.clone());
                pass.incomplete.extend(name);
            }
        }
    }
    Ok(flux)
}

/// Whether pairs of a mailbox may have lost their files long ago, as that does not go to the
/// server.
fn may_lack_files<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    scene: Option<&Scene>,
) -> bool {
    let frozen = scene.is_some_and(|scene| !scene.remote.writable);
    frozen || !ctx.policy.flows_to(Side::Remote)
}

/// Whether this run stops waiting for a disk that keeps changing.
pub(in crate::engine) fn is_out_of_patience(pass: &PassState) -> bool {
    pass.unstable_passes >= PATIENCE
}

type All<'a> = (
    &'a mut Vec<Known>,
    &'a mut Vec<Sighting<Uid>>,
    &'a mut Vec<Sighting<MaildirId>>,
);

/// Removes actions on messages that are being moved, and skips these until the next pass.
pub(in crate::engine) fn set_aside(
    flux: &BTreeSet<ContentHash>,
    (known, uids, files): All<'_>,
    pass: &mut PassState,
) -> Moves {
    let mut waits = Moves::default();
    known.retain(|one| {
        let waiting = flux.contains(&one.pair.hash);
        if waiting {
            waits.pairs.insert(one.pair.id);
            pass.defer(&one.mailbox, Reason::Unstable);
        }
        !waiting
    });
    uids.retain(|v| {
        let waiting = flux.contains(&v.hash);
        if waiting {
            waits.uids.insert((v.mailbox.clone(), v.id));
        }
        !waiting
    });
    files.retain(|g| {
        let waiting = flux.contains(&g.hash);
        if waiting {
            waits.files.insert((g.mailbox.clone(), g.id.clone()));
        }
        !waiting
    });
    waits
}

/// Returns the contents of originals whose presence is unknown, because their mailbox kept changing
/// or was unreadable.
fn unclear(
    scenes: &Scenes,
    known: &[Known],
    (uids, files): Sightings<'_>,
    pass: &PassState,
) -> BTreeSet<ContentHash> {
    let looked = known
        .iter()
        .filter(|one| scenes.contains_key(&one.mailbox) || pass.is_hidden(&one.mailbox));
    let (uids, files) = (Contents::new(uids), Contents::new(files));
    let unclear = looked.filter(|one| {
        let hash = &one.pair.hash;
        let there = one.remote == Whereabouts::Unknown && uids.has(hash);
        let here = one.local == Whereabouts::Unknown && files.has(hash);
        there || here
    });
    unclear.map(|one| one.pair.hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Canonical, Flags, Pair, PairId};

    fn known(mailbox: &str, remote: Whereabouts, local: Whereabouts) -> Known {
        Known {
            mailbox: MailboxName::parse(mailbox).unwrap(),
            pair: Pair {
                id: PairId(1),
                uid: Uid::new(1).unwrap(),
                file: MaildirId::new("f"),
                flags: Flags::default(),
                hash: Canonical::of(b"x"),
                size: 1,
                stamp: None,
                kin: None,
                tombstone: None,
            },
            remote,
            local,
            flags: Flags::default(),
        }
    }

    fn new<I>(id: I, content: &[u8]) -> [Sighting<I>; 1] {
        [Sighting {
            mailbox: MailboxName::inbox(),
            id,
            hash: Canonical::of(content),
            kin: None,
            flags: Flags::default(),
            size: None,
        }]
    }

    #[test]
    fn an_original_that_cannot_be_seen_makes_its_like_unclear() {
        let (uid, file) = (Uid::new(9).unwrap(), MaildirId::new("g"));
        let (scenes, mut pass) = (Scenes::new(), PassState::default());
        pass.hide(&MailboxName::inbox(), &Side::BOTH);
        let (here, unknown) = (Whereabouts::Here, Whereabouts::Unknown);
        let is_unclear = |one: Known, uids: &[Sighting<Uid>], files: &[Sighting<MaildirId>]| {
            !unclear(&scenes, &[one], (uids, files), &pass).is_empty()
        };
        let (equal_there, equal_here) = (new(uid, b"x"), new(file.clone(), b"x"));
        let (other_there, other_here) = (new(uid, b"y"), new(file, b"y"));
        let there = || known("INBOX", unknown, here);
        let here = || known("INBOX", here, unknown);
        assert!(is_unclear(there(), &equal_there, &[]));
        assert!(is_unclear(here(), &[], &equal_here));
        assert!(!is_unclear(there(), &other_there, &equal_here));
        assert!(!is_unclear(here(), &equal_there, &other_here));
        // That mailbox was not to be read.
        let elsewhere = known("A", unknown, unknown);
        assert!(!is_unclear(elsewhere, &equal_there, &equal_here));
    }
}
