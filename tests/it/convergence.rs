//! A random state machine over both sides: users do things here and there, the run may be cut, and
//! at rest both sides hold what a small reference says: nothing lost, nothing doubled, the flag
//! merge exact, the second run empty.
//!
//! `MAILTIDE_RUNS=N` sets the number of runs; a failing run prints its seed, and `MAILTIDE_SEED=S`
//! repeats just that one.

use crate::support::memory::{Memory, MemoryId};
use crate::support::world::TwoSides;
use mailtide::model::*;
use std::collections::{BTreeMap, BTreeSet};

/// A small generator (xorshift64*): the same seed makes the same run on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() {
            None
        } else {
            all.get(self.below(all.len()))
        }
    }
}

const NAMES: [&str; 4] = ["INBOX", "A", "A/B", "Entwürfe"];

/// A mailbox's messages as the reference sees them: pairs by number, and new ones per side.
#[derive(Clone, Default)]
struct Sheet {
    pairs: BTreeMap<i64, (Vec<u8>, Flags)>,
}

type Bag = BTreeMap<(Vec<u8>, String), usize>;

struct Run {
    w: TwoSides,
    chance: Chance,
    bodies: u32,
    seed: u64,
    /// Messages that were in step when the round began. Only these are marked \Deleted: a new
    /// message that is (rows 44, 45) stays on its side, which `cases.rs` covers.
    settled: BTreeSet<(MailboxName, AnyId)>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let w = TwoSides::new();
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        w.remote.inner.borrow_mut().deltas = !chance.one_in(4);
        w.local.inner.borrow_mut().deltas = !chance.one_in(4);
        w.remote.inner.borrow_mut().tells = !chance.one_in(4);
        Run {
            w,
            chance,
            bodies: 0,
            seed,
            settled: BTreeSet::new(),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        // One in three repeats an earlier body: identical messages are normal mail.
        let number = match self.bodies > 0 && self.chance.one_in(3) {
            true => self.chance.below(self.bodies as usize) as u32,
            false => {
                self.bodies += 1;
                self.bodies - 1
            }
        };
        // Some share header, size and beginning, and differ only at the end.
        let pad = if number.is_multiple_of(2) {
            "x".repeat(600)
        } else {
            String::new()
        };
        format!(
            "Subject: {}\r\nMessage-ID: <1@x>\r\n\r\n{pad}{number:04}\r\n",
            pad.len()
        )
        .into_bytes()
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::from_parts(self.chance.below(32) as u8, []);
        if self.chance.one_in(4) {
            flags.insert_keyword(
                Keyword::new(["work", "$Forwarded"][self.chance.below(2)]).unwrap(),
            );
        }
        flags.without(SystemFlag::Deleted)
    }

    fn act<I: MemoryId>(&mut self, side: &Memory<I>, dropped: &mut BTreeSet<MailboxName>) {
        let names = side.names();
        let name = self.chance.pick(&names).unwrap().clone();
        let ids = side.ids(&name);
        let id = self.chance.pick(&ids).cloned();
        match (self.chance.below(12), id) {
            (0..=3, _) if ids.len() < 8 => {
                let (body, flags) = (self.body(), self.flags());
                side.add(&name, &body, flags);
            }
            (4, Some(id)) => {
                // A copy into another mailbox.
                let to = self.chance.pick(&names).unwrap().clone();
                if side.ids(&to).len() < 8 {
                    let inner = side.inner.borrow();
                    let m = inner.boxes[&name].messages[&id].clone();
                    drop(inner);
                    side.add(&to, &m.body, m.flags.without(SystemFlag::Deleted));
                }
            }
            (5..=7, Some(id)) => {
                let settled = self.settled.contains(&(name.clone(), id.any()));
                let bit = match SystemFlag::ALL[self.chance.below(5)] {
                    SystemFlag::Deleted if !settled || dropped.contains(&name) => SystemFlag::Seen,
                    bit => bit,
                };
                let on = self.chance.one_in(2);
                side.edit(&name, &id, |f| match on {
                    true => f.insert(bit),
                    false => *f = f.clone().without(bit),
                });
            }
            (8, Some(id)) => {
                let keyword = Keyword::new(["work", "todo"][self.chance.below(2)]).unwrap();
                let on = self.chance.one_in(2);
                side.edit(&name, &id, |f| match on {
                    true => f.insert_keyword(keyword),
                    false => *f = Flags::from_parts(f.bits(), []),
                });
            }
            (9 | 10, Some(id)) => side.delete(&name, &id),
            (11, _) if self.chance.one_in(2) => {
                let new = MailboxName::parse(self.chance.pick(&NAMES).unwrap()).unwrap();
                if !dropped.contains(&new) {
                    side.create(&new);
                }
            }
            (11, _) if !name.is_inbox() && dropped.len() < 2 && !self.holds_deleted(&name) => {
                side.inner.borrow_mut().boxes.remove(&name);
                dropped.insert(name);
            }
            _ => {}
        }
    }

    /// What is marked \Deleted does not come back with a mailbox that does (row 45).
    fn holds_deleted(&self, name: &MailboxName) -> bool {
        fn any<I: Ord>(side: &crate::support::memory::Inner<I>, name: &MailboxName) -> bool {
            let messages = side.boxes.get(name).map(|b| &b.messages);
            messages
                .into_iter()
                .flatten()
                .any(|(_, m)| m.flags.has(SystemFlag::Deleted))
        }
        any(&self.w.remote.inner.borrow(), name) || any(&self.w.local.inner.borrow(), name)
    }

    /// The pairs of every mailbox, as the state knows them at rest.
    fn sheets(&self) -> BTreeMap<MailboxName, (Sheet, Vec<Pair>)> {
        let state = &self.w.state;
        let all = state.mailboxes().unwrap().into_iter().map(|(name, key)| {
            let base = state.base(key).unwrap();
            let inner = self.w.remote.inner.borrow();
            let body = |uid: &Uid| inner.boxes[&name].messages[uid].body.clone();
            let pairs = base
                .pairs
                .iter()
                .map(|p| (p.id.0, (body(&p.uid), p.flags.clone())));
            (
                name.clone(),
                (
                    Sheet {
                        pairs: pairs.collect(),
                    },
                    base.pairs.clone(),
                ),
            )
        });
        all.collect()
    }

    fn round(&mut self) {
        let before = self.sheets();
        self.settled.clear();
        for (name, (_, pairs)) in &before {
            for pair in pairs {
                self.settled.insert((name.clone(), AnyId::Remote(pair.uid)));
                self.settled
                    .insert((name.clone(), AnyId::Local(pair.file.clone())));
            }
        }
        let mut dropped = BTreeSet::new();
        for _ in 0..self.chance.below(7) {
            let (remote, local) = (self.w.remote.clone(), self.w.local.clone());
            match self.chance.one_in(2) {
                true => self.act(&remote, &mut dropped),
                false => self.act(&local, &mut dropped),
            }
        }
        let want = self.reference(&before);
        if self.chance.one_in(2) {
            let at = 1 + self.chance.below(40) as u32;
            self.w.sync_cut(at);
        }
        let report = self.w.sync();
        let seed = self.seed;
        assert!(
            report.ok(),
            "seed {seed}: {:?} {:?}",
            report.errors,
            report.held
        );
        self.w.assert_equal_sides(&format!("seed {seed}"));
        let have = self.w.remote.view();
        for (name, bag) in &want {
            let mut now: Bag = BTreeMap::new();
            for (body, flags) in have.get(name).cloned().unwrap_or_default() {
                let body = body.replace('X', &"x".repeat(600)).into_bytes();
                *now.entry((body, flags)).or_default() += 1;
            }
            compare(bag, &now, &format!("seed {seed}, {name}"));
        }
        let names: BTreeSet<&String> = have.keys().collect();
        assert_eq!(names, want.keys().collect(), "seed {seed}: mailboxes");
        self.w.sync_idle();
    }

    /// What both sides must hold at rest: the tables of the law in a few lines, written apart
    /// from the engine.
    fn reference(
        &self,
        before: &BTreeMap<MailboxName, (Sheet, Vec<Pair>)>,
    ) -> BTreeMap<String, Bag> {
        let (remote, local) = (self.w.remote.inner.borrow(), self.w.local.inner.borrow());
        let mut names: BTreeSet<MailboxName> = remote.boxes.keys().cloned().collect();
        names.extend(local.boxes.keys().cloned());
        let mut want = BTreeMap::new();
        for name in names {
            let known = before.get(&name);
            let pairs: &[Pair] = known.map_or(&[], |(_, pairs)| pairs);
            let there = remote.boxes.get(&name).map(|b| &b.messages);
            let here = local.boxes.get(&name).map(|b| &b.messages);
            let uids: BTreeSet<Uid> = pairs.iter().map(|p| p.uid).collect();
            let files: BTreeSet<MaildirId> = pairs.iter().map(|p| p.file.clone()).collect();
            let new_there: Vec<_> = there
                .into_iter()
                .flatten()
                .filter(|(id, _)| !uids.contains(id))
                .collect();
            let new_here: Vec<_> = here
                .into_iter()
                .flatten()
                .filter(|(id, _)| !files.contains(id))
                .collect();
            if known.is_some() && (there.is_none() || here.is_none()) {
                // The mailbox was deleted on one side: it goes, unless there is new mail in it.
                let rest = there.map(|m| m.values().cloned().collect::<Vec<_>>());
                let rest = rest.or(here.map(|m| m.values().cloned().collect()));
                if !new_there.is_empty() || !new_here.is_empty() {
                    let all = rest.into_iter().flatten();
                    let alive = all.filter(|m| !m.flags.has(SystemFlag::Deleted));
                    want.insert(name.to_string(), bag(alive.map(|m| (m.body, m.flags))));
                }
                continue;
            }
            let mut all: Vec<(Vec<u8>, Flags)> = Vec::new();
            for pair in pairs {
                let body = &known.unwrap().0.pairs[&pair.id.0].0;
                let r = there.and_then(|m| m.get(&pair.uid)).map(|m| &m.flags);
                let l = here.and_then(|m| m.get(&pair.file)).map(|m| &m.flags);
                all.extend(merged(&pair.flags, r, l).map(|flags| (body.clone(), flags)));
            }
            let mut unmatched: Vec<(Vec<u8>, Flags)> = Vec::new();
            let mut met: BTreeMap<Vec<u8>, Vec<Flags>> = BTreeMap::new();
            for (_, m) in &new_there {
                met.entry(m.body.clone()).or_default().push(m.flags.clone());
            }
            for (_, m) in &new_here {
                match met
                    .get_mut(&m.body)
                    .and_then(|v| (!v.is_empty()).then(|| v.remove(0)))
                {
                    Some(flags) => all.push((m.body.clone(), flags.union(&m.flags))),
                    None => unmatched.push((m.body.clone(), m.flags.clone())),
                }
            }
            all.extend(
                met.into_iter()
                    .flat_map(|(b, v)| v.into_iter().map(move |f| (b.clone(), f))),
            );
            all.extend(unmatched);
            want.insert(name.to_string(), bag(all.into_iter()));
        }
        want
    }
}

fn bag(all: impl Iterator<Item = (Vec<u8>, Flags)>) -> Bag {
    let mut bag = Bag::new();
    for (body, flags) in all {
        *bag.entry((body, flags.to_string())).or_default() += 1;
    }
    bag
}

/// Which of several identical new messages meets which is open; their number and, where there is
/// only one of a kind, their flags are not.
fn compare(want: &Bag, have: &Bag, context: &str) {
    let count = |bag: &Bag| {
        let mut count: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for ((body, _), n) in bag {
            *count.entry(body.clone()).or_default() += n;
        }
        count
    };
    let (wanted, had) = (count(want), count(have));
    assert_eq!(wanted, had, "{context}: number of messages");
    let single = |bag: &Bag| -> Bag {
        let alone = bag
            .iter()
            .filter(|((body, _), _)| wanted.get(body) == Some(&1));
        alone.map(|(k, v)| (k.clone(), *v)).collect()
    };
    assert_eq!(single(want), single(have), "{context}: flags");
}

/// One pair: each bit is what was touched since the base; a message deleted across survives only
/// when it was wanted here.
fn merged(base: &Flags, remote: Option<&Flags>, local: Option<&Flags>) -> Option<Flags> {
    let wanted = |now: &Flags| {
        let flagged = now.has(SystemFlag::Flagged) && !base.has(SystemFlag::Flagged);
        let undeleted = base.has(SystemFlag::Deleted) && !now.has(SystemFlag::Deleted);
        let keyword = now.keywords().any(|k| !base.has_keyword(k));
        flagged || undeleted || keyword
    };
    match (remote, local) {
        (None, None) => None,
        (Some(now), None) | (None, Some(now)) => wanted(now).then(|| now.clone()),
        (Some(r), Some(l)) => {
            let touched = |now: &Flags| (now.difference(base), base.difference(now));
            let ((ra, rd), (la, ld)) = (touched(r), touched(l));
            Some(base.difference(&rd).difference(&ld).union(&ra).union(&la))
        }
    }
}

fn runs(lane: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    if let Some(seed) = number("MAILTIDE_SEED") {
        if lane == 0 {
            one(seed);
        }
        return;
    }
    let total = number("MAILTIDE_RUNS").unwrap_or(20_000);
    for n in 0..total / 2 {
        let seed = 1 + n * 2 + lane;
        if let Err(panic) = std::panic::catch_unwind(|| one(seed)) {
            eprintln!("repeat with MAILTIDE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn one(seed: u64) {
    let mut run = Run::new(seed);
    for _ in 0..3 {
        run.round();
    }
}

#[test]
fn random_runs_converge_even_seeds() {
    runs(1);
}

#[test]
fn random_runs_converge_odd_seeds() {
    runs(0);
}
