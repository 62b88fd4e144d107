//! Matches messages without a base: a first match, or a cut upload. Cheap evidence first, content
//! if that is ambiguous. Deletes nothing.

use crate::engine::context::Context;
use crate::engine::identify::contents::{Above, Contents, match_sent};
use crate::engine::identify::evidence::{prints_there, read_there};
use crate::engine::identify::excerpt;
use crate::engine::identify::excerpt::{Bytes, Likely};
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::pass_state::PassState;
use crate::engine::recovery::unlisted::is_unmatched;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::Scene;
use crate::model::{
    AnyId, ContentHash, Id, MailboxBase, MailboxKey, MaildirId, Origin, Pair, Side, SystemFlag, Uid,
};
use crate::reconcile::matching::{Matches, Seeker, by_content, by_evidence};
use crate::reconcile::messages::Known;
use crate::reconcile::settled::{Moves, Settled};
use crate::reconcile::unlisted::{Next, Unlisted};
use crate::reconcile::{Coverage, Look};
use crate::state::Upload;
use crate::store::{LocalStore, Place, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// The matches among the new messages of a mailbox.
#[derive(Debug, Default)]
pub(in crate::engine) struct Found {
    pub links: Vec<(Uid, MaildirId)>,
    pub in_doubt: BTreeSet<MaildirId>,
    /// Links by cheap evidence.
    pub unproven: BTreeSet<Uid>,
    /// Files whose upload began.
    pub uploads: BTreeSet<MaildirId>,
    /// Accepted uploads without a UID that the mailbox does not show, with the number of OK
    /// responses.
    pub untold: BTreeMap<MaildirId, u32>,
    /// Whether files of uploads vanished before they were read. New messages on the server may
    /// equal them, and wait until the next pass sees their place.
    pub waits: bool,
}

impl Found {
    /// Accepted uploads that the mailbox does not show.
    fn untold(&self, key: MailboxKey, pass: &PassState) -> BTreeMap<MaildirId, Next> {
        let sent_now = |file: &MaildirId| pass.uploaded.contains(&(key, file.clone()));
        let untold = self.untold.iter();
        let next = untold.map(|(file, tries)| (file.clone(), Next::after(*tries, sent_now(file))));
        next.collect()
    }
}

/// What is known of files that look for their message on the server.
#[derive(Debug, Default)]
pub(in crate::engine) struct Clues {
    /// UIDs that the names of files claim.
    hints: BTreeMap<MaildirId, Uid>,
    /// Files that were sent, with the highest UID that was there before.
    sent: BTreeMap<MaildirId, u32>,
}

impl Clues {
    fn of(
        hints: BTreeMap<MaildirId, Uid>,
        open: &[Upload],
        missed: &BTreeMap<MaildirId, Above>,
    ) -> Clues {
        let sent = open.iter().filter(|up| up.committing);
        let sent = sent.map(|up| (up.file.clone(), up.above));
        let told = missed.iter();
        let told = told.filter_map(|(file, above)| Some((file.clone(), (*above)?)));
        Clues {
            hints,
            sent: sent.chain(told).collect(),
        }
    }

    fn seeker<K>(&self, file: MaildirId, key: K) -> Seeker<K> {
        Seeker {
            hint: self.hints.get(&file).copied(),
            above: self.sent.get(&file).copied(),
            file,
            key,
        }
    }
}

/// Messages that are one and the same.
#[derive(Debug, Default)]
pub(in crate::engine) struct Met {
    pub links: Vec<(Uid, MaildirId)>,
    /// Links that were not compared by content.
    pub unproven: BTreeSet<Uid>,
}

impl Met {
    /// Returns links that were not compared by content, except for our own uploads, where the
    /// evidence is sufficient.
    fn unproven_but_of(&self, uploads: &BTreeSet<MaildirId>) -> BTreeSet<Uid> {
        let sent = self.links.iter().filter(|(_, file)| uploads.contains(file));
        let sent: BTreeSet<Uid> = sent.map(|(uid, _)| *uid).collect();
        self.unproven.difference(&sent).copied().collect()
    }
}

/// Uploaded files.
struct Sent {
    /// Unresolved ones.
    open: Vec<Upload>,
    /// Those whose UID is not listed.
    missed: BTreeMap<MaildirId, Above>,
}

/// Equal messages, and files that vanished before they were read.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub links: Vec<(Uid, MaildirId)>,
    vanished: BTreeSet<MaildirId>,
}

/// Matches the new messages of both sides.
pub(in crate::engine) async fn find_links<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scene: &Scene,
    settled: &mut Settled<'_>,
    (moves, unlisted): (&Moves, &mut Unlisted),
    pass: &PassState,
) -> Result<Found, Ended> {
    let (base, local) = (&scene.base, &scene.local);
    let known = Known::of(base);
    let links = moves.links.get(&base.name).cloned().unwrap_or_default();
    let linked: BTreeSet<&Uid> = links.iter().map(|(uid, _)| uid).collect();
    let mut uids = scene.new_uids();
    uids.retain(|uid| !settled.uids.contains(uid) && !linked.contains(uid));
    let linked: BTreeSet<&MaildirId> = links.iter().map(|(_, file)| file).collect();
    let mut files = scene.new_files();
    files.retain(|file| !settled.files.contains(file) && !linked.contains(file));
    let hints = hints(base, local);
    uids.extend(half_recorded(base, local, &hints));
    for aside in base.aside.iter().filter(|aside| is_unmatched(aside)) {
        if let AnyId::Local(file) = &aside.id {
            files.push(file.clone());
        }
    }
    let open = match base.key.0 {
        0 => Vec::new(),
        _ => ctx.state.open_uploads(base.key)?,
    };
    // A known message is uploaded again when it is wanted (row 9).
    let again = open
        .iter()
        .map(|up| &up.file)
        .filter(|file| known.file(file));
    files.extend(again.filter(|file| !local.shows_gone(file)).cloned());
    let missed = missed(ctx, scene, unlisted)?;
    files.extend(missed.keys().cloned());
    let place = scene.place();
    let mut found = Found {
        uploads: open.iter().map(|upload| upload.file.clone()).collect(),
        ..Found::default()
    };
    if !uids.is_empty() && !files.is_empty() {
        let looks = (&place, &scene.remote, local);
        let clues = Clues::of(hints, &open, &missed);
        let met = match_up(ctx, looks, &uids, &files, &clues).await?;
        found.unproven = met.unproven_but_of(&found.uploads);
        found.links = met.links;
        match_unread(ctx, (&place, scene), (&uids, &files), &mut found).await?;
    }
    let stays = |upload: &Upload| !moves.astray.contains_key(&upload.file);
    let open = open.into_iter().filter(stays).collect();
    let sent = Sent { open, missed };
    let vanished = settle_uploads(ctx, (&place, scene), sent, (&uids, &files), &mut found).await?;
    unlisted.untold = found.untold(base.key, pass);
    let here = moves.astray.iter().filter(|(_, name)| **name == base.name);
    found.in_doubt.extend(here.map(|(file, _)| file.clone()));
    found.links.extend(links);
    if !vanished.is_empty() && !ctx.options.dry_run {
        let linked: BTreeSet<Uid> = found.links.iter().map(|(uid, _)| *uid).collect();
        settled
            .uids
            .extend(uids.into_iter().filter(|uid| !linked.contains(uid)));
        settled.files.extend(vanished);
        found.waits = true;
    }
    Ok(found)
}

/// Resolves uploads of a cut run: stored, not stored, or unresolved. Returns those whose file
/// vanished or is unreadable.
async fn settle_uploads<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (place, scene): (&Place, &Scene),
    Sent { open, missed }: Sent,
    (uids, files): (&[Uid], &[MaildirId]),
    found: &mut Found,
) -> Result<BTreeSet<MaildirId>, Ended> {
    if open.is_empty() && missed.is_empty() {
        return Ok(BTreeSet::new());
    }
    found.uploads.extend(missed.keys().cloned());
    let taken: BTreeSet<Uid> = found.links.iter().map(|(uid, _)| *uid).collect();
    let linked: BTreeSet<MaildirId> = found.links.iter().map(|(_, f)| f.clone()).collect();
    let new: BTreeSet<&MaildirId> = files.iter().collect();
    let (waiting, settled): (Vec<_>, Vec<_>) = open
        .into_iter()
        .partition(|up| new.contains(&up.file) && !linked.contains(&up.file));
    // The intent of a cut move ends with the move.
    let stays: BTreeSet<MaildirId> = scene.new_files().into_iter().collect();
    let moving = |up: &Upload| up.moved.is_some() && stays.contains(&up.file);
    let orphaned = settled
        .into_iter()
        .filter(|up| !linked.contains(&up.file) && !moving(up))
        .map(|up| up.file);
    // Another object is in the place of these: they may come back.
    let obscured = |file: &MaildirId| scene.local.obscured.contains(file);
    let (hidden, orphaned): (Vec<_>, Vec<_>) = orphaned.partition(obscured);
    // A file that was not seen may exist.
    let gone = scene.local.coverage != Coverage::Partial;
    if gone && !orphaned.is_empty() && !ctx.options.dry_run {
        ctx.state.end_uploads(scene.base.key, &orphaned)?;
    }
    if !hidden.is_empty() {
        return Ok(hidden.into_iter().collect());
    }
    // Servers may add a final newline, so sizes differ and cheap evidence fails: compare
    // content.
    let window: Vec<Uid> = uids
        .iter()
        .filter(|uid| !taken.contains(uid))
        .copied()
        .collect();
    let mut mine = missed;
    mine.retain(|file, _| !linked.contains(file));
    for upload in &waiting {
        mine.insert(upload.file.clone(), above(upload, &scene.local));
    }
    let Matched { links, vanished } = match_uploads(ctx, place, &window, &mine).await?;
    let now = (ctx.world.now)();
    let met: BTreeSet<&MaildirId> = links.iter().map(|(_, file)| file).collect();
    for upload in waiting {
        if vanished.contains(&upload.file) {
            continue;
        }
        let arrived = met.contains(&upload.file);
        let fresh = now - upload.at < ctx.options.grace;
        // However late: a message that was not seen may have arrived.
        let unseen = scene.remote.coverage == Coverage::Partial;
        if !arrived && upload.taken && !unseen {
            found.untold.insert(upload.file, upload.tries);
        } else if !arrived && upload.committing && (fresh || unseen) {
            found.in_doubt.insert(upload.file);
        }
    }
    found.links.extend(links);
    Ok(vanished)
}

/// Messages of a first match that are not downloaded.
async fn match_unread<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (place, scene): (&Place, &Scene),
    (uids, files): (&[Uid], &[MaildirId]),
    found: &mut Found,
) -> Result<(), Ended> {
    let unread = unread(ctx, scene, uids, &found.links)?;
    let looks = (files, &found.links[..]);
    let links = match_heads(ctx, place, &unread, looks).await?;
    found.links.extend(links);
    Ok(())
}

/// Returns messages of a first match that are not downloaded, so that downloads are not
/// compared with their files.
fn unread<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    scene: &Scene,
    uids: &[Uid],
    links: &[(Uid, MaildirId)],
) -> Result<Vec<Uid>, Ended> {
    let key = scene.base.key;
    if key.0 != 0 && ctx.state.full_at(key)? > 0 {
        return Ok(Vec::new());
    }
    let linked: BTreeSet<&Uid> = links.iter().map(|(uid, _)| uid).collect();
    let pulls = ctx.policy.flows_to(Side::Local);
    let stays = |uid: &&Uid| {
        let flags = scene.remote.seen.get(uid).and_then(Option::as_ref);
        let marked = flags.is_some_and(|flags| flags.has(SystemFlag::Deleted));
        !linked.contains(*uid) && (marked || !pulls)
    };
    Ok(uids.iter().filter(stays).copied().collect())
}

/// By header and first bytes of the text, whatever size the server reports, then by content.
async fn match_heads<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    uids: &[Uid],
    (files, links): (&[MaildirId], &[(Uid, MaildirId)]),
) -> Result<Vec<(Uid, MaildirId)>, Ended> {
    let linked: BTreeSet<&MaildirId> = links.iter().map(|(_, file)| file).collect();
    let files: Vec<MaildirId> = files
        .iter()
        .filter(|file| !linked.contains(file))
        .cloned()
        .collect();
    if uids.is_empty() || files.is_empty() {
        return Ok(Vec::new());
    }
    let here = ctx.local.fingerprints(place, &files, None).await?;
    let there = prints_there(&mut *ctx.remote, place, (uids, None)).await?;
    let heads = |prints: &mut dyn Iterator<Item = ContentHash>| prints.collect::<BTreeSet<_>>();
    let heads_here = heads(&mut here.iter().map(|(_, print)| print.head));
    let heads_there = heads(&mut there.iter().map(|(_, print)| print.head));
    let alike = there.iter().filter(|(_, p)| heads_here.contains(&p.head));
    let uids: Vec<Uid> = alike.map(|(uid, _)| *uid).collect();
    let alike = here.iter().filter(|(_, p)| heads_there.contains(&p.head));
    let files = alike.map(|(file, _)| (file.clone(), None)).collect();
    Ok(match_uploads(ctx, place, &uids, &files).await?.links)
}

/// Returns files of accepted uploads whose UID is not listed.
fn missed<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    scene: &Scene,
    unlisted: &Unlisted,
) -> Result<BTreeMap<MaildirId, Above>, Ended> {
    let (remote, local) = (&scene.remote, &scene.local);
    let gone = |uid: &Uid| remote.shows_gone(uid);
    if !unlisted.told.keys().any(gone) {
        return Ok(BTreeMap::new());
    }
    let told = ctx.state.told_uploads(scene.base.key)?.into_iter();
    let missed = told.filter(|told| {
        let paired = |pair: &Pair| pair.uid == told.uid && pair.file == told.file;
        gone(&told.uid) && !local.shows_gone(&told.file) && scene.base.pairs.iter().any(paired)
    });
    Ok(missed.map(|told| (told.file, Some(told.above))).collect())
}

/// Matches uploaded files with these messages.
pub(super) async fn match_uploads<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    uids: &[Uid],
    files: &BTreeMap<MaildirId, Above>,
) -> Result<Matched, Ended> {
    if uids.is_empty() || files.is_empty() {
        return Ok(Matched::default());
    }
    let own: Vec<MaildirId> = files.keys().cloned().collect();
    let (mut there, mut here) = (Contents::default(), Contents::default());
    read_there(&mut *ctx.remote, place, uids, &mut there).await?;
    ctx.local.read(place, &own, &mut here).await?;
    let told = |file: &MaildirId| here.all.contains_key(file) || here.failed.contains(file);
    let vanished = own.iter().filter(|file| !told(file)).cloned().collect();
    let links = match_sent(&there.all, &here.all, files);
    Ok(Matched { links, vanished })
}

/// Matches by cheap evidence; without proof by pieces; ambiguous ones and drafts, which have
/// similar versions, by content.
pub(in crate::engine) async fn match_up<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (place, remote, local): (&Place, &Look<Uid>, &Look<MaildirId>),
    uids: &[Uid],
    files: &[MaildirId],
    clues: &Clues,
) -> Result<Met, Ended> {
    let here = ctx.local.fingerprints(place, files, None).await?;
    let sizes = here.iter().flat_map(|(_, print)| [print.size, print.whole]);
    let sizes: BTreeSet<u64> = sizes.collect();
    let there = prints_there(&mut *ctx.remote, place, (uids, Some(&sizes))).await?;
    let seekers = here.into_iter().map(|(file, key)| clues.seeker(file, key));
    let Matches { mut links, unclear } = by_evidence(there, seekers.collect());
    let (mut single, mut several) = (Vec::new(), Vec::new());
    for (uids, files) in unclear {
        match (uids.as_slice(), files.as_slice()) {
            ([uid], [file]) if !is_draft(remote, uid) && !is_draft(local, file) => {
                single.push((*uid, file.clone()));
            }
            _ => several.push((uids, files)),
        }
    }
    let likely = |(uid, file): &(Uid, MaildirId)| Likely {
        there: place.clone(),
        uid: *uid,
        here: Bytes::File(place.clone(), file.clone()),
    };
    let pieces: Vec<Likely> = single.iter().map(likely).collect();
    let fit = excerpt::compare(ctx, &pieces, &(0..pieces.len()).collect(), false)
        .await?
        .fit;
    for (at, (uid, file)) in single.into_iter().enumerate() {
        match fit.contains(&at) {
            true => links.push((uid, file)),
            false => several.push((vec![uid], vec![file])),
        }
    }
    let unproven = links.iter().map(|(uid, _)| *uid).collect();
    for (uids, files) in several {
        links.extend(match_content(ctx, place, &uids, &files, clues).await?.links);
    }
    Ok(Met { links, unproven })
}

async fn match_content<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    uids: &[Uid],
    files: &[MaildirId],
    clues: &Clues,
) -> Result<Matched, Ended> {
    if uids.is_empty() || files.is_empty() {
        return Ok(Matched::default());
    }
    let (mut there, mut here) = (HashSink::default(), HashSink::default());
    read_there(&mut *ctx.remote, place, uids, &mut there).await?;
    ctx.local.read(place, files, &mut here).await?;
    let remote = there
        .hashes
        .into_iter()
        .map(|(uid, (hash, _))| (uid, hash))
        .collect();
    let told = |file: &MaildirId| here.hashes.contains_key(file) || here.failed.contains(file);
    let vanished = files.iter().filter(|file| !told(file)).cloned().collect();
    let keys = here.hashes.into_iter().map(|(file, (key, _))| (file, key));
    let seekers = keys.map(|(file, key)| clues.seeker(file, key));
    let links = by_content(remote, seekers.collect()).links;
    Ok(Matched { links, vanished })
}

/// Returns the highest UID before an upload. `None`: its message has equal content, as a draft
/// with its Message-ID may be another version.
pub(super) fn above(upload: &Upload, local: &Look<MaildirId>) -> Above {
    let sure = upload.taken || !is_draft(local, &upload.file);
    (upload.committing && sure).then_some(upload.above)
}

fn is_draft<I: Id>(look: &Look<I>, id: &I) -> bool {
    let flags = look.seen.get(id).and_then(Option::as_ref);
    flags.is_none_or(|flags| flags.has(SystemFlag::Draft))
}

/// Returns UIDs of the base without a file that a new file has in its name: a run was cut between
/// delivery and record.
fn half_recorded(
    base: &MailboxBase,
    local: &Look<MaildirId>,
    hints: &BTreeMap<MaildirId, Uid>,
) -> Vec<Uid> {
    let claimed: BTreeSet<&Uid> = hints.values().collect();
    if claimed.is_empty() {
        return Vec::new();
    }
    let fileless = base
        .pairs
        .iter()
        .filter(|pair| local.shows_gone(&pair.file));
    let asides = base.aside.iter().filter_map(|aside| match &aside.id {
        AnyId::Remote(uid) => Some(*uid),
        AnyId::Local(_) => None,
    });
    let all = fileless.map(|pair| pair.uid).chain(asides);
    all.filter(|uid| claimed.contains(uid)).collect()
}

/// Returns the UIDs in names of downloaded files, for this mailbox and UIDVALIDITY.
pub(in crate::engine) fn hints(
    base: &MailboxBase,
    local: &Look<MaildirId>,
) -> BTreeMap<MaildirId, Uid> {
    let ours = |origin: &Origin| {
        origin.mailbox == base.tag && Some(origin.uid_validity) == base.uid_validity
    };
    let known = Known::of(base);
    let new = local.origins.iter().filter(|(file, _)| !known.file(file));
    let claims = new.filter(|(_, origin)| ours(origin));
    claims
        .map(|(file, origin)| (file.clone(), origin.uid))
        .collect()
}

#[cfg(test)]
#[path = "by_content_tests.rs"]
mod tests;
