//! Random sessions of editing keywords on both sides: mail readers file messages by a rename, by a
//! copy and a deletion, under their name or another, with their letters or without; they tag in
//! mailboxes with tables of their own; the server's user tags and moves; under policies; runs are
//! cut. After each round a keyword is where both users left it:
//!
//! * a message has no keyword that neither side had,
//! * it has each keyword that both sides had,
//! * where it lies in one place on each side it has just those that the merge says,
//! * no file has a letter that means nothing, or something else than its user meant.
//!
//! `MAILTIDE_RUNS=N` plays N / 10 sessions; `MAILTIDE_SEED=S` repeats one and tells what happens.

use super::users::Chance;
use super::{short, tell};
use crate::support::memory::{Inner, Memory, MemoryId, Message};
use crate::support::world::TwoSides;
use mailtide::model::*;
use mailtide::reconcile::{Direction, Policy, Travel};
use std::collections::{BTreeMap, BTreeSet};

const KEYWORDS: [&str; 5] = ["work", "todo", "later", "xyz", "private"];
const NAMES: [&str; 4] = ["INBOX", "A", "B", "C"];

type Words = BTreeSet<String>;

/// The mailbox and the keywords of each content, at each place where it lies.
type Places = BTreeMap<Vec<u8>, Vec<Place>>;

/// A mailbox in which a message lies, and its keywords.
type Place = (MailboxName, Words);

/// Both sides.
#[derive(Clone, Debug)]
struct Sides {
    there: Places,
    here: Places,
}

struct Session {
    w: TwoSides,
    chance: Chance,
    seed: u64,
    bodies: usize,
    names: usize,
    /// Contents that were filed or tagged on disk in this round: neither is done twice.
    handled: BTreeSet<Vec<u8>>,
    /// What users did in this round.
    told: Vec<String>,
}

fn words(flags: &Flags) -> Words {
    let all = flags.keywords().map(|word| word.as_str().to_owned());
    all.collect()
}

fn keyword(word: &str) -> Keyword {
    Keyword::new(word).unwrap()
}

fn mailbox(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

/// The flags of a message as its user knows them.
fn meant(message: &Message) -> Flags {
    let meant = message.meant.clone();
    meant.unwrap_or_else(|| message.flags.clone())
}

fn places<I: Ord>(inner: &Inner<I>) -> Places {
    let mut all = Places::new();
    for (name, b) in &inner.boxes {
        for message in b.messages.values() {
            let places = all.entry(message.body.clone()).or_default();
            places.push((name.clone(), words(&meant(message))));
        }
    }
    all
}

fn settings(chance: &mut Chance) -> Policy {
    let mut policy = Policy::default();
    match chance.below(8) {
        0 => policy.delete = Travel::None,
        1..=3 => policy.direction = Direction::Pull,
        4 => policy.direction = Direction::Push,
        _ => {}
    }
    policy.delete_mailboxes = policy.delete;
    policy
}

impl Session {
    fn new(seed: u64) -> Session {
        let mut w = TwoSides::new();
        let mut chance = Chance::new(seed ^ 0x1e77e5);
        w.remote.inner.borrow_mut().deltas = !chance.one_in(4);
        // A Maildir that changed is listed as a whole.
        w.local.inner.borrow_mut().deltas = false;
        w.remote.inner.borrow_mut().tells = !chance.one_in(4);
        w.policy = settings(&mut chance);
        let (bodies, names) = (0, 0);
        let (handled, told) = (BTreeSet::new(), Vec::new());
        let mut session = Session {
            w,
            chance,
            seed,
            bodies,
            names,
            handled,
            told,
        };
        session.settle();
        session
    }

    /// Mailboxes with mail, and in half of the sessions tables that differ.
    fn settle(&mut self) {
        let differ = self.chance.one_in(2);
        for name in NAMES.map(mailbox) {
            self.w.remote.create(&name);
            for _ in 0..1 + self.chance.below(3) {
                self.add_there(&name);
            }
            if differ && !name.is_inbox() {
                self.w.local.create(&name);
                self.give_table(&name);
            }
        }
        self.sync();
    }

    /// Another program's table.
    fn give_table(&mut self, name: &MailboxName) {
        let first = self.chance.below(5);
        let mut inner = self.w.local.inner.borrow_mut();
        let table = &mut inner.boxes.get_mut(name).unwrap().table;
        for n in 0..1 + self.chance.below(4) {
            let word = KEYWORDS[(first + n) % 5];
            table.insert(b'a' + n as u8, keyword(word));
        }
    }

    fn body(&mut self) -> Vec<u8> {
        self.bodies += 1;
        let n = self.bodies;
        format!("Subject: {n}\r\nMessage-ID: <{n}@x>\r\n\r\n{n:04}\r\n").into_bytes()
    }

    fn flags(&mut self) -> Flags {
        let some = (0..self.chance.below(3)).map(|_| keyword(self.word()));
        let some: Vec<Keyword> = some.collect();
        Flags::from_parts(0, some)
    }

    fn add_there(&mut self, name: &MailboxName) {
        let (body, flags) = (self.body(), self.flags());
        self.w.remote.add(name, &body, flags);
    }

    fn word(&mut self) -> &'static str {
        KEYWORDS[self.chance.below(5)]
    }

    fn sides(&self) -> Sides {
        Sides {
            there: places(&self.w.remote.inner.borrow()),
            here: places(&self.w.local.inner.borrow()),
        }
    }

    /// Any message of a side, with its mailbox.
    fn any<I: MemoryId>(&mut self, side: &Memory<I>) -> Option<(MailboxName, I, Message)> {
        let inner = side.inner.borrow();
        let each = inner.boxes.iter().flat_map(|(name, b)| {
            let all = b.messages.iter();
            all.map(move |(id, m)| (name.clone(), id.clone(), m.clone()))
        });
        let all: Vec<_> = each.collect();
        let at = self.chance.below(all.len().max(1));
        all.get(at).cloned()
    }

    fn pick_name<I: MemoryId>(&mut self, side: &Memory<I>) -> MailboxName {
        let names = side.names();
        names[self.chance.below(names.len())].clone()
    }

    fn act(&mut self) {
        match self.chance.below(16) {
            at @ 0..=6 => self.file_away(at),
            7 | 8 => self.tag(),
            9 => self.untag(),
            10 | 11 => self.tag_there(),
            12 => self.move_there(),
            13 => {
                let name = self.pick_name(&self.w.remote.clone());
                self.add_there(&name);
                self.told.push(format!("there: new in {name}"));
            }
            14 => {
                let name = self.pick_name(&self.w.local.clone());
                let (body, flags) = (self.body(), self.flags());
                self.handled.insert(body.clone());
                let file = self.w.local.add(&name, &body, flags.clone());
                self.told.push(format!("new {file} in {name}: {flags}"));
            }
            _ if self.w.policy.direction == Direction::Pull => {}
            _ => self.new_mailbox(),
        }
    }

    fn new_mailbox(&mut self) {
        self.names += 1;
        let name = mailbox(&format!("N{}", self.names));
        self.w.local.create(&name);
        if self.chance.one_in(2) {
            self.give_table(&name);
        }
        self.told.push(format!("new mailbox {name}"));
    }

    /// A mail reader moves or copies a file with its letters, or without.
    fn file_away(&mut self, how: usize) {
        let local = self.w.local.clone();
        let Some((name, id, message)) = self.any(&local) else {
            return;
        };
        let to = self.pick_name(&local);
        let several = places(&local.inner.borrow())[&message.body].len() > 1;
        let stays = to == name && !matches!(how, 2 | 3);
        if stays || several || !self.handled.insert(message.body.clone()) {
            return;
        }
        let new = match how {
            0 | 1 => local.shift(&name, &id, &to),
            2..=4 => {
                let new = local.copy(&name, &id, &to);
                local.delete(&name, &id);
                if how == 4 {
                    local.change(&to, &new, drop_letters);
                }
                new
            }
            _ => local.copy(&name, &id, &to),
        };
        let what = format!("{how}: {id} of {name} to {to}, {new}: {}", meant(&message));
        self.told.push(what);
    }

    /// A mail reader that knows the table of the mailbox.
    fn tag(&mut self) {
        let local = self.w.local.clone();
        let Some((name, id, message)) = self.any(&local) else {
            return;
        };
        let table = local.inner.borrow().boxes[&name].table.clone();
        let all: Vec<Keyword> = table.iter().map(|(_, word)| word.clone()).collect();
        if all.is_empty() || !self.handled.insert(message.body.clone()) {
            return;
        }
        let word = all[self.chance.below(all.len())].clone();
        local.edit(&name, &id, |flags| flags.insert_keyword(word.clone()));
        let word = word.as_str();
        self.told.push(format!("tag {id} of {name}: {word}"));
    }

    fn untag(&mut self) {
        let local = self.w.local.clone();
        let Some((name, id, message)) = self.any(&local) else {
            return;
        };
        let Some(word) = message.flags.keywords().next().cloned() else {
            return;
        };
        if self.handled.insert(message.body.clone()) {
            let word = Flags::from_parts(0, [word]);
            local.edit(&name, &id, |flags| *flags = flags.difference(&word));
            self.told.push(format!("untag {id} of {name}: {word}"));
        }
    }

    fn tag_there(&mut self) {
        let remote = self.w.remote.clone();
        let Some((name, uid, _)) = self.any(&remote) else {
            return;
        };
        let (word, on) = (self.word(), self.chance.one_in(2));
        let word = Flags::from_parts(0, [keyword(word)]);
        remote.edit(&name, &uid, |flags| match on {
            true => *flags = flags.union(&word),
            false => *flags = flags.difference(&word),
        });
        self.told
            .push(format!("there: {on} {word}, {uid} of {name}"));
    }

    fn move_there(&mut self) {
        let remote = self.w.remote.clone();
        let Some((name, uid, _)) = self.any(&remote) else {
            return;
        };
        let to = self.pick_name(&remote);
        if to != name {
            remote.shift(&name, &uid, &to);
            self.told
                .push(format!("there: move {uid} of {name} to {to}"));
        }
    }

    /// Runs until nothing is left to do.
    fn sync(&mut self) {
        for _ in 0..3 {
            let report = self.w.sync();
            let context = self.context();
            assert!(
                report.ok(),
                "{context}: {:?} {:?}",
                report.errors,
                report.held
            );
        }
        self.w.sync_idle();
    }

    fn context(&self) -> String {
        let (seed, policy, told) = (self.seed, &self.w.policy, &self.told);
        let (direction, delete) = (policy.direction, policy.delete);
        format!("seed {seed}, {direction:?}, delete {delete:?}, {told:#?}")
    }

    fn round(&mut self) {
        let before = self.sides();
        self.handled.clear();
        self.told.clear();
        for _ in 0..1 + self.chance.below(5) {
            self.act();
        }
        let edited = self.sides();
        tell(&self.w, &self.context());
        if self.chance.one_in(3) {
            let at = 1 + self.chance.below(40) as u32;
            self.w.sync_cut(at);
            self.told.push(format!("cut at step {at}"));
            tell(&self.w, "cut");
        }
        self.sync();
        tell(&self.w, "in step");
        self.judge(&before, &edited);
    }

    fn judge(&self, before: &Sides, edited: &Sides) {
        let (context, now) = (self.context(), self.sides());
        let local = self.w.local.inner.borrow();
        for (name, b) in &local.boxes {
            for (id, message) in &b.messages {
                let stale = &message.stale;
                assert!(stale.is_empty(), "{id} in {name}: {stale:?}: {context}");
            }
        }
        let none = Vec::new();
        for body in edited.there.keys().chain(edited.here.keys()) {
            let at = |places: &Places| places.get(body).unwrap_or(&none).clone();
            let (there, here) = (at(&edited.there), at(&edited.here));
            let both = || there.iter().chain(&here).map(|(_, words)| words.clone());
            let all: Words = both().flatten().collect();
            let both = both().reduce(|all, more| &all & &more).unwrap_or_default();
            let title = short(body);
            let old = [at(&before.there), at(&before.here)];
            let exact = self.merged([&old[0], &old[1]], [&there, &here]);
            let ends = [("the server", at(&now.there)), ("the disk", at(&now.here))];
            for (n, (side, places)) in ends.into_iter().enumerate() {
                let had = [!there.is_empty(), !here.is_empty()][n];
                assert!(
                    !had || !places.is_empty(),
                    "{title}: gone on {side}: {context}"
                );
                for (_, words) in &places {
                    let (gained, lost) = (words - &all, &both - words);
                    assert!(
                        gained.is_empty(),
                        "{title} on {side} has {gained:?}: {context}"
                    );
                    assert!(
                        lost.is_empty(),
                        "{title} on {side} lacks {lost:?}: {context}"
                    );
                }
                if let ([(_, words)], Some(want)) = (&places[..], &exact) {
                    assert_eq!(*words, want[n], "{title} on {side}: {context}");
                }
            }
        }
    }

    /// The keywords on both sides, where a message lay in one place on each. Where changes go one
    /// way, one that does not lie in the same mailbox on both is no pair.
    fn merged(&self, before: [&[Place]; 2], edited: [&[Place]; 2]) -> Option<[Words; 2]> {
        let ([(from, old_there)], [(home, old_here)]) = (before[0], before[1]) else {
            return None;
        };
        let ([(_, there)], [(place, here)]) = (edited[0], edited[1]) else {
            return None;
        };
        let follow = |own: &Words, (old, new): (&Words, &Words)| {
            let own = own | &(new - old);
            &own - &(old - new)
        };
        let policy = &self.w.policy;
        let paired = from == home && home == place;
        match policy.direction {
            Direction::Both if policy.delete == Travel::Both => {
                let merged = follow(here, (old_there, there));
                Some([merged.clone(), merged])
            }
            Direction::Pull if paired => Some([there.clone(), follow(here, (old_there, there))]),
            Direction::Push if paired => Some([follow(there, (old_here, here)), here.clone()]),
            _ => None,
        }
    }
}

/// A mail reader writes a name without letters that it does not know.
fn drop_letters(message: &mut Message) {
    let meant = meant(message);
    message.flags = Flags::from_parts(message.flags.bits(), []);
    message.stale.clear();
    message.meant = (message.flags != meant).then_some(meant);
}

fn one(seed: u64) {
    let mut session = Session::new(seed);
    for _ in 0..5 {
        session.round();
    }
}

#[test]
fn sessions_gain_and_lose_no_keyword() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    if let Some(seed) = number("MAILTIDE_SEED") {
        one(seed);
        return;
    }
    let total = number("MAILTIDE_RUNS").unwrap_or(5_000) / 10;
    let failed = (1..=total).filter(|seed| std::panic::catch_unwind(|| one(*seed)).is_err());
    let failed: Vec<u64> = failed.take(20).collect();
    assert!(failed.is_empty(), "repeat with MAILTIDE_SEED: {failed:?}");
}
