//! One side in memory: the same contract as the real stores, and it can fail at any step.

pub use super::fuse::{Act, Fuse};
pub use super::habits::{Habit, Odd};
use mailtide::model::*;
use mailtide::reconcile::{Census, Cursor, FlagMask};
use mailtide::store::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub body: Vec<u8>,
    pub flags: Flags,
    pub date: i64,
    /// The body cannot be had.
    pub broken: bool,
    pub edited: bool,
    /// Another one whenever the file is touched.
    pub touched: u64,
    /// The same for all copies of a message.
    pub object: u64,
    /// Letters in the name of the file that mean nothing in its mailbox.
    pub stale: BTreeSet<u8>,
    /// Its flags as its user knows them, where a mail reader filed it with letters that say
    /// something else in its mailbox.
    pub meant: Option<Flags>,
    pub(super) modseq: u64,
}

#[derive(Clone, Debug)]
pub struct Box_<I: Ord> {
    pub uid_validity: u64,
    pub next: u32,
    pub messages: BTreeMap<I, Message>,
    pub read_only: bool,
    /// Looks answer "unknown".
    pub blind: bool,
    /// Nobody can say how long what is new in it is.
    pub dim: bool,
    /// Messages in whose place something else stands.
    pub obscured: BTreeSet<I>,
    /// Questions about its messages fail.
    pub deaf: bool,
    /// What the user is to be told of it.
    pub remarks: Vec<String>,
    /// Another identity than its UIDVALIDITY.
    pub called: Option<&'static str>,
    /// What is counted of it.
    pub census: Option<Census>,
    /// The letters of keywords in the names of its files.
    pub table: Letters,
    pub(super) modseq: u64,
    pub(super) expunged: Vec<(u64, I)>,
}

impl<I: Ord> Box_<I> {
    fn new(uid_validity: u64) -> Self {
        Box_ {
            uid_validity,
            next: 1,
            messages: BTreeMap::new(),
            read_only: false,
            blind: false,
            dim: false,
            obscured: BTreeSet::new(),
            deaf: false,
            remarks: Vec::new(),
            called: None,
            census: None,
            table: Letters::default(),
            modseq: 1,
            expunged: Vec::new(),
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
    /// Bodies of files that cannot be read, and of those that cannot be changed.
    pub locked: BTreeSet<Vec<u8>>,
    pub fixed: BTreeSet<Vec<u8>>,
    /// Those that were to be changed, and that nobody asked for yet.
    pub(super) unchanged: Vec<Obstacle<I>>,
    /// Bodies at which the connection breaks when they are read, or before they are stored.
    pub breaks_at: BTreeSet<Vec<u8>>,
    /// Bodies after which it breaks when they are stored, before the answer.
    pub breaks_after: BTreeSet<Vec<u8>>,
    /// Bodies at which it breaks when they are changed, moved or removed.
    pub breaks_change: BTreeSet<Vec<u8>>,
    /// Mailboxes at which it breaks when they are looked into.
    pub breaks_look: BTreeSet<MailboxName>,
    /// Bodies that it does not move, nor remove.
    pub keeps: BTreeSet<Vec<u8>>,
    /// It breaks at all bodies.
    pub breaks_always: bool,
    /// How often it broke.
    pub breaks: u32,
    /// Takes another connection after that.
    pub reconnects: bool,
    pub stores: FlagMask,
    /// Keywords that are refused although any is said to be taken.
    pub declines: Flags,
    /// Those that were, and that nobody asked for yet.
    pub(super) declined: Vec<RefusedKeyword>,
    /// Listings of changes instead of everything.
    pub deltas: bool,
    /// Tells the names of what it stores.
    pub tells: bool,
    /// Cannot remove single messages, only mark them.
    pub marks: bool,
    /// Stores the message and then drops the connection, once.
    pub lose_reply: bool,
    /// What an upload becomes.
    pub habit: Habit,
    /// What else it does not do right.
    pub odd: Odd,
    /// Wants to be looked at before something is changed.
    pub wary: bool,
    /// Gives messages ids of its own.
    pub objects: bool,
    /// Moves in two steps, a copy and an expunge.
    pub moves_by_copy: bool,
    /// No other mailbox can have the identity of one.
    pub proves: bool,
    /// Gives all mailboxes one UIDVALIDITY.
    pub constant: bool,
    /// Mailboxes that are not renamed.
    pub stuck: BTreeSet<MailboxName>,
    /// Names that only hold others, of which it says that something changed.
    pub containers: BTreeSet<MailboxName>,
    pub counts: super::memory_sides::Counts,
    /// What messages were called that are changed next.
    pub(super) expected: BTreeMap<MailboxName, Vec<(I, Kin)>>,
    /// What is written need not be durable before it is settled.
    pub(super) held: bool,
    /// Something was written since, and is not durable yet.
    pub unsynced: Arc<AtomicBool>,
    uid_validities: u64,
    next_object: u64,
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
            let name = format!("o.{}.{}.{}", o.mailbox, o.uid_validity.0, o.uid.get());
            let id = MaildirId::new(name.clone());
            return if taken(&id) {
                MaildirId::new(format!("{name}.{number}"))
            } else {
                id
            };
        }
        let names = (number..).map(|n| MaildirId::new(format!("f{n:05}")));
        let mut free = names.filter(|id| !taken(id));
        free.next().unwrap()
    }
    fn origin(&self) -> Option<Origin> {
        let text = String::from_utf8(self.as_bytes().to_vec()).unwrap();
        let mut parts = text.strip_prefix("o.")?.split('.');
        Some(Origin {
            mailbox: parts.next()?.parse().ok()?,
            uid_validity: UidValidity(parts.next()?.parse().ok()?),
            uid: Uid::new(parts.next()?.parse().ok()?)?,
        })
    }
}

impl Message {
    /// What a full look compares. Whatever happens to a file touches it: it counts when its flags
    /// are changed, too.
    pub(super) fn weight(&self) -> Weight {
        let touched = (self.touched << 20) + self.modseq;
        Weight {
            size: self.body.len() as u64,
            stamp: Some(Stamp::of(self.object, 0, touched as i64)),
        }
    }
}

impl<I: MemoryId> Memory<I> {
    pub fn new(fuse: Rc<RefCell<Fuse>>) -> Memory<I> {
        let inner = Inner {
            boxes: BTreeMap::new(),
            quarantine: Vec::new(),
            refuses: BTreeSet::new(),
            mute: BTreeSet::new(),
            locked: BTreeSet::new(),
            fixed: BTreeSet::new(),
            unchanged: Vec::new(),
            breaks_at: BTreeSet::new(),
            breaks_after: BTreeSet::new(),
            breaks_change: BTreeSet::new(),
            breaks_look: BTreeSet::new(),
            keeps: BTreeSet::new(),
            breaks_always: false,
            breaks: 0,
            reconnects: false,
            stores: FlagMask::All,
            declines: Flags::default(),
            declined: Vec::new(),
            deltas: true,
            tells: true,
            marks: false,
            lose_reply: false,
            habit: Habit::Keeps,
            odd: Odd::default(),
            wary: false,
            objects: false,
            moves_by_copy: false,
            proves: I::SIDE == Side::Local,
            constant: false,
            stuck: BTreeSet::new(),
            containers: BTreeSet::new(),
            counts: Default::default(),
            expected: BTreeMap::new(),
            held: false,
            unsynced: Arc::default(),
            uid_validities: 1,
            next_object: 1,
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
        inner.uid_validities += 1;
        let valid = match inner.constant {
            true => 1,
            false => inner.uid_validities,
        };
        let boxes = inner.boxes.entry(name.clone());
        boxes.or_insert_with(|| Box_::new(valid));
    }

    pub fn add(&self, name: &MailboxName, body: &[u8], flags: Flags) -> I {
        let message = self.fresh(body.to_vec(), flags, 1000);
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get_mut(name).unwrap();
        b.put(message, None)
    }

    pub fn fresh(&self, body: Vec<u8>, flags: Flags, date: i64) -> Message {
        let mut inner = self.inner.borrow_mut();
        inner.next_object += 1;
        Message {
            body,
            flags,
            date,
            broken: false,
            edited: false,
            touched: 0,
            object: inner.next_object,
            stale: BTreeSet::new(),
            meant: None,
            modseq: 0,
        }
    }

    /// A mail program copies a message; answers with the copy.
    pub fn copy(&self, from: &MailboxName, id: &I, to: &MailboxName) -> I {
        let mut inner = self.inner.borrow_mut();
        let message = inner.filed(from, inner.boxes[from].messages[id].clone(), to);
        inner.boxes.get_mut(to).unwrap().put(message, None)
    }

    /// A mail program moves a message; on disk it keeps its name where that is free.
    pub fn shift(&self, from: &MailboxName, id: &I, to: &MailboxName) -> I {
        let mut inner = self.inner.borrow_mut();
        let message = inner.boxes.get_mut(from).unwrap().drop_message(id).unwrap();
        let message = inner.filed(from, message, to);
        let target = inner.boxes.get_mut(to).unwrap();
        match I::SIDE {
            Side::Local if !target.messages.contains_key(id) => {
                target.put_as(id.clone(), message);
                id.clone()
            }
            _ => target.put(message, None),
        }
    }

    /// A mailbox gets another name, with all below it.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) {
        let mut inner = self.inner.borrow_mut();
        let old = from.components().to_vec();
        let all: Vec<MailboxName> = inner.boxes.keys().cloned().collect();
        for name in all.into_iter().filter(|n| n.components().starts_with(&old)) {
            let rest = &name.components()[old.len()..];
            let new = [to.components(), rest].concat();
            let b = inner.boxes.remove(&name).unwrap();
            let there = inner.boxes.insert(MailboxName::new(new).unwrap(), b);
            assert!(there.is_none(), "renamed onto another mailbox");
        }
    }

    pub fn edit(&self, name: &MailboxName, id: &I, change: impl Fn(&mut Flags)) {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get_mut(name).unwrap();
        let Some(message) = b.messages.get_mut(id) else {
            return;
        };
        b.modseq += 1;
        message.modseq = b.modseq;
        change(&mut message.flags);
        message.meant.as_mut().map(change);
        let flags = message.flags.clone();
        b.give_letters(&flags);
    }

    pub fn delete(&self, name: &MailboxName, id: &I) {
        let mut inner = self.inner.borrow_mut();
        inner.boxes.get_mut(name).unwrap().drop_message(id);
    }

    /// The table of a mailbox is lost; the letters in the names of its files stay.
    pub fn lose_table(&self, name: &MailboxName) {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get_mut(name).unwrap();
        let table = std::mem::take(&mut b.table);
        b.modseq += 1;
        for message in b.messages.values_mut() {
            message.modseq = b.modseq;
            table.file(&b.table, message);
        }
    }

    pub fn change(&self, name: &MailboxName, id: &I, change: impl FnOnce(&mut Message)) {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get_mut(name).unwrap();
        b.modseq += 1;
        let message = b.messages.get_mut(id).unwrap();
        change(message);
        let flags = message.flags.clone();
        b.give_letters(&flags);
    }

    /// A file is written to in place, which no listing shows.
    pub fn overwrite(&self, name: &MailboxName, id: &I, body: &[u8]) {
        let mut inner = self.inner.borrow_mut();
        inner.next_object += 1;
        let touched = inner.next_object;
        let b = inner.boxes.get_mut(name).unwrap();
        let message = b.messages.get_mut(id).unwrap();
        (message.body, message.touched) = (body.to_vec(), touched);
    }

    /// UIDVALIDITY changes and all UIDs are given anew.
    pub fn renumber(&self, name: &MailboxName, shift: u32) {
        let mut inner = self.inner.borrow_mut();
        inner.uid_validities += 1;
        let valid = inner.uid_validities;
        let b = inner.boxes.get_mut(name).unwrap();
        b.uid_validity = valid;
        b.next += shift;
        b.expunged.clear();
        for (_, message) in std::mem::take(&mut b.messages) {
            b.put(message, None);
        }
    }

    /// The mailbox as it is now, to be put back later.
    pub fn backup(&self, name: &MailboxName) -> Box_<I> {
        self.inner.borrow().boxes[name].clone()
    }

    /// The mailbox is put back from a backup, with its UIDVALIDITY.
    pub fn restore(&self, name: &MailboxName, backup: Box_<I>) {
        self.inner.borrow_mut().boxes.insert(name.clone(), backup);
    }

    /// Whether the messages that are changed next are called as was to be expected.
    pub(super) fn check_expected(&self, place: &Place) -> Result<(), StoreError> {
        let known = self.inner.borrow_mut().expected.remove(&place.mailbox);
        let objects = self.inner.borrow().objects;
        self.at(place, |b| {
            let other = |(id, kin): &(I, Kin)| {
                let message = b.messages.get(id);
                message.is_some_and(|message| called(objects, message) != *kin)
            };
            match known.unwrap_or_default().iter().any(other) {
                true => Err(StoreError::Renumbered("another message".into())),
                false => Ok(()),
            }
        })
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
                    let body = String::from_utf8_lossy(&m.body).replace(&"x".repeat(1500), "X");
                    let stale = m
                        .stale
                        .iter()
                        .map(|letter| format!(" ?{}", char::from(*letter)));
                    (body, m.flags.to_string() + &stale.collect::<String>())
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
        let inner = self.inner.borrow();
        if inner.held {
            inner.unsynced.store(true, Ordering::SeqCst);
        }
    }

    /// As `at`, where a mailbox may refuse to tell.
    pub(super) fn told<T>(
        &self,
        place: &Place,
        act: impl FnOnce(&mut Box_<I>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.at(place, |b| match b.deaf {
            true => Err(StoreError::Mailbox(format!("{} is deaf", place.mailbox))),
            false => act(b),
        })
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
        let valid = UidValidity(b.uid_validity);
        if I::SIDE == Side::Remote && place.uid_validity.is_some_and(|asked| asked != valid) {
            return Err(StoreError::Stale("UIDVALIDITY changed".into()));
        }
        act(b)
    }
}

/// What the server calls a message wherever it lies.
pub(super) fn called(objects: bool, message: &Message) -> Kin {
    let mut heading = Heading::default();
    heading.update(&message.body);
    let (date, size) = (Timestamp(message.date), message.body.len() as u64);
    match objects {
        true => super::memory_serve::object(message),
        false => Kin::envelope(&heading.message_id(), date, size),
    }
}

impl<I: MemoryId> Inner<I> {
    /// A message as a mail reader files it: on disk it keeps the letters of its keywords, whatever
    /// they mean where it comes to lie.
    fn filed(&self, from: &MailboxName, mut message: Message, to: &MailboxName) -> Message {
        if I::SIDE == Side::Local {
            let (old, new) = (&self.boxes[from].table, &self.boxes[to].table);
            old.file(new, &mut message);
        }
        message
    }
}

/// What a mail reader knows of the letters of keywords: nothing.
trait File {
    /// The letters stay, and are read with another table.
    fn file(&self, new: &Letters, message: &mut Message);
}

impl File for Letters {
    fn file(&self, new: &Letters, message: &mut Message) {
        let mut letters = self.of(&message.flags);
        letters.extend(&message.stale);
        let passed = message.flags.has_keyword(&Keyword::forwarded());
        let passed = passed.then(Keyword::forwarded);
        let system = Flags::from_parts(message.flags.bits(), passed);
        let before = std::mem::replace(&mut message.flags, system.union(&new.read(&letters)));
        message.stale = letters
            .into_iter()
            .filter(|l| new.name(*l).is_none())
            .collect();
        if message.flags != before {
            message.meant.get_or_insert(before);
        }
    }
}

impl<I: MemoryId> Box_<I> {
    /// Gives letters to keywords that have none: the first that no file carries, in the order in
    /// which they come, so that other mailboxes have others.
    pub(super) fn give_letters(&mut self, flags: &Flags) {
        if I::SIDE == Side::Remote {
            return;
        }
        for keyword in flags.keywords().filter(|k| **k != Keyword::forwarded()) {
            if self.table.letter(keyword).is_some() {
                continue;
            }
            let stale = |letter: &u8| self.messages.values().any(|m| m.stale.contains(letter));
            let mut free = (b'a'..=b'z').filter(|l| self.table.name(*l).is_none() && !stale(l));
            let letter = free.next().unwrap();
            self.table.insert(letter, keyword.clone());
        }
    }

    pub(super) fn put(&mut self, message: Message, origin: Option<Origin>) -> I {
        // No name on disk is ever given twice.
        let number = match I::SIDE {
            Side::Remote => self.next,
            Side::Local => self.uid_validity as u32 * 1000 + self.next,
        };
        let id = I::make(number, origin, &|id| self.messages.contains_key(id));
        self.next += 1;
        self.put_as(id.clone(), message);
        id
    }

    pub fn put_as(&mut self, id: I, message: Message) {
        self.modseq += 1;
        let modseq = self.modseq;
        let message = Message { modseq, ..message };
        self.give_letters(&message.flags);
        assert!(
            self.messages.insert(id.clone(), message).is_none(),
            "{id} stood there already"
        );
    }

    pub(super) fn drop_message(&mut self, id: &I) -> Option<Message> {
        let message = self.messages.remove(id)?;
        self.modseq += 1;
        self.expunged.push((self.modseq, id.clone()));
        Some(message)
    }

    pub fn mark(&self) -> Cursor {
        let valid = self.uid_validity;
        Cursor(format!("{valid} {} {}", self.next, self.modseq))
    }
}
