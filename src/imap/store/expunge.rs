//! Removes messages from the selected mailbox: UID EXPUNGE, or a move to the trash. A UID SEARCH
//! proves what is gone.

use crate::imap::protocol::command::{Command, Set};
use crate::imap::protocol::reply::{Code, Completion, CompletionStatus, Reply};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::session::expect::{must, shown};
use crate::imap::session::sync_capability::{Tier, plain, tier};
use crate::imap::session::{CommandReply, Session};
use crate::imap::store::modseq_tracker::Ours;
use crate::imap::store::snapshot::{searches, still_there};
use crate::imap::store::transfer::lacks_move;
use crate::model::{Flags, SystemFlag, Uid};
use crate::store::{Removal, Removed, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Messages to remove from the selected mailbox.
pub(in crate::imap) struct Deletions {
    pub uids: BTreeSet<Uid>,
    /// Those that did not change since the plan.
    pub modseq: Option<u64>,
    /// Whether EXPUNGE may be pipelined with the STORE: not if a message that the STORE skips was
    /// marked before.
    pub together: bool,
}

impl Deletions {
    /// Splits by membership in a set.
    pub fn split(self, set: &BTreeSet<Uid>) -> (Deletions, Deletions) {
        let (inside, outside) = self.uids.into_iter().partition(|uid| set.contains(uid));
        let (modseq, together) = (self.modseq, self.together);
        let with = |uids| Deletions {
            uids,
            modseq,
            together,
        };
        (with(inside), with(outside))
    }
}

/// Returns the request for flags that precedes a removal.
pub(in crate::imap) fn flags_of(uids: &[Uid]) -> Vec<Command> {
    let pieces = UidSet::from_uids(uids).pieces();
    let fetch = |piece: &UidSet| Command::fetch(piece, "UID FLAGS");
    pieces.iter().map(fetch).collect()
}

/// Returns the messages whose flags show no interest since the plan.
pub(in crate::imap) async fn unchanged(
    session: &mut Session,
    removals: &[Removal<Uid>],
    modseq: Option<u64>,
) -> Result<Deletions, StoreError> {
    let all: Vec<Uid> = removals.iter().map(|removal| removal.id).collect();
    let mut now: BTreeMap<Uid, Flags> = BTreeMap::new();
    for (replies, done) in session.run_all(&flags_of(&all)).await? {
        must(done, "tell flags")?;
        for reply in replies {
            if let Reply::Fetch(fetched) = reply
                && let (Some(uid), Some(flags)) = (fetched.uid, fetched.flags)
            {
                now.insert(uid, flags);
            }
        }
    }
    // A message that is gone is found by the search after the removal.
    let same = |removal: &&Removal<Uid>| {
        now.get(&removal.id)
            .is_none_or(|flags| removal.still_holds(flags))
    };
    let same = removals.iter().filter(same);
    Ok(Deletions {
        uids: same.map(|removal| removal.id).collect(),
        modseq,
        together: !now.values().any(|flags| flags.has(SystemFlag::Deleted)),
    })
}

/// Returns the outcomes, and our own changes if they are proven.
pub(in crate::imap) async fn expunge(
    session: &mut Session,
    leaving: Deletions,
    ours: Option<Ours>,
    after: Vec<Command>,
) -> Result<(Vec<(Uid, Removed)>, Option<Ours>), StoreError> {
    let Deletions {
        mut uids,
        modseq,
        together,
    } = leaving;
    let deleted = Flags::of(&[SystemFlag::Deleted]);
    let mark = |set: &UidSet| Command::store(set, modseq, Set::Add, &deleted);
    let marks: Vec<Command> = UidSet::from_uids(&uids).pieces().iter().map(mark).collect();
    // Without UIDPLUS only plain EXPUNGE exists, which removes messages that others marked.
    if !session.can("UIDPLUS") {
        let refused = refused(session.run_then(&marks, after).await?)?;
        let marked = uids.into_iter().filter(|uid| !refused.contains(*uid));
        return Ok((marked.map(|uid| (uid, Removed::Marked)).collect(), None));
    }
    if !together {
        let refused = refused(session.run_all(&marks).await?)?;
        uids.retain(|uid| !refused.contains(*uid));
    }
    let pieces = UidSet::from_uids(&uids).pieces();
    let expunges = pieces.iter().map(Command::expunge);
    let first = marks.into_iter().filter(|_| together);
    let commands: Vec<Command> = first.chain(expunges).collect();
    let (mut answers, left) = ask_after(session, &commands, &uids, after).await?;
    let expunged = answers.split_off(answers.len().saturating_sub(pieces.len()));
    let marks = answers.len();
    let refused = refused(answers)?;
    let sure = modseq.is_some() && together && tier(session) == Tier::QResync;
    let all = left.is_empty() && refused == UidSet::default() && pieces.len() == 1;
    let mut ours = ours.filter(|_| sure && all);
    for (_, done) in expunged {
        ours = ours.and_then(|ours| ours.and_expunge(marks, uids.len(), &done));
        if let Err(error) = must(done, "expunge messages") {
            if together {
                // Not those that the STORE skipped: another client marked them.
                let ours = left.into_iter().filter(|uid| !refused.contains(*uid));
                unmark(session, &ours.collect()).await;
            }
            return Err(error);
        }
    }
    uids.retain(|uid| !refused.contains(*uid) && !left.contains(uid));
    let gone = uids.into_iter().map(|uid| (uid, Removed::Gone)).collect();
    Ok((gone, ours))
}

/// Clears our own marks if the server refuses to expunge: they would look like the user's, and
/// travel with a move.
async fn unmark(session: &mut Session, uids: &BTreeSet<Uid>) {
    let deleted = Flags::of(&[SystemFlag::Deleted]);
    let unmark = |set: &UidSet| Command::store(set, None, Set::Remove, &deleted);
    let commands: Vec<Command> = UidSet::from_uids(uids)
        .pieces()
        .iter()
        .map(unmark)
        .collect();
    if let Err(error) = session.run_all(&commands).await {
        tracing::debug!(%error, "marks of deletion were left");
    }
}

/// Messages that a STORE skipped, as they changed meanwhile.
fn refused(answers: Vec<CommandReply>) -> Result<UidSet, StoreError> {
    let mut refused = UidSet::default();
    for (_, done) in answers {
        refused = refused.union(&modified(must(done, "change flags")?));
    }
    Ok(refused)
}

/// Runs commands that change messages and asks which still exist: OK alone proves nothing (docs:
/// rule 1.6.6). SELECT in between allows to pipeline both: Dovecot answers a search that follows an
/// EXPUNGE or STORE before it.
pub(in crate::imap) async fn ask_after(
    session: &mut Session,
    commands: &[Command],
    uids: &BTreeSet<Uid>,
    after: Vec<Command>,
) -> Result<(Vec<CommandReply>, BTreeSet<Uid>), StoreError> {
    let (open, since) = (session.open_mailbox()?.clone(), plain(session));
    let mut next = vec![Command::select(&open.name, open.access, since)?];
    next.extend(searches(session, uids));
    next.extend(after);
    let answers = session.run_then(commands, next).await?;
    session.select(&open.name, open.access, since).await?;
    if session.open_mailbox()?.uid_validity != open.uid_validity {
        session.selected = None;
        let what = format!("UIDVALIDITY of {} changed", shown(&open.name));
        return Err(StoreError::Stale(what));
    }
    let left = still_there(session, uids).await?;
    Ok((answers, left))
}

pub(in crate::imap) async fn to_trash(
    session: &mut Session,
    leaving: Deletions,
    trash: &[u8],
    after: Vec<Command>,
) -> Result<Vec<(Uid, Removed)>, StoreError> {
    let uids = leaving.uids;
    let pieces = UidSet::from_uids(&uids).pieces();
    if session.can("MOVE") {
        let moves = pieces.iter().map(|set| Command::move_to(set, trash));
        let moves = moves.collect::<Result<Vec<Command>, StoreError>>()?;
        let (answers, left) = ask_after(session, &moves, &uids, after).await?;
        let gone = uids.difference(&left).map(|uid| (*uid, Removed::Trashed));
        let mut gone: Vec<(Uid, Removed)> = gone.collect();
        let refused = answers.into_iter().map(|(_, done)| done);
        let refused = refused
            .filter(|done| done.status != CompletionStatus::Ok)
            .last();
        match refused {
            None => {}
            Some(done) if lacks_move(session, &done) => {
                gone.extend(copy_to_trash(session, left, trash, Vec::new()).await?);
            }
            Some(done) => {
                must(done, "move messages to the trash")?;
            }
        }
        return Ok(gone);
    }
    copy_to_trash(session, uids, trash, after).await
}

async fn copy_to_trash(
    session: &mut Session,
    uids: BTreeSet<Uid>,
    trash: &[u8],
    after: Vec<Command>,
) -> Result<Vec<(Uid, Removed)>, StoreError> {
    let pieces = UidSet::from_uids(&uids).pieces();
    // RFC 4549, 5.1: no \Deleted before the copy is proven.
    let mut copied = BTreeSet::new();
    for set in &pieces {
        let (_, done) = session.run(&Command::copy_to(set, trash)?).await?;
        let done = must(done, "copy messages to the trash")?;
        let here = uids.iter().filter(|uid| set.contains(**uid));
        match done.code {
            Some(Code::CopyUid(_, from, to)) => {
                let told = from.pairs(&to, uids.len() as u64);
                let told: BTreeSet<Uid> = told.into_iter().map(|(old, _)| old).collect();
                copied.extend(here.filter(|uid| told.contains(uid)).copied());
            }
            // Without UIDPLUS a COPY is all or nothing (RFC 9051, 6.4.7).
            _ if !session.can("UIDPLUS") => copied.extend(here.copied()),
            _ => {}
        }
    }
    let leaving = Deletions {
        uids: copied,
        modseq: None,
        together: true,
    };
    let (gone, _) = expunge(session, leaving, None, after).await?;
    let trashed = |(uid, how)| match how {
        Removed::Gone => (uid, Removed::Trashed),
        other => (uid, other),
    };
    Ok(gone.into_iter().map(trashed).collect())
}

/// Returns the messages that UNCHANGEDSINCE protected.
pub(in crate::imap) fn modified(done: Completion) -> UidSet {
    match done.code {
        Some(Code::Modified(set)) => set,
        _ => UidSet::default(),
    }
}
