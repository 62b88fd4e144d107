//! Compares pieces of two messages that seem equal, without a full transfer.

use crate::engine::context::{Context, passed_over};
use crate::engine::identify::candidates::{Candidates, NewUid};
use crate::engine::identify::evidence::{excerpts_there, read_there};
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Scenes, whereabouts};
use crate::model::{ContentHash, Excerpt, Kin, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::sighting::{Sighting, Whereabouts};
use crate::state::RelatedPair;
use crate::store::{LocalStore, Place, Prefetch, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Candidates whose pieces are compared; of more, a sample of this many: thousands do not match by
/// chance without one of the sample.
const PROBES: usize = 16;

/// A readable local copy of a message.
#[derive(Clone)]
pub(in crate::engine) enum Bytes {
    File(Place, MaildirId),
    Quarantine(Vec<u8>),
}

/// A readable local copy for the content of new messages.
pub(in crate::engine) fn sources(
    scenes: &Scenes,
    files: &[Sighting<MaildirId>],
    candidates: &Candidates,
    pass: &PassState,
) -> BTreeMap<ContentHash, Bytes> {
    let mut sources: BTreeMap<ContentHash, Bytes> = BTreeMap::new();
    for buried in candidates.buried.values().flatten() {
        sources.insert(buried.hash, Bytes::Quarantine(buried.path.clone()));
    }
    for file in files {
        if let Some(scene) = scenes.get(&file.mailbox) {
            sources.insert(file.hash, Bytes::File(scene.place(), file.id.clone()));
        }
    }
    for (name, RelatedPair { pair, .. }) in candidates.pairs.values() {
        let look = scenes.get(name).map(|scene| &scene.local);
        let here = look.is_none_or(|look| whereabouts(look, &pair.file) == Whereabouts::Here);
        let (mailbox, uid_validity) = (name.clone(), None);
        let file = Bytes::File(
            Place {
                mailbox,
                uid_validity,
            },
            pair.file.clone(),
        );
        if here && !pass.is_hidden(name) {
            sources.insert(pair.hash, file);
        } else if here {
            sources.entry(pair.hash).or_insert(file);
        }
    }
    sources
}

/// A refusal by one mailbox proves nothing about a message, and stops no other.
pub(in crate::engine) fn passable<T>(told: Result<T, StoreError>) -> Result<Option<T>, Ended> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error) if error.is_local_to_mailbox() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Messages with their sizes.
type Sized = Vec<(Uid, Option<u64>)>;

/// A message on the server that may equal a readable local one.
pub(in crate::engine) struct Likely {
    pub there: Place,
    pub uid: Uid,
    pub here: Bytes,
}

/// The result of a comparison, by index.
pub(in crate::engine) struct Compared {
    /// Equal pieces.
    pub fit: BTreeSet<usize>,
    /// Unknown: a side could not be read.
    pub untold: BTreeSet<usize>,
    /// The files moved since the scan.
    pub vanished: BTreeSet<usize>,
    /// Wire sizes of the compared messages.
    pub sizes: BTreeMap<usize, u64>,
}

/// Up to this many messages are compared completely, if they are at most this large, bytes.
const FEW: usize = 16;
const SMALL: u64 = 256 << 10;

impl Compared {
    /// Whether pieces are insufficient: for drafts, whose versions may differ in a word, and for
    /// few messages.
    pub fn is_open(&self, at: usize, of: usize, draft: bool) -> bool {
        match self.sizes.get(&at) {
            Some(size) if Excerpt::is_whole(*size) => false,
            Some(size) => draft || of <= FEW && *size <= SMALL,
            None => draft,
        }
    }
}

/// Returns the indexes of candidates whose pieces are equal. For a message that the server
/// cannot deliver the envelope is sufficient.
pub(in crate::engine) async fn probe<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    likely: &[Likely],
) -> Result<Compared, Ended> {
    let all: BTreeSet<usize> = (0..likely.len()).collect();
    let step = likely.len().div_ceil(PROBES).max(1);
    let sample: BTreeSet<usize> = all.iter().copied().step_by(step).collect();
    let compared = compare(ctx, likely, &sample, true).await?;
    if compared.fit == sample {
        return Ok(Compared {
            fit: all,
            untold: BTreeSet::new(),
            vanished: BTreeSet::new(),
            sizes: compared.sizes,
        });
    }
    compare(ctx, likely, &all, true).await
}

/// Returns new messages on the server whose complete content is a known one, as far as it can
/// be read; and contents without a decision.
pub(in crate::engine) async fn same_bytes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    open: Vec<(NewUid, ContentHash)>,
    scenes: &Scenes,
    pass: &mut PassState,
) -> Result<(Vec<(NewUid, ContentHash)>, BTreeSet<ContentHash>), Ended> {
    let mut places: BTreeMap<MailboxName, (Place, Vec<Uid>)> = BTreeMap::new();
    for (new, _) in &open {
        if let Some(scene) = scenes.get(&new.mailbox) {
            let entry = places.entry(new.mailbox.clone());
            entry
                .or_insert_with(|| (scene.place(), Vec::new()))
                .1
                .push(new.uid);
        }
    }
    let next = places
        .values()
        .map(|(place, uids)| Prefetch::Read(place, uids));
    ctx.remote.prefetch(&next.collect::<Vec<_>>()).await?;
    let mut told: BTreeMap<(MailboxName, Uid), ContentHash> = BTreeMap::new();
    let mut silent: BTreeSet<MailboxName> = BTreeSet::new();
    for (name, (place, uids)) in places {
        let mut sink = HashSink::default();
        let read = read_there(&mut *ctx.remote, &place, &uids, &mut sink).await;
        if passed_over(&name, read, &[Side::Remote], pass)?.is_none() {
            silent.insert(name.clone());
        }
        let hashes = sink.hashes.into_iter();
        told.extend(hashes.map(|(uid, (hash, _))| ((name.clone(), uid), hash)));
    }
    let waits = open.iter().filter(|(new, _)| silent.contains(&new.mailbox));
    let waits = waits.map(|(_, hash)| *hash).collect();
    let same = open.into_iter().filter(|(new, hash)| {
        let content = told.get(&(new.mailbox.clone(), new.uid));
        content.is_none_or(|content| content == hash)
    });
    Ok((same.collect(), waits))
}

/// Returns new messages on the server with several candidates, resolved by content, and
/// contents without a decision.
pub(in crate::engine) async fn tell_apart<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    unclear: Vec<NewUid>,
    scenes: &Scenes,
    hashes: &BTreeMap<Kin, BTreeSet<ContentHash>>,
    pass: &mut PassState,
) -> Result<(Vec<(NewUid, ContentHash)>, BTreeSet<ContentHash>), Ended> {
    let (mut told, mut open) = (Vec::new(), BTreeSet::new());
    for new in unclear {
        let likely = hashes.get(&new.kin).cloned().unwrap_or_default();
        let Some(scene) = scenes.get(&new.mailbox) else {
            continue;
        };
        let (place, uids) = (scene.place(), [new.uid]);
        let mut sink = HashSink::default();
        let read = read_there(&mut *ctx.remote, &place, &uids, &mut sink).await;
        if passed_over(&new.mailbox, read, &[Side::Remote], pass)?.is_some() {
            let hash = sink.hashes.get(&new.uid).map(|(hash, _)| *hash);
            told.extend(hash.filter(|h| likely.contains(h)).map(|hash| (new, hash)));
        } else {
            told.extend(likely.first().map(|hash| (new, *hash)));
            open.extend(likely);
        }
    }
    Ok((told, open))
}

/// Returns candidates with equal pieces on both sides; `trusting`: also those without pieces on
/// the server.
pub(in crate::engine) async fn compare<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    likely: &[Likely],
    which: &BTreeSet<usize>,
    trusting: bool,
) -> Result<Compared, Ended> {
    let mut asked: Vec<(&Place, Sized)> = Vec::new();
    let chosen = |at: &usize| likely.get(*at);
    for one in which.iter().filter_map(chosen) {
        match asked.iter_mut().find(|(place, _)| **place == one.there) {
            Some((_, ids)) => ids.push((one.uid, None)),
            None => asked.push((&one.there, vec![(one.uid, None)])),
        }
    }
    let mut there: BTreeMap<(MailboxName, Uid), Excerpt> = BTreeMap::new();
    let mut refused: BTreeSet<Place> = BTreeSet::new();
    for (place, ids) in asked {
        let Some(told) = passable(excerpts_there(&mut *ctx.remote, place, &ids).await)? else {
            refused.insert(place.clone());
            continue;
        };
        let name = |(uid, excerpt)| ((place.mailbox.clone(), uid), excerpt);
        there.extend(told.into_iter().map(name));
    }
    let [mut fit, mut untold, mut vanished] = [const { BTreeSet::new() }; 3];
    let mut sizes = BTreeMap::new();
    for at in which {
        let Some(one) = likely.get(*at) else {
            continue;
        };
        let told = there.get(&(one.there.mailbox.clone(), one.uid));
        let size = told.map(|told| told.size);
        sizes.extend(size.map(|size| (*at, size)));
        let here = match &one.here {
            Bytes::File(place, file) => {
                let ids = [(file.clone(), size)];
                let here = passable(ctx.local.excerpts(place, &ids).await)?;
                here.map(|mut here| here.pop().map(|(_, excerpt)| excerpt))
            }
            Bytes::Quarantine(path) => passable(ctx.local.quarantined_excerpt(path, size).await)?,
        };
        let refused = told.is_none() && refused.contains(&one.there);
        let Some(here) = here.filter(|_| !refused) else {
            untold.insert(*at);
            continue;
        };
        if here.is_none() && matches!(one.here, Bytes::File(..)) {
            vanished.insert(*at);
        }
        if here.is_some() && told.map_or(trusting, |told| here.as_ref() == Some(told)) {
            fit.insert(*at);
        }
    }
    Ok(Compared {
        fit,
        untold,
        vanished,
        sizes,
    })
}
