//! Arranging mail because the user says so. What lies on disk is changed on disk, as a mail program
//! does it, and the cycle that follows carries it to the server under the guards of every cycle;
//! what only the server has is changed there. Each change is a line of history. No message is taken
//! away without its bytes being kept.

mod bytes;

mod step;

pub use step::{ArrangeStep, MessageName, MessageTarget, touched};

use crate::daemon::open::OpenError;
use crate::imap::ImapStore;
use crate::maildir::MaildirStore;
use crate::model::{
    AnyId, FlagChange, Flags, Keyword, MailboxBase, MailboxKey, MailboxName, MaildirId, Side,
    SystemFlag, Uid, UidValidity,
};
use crate::reconcile::{Direction, Policy};
use crate::state::{FlagsMade, HistoryChange, QuarantineRef, State, Trail};
use crate::store::{
    Delivery, End, FlagEdit, LocalStore, MailStore, Place, Removal, Removed, Shift, StoreError,
    Transfer,
};
use bytes::{Keeping, deliver};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A step as values of the domain.
struct PreparedStep {
    mailbox: MailboxName,
    id: AnyId,
    uid_validity: Option<UidValidity>,
}

impl MessageTarget {
    fn seat(&self) -> Result<PreparedStep, StoreError> {
        let mailbox = name(&self.mailbox)?;
        let (id, uid_validity) = match &self.message {
            MessageName::File(file) => (AnyId::Local(MaildirId::new(file)), None),
            MessageName::Uid(uid, uid_validity) => {
                let none = || StoreError::NeedsUser("0 is no UID".into());
                let uid = Uid::new(*uid).ok_or_else(none)?;
                (AnyId::Remote(uid), Some(UidValidity(*uid_validity)))
            }
        };
        Ok(PreparedStep {
            mailbox,
            id,
            uid_validity,
        })
    }
}

/// What an account arranges mail with.
pub struct Arranger<'a> {
    /// Where it is recorded.
    pub state: &'a mut State,
    /// The disk.
    pub local: &'a mut MaildirStore,
    /// The server; used only for what the disk does not have.
    pub remote: &'a mut ImapStore,
    /// What travels where.
    pub policy: &'a Policy,
    /// What was done and is not recorded yet.
    changes: Vec<HistoryChange>,
    /// The mailboxes of the server were listed.
    listed: bool,
}

impl<'a> Arranger<'a> {
    /// Nothing is done yet.
    pub fn new(
        state: &'a mut State,
        local: &'a mut MaildirStore,
        remote: &'a mut ImapStore,
        policy: &'a Policy,
    ) -> Arranger<'a> {
        Arranger {
            state,
            local,
            remote,
            policy,
            changes: Vec::new(),
            listed: false,
        }
    }

    /// Carries steps out until one fails; what was done until then is recorded. Answers with what
    /// became of each, in words.
    pub async fn carry_out(
        &mut self,
        steps: &[ArrangeStep],
        now: i64,
    ) -> Result<Vec<String>, OpenError> {
        if self.policy.direction == Direction::Pull {
            let what = "direction = \"pull\": nothing is changed on the server, and what is \
                        changed here would be taken back";
            return Err(StoreError::Guard(what.into()).into());
        }
        self.state.begin_run(now);
        self.local.list(&BTreeMap::new()).await?;
        let mut told = Vec::new();
        let mut ended = Ok(());
        for step in steps {
            match self.one(step).await {
                Ok(what) => told.push(what),
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        // What was done is recorded, whatever ended it.
        let changes = std::mem::take(&mut self.changes);
        self.state.note_undone(&changes, &[])?;
        self.state.end_run();
        ended?;
        Ok(told)
    }

    async fn one(&mut self, step: &ArrangeStep) -> Result<String, StoreError> {
        match step {
            ArrangeStep::Flag {
                message,
                add,
                remove,
            } => {
                let change = FlagChange {
                    add: flags(add)?,
                    remove: flags(remove)?,
                };
                self.flag(&message.seat()?, change).await
            }
            ArrangeStep::Move { message, to } => {
                self.transfer(&message.seat()?, &name(to)?, Transfer::Move)
                    .await
            }
            ArrangeStep::Copy { message, to } => {
                self.transfer(&message.seat()?, &name(to)?, Transfer::Copy)
                    .await
            }
            ArrangeStep::Delete { message } => self.delete(&message.seat()?).await,
            ArrangeStep::Append {
                file,
                mailbox,
                flags: words,
            } => self.append(file, &name(mailbox)?, flags(words)?).await,
            ArrangeStep::Create { mailbox } => self.create(&name(mailbox)?).await,
            ArrangeStep::Rename { mailbox, to } => self.rename(&name(mailbox)?, &name(to)?).await,
            ArrangeStep::Remove { mailbox } => self.remove(&name(mailbox)?).await,
            ArrangeStep::Subscribe { mailbox, on } => self.subscribe(&name(mailbox)?, *on).await,
        }
    }

    async fn flag(
        &mut self,
        seat: &PreparedStep,
        change: FlagChange,
    ) -> Result<String, StoreError> {
        let place = seat.place();
        let done = match &seat.id {
            AnyId::Local(file) => {
                let edit = edit(file.clone(), &change);
                !self.local.set_flags(&place, &[edit]).await?.is_empty()
            }
            AnyId::Remote(uid) => {
                self.see_server().await?;
                let edit = edit(*uid, &change);
                !self.remote.set_flags(&place, &[edit]).await?.is_empty()
            }
        };
        if !done {
            return Err(seat.gone());
        }
        let made = FlagsMade {
            pair: None,
            hash: None,
            change: change.clone(),
        };
        self.note(seat, "flags", change.to_string(), |row| {
            row.flags = Some(made)
        });
        Ok(change.to_string())
    }

    async fn transfer(
        &mut self,
        seat: &PreparedStep,
        to: &MailboxName,
        how: Transfer,
    ) -> Result<String, StoreError> {
        if seat.mailbox == *to {
            let what = format!("{}: it is in {to} already", seat.shown());
            return Err(StoreError::NeedsUser(what));
        }
        let (from, target) = (seat.place(), place(to, None));
        let done = match &seat.id {
            AnyId::Local(file) if self.local.directory(to).is_ok() => {
                let shift = shift(file.clone());
                let moved = self.local.transfer(&from, &target, how, &[shift]).await?;
                moved.into_iter().next().map(|(_, id)| id.map(AnyId::Local))
            }
            AnyId::Local(_) => {
                return Err(StoreError::Stale(format!(
                    "there is no mailbox {to} here; make it with: mailtide mailbox create"
                )));
            }
            AnyId::Remote(uid) => {
                self.see_server().await?;
                let shift = shift(*uid);
                let moved = self.remote.transfer(&from, &target, how, &[shift]).await?;
                moved
                    .into_iter()
                    .next()
                    .map(|(_, id)| id.map(AnyId::Remote))
            }
        };
        let Some(new) = done else {
            return Err(seat.gone());
        };
        let (what, verb) = match how {
            Transfer::Move => ("moved", "moved to"),
            Transfer::Copy => ("copied", "copied to"),
        };
        let why = format!("by the user, from {} {}", seat.mailbox, seat.id);
        let there = PreparedStep {
            mailbox: to.clone(),
            id: new.unwrap_or_else(|| seat.id.clone()),
            uid_validity: None,
        };
        let trail = Some(Trail::from(&seat.mailbox)).filter(|_| how == Transfer::Move);
        self.note(&there, what, why, |row| row.trail = trail);
        Ok(format!("{verb} {to}"))
    }

    async fn delete(&mut self, seat: &PreparedStep) -> Result<String, StoreError> {
        let place = seat.place();
        match &seat.id {
            AnyId::Local(file) => {
                let key = self.state.mailbox_key(&seat.mailbox).map_err(of_state)?;
                let uid = key.map(|key| self.state.uid_of_file(key, file));
                let uid = uid.transpose().map_err(of_state)?.flatten();
                let removed = self.local.remove(&place, &[removal(file.clone())]).await?;
                let kept = removed.into_iter().find_map(|(_, how)| match how {
                    Removed::Kept(path) => Some(path),
                    _ => None,
                });
                let kept = kept.ok_or_else(|| seat.gone())?;
                let why = by_user(uid);
                self.note(seat, "deleted", why, |row| {
                    row.kept = Some(remains(kept));
                    row.trail = Some(Trail {
                        uid,
                        ..Trail::default()
                    });
                });
                Ok("deleted, kept in quarantine".to_owned())
            }
            AnyId::Remote(uid) => self.delete_there(seat, *uid).await,
        }
    }

    /// A message that only the server has goes to the trash there; where there is none, its bytes
    /// come into quarantine first.
    async fn delete_there(&mut self, seat: &PreparedStep, uid: Uid) -> Result<String, StoreError> {
        self.see_server().await?;
        let place = seat.place();
        let mut kept = None;
        if !self.remote.keeps_removed(&seat.mailbox) {
            let receiver = self.local.quarantine(&place).await?;
            let mut sink = Keeping::into(receiver);
            self.remote.read(&place, &[uid], &mut sink).await?;
            kept = Some(sink.kept().await?.ok_or_else(|| seat.gone())?);
        }
        let removed = self.remote.remove(&place, &[removal(uid)]).await?;
        let Some((_, how)) = removed.into_iter().next() else {
            return Err(seat.gone());
        };
        let what = match how {
            Removed::Trashed => "moved to the trash",
            Removed::Marked => "marked \\Deleted: the server cannot expunge one message",
            Removed::Gone | Removed::Kept(_) => "deleted, kept in quarantine",
        };
        let why = format!("by the user; {what}");
        self.note(seat, "deleted", why, |row| row.kept = kept.map(remains));
        Ok(what.to_owned())
    }

    async fn append(
        &mut self,
        file: &Path,
        mailbox: &MailboxName,
        flags: Flags,
    ) -> Result<String, StoreError> {
        let place = place(mailbox, None);
        let delivery = Delivery {
            tag: 0,
            flags,
            date: None,
            origin: None,
        };
        let stored = match self.local.directory(mailbox).is_ok() {
            true => {
                let receiver = self.local.receive(&place).await?;
                deliver(receiver, file, delivery).await?.map(AnyId::Local)
            }
            false => {
                self.see_server().await?;
                let receiver = self.remote.receive(&place).await?;
                deliver(receiver, file, delivery).await?.map(AnyId::Remote)
            }
        };
        let side = match self.local.directory(mailbox).is_ok() {
            true => Side::Local,
            false => Side::Remote,
        };
        self.changes.push(HistoryChange {
            message: stored,
            why: "by the user".to_owned(),
            ..change(mailbox, side, "new")
        });
        Ok("one message was added".to_owned())
    }

    async fn create(&mut self, mailbox: &MailboxName) -> Result<String, StoreError> {
        if self.local.directory(mailbox).is_ok() {
            return Err(StoreError::NeedsUser(format!("{mailbox} is there already")));
        }
        let side = match self.policy.chooses(mailbox) {
            true => {
                self.local.create_mailbox(mailbox).await?;
                Side::Local
            }
            false => {
                self.see_server().await?;
                self.remote.create_mailbox(mailbox).await?;
                Side::Remote
            }
        };
        self.note_mailbox(mailbox, side, "mailbox-created", "by the user");
        Ok("created".to_owned())
    }

    async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Result<String, StoreError> {
        if from.is_inbox() || to.is_inbox() {
            return Err(StoreError::NeedsUser("INBOX keeps its name".into()));
        }
        let side = match self.local.directory(from).is_ok() {
            true if self.local.directory(to).is_ok() => {
                return Err(StoreError::NeedsUser(format!("{to} is there already")));
            }
            true => {
                self.local.rename_mailbox(from, to).await?;
                Side::Local
            }
            false => {
                self.see_server().await?;
                self.remote.rename_mailbox(from, to).await?;
                Side::Remote
            }
        };
        let why = format!("by the user, from {from}");
        self.changes.push(HistoryChange {
            why,
            trail: Some(Trail::from(from)),
            ..change(to, side, "mailbox-renamed")
        });
        Ok(format!("its name is {to} now"))
    }

    async fn remove(&mut self, mailbox: &MailboxName) -> Result<String, StoreError> {
        if mailbox.is_inbox() {
            return Err(StoreError::NeedsUser("INBOX cannot be deleted".into()));
        }
        let here = self.local.directory(mailbox).is_ok();
        let paths = self.local.mailbox_paths();
        if let Some(inner) = paths.keys().find(|name| name.below(mailbox).is_some()) {
            let what = format!("{mailbox} stays: {inner} lies below it, and goes first");
            return Err(StoreError::Mailbox(what));
        }
        let (side, end) = match here {
            true => {
                let known = self.state.mailbox_key(mailbox).map_err(of_state)?;
                let base = match known {
                    Some(key) => self.state.base(key).map_err(of_state)?,
                    None => empty(mailbox),
                };
                (Side::Local, self.local.delete_mailbox(&base).await?)
            }
            false => {
                self.see_server().await?;
                // It knows no message: only an empty mailbox is deleted.
                let end = self.remote.delete_mailbox(&empty(mailbox)).await;
                (
                    Side::Remote,
                    end.map_err(|error| not_empty(mailbox, error))?,
                )
            }
        };
        let (kept, what) = match end {
            End::Gone => (None, "deleted"),
            End::Kept(path) => (Some(path), "deleted, kept in quarantine"),
            End::Stays(why) => {
                return Err(StoreError::Mailbox(format!("{mailbox} stays: {why}")));
            }
        };
        self.changes.push(HistoryChange {
            kept: kept.map(remains),
            why: MAILBOX_BY_USER.to_owned(),
            ..change(mailbox, side, "mailbox-deleted")
        });
        Ok(what.to_owned())
    }

    async fn subscribe(&mut self, mailbox: &MailboxName, on: bool) -> Result<String, StoreError> {
        self.see_server().await?;
        self.remote.subscribe(mailbox, on).await?;
        let what = if on { "subscribed" } else { "unsubscribed" };
        self.note_mailbox(mailbox, Side::Remote, what, "by the user");
        Ok(what.to_owned())
    }

    async fn see_server(&mut self) -> Result<(), StoreError> {
        if !self.listed {
            self.remote.list(&BTreeMap::new()).await?;
            self.listed = true;
        }
        Ok(())
    }

    fn note(
        &mut self,
        seat: &PreparedStep,
        what: &'static str,
        why: String,
        more: impl FnOnce(&mut HistoryChange),
    ) {
        let mut row = HistoryChange {
            message: Some(seat.id.clone()),
            why,
            ..change(&seat.mailbox, seat.id.side(), what)
        };
        more(&mut row);
        self.changes.push(row);
    }

    fn note_mailbox(&mut self, mailbox: &MailboxName, side: Side, what: &'static str, why: &str) {
        let why = why.to_owned();
        self.changes.push(HistoryChange {
            why,
            ..change(mailbox, side, what)
        });
    }
}

impl PreparedStep {
    fn place(&self) -> Place {
        place(&self.mailbox, self.uid_validity)
    }

    fn shown(&self) -> String {
        format!("{} {}", self.mailbox, self.id)
    }

    fn gone(&self) -> StoreError {
        StoreError::Stale(format!("{}: it is no longer there", self.shown()))
    }
}

fn place(mailbox: &MailboxName, uid_validity: Option<UidValidity>) -> Place {
    Place {
        mailbox: mailbox.clone(),
        uid_validity,
    }
}

fn name(text: &str) -> Result<MailboxName, StoreError> {
    let none = || StoreError::NeedsUser(format!("\"{text}\" is no name of a mailbox"));
    MailboxName::parse(text).ok_or_else(none)
}

/// Flags of these names.
pub fn flags(words: &[String]) -> Result<Flags, StoreError> {
    let mut flags = Flags::default();
    for word in words {
        let system = SystemFlag::ALL;
        let system = system
            .iter()
            .find(|flag| flag.name().eq_ignore_ascii_case(word));
        match (system, Keyword::new(word)) {
            (Some(flag), _) => flags.insert(*flag),
            (None, Some(keyword)) => flags.insert_keyword(keyword),
            (None, None) => {
                let what = format!("\"{word}\" is no flag and cannot be a keyword");
                return Err(StoreError::NeedsUser(what));
            }
        }
    }
    Ok(flags)
}

fn edit<I>(id: I, change: &FlagChange) -> FlagEdit<I> {
    FlagEdit {
        id,
        change: change.clone(),
        saw: None,
    }
}

fn removal<I>(id: I) -> Removal<I> {
    Removal {
        id,
        saw: None,
        elsewhere: false,
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

fn remains(file: Vec<u8>) -> QuarantineRef {
    QuarantineRef {
        file,
        flags: Flags::default(),
    }
}

fn change(mailbox: &MailboxName, side: Side, what: &'static str) -> HistoryChange {
    HistoryChange {
        mailbox: mailbox.clone(),
        side,
        what,
        message: None,
        why: String::new(),
        kept: None,
        flags: None,
        trail: None,
    }
}

/// Why a file was deleted: the user said so. Names the UID of the message, by which its deletion on
/// the server is found.
fn by_user(uid: Option<Uid>) -> String {
    match uid {
        Some(uid) => format!("{BY_USER}{}", uid.get()),
        None => "by the user; kept in quarantine".to_owned(),
    }
}

/// Why a mailbox was deleted: the user said so.
pub const MAILBOX_BY_USER: &str = "by the user";

/// Of a message that both sides had.
const BY_USER: &str = "by the user; kept in quarantine; UID ";

/// The UID of a message that the user deleted here, by the reason in a line of history.
pub fn uid_by(why: &str) -> Option<&str> {
    why.strip_prefix(BY_USER)
}

/// A mailbox that only the server has is deleted only when nothing is in it.
fn not_empty(mailbox: &MailboxName, error: StoreError) -> StoreError {
    match error {
        StoreError::Stale(_) => StoreError::Mailbox(format!(
            "{mailbox} stays: only the server has it, and there are messages in it; move or \
             delete them first"
        )),
        other => other,
    }
}

/// A mailbox of which nothing is known.
fn empty(mailbox: &MailboxName) -> MailboxBase {
    MailboxBase {
        key: MailboxKey(0),
        name: mailbox.clone(),
        tag: 0,
        uid_validity: None,
        pairs: Vec::new(),
        others: BTreeSet::new(),
        aside: Vec::new(),
    }
}

fn of_state(error: crate::state::StateError) -> StoreError {
    StoreError::Retry(error.to_string())
}
