//! Finds new files with the content of a known message.

use crate::engine::context::{Context, passed_over};
use crate::engine::identify::by_content::hints;
use crate::engine::identify::candidates::Candidates;
use crate::engine::identify::excerpt::passable;
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::{Fate, Scene, Scenes};
use crate::model::{ContentHash, MailboxKey, MailboxName, MaildirId, PairId, Side, Uid};
use crate::reconcile::settled::Moves;
use crate::reconcile::sighting::Sighting;
use crate::store::{LocalStore, Place, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

pub(in crate::engine) type Sent = BTreeMap<(MailboxName, ContentHash), (u32, BTreeSet<MaildirId>)>;

/// Returns new files with the content of a pair: those of its size are hashed.
pub(in crate::engine) async fn sight_files<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (scenes, overview): (&Scenes, &Overview),
    candidates: &mut Candidates,
    pass: &mut PassState,
) -> Result<Vec<Sighting<MaildirId>>, Ended> {
    let mut new: BTreeMap<&MailboxName, Vec<(MaildirId, u64)>> = BTreeMap::new();
    for (name, scene) in scenes.iter().filter(|(_, s)| s.fate == Fate::Stays) {
        let claimed = half_recorded(scene);
        let files = scene.new_files().into_iter();
        for file in files.filter(|file| !claimed.contains_key(file)) {
            if let Some(size) = scene.local.sizes.get(&file) {
                new.entry(name).or_default().push((file, *size));
            }
        }
    }
    let sizes: BTreeSet<u64> = new.values().flatten().map(|(_, size)| *size).collect();
    let mut known = ctx.state.known_sizes(&sizes)?;
    known.extend(candidates.noted.bodies().map(|(_, _, body)| body.size));
    let bare = bare_sizes(ctx, scenes, &new, &known, pass).await?;
    known.extend(ctx.state.known_sizes(&bare.values().copied().collect())?);
    let (mut sightings, mut contents) = (Vec::new(), BTreeSet::new());
    for (name, mut files) in new {
        let bare = |file: &MaildirId| bare.get(&(name.clone(), file.clone())).copied();
        files.retain(|(file, size)| {
            known.contains(size) || bare(file).is_some_and(|bare| known.contains(&bare))
        });
        let Some(scene) = scenes.get(name).filter(|_| !files.is_empty()) else {
            continue;
        };
        let sizes: BTreeMap<MaildirId, u64> = files.into_iter().collect();
        let files: Vec<MaildirId> = sizes.keys().cloned().collect();
        let mut sink = HashSink::default();
        let read = ctx.local.read(&scene.place(), &files, &mut sink).await;
        if passed_over(name, read, &Side::BOTH, pass)?.is_none() {
            continue;
        }
        for (id, (hash, stored)) in sink.hashes {
            let alike = sizes.get(&id).copied().into_iter().chain(bare(&id));
            contents.extend(alike.map(|size| (size, hash)));
            let flags = scene.local.seen.get(&id).cloned().flatten();
            sightings.push(Sighting {
                mailbox: name.clone(),
                id,
                hash,
                kin: None,
                flags: flags.unwrap_or_default(),
                size: Some(stored),
            });
        }
    }
    let relatives = ctx.state.pairs_by_content(&contents)?;
    let mut hashes: BTreeSet<ContentHash> = relatives.iter().map(|r| r.pair.hash).collect();
    hashes.extend(candidates.noted.bodies().map(|(_, _, body)| body.hash));
    sightings.retain(|sighting| hashes.contains(&sighting.hash));
    candidates.take(relatives, overview);
    Ok(sightings)
}

/// Files of other sizes may match without the header lines of mail readers.
async fn bare_sizes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &Scenes,
    new: &BTreeMap<&MailboxName, Vec<(MaildirId, u64)>>,
    known: &BTreeSet<u64>,
    pass: &mut PassState,
) -> Result<BTreeMap<(MailboxName, MaildirId), u64>, Ended> {
    let mut bare = BTreeMap::new();
    for (name, files) in new {
        let other = files.iter().filter(|(_, size)| !known.contains(size));
        let other: Vec<MaildirId> = other.map(|(file, _)| file.clone()).collect();
        if let Some(scene) = scenes.get(*name).filter(|_| !other.is_empty()) {
            let told = ctx.local.bare_sizes(&scene.place(), &other).await;
            let told = passed_over(name, told, &Side::BOTH, pass)?;
            for (file, size) in told.unwrap_or_default() {
                bare.insert(((*name).clone(), file), size);
            }
        }
    }
    Ok(bare)
}

/// Returns content hashes of interrupted uploads that may have been stored, with the highest
/// UID before and the source files. A new message above it with such a content may be that
/// upload; the table of messages resolves it.
pub(in crate::engine) async fn sent<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &Scenes,
    pass: &mut PassState,
) -> Result<Sent, Ended> {
    let mut open: BTreeMap<MailboxKey, BTreeMap<MaildirId, u32>> = BTreeMap::new();
    let sent = ctx.state.uploads_in_doubt()?.into_iter();
    for (key, upload) in sent.filter(|(_, upload)| upload.moved.is_none()) {
        let files = open.entry(key).or_default();
        files.insert(upload.file, upload.above);
    }
    let mut sent = Sent::new();
    for (name, scene) in scenes {
        let Some(open) = open.get(&scene.base.key) else {
            continue;
        };
        // The mailbox may be missing on disk, and created later.
        let there = open.keys().filter(|file| !scene.local.shows_gone(file));
        let files: Vec<MaildirId> = there.cloned().collect();
        if files.is_empty() {
            continue;
        }
        let mut sink = HashSink::default();
        let read = ctx.local.read(&scene.place(), &files, &mut sink).await;
        passed_over(name, read, &Side::BOTH, pass)?;
        for (file, (hash, _)) in sink.hashes {
            let above = open.get(&file).copied().unwrap_or(0);
            let entry = sent.entry((name.clone(), hash));
            let (lowest, files) = entry.or_insert((above, BTreeSet::new()));
            *lowest = above.min(*lowest);
            files.insert(file);
        }
    }
    Ok(sent)
}

/// Returns pairs in mailboxes outside this run whose file exists, as sources for copies.
pub(in crate::engine) async fn present<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &Scenes,
    overview: &Overview,
    candidates: &Candidates,
) -> Result<BTreeSet<PairId>, Ended> {
    let mut present = BTreeSet::new();
    for (name, relative) in candidates.pairs.values() {
        if scenes.contains_key(name) || overview.is_quiet(name) {
            continue;
        }
        let (mailbox, uid_validity) = (name.clone(), None);
        let ids = [(relative.pair.file.clone(), None)];
        let told = ctx
            .local
            .excerpts(
                &Place {
                    mailbox,
                    uid_validity,
                },
                &ids,
            )
            .await;
        if passable(told)?.is_some_and(|told| !told.is_empty()) {
            present.insert(relative.pair.id);
        }
    }
    Ok(present)
}

/// Removes messages that may be interrupted uploads.
pub(in crate::engine) fn leave_sent(
    (sent, astray): (&Sent, &Moves),
    uids: &mut Vec<Sighting<Uid>>,
    files: &mut Vec<Sighting<MaildirId>>,
) {
    uids.retain(|v| {
        let sent = sent.get(&(v.mailbox.clone(), v.hash));
        sent.is_none_or(|(above, _)| v.id.get() <= *above)
            && !astray.uids.contains(&(v.mailbox.clone(), v.id))
    });
    files.retain(|g| {
        let sent = sent.get(&(g.mailbox.clone(), g.hash));
        sent.is_none_or(|(_, files)| !files.contains(&g.id))
            && !astray.files.contains(&(g.mailbox.clone(), g.id.clone()))
            && !astray.astray.contains_key(&g.id)
    });
}

/// Returns files of new messages on the server that a cut run downloaded and did not record.
pub(in crate::engine) fn half_recorded(scene: &Scene) -> BTreeMap<MaildirId, Uid> {
    let new: BTreeSet<Uid> = scene.new_uids().into_iter().collect();
    if new.is_empty() {
        return BTreeMap::new();
    }
    let mut claims = hints(&scene.base, &scene.local);
    claims.retain(|_, uid| new.contains(uid));
    claims
}
