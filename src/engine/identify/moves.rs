//! Finds out whether a new message is a known one from another mailbox: on disk by content, on the
//! server by id or envelope, confirmed by pieces or, if ambiguous, by content. A message without
//! proof is new.

use crate::engine::context::{Context, passed_over};
use crate::engine::identify::candidates::{Candidates, NewUid};
use crate::engine::identify::evidence::kin_there;
use crate::engine::identify::excerpt::{Compared, Likely, sources};
use crate::engine::identify::letter_notes::NotedFiles;
use crate::engine::identify::local::{half_recorded, leave_sent};
use crate::engine::identify::stability::set_aside;
use crate::engine::identify::{excerpt, local, made, relabel, stability};
use crate::engine::pass_state::PassState;
use crate::engine::plan::unreadable::{hidden_contents, leave_out};
use crate::engine::report::Ended;
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::{Fate, Scenes, whereabouts};
use crate::model::{
    AnyId, ContentHash, Id, Kin, MailboxName, MaildirId, PairId, Side, SystemFlag, Uid,
};
use crate::reconcile::moves;
use crate::reconcile::settled::Moves;
use crate::reconcile::sighting::{Known, Sighting, Whereabouts};
use crate::store::{LocalStore, Place, Prefetch, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Decides about moves and copies in the whole account, beyond those already decided.
pub(in crate::engine) async fn find_moves<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (scenes, (astray, noted)): (&mut Scenes, (Moves, NotedFiles)),
    overview: &Overview,
    pass: &mut PassState,
) -> Result<Moves, Ended> {
    let knows = ctx.state.knows_messages()?;
    if !knows && noted.is_empty() && !ctx.remote.has_object_ids() {
        relabel::read_strange_letters(ctx, scenes, &[]).await?;
        leave_out(scenes, pass);
        return Ok(astray);
    }
    let mut candidates = Candidates {
        noted,
        ..Candidates::default()
    };
    let any = knows || !candidates.noted.is_empty();
    let place = (&mut *scenes, overview);
    let files = read_files(ctx, place, any, &mut candidates, pass);
    let mut files = files.await?;
    let mut new = new_uids(ctx, scenes, pass).await?;
    let sent = local::sent(ctx, scenes, pass).await?;
    leave_out(scenes, pass);
    files.retain(|file| scenes.contains_key(&file.mailbox));
    new.retain(|new| scenes.contains_key(&new.mailbox));
    let kin: BTreeSet<Kin> = new.iter().map(|new| new.kin).collect();
    let relatives = ctx.state.pairs_by_kin(&kin)?;
    candidates.take(relatives, overview);
    candidates.take_buried(ctx.state.buried(&kin)?);
    let looks = (&*scenes, &files[..]);
    let mut sighted = sight_uids(ctx, new, looks, &candidates, pass).await?;
    made::leave_made(ctx, scenes, &sent, &candidates, &mut sighted.uids, pass).await?;
    // A deferred message may equal another new local file, so exclude that file as well.
    leave_out(scenes, pass);
    let scenes = &*scenes;
    files.retain(|file| scenes.contains_key(&file.mailbox));
    let (mut uids, mut strangers) = (sighted.uids, sighted.strangers);
    uids.retain(|uid| scenes.contains_key(&uid.mailbox));
    strangers.retain(|new| scenes.contains_key(&new.mailbox));
    leave_sent((&sent, &astray), &mut uids, &mut files);
    let twins = twins(ctx, scenes, strangers);
    let present = local::present(ctx, scenes, overview, &candidates).await?;
    let mut known = known(scenes, overview, (&candidates, &present), pass);
    let seen = (&uids[..], &files[..]);
    let mut flux = stability::in_flux(ctx, scenes, &mut known, seen, pass).await?;
    flux.extend(sighted.waits);
    flux.extend(astray.waits.iter().copied());
    let waits = set_aside(&flux, (&mut known, &mut uids, &mut files), pass);
    let frozen = scenes.iter().filter(|(_, scene)| !scene.remote.writable);
    let frozen = frozen.map(|(name, _)| name.clone());
    let mut moves = moves::decide(moves::Case {
        known: &known,
        uids,
        files,
        kept: candidates.kept(),
        cut: &astray.cut,
        frozen: &frozen.collect(),
        policy: &ctx.policy,
    });
    for (from, to, file) in &moves.stuck {
        let what = "was moved here, where the server is read-only";
        pass.note(format!("{to}: {file} {what}: there it stays in {from}"));
    }
    moves.waiting = twins;
    moves.lost.extend(sighted.lost);
    moves.pass_over(waits);
    moves.pass_over(astray);
    Ok(moves)
}

/// Returns new files with the content of a pair, and their keywords.
async fn read_files<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (scenes, overview): (&mut Scenes, &Overview),
    known: bool,
    candidates: &mut Candidates,
    pass: &mut PassState,
) -> Result<Vec<Sighting<MaildirId>>, Ended> {
    let mut files = match known {
        true => {
            let place = (&*scenes, overview);
            local::sight_files(ctx, place, candidates, pass).await?
        }
        false => Vec::new(),
    };
    let looks = (&mut *scenes, &mut files[..]);
    relabel::read_letters(ctx, looks, candidates, pass).await?;
    let paired = candidates.contents();
    files.retain(|file| paired.contains(&file.hash));
    Ok(files)
}

/// Returns the ids of new messages on the server.
async fn new_uids<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &Scenes,
    pass: &mut PassState,
) -> Result<Vec<NewUid>, Ended> {
    let mut asked: Vec<(&MailboxName, Place, Vec<Uid>)> = Vec::new();
    let mut all = Vec::new();
    for (name, scene) in scenes.iter().filter(|(_, s)| s.fate == Fate::Stays) {
        let claimed: BTreeSet<Uid> = half_recorded(scene).into_values().collect();
        let mut uids = scene.new_uids();
        uids.retain(|uid| !claimed.contains(uid));
        let told = uids.extract_if(.., |uid| scene.remote.kin.contains_key(uid));
        all.extend(told.filter_map(|uid| {
            let (mailbox, kin) = (name.clone(), *scene.remote.kin.get(&uid)?);
            Some(NewUid { mailbox, uid, kin })
        }));
        if !uids.is_empty() {
            asked.push((name, scene.place(), uids));
        }
    }
    let next = asked
        .iter()
        .map(|(_, place, uids)| Prefetch::Kin(place, uids));
    ctx.remote.prefetch(&next.collect::<Vec<_>>()).await?;
    for (name, place, uids) in asked {
        let kin = kin_there(&mut *ctx.remote, &place, &uids).await;
        let Some(kin) = passed_over(name, kin, &Side::BOTH, pass)? else {
            continue;
        };
        let mailbox = name.clone();
        let new = |(uid, kin): (Uid, Kin)| NewUid {
            mailbox: mailbox.clone(),
            uid,
            kin,
        };
        all.extend(kin.into_iter().map(new));
    }
    Ok(all)
}

/// Returns new messages with the content of a pair or a quarantined message, and the others.
async fn sight_uids<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    new: Vec<NewUid>,
    (scenes, files): (&Scenes, &[Sighting<MaildirId>]),
    candidates: &Candidates,
    pass: &mut PassState,
) -> Result<Sighted, Ended> {
    let hashes = candidates.hashes();
    let Sorted {
        strangers,
        mut proven,
        likely,
        unclear,
    } = sort_out(new, &hashes, &candidates.homes(scenes));
    let sources = sources(scenes, files, candidates, pass);
    let (mut asked, mut pieces, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    let mut waits = BTreeSet::new();
    let unseen = unseen(scenes, candidates);
    let out_of_sight = hidden_contents(candidates, pass);
    for (new, hash) in likely {
        if let (Some(here), Some(scene)) = (sources.get(&hash), scenes.get(&new.mailbox)) {
            let (there, uid, here) = (scene.place(), new.uid, here.clone());
            pieces.push(Likely { there, uid, here });
            asked.push((new, hash));
        } else if unseen.contains(&hash) || pass.hides(Side::Local) {
            // It cannot be compared now, and another new message may be equal.
            pass.hide(&new.mailbox, &[Side::Remote]);
            waits.insert(hash);
            proven.push((new, hash));
        } else {
            lost.push((new.mailbox, new.uid.any()));
        }
    }
    let probed = excerpt::probe(ctx, &pieces).await?;
    let Compared { fit, untold, .. } = &probed;
    let (of, drafts, mut open) = (asked.len(), candidates.drafts(), Vec::new());
    for (at, (new, hash)) in asked.into_iter().enumerate() {
        // It may have been moved, or only its UID is new: its file does not count as deleted.
        let fits = fit.contains(&at);
        let waiting = untold.contains(&at) || !fits && out_of_sight.contains(&hash);
        if waiting {
            await_compare(&new.mailbox, pass);
            waits.insert(hash);
        }
        // It was moved since the scan, or long ago, where that stays on the disk.
        let left = probed.vanished.contains(&at);
        let long_ago = left && !ctx.policy.flows_to(Side::Remote);
        waits.extend((left && !long_ago).then_some(hash));
        let draft = is_draft(&new, scenes) || drafts.contains(&hash);
        if long_ago {
            lost.push((new.mailbox, new.uid.any()));
        } else if waiting || left || fits && !probed.is_open(at, of, draft) {
            proven.push((new, hash));
        } else if fits {
            open.push((new, hash));
        }
    }
    let (same, untold) = excerpt::same_bytes(ctx, open, scenes, pass).await?;
    let (told, open) = excerpt::tell_apart(ctx, unclear, scenes, &hashes, pass).await?;
    proven.extend(same.into_iter().chain(told));
    waits.extend(untold.into_iter().chain(open));
    let sighting = |(new, hash)| sighting(scenes, new, hash);
    let uids = proven.into_iter().map(sighting).collect();
    Ok(Sighted {
        uids,
        strangers,
        waits,
        lost,
    })
}

/// Messages that are new in several mailboxes: one is downloaded, the others wait for a local
/// copy. Only if the server has message ids.
fn twins<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    scenes: &Scenes,
    strangers: Vec<NewUid>,
) -> BTreeSet<(MailboxName, Uid)> {
    if !ctx.policy.flows_to(Side::Local) {
        return BTreeSet::new();
    }
    let marked = |new: &NewUid| {
        let scene = scenes.get(&new.mailbox);
        let flags = scene.and_then(|scene| scene.remote.seen.get(&new.uid)?.clone());
        flags.is_some_and(|flags| flags.has(SystemFlag::Deleted))
    };
    let mut groups: BTreeMap<Kin, Vec<(MailboxName, Uid)>> = BTreeMap::new();
    for new in strangers.into_iter().filter(|new| new.kin.proves()) {
        if !marked(&new) {
            let group = groups.entry(new.kin).or_default();
            group.push((new.mailbox, new.uid));
        }
    }
    // Equal ids in one mailbox are copies, or the ids are not unique (pymap).
    let twice = |group: &Vec<(MailboxName, Uid)>| {
        let names: BTreeSet<&MailboxName> = group.iter().map(|(name, _)| name).collect();
        names.len() < group.len()
    };
    if groups.values().any(twice) {
        return BTreeSet::new();
    }
    let waiting = groups.into_values().flat_map(|mut group| {
        group.sort_by_key(|(name, uid)| (!name.is_inbox(), name.clone(), *uid));
        group.into_iter().skip(1)
    });
    waiting.collect()
}

/// A new message that may have been moved is not told from others in this run.
fn await_compare(mailbox: &MailboxName, pass: &mut PassState) {
    let what = "a message that may have been moved cannot be compared now; it waits";
    pass.trouble(Some(mailbox), &StoreError::Mailbox(what.into()));
    pass.hide(mailbox, &[Side::Remote]);
}

/// Candidates of new messages on the server, by id.
#[derive(Default)]
struct Sorted {
    /// None.
    strangers: Vec<NewUid>,
    /// This one certainly.
    proven: Vec<(NewUid, ContentHash)>,
    /// This one, or an unknown message.
    likely: Vec<(NewUid, ContentHash)>,
    /// Several.
    unclear: Vec<NewUid>,
}

/// Reads messages in mailboxes that have several of one id: ids of some servers are not unique.
fn sort_out(
    new: Vec<NewUid>,
    hashes: &BTreeMap<Kin, BTreeSet<ContentHash>>,
    homes: &BTreeSet<(Kin, &MailboxName)>,
) -> Sorted {
    let mut sorted = Sorted::default();
    for new in new {
        match hashes.get(&new.kin).map(|h| h.iter().collect::<Vec<_>>()) {
            None => sorted.strangers.push(new),
            Some(one) => match one.as_slice() {
                [hash] if new.kin.proves() && !homes.contains(&(new.kin, &new.mailbox)) => {
                    sorted.proven.push((new, **hash));
                }
                [_] if new.kin.proves() => sorted.unclear.push(new),
                [hash] => sorted.likely.push((new, **hash)),
                _ => sorted.unclear.push(new),
            },
        }
    }
    sorted
}

/// New messages on the server.
struct Sighted {
    /// Those with a known content.
    uids: Vec<Sighting<Uid>>,
    /// The others.
    strangers: Vec<NewUid>,
    /// Contents without a decision.
    waits: BTreeSet<ContentHash>,
    /// Those with the id of a message whose file is gone, which they may be.
    lost: Vec<(MailboxName, AnyId)>,
}

/// Whether a new message is a draft.
fn is_draft(new: &NewUid, scenes: &Scenes) -> bool {
    let seen = scenes.get(&new.mailbox).map(|scene| &scene.remote.seen);
    let flags = seen.and_then(|seen| seen.get(&new.uid)?.as_ref());
    flags.is_some_and(|flags| flags.has(SystemFlag::Draft))
}

fn sighting(scenes: &Scenes, new: NewUid, hash: ContentHash) -> Sighting<Uid> {
    let seen = scenes.get(&new.mailbox);
    let flags = seen.and_then(|scene| scene.remote.seen.get(&new.uid).cloned().flatten());
    Sighting {
        mailbox: new.mailbox,
        id: new.uid,
        hash,
        kin: Some(new.kin),
        flags: flags.unwrap_or_default(),
        size: None,
    }
}

/// Returns contents whose local presence is unknown.
fn unseen(scenes: &Scenes, candidates: &Candidates) -> BTreeSet<ContentHash> {
    let unseen = candidates.pairs.values().filter(|(name, relative)| {
        let scene = scenes.get(name);
        let seen = scene.map(|scene| whereabouts(&scene.local, &relative.pair.file));
        seen == Some(Whereabouts::Unknown)
    });
    unseen.map(|(_, relative)| relative.pair.hash).collect()
}

/// Returns the pairs that may have been moved or copied, with their presence on each side. A
/// mailbox that was not read because it cannot have changed is as in the base.
pub(in crate::engine) fn known(
    scenes: &Scenes,
    overview: &Overview,
    (candidates, present): (&Candidates, &BTreeSet<PairId>),
    pass: &PassState,
) -> Vec<Known> {
    let mut all = Vec::new();
    let looked: BTreeSet<PairId> = scenes
        .values()
        .flat_map(|scene| scene.pairs().map(|pair| pair.id))
        .collect();
    for (name, relative) in candidates.pairs.values() {
        let pair = relative.pair.clone();
        let (remote, local, flags) = match scenes.get(name) {
            Some(scene) if looked.contains(&pair.id) || scene.leaves_as_is(relative) => {
                let flags = scene.remote.seen.get(&pair.uid).cloned().flatten();
                let remote = whereabouts(&scene.remote, &pair.uid);
                let local = whereabouts(&scene.local, &pair.file);
                (remote, local, flags.unwrap_or_else(|| pair.flags.clone()))
            }
            None if pass.is_hidden(name) => {
                let unknown = Whereabouts::Unknown;
                (unknown, unknown, pair.flags.clone())
            }
            None if overview.is_quiet(name) => {
                let here = Whereabouts::Here;
                (here, here, pair.flags.clone())
            }
            None if present.contains(&pair.id) => {
                let flags = pair.flags.clone();
                (Whereabouts::Unknown, Whereabouts::Here, flags)
            }
            _ => continue,
        };
        all.push(Known {
            mailbox: name.clone(),
            pair,
            remote,
            local,
            flags,
        });
    }
    all.sort_by_key(|known| (known.mailbox.clone(), known.pair.uid));
    all
}
