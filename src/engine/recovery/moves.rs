//! Resolves cut moves on the server. They are recorded beforehand like uploads, as they are uploads
//! without a body.
//!
//! A server without MOVE copies and expunges (RFC 6851, 1). If the answer to COPY was lost, the
//! message may be in two mailboxes. If the file is in the target, the original is removed. If the
//! file moved on, the copy becomes its pair in the target, and the next pass sees a move or a
//! deletion; the original goes as a message without a file.

use crate::engine::context::{Context, passed_over, wait_for_sight};
use crate::engine::identify::evidence::read_there;
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::pass_state::{PassState, Reason};
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::{Files, Scene, Scenes, whereabouts};
use crate::model::{ContentHash, Id, MailboxKey, MailboxName, Side, Uid};
use crate::reconcile::settled::{CutMove, Moves};
use crate::reconcile::sighting::Whereabouts;
use crate::reconcile::{Coverage, Outcome};
use crate::state::{HistoryChange, MoveSource, Moved, RelatedPair, Trail, Upload};
use crate::store::{LocalStore, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// A cut move.
struct Cut<'a> {
    upload: &'a Upload,
    source: MoveSource,
    /// The pair.
    relative: RelatedPair,
    /// The source.
    home: &'a MailboxName,
    /// The target.
    target: &'a Scene,
    /// Whether the original still is in the source. `None`: unknown.
    original: Option<bool>,
}

/// New messages of the targets of cut moves: read once for all moves.
#[derive(Default)]
struct Arrived(BTreeMap<MailboxName, Contents>);

/// New messages of a mailbox on the server.
#[derive(Default)]
struct Contents {
    /// Those above this UID were read; `None`: none was.
    above: Option<u32>,
    by_content: BTreeMap<ContentHash, BTreeSet<Uid>>,
}

/// Records cut moves whose file is not in the target any more. Those whose file is there are
/// left to the table of moves.
pub(in crate::engine) async fn find_cut_moves<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    open: &[(MailboxKey, Upload)],
    (scenes, files): (&Scenes, &Files<'_>),
    moves: &mut Moves,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let keys = ctx.state.mailboxes()?;
    let names: BTreeMap<MailboxKey, &MailboxName> =
        keys.iter().map(|(name, key)| (*key, name)).collect();
    let name_of = |key: MailboxKey| names.get(&key).copied();
    let mut arrived = Arrived::default();
    for (key, upload) in open {
        let Some(source) = upload.moved else {
            continue;
        };
        let relative = ctx.state.pair(source.pair)?;
        let (Some(relative), Some(name)) = (relative, name_of(*key)) else {
            continue;
        };
        let Some(home) = name_of(relative.mailbox) else {
            continue;
        };
        let Some(target) = scenes.get(name).filter(|_| !pass.is_hidden(name)) else {
            if pass.is_hidden(name) {
                wait_for_sight(home, pass);
                moves.waits.insert(relative.pair.hash);
            }
            continue;
        };
        let cut = Cut {
            upload,
            source,
            original: is_there(name_of(source.mailbox), &source, &relative, scenes, pass),
            relative,
            home,
            target,
        };
        if !files.stays_new(target, &upload.file) {
            settle_cut_move(ctx, &cut, &mut arrived, moves, pass).await?;
        } else if let Some(from) = name_of(source.mailbox) {
            moves.cut.push(CutMove {
                pair: source.pair,
                from: (from.clone(), source.uid),
                to: (name.clone(), upload.file.clone()),
                above: upload.above,
                may_come: may_come(ctx, upload),
            });
        }
    }
    Ok(())
}

/// Resolves a move whose file moved on or is gone.
async fn settle_cut_move<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    cut: &Cut<'_>,
    arrived: &mut Arrived,
    moves: &mut Moves,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let name = &cut.target.base.name;
    let (there, here) = (&cut.target.remote, &cut.target.local);
    let partial = [
        there.coverage == Coverage::Partial,
        here.coverage == Coverage::Partial,
    ];
    let arrived = match partial {
        [false, false] => copied_there(ctx, cut, arrived, moves, pass).await?,
        _ => None,
    };
    // Originals that still are in the source.
    let arrived = match (arrived, cut.original) {
        (Some(Some(uid)), Some(original)) => Some(Some((uid, original))),
        (Some(None), _) => Some(None),
        _ => None,
    };
    let pair = &cut.relative.pair;
    match arrived {
        Some(Some((uid, original))) => {
            moves.pairs.insert(pair.id);
            moves.waits.insert(pair.hash);
            moves.uids.insert((name.clone(), uid));
            moves.uids.insert((cut.home.clone(), cut.source.uid));
            pass.defer_all([name, cut.home], Reason::InterruptedMove);
            record_copied(ctx, cut, uid, original)?;
        }
        Some(None) if may_come(ctx, cut.upload) => {
            moves.pairs.insert(pair.id);
            moves.waits.insert(pair.hash);
            moves.uids.insert((cut.home.clone(), cut.source.uid));
            moves.astray.insert(cut.upload.file.clone(), name.clone());
        }
        Some(None) => {}
        None => {
            moves.waits.insert(pair.hash);
            wait_for_sight(name, pass);
            wait_for_sight(cut.home, pass);
        }
    }
    Ok(())
}

/// Returns the message in the target. `None`: unknown.
async fn copied_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    cut: &Cut<'_>,
    arrived: &mut Arrived,
    moves: &Moves,
    pass: &mut PassState,
) -> Result<Option<Option<Uid>>, Ended> {
    let (name, above) = (&cut.target.base.name, cut.upload.above);
    let known = arrived.0.entry(name.clone()).or_default();
    let read_above = known.above.unwrap_or(u32::MAX);
    if above < read_above {
        let mut uids = cut.target.new_uids();
        uids.retain(|uid| above < uid.get() && uid.get() <= read_above);
        let mut sink = HashSink::default();
        if !uids.is_empty() {
            let place = cut.target.place();
            let read = read_there(&mut *ctx.remote, &place, &uids, &mut sink).await;
            if passed_over(name, read, &Side::BOTH, pass)?.is_none() {
                return Ok(None);
            }
        }
        for (uid, (hash, _)) in sink.hashes {
            known.by_content.entry(hash).or_default().insert(uid);
        }
        known.above = Some(above);
    }
    let alike = known.by_content.get(&cut.relative.pair.hash);
    let free = |uid: &&Uid| uid.get() > above && !moves.uids.contains(&(name.clone(), **uid));
    Ok(Some(alike.and_then(|uids| uids.iter().find(free).copied())))
}

/// Records the arrived message as the moved one; or as a copy, if the original still exists,
/// which then loses its file.
fn record_copied<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    cut: &Cut<'_>,
    uid: Uid,
    original: bool,
) -> Result<(), Ended> {
    if ctx.options.dry_run {
        return Ok(());
    }
    let (pair, base) = (&cut.relative.pair, &cut.target.base);
    let file = cut.upload.file.clone();
    let change = HistoryChange {
        mailbox: base.name.clone(),
        side: Side::Remote,
        what: if original { "copied" } else { "moved" },
        message: Some(uid.any()),
        why: format!("from {}; the run that moved it there was cut", cut.home),
        kept: None,
        flags: None,
        trail: (!original).then(|| Trail::from(cut.home).of_pair(pair.id)),
    };
    if !original {
        let moved = Moved {
            pair: pair.id,
            to: base.key,
            uid,
            file: Some(file),
            size: None,
        };
        ctx.state.apply_moves(&[moved], &[change])?;
    } else {
        let there = cut.target.remote.seen.get(&uid).cloned().flatten();
        let outcome = Outcome::Paired {
            uid,
            file,
            // Flags of one side only were set since.
            flags: there.unwrap_or_default().intersection(&pair.flags),
            hash: pair.hash,
            size: pair.size,
            stamp: None,
            kin: pair.kin,
            replaces: None,
        };
        let renamed = renamed(&cut.source, &cut.relative);
        let beside = Some((base.key, &outcome));
        ctx.state
            .move_and_pair(renamed.as_slice(), beside, &[change])?;
    }
    // If neither side changes any more, another read would find both unchanged.
    ctx.state.look_anew(base.key)?;
    ctx.state.look_anew(cut.relative.mailbox)?;
    Ok(())
}

/// Returns the original and its place, if it exists under another UID than in the base. `None`:
/// unknown.
pub(in crate::engine) fn renamed_there<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    moved: Option<MoveSource>,
    scenes: &Scenes,
    pass: &PassState,
) -> Result<Option<Option<(MailboxName, Moved)>>, Ended> {
    let Some(source) = moved else {
        return Ok(Some(None));
    };
    let names = ctx.state.mailboxes()?;
    let from = names.iter().find(|(_, key)| **key == source.mailbox);
    let (Some((from, _)), Some(relative)) = (from, ctx.state.pair(source.pair)?) else {
        return Ok(Some(None));
    };
    let left = is_there(Some(from), &source, &relative, scenes, pass);
    let moved = |left: bool| {
        let moved = renamed(&source, &relative).filter(|_| left)?;
        Some((from.clone(), moved))
    };
    Ok(left.map(moved))
}

/// Whether the server may still execute the command.
fn may_come<R: RemoteStore, L: LocalStore>(ctx: &Context<'_, R, L>, upload: &Upload) -> bool {
    let fresh = (ctx.world.now)() - upload.at < ctx.options.grace;
    // An atomic move finds nothing if it was made before.
    fresh && !ctx.remote.has_atomic_move()
}

/// Returns the original if the server gave it another UID in its mailbox.
fn renamed(source: &MoveSource, relative: &RelatedPair) -> Option<Moved> {
    let renamed = source.uid != relative.pair.uid && source.mailbox == relative.mailbox;
    renamed.then_some(Moved {
        pair: source.pair,
        to: source.mailbox,
        uid: source.uid,
        file: None,
        size: None,
    })
}

/// Whether a message still is in the source.
fn is_there(
    from: Option<&MailboxName>,
    source: &MoveSource,
    relative: &RelatedPair,
    scenes: &Scenes,
    pass: &PassState,
) -> Option<bool> {
    let Some(name) = from else {
        return Some(false);
    };
    let known = relative.pair.uid == source.uid && relative.mailbox == source.mailbox;
    match scenes.get(name) {
        None if pass.is_hidden(name) => None,
        // Nothing changed there.
        None => Some(known),
        // A complete snapshot contains each unknown message.
        Some(scene) if !known && !scene.remote.leaves_open(&source.uid) => {
            Some(scene.remote.seen.contains_key(&source.uid))
        }
        Some(scene) => match whereabouts(&scene.remote, &source.uid) {
            Whereabouts::Unknown => None,
            seen => Some(seen != Whereabouts::Gone),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain_values::{mb, pair, scene, uid};
    use crate::model::PairId;
    use crate::reconcile::{Cursor, Look};

    fn told(pairs: &[u32], seen: &[u32], coverage: Coverage<Uid>) -> Scenes {
        let mut one = scene("A", pairs);
        one.remote = Look::unchanged(None, Cursor::default());
        one.remote.coverage = coverage;
        one.remote.seen = seen.iter().map(|n| (uid(*n), None)).collect();
        [(mb("A"), one)].into()
    }

    fn relative(mailbox: i64) -> RelatedPair {
        RelatedPair {
            pair: pair(1),
            mailbox: MailboxKey(mailbox),
        }
    }

    fn source(n: u32) -> MoveSource {
        MoveSource {
            pair: PairId(1),
            mailbox: MailboxKey(1),
            uid: uid(n),
        }
    }

    #[test]
    fn what_is_left_of_a_move_is_asked_for_where_it_was_taken_from() {
        let (a, none, quiet) = (mb("A"), Scenes::new(), PassState::default());
        let asked = |n, scenes: &Scenes, pass: &PassState| {
            is_there(Some(&a), &source(n), &relative(1), scenes, pass)
        };
        assert_eq!(
            is_there(None, &source(1), &relative(1), &none, &quiet),
            Some(false)
        );
        // Nothing changed in its mailbox.
        assert_eq!(asked(1, &none, &quiet), Some(true));
        assert_eq!(asked(2, &none, &quiet), Some(false));
        let other = is_there(Some(&a), &source(1), &relative(2), &none, &quiet);
        assert_eq!(
            other,
            Some(false),
            "taken from a mailbox that is not its own"
        );
        let mut hidden = PassState::default();
        hidden.hide(&a, &Side::BOTH);
        assert_eq!(asked(1, &none, &hidden), None);
        // It was read.
        let (whole, part) = (Coverage::Complete, Coverage::Partial);
        assert_eq!(
            asked(1, &told(&[1], &[1], whole.clone()), &quiet),
            Some(true)
        );
        assert_eq!(
            asked(1, &told(&[1], &[], whole.clone()), &quiet),
            Some(false)
        );
        assert_eq!(asked(1, &told(&[1], &[], part), &quiet), None);
        // Under another UID than in the base.
        assert_eq!(
            asked(2, &told(&[1], &[2], whole.clone()), &quiet),
            Some(true)
        );
        assert_eq!(asked(2, &told(&[1], &[1], whole), &quiet), Some(false));
        assert_eq!(asked(2, &told(&[1], &[1], Coverage::Partial), &quiet), None);
        let gone = Default::default();
        let changes = told(&[1], &[], Coverage::Delta { gone });
        assert_eq!(asked(1, &changes, &quiet), Some(true));
        assert_eq!(asked(2, &changes, &quiet), Some(false));
    }

    #[test]
    fn only_another_uid_in_the_same_mailbox_is_recorded_as_such() {
        let moved = renamed(&source(2), &relative(1)).map(|moved| (moved.to, moved.uid));
        assert_eq!(moved, Some((MailboxKey(1), uid(2))));
        assert!(renamed(&source(1), &relative(1)).is_none());
        assert!(renamed(&source(2), &relative(2)).is_none(), "it went on");
    }
}
