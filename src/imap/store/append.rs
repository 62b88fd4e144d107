//! Uploads messages.

use crate::imap::protocol::command::{Command, LiteralKind};
use crate::imap::protocol::reply::{Code, Completion, CompletionStatus, Reply};
use crate::imap::protocol::wire::NoTap;
use crate::imap::session::Session;
use crate::imap::session::expect::must;
use crate::imap::store::flags::list_one;
use crate::imap::store::put_back;
use crate::model::Uid;
use crate::store::{Delivered, Delivery, Place, Receiver, StoreError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// APPENDs of a session without a read answer.
#[derive(Clone, Debug, Default)]
pub struct PendingAppends(Rc<RefCell<BTreeMap<String, Option<Completion>>>>);

impl PendingAppends {
    /// Returns the number of unanswered ones.
    pub fn open(&self) -> usize {
        self.0
            .borrow()
            .values()
            .filter(|done| done.is_none())
            .count()
    }

    /// Records the completion of a command, if it is one of these.
    pub fn note(&self, tag: &str, done: &Completion) -> bool {
        let mut posted = self.0.borrow_mut();
        let waiting = posted.get_mut(tag);
        waiting.is_some_and(|waiting| waiting.replace(done.clone()).is_none())
    }

    fn await_answer(&self, tag: &str) {
        self.0.borrow_mut().insert(tag.to_owned(), None);
    }

    fn is_answered(&self, tag: &str) -> bool {
        self.0.borrow().get(tag).is_some_and(Option::is_some)
    }

    fn take(&self, tag: &str) -> Option<Completion> {
        self.0.borrow_mut().remove(tag).flatten()
    }

    fn is_of(&self, session: &Session) -> bool {
        Rc::ptr_eq(&self.0, &session.posted.0)
    }
}

/// Uploads messages by APPEND, pipelined where LITERAL+ allows it, also by several receivers in
/// turn. A message counts as stored when its own command was answered with OK.
pub struct AppendReceiver {
    /// The session, while no message is being sent.
    slot: Rc<RefCell<Option<Session>>>,
    session: Option<Session>,
    /// Of this session only.
    posted: PendingAppends,
    wire: Vec<u8>,
    place: Place,
    /// Sent commands: tag, the caller's number, bytes.
    sent: Vec<(String, usize, u64)>,
    /// Whether the bytes of the current message are sent; not after its announcement was refused.
    wanted: bool,
    /// Whether the server lists the mailbox, once checked.
    there: Option<bool>,
}

impl AppendReceiver {
    pub(in crate::imap) fn new(
        session: Session,
        slot: Rc<RefCell<Option<Session>>>,
        wire: Vec<u8>,
        place: Place,
    ) -> AppendReceiver {
        let posted = session.posted.clone();
        put_back(&slot, session);
        AppendReceiver {
            slot,
            session: None,
            posted,
            wire,
            place,
            sent: Vec::new(),
            wanted: false,
            there: None,
        }
    }

    /// Takes the session, if it is still the same.
    fn take(&mut self) -> Result<(), StoreError> {
        let mut slot = self.slot.borrow_mut();
        self.session = slot.take_if(|session| self.posted.is_of(session));
        drop(slot);
        self.session().map(|_| ())
    }

    fn put(&mut self) {
        if let Some(session) = self.session.take() {
            put_back(&self.slot, session);
        }
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        let given_up = || StoreError::Retry("an upload was broken off".into());
        self.session.as_mut().ok_or_else(given_up)
    }

    /// Reads until `+` or the end of this command.
    async fn invited(&mut self, tag: &str) -> Result<bool, StoreError> {
        while !self.posted.is_answered(tag) {
            if let Reply::Continue = self.session()?.next(&mut NoTap).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads until all of these are answered.
    async fn await_all(&mut self, sent: &[(String, usize, u64)]) -> Result<(), StoreError> {
        let open = |tag: &String| !self.posted.is_answered(tag);
        if !sent.iter().any(|(tag, ..)| open(tag)) {
            return Ok(());
        }
        self.take()?;
        for (tag, ..) in sent {
            while !self.posted.is_answered(tag) {
                self.session()?.next(&mut NoTap).await?;
            }
        }
        self.put();
        Ok(())
    }

    /// What an answer means. A NO in front of a mailbox that is listed is a refusal.
    async fn outcome(
        &mut self,
        done: &Completion,
        stored: u64,
    ) -> Result<Delivered<Uid>, StoreError> {
        match (done.status, &done.code) {
            (CompletionStatus::Ok, Some(Code::AppendUid(validity, uids))) => {
                let same = self
                    .place
                    .uid_validity
                    .is_none_or(|uid_validity| uid_validity.0 == *validity);
                let id = uids.first().filter(|_| same && uids.len() == 1);
                Ok(Delivered::Stored {
                    id,
                    stored,
                    stamp: None,
                })
            }
            (CompletionStatus::Ok, _) => Ok(Delivered::Stored {
                id: None,
                stored,
                stamp: None,
            }),
            (CompletionStatus::No | CompletionStatus::Bad, _) => {
                match must(done.clone(), "take a message") {
                    // Another device renamed or deleted it; not all servers send a code.
                    Err(error)
                        if done.status == CompletionStatus::No && !self.is_there().await? =>
                    {
                        Err(StoreError::Stale(error.to_string()))
                    }
                    Err(error) => Ok(Delivered::Refused(error.to_string())),
                    Ok(_) => Ok(Delivered::Refused(String::new())),
                }
            }
        }
    }

    /// Whether the server lists the mailbox; asked once.
    async fn is_there(&mut self) -> Result<bool, StoreError> {
        if let Some(there) = self.there {
            return Ok(there);
        }
        self.take()?;
        let wire = self.wire.clone();
        let there = list_one(self.session()?, &wire).await?;
        self.put();
        self.there = Some(there);
        Ok(there)
    }
}

impl Receiver for AppendReceiver {
    type Id = Uid;

    async fn begin(&mut self, size: u64, delivery: Option<&Delivery>) -> Result<(), StoreError> {
        let unknown = || StoreError::Bug("an upload began without flags and date".into());
        let delivery = delivery.ok_or_else(unknown)?;
        let wire = self.wire.clone();
        self.take()?;
        let session = self.session()?;
        let small = size <= 4096;
        let at_once = session.can("LITERAL+") || (session.can("LITERAL-") && small);
        let kind = if at_once {
            LiteralKind::AtOnce
        } else {
            LiteralKind::Waiting
        };
        let command = Command::append(&wire, &delivery.flags, delivery.date, (size, kind))?;
        let tag = session.post(&command).await?;
        self.posted.await_answer(&tag);
        self.sent.push((tag.clone(), delivery.tag, size));
        self.wanted = at_once || self.invited(&tag).await?;
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self.wanted {
            true => self.session()?.write(bytes).await,
            false => Ok(()),
        }
    }

    async fn end(&mut self, _: Delivery) -> Result<(), StoreError> {
        if std::mem::take(&mut self.wanted) {
            // These two bytes make the server store the message.
            self.session()?.write(b"\r\n").await?;
        }
        self.put();
        Ok(())
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        // An incomplete literal cannot be aborted and stores nothing without its end. Pending
        // answers are read first, so that their messages are not in doubt.
        if let Some(mut session) = self.session.take() {
            while self.posted.open() > 1 && session.next(&mut NoTap).await.is_ok() {}
        }
        let what = "a file changed while it was uploaded; it comes with the next run";
        Err(StoreError::Retry(what.into()))
    }

    async fn finish(mut self) -> Result<Vec<(usize, Delivered<Uid>)>, StoreError> {
        let sent = std::mem::take(&mut self.sent);
        // Answers that arrived before the connection broke count.
        let ended = self.await_all(&sent).await;
        if let Err(error) = &ended
            && !matches!(error, StoreError::Retry(_))
        {
            return Err(error.clone());
        }
        let mut outcomes = Vec::with_capacity(sent.len());
        for (tag, number, size) in sent {
            match (self.posted.take(&tag), &ended) {
                (Some(done), _) => outcomes.push((number, self.outcome(&done, size).await?)),
                (None, Err(error)) => {
                    outcomes.push((number, Delivered::Unanswered(error.clone())));
                }
                (None, Ok(())) => {}
            }
        }
        Ok(outcomes)
    }
}
