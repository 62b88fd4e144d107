//! Changes messages and mailboxes: STORE, MOVE, UID EXPUNGE, CREATE. Only confirmed changes count.

use crate::imap::protocol::command::{Command, Set};
use crate::imap::protocol::reply::{Code, Completion, CompletionStatus, Reply};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::session::expect::{must, shown};
use crate::imap::session::{CommandReply, Session};
use crate::imap::store::ImapStore;
use crate::imap::store::expunge::{ask_after, expunge, modified, to_trash, unchanged};
use crate::imap::store::modseq_tracker::knows_all;
use crate::imap::store::snapshot::still_there;
use crate::model::{FlagChange, Flags, Keyword, MailboxName, SystemFlag, Uid};
use crate::store::{FlagEdit, Place, RefusedKeyword, Removal, Removed, StoreError};
use std::collections::{BTreeMap, BTreeSet};

impl ImapStore {
    pub(in crate::imap) async fn set_flags_with(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<Uid>],
    ) -> Result<Vec<Uid>, StoreError> {
        let mut groups: BTreeMap<&FlagChange, Vec<Uid>> = BTreeMap::new();
        for edit in edits {
            groups.entry(&edit.change).or_default().push(edit.id);
        }
        let modseq = self.looked.get(&place.mailbox).copied();
        let orders = orders(&groups, modseq);
        let commands: Vec<Command> = orders.iter().map(StoreCommand::command).collect();
        let after = std::mem::take(&mut self.after);
        let asked: BTreeSet<Uid> = edits.iter().map(|edit| edit.id).collect();
        let mut session = self.take().await?;
        let mut declined = Vec::new();
        let set = async {
            self.open_expected(&mut session, place, false).await?;
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
            for (order, (_, done)) in orders.iter().zip(answers) {
                refused = refused.union(&match order.may_be_split(&done) {
                    true => order.split(&mut session, &mut declined).await?,
                    false => modified(must(done, "change flags")?),
                });
            }
            let ours = ours.filter(|_| refused == UidSet::default());
            self.keep_ours(&place.mailbox, ours);
            // OK says nothing about expunged messages (RFC 9051, 6.4.9).
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
        self.note_refused(&place.mailbox, declined);
        let set: BTreeSet<Uid> = set?;
        self.note_seen(&place.mailbox);
        let held = edits.iter().map(|edit| edit.id);
        Ok(held.filter(|uid| set.contains(uid)).collect())
    }

    fn note_refused(&mut self, mailbox: &MailboxName, declined: Vec<KeywordRefusal>) {
        let refused = declined.into_iter().map(|(keyword, why)| RefusedKeyword {
            mailbox: mailbox.clone(),
            keyword,
            why,
        });
        self.refused.extend(refused);
    }

    pub(in crate::imap) async fn remove_with(
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
            let always = trash.is_some();
            self.open_expected(&mut session, place, always).await?;
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

    pub(in crate::imap) async fn create_with(
        &mut self,
        name: &MailboxName,
    ) -> Result<Vec<u8>, StoreError> {
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
            // For other programs; a server that refuses still has the mailbox.
            session.run(&Command::subscribe(&wire)?).await?;
            Ok(wire)
        }
        .await;
        self.put(session);
        made
    }

    pub(in crate::imap) async fn confirm_absent_with(
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
            if done.status != CompletionStatus::Bad {
                return Ok(done.status == CompletionStatus::No);
            }
            // Some servers answer BAD for a missing name; others for a command that they confuse
            // (hoodiecrow).
            let (_, done) = session.run(&Command::status(b"INBOX", "MESSAGES")?).await?;
            Ok(done.status == CompletionStatus::Ok)
        }
        .await;
        self.put(session);
        absent
    }
}

/// Returns the commands to send.
fn orders<'e>(
    groups: &BTreeMap<&'e FlagChange, Vec<Uid>>,
    modseq: Option<u64>,
) -> Vec<StoreCommand<'e>> {
    let mut orders = Vec::new();
    for (change, uids) in groups {
        for set in UidSet::from_uids(uids).pieces() {
            // Only the first STORE can be conditional, as it raises the MODSEQ.
            let mut condition = modseq;
            for (how, flags) in [(Set::Add, &change.add), (Set::Remove, &change.remove)] {
                if !flags.is_empty() {
                    orders.push(StoreCommand {
                        set: set.clone(),
                        condition: condition.take(),
                        how,
                        flags,
                    });
                }
            }
        }
    }
    orders
}

/// Encodes a STORE.
struct StoreCommand<'e> {
    set: UidSet,
    condition: Option<u64>,
    how: Set,
    flags: &'e Flags,
}

impl StoreCommand<'_> {
    fn command(&self) -> Command {
        Command::store(&self.set, self.condition, self.how, self.flags)
    }

    /// Whether the server may accept a part of the refused STORE: it has several flags or a
    /// keyword, and the answer does not concern any STORE.
    fn may_be_split(&self, done: &Completion) -> bool {
        let flags = self.flags;
        let keyword = flags.keywords().next().is_some();
        let several = flags.keywords().count() + flags.bits().count_ones() as usize > 1;
        let refused =
            done.status != CompletionStatus::Ok && (several || keyword && self.how == Set::Add);
        let passing = match &done.code {
            Some(Code::Other(name)) => PASSING.contains(&name.as_str()),
            _ => false,
        };
        let busy = matches!(must(done.clone(), ""), Err(StoreError::Busy { .. }));
        refused && !passing && !busy
    }

    /// Sends each flag separately. Returns the messages that the server skipped.
    async fn split(
        &self,
        session: &mut Session,
        declined: &mut Vec<KeywordRefusal>,
    ) -> Result<UidSet, StoreError> {
        let mut passed_over = UidSet::default();
        let (mut condition, mut failed, mut left) = (self.condition, None, self.set.clone());
        for flag in singles(self.flags) {
            let command = Command::store(&left, condition, self.how, &flag);
            let (_, done) = session.run(&command).await?;
            match must(done, "change flags") {
                Ok(done) => {
                    let modified = modified(done);
                    passed_over = passed_over.union(&modified);
                    condition = None;
                    let Some(rest) = self.set.without(&passed_over) else {
                        break;
                    };
                    left = rest;
                }
                Err(StoreError::Mailbox(why)) if self.how == Set::Add => {
                    match flag.keywords().next() {
                        Some(keyword) => declined.push((keyword.clone(), why)),
                        None => failed = Some(StoreError::Mailbox(why)),
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(passed_over),
        }
    }
}

/// A keyword and the server's text.
type KeywordRefusal = (Keyword, String);

/// Codes that say nothing about the flags (RFC 5530).
const PASSING: [&str; 7] = [
    "UNAVAILABLE",
    "INUSE",
    "NOPERM",
    "SERVERBUG",
    "EXPUNGEISSUED",
    "TRYCREATE",
    "CONTACTADMIN",
];

/// Returns each flag separately, system flags first.
fn singles(flags: &Flags) -> Vec<Flags> {
    let system = SystemFlag::ALL.into_iter().filter(|flag| flags.has(*flag));
    let system = system.map(|flag| Flags::of(&[flag]));
    let keywords = flags.keywords().map(|k| Flags::from_parts(0, [k.clone()]));
    system.chain(keywords).collect()
}

/// Returns the messages confirmed as changed. A conditional STORE reports each, with .SILENT, too
/// (RFC 7162, 3.1.3); untagged flags report changes of others.
fn stamped(answers: &[CommandReply]) -> BTreeSet<Uid> {
    let replies = answers.iter().flat_map(|(replies, _)| replies);
    let told = replies.filter_map(|reply| match reply {
        Reply::Fetch(told) if told.modseq.is_some() && told.flags.is_none() => told.uid,
        _ => None,
    });
    told.collect()
}

/// Whether the server lists the mailbox.
pub(in crate::imap) async fn list_one(
    session: &mut Session,
    wire: &[u8],
) -> Result<bool, StoreError> {
    let (replies, done) = session.run(&Command::list_one(wire)?).await?;
    must(done, "list a mailbox")?;
    let no = ["\\noselect", "\\nonexistent"];
    Ok(replies.iter().any(|reply| match reply {
        Reply::List(l) => l.name == wire && !l.attributes.iter().any(|a| no.contains(&a.as_str())),
        _ => false,
    }))
}
