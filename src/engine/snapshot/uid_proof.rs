//! Verifies that UIDs still mean the same messages. A restored or recreated server assigns UIDs
//! again, perhaps under an equal UIDVALIDITY. The ids of a sample of pairs are requested, and
//! messages with another id are read.

use crate::engine::context::{Context, passed_over};
use crate::engine::identify::contents::{Content, Contents};
use crate::engine::identify::evidence::{kin_there, read_there};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::{Fate, Looked, Scene};
use crate::engine::snapshot::{base, edited};
use crate::model::{
    ContentHash, Kin, MailboxBase, MailboxKey, MailboxName, Pair, PairId, Side, Uid,
};
use crate::reconcile::{Coverage, Look};
use crate::state::{Proof, UidDoubt};
use crate::store::{Ask, Depth, LocalStore, Place, Prefetch, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Sampled pairs of a mailbox that is compared message by message.
const SAMPLE: usize = 16;

/// The highest UIDs in the sample: these are assigned again after a restore.
const LAST: usize = 4;

/// Messages with another id that are read as proof, as some servers change date or size of a
/// message.
const READ: usize = 4;

/// The sample of a mailbox.
pub(in crate::engine) struct Check {
    key: MailboxKey,
    place: Place,
    proofs: Vec<Proof>,
    /// The sample, and new messages whose ids are requested, too.
    uids: Vec<Uid>,
}

/// The result of the checks.
#[derive(Default)]
pub(in crate::engine) struct Proven {
    /// Mailboxes in which a sampled pair is another message.
    pub others: Vec<(MailboxName, MailboxKey)>,
    /// Mailboxes without a result.
    pub untold: BTreeSet<MailboxKey>,
}

/// Returns a snapshot of the server whose UIDs are valid; or a complete one that says that they
/// are not.
pub(in crate::engine) async fn checked<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
    look: Look<Uid>,
    doubted: Option<UidDoubt>,
) -> Result<Look<Uid>, Ended> {
    if base.uid_validity.is_none() || base.uid_validity != look.uid_validity || look.renumbered {
        return Ok(look);
    }
    let place = Place {
        mailbox: base.name.clone(),
        uid_validity: look.uid_validity,
    };
    let lost = look.rewound && misses_a_pair(base, &look) || lost_above_next(base, &look);
    let same = !lost
        && match doubted {
            Some(UidDoubt::Proven) => false,
            Some(UidDoubt::Suspected) => all_still_mean(ctx, &place, base).await?,
            None => {
                let known = look.known.keys().copied();
                let proofs = ctx.state.proofs(base.key, known)?;
                still_mean(ctx, &place, &proofs, &look.known).await?
            }
        };
    match same {
        true => Ok(look),
        false => doubted_look(ctx, base, look).await,
    }
}

/// Whether the ids of messages are unchanged; messages with another id are read.
async fn all_still_mean<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    base: &MailboxBase,
) -> Result<bool, Ended> {
    let proofs = ctx.state.proofs(base.key, base.known_uids())?;
    let uids: Vec<Uid> = proofs.iter().map(|proof| proof.uid).collect();
    let told = kin_there(&mut *ctx.remote, place, &uids)
        .await?
        .into_iter()
        .collect();
    let same = still_mean(ctx, place, &proofs, &told).await?;
    if same && !ctx.options.dry_run {
        ctx.state.end_suspicion(base.key)?;
    }
    Ok(same)
}

/// Returns the recorded ids of some messages of a mailbox.
pub(in crate::engine) fn expected<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    key: MailboxKey,
    uids: &[Uid],
) -> Result<Vec<(Uid, Kin)>, Ended> {
    let proofs = ctx.state.proofs(key, uids.iter().copied())?;
    Ok(proofs.into_iter().map(|p| (p.uid, p.kin)).collect())
}

/// Returns those messages, about to be removed without a copy as they exist elsewhere, that
/// have the content of their pairs; of a message without a body, the id decides.
pub(in crate::engine) async fn proven<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    pairs: &BTreeMap<Uid, PairId>,
) -> Result<BTreeSet<Uid>, Ended> {
    let uids: Vec<Uid> = pairs.keys().copied().collect();
    let mut sink = Contents::default();
    read_there(&mut *ctx.remote, place, &uids, &mut sink).await?;
    let read: BTreeSet<Uid> = sink.all.keys().copied().collect();
    let mut proven = BTreeSet::new();
    for (uid, content) in sink.all {
        let pair = pairs.get(&uid).copied();
        let pair = pair.map(|id| ctx.state.pair(id)).transpose()?.flatten();
        match pair {
            Some(known) if is_of(ctx, &content, (known.pair.id, known.pair.hash))? => {
                proven.insert(uid);
            }
            Some(known) => ctx.state.doubt(known.mailbox, UidDoubt::Proven)?,
            None => {}
        }
    }
    let unread = pairs.keys().filter(|uid| !read.contains(uid)).copied();
    let unread: Vec<Uid> = unread.collect();
    if !unread.is_empty() {
        proven.extend(named_as_before(ctx, place, &unread).await?);
    }
    Ok(proven)
}

/// Whether a message is that of a pair: equal content, or the server's version of an upload.
fn is_of<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    content: &Content,
    (pair, hash): (PairId, ContentHash),
) -> Result<bool, Ended> {
    if content.hash == hash {
        return Ok(true);
    }
    let sent = ctx.state.sent_as(pair)?;
    Ok(content.is_called(sent))
}

/// Returns those messages without a body whose id is unchanged.
async fn named_as_before<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    uids: &[Uid],
) -> Result<Vec<Uid>, Ended> {
    let Some(key) = ctx.state.mailbox_key(&place.mailbox)? else {
        return Ok(Vec::new());
    };
    let expected = expected(ctx, key, uids)?;
    let named: BTreeMap<Uid, Kin> = kin_there(&mut *ctx.remote, place, uids)
        .await?
        .into_iter()
        .collect();
    let same = expected
        .into_iter()
        .filter(|(uid, kin)| named.get(uid) == Some(kin));
    Ok(same.map(|(uid, _)| uid).collect())
}

/// Returns the complete snapshot of a mailbox whose UIDs are invalid.
async fn doubted_look<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
    mut look: Look<Uid>,
) -> Result<Look<Uid>, Ended> {
    if !ctx.options.dry_run {
        ctx.state.doubt(base.key, UidDoubt::Proven)?;
    }
    if look.coverage != Coverage::Complete {
        let (cursor, depth) = (None, Depth::Everything);
        let ask = Ask {
            base,
            cursor,
            depth,
        };
        look = ctx.remote.look(&ask).await?;
    }
    if look.coverage != Coverage::Complete {
        let what = format!(
            "{}: UIDs mean other messages than before, and not all can be listed now; the \
             mailbox waits",
            base.name
        );
        return Err(StoreError::Mailbox(what).into());
    }
    look.renumbered = true;
    Ok(look)
}

/// Returns both snapshots of a mailbox whose UIDs are invalid.
pub(in crate::engine) async fn look_renumbered<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    overview: &Overview,
) -> Result<Scene, Ended> {
    let base = base::known_base(ctx, name, overview)?;
    let (cursor, depth) = (None, Depth::Everything);
    let ask = Ask {
        base: &base,
        cursor,
        depth,
    };
    let local = edited::look_on_disk(ctx, &ask).await?;
    let remote = ctx.remote.look(&ask).await?;
    let remote = match base.uid_validity == remote.uid_validity {
        true => doubted_look(ctx, &base, remote).await?,
        false => remote,
    };
    Ok(Scene {
        base,
        remote,
        local,
        full: true,
        quiet: false,
        fate: Fate::Stays,
        forgotten: Vec::new(),
        relabels: BTreeMap::new(),
        lettered: Default::default(),
    })
}

/// Returns the sample after a snapshot: for a full comparison, for a decreased HIGHESTMODSEQ,
/// for a possibly different account; otherwise one, if messages are new or UIDs will be used.
pub(in crate::engine) fn check_of<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    scene: &Scene,
    another: bool,
) -> Result<Option<Check>, Ended> {
    let (base, look) = (&scene.base, &scene.remote);
    if base.uid_validity.is_none() || base.uid_validity != look.uid_validity || look.renumbered {
        return Ok(None);
    }
    let mut new = scene.new_uids();
    new.retain(|uid| !look.kin.contains_key(uid));
    let touched = |pair: &Pair| !scene.local.shows_as(&pair.file, &pair.flags);
    let acts = !new.is_empty() || base.pairs.iter().any(touched);
    let bare = look.known.is_empty() && acts;
    if !(scene.full || look.rewound || another || bare) {
        return Ok(None);
    }
    let there = |uid: &Uid| !look.shows_gone(uid) && !look.leaves_open(uid);
    let known = base.known_uids().into_iter().filter(there);
    let sample = sample(&known.collect::<Vec<_>>());
    let proofs = ctx.state.proofs(base.key, sample)?;
    let uids = proofs.iter().map(|proof| proof.uid).chain(new).collect();
    let place = Place {
        mailbox: base.name.clone(),
        uid_validity: look.uid_validity,
    };
    Ok((!proofs.is_empty()).then_some(Check {
        key: base.key,
        place,
        proofs,
        uids,
    }))
}

/// Requests the ids of these samples, and adds those of new messages to the snapshots.
pub(in crate::engine) async fn prove<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    checks: Vec<Check>,
    looks: &mut [Looked],
    pass: &mut PassState,
) -> Result<Proven, Ended> {
    let next = checks
        .iter()
        .map(|check| Prefetch::Kin(&check.place, &check.uids));
    ctx.remote.prefetch(&next.collect::<Vec<_>>()).await?;
    let mut proven = Proven::default();
    for check in checks {
        let name = &check.place.mailbox;
        let told = ask_for(ctx, &check).await;
        let Some((told, same)) = passed_over(name, told, &Side::BOTH, pass)? else {
            proven.untold.insert(check.key);
            continue;
        };
        if !same {
            proven.others.push((name.clone(), check.key));
            continue;
        }
        let mut looks = looks.iter_mut().map(|(_, scene)| scene);
        if let Some(scene) = looks.find(|scene| scene.base.key == check.key) {
            let known = |uid: &Uid| check.proofs.iter().any(|proof| proof.uid == *uid);
            let new = told.into_iter().filter(|(uid, _)| !known(uid));
            scene.remote.kin.extend(new);
        }
    }
    Ok(proven)
}

/// Returns the ids of a sample, and whether its pairs are unchanged.
async fn ask_for<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    check: &Check,
) -> Result<(BTreeMap<Uid, Kin>, bool), Ended> {
    let told = kin_there(&mut *ctx.remote, &check.place, &check.uids).await?;
    let told: BTreeMap<Uid, Kin> = told.into_iter().collect();
    let same = still_mean(ctx, &check.place, &check.proofs, &told).await?;
    Ok((told, same))
}

/// Whether these pairs are still the messages of their UIDs, by id; messages with another id
/// are read.
pub(in crate::engine) async fn still_mean<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    proofs: &[Proof],
    told: &BTreeMap<Uid, Kin>,
) -> Result<bool, Ended> {
    let odd = |proof: &&Proof| told.get(&proof.uid).is_some_and(|kin| *kin != proof.kin);
    let odd: Vec<&Proof> = proofs.iter().rev().filter(odd).take(READ).collect();
    if odd.is_empty() {
        return Ok(true);
    }
    let uids: Vec<Uid> = odd.iter().map(|proof| proof.uid).collect();
    let mut sink = Contents::default();
    read_there(&mut *ctx.remote, place, &uids, &mut sink).await?;
    let mut learned = Vec::new();
    for proof in odd {
        let content = sink.all.get(&proof.uid);
        match (content, told.get(&proof.uid)) {
            (Some(content), _) if !is_of(ctx, content, (proof.pair, proof.hash))? => {
                let (mailbox, uid) = (&place.mailbox, proof.uid);
                tracing::warn!(%mailbox, %uid, "the UID means another message by now");
                return Ok(false);
            }
            (Some(_), Some(kin)) => learned.push((proof.pair, *kin)),
            _ => {}
        }
    }
    if !ctx.options.dry_run {
        ctx.state.learn_kin(&learned)?;
    }
    Ok(true)
}

/// Whether a message of a pair no longer exists.
fn misses_a_pair(base: &MailboxBase, look: &Look<Uid>) -> bool {
    let pairs = base.pairs.iter().filter(|pair| pair.tombstone.is_none());
    let mut uids = pairs.map(|pair| &pair.uid).chain(&base.others);
    uids.any(|uid| look.shows_gone(uid))
}

/// Whether a message of a pair is gone though its UID is not below UIDNEXT. UIDs only increase
/// (RFC 9051 section 2.3.1.1), so the server was restored, and nobody deleted the message.
fn lost_above_next(base: &MailboxBase, look: &Look<Uid>) -> bool {
    let pairs = base.pairs.iter().filter(|pair| pair.tombstone.is_none());
    let mut uids = pairs.map(|pair| &pair.uid).chain(&base.others);
    let above = |uid: &Uid| look.next.is_some_and(|next| uid.get() >= next);
    uids.any(|uid| above(uid) && look.shows_gone(uid))
}

/// Returns the highest UIDs, and others evenly spread, in order.
pub(in crate::engine) fn sample(known: &[Uid]) -> Vec<Uid> {
    let (first, last) = known.split_at(known.len().saturating_sub(LAST));
    let step = first.len().div_ceil(SAMPLE - LAST).max(1);
    let spread = first.iter().step_by(step);
    spread.chain(last).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_and_has_the_highest() {
        let uids = |last: u32| (1..=last).filter_map(Uid::new).collect::<Vec<_>>();
        assert_eq!(sample(&uids(16)), uids(16), "all of few");
        let numbers: Vec<u32> = sample(&uids(1000)).into_iter().map(Uid::get).collect();
        assert!(numbers.len() <= SAMPLE && numbers.starts_with(&[1, 84]));
        assert!(numbers.ends_with(&[997, 998, 999, 1000]));
        assert_eq!(sample(&[]), []);
    }
}
