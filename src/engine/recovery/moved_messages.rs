//! Resolves cut uploads whose message another client moved to another mailbox since.
//!
//! Evidence that the APPEND succeeded: UIDNEXT advanced past UIDs that do not exist, and another
//! mailbox has a new message with the same content. File and message become a pair under such a
//! UID, and the next pass sees a move. Otherwise the file would be uploaded again, and the message
//! doubled.

use crate::engine::context::{Context, passed_over, wait_for_sight};
use crate::engine::execute::create_mailboxes::line;
use crate::engine::identify::evidence::{kin_there, prints_there, read_there};
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::pass_state::{PassState, Reason};
use crate::engine::recovery::moves;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Fate, Files, Scene, Scenes, whereabouts};
use crate::model::{
    ContentHash, Flags, Id, Kin, MailboxKey, MailboxName, MaildirId, PairId, Side, SystemFlag, Uid,
};
use crate::reconcile::settled::Moves;
use crate::reconcile::sighting::Whereabouts;
use crate::reconcile::{Coverage, Outcome};
use crate::state::{HistoryChange, Moved, Upload};
use crate::store::{LocalStore, Place, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// An upload that may have arrived and been moved.
struct Doubt<'a> {
    upload: &'a Upload,
    /// Its target.
    home: Place,
    /// The snapshot of the target; `None`: it could not be read.
    scene: Option<&'a Scene>,
    hash: ContentHash,
    /// Bytes as stored.
    size: u64,
    /// Bytes on the wire, also with a final line end that the server added.
    sizes: [u64; 4],
    /// UIDs above the highest one before it that were assigned since and do not exist.
    went_by: Rc<[Uid]>,
}

/// Such UIDs, found once for uploads that began together.
#[derive(Default)]
struct WentBy(BTreeMap<(MailboxKey, u32), Rc<[Uid]>>);

impl WentBy {
    fn of(&mut self, scene: &Scene, above: u32) -> Rc<[Uid]> {
        let known = self.0.entry((scene.base.key, above));
        known
            .or_insert_with(|| went_by(scene, above).into())
            .clone()
    }
}

/// Most UIDs to consider: a server may claim that 4 billion were assigned.
const ENOUGH: usize = 1000;

/// The time that new messages on the server wait for an unreadable file of an unresolved upload,
/// which they may equal, seconds.
const PATIENCE: i64 = 3600;

/// New messages on the server, by content and mailbox.
type Places = BTreeMap<ContentHash, BTreeMap<MailboxName, Vec<Uid>>>;

/// Records uploads whose message is in another mailbox, and defers unresolved ones.
pub(in crate::engine) async fn find_carried<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    open: &[(MailboxKey, Upload)],
    (scenes, files): (&Scenes, &Files<'_>),
    moves: &mut Moves,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let doubts = doubts(ctx, open, (scenes, files), pass).await?;
    if doubts.is_empty() {
        return Ok(());
    }
    let sizes = doubts.iter().flat_map(|doubt| doubt.sizes).collect();
    let mut free = there(ctx, &sizes, scenes, moves, pass).await?;
    let mut met = leave_met(ctx, &sizes, &mut free, scenes, pass).await?;
    leave_claimed(ctx, &doubts, &mut free, scenes)?;
    leave_originals(ctx, &doubts, &mut free)?;
    for doubt in doubts {
        let name = &doubt.home.mailbox;
        if let Some(met) = met.get_mut(&(doubt.hash, name.clone()))
            && *met > 0
        {
            *met -= 1;
            continue;
        }
        let alike = free.get_mut(&doubt.hash).into_iter().flatten();
        let mut others = alike.filter(|(place, uids)| *place != name && !uids.is_empty());
        let found = others.next();
        let scene = doubt.scene.filter(|_| !pass.is_hidden(name));
        match (scene, found) {
            (Some(scene), Some((place, uids))) => {
                let found = (place.clone(), uids.remove(0));
                let place = (scene, found, scenes);
                record_carried(ctx, &doubt, place, moves, pass).await?;
            }
            (Some(_), None) if pass.hides(Side::Remote) => {
                wait_with(&doubt, moves);
                wait_for_sight(name, pass);
            }
            (None, Some((place, _))) => {
                wait_with(&doubt, moves);
                wait_for_sight(place, pass);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns uploads whose file is in its place, and whose target has assigned UIDs since or is
/// unknown.
async fn doubts<'a, R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    open: &'a [(MailboxKey, Upload)],
    (scenes, here): (&'a Scenes, &Files<'_>),
    pass: &mut PassState,
) -> Result<Vec<Doubt<'a>>, Ended> {
    let names = ctx.state.mailboxes()?.into_iter();
    let names: BTreeMap<MailboxKey, MailboxName> = names.map(|(name, key)| (key, name)).collect();
    let mut sent: BTreeMap<MailboxKey, usize> = BTreeMap::new();
    for (key, _) in open {
        *sent.entry(*key).or_default() += 1;
    }
    let mut all = WentBy::default();
    let mut left = |scene: &Scene, key: &MailboxKey, upload: &Upload| {
        let sent = sent.get(key).copied().unwrap_or(0);
        let went_by = all.of(scene, upload.above);
        let left = may_have_left(went_by.len(), upload.above, sent);
        (left && here.stays_new(scene, &upload.file)).then_some(went_by)
    };
    let mut doubts = Vec::new();
    for (key, upload) in open {
        let Some(name) = names.get(key) else {
            continue;
        };
        let (scene, went_by) = match scenes.get(name) {
            None if pass.is_hidden(name) => (None, Rc::default()),
            None => continue,
            Some(scene) if scene.remote.coverage == Coverage::Partial => (None, Rc::default()),
            Some(scene) => match left(scene, key, upload) {
                Some(went_by) => (Some(scene), went_by),
                None => continue,
            },
        };
        let home = Place {
            mailbox: name.clone(),
            uid_validity: scene.and_then(|scene| scene.base.uid_validity),
        };
        let mut sink = HashSink::default();
        let files = std::slice::from_ref(&upload.file);
        let prints = ctx.local.fingerprints(&home, files, None).await;
        let prints = passed_over(name, prints, &Side::BOTH, pass)?;
        let read = ctx.local.read(&home, files, &mut sink).await;
        let read = passed_over(name, read, &Side::BOTH, pass)?;
        if read.is_none() || prints.is_none() {
            if (ctx.world.now)() - upload.at < PATIENCE {
                wait_for_all(scenes, pass);
            }
            continue;
        }
        let print = prints.and_then(|prints| prints.into_iter().next());
        let content = sink.hashes.into_values().next();
        if let (Some((_, print)), Some((hash, size))) = (print, content) {
            let sizes = [print.size, print.whole, print.size + 2, print.whole + 2];
            doubts.push(Doubt {
                upload,
                home,
                scene,
                hash,
                size,
                sizes,
                went_by,
            });
        }
    }
    Ok(doubts)
}

/// Returns the new messages on the server of these sizes.
async fn there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    sizes: &BTreeSet<u64>,
    scenes: &Scenes,
    moves: &Moves,
    pass: &mut PassState,
) -> Result<Places, Ended> {
    let mut all = Places::new();
    for (name, scene) in scenes.iter().filter(|(_, s)| s.fate == Fate::Stays) {
        let mut uids = scene.new_uids();
        uids.retain(|uid| {
            let flags = scene.remote.seen.get(uid).cloned().flatten();
            let marked = flags.is_some_and(|flags| flags.has(SystemFlag::Deleted));
            !marked && !moves.uids.contains(&(name.clone(), *uid))
        });
        if uids.is_empty() {
            continue;
        }
        let place = scene.place();
        let prints = prints_there(&mut *ctx.remote, &place, (&uids, Some(sizes))).await;
        let prints = passed_over(name, prints, &Side::BOTH, pass)?;
        let alike: Vec<Uid> = prints.into_iter().flatten().map(|(uid, _)| uid).collect();
        if !alike.is_empty() {
            let mut sink = HashSink::default();
            let read = read_there(&mut *ctx.remote, &place, &alike, &mut sink).await;
            passed_over(name, read, &Side::BOTH, pass)?;
            for (uid, (hash, _)) in sink.hashes {
                let places: &mut BTreeMap<_, Vec<Uid>> = all.entry(hash).or_default();
                places.entry(name.clone()).or_default().push(uid);
            }
        }
    }
    Ok(all)
}

/// Removes messages that are new on both sides in one mailbox, which are equal; returns the
/// number of others.
async fn leave_met<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    sizes: &BTreeSet<u64>,
    free: &mut Places,
    scenes: &Scenes,
    pass: &mut PassState,
) -> Result<BTreeMap<(ContentHash, MailboxName), usize>, Ended> {
    let mut met = BTreeMap::new();
    let names: BTreeSet<MailboxName> = free
        .values()
        .flat_map(|places| places.keys().cloned())
        .collect();
    for name in names {
        let Some(scene) = scenes.get(&name) else {
            continue;
        };
        let (place, files) = (scene.place(), scene.new_files());
        if files.is_empty() {
            // It may still have to be created locally.
            continue;
        }
        let prints = ctx.local.fingerprints(&place, &files, Some(sizes)).await;
        let prints = passed_over(&name, prints, &Side::BOTH, pass)?;
        let prints = prints.into_iter().flatten();
        let alike: Vec<MaildirId> = prints.map(|(file, _)| file).collect();
        let mut sink = HashSink::default();
        let read = ctx.local.read(&place, &alike, &mut sink).await;
        passed_over(&name, read, &Side::BOTH, pass)?;
        for (hash, _) in sink.hashes.into_values() {
            let alike = free.get_mut(&hash).and_then(|places| places.get_mut(&name));
            if alike.and_then(Vec::pop).is_some() {
                *met.entry((hash, name.clone())).or_default() += 1;
            }
        }
        if pass.is_hidden(&name) {
            free.values_mut()
                .for_each(|places| drop(places.remove(&name)));
        }
    }
    Ok(met)
}

/// Removes as many as pairs of the same content may have become; all, if such a pair is in its
/// place, as they may be copies of it.
fn leave_claimed<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    doubts: &[Doubt<'_>],
    free: &mut Places,
    scenes: &Scenes,
) -> Result<(), Ended> {
    let names = ctx.state.mailboxes()?.into_iter();
    let names: BTreeMap<MailboxKey, MailboxName> = names.map(|(name, key)| (key, name)).collect();
    let contents = doubts
        .iter()
        .map(|doubt| (doubt.size, doubt.hash))
        .collect();
    let moved = doubts.iter().filter_map(|doubt| doubt.upload.moved);
    let moved: BTreeSet<PairId> = moved.map(|source| source.pair).collect();
    let relatives = ctx.state.pairs_by_content(&contents)?.into_iter();
    // A message that the server was to move is not the result of an upload.
    for relative in relatives.filter(|relative| !moved.contains(&relative.pair.id)) {
        let (hash, uid) = (relative.pair.hash, relative.pair.uid);
        let stays = names
            .get(&relative.mailbox)
            .is_some_and(|name| match scenes.get(name) {
                Some(scene) => whereabouts(&scene.remote, &uid) == Whereabouts::Here,
                // Where it cannot be looked for, the result is unknown.
                None => true,
            });
        for uids in free
            .get_mut(&hash)
            .into_iter()
            .flat_map(BTreeMap::values_mut)
        {
            if stays {
                uids.clear();
            } else if uids.pop().is_some() {
                break;
            }
        }
    }
    Ok(())
}

/// Removes the messages that the server was to move.
fn leave_originals<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    doubts: &[Doubt<'_>],
    free: &mut Places,
) -> Result<(), Ended> {
    let names = ctx.state.mailboxes()?;
    let sources = doubts.iter().filter_map(|doubt| doubt.upload.moved);
    let sources: BTreeSet<(MailboxKey, Uid)> =
        sources.map(|source| (source.mailbox, source.uid)).collect();
    for (place, uids) in free.values_mut().flatten() {
        if let Some(key) = names.get(place) {
            uids.retain(|uid| !sources.contains(&(*key, *uid)));
        }
    }
    Ok(())
}

async fn record_carried<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    doubt: &Doubt<'_>,
    (scene, (place, now), scenes): (&Scene, (MailboxName, Uid), &Scenes),
    moves: &mut Moves,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let (name, file) = (&doubt.home.mailbox, &doubt.upload.file);
    let free = |uid: &Uid| !moves.uids.contains(&(name.clone(), *uid));
    let uid = doubt.went_by.iter().copied().find(free);
    let (Some(uid), Some(target)) = (uid, scenes.get(&place)) else {
        return Ok(());
    };
    let Some(renamed) = moves::renamed_there(ctx, doubt.upload.moved, scenes, pass)? else {
        wait_with(doubt, moves);
        wait_for_sight(name, pass);
        return Ok(());
    };
    let kin = kin_there(&mut *ctx.remote, &target.place(), &[now]).await;
    let Some(kin) = passed_over(&place, kin, &Side::BOTH, pass)? else {
        wait_for_sight(name, pass);
        return Ok(());
    };
    let kin = kin.into_iter().next().map(|(_, kin): (Uid, Kin)| kin);
    let buried = ctx.state.buried(&kin.into_iter().collect())?;
    if buried.iter().any(|buried| buried.hash == doubt.hash) {
        // Deleted locally after it was gone on the server: it comes back from quarantine.
        return Ok(());
    }
    let uids = [(name.clone(), uid), (place.clone(), now)];
    moves.uids.extend(uids);
    moves.files.insert((name.clone(), file.clone()));
    wait_with(doubt, moves);
    moves.uids.extend(
        renamed
            .iter()
            .map(|(from, moved)| (from.clone(), moved.uid)),
    );
    pass.defer_all([name, &place], Reason::InterruptedUpload);
    if ctx.options.dry_run {
        return Ok(());
    }
    let there = target.remote.seen.get(&now).cloned().flatten();
    let here = scene.local.seen.get(file).cloned().flatten();
    let outcome = Outcome::Paired {
        uid,
        file: file.clone(),
        // Flags of one side only were set since.
        flags: held(there).intersection(&held(here)),
        hash: doubt.hash,
        size: doubt.size,
        stamp: None,
        kin,
        replaces: None,
    };
    let change = HistoryChange {
        message: Some(uid.any()),
        why: format!("from {file}, whose upload was cut; it was moved there to {place} since"),
        ..line(name, Side::Remote, "new")
    };
    let moved: Vec<Moved> = renamed.into_iter().map(|(_, moved)| moved).collect();
    let pair = Some((scene.base.key, &outcome));
    ctx.state.move_and_pair(&moved, pair, &[change])?;
    // If neither side changes any more, another read would find the message unchanged.
    Ok(ctx.state.look_anew(scene.base.key)?)
}

fn held(flags: Option<Flags>) -> Flags {
    flags.unwrap_or_default()
}

/// Defers moves of the server and all of their content.
fn wait_with(doubt: &Doubt<'_>, moves: &mut Moves) {
    if let Some(source) = doubt.upload.moved {
        moves.pairs.insert(source.pair);
        moves.waits.insert(doubt.hash);
    }
}

/// Defers new messages on the server.
fn wait_for_all(scenes: &Scenes, pass: &mut PassState) {
    for (name, scene) in scenes {
        if !scene.new_uids().is_empty() {
            wait_for_sight(name, pass);
        }
    }
}

/// Whether one of the UIDs above this one may have been the message of an upload; `uploads` are
/// unresolved in this mailbox.
fn may_have_left(went_by: usize, above: u32, sent: usize) -> bool {
    // The mailbox was empty, or its UIDs began anew: most of the assigned UIDs prove nothing.
    let few = above > 0 || went_by <= sent;
    went_by > 0 && few
}

/// Returns UIDs that were assigned since the upload began and do not exist.
fn went_by(scene: &Scene, above: u32) -> Vec<Uid> {
    let known = scene.pairs().map(|pair| pair.uid);
    let there = scene.remote.seen.keys().copied().chain(known);
    let there: BTreeSet<Uid> = there.filter(|uid| uid.get() > above).collect();
    let given = above.saturating_add(1)..scene.remote.next.unwrap_or(0);
    let gone = given
        .filter_map(Uid::new)
        .filter(|uid| !there.contains(uid));
    gone.take(ENOUGH).collect()
}

#[cfg(test)]
#[path = "moved_messages_tests.rs"]
mod tests;
