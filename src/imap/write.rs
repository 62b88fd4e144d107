//! Changing things on the server: APPEND, STORE, MOVE and UID EXPUNGE, CREATE and DELETE. What is
//! done is what the server confirmed, not what it was asked for.

use super::answer::{must, shown};
use super::command::{Access, Command, Set, Since};
use super::look::still_there;
use super::reply::{Code, Completion, Reply, Status};
use super::session::Session;
use super::store::ImapStore;
use super::transfer::leave;
use super::uid_set::UidSet;
use crate::model::{AnyId, FlagChange, Flags, MailboxBase, MailboxName, SystemFlag, Uid};
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
        let mut session = self.take().await?;
        let done = async {
            self.open(&mut session, place).await?;
            let mut refused = UidSet::default();
            for (_, done) in session.run_all(&commands).await? {
                refused = refused.union(&modified(must(done, "change flags")?));
            }
            Ok(refused)
        }
        .await;
        self.put(session);
        let refused = done?;
        Ok(edits
            .iter()
            .map(|edit| edit.id)
            .filter(|uid| !refused.contains(*uid))
            .collect())
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
        let mut session = self.take().await?;
        let removed = async {
            self.open(&mut session, place).await?;
            let uids = unchanged(&mut session, removals).await?;
            let Some(trash) = trash else {
                return expunge(&mut session, uids, modseq).await;
            };
            let (leave, die): (BTreeSet<Uid>, BTreeSet<Uid>) =
                uids.into_iter().partition(|uid| elsewhere.contains(uid));
            let mut removed = match die.is_empty() {
                true => Vec::new(),
                false => to_trash(&mut session, die, &trash).await?,
            };
            if !leave.is_empty() {
                removed.extend(expunge(&mut session, leave, modseq).await?);
            }
            Ok(removed)
        }
        .await;
        self.put(session);
        removed
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

    pub(super) async fn delete_with(&mut self, base: &MailboxBase) -> Result<(), StoreError> {
        let wire = self.wire_name(&base.name)?;
        let known = base.pairs.iter().map(|pair| pair.uid);
        let aside = base.aside.iter().filter_map(|aside| match &aside.id {
            AnyId::Remote(uid) => Some(*uid),
            AnyId::Local(_) => None,
        });
        let known: BTreeSet<Uid> = known.chain(aside).collect();
        let mut session = self.take().await?;
        let done = delete(&mut session, &wire, base, &known).await;
        self.put(session);
        done
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

fn modified(done: Completion) -> UidSet {
    match done.code {
        Some(Code::Modified(set)) => set,
        _ => UidSet::default(),
    }
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

/// Those of the messages that nobody has come to want since the plan.
async fn unchanged(
    session: &mut Session,
    removals: &[Removal<Uid>],
) -> Result<BTreeSet<Uid>, StoreError> {
    let all: Vec<Uid> = removals.iter().map(|removal| removal.id).collect();
    let pieces = UidSet::from_uids(&all).pieces();
    let commands: Vec<Command> = pieces
        .iter()
        .map(|piece| Command::fetch(piece, "UID FLAGS"))
        .collect();
    let mut now: BTreeMap<Uid, Flags> = BTreeMap::new();
    for (replies, done) in session.run_all(&commands).await? {
        must(done, "tell flags")?;
        for reply in replies {
            if let Reply::Fetch(fetched) = reply
                && let (Some(uid), Some(flags)) = (fetched.uid, fetched.flags)
            {
                now.insert(uid, flags);
            }
        }
    }
    // One that is gone already is found out by asking after the removal.
    let same = |removal: &&Removal<Uid>| {
        now.get(&removal.id)
            .is_none_or(|flags| removal.still_holds(flags))
    };
    Ok(removals
        .iter()
        .filter(same)
        .map(|removal| removal.id)
        .collect())
}

pub(super) async fn expunge(
    session: &mut Session,
    mut uids: BTreeSet<Uid>,
    modseq: Option<u64>,
) -> Result<Vec<(Uid, Removed)>, StoreError> {
    let deleted = Flags::of(&[SystemFlag::Deleted]);
    let commands: Vec<Command> = UidSet::from_uids(&uids)
        .pieces()
        .iter()
        .map(|set| Command::store(set, modseq, Set::Add, &deleted))
        .collect();
    for (_, done) in session.run_all(&commands).await? {
        let refused = modified(must(done, "mark messages deleted")?);
        uids.retain(|uid| !refused.contains(*uid));
    }
    // Without UIDPLUS only a plain EXPUNGE is left, which takes what others marked as well.
    if !session.can("UIDPLUS") {
        return Ok(uids.into_iter().map(|uid| (uid, Removed::Marked)).collect());
    }
    let pieces = UidSet::from_uids(&uids).pieces();
    let commands: Vec<Command> = pieces.iter().map(Command::expunge).collect();
    for (_, done) in session.run_all(&commands).await? {
        must(done, "expunge messages")?;
    }
    // Not sent along with it: Dovecot answers the search first.
    confirmed(session, uids, Removed::Gone).await
}

async fn to_trash(
    session: &mut Session,
    uids: BTreeSet<Uid>,
    trash: &[u8],
) -> Result<Vec<(Uid, Removed)>, StoreError> {
    let pieces = UidSet::from_uids(&uids).pieces();
    if session.can("MOVE") {
        for set in &pieces {
            let (_, done) = session.run(&Command::move_to(set, trash)?).await?;
            must(done, "move messages to the trash")?;
        }
        return confirmed(session, uids, Removed::Trashed).await;
    }
    // RFC 4549, 5.1: never \Deleted before the copy is proven.
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
    let gone = expunge(session, copied, None).await?;
    let trashed = |(uid, how)| match how {
        Removed::Gone => (uid, Removed::Trashed),
        other => (uid, other),
    };
    Ok(gone.into_iter().map(trashed).collect())
}

/// Those that are really no longer there: OK alone proves nothing (law, 1.6.6).
async fn confirmed(
    session: &mut Session,
    uids: BTreeSet<Uid>,
    how: Removed,
) -> Result<Vec<(Uid, Removed)>, StoreError> {
    let left = still_there(session, &uids).await?;
    Ok(uids
        .difference(&left)
        .map(|uid| (*uid, how.clone()))
        .collect())
}

async fn delete(
    session: &mut Session,
    wire: &[u8],
    base: &MailboxBase,
    known: &BTreeSet<Uid>,
) -> Result<(), StoreError> {
    session
        .select(wire, Access::ReadOnly, Since::Nothing)
        .await?;
    let open = session.open_mailbox()?.clone();
    let stale = |what: &str| StoreError::Stale(format!("{}: {what}", base.name));
    if base.epoch.is_some_and(|epoch| epoch != open.epoch) {
        return Err(stale("UIDVALIDITY changed"));
    }
    if open.exists > 0 {
        let (replies, done) = session.run(&Command::search_all(session.compact())).await?;
        must(done, "list its messages")?;
        let mut there = UidSet::default();
        for reply in replies {
            if let Reply::Search(set) = reply {
                there = there.union(&set);
            }
        }
        let uids = there.uids(u64::from(open.exists)).unwrap_or_default();
        if uids.len() != open.exists as usize || !uids.is_subset(known) {
            return Err(stale("new mail arrived in it"));
        }
    }
    leave(session).await?;
    let (_, done) = session.run(&Command::delete(wire)?).await?;
    if list_one(session, wire).await? {
        must(done, &format!("delete {}", shown(wire)))?;
        let what = format!("{}: deleted, but the server still lists it", shown(wire));
        return Err(StoreError::Mailbox(what));
    }
    Ok(())
}
