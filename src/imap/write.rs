//! Changing things on the server: STORE, MOVE and UID EXPUNGE, CREATE. What is done is what the
//! server confirmed, not what it was asked for.

use super::answer::{must, shown};
use super::command::{Command, Set};
use super::leave::{ask_after, expunge, modified, to_trash, unchanged};
use super::look::still_there;
use super::ours::knows_all;
use super::reply::{Reply, Status};
use super::session::{Answer, Session};
use super::store::ImapStore;
use super::uid_set::UidSet;
use crate::model::{FlagChange, MailboxName, Uid};
use crate::store::{FlagEdit, Place, Removal, Removed, StoreError};
use std::collections::{BTreeMap, BTreeSet};

impl ImapStore {
    pub(super) async fn set_flags_with(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<Uid>],
    ) -> Result<Vec<Uid>, StoreError> {
        let mut groups: BTreeMap<&FlagChange, Vec<Uid>> = BTreeMap::new();
        for edit in edits {
            groups.entry(&edit.change).or_default().push(edit.id);
        }
        let mut commands = Vec::new();
        let modseq = self.looked.get(&place.mailbox).copied();
        for (change, uids) in &groups {
            for set in UidSet::from_uids(uids).pieces() {
                // The first STORE raises the MODSEQ, so only it can be made conditional.
                let mut condition = modseq;
                for (how, flags) in [(Set::Add, &change.add), (Set::Remove, &change.remove)] {
                    if !flags.is_empty() {
                        commands.push(Command::store(&set, condition.take(), how, flags));
                    }
                }
            }
        }
        let after = std::mem::take(&mut self.after);
        let asked: BTreeSet<Uid> = edits.iter().map(|edit| edit.id).collect();
        let mut session = self.take().await?;
        let set = async {
            self.open(&mut session, place).await?;
            self.must_be_free(&session, &place.mailbox)?;
            let permanent = session.open_mailbox()?.permanent.as_ref();
            let known = knows_all(permanent.map(|(flags, _)| flags), groups.keys().copied());
            let (answers, mut set) = match modseq {
                Some(_) => (session.run_then(&commands, after).await?, BTreeSet::new()),
                None => ask_after(&mut session, &commands, &asked, after).await?,
            };
            set.extend(stamped(&answers));
            let ours = self.ours(&place.mailbox).filter(|_| known);
            let ours = ours.and_then(|ours| ours.and_flags(&asked, &answers));
            let mut refused = UidSet::default();
            for (_, done) in answers {
                refused = refused.union(&modified(must(done, "change flags")?));
            }
            let ours = ours.filter(|_| refused == UidSet::default());
            self.keep_ours(&place.mailbox, ours);
            // OK says nothing of messages that are not there any more (RFC 9051, 6.4.9).
            let open = |uid: &&Uid| !set.contains(uid) && !refused.contains(**uid);
            let open: BTreeSet<Uid> = asked.iter().filter(open).copied().collect();
            if modseq.is_some() && !open.is_empty() {
                set.extend(still_there(&mut session, &open).await?);
            }
            set.retain(|uid| !refused.contains(*uid));
            Ok(set)
        }
        .await;
        self.put(session);
        let set: BTreeSet<Uid> = set?;
        self.note_seen(&place.mailbox);
        let held = edits.iter().map(|edit| edit.id);
        Ok(held.filter(|uid| set.contains(uid)).collect())
    }

    pub(super) async fn remove_with(
        &mut self,
        place: &Place,
        removals: &[Removal<Uid>],
    ) -> Result<Vec<(Uid, Removed)>, StoreError> {
        if removals.is_empty() {
            return Ok(Vec::new());
        }
        let trash = match self.trash_for(&place.mailbox) {
            Some(trash) => Some(self.wire_name(&trash)?),
            None => None,
        };
        let modseq = self.looked.get(&place.mailbox).copied();
        let elsewhere: BTreeSet<Uid> = removals
            .iter()
            .filter(|removal| removal.elsewhere)
            .map(|removal| removal.id)
            .collect();
        let after = std::mem::take(&mut self.after);
        let mut session = self.take().await?;
        let removed = async {
            self.open(&mut session, place).await?;
            self.must_be_free(&session, &place.mailbox)?;
            let leaving = unchanged(&mut session, removals, modseq).await?;
            let Some(trash) = trash else {
                let ours = self.ours(&place.mailbox);
                let (removed, ours) = expunge(&mut session, leaving, ours, after).await?;
                self.keep_ours(&place.mailbox, ours);
                return Ok(removed);
            };
            let (leave, die) = leaving.split(&elsewhere);
            let (first, last) = match leave.uids.is_empty() {
                true => (after, Vec::new()),
                false => (Vec::new(), after),
            };
            let mut removed = match die.uids.is_empty() {
                true => Vec::new(),
                false => to_trash(&mut session, die, &trash, first).await?,
            };
            if !leave.uids.is_empty() {
                removed.extend(expunge(&mut session, leave, None, last).await?.0);
            }
            Ok(removed)
        }
        .await;
        self.put(session);
        let removed = removed?;
        self.note_seen(&place.mailbox);
        Ok(removed)
    }

    pub(super) async fn create_with(&mut self, name: &MailboxName) -> Result<Vec<u8>, StoreError> {
        let mut session = self.take().await?;
        let made = async {
            let wire = session.naming.encode(name).map_err(StoreError::Mailbox)?;
            let (_, done) = session.run(&Command::create(&wire)?).await?;
            let there = list_one(&mut session, &wire).await?;
            if !there {
                must(done, &format!("create {}", shown(&wire)))?;
                let what = format!("{}: created, but the server does not list it", shown(&wire));
                return Err(StoreError::Mailbox(what));
            }
            // So that other programs show it; a server that refuses keeps the mailbox all the same.
            session.run(&Command::subscribe(&wire)?).await?;
            Ok(wire)
        }
        .await;
        self.put(session);
        made
    }

    pub(super) async fn confirm_absent_with(
        &mut self,
        name: &MailboxName,
    ) -> Result<bool, StoreError> {
        let mut session = self.take().await?;
        let absent = async {
            let wire = session.naming.encode(name).map_err(StoreError::Mailbox)?;
            if list_one(&mut session, &wire).await? {
                return Ok(false);
            }
            let (_, done) = session.run(&Command::status(&wire, "MESSAGES")?).await?;
            Ok(done.status == Status::No)
        }
        .await;
        self.put(session);
        absent
    }
}

/// The messages of which it is told that they were changed. A STORE that has a condition tells it
/// of each, .SILENT or not (RFC 7162, 3.1.3); flags are told of what somebody else changed.
fn stamped(answers: &[Answer]) -> BTreeSet<Uid> {
    let replies = answers.iter().flat_map(|(replies, _)| replies);
    let told = replies.filter_map(|reply| match reply {
        Reply::Fetch(told) if told.modseq.is_some() && told.flags.is_none() => told.uid,
        _ => None,
    });
    told.collect()
}

/// Whether the server lists the name as a mailbox.
pub(super) async fn list_one(session: &mut Session, wire: &[u8]) -> Result<bool, StoreError> {
    let (replies, done) = session.run(&Command::list_one(wire)?).await?;
    must(done, "list a mailbox")?;
    let no = ["\\noselect", "\\nonexistent"];
    Ok(replies.iter().any(|reply| match reply {
        Reply::List(l) => l.name == wire && !l.attributes.iter().any(|a| no.contains(&a.as_str())),
        _ => false,
    }))
}
