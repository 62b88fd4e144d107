//! Two machines, each with a Maildir and a state of its own, in step with one server. On both,
//! people move, delete and add messages, and rename, make and delete mailboxes, before a run of
//! either sees what the other did. This must hold:
//!
//! * no content is gone after a run, cut or not, that lay anywhere or in a quarantine before,
//! * a run of one machine changes nothing on the disk of the other,
//! * after a few runs in turn all three hold the same, and a further run of either writes nothing,
//! * what nobody deleted is there then, once.

use super::short;
use super::users::Chance;
use crate::support::memory::{Inner, Memory, MemoryId};
use crate::support::world::TwoSides;
use mailtide::engine::Report;
use mailtide::model::*;
use mailtide::reconcile::guard::HeldKind;
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 5] = ["A", "B", "C", "D/E", "D/F"];

/// So few that both machines give the same name to different mailboxes.
const NEW_NAMES: [&str; 5] = ["R", "S", "T", "D/X", "A/B"];

/// Runs of both machines after which all is at rest.
const TURNS: usize = 6;

/// How often each content lies somewhere.
type Counts = BTreeMap<Vec<u8>, usize>;

/// How often a run met what this is about.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    renamed: usize,
    renamed_on_both: usize,
    dropped: usize,
    moved: usize,
    cut: usize,
    beside: usize,
}

struct Run {
    machines: [TwoSides; 2],
    chance: Chance,
    bodies: u32,
    /// Contents that somebody deleted, by themselves or with their mailbox.
    deleted: BTreeSet<Vec<u8>>,
    /// How often each content was moved in this round.
    moved: Counts,
    seed: u64,
    met: Met,
}

fn count<I: MemoryId>(inner: &Inner<I>, counts: &mut Counts) {
    for message in inner.boxes.values().flat_map(|b| b.messages.values()) {
        *counts.entry(message.body.clone()).or_default() += 1;
    }
}

fn mb(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut chance = Chance::new(seed ^ 0x2_3ac4);
        let (mut one, mut two) = (TwoSides::new(), TwoSides::new());
        two.remote = Memory {
            inner: one.remote.inner.clone(),
            fuse: two.fuse.clone(),
        };
        {
            let mut server = one.remote.inner.borrow_mut();
            server.deltas = !chance.one_in(4);
            server.tells = !chance.one_in(4);
            server.moves_by_copy = chance.one_in(3);
            server.objects = chance.one_in(3);
            server.proves = server.objects;
        }
        for w in [&mut one, &mut two] {
            w.local.inner.borrow_mut().deltas = !chance.one_in(4);
            let limits = &mut w.policy.limits;
            (limits.count, limits.account, limits.empty) = (1000, 1000, 1000);
            limits.upload = 1000;
        }
        let mut run = Run {
            machines: [one, two],
            chance,
            bodies: 0,
            deleted: BTreeSet::new(),
            moved: Counts::new(),
            seed,
            met: Met::default(),
        };
        let server = run.machines[0].remote.clone();
        for name in NAMES {
            server.create(&mb(name));
        }
        for _ in 0..run.chance.below(9) {
            run.add(&server);
        }
        run.rest();
        run
    }

    fn add<I: MemoryId>(&mut self, side: &Memory<I>) {
        let names = side.names();
        let name = &names[self.chance.below(names.len())];
        self.bodies += 1;
        let number = self.bodies;
        let body = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n{number}\r\n");
        side.add(name, body.as_bytes(), Flags::of(&[SystemFlag::Seen]));
    }

    /// Somebody does something, on the server or on the disk of a machine.
    fn act(&mut self) {
        match self.chance.below(5) {
            0 => self.act_on(&self.machines[0].remote.clone()),
            1 | 2 => self.act_on(&self.machines[0].local.clone()),
            _ => self.act_on(&self.machines[1].local.clone()),
        }
    }

    fn act_on<I: MemoryId>(&mut self, side: &Memory<I>) {
        let names = side.names();
        let name = names[self.chance.below(names.len())].clone();
        let ids = side.ids(&name);
        let id = ids.get(self.chance.below(ids.len().max(1))).cloned();
        let to = names[self.chance.below(names.len())].clone();
        match (self.chance.below(12), id) {
            (0..=1, _) => self.add(side),
            (2..=4, Some(id)) if to != name => {
                let body = side.inner.borrow().boxes[&name].messages[&id].body.clone();
                *self.moved.entry(body).or_default() += 1;
                side.shift(&name, &id, &to);
                self.met.moved += 1;
            }
            (5, Some(id)) => {
                self.note_deleted(side, &name);
                side.delete(&name, &id);
            }
            (6..=8, _) if !name.is_inbox() => self.rename(side, &name),
            (9, _) if !name.is_inbox() => {
                self.note_deleted(side, &name);
                side.inner.borrow_mut().boxes.remove(&name);
                self.met.dropped += 1;
            }
            (10, _) => side.create(&mb(NAMES[self.chance.below(NAMES.len())])),
            _ => {}
        }
    }

    /// All in a mailbox may go: who moves it there meanwhile may lose it, too.
    fn note_deleted<I: MemoryId>(&mut self, side: &Memory<I>, name: &MailboxName) {
        let inner = side.inner.borrow();
        let all = inner.boxes[name].messages.values();
        self.deleted.extend(all.map(|message| message.body.clone()));
    }

    fn rename<I: MemoryId>(&mut self, side: &Memory<I>, from: &MailboxName) {
        let to = mb(NEW_NAMES[self.chance.below(NEW_NAMES.len())]);
        let inside = |name: &MailboxName| *name == to || name.below(&to).is_some();
        let taken = side.names().iter().any(inside);
        if !taken && *from != to && to.below(from).is_none() {
            side.rename(from, &to);
            self.met.renamed += 1;
        }
    }

    /// All contents, wherever they lie.
    fn everything(&self) -> BTreeSet<Vec<u8>> {
        let mut counts = Counts::new();
        count(&self.machines[0].remote.inner.borrow(), &mut counts);
        let mut all = BTreeSet::new();
        for w in &self.machines {
            let local = w.local.inner.borrow();
            count(&local, &mut counts);
            all.extend(local.quarantine.iter().cloned());
        }
        all.extend(counts.into_keys());
        all
    }

    /// One run of one machine, which may be cut; answers with whether all was in step.
    fn sync(&mut self, at: usize, cut: bool) -> bool {
        let before = self.everything();
        let other = self.machines[1 - at].local.view();
        let step = 1 + self.chance.below(40) as u32;
        let writes = |w: &TwoSides| (w.fuse.borrow().writes, w.state.writes());
        let wrote = writes(&self.machines[at]);
        let report = match cut {
            true => self.machines[at].sync_cut(step),
            false => self.machines[at].sync(),
        };
        let what = format!("seed {}, machine {at}, cut {cut}", self.seed);
        self.tell(&format!(
            "{what}: {:?}",
            (&report.errors, &report.held, &report.notes)
        ));
        let after = self.everything();
        let lost: Vec<String> = before.difference(&after).map(|body| short(body)).collect();
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
        assert_eq!(other, self.machines[1 - at].local.view(), "{what}");
        self.approve(at, &report);
        report.ok() && writes(&self.machines[at]) == wrote
    }

    /// The user approves all that is held. Of what the server seems not to have that makes a
    /// second message where it lies elsewhere by now.
    fn approve(&mut self, at: usize, report: &Report) {
        let w = &mut self.machines[at];
        for held in &report.held {
            assert!(w.state.approve(&held.id).unwrap());
            let local = w.local.inner.borrow();
            let unmatched = held.kind == HeldKind::Unmatched;
            let name = held.mailbox.as_ref().filter(|_| unmatched);
            let messages = name.and_then(|name| local.boxes.get(name));
            for message in messages.into_iter().flat_map(|b| b.messages.values()) {
                *self.moved.entry(message.body.clone()).or_default() += 2;
            }
        }
    }

    /// A run of both at once.
    fn sync_both(&mut self) {
        let before = self.everything();
        let seed = self.chance.below(1 << 20) as u64;
        let [one, two] = &mut self.machines;
        let reports = one.sync_beside(two, seed);
        let what = format!("seed {}, both at once", self.seed);
        for report in &reports {
            self.tell(&format!(
                "{what}: {:?}",
                (&report.errors, &report.held, &report.notes)
            ));
        }
        let after = self.everything();
        let lost: Vec<String> = before.difference(&after).map(|body| short(body)).collect();
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
        for (at, report) in reports.iter().enumerate() {
            self.approve(at, report);
        }
        self.met.beside += 1;
    }

    /// Both machines run in turn until neither finds anything to do.
    fn rest(&mut self) {
        let mut turns = 0;
        while !(self.sync(0, false) & self.sync(1, false)) {
            turns += 1;
            assert!(turns < TURNS, "seed {}: no rest", self.seed);
        }
        let seed = self.seed;
        for w in &mut self.machines {
            w.assert_equal_sides(&format!("seed {seed}"));
            w.sync_idle();
            w.assert_no_intent(&format!("seed {seed}"));
        }
        let mut there = Counts::new();
        count(&self.machines[0].remote.inner.borrow(), &mut there);
        // Moved on two sides while runs were under way, one may be there twice (decision 0013).
        for (body, count) in &there {
            let moved = self.moved.get(body).copied().unwrap_or(0);
            let (most, body) = (moved.max(1), short(body));
            assert!(*count <= most, "seed {seed}: {body} is there {count} times");
        }
        let gone = self.everything().into_iter();
        let gone = gone.filter(|body| !body.is_empty() && !there.contains_key(body));
        let gone = gone.filter(|body| !self.deleted.contains(body));
        let gone: Vec<String> = gone.map(|body| short(&body)).collect();
        assert!(gone.is_empty(), "seed {seed}: nobody deleted {gone:?}");
        self.moved = there;
        self.moved.retain(|_, count| *count > 1);
    }

    fn round(&mut self) {
        let before = self.met.renamed;
        for _ in 0..self.chance.below(9) {
            self.act();
            self.tell("somebody did something");
            if self.chance.one_in(8) {
                self.sync_both();
            } else if self.chance.one_in(8) {
                let (at, cut) = (self.chance.below(2), self.chance.one_in(3));
                self.met.cut += usize::from(cut);
                self.sync(at, cut);
            }
        }
        self.met.renamed_on_both += usize::from(self.met.renamed > before + 1);
        self.rest();
    }

    /// For a run that is repeated.
    fn tell(&self, when: &str) {
        if std::env::var("MAILTIDE_SEED").is_err() {
            return;
        }
        eprintln!("-- {when}");
        let show = |view: BTreeMap<String, Vec<(String, String)>>| {
            for (name, all) in view {
                let line = |body: &String| body.lines().next().unwrap_or("").to_owned();
                let all: Vec<String> = all.iter().map(|(body, _)| line(body)).collect();
                eprintln!("   {name}: {all:?}");
            }
        };
        eprintln!(" server:");
        show(self.machines[0].remote.view());
        for (n, w) in self.machines.iter().enumerate() {
            eprintln!(" machine {n}:");
            show(w.local.view());
        }
    }
}

fn one(seed: u64) -> Met {
    let mut run = Run::new(seed);
    for _ in 0..3 {
        run.round();
    }
    run.met
}

#[test]
fn two_machines_of_one_account_converge() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    if let Some(seed) = number("MAILTIDE_SEED") {
        one(seed);
        return;
    }
    let total = number("MAILTIDE_RUNS").unwrap_or(15_000) / 50;
    let mut met = Met::default();
    for seed in 1..=total {
        match std::panic::catch_unwind(|| one(seed)) {
            Ok(more) => {
                met.renamed += more.renamed;
                met.renamed_on_both += more.renamed_on_both;
                met.dropped += more.dropped;
                met.moved += more.moved;
                met.cut += more.cut;
                met.beside += more.beside;
            }
            Err(panic) => {
                eprintln!("repeat with MAILTIDE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    let least = (total / 10) as usize;
    let all = [
        met.renamed,
        met.renamed_on_both,
        met.dropped,
        met.moved,
        met.cut,
        met.beside,
    ];
    assert!(all.iter().all(|n| *n >= least), "{met:?}");
    eprintln!("{met:?} in {total} runs");
}
