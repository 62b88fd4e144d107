//! Snapshots of mailboxes, in three tiers. A delta is used only if it adds up: vanished messages
//! are verified by UID, and known - vanished + new must equal EXISTS. Otherwise the tier below
//! decides.

use crate::imap::protocol::command::{Access, Command, Since};
use crate::imap::protocol::fetch_reply::PartialReplies;
use crate::imap::protocol::reply::{CompletionStatus, Fetched, Reply};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::protocol::wire::NoTap;
use crate::imap::session::Session;
use crate::imap::session::expect::{must, shown, unknown};
use crate::imap::session::selected::{QresyncDelta, Selected};
use crate::imap::session::sync_capability::{Tier, tier};
use crate::imap::store::cursor::RemoteCursor;
use crate::imap::store::message_id;
use crate::model::{Flags, Kin, Outline, Uid, UidValidity, last, span};
use crate::reconcile::{Coverage, Cursor, FlagMask, Look};
use crate::store::{Ask, Depth, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Restarts of a listing during which messages are expunged.
const TRIES: usize = 3;

/// Most FETCH responses beyond the number of messages.
const SPARE: usize = 50_000;

/// A UID of a later STORE or EXPUNGE could mean another message (H05).
const UNSTABLE: &str = "the server gives its messages no lasting UIDs (UIDVALIDITY 0 or \
                        UIDNOTSTICKY), so nothing is changed there; it is only copied from";

/// Reads a mailbox.
pub async fn look(
    session: &mut Session,
    name: &[u8],
    access: Access,
    ask: &Ask<'_>,
) -> Result<Look<Uid>, StoreError> {
    let left = left(ask.base.uid_validity, ask.cursor, ask.depth);
    let since = since(session, left);
    let past = session.select(name, access, since).await?;
    let known = ask.base.known_uids();
    let open = session.open_mailbox()?.clone();
    let mut look = Look::unchanged(Some(open.uid_validity), Cursor::default());
    note_rights(&mut look, &open, access);
    let went_back = |c: RemoteCursor| {
        c.uid_validity == open.uid_validity.0
            && open
                .uid_next
                .is_some_and(|next| u64::from(next) < c.uid_next)
    };
    look.next = open.uid_next;
    let cursor = ask.cursor.and_then(RemoteCursor::read);
    look.renumbered = cursor.is_some_and(went_back);
    let rewound = |c: RemoteCursor| {
        c.uid_validity == open.uid_validity.0 && open.modseq.unwrap_or(0) < c.modseq
    };
    look.rewound = cursor.is_some_and(rewound);
    if let Some(left) = left {
        let told = called(session, left, &known).await?;
        (look.known, look.kin) = told.into_iter().partition(|(uid, _)| known.contains(uid));
    }
    let follows = |c: &RemoteCursor| {
        c.uid_validity == open.uid_validity.0 && open.modseq.is_some_and(|now| now >= c.modseq)
    };
    let delta = match left.filter(follows) {
        Some(c) if !look.renumbered => match since {
            Since::QResync(..) => by_past(session, past, &known, &mut look).await?,
            Since::CondStore => by_changes(session, c, &known, &mut look).await?,
            Since::Nothing => false,
        },
        _ => false,
    };
    if !delta {
        let open = (name, access, since.anew());
        everything(session, open, &known, &mut look).await?;
    }
    session.pass_over();
    let highest = look
        .seen
        .keys()
        .next_back()
        .map_or(0, |uid| u64::from(uid.get()));
    let after = session.open_mailbox()?;
    look.cursor = RemoteCursor {
        uid_validity: open.uid_validity.0,
        uid_next: open.uid_next.map_or(highest + 1, u64::from),
        modseq: open.modseq.unwrap_or(0),
        exists: u64::from(if delta { open.exists } else { after.exists }),
        free: open.is_free(),
    }
    .write();
    Ok(look)
}

/// Returns the permitted changes.
fn note_rights(look: &mut Look<Uid>, open: &Selected, access: Access) {
    // EXAMINE returns no PERMANENTFLAGS, which says nothing.
    let mask = match access {
        Access::ReadWrite => open.mask(),
        Access::ReadOnly => FlagMask::All,
    };
    (look.sees, look.stores) = (mask.clone(), mask);
    // EXAMINE is our own choice (dry run, pull) and says nothing about the mailbox; the plan of a
    // dry run equals the plan of a run.
    look.writable = access == Access::ReadOnly || !open.read_only;
    if open.unstable {
        look.writable = false;
        look.why_frozen = Some(UNSTABLE);
    }
}

/// Returns the ids of the highest known messages and of new ones, if they were pipelined.
async fn called(
    session: &mut Session,
    left: RemoteCursor,
    known: &BTreeSet<Uid>,
) -> Result<BTreeMap<Uid, Kin>, StoreError> {
    let last = last(known);
    let given = message_id::given(left, span(known), session.open_mailbox()?.uid_next);
    message_id::with_look(session, &[&last[..], &given].concat()).await
}

/// Returns the cursor, if changes since then suffice.
fn left(
    uid_validity: Option<UidValidity>,
    cursor: Option<&Cursor>,
    depth: Depth,
) -> Option<RemoteCursor> {
    let cursor = cursor.and_then(RemoteCursor::read);
    cursor.filter(|c| {
        depth == Depth::Changes && uid_validity == Some(UidValidity(c.uid_validity)) && c.modseq > 0
    })
}

fn since(session: &Session, left: Option<RemoteCursor>) -> Since {
    match (tier(session), left) {
        (Tier::Plain, _) => Since::Nothing,
        (Tier::QResync, Some(c)) => Since::QResync(UidValidity(c.uid_validity), c.modseq),
        (Tier::CondStore | Tier::QResync, _) => Since::CondStore,
    }
}

/// Returns the likely requests of a snapshot; see `session::pipeline`. `grown`: UIDNEXT of a
/// mailbox with only new messages.
pub fn foreseen(
    session: &Session,
    name: &[u8],
    access: Access,
    (of, cursor, depth): (&Outline, Option<&Cursor>, Depth),
    grown: Option<u32>,
) -> Result<Vec<Command>, StoreError> {
    let left = left(of.uid_validity, cursor, depth);
    let since = since(session, left);
    let mut commands = vec![Command::select(name, access, since)?];
    match (since, left) {
        (Since::QResync(..), Some(left)) if grown.is_some() => {
            let given = message_id::given(left, of.uids, grown);
            let uids = [&of.last[..], &given].concat();
            commands.extend(message_id::foreseen(session, &uids));
        }
        // One request only: Dovecot works on two at once and completes the second first.
        (Since::QResync(..), _) => commands.extend(still_known(session, of.uids)),
        (Since::CondStore, Some(left)) => commands.extend(changes(session, left)),
        (Since::CondStore | Since::Nothing, _) => commands.push(all_flags()),
    }
    Ok(commands)
}

/// Asks which known messages still exist, in one request.
fn still_known(session: &Session, known: Option<(Uid, Uid)>) -> Option<Command> {
    let (first, last) = known?;
    let range = UidSet::from_ranges([(first.get(), last.get())]);
    Some(Command::search_uids(&range, session.compact()))
}

fn changes(session: &Session, left: RemoteCursor) -> [Command; 2] {
    let all = UidSet::from_ranges([(1, u32::MAX)]);
    [
        Command::fetch_changed(&all, left.modseq),
        Command::search_all(session.compact()),
    ]
}

fn all_flags() -> Command {
    Command::fetch(&UidSet::from_ranges([(1, u32::MAX)]), "UID FLAGS")
}

/// QRESYNC: the delta of SELECT. `false`: it does not add up.
async fn by_past(
    session: &mut Session,
    past: QresyncDelta,
    known: &BTreeSet<Uid>,
    look: &mut Look<Uid>,
) -> Result<bool, StoreError> {
    let mut seen = BTreeMap::new();
    for fetched in past.changed {
        let Fetched {
            uid: Some(uid),
            flags: Some(flags),
            modseq: Some(_),
            ..
        } = fetched
        else {
            return Ok(false);
        };
        seen.insert(uid, Some(flags));
    }
    let gone: BTreeSet<Uid> = known
        .iter()
        .filter(|uid| past.vanished.contains(**uid))
        .copied()
        .collect();
    let new = seen.keys().filter(|uid| !known.contains(uid)).count();
    let adds_up = known.len() + new == session.open_mailbox()?.exists as usize + gone.len();
    if !adds_up || gone.iter().any(|uid| seen.contains_key(uid)) {
        tracing::debug!("QRESYNC does not add up; listing everything");
        return Ok(false);
    }
    // One request, which can be sent before it is known which messages are gone.
    let asked = still_known(session, span(known)).filter(|_| !gone.is_empty());
    if !found(session, asked.as_slice(), &gone).await?.is_empty() {
        tracing::warn!("the server reported messages as vanished that it still has");
        return Ok(false);
    }
    look.seen = seen;
    look.coverage = Coverage::Delta { gone };
    Ok(true)
}

/// Returns those that the server still has, verified by search.
pub async fn still_there(
    session: &mut Session,
    uids: &BTreeSet<Uid>,
) -> Result<BTreeSet<Uid>, StoreError> {
    let searches = searches(session, uids);
    found(session, &searches, uids).await
}

/// Returns the requests for that.
pub fn searches(session: &Session, uids: &BTreeSet<Uid>) -> Vec<Command> {
    let pieces = UidSet::from_uids(uids).pieces();
    let compact = session.compact();
    let search = |piece: &UidSet| Command::search_uids(piece, compact);
    pieces.iter().map(search).collect()
}

/// Returns those that are in the answers to a search.
async fn found(
    session: &mut Session,
    commands: &[Command],
    uids: &BTreeSet<Uid>,
) -> Result<BTreeSet<Uid>, StoreError> {
    let mut there = BTreeSet::new();
    for (replies, done) in session.run_all(commands).await? {
        must(done, "say which messages it still has")?;
        for reply in replies {
            if let Reply::Search(set) = reply {
                there.extend(uids.iter().filter(|uid| set.contains(**uid)));
            }
        }
    }
    Ok(there)
}

/// CONDSTORE: changed flags, and all UIDs.
async fn by_changes(
    session: &mut Session,
    left: RemoteCursor,
    known: &BTreeSet<Uid>,
    look: &mut Look<Uid>,
) -> Result<bool, StoreError> {
    let open = session.open_mailbox()?.clone();
    if open.exists == 0 {
        return Ok(false);
    }
    let commands = changes(session, left);
    let answers = session.run_all(&commands).await?;
    let (mut changed, mut listed, mut stamped) = (BTreeMap::new(), UidSet::default(), true);
    for (command, (replies, done)) in commands.iter().zip(answers) {
        must(done, "list changes")?;
        for reply in replies {
            match reply {
                // Unsolicited responses are newer than this snapshot: the next one shows them.
                Reply::Fetch(f) if command.fetches() => {
                    if let (Some(uid), flags) = (f.uid, f.flags) {
                        // Without MODSEQ it does not answer this request (RFC 7162, 3.1.4.1).
                        stamped &= f.modseq.is_some() && flags.is_some();
                        changed.insert(uid, flags);
                    }
                }
                Reply::Search(set) => listed = listed.union(&set),
                _ => {}
            }
        }
    }
    let exists = session.open_mailbox()?.exists;
    let Some(uids) = listed.uids(u64::from(exists)) else {
        return Ok(false);
    };
    if uids.len() != exists as usize || !stamped {
        tracing::debug!("what changed and the list of UIDs do not add up; listing everything");
        return Ok(false);
    }
    for uid in uids {
        let flags = changed.remove(&uid).flatten();
        // A new message without flags: the answers are inconsistent.
        if flags.is_none() && !known.contains(&uid) {
            return Ok(false);
        }
        look.seen.insert(uid, flags);
    }
    look.coverage = Coverage::Complete;
    Ok(true)
}

/// Reads all UIDs and flags; their number must equal EXISTS of SELECT. A count reduced by
/// unsolicited responses proves nothing (Cyrus sends VANISHED for all messages of a mailbox that
/// another session deletes).
async fn everything(
    session: &mut Session,
    (name, access, since): (&[u8], Access, Since),
    known: &BTreeSet<Uid>,
    look: &mut Look<Uid>,
) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let open = session.open_mailbox()?;
        if open.expunged > 0 || open.vanished.len() > 0 {
            let uid_validity = open.uid_validity;
            session.select(name, access, since).await?;
            if session.open_mailbox()?.uid_validity != uid_validity {
                return Err(StoreError::Stale("UIDVALIDITY changed meanwhile".into()));
            }
        }
        let Some(seen) = list_once(session, known).await? else {
            continue;
        };
        look.seen = seen;
        look.coverage = Coverage::Complete;
        return Ok(());
    }
    let what = format!(
        "the listing of {} is not complete; nothing was deduced",
        shown(name)
    );
    Err(StoreError::Mailbox(what))
}

async fn list_once(
    session: &mut Session,
    known: &BTreeSet<Uid>,
) -> Result<Option<BTreeMap<Uid, Option<Flags>>>, StoreError> {
    if session.open_mailbox()?.exists == 0 {
        // It was empty before, or another request verifies that it is empty now (H30).
        let empty = known.is_empty() || finds_nothing(session).await?;
        return Ok(empty.then(BTreeMap::new));
    }
    // Collect first: a map made at once takes little more than half the memory of one that has
    // grown.
    let (mut seen, mut parts) = (Vec::new(), PartialReplies::default());
    let tag = session.send(&all_flags()).await?;
    let mut unreadable: Option<String> = None;
    let whole = |f: &Fetched| f.uid.is_some() && f.flags.is_some();
    loop {
        match session.next_of(&tag, &mut NoTap).await? {
            Reply::Tagged(_, done) => {
                if done.status == CompletionStatus::Ok {
                    break;
                }
                must(done, "list its messages")?;
            }
            // Without a UID it answers no request of ours (H08).
            Reply::Fetch(f) => {
                let told = parts.add(*f, whole);
                seen.extend(told.and_then(|f| Some((f.uid?, f.flags))));
                if seen.len() > session.open_mailbox()?.exists as usize + SPARE {
                    let what = "lists more messages than the mailbox holds";
                    return Err(session.wire.broken(what));
                }
            }
            Reply::Expunge | Reply::Vanished(..) => parts.renumber(),
            Reply::Unreadable(what) => unreadable = Some(what),
            _ => {}
        }
    }
    if let Some(what) = unreadable {
        return Err(unknown(&what));
    }
    let mut seen: BTreeMap<Uid, Option<Flags>> = seen.into_iter().collect();
    // A message without valid flags keeps its known ones.
    for uid in parts.rest().filter_map(|f| f.uid) {
        seen.entry(uid).or_insert(None);
    }
    let open = session.open_mailbox()?;
    let undisturbed = open.expunged == 0 && open.vanished.len() == 0;
    let whole = undisturbed && seen.len() == open.exists as usize;
    Ok(whole.then_some(seen))
}

async fn finds_nothing(session: &mut Session) -> Result<bool, StoreError> {
    let (replies, done) = session.run(&Command::search_all(session.compact())).await?;
    must(done, "search it")?;
    let found = |reply: &Reply| matches!(reply, Reply::Search(set) if set.len() > 0);
    Ok(!replies.iter().any(found) && session.open_mailbox()?.exists == 0)
}
