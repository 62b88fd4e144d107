//! The same message elsewhere on the server: pieces of messages, MOVE and COPY, RENAME. What is
//! done is what the server confirmed.

use super::answer::{must, shown};
use super::command::{Access, Command, Since};
use super::leave::{Leaving, expunge};
use super::look::still_there;
use super::read::ask;
use super::reply::{Code, Completion, Reply};
use super::session::Session;
use super::store::ImapStore;
use super::uid_set::UidSet;
use super::write::list_one;
use crate::model::{Excerpt, MailboxName, Uid, UidValidity};
use crate::store::{Place, Removed, StoreError, Transfer};
use std::collections::{BTreeMap, BTreeSet};

/// Pieces of messages of the mailbox that is open.
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
    let commands = alike.iter().flat_map(|(ranges, uids)| {
        let sets = UidSet::from_uids(uids).pieces();
        let command = |set: &UidSet| Command::fetch_pieces(set, ranges);
        sets.iter().map(command).collect::<Vec<Command>>()
    });
    let commands: Vec<Command> = commands.collect();
    let mut all = Vec::new();
    for (replies, done) in session.run_all(&commands).await? {
        must(done, "give pieces of a message")?;
        for reply in replies {
            let Reply::Fetch(mut fetched) = reply else {
                continue;
            };
            let Some((uid, size)) = fetched.uid.and_then(|uid| Some((uid, *sizes.get(&uid)?)))
            else {
                continue;
            };
            fetched.pieces.sort_by_key(|(at, _)| *at);
            if fetched.pieces.len() == Excerpt::ranges(size).len() {
                let pieces = fetched.pieces.iter().map(|(_, bytes)| bytes.as_slice());
                all.push((uid, Excerpt::of_pieces(size, pieces)));
            }
        }
    }
    Ok(all)
}

impl ImapStore {
    pub(super) async fn transfer_with(
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
                    moved(&mut session, uids, &target, to.epoch).await
                }
                Transfer::Move => {
                    let copied = copied(&mut session, uids, &target, to.epoch).await?;
                    // RFC 4549, 5.1: only what is proven to be there leaves here. Without
                    // COPYUID the next look finds the copies, and what is left here then goes.
                    let proven: BTreeSet<Uid> = copied.keys().copied().collect();
                    if proven.is_empty() || !session.can("UIDPLUS") {
                        return Ok(Vec::new());
                    }
                    let leaving = Leaving {
                        uids: proven,
                        modseq: None,
                        together: true,
                    };
                    let (gone, _) = expunge(&mut session, leaving, None, Vec::new()).await?;
                    let gone = gone.into_iter().filter(|(_, how)| *how == Removed::Gone);
                    Ok(gone
                        .map(|(uid, _)| (uid, copied.get(&uid).copied()))
                        .collect())
                }
                Transfer::Copy => {
                    let copied = copied(&mut session, uids, &target, to.epoch).await?;
                    // Without UIDPLUS the names need not be told; COPY is all or nothing.
                    let sure = |uid: &&Uid| !session.can("UIDPLUS") || copied.contains_key(uid);
                    let named = |uid: &Uid| (*uid, copied.get(uid).copied());
                    Ok(uids.iter().filter(sure).map(named).collect())
                }
            }
        }
        .await;
        self.put(session);
        done
    }

    pub(super) async fn rename_with(
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
                // A run was cut after it had renamed, or the name above was renamed with all
                // below it.
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
            // Subscriptions do not follow by themselves (RFC 9051, 6.3.6).
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

/// Leaves the mailbox that is open without expunging: one that is open can be neither deleted nor
/// renamed everywhere (Courier).
pub(super) async fn leave(session: &mut Session) -> Result<(), StoreError> {
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

async fn moved(
    session: &mut Session,
    uids: &BTreeSet<Uid>,
    target: &[u8],
    epoch: Option<UidValidity>,
) -> Result<Vec<(Uid, Option<Uid>)>, StoreError> {
    let pieces = UidSet::from_uids(uids).pieces();
    let commands: Result<Vec<Command>, StoreError> = pieces
        .iter()
        .map(|set| Command::move_to(set, target))
        .collect();
    let mut pairs = BTreeMap::new();
    for (replies, done) in session.run_all(&commands?).await? {
        let done = must(done, "move messages")?;
        note_pairs(&mut pairs, replies, done, (uids, epoch));
    }
    // COPYUID tells what arrived; what is still here has not moved, whatever it says.
    let left = still_there(session, uids).await?;
    pairs.retain(|uid, _| !left.contains(uid));
    Ok(pairs
        .into_iter()
        .map(|(uid, new)| (uid, Some(new)))
        .collect())
}

async fn copied(
    session: &mut Session,
    uids: &BTreeSet<Uid>,
    target: &[u8],
    epoch: Option<UidValidity>,
) -> Result<BTreeMap<Uid, Uid>, StoreError> {
    let pieces = UidSet::from_uids(uids).pieces();
    let commands: Result<Vec<Command>, StoreError> = pieces
        .iter()
        .map(|set| Command::copy_to(set, target))
        .collect();
    let mut pairs = BTreeMap::new();
    for (replies, done) in session.run_all(&commands?).await? {
        let done = must(done, "copy messages")?;
        note_pairs(&mut pairs, replies, done, (uids, epoch));
    }
    Ok(pairs)
}

/// COPYUID stands in the end of COPY, and in an untagged OK before the end of MOVE (RFC 6851,
/// 4.3).
fn note_pairs(
    pairs: &mut BTreeMap<Uid, Uid>,
    replies: Vec<Reply>,
    done: Completion,
    (asked, epoch): (&BTreeSet<Uid>, Option<UidValidity>),
) {
    let untagged = replies.into_iter().filter_map(|reply| match reply {
        Reply::Untagged(done) => done.code,
        _ => None,
    });
    for code in untagged.chain(done.code) {
        if let Code::CopyUid(validity, from, to) = code
            && epoch.is_none_or(|epoch| epoch.0 == validity)
        {
            let told = from.pairs(&to, asked.len() as u64);
            pairs.extend(told.into_iter().filter(|(old, _)| asked.contains(old)));
        }
    }
}
