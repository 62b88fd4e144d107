//! Resolves cut uploads whose file was moved to another mailbox since. If the message arrived, it
//! becomes a pair with that file, and the next pass sees a move. Otherwise the file would be
//! uploaded again, and the message doubled.

use crate::engine::context::{Context, passed_over, wait_for_sight};
use crate::engine::identify::evidence::read_there;
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::identify::stability::is_out_of_patience;
use crate::engine::identify::{letters, stability};
use crate::engine::pass_state::{PassState, Reason};
use crate::engine::recovery::{moved_messages, moves};
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Fate, Files, Scene, Scenes, whereabouts};
use crate::model::{Id, MailboxKey, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::Outcome;
use crate::reconcile::filed::keywords;
use crate::reconcile::settled::Moves;
use crate::reconcile::sighting::Whereabouts;
use crate::state::{HistoryChange, Upload};
use crate::store::{LocalStore, RemoteStore};
use std::collections::BTreeMap;

/// The place of a file when its upload was cut, and its place now.
struct Stray<'a> {
    upload: Upload,
    was: &'a Scene,
    now: &'a Scene,
}

/// The resolution of such an upload.
enum Became {
    /// The message arrived; the pair that it makes with its file.
    Message(Uid, Outcome),
    /// The message has not arrived.
    Nothing,
    /// The file was moved again since the scan.
    Lost,
    /// A side could not be read.
    Untold,
}

/// Records uploads that arrived, and defers those that are not resolved. `None`: the places of
/// files have to be read again.
pub(in crate::engine) async fn find_astray<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &Scenes,
    pass: &mut PassState,
) -> Result<Option<Moves>, Ended> {
    let mut moves = Moves::default();
    let mut open = ctx.state.uploads_in_doubt()?;
    if open.is_empty() {
        return Ok(Some(moves));
    }
    let now = (ctx.world.now)();
    if !ctx.options.dry_run && open.iter().any(|(_, upload)| upload.at > now) {
        ctx.state.uploads_begun_by(now)?;
        open = ctx.state.uploads_in_doubt()?;
    }
    let homes: BTreeMap<MaildirId, &MailboxName> = scenes
        .iter()
        .filter(|(_, scene)| scene.fate == Fate::Stays)
        .flat_map(|(name, scene)| scene.new_files().into_iter().map(move |f| (f, name)))
        .collect();
    let files = Files::of(scenes);
    if went_on(ctx, &open, (scenes, &files), pass).await? {
        return Ok(None);
    }
    moves::find_cut_moves(ctx, &open, (scenes, &files), &mut moves, pass).await?;
    let known = ctx.state.mailboxes()?.into_iter();
    let known: BTreeMap<MailboxKey, MailboxName> = known.map(|(name, key)| (key, name)).collect();
    let looked = by_key(scenes);
    let mut lost = Vec::new();
    for (key, upload) in open.clone() {
        if upload.moved.is_some() {
            continue;
        }
        let was = looked.get(&key).copied();
        let now = homes.get(&upload.file).and_then(|name| scenes.get(*name));
        // A copy with the same name is not a move.
        let stays = was.is_some_and(|was| files.lies_in(was, &upload.file));
        let (Some(was), Some(now)) = (was, now) else {
            let new = was.is_some_and(|was| files.is_new(was, &upload.file));
            let unseen = known.get(&key).is_some_and(|name| pass.is_hidden(name));
            await_file((new, unseen), (was, now), pass);
            let gone = was.filter(|was| !stays && was.fate == Fate::Stays);
            lost.extend(gone.map(|was| was.base.name.clone()));
            continue;
        };
        if !stays && was.base.name != now.base.name && was.fate == Fate::Stays {
            let stray = Stray { upload, was, now };
            if settle_stray(ctx, &stray, &mut moves, pass).await? {
                lost.push(was.base.name.clone());
            }
        }
    }
    if stability::await_files(ctx, &lost, scenes, pass).await? {
        return Ok(None);
    }
    moved_messages::find_carried(ctx, &open, (scenes, &files), &mut moves, pass).await?;
    Ok(Some(moves))
}

/// Whether a file that was seen in two mailboxes is gone from the first: it was moved between
/// the two scans, so the pass starts again.
async fn went_on<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    open: &[(MailboxKey, Upload)],
    (scenes, files): (&Scenes, &Files<'_>),
    pass: &mut PassState,
) -> Result<bool, Ended> {
    let shows = |scene: &Scene, file: &MaildirId| {
        let absent = [Whereabouts::Gone, Whereabouts::Unknown];
        files.lies_in(scene, file) && !absent.contains(&whereabouts(&scene.local, file))
    };
    let (looked, mut lost) = (by_key(scenes), Vec::new());
    for (key, Upload { file, .. }) in open {
        let Some(was) = looked.get(key).copied().filter(|was| shows(was, file)) else {
            continue;
        };
        let name = &was.base.name;
        let staying = scenes.values().filter(|s| s.fate == Fate::Stays);
        let mut others = staying.filter(|scene| scene.base.name != *name);
        let Some(other) = others.find(|scene| shows(scene, file)) else {
            continue;
        };
        let ids = [(file.clone(), None)];
        let told = ctx.local.excerpts(&was.place(), &ids).await;
        let told = passed_over(name, told, &Side::BOTH, pass)?;
        if told.is_some_and(|told| told.is_empty()) {
            lost.extend([name.clone(), other.base.name.clone()]);
        }
    }
    if stability::await_files(ctx, &lost, scenes, pass).await? {
        return Ok(true);
    }
    if is_out_of_patience(pass) {
        // The next run sees its place.
        lost.iter().for_each(|name| wait_for_sight(name, pass));
    }
    Ok(false)
}

/// Returns whether its file moved since the scan.
async fn settle_stray<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    stray: &Stray<'_>,
    moves: &mut Moves,
    pass: &mut PassState,
) -> Result<bool, Ended> {
    let Stray { upload, was, now } = stray;
    let file = &upload.file;
    let (name, place) = (&was.base.name, &now.base.name);
    let became = became(ctx, stray, moves, pass).await?;
    let lost = matches!(became, Became::Lost);
    if let Became::Message(uid, outcome) = became {
        moves.uids.insert((name.clone(), uid));
        moves.files.insert((place.clone(), file.clone()));
        pass.defer_all([name, place], Reason::InterruptedUpload);
        if !ctx.options.dry_run {
            let change = HistoryChange {
                mailbox: name.clone(),
                side: Side::Remote,
                what: "new",
                message: Some(uid.any()),
                why: format!("from {file}, whose upload was cut; it was moved to {place} since"),
                kept: None,
                flags: None,
                trail: None,
            };
            ctx.state.apply(was.base.key, &[outcome], &[change])?;
            // If neither side changes any more, another read would find the file unchanged.
            ctx.state.look_anew(was.base.key)?;
        }
    } else if matches!(became, Became::Untold) {
        pass.hide(name, &Side::BOTH);
        pass.hide(place, &Side::BOTH);
    } else if matches!(became, Became::Nothing) && (ctx.world.now)() - upload.at < ctx.options.grace
    {
        moves.astray.insert(file.clone(), place.clone());
    }
    Ok(lost)
}

/// Resolves one upload.
async fn became<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    stray: &Stray<'_>,
    moves: &Moves,
    pass: &mut PassState,
) -> Result<Became, Ended> {
    let Stray { upload, was, now } = stray;
    let mut uids = was.new_uids();
    uids.retain(|uid| {
        let taken = moves.uids.contains(&(was.base.name.clone(), *uid));
        uid.get() > upload.above && !taken
    });
    if uids.is_empty() {
        return Ok(Became::Nothing);
    }
    let files = [upload.file.clone()];
    let (mut there, mut here) = (HashSink::default(), HashSink::default());
    let read = ctx.local.read(&now.place(), &files, &mut here).await;
    let told_here = passed_over(&now.base.name, read, &Side::BOTH, pass)?.is_some();
    let read = read_there(&mut *ctx.remote, &was.place(), &uids, &mut there).await;
    let told_there = passed_over(&was.base.name, read, &Side::BOTH, pass)?.is_some();
    if !told_here || !told_there {
        return Ok(Became::Untold);
    }
    let Some((hash, size)) = here.hashes.get(&upload.file) else {
        return Ok(Became::Lost);
    };
    let stamp = here.stamps.get(&upload.file).copied();
    let same = there.hashes.iter().find(|(_, (other, _))| other == hash);
    let noted = letters::noted_keywords(ctx, was.base.key, &upload.file)?;
    Ok(same.map_or(Became::Nothing, |(uid, _)| {
        let there = was.remote.seen.get(uid).cloned().flatten();
        let here = now.local.seen.get(&upload.file).cloned().flatten();
        let here = match (here, noted) {
            (Some(here), Some(noted)) => Some(here.difference(&keywords(&here)).union(&noted)),
            (here, _) => here,
        };
        let outcome = Outcome::Paired {
            uid: *uid,
            file: upload.file.clone(),
            // Flags of one side only were set since.
            flags: there
                .unwrap_or_default()
                .intersection(&here.unwrap_or_default()),
            hash: *hash,
            size: *size,
            stamp,
            kin: None,
            replaces: None,
        };
        Became::Message(*uid, outcome)
    }))
}

/// Defers decisions if one of the two mailboxes of an upload was not read: a new message in the
/// other may be the upload or its file. The file `is_new` in its former place; that mailbox is
/// `unseen`.
fn await_file(
    (is_new, unseen): (bool, bool),
    (was, now): (Option<&Scene>, Option<&Scene>),
    pass: &mut PassState,
) {
    match (was, now) {
        (Some(was), None) if pass.hides(Side::Local) && !is_new => {
            wait_for_sight(&was.base.name, pass);
        }
        (None, Some(now)) if unseen => wait_for_sight(&now.base.name, pass),
        _ => {}
    }
}

/// Returns the mailboxes of the base that were read, by row.
fn by_key(scenes: &Scenes) -> BTreeMap<MailboxKey, &Scene> {
    let known = scenes.values().filter(|scene| scene.base.key.0 != 0);
    known.map(|scene| (scene.base.key, scene)).collect()
}
