//! Taking messages to the server.

use super::answer::must;
use super::command::{Command, LiteralKind};
use super::reply::{Code, Completion, Reply, Status};
use super::session::Session;
use super::store::put_back;
use super::wire::NoTap;
use crate::model::Uid;
use crate::store::{Delivered, Delivery, Place, Receiver, StoreError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Takes messages to the server by APPEND, several on their way at once where LITERAL+ allows it.
/// A message counts as stored when its own command was answered with OK.
pub struct AppendReceiver {
    session: Option<Session>,
    slot: Rc<RefCell<Option<Session>>>,
    wire: Vec<u8>,
    place: Place,
    /// Commands sent: tag, the caller's number, bytes.
    sent: Vec<(String, usize, u64)>,
    done: BTreeMap<String, Completion>,
    /// The command of the message that has begun; `None`: it was refused at its announcement.
    current: Option<String>,
    size: u64,
}

impl AppendReceiver {
    pub(super) fn new(
        session: Session,
        slot: Rc<RefCell<Option<Session>>>,
        wire: Vec<u8>,
        place: Place,
    ) -> AppendReceiver {
        AppendReceiver {
            session: Some(session),
            slot,
            wire,
            place,
            sent: Vec::new(),
            done: BTreeMap::new(),
            current: None,
            size: 0,
        }
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        let given_up = || StoreError::Retry("an upload was broken off".into());
        self.session.as_mut().ok_or_else(given_up)
    }

    /// Reads until `+` or the end of this command.
    async fn invited(&mut self, tag: &str) -> Result<bool, StoreError> {
        loop {
            match self.session()?.next(&mut NoTap).await? {
                Reply::Continue => return Ok(true),
                Reply::Tagged(own, done) => {
                    let over = own == tag;
                    self.done.insert(own, done);
                    if over {
                        return Ok(false);
                    }
                }
                _ => {}
            }
        }
    }

    fn outcome(&self, done: &Completion, stored: u64) -> Result<Delivered<Uid>, StoreError> {
        match (done.status, &done.code) {
            (Status::Ok, Some(Code::AppendUid(validity, uids))) => {
                let same = self.place.epoch.is_none_or(|epoch| epoch.0 == *validity);
                let id = uids.first().filter(|_| same && uids.len() == 1);
                Ok(Delivered::Stored { id, stored })
            }
            (Status::Ok, _) => Ok(Delivered::Stored { id: None, stored }),
            (Status::No | Status::Bad, _) => {
                let refused = must(done.clone(), "take a message");
                match refused {
                    Err(StoreError::Stale(gone)) => Err(StoreError::Stale(gone)),
                    Err(error) => Ok(Delivered::Refused(error.to_string())),
                    Ok(_) => Ok(Delivered::Refused(String::new())),
                }
            }
        }
    }
}

impl Receiver for AppendReceiver {
    type Id = Uid;

    async fn begin(&mut self, size: u64, delivery: Option<&Delivery>) -> Result<(), StoreError> {
        let unknown = || StoreError::Bug("an upload began without flags and date".into());
        let delivery = delivery.ok_or_else(unknown)?;
        let wire = self.wire.clone();
        let session = self.session()?;
        let small = size <= 4096;
        let at_once = session.can("LITERAL+") || (session.can("LITERAL-") && small);
        let kind = if at_once {
            LiteralKind::AtOnce
        } else {
            LiteralKind::Waiting
        };
        let command = Command::append(&wire, &delivery.flags, delivery.date, (size, kind))?;
        let tag = session.send(&command).await?;
        (self.current, self.size) = (Some(tag.clone()), size);
        self.sent.push((tag.clone(), delivery.tag, size));
        if kind == LiteralKind::Waiting && !self.invited(&tag).await? {
            self.current = None;
        }
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self.current {
            Some(_) => self.session()?.write(bytes).await,
            None => Ok(()),
        }
    }

    async fn end(&mut self, _: Delivery) -> Result<(), StoreError> {
        // These two bytes are what makes the server store the message (law, 0.4).
        match self.current.take() {
            Some(_) => self.session()?.write(b"\r\n").await,
            None => Ok(()),
        }
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        // Half a literal cannot be taken back; without its end nothing is stored.
        self.session = None;
        let what = "a file changed while it was uploaded; it comes with the next run";
        Err(StoreError::Retry(what.into()))
    }

    async fn finish(mut self) -> Result<Vec<(usize, Delivered<Uid>)>, StoreError> {
        let mut outcomes = Vec::new();
        for (tag, number, size) in std::mem::take(&mut self.sent) {
            while !self.done.contains_key(&tag) {
                if let Reply::Tagged(own, done) = self.session()?.next(&mut NoTap).await? {
                    self.done.insert(own, done);
                }
            }
            if let Some(done) = self.done.get(&tag) {
                outcomes.push((number, self.outcome(done, size)?));
            }
        }
        if let Some(session) = self.session.take() {
            put_back(&self.slot, session);
        }
        Ok(outcomes)
    }
}
