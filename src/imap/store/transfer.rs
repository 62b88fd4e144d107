//! Pieces of messages, MOVE, COPY and RENAME on the server. Only confirmed changes count.

use crate::imap::protocol::command::{Access, Command, Since};
use crate::imap::protocol::fetch_reply::PartialReplies;
use crate::imap::protocol::reply::{Body, Code, Completion, CompletionStatus, Fetched, Reply};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::protocol::wire::Tap;
use crate::imap::session::Session;
use crate::imap::session::expect::{must, shown};
use crate::imap::session::selected::Selected;
use crate::imap::session::throttle::asks;
use crate::imap::store::ImapStore;
use crate::imap::store::expunge::{Deletions, expunge};
use crate::imap::store::fetch::ask;
use crate::imap::store::flags::list_one;
use crate::imap::store::snapshot::still_there;
use crate::model::{Excerpt, Flags, MailboxName, SystemFlag, Uid, UidValidity};
use crate::store::{Place, Removed, StoreError, Transfer};
use std::collections::{BTreeMap, BTreeSet};

/// Returns pieces of messages of the selected mailbox.
pub async fn excerpts(
    session: &mut Session,
    ids: &[(Uid, Option<u64>)],
) -> Result<Vec<(Uid, Excerpt)>, StoreError> {
    let unsized_: Vec<Uid> = ids
        .iter()
        .filter(|(_, size)| size.is_none())
        .map(|(uid, _)| *uid)
        .collect();
    let mut sizes: BTreeMap<Uid, u64> = BTreeMap::new();
    for fetched in ask(session, &unsized_, "UID RFC822.SIZE").await? {
        sizes.extend(fetched.uid.zip(fetched.size));
    }
    sizes.extend(ids.iter().filter_map(|(uid, size)| Some((*uid, (*size)?))));
    let mut alike: BTreeMap<Vec<(u64, u64)>, Vec<Uid>> = BTreeMap::new();
    for (uid, size) in &sizes {
        alike.entry(Excerpt::ranges(*size)).or_default().push(*uid);
    }
    let mut commands = Vec::new();
    for (ranges, uids) in &alike {
        for some in uids.chunks(AT_ONCE) {
            let sets = UidSet::from_uids(some).pieces();
            commands.extend(sets.iter().map(|set| Command::fetch_pieces(set, ranges)));
        }
    }
    let mut all: BTreeMap<Uid, Excerpt> = BTreeMap::new();
    for (replies, done) in session.run_all(&commands).await? {
        must(done, "give pieces of a message")?;
        for reply in replies {
            let Reply::Fetch(fetched) = reply else {
                continue;
            };
            let size = fetched.uid.and_then(|uid| Some((uid, *sizes.get(&uid)?)));
            if let Some((uid, size)) = size
                && let Some(excerpt) = excerpt(&fetched, size)
            {
                all.insert(uid, excerpt);
            }
        }
    }
    let left: Vec<(Uid, u64)> = sizes
        .into_iter()
        .filter(|(uid, _)| !all.contains_key(uid))
        .collect();
    all.extend(whole(session, &left).await?);
    Ok(all.into_iter().collect())
}

/// Messages in one request.
const AT_ONCE: usize = 2000;

/// Collects the requested pieces; `None`: one is missing or too short.
fn excerpt(fetched: &Fetched, size: u64) -> Option<Excerpt> {
    let mut pieces = Vec::new();
    for (at, length) in Excerpt::ranges(size) {
        let mut told = fetched.pieces.iter().filter(|(from, _)| *from == at);
        let (_, bytes) = told.next_back()?;
        pieces.push(bytes.get(..usize::try_from(length).ok()?)?);
    }
    Some(Excerpt::of_pieces(size, pieces))
}

/// Reads messages completely if the server returned no pieces. A message of another size than
/// reported is omitted.
async fn whole(
    session: &mut Session,
    left: &[(Uid, u64)],
) -> Result<Vec<(Uid, Excerpt)>, StoreError> {
    let mut all = Vec::new();
    for (uid, size) in left {
        let set = UidSet::from_uids([uid]);
        let tag = session
            .send(&Command::fetch(&set, "UID BODY.PEEK[]"))
            .await?;
        let (mut tap, mut parts) = (ExcerptCutter::default(), PartialReplies::default());
        let done = loop {
            match session.next_of(&tag, &mut tap).await? {
                Reply::Tagged(_, done) => break done,
                Reply::Fetch(told) => {
                    let message = |f: &Fetched| f.uid == Some(*uid) && f.body.is_some();
                    let Some(told) = parts.add(*told, message) else {
                        continue;
                    };
                    let excerpt = match &told.body {
                        Some(Body::Streamed(length)) if length == size => Some(tap.excerpt()),
                        Some(Body::Bytes(bytes)) if bytes.len() as u64 == *size => {
                            Some(Excerpt::of_wire(bytes))
                        }
                        _ => None,
                    };
                    all.extend(excerpt.map(|excerpt| (*uid, excerpt)));
                }
                _ => {}
            }
        };
        must(done, "give a message")?;
    }
    Ok(all)
}

/// Cuts the pieces of an excerpt out of a streamed body.
#[derive(Default)]
struct ExcerptCutter {
    size: u64,
    at: u64,
    pieces: Vec<((u64, u64), Vec<u8>)>,
}

impl ExcerptCutter {
    fn excerpt(&self) -> Excerpt {
        let pieces = self.pieces.iter().map(|(_, piece)| piece.as_slice());
        Excerpt::of_pieces(self.size, pieces)
    }
}

impl Tap for ExcerptCutter {
    async fn begin(&mut self, size: u64) -> Result<(), StoreError> {
        let pieces = Excerpt::ranges(size)
            .into_iter()
            .map(|range| (range, Vec::new()));
        (self.size, self.at, self.pieces) = (size, 0, pieces.collect());
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (from, to) = (self.at, self.at + bytes.len() as u64);
        for ((at, length), piece) in &mut self.pieces {
            let (first, last) = ((*at).max(from), (*at + *length).min(to));
            if first < last {
                let range = (first - from) as usize..(last - from) as usize;
                piece.extend_from_slice(bytes.get(range).unwrap_or_default());
            }
        }
        self.at = to;
        Ok(())
    }
}

impl ImapStore {
    pub(in crate::imap) async fn transfer_with(
        &mut self,
        from: &Place,
        to: &Place,
        how: Transfer,
        uids: &BTreeSet<Uid>,
    ) -> Result<Vec<(Uid, Option<Uid>)>, StoreError> {
        let target = self.wire_name(&to.mailbox)?;
        let mut session = self.take().await?;
        let done = async {
            self.open_expected(&mut session, from, false).await?;
            match how {
                Transfer::Move if session.can("MOVE") => {
                    moved(&mut session, uids, (&target, to.uid_validity)).await
                }
                Transfer::Move => by_copy(&mut session, uids, (&target, to.uid_validity)).await,
                Transfer::Copy => {
                    let copied = copied(&mut session, uids, &target, to.uid_validity).await?;
                    // Without UIDPLUS the UIDs may be unknown; COPY is all or nothing.
                    let told = session.can("UIDPLUS") && !copied.garbled;
                    let sure = |uid: &&Uid| !told || copied.pairs.contains_key(uid);
                    let named = |uid: &Uid| (*uid, copied.pairs.get(uid).copied());
                    Ok(uids.iter().filter(sure).map(named).collect())
                }
            }
        }
        .await;
        self.put(session);
        done
    }

    pub(in crate::imap) async fn rename_with(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError> {
        let mut session = self.take().await?;
        let done = async {
            let old = session.naming.encode(from).map_err(StoreError::Mailbox)?;
            let old = self.names.borrow().get(from).cloned().unwrap_or(old);
            let new = session.naming.encode(to).map_err(StoreError::Mailbox)?;
            let there = (
                list_one(&mut session, &old).await?,
                list_one(&mut session, &new).await?,
            );
            match there {
                (true, false) => {}
                // A cut run renamed it, or a parent was renamed with it.
                (false, true) => return Ok(new),
                (true, true) => {
                    return Err(StoreError::Stale(format!("{to} is there already")));
                }
                (false, false) => return Err(StoreError::Stale(format!("{from} is gone"))),
            }
            leave(&mut session).await?;
            let (_, done) = session.run(&Command::rename(&old, &new)?).await?;
            if !list_one(&mut session, &new).await? {
                must(done, &format!("rename {} to {}", shown(&old), shown(&new)))?;
                let what = format!("{}: renamed, but it is not listed so", shown(&new));
                return Err(StoreError::Mailbox(what));
            }
            // Subscriptions do not follow a rename (RFC 9051, 6.3.6).
            session.run(&Command::subscribe(&new)?).await?;
            session.run(&Command::unsubscribe(&old)?).await?;
            Ok(new)
        }
        .await;
        self.put(session);
        let wire = done?;
        self.names.borrow_mut().remove(from);
        self.names.borrow_mut().insert(to.clone(), wire);
        Ok(())
    }
}

/// Closes the selected mailbox without EXPUNGE: some servers refuse to delete or rename a selected
/// one (Courier).
pub(in crate::imap) async fn leave(session: &mut Session) -> Result<(), StoreError> {
    if session.selected.take().is_none() {
        return Ok(());
    }
    if session.can("UNSELECT") {
        session.run(&Command::unselect()).await?;
    } else {
        session
            .select(b"INBOX", Access::ReadOnly, Since::Nothing)
            .await?;
    }
    Ok(())
}

/// Moves by COPY, and UID EXPUNGE of what certainly arrived.
async fn by_copy(
    session: &mut Session,
    uids: &BTreeSet<Uid>,
    (target, uid_validity): (&[u8], Option<UidValidity>),
) -> Result<Vec<(Uid, Option<Uid>)>, StoreError> {
    let copied = copied(session, uids, target, uid_validity).await?;
    // RFC 4549, 5.1: only messages that certainly arrived are expunged here. Without COPYUID the
    // next snapshot finds the copies, and the originals go then.
    let proven: BTreeSet<Uid> = copied.pairs.keys().copied().collect();
    if proven.is_empty() || !session.can("UIDPLUS") {
        return Ok(Vec::new());
    }
    let leaving = Deletions {
        uids: proven,
        modseq: None,
        together: true,
    };
    let (gone, _) = expunge(session, leaving, None, Vec::new()).await?;
    let gone = gone.into_iter().filter(|(_, how)| *how == Removed::Gone);
    Ok(gone
        .map(|(uid, _)| (uid, copied.pairs.get(&uid).copied()))
        .collect())
}

async fn moved(
    session: &mut Session,
    uids: &BTreeSet<Uid>,
    (target, uid_validity): (&[u8], Option<UidValidity>),
) -> Result<Vec<(Uid, Option<Uid>)>, StoreError> {
    let pieces = UidSet::from_uids(uids).pieces();
    let commands: Result<Vec<Command>, StoreError> = pieces
        .iter()
        .map(|set| Command::move_to(set, target))
        .collect();
    let (mut pairs, mut refused) = (BTreeMap::new(), None);
    for (replies, done) in session.run_all(&commands?).await? {
        match done.status {
            CompletionStatus::Ok => note_pairs(&mut pairs, replies, done, (uids, uid_validity)),
            CompletionStatus::No | CompletionStatus::Bad => refused = Some(done),
        }
    }
    // COPYUID names arrivals; a message that still exists here was not moved.
    let left = still_there(session, uids).await?;
    pairs.retain(|uid, _| !left.contains(uid));
    let mut pairs: Vec<(Uid, Option<Uid>)> = pairs
        .into_iter()
        .map(|(uid, new)| (uid, Some(new)))
        .collect();
    match refused {
        Some(done) if lacks_move(session, &done) => {
            pairs.extend(by_copy(session, &left, (target, uid_validity)).await?);
        }
        Some(done) => {
            must(done, "move messages")?;
        }
        None => {}
    }
    Ok(pairs)
}

/// Whether the answer shows that a server announces MOVE but lacks it: it does not know the
/// command, or answers NO without a reason for a mailbox that permits deletion. MOVE is not sent
/// any more then.
pub(in crate::imap) fn lacks_move(session: &mut Session, done: &Completion) -> bool {
    let open = session.selected.as_ref();
    let deletes = |open: &Selected| {
        let deleted = Flags::of(&[SystemFlag::Deleted]);
        !open.read_only && !open.unstable && open.mask().keep(&deleted) == deleted
    };
    let bare = match (done.status, &done.code) {
        (CompletionStatus::Ok, _) => false,
        (CompletionStatus::Bad, None) => true,
        (CompletionStatus::No, None) => asks(&done.text).is_none(),
        (CompletionStatus::No | CompletionStatus::Bad, Some(Code::Other(name))) => name == "CANNOT",
        (CompletionStatus::No | CompletionStatus::Bad, Some(_)) => false,
    };
    let lacks = bare && session.can("UIDPLUS") && open.is_some_and(deletes);
    if lacks {
        session.forgo_move();
    }
    lacks
}

/// The result of COPY.
struct Copied {
    /// The new UIDs by the old ones.
    pairs: BTreeMap<Uid, Uid>,
    /// Whether a COPYUID could not be read (Exchange, Proton): the messages were copied, too.
    garbled: bool,
}

async fn copied(
    session: &mut Session,
    uids: &BTreeSet<Uid>,
    target: &[u8],
    uid_validity: Option<UidValidity>,
) -> Result<Copied, StoreError> {
    let pieces = UidSet::from_uids(uids).pieces();
    let commands: Result<Vec<Command>, StoreError> = pieces
        .iter()
        .map(|set| Command::copy_to(set, target))
        .collect();
    let (mut pairs, mut garbled) = (BTreeMap::new(), false);
    for (replies, done) in session.run_all(&commands?).await? {
        let done = must(done, "copy messages")?;
        garbled |= matches!(&done.code, Some(Code::Other(name)) if name == "COPYUID");
        note_pairs(&mut pairs, replies, done, (uids, uid_validity));
    }
    Ok(Copied { pairs, garbled })
}

/// COPYUID is in the completion of COPY, and in an untagged OK before that of MOVE (RFC 6851, 4.3).
fn note_pairs(
    pairs: &mut BTreeMap<Uid, Uid>,
    replies: Vec<Reply>,
    done: Completion,
    (asked, uid_validity): (&BTreeSet<Uid>, Option<UidValidity>),
) {
    let untagged = replies.into_iter().filter_map(|reply| match reply {
        Reply::Untagged(done) => done.code,
        _ => None,
    });
    for code in untagged.chain(done.code) {
        if let Code::CopyUid(validity, from, to) = code
            && uid_validity.is_none_or(|uid_validity| uid_validity.0 == validity)
        {
            let told = from.pairs(&to, asked.len() as u64);
            pairs.extend(told.into_iter().filter(|(old, _)| asked.contains(old)));
        }
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
