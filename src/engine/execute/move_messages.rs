//! Moves within one side, where the other side moved: no body is transferred. Records the actual
//! places; a cut run finds messages by the same evidence. Moves on the server are recorded
//! beforehand like uploads, as that evidence is lost if message or file move again before the next
//! run (`cut_moves`).

use crate::engine::context::Context;
use crate::engine::execute::job::{Work, Works};
use crate::engine::execute::narrow::narrowed;
use crate::engine::execute::refusals;
use crate::engine::execute::singly::{Parts, parts};
use crate::engine::execute::transfer::breaks::IN_SUCCESSION;
use crate::engine::identify::evidence::kin_there;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::uid_proof;
use crate::engine::snapshot::uid_proof::sample;
use crate::model::{AnyId, Flags, Id, MailboxName, MaildirId, PairId, Side, Uid};
use crate::reconcile::action::Move;
use crate::reconcile::{Action, Outcome};
use crate::state::{HistoryChange, MoveSource, Moved, Trail, UidDoubt};
use crate::store::{LocalStore, Place, RemoteStore, Removal, Removed, Shift, StoreError, Transfer};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Messages that are recorded together.
pub(in crate::engine) const BATCH: usize = 5000;

/// Moved messages by former and, if known, new UID.
type Transferred = Vec<(Uid, Option<Uid>)>;

/// Source and target.
pub(in crate::engine) type Route = (Side, MailboxName, MailboxName);

/// Moves within one side.
pub(in crate::engine) async fn move_mail<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut routes: BTreeMap<Route, Vec<Move>> = BTreeMap::new();
    for (to, work) in works.iter() {
        for action in &work.plan.actions {
            if let Action::Move(one) = action {
                let route = (one.id.side(), one.from.clone(), to.clone());
                routes.entry(route).or_default().push((**one).clone());
            }
        }
    }
    let names: Vec<MailboxName> = works.keys().cloned().collect();
    for to in names {
        let done = note_names(ctx, works, &to);
        settle(ctx, &to, done, works, pass)?;
    }
    for ((side, from, to), moves) in routes {
        for batch in moves.chunks(BATCH) {
            ctx.check_stop()?;
            let done = match side {
                Side::Local => move_here(ctx, works, (&from, &to), batch, pass).await,
                Side::Remote => move_parts(ctx, works, (&from, &to), batch, pass).await,
            };
            if let (Side::Remote, Err(Ended::Store(StoreError::Mailbox(why)))) = (side, &done) {
                let why = format!("it was moved to {to} here: {why}");
                refusals::refuse_changes(ctx, batch.iter().map(|one| one.pair.id), &why)?;
            }
            settle(ctx, &to, done, works, pass)?;
        }
    }
    Ok(())
}

/// Moves on the server. If a move is a COPY first, messages at which the connection broke are
/// sent separately, when a snapshot proved that they were not copied.
async fn move_parts<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    route: (&MailboxName, &MailboxName),
    moves: &[Move],
    pass: &mut PassState,
) -> Result<(), Ended> {
    let key = ctx.state.mailbox_key(route.0)?;
    let Some(key) = key.filter(|_| !ctx.remote.has_atomic_move()) else {
        return move_there(ctx, works, route, moves, pass).await;
    };
    let known = ctx.state.suspects()?.remove(&key).unwrap_or_default();
    let refused = ctx.state.refused_changes()?;
    let breaks = |one: &Move| known.get(&one.id).copied().unwrap_or(0);
    let attempts = |one: &Move| {
        let before = refused.iter().find(|before| before.pair == one.pair.id);
        before.map_or(0, |before| before.attempts)
    };
    let passed = pass.counts.moved_remote > 0;
    let Parts { parts, culprits } = parts(moves.to_vec(), breaks, attempts, passed);
    let why = format!("the connection breaks when it is moved to {}", route.1);
    refusals::refuse_changes(ctx, culprits.iter().map(|one| one.pair.id), &why)?;
    let (mut broke, mut count) = (None, 0);
    for part in parts {
        let ids: Vec<AnyId> = part.iter().map(|one| one.id.clone()).collect();
        match move_there(ctx, works, route, &part, pass).await {
            Ok(()) => ctx.state.clear_suspects(key, &ids)?,
            Err(Ended::Store(error @ StoreError::Retry(_))) => {
                ctx.state.suspect(key, &ids)?;
                count += 1;
                if count >= IN_SUCCESSION || !ctx.remote.connect().await {
                    return Err(error.into());
                }
                broke = Some(error);
            }
            Err(ended) => return Err(ended),
        }
    }
    match broke {
        None => Ok(()),
        Some(error) => {
            let what = format!(
                "the connection broke while messages were moved from {} to {}; it is looked \
                 for them, and those that were not moved are sent by themselves: {error}",
                route.0, route.1
            );
            pass.trouble(Some(route.1), &StoreError::Mailbox(what.clone()));
            // The server refused nothing.
            Err(StoreError::Stale(what).into())
        }
    }
}

pub(in crate::engine) fn settle<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    name: &MailboxName,
    done: Result<(), Ended>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    if ctx.tolerate(name, done, pass)?.is_err()
        && let Some(work) = works.get_mut(name)
    {
        work.sound = false;
    }
    Ok(())
}

/// Returns the mailbox with its recorded UIDVALIDITY.
pub(in crate::engine) fn place<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    works: &Works,
    name: &MailboxName,
) -> Result<Place, Ended> {
    if let Some(work) = works.get(name) {
        return Ok(work.place());
    }
    let uid_validity = match ctx.state.mailbox_key(name)? {
        Some(key) => ctx.state.uid_validity(key)?,
        None => None,
    };
    let mailbox = name.clone();
    Ok(Place {
        mailbox,
        uid_validity,
    })
}

/// Records messages that both sides have in one place.
fn note_names<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    to: &MailboxName,
) -> Result<(), Ended> {
    let Some(work) = works.get(to) else {
        return Ok(());
    };
    let (mut moved, mut changes) = (Vec::new(), Vec::new());
    for action in &work.plan.actions {
        if let Action::Rekey(new) = action {
            moved.push(Moved {
                pair: new.pair.id,
                to: work.base.key,
                uid: new.uid,
                file: Some(new.file.clone()),
                size: new.size,
            });
            let why = format!("with {}; both sides have it here", new.uid);
            changes.push(work.change(Side::Local, "linked", new.file.any(), why));
        }
    }
    ctx.state.apply_moves(&moved, &changes)?;
    Ok(())
}

async fn move_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    (from, to): (&MailboxName, &MailboxName),
    moves: &[Move],
    pass: &mut PassState,
) -> Result<(), Ended> {
    let source = place(ctx, works, from)?;
    let Some(work) = works.get(to) else {
        return Ok(());
    };
    let (mut names, mut leaving) = (BTreeMap::new(), BTreeMap::new());
    for one in moves {
        if let (AnyId::Local(file), AnyId::Remote(uid)) = (&one.id, &one.partner) {
            match &one.arrived {
                Some(AnyId::Local(new)) => {
                    leaving.insert(file.clone(), (one, *uid, new.clone()));
                }
                _ => drop(names.insert(file.clone(), (one, *uid))),
            }
        }
    }
    let mut arrived: Vec<(&Move, Uid, MaildirId)> = Vec::new();
    let removals: Vec<Removal<MaildirId>> = leaving.keys().cloned().map(removal).collect();
    if !removals.is_empty() {
        for (file, _) in ctx.local.remove(&source, &removals).await? {
            arrived.extend(leaving.remove(&file));
        }
    }
    // One that is gone keeps its id in the base until that is decided.
    let mut shifts: Vec<Shift<MaildirId>> = Vec::new();
    for (file, (one, _)) in &names {
        let known = ctx.state.pair(one.pair.id)?;
        shifts.push(Shift {
            renamed: ctx.state.has_file(work.base.key, file)?,
            agreed: known.map(|known| known.pair.flags).unwrap_or_default(),
            ..shift(file.clone())
        });
    }
    if !shifts.is_empty() {
        let (place, how) = (work.place(), Transfer::Move);
        let done = ctx.local.transfer(&source, &place, how, &shifts).await?;
        for (old, new) in done {
            if let (Some((one, uid)), Some(new)) = (names.remove(&old), new) {
                arrived.push((one, uid, new));
            }
        }
    }
    let note = |(one, uid, file): &(&Move, Uid, MaildirId)| {
        let moved = Moved {
            pair: one.pair.id,
            to: work.base.key,
            uid: *uid,
            file: Some(file.clone()),
            size: one.size,
        };
        let why = format!("from {from}, as {uid} was moved there");
        let trail = Some(Trail::from(from).of_pair(one.pair.id));
        let change = work.change(Side::Local, "moved", file.any(), why);
        (moved, HistoryChange { trail, ..change })
    };
    let (moved, changes): (Vec<Moved>, Vec<HistoryChange>) = arrived.iter().map(note).unzip();
    pass.counts.moved_local += moved.len();
    ctx.state.apply_moves(&moved, &changes)?;
    Ok(())
}

async fn move_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    (from, to): (&MailboxName, &MailboxName),
    moves: &[Move],
    pass: &mut PassState,
) -> Result<(), Ended> {
    let source = place(ctx, works, from)?;
    let Some(work) = works.get(to) else {
        return Ok(());
    };
    let (mut names, mut leaving) = (BTreeMap::new(), BTreeMap::new());
    for one in moves {
        if let (AnyId::Remote(uid), AnyId::Local(file)) = (&one.id, &one.partner) {
            match &one.arrived {
                Some(AnyId::Remote(new)) => {
                    leaving.insert(*uid, (one, *new, file.clone()));
                }
                _ => drop(names.insert(*uid, (one, file.clone()))),
            }
        }
    }
    let mut arrived: Vec<(&Move, Uid, MaildirId)> = Vec::new();
    let mut marked: BTreeSet<Uid> = BTreeSet::new();
    let pairs = leaving.iter().map(|(uid, (one, ..))| (*uid, one.pair.id));
    let pairs: BTreeMap<Uid, PairId> = pairs.collect();
    let removals: Vec<Removal<Uid>> = match pairs.is_empty() {
        true => Vec::new(),
        false => {
            let proven = uid_proof::proven(ctx, &source, &pairs).await?;
            proven.into_iter().map(removal).collect()
        }
    };
    if !removals.is_empty() {
        for (uid, how) in ctx.remote.remove(&source, &removals).await? {
            arrived.extend(leaving.remove(&uid));
            if how == Removed::Marked {
                marked.insert(uid);
            }
        }
    }
    if !names.is_empty() {
        let done = transfer_there(ctx, works, &source, work, &names).await?;
        for (old, new) in done {
            if let (Some((one, file)), Some(new)) = (names.remove(&old), new) {
                arrived.push((one, new, file));
            }
        }
    }
    let note = |(one, uid, file): &(&Move, Uid, MaildirId)| {
        let moved = Moved {
            pair: one.pair.id,
            to: work.base.key,
            uid: *uid,
            file: Some(file.clone()),
            size: one.size,
        };
        let why = format!("from {from}, as {file} was moved here");
        let trail = Some(Trail::from(from).of_pair(one.pair.id));
        let change = work.change(Side::Remote, "moved", uid.any(), why);
        (moved, HistoryChange { trail, ..change })
    };
    let (moved, changes): (Vec<Moved>, Vec<HistoryChange>) = arrived.iter().map(note).unzip();
    pass.counts.moved_remote += moved.len();
    ctx.state.apply_moves(&moved, &changes)?;
    leave_marked(ctx, from, marked)?;
    Ok(())
}

async fn transfer_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    source: &Place,
    work: &Work,
    names: &BTreeMap<Uid, (&Move, MaildirId)>,
) -> Result<Vec<(Uid, Option<Uid>)>, Ended> {
    let from = match works.get(&source.mailbox) {
        Some(work) => Some(work.base.key),
        None => ctx.state.mailbox_key(&source.mailbox)?,
    };
    let note = |(uid, (one, file)): (&Uid, &(&Move, MaildirId))| {
        let (pair, mailbox, uid) = (one.pair.id, from?, *uid);
        Some((file.clone(), MoveSource { pair, mailbox, uid }))
    };
    let notes: Vec<(MaildirId, MoveSource)> = names.iter().filter_map(note).collect();
    let (key, now) = (work.base.key, (ctx.world.now)());
    ctx.state.begin_moves(key, &notes, work.top, now)?;
    let shifts: Vec<Shift<Uid>> = names.keys().copied().map(shift).collect();
    let place = work.place();
    let uids: Vec<Uid> = names.keys().copied().collect();
    if let Some(from) = from {
        let expected = uid_proof::expected(ctx, from, &sample(&uids))?;
        ctx.remote.expect_object_ids(source, expected);
    }
    let done = transfer_narrowed(ctx, (source, &place), &shifts, names).await?;
    if let (Err(StoreError::Renumbered(_)), Some(from)) = (&done, from) {
        ctx.state.doubt(from, UidDoubt::Suspected)?;
    }
    if let Err(error) = &done
        && error.is_local_to_mailbox()
    {
        // The server answered NO: earlier parts stay, and nothing happens later.
        ctx.state.begin_moves(key, &notes, work.top, 0)?;
    }
    Ok(done?)
}

/// Moves messages; those at which the connection breaks are refused. A COPY is not sent again.
async fn transfer_narrowed<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (source, place): (&Place, &Place),
    shifts: &[Shift<Uid>],
    names: &BTreeMap<Uid, (&Move, MaildirId)>,
) -> Result<Result<Transferred, StoreError>, Ended> {
    let how = Transfer::Move;
    if !ctx.remote.has_atomic_move() {
        return Ok(ctx.remote.transfer(source, place, how, shifts).await);
    }
    let (done, key) = (
        RefCell::new(Vec::new()),
        ctx.state.mailbox_key(&source.mailbox)?,
    );
    let uids: Vec<Uid> = shifts.iter().map(|shift| shift.id).collect();
    let expected = match key {
        Some(key) => uid_proof::expected(ctx, key, &sample(&uids))?,
        None => Vec::new(),
    };
    let send = async |remote: &mut R, shifts: &[Shift<Uid>]| {
        remote.expect_object_ids(source, expected.clone());
        let moved = remote.transfer(source, place, how, shifts).await?;
        done.borrow_mut().extend(moved);
        Ok(())
    };
    let culprits = match narrowed(&mut *ctx.remote, shifts, send).await {
        Ok(culprits) => culprits,
        Err(error) => return Ok(Err(error)),
    };
    for culprit in culprits {
        let why = format!("the connection breaks when it is moved: {}", culprit.error);
        let pair = names.get(&culprit.change.id).map(|(one, _)| one.pair.id);
        refusals::refuse_changes(ctx, pair.into_iter(), &why)?;
    }
    Ok(Ok(done.into_inner()))
}

/// Records originals that stay marked `\Deleted` on a server that cannot expunge single
/// messages, so that they are not new.
fn leave_marked<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    from: &MailboxName,
    marked: BTreeSet<Uid>,
) -> Result<(), Ended> {
    if marked.is_empty() {
        return Ok(());
    }
    if let Some(key) = ctx.state.mailbox_key(from)? {
        let aside = |uid| Outcome::Alone {
            pair: None,
            aside: crate::engine::execute::delete::remote::marked(
                uid,
                crate::model::Flags::default(),
            ),
        };
        let outcomes: Vec<Outcome> = marked.into_iter().map(aside).collect();
        ctx.state.apply(key, &outcomes, &[])?;
    }
    Ok(())
}

/// Records ids of messages on the server, if unknown.
pub(in crate::engine) async fn learn_kin<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
) -> Result<(), Ended> {
    let names = ctx.state.mailboxes()?.into_iter();
    let names: BTreeMap<_, _> = names.map(|(name, key)| (key, name)).collect();
    for (key, nameless) in ctx.state.nameless()? {
        let Some(name) = names.get(&key).filter(|name| ctx.concerns(name)) else {
            continue;
        };
        let uids: Vec<Uid> = nameless.keys().copied().collect();
        let place = place(ctx, works, name)?;
        let kin = match kin_there(&mut *ctx.remote, &place, &uids).await {
            Ok(kin) => kin,
            Err(error) if error.is_local_to_mailbox() => {
                tracing::debug!(mailbox = %name, %error, "ids not learned");
                continue;
            }
            Err(error) => return Err(StoreError::into(error)),
        };
        let pair = |(uid, kin)| Some((*nameless.get(&uid)?, kin));
        let learned: Vec<_> = kin.into_iter().filter_map(pair).collect();
        ctx.state.learn_kin(&learned)?;
    }
    Ok(())
}

fn removal<I>(id: I) -> Removal<I> {
    Removal {
        id,
        saw: None,
        elsewhere: true,
    }
}

fn shift<I>(id: I) -> Shift<I> {
    Shift {
        id,
        delivery: None,
        size: None,
        renamed: false,
        agreed: Flags::default(),
    }
}
