//! What users do on both sides, at random.

use super::reference::Before;
use crate::support::memory::{Inner, Memory, MemoryId};
use crate::support::world::TwoSides;
use mailtide::model::*;
use std::collections::{BTreeMap, BTreeSet};

/// A small generator (xorshift64*): the same seed makes the same run on every machine.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        match all.len() {
            0 => None,
            n => all.get(self.below(n)),
        }
    }
}

const NAMES: [&str; 4] = ["INBOX", "A", "A/B", "Entwürfe"];

pub struct Users {
    pub chance: Chance,
    /// Whether contents repeat. Where they do not, what must come out is known exactly.
    pub identical: bool,
    bodies: u32,
    /// Messages that were in step when the round began. Only these are marked \Deleted: a new
    /// message that is (rows 44, 45) stays on its side, which `cases.rs` covers.
    settled: BTreeSet<(MailboxName, AnyId)>,
    /// Contents that lie in several places: these are not moved.
    several: BTreeSet<Vec<u8>>,
    /// What was moved, copied or deleted in this round: once on each side.
    handled: BTreeSet<(Side, Vec<u8>)>,
    dropped: BTreeSet<MailboxName>,
    /// Messages that got other keywords in this round.
    tagged: BTreeSet<(MailboxName, AnyId)>,
    /// Files that came from another mailbox in this round.
    filed: BTreeSet<(MailboxName, AnyId)>,
    renamed: u32,
}

/// A mailbox that was renamed on one side.
#[derive(Clone, Debug)]
pub struct Renamed {
    pub on: Side,
    pub from: MailboxName,
    pub to: MailboxName,
}

impl Users {
    pub fn new(chance: Chance, identical: bool) -> Users {
        Users {
            chance,
            identical,
            bodies: 0,
            settled: BTreeSet::new(),
            several: BTreeSet::new(),
            handled: BTreeSet::new(),
            dropped: BTreeSet::new(),
            tagged: BTreeSet::new(),
            filed: BTreeSet::new(),
            renamed: 0,
        }
    }

    /// Some mailboxes with some mail to begin with.
    pub fn settle(&mut self, w: &TwoSides) {
        for name in &NAMES[1..] {
            if self.chance.one_in(2) {
                w.remote.create(&MailboxName::parse(name).unwrap());
            }
        }
        let names = w.remote.names();
        for _ in 0..self.chance.below(6) {
            let name = self.chance.pick(&names).unwrap().clone();
            let (body, flags) = (self.body(), self.flags());
            w.remote.add(&name, &body, flags);
        }
    }

    /// A new round.
    pub fn begin(&mut self, before: &Before) {
        self.settled.clear();
        self.handled.clear();
        self.dropped.clear();
        self.tagged.clear();
        self.filed.clear();
        let mut places: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (name, pairs) in before {
            for (body, pair) in pairs {
                *places.entry(body).or_default() += 1;
                for id in [pair.uid.any(), pair.file.any()] {
                    self.settled.insert((name.clone(), id));
                }
            }
        }
        let several = places.into_iter().filter(|(_, n)| *n > 1);
        self.several = several.map(|(body, _)| body.to_vec()).collect();
    }

    pub fn body(&mut self) -> Vec<u8> {
        // Identical messages are normal mail.
        let repeats = self.identical && self.bodies > 0 && self.chance.one_in(2);
        let number = match repeats {
            true => self.chance.below(self.bodies as usize) as u32,
            false => {
                self.bodies += 1;
                self.bodies - 1
            }
        };
        // Some share header, size and beginning, and differ only in the middle.
        let pad = match number.is_multiple_of(2) {
            true => "x".repeat(1500),
            false => String::new(),
        };
        let head = format!("Subject: {}\r\nMessage-ID: <1@x>", pad.len());
        format!("{head}\r\n\r\n{pad}{number:04}{pad}\r\n").into_bytes()
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::from_parts(self.chance.below(32) as u8, []);
        if self.chance.one_in(4) {
            let keyword = ["work", "$Forwarded"][self.chance.below(2)];
            flags.insert_keyword(Keyword::new(keyword).unwrap());
        }
        flags.without(SystemFlag::Deleted)
    }

    /// One thing, on one side.
    pub fn act(&mut self, w: &TwoSides) {
        match self.chance.one_in(2) {
            true => self.act_on(&w.remote, w),
            false => self.act_on(&w.local, w),
        }
    }

    fn act_on<I: MemoryId>(&mut self, side: &Memory<I>, w: &TwoSides) {
        let names = side.names();
        let name = self.chance.pick(&names).unwrap().clone();
        let ids = side.ids(&name);
        let id = self.chance.pick(&ids).cloned();
        match (self.chance.below(14), id) {
            (0..=2, _) if ids.len() < 8 => self.add(side, &name, w),
            (3 | 9 | 10, Some(id)) => self.shift(side, &name, &id),
            (4..=6, Some(id)) => self.flag(side, &name, &id),
            (7, Some(id)) => {
                let keyword = Keyword::new(["work", "todo"][self.chance.below(2)]).unwrap();
                let on = self.chance.one_in(2);
                if I::SIDE == Side::Local && self.filed.contains(&(name.clone(), id.any())) {
                    return;
                }
                self.tagged.insert((name.clone(), id.any()));
                side.edit(&name, &id, |f| match on {
                    true => f.insert_keyword(keyword.clone()),
                    false => *f = Flags::from_parts(f.bits(), []),
                });
            }
            (8, Some(id)) if self.may_handle(side, &name, &id, true) => side.delete(&name, &id),
            (11, Some(id)) => self.copy(side, &name, &id),
            (12, _) => {
                let new = MailboxName::parse(self.chance.pick(&NAMES).unwrap()).unwrap();
                if !self.dropped.contains(&new) {
                    side.create(&new);
                }
            }
            (13, _) => self.drop_mailbox(side, &name, w),
            _ => {}
        }
    }

    fn add<I: MemoryId>(&mut self, side: &Memory<I>, name: &MailboxName, w: &TwoSides) {
        let (body, flags) = (self.body(), self.flags());
        side.add(name, &body, flags);
        if !self.chance.one_in(5) {
            return;
        }
        // The same message arrives on the other side too, there or elsewhere.
        let flags = self.flags();
        let names = match I::SIDE {
            Side::Remote => w.local.names(),
            Side::Local => w.remote.names(),
        };
        let name = match names.contains(name) && self.chance.one_in(2) {
            true => name.clone(),
            false => self.chance.pick(&names).unwrap().clone(),
        };
        match I::SIDE {
            Side::Remote => drop(w.local.add(&name, &body, flags)),
            Side::Local => drop(w.remote.add(&name, &body, flags)),
        }
    }

    fn flag<I: MemoryId>(&mut self, side: &Memory<I>, name: &MailboxName, id: &I) {
        let settled = self.settled.contains(&(name.clone(), id.any()));
        let bit = match SystemFlag::ALL[self.chance.below(5)] {
            SystemFlag::Deleted if !settled || self.dropped.contains(name) => SystemFlag::Seen,
            SystemFlag::Deleted if !self.may_handle(side, name, id, false) => SystemFlag::Seen,
            bit => bit,
        };
        let on = self.chance.one_in(2);
        side.edit(name, id, |f| match on {
            true => f.insert(bit),
            false => *f = f.clone().without(bit),
        });
    }

    /// Whether something may be done with a message that takes it away or makes more of it; notes
    /// that it was.
    fn may_handle<I: MemoryId>(
        &mut self,
        side: &Memory<I>,
        name: &MailboxName,
        id: &I,
        deletes: bool,
    ) -> bool {
        if self.identical {
            return true;
        }
        let inner = side.inner.borrow();
        let body = &inner.boxes[name].messages[id].body;
        let all = inner.boxes.values().flat_map(|b| b.messages.values());
        let alone = all.filter(|m| m.body == *body).count() == 1;
        let free = deletes || (alone && !self.several.contains(body));
        free && self.handled.insert((I::SIDE, body.clone()))
    }

    /// Whether it can be known what the letters of a file mean where it is filed: they are those
    /// that both sides agreed on, or it has none.
    fn may_file<I: MemoryId>(&self, side: &Memory<I>, name: &MailboxName, id: &I) -> bool {
        let place = (name.clone(), id.any());
        let inner = side.inner.borrow();
        let plain = inner.boxes[name].messages[id]
            .flags
            .keywords()
            .next()
            .is_none();
        let agreed = self.settled.contains(&place) && !self.tagged.contains(&place);
        I::SIDE == Side::Remote || agreed || plain && !self.tagged.contains(&place)
    }

    /// A mail program moves a message, or gives it another name.
    fn shift<I: MemoryId>(&mut self, side: &Memory<I>, name: &MailboxName, id: &I) {
        let to = self.chance.pick(&side.names()).unwrap().clone();
        // Another name in the same mailbox is something that only files get.
        let full = side.ids(&to).len() >= 8 || (I::SIDE == Side::Remote && to == *name);
        let full = full || !self.may_file(side, name, id);
        if full || !self.may_handle(side, name, id, false) {
            return;
        }
        side.edit(name, id, |f| *f = f.clone().without(SystemFlag::Deleted));
        let new = if self.chance.one_in(2) && to != *name {
            side.shift(name, id, &to)
        } else {
            // By a copy with a new name, and a deletion.
            let copy = side.copy(name, id, &to);
            side.delete(name, id);
            copy
        };
        self.note_filed(to, &new);
    }

    fn copy<I: MemoryId>(&mut self, side: &Memory<I>, name: &MailboxName, id: &I) {
        let to = self.chance.pick(&side.names()).unwrap().clone();
        let may = self.may_file(side, name, id) && side.ids(&to).len() < 8;
        if !may || !self.may_handle(side, name, id, false) {
            return;
        }
        let copy = side.copy(name, id, &to);
        side.edit(&to, &copy, |f| *f = f.clone().without(SystemFlag::Deleted));
        self.note_filed(to, &copy);
    }

    /// Notes a file with a new name or mailbox: a letter that it gets now may be one of the old
    /// mailbox or of the new one, and letters that it loses a mail reader may have left out.
    fn note_filed<I: MemoryId>(&mut self, to: MailboxName, id: &I) {
        if I::SIDE == Side::Local {
            self.filed.insert((to, id.any()));
        }
    }

    fn drop_mailbox<I: MemoryId>(&mut self, side: &Memory<I>, name: &MailboxName, w: &TwoSides) {
        let may = !self.identical && !name.is_inbox() && self.dropped.len() < 2;
        if may && self.chance.one_in(2) && !holds_deleted(w, name) {
            side.inner.borrow_mut().boxes.remove(name);
            self.dropped.insert(name.clone());
        }
    }

    /// A mailbox with all below it gets another name, after everything else. Those that are kept in
    /// step hold what they held, so that they are known again.
    pub fn rename(&mut self, w: &TwoSides, before: &Before) -> Option<Renamed> {
        if self.identical || !self.chance.one_in(5) {
            return None;
        }
        let on = [Side::Remote, Side::Local][self.chance.below(2)];
        let names = match on {
            Side::Remote => w.remote.names(),
            Side::Local => w.local.names(),
        };
        let from = self.chance.pick(&names)?.clone();
        let (there, here) = (w.remote.inner.borrow(), w.local.inner.borrow());
        let concerned = |name: &&MailboxName| name.components().starts_with(from.components());
        let whole = before
            .iter()
            .filter(|(name, _)| concerned(name))
            .all(|(name, pairs)| {
                let holds = |pair: &Pair| match on {
                    Side::Remote => there.boxes[name].messages.contains_key(&pair.uid),
                    Side::Local => here.boxes[name].messages.contains_key(&pair.file),
                };
                let both = there.boxes.contains_key(name) && here.boxes.contains_key(name);
                both && !pairs.is_empty() && pairs.iter().all(|(_, pair)| holds(pair))
            });
        let dropped = self.dropped.iter().any(|name| concerned(&name));
        drop((there, here));
        if from.is_inbox() || dropped || !whole || !before.contains_key(&from) {
            return None;
        }
        self.renamed += 1;
        let to = MailboxName::parse(&format!("R{}", self.renamed)).unwrap();
        match on {
            Side::Remote => w.remote.rename(&from, &to),
            Side::Local => w.local.rename(&from, &to),
        }
        Some(Renamed { on, from, to })
    }

    /// The server gives all messages of a mailbox new UIDs. Says of which.
    pub fn renumber(&mut self, w: &TwoSides, before: &mut Before) -> BTreeSet<MailboxName> {
        let names = w.remote.names();
        let name = self.chance.pick(&names).unwrap();
        let ids: BTreeSet<Uid> = w.remote.ids(name).into_iter().collect();
        let pairs = before.get_mut(name).map_or(&mut [][..], |pairs| pairs);
        let whole = pairs.iter().all(|(_, pair)| ids.contains(&pair.uid));
        // Of a mailbox that comes back nothing is remembered; whether the one copy of a message
        // that was deleted elsewhere went there, is then open.
        let there = self.dropped.is_empty() && !holds_deleted(w, name);
        if whole && there && !self.identical && self.chance.one_in(6) {
            w.remote.renumber(name, self.chance.below(3) as u32);
            let new: BTreeMap<Uid, Uid> = ids.into_iter().zip(w.remote.ids(name)).collect();
            for (_, pair) in pairs {
                pair.uid = new[&pair.uid];
            }
            return BTreeSet::from([name.clone()]);
        }
        BTreeSet::new()
    }
}

/// How a mailbox is called after a rename, its own or of one above it.
pub fn renamed(name: &MailboxName, from: &MailboxName, to: &MailboxName) -> MailboxName {
    let below = name.components().strip_prefix(from.components());
    let new = below.map(|rest| [to.components(), rest].concat());
    new.map_or(name.clone(), |new| MailboxName::new(new).unwrap())
}

/// What is marked \Deleted does not come back with a mailbox that does (row 45).
fn holds_deleted(w: &TwoSides, name: &MailboxName) -> bool {
    fn any<I: Ord>(side: &Inner<I>, name: &MailboxName) -> bool {
        let messages = side.boxes.get(name).map(|b| &b.messages);
        let mut all = messages.into_iter().flatten();
        all.any(|(_, m)| m.flags.has(SystemFlag::Deleted))
    }
    any(&w.remote.inner.borrow(), name) || any(&w.local.inner.borrow(), name)
}

/// Nothing is marked \Deleted any more: what is, and is new (rows 44, 45), stays on its side.
pub fn unmark(w: &TwoSides) {
    fn all<I: MemoryId>(side: &Memory<I>) {
        for name in side.names() {
            for id in side.ids(&name) {
                side.edit(&name, &id, |f| *f = f.clone().without(SystemFlag::Deleted));
            }
        }
    }
    all(&w.remote);
    all(&w.local);
}

/// Files have the letters of the mailboxes they lie in: what they mean is known without a state.
/// Letters that say by the table of another mailbox what the server says were written for that one.
pub fn translate(w: &TwoSides) {
    for name in w.local.names() {
        for id in w.local.ids(&name) {
            w.local.change(&name, &id, |message| {
                message.stale.clear();
                if let Some(meant) = message.meant.take() {
                    message.flags = meant;
                }
            });
            if let Some(there) = told_there(w, &name, &id) {
                w.local.change(&name, &id, |message| {
                    let own = keywords(&message.flags);
                    message.meant = Some(message.flags.difference(&own).union(&there));
                });
            }
        }
    }
}

fn keywords(flags: &Flags) -> Flags {
    let all = flags.keywords().filter(|k| **k != Keyword::forwarded());
    Flags::from_parts(0, all.cloned())
}

/// The keywords of the same message there, if the letters of a file say them by the table of
/// another mailbox, and something else by that of its own.
fn told_there(w: &TwoSides, name: &MailboxName, id: &MaildirId) -> Option<Flags> {
    let (remote, local) = (w.remote.inner.borrow(), w.local.inner.borrow());
    let message = &local.boxes[name].messages[id];
    let own = keywords(&message.flags);
    let letters = local.boxes[name].table.of(&own);
    let mut there = remote.boxes.get(name)?.messages.values();
    let there = keywords(&there.find(|m| m.body == message.body)?.flags);
    let says = |table: &Letters| table.name_all(&letters) && table.read(&letters) == there;
    let elsewhere = local.boxes.values().any(|b| says(&b.table));
    let differs = !own.difference(&there).is_empty();
    (differs && !letters.is_empty() && elsewhere).then_some(there)
}
