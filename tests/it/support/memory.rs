//! One side in memory: the same contract as the real stores, and it can fail at any step.

use mailtide::model::*;
use mailtide::reconcile::{Cursor, FlagMask};
use mailtide::store::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub body: Vec<u8>,
    pub flags: Flags,
    pub date: i64,
    /// The body cannot be had.
    pub broken: bool,
    pub edited: bool,
    pub(super) modseq: u64,
}

#[derive(Clone, Debug)]
pub struct Box_<I: Ord> {
    pub epoch: u64,
    pub next: u32,
    pub messages: BTreeMap<I, Message>,
    pub read_only: bool,
    /// Looks answer "unknown".
    pub blind: bool,
    pub(super) modseq: u64,
    pub(super) expunged: Vec<(u64, I)>,
}

impl<I: Ord> Box_<I> {
    fn new(epoch: u64) -> Self {
        Box_ {
            epoch,
            next: 1,
            messages: BTreeMap::new(),
            read_only: false,
            blind: false,
            modseq: 1,
            expunged: Vec::new(),
        }
    }
}

/// Counts steps, and fails from a certain one on, as a killed process does.
#[derive(Debug, Default)]
pub struct Fuse {
    pub steps: u32,
    pub cut_at: Option<u32>,
    pub writes: u32,
}

impl Fuse {
    pub fn step(fuse: &Rc<RefCell<Fuse>>) -> Result<(), StoreError> {
        let mut fuse = fuse.borrow_mut();
        fuse.steps += 1;
        match fuse.cut_at {
            Some(at) if fuse.steps >= at => Err(StoreError::Retry("cut".into())),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
pub struct Inner<I: Ord> {
    pub boxes: BTreeMap<MailboxName, Box_<I>>,
    pub quarantine: Vec<Vec<u8>>,
    pub refuses: BTreeSet<Vec<u8>>,
    /// Bodies that are passed over when read, although they are there.
    pub mute: BTreeSet<Vec<u8>>,
    pub stores: FlagMask,
    /// Listings of changes instead of everything.
    pub deltas: bool,
    /// Tells the names of what it stores.
    pub tells: bool,
    /// Cannot remove single messages, only mark them.
    pub marks: bool,
    /// Stores the message and then drops the connection, once.
    pub lose_reply: bool,
    epochs: u64,
}

/// A handle; clones share the side.
#[derive(Clone, Debug)]
pub struct Memory<I: MemoryId> {
    pub inner: Rc<RefCell<Inner<I>>>,
    pub fuse: Rc<RefCell<Fuse>>,
}

pub trait MemoryId: Id {
    fn make(number: u32, origin: Option<Origin>, taken: &dyn Fn(&Self) -> bool) -> Self;
    fn origin(&self) -> Option<Origin>;
}

impl MemoryId for Uid {
    fn make(number: u32, _: Option<Origin>, _: &dyn Fn(&Self) -> bool) -> Self {
        Uid::new(number).unwrap()
    }
    fn origin(&self) -> Option<Origin> {
        None
    }
}

impl MemoryId for MaildirId {
    fn make(number: u32, origin: Option<Origin>, taken: &dyn Fn(&Self) -> bool) -> Self {
        if let Some(o) = origin {
            let name = format!("o.{}.{}.{}", o.mailbox, o.epoch.0, o.uid.get());
            let id = MaildirId::new(name.clone());
            return if taken(&id) {
                MaildirId::new(format!("{name}.{number}"))
            } else {
                id
            };
        }
        MaildirId::new(format!("f{number:05}"))
    }
    fn origin(&self) -> Option<Origin> {
        let text = String::from_utf8(self.as_bytes().to_vec()).unwrap();
        let mut parts = text.strip_prefix("o.")?.split('.');
        Some(Origin {
            mailbox: parts.next()?.parse().ok()?,
            epoch: UidValidity(parts.next()?.parse().ok()?),
            uid: Uid::new(parts.next()?.parse().ok()?)?,
        })
    }
}

impl<I: MemoryId> Memory<I> {
    pub fn new(fuse: Rc<RefCell<Fuse>>) -> Memory<I> {
        let inner = Inner {
            boxes: BTreeMap::new(),
            quarantine: Vec::new(),
            refuses: BTreeSet::new(),
            mute: BTreeSet::new(),
            stores: FlagMask::All,
            deltas: true,
            tells: true,
            marks: false,
            lose_reply: false,
            epochs: 1,
        };
        let memory = Memory {
            inner: Rc::new(RefCell::new(inner)),
            fuse,
        };
        memory.create(&MailboxName::inbox());
        memory
    }

    // What users and other programs do.

    pub fn create(&self, name: &MailboxName) {
        let mut inner = self.inner.borrow_mut();
        inner.epochs += 1;
        let epoch = inner.epochs;
        inner
            .boxes
            .entry(name.clone())
            .or_insert_with(|| Box_::new(epoch));
    }

    pub fn add(&self, name: &MailboxName, body: &[u8], flags: Flags) -> I {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get_mut(name).unwrap();
        b.put(body.to_vec(), flags, 1000, None)
    }

    pub fn edit(&self, name: &MailboxName, id: &I, change: impl FnOnce(&mut Flags)) {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get_mut(name).unwrap();
        let Some(message) = b.messages.get_mut(id) else {
            return;
        };
        b.modseq += 1;
        message.modseq = b.modseq;
        change(&mut message.flags);
    }

    pub fn delete(&self, name: &MailboxName, id: &I) {
        let mut inner = self.inner.borrow_mut();
        inner.boxes.get_mut(name).unwrap().drop_message(id);
    }

    pub fn change(&self, name: &MailboxName, id: &I, change: impl FnOnce(&mut Message)) {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get_mut(name).unwrap();
        b.modseq += 1;
        change(b.messages.get_mut(id).unwrap());
    }

    /// UIDVALIDITY changes and all UIDs are given anew.
    pub fn renumber(&self, name: &MailboxName, shift: u32) {
        let mut inner = self.inner.borrow_mut();
        inner.epochs += 1;
        let epoch = inner.epochs;
        let b = inner.boxes.get_mut(name).unwrap();
        b.epoch = epoch;
        b.next += shift;
        b.expunged.clear();
        for (_, message) in std::mem::take(&mut b.messages) {
            b.put(message.body, message.flags, message.date, None);
        }
    }

    pub fn ids(&self, name: &MailboxName) -> Vec<I> {
        let inner = self.inner.borrow();
        inner
            .boxes
            .get(name)
            .map(|b| b.messages.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub fn names(&self) -> Vec<MailboxName> {
        self.inner.borrow().boxes.keys().cloned().collect()
    }

    /// What a person sees: mailboxes with their messages and flags.
    pub fn view(&self) -> BTreeMap<String, Vec<(String, String)>> {
        let inner = self.inner.borrow();
        let view = inner.boxes.iter().map(|(name, b)| {
            let mut all: Vec<(String, String)> = b
                .messages
                .values()
                .map(|m| {
                    let body = String::from_utf8_lossy(&m.body).replace(&"x".repeat(600), "X");
                    (body, m.flags.to_string())
                })
                .collect();
            all.sort();
            (name.to_string(), all)
        });
        view.collect()
    }

    pub(super) fn step(&self) -> Result<(), StoreError> {
        Fuse::step(&self.fuse)
    }

    pub(super) fn wrote(&self) {
        self.fuse.borrow_mut().writes += 1;
    }

    pub(super) fn at<T>(
        &self,
        place: &Place,
        act: impl FnOnce(&mut Box_<I>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut inner = self.inner.borrow_mut();
        let b = inner
            .boxes
            .get_mut(&place.mailbox)
            .ok_or_else(|| StoreError::Mailbox(format!("no mailbox {}", place.mailbox)))?;
        let epoch = UidValidity(b.epoch);
        if I::SIDE == Side::Remote && place.epoch.is_some_and(|asked| asked != epoch) {
            return Err(StoreError::Stale("UIDVALIDITY changed".into()));
        }
        act(b)
    }
}

impl<I: MemoryId> Box_<I> {
    pub(super) fn put(
        &mut self,
        body: Vec<u8>,
        flags: Flags,
        date: i64,
        origin: Option<Origin>,
    ) -> I {
        let id = I::make(self.next, origin, &|id| self.messages.contains_key(id));
        self.next += 1;
        self.modseq += 1;
        let (modseq, broken, edited) = (self.modseq, false, false);
        let message = Message {
            body,
            flags,
            date,
            broken,
            edited,
            modseq,
        };
        assert!(
            self.messages.insert(id.clone(), message).is_none(),
            "{id} stood there already"
        );
        id
    }

    pub(super) fn drop_message(&mut self, id: &I) -> Option<Message> {
        let message = self.messages.remove(id)?;
        self.modseq += 1;
        self.expunged.push((self.modseq, id.clone()));
        Some(message)
    }

    pub(super) fn mark(&self) -> Cursor {
        Cursor(format!("{} {} {}", self.epoch, self.next, self.modseq))
    }
}
