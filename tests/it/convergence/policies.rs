//! The same users under policies that change from run to run, beside messages that a side refuses,
//! that somebody marks before they are copied, and UIDs that begin anew. No reference says where
//! each message ends; this must hold under each policy, after each run, cut or not:
//!
//! * no content is gone that lay on a side or in quarantine,
//! * what lies on one side only and is no half of a pair stays there,
//! * a side to which nothing may travel is as it was,
//! * on a side to which no deletion may travel there is as much of each content as before,
//! * what a server lost that was put back from a backup stays on disk.

use super::reference::Before;
use super::users::{self, Chance, Renamed, Users};
use super::{short, tell};
use crate::support::memory::{Box_, Inner, Memory, MemoryId};
use crate::support::world::TwoSides;
use mailtide::model::*;
use mailtide::reconcile::{Direction, Travel};
use std::collections::{BTreeMap, BTreeSet};

/// How often a side holds each content.
type Counts = BTreeMap<Vec<u8>, usize>;

/// A side as a user sees it.
type Shown = BTreeMap<String, Vec<(String, String)>>;

/// Both sides before a run.
struct Snapshot {
    bodies: BTreeSet<Vec<u8>>,
    shown: [Shown; 2],
    counts: [Counts; 2],
    lone: [BTreeSet<Vec<u8>>; 2],
}

/// How often a run met what this is about.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    /// A mailbox was gone on one side, and lone messages lay in it on the other.
    lone: usize,
    /// The same, and one of them was set aside.
    aside: usize,
    /// The server lost messages that the disk has.
    restored: usize,
}

struct Run {
    w: TwoSides,
    users: Users,
    /// What was renamed in this round: the state does not know of it yet.
    renamed: Option<Renamed>,
    /// For what concerns backups: the users do the same with them and without.
    luck: Chance,
    /// A mailbox as it was some time ago.
    backup: Option<(MailboxName, Box_<Uid>)>,
    /// Contents on disk that the server lost in this round, and that nobody deleted.
    lost: BTreeSet<Vec<u8>>,
    seed: u64,
    met: Met,
}

fn bodies<I: MemoryId>(inner: &Inner<I>) -> Counts {
    let mut counts = Counts::new();
    for m in inner.boxes.values().flat_map(|b| b.messages.values()) {
        *counts.entry(m.body.clone()).or_default() += 1;
    }
    counts
}

impl Run {
    fn new(seed: u64) -> Run {
        let w = TwoSides::new();
        let mut chance = Chance::new(seed ^ 0x5e7a51de);
        w.remote.inner.borrow_mut().deltas = !chance.one_in(4);
        // A Maildir that changed is listed as a whole.
        w.local.inner.borrow_mut().deltas = false;
        w.remote.inner.borrow_mut().tells = !chance.one_in(4);
        w.remote.inner.borrow_mut().marks = chance.one_in(5);
        let mut luck = Chance::new(seed ^ 0xbac4);
        w.remote.inner.borrow_mut().constant = luck.one_in(4);
        let mut users = Users::new(chance, false);
        users.settle(&w);
        let met = Met::default();
        Run {
            w,
            users,
            renamed: None,
            luck,
            backup: None,
            lost: BTreeSet::new(),
            seed,
            met,
        }
    }

    /// What a side calls a mailbox of the state.
    fn called(&self, name: &MailboxName, side: Side) -> MailboxName {
        match &self.renamed {
            Some(Renamed { on, from, to }) if *on == side => users::renamed(name, from, to),
            _ => name.clone(),
        }
    }

    /// The pairs of which both halves are there.
    fn before(&self) -> Before {
        let inner = self.w.remote.inner.borrow();
        let all = self.w.state.mailboxes().unwrap().into_iter();
        let all = all.map(|(name, key)| {
            let body = |uid: &Uid| Some(inner.boxes.get(&name)?.messages.get(uid)?.body.clone());
            let pairs = self.w.state.base(key).unwrap().pairs.into_iter();
            let pairs = pairs.filter_map(|pair| Some((body(&pair.uid)?, pair)));
            (name.clone(), pairs.collect())
        });
        all.collect()
    }

    fn settings(&mut self) {
        let chance = &mut self.users.chance;
        let travels = [Travel::Both, Travel::Local, Travel::Remote, Travel::None];
        let policy = &mut self.w.policy;
        policy.direction = match chance.below(5) {
            0 => Direction::Pull,
            1 => Direction::Push,
            _ => Direction::Both,
        };
        policy.delete = travels[chance.below(4)];
        policy.delete_mailboxes = match chance.one_in(2) {
            true => Travel::Both,
            false => policy.delete,
        };
    }

    /// Something that leaves a message on one side alone, or takes a mailbox away.
    fn trouble(&mut self) {
        match self.users.chance.one_in(2) {
            true => self.trouble_on(&self.w.remote.clone(), &self.w.local.clone()),
            false => self.trouble_on(&self.w.local.clone(), &self.w.remote.clone()),
        }
    }

    fn trouble_on<I: MemoryId, J: MemoryId>(&mut self, side: &Memory<I>, other: &Memory<J>) {
        let names = side.names();
        let name = names[self.users.chance.below(names.len())].clone();
        let ids = side.ids(&name);
        let id = ids.get(self.users.chance.below(ids.len().max(1)));
        match (self.users.chance.below(8), id) {
            (0 | 1, _) => {
                let (body, marked) = (self.users.body(), Flags::of(&[SystemFlag::Deleted]));
                side.add(&name, &body, marked);
            }
            (2 | 3, _) => {
                let body = self.users.body();
                other.inner.borrow_mut().refuses.insert(body.clone());
                side.add(&name, &body, Flags::default());
            }
            (4, Some(id)) => side.delete(&name, id),
            (5, _) => other.inner.borrow_mut().refuses.clear(),
            (6, _) if !name.is_inbox() => drop(side.inner.borrow_mut().boxes.remove(&name)),
            (7, _) if I::SIDE == Side::Remote => side.renumber(&name, 2),
            _ => {}
        }
    }

    /// Deletes a mailbox in which something is set aside, on the side that does not have that.
    fn drop_other_half(&mut self) -> bool {
        for (name, key) in self.w.state.mailboxes().unwrap() {
            let base = self.w.state.base(key).unwrap();
            let Some(aside) = base.aside.first().filter(|_| !name.is_inbox()) else {
                continue;
            };
            let dropped = match aside.id.side() {
                Side::Remote => drop_box(&self.w.local, &name),
                Side::Local => drop_box(&self.w.remote, &name),
            };
            if dropped {
                return true;
            }
        }
        false
    }

    fn back_up(&mut self) {
        let names = self.w.remote.names();
        let name = names[self.luck.below(names.len())].clone();
        let backup = self.w.remote.backup(&name);
        self.backup = Some((name, backup));
    }

    /// The server is put back from a backup, and new mail comes.
    fn restore(&mut self) {
        let Some((name, backup)) = self.backup.take() else {
            return;
        };
        let remote = self.w.remote.inner.borrow();
        let Some(now) = remote
            .boxes
            .get(&name)
            .filter(|b| b.uid_validity == backup.uid_validity)
        else {
            return;
        };
        let kept: BTreeSet<&Vec<u8>> = backup.messages.values().map(|m| &m.body).collect();
        let local = self.w.local.inner.borrow();
        let here = local.boxes.get(&name).map(|b| &b.messages);
        let key = self.w.state.mailbox_key(&name).unwrap();
        let pairs = key.map(|key| self.w.state.base(key).unwrap().pairs);
        let lost = pairs.into_iter().flatten().filter_map(|pair| {
            let (far, near) = (now.messages.get(&pair.uid)?, here?.get(&pair.file)?);
            let marked = far.flags.has(SystemFlag::Deleted);
            let same = far.body == near.body && !marked && !kept.contains(&far.body);
            same.then(|| far.body.clone())
        });
        self.lost = lost.collect();
        drop((remote, local));
        self.met.restored += self.lost.len().min(1);
        self.w.remote.restore(&name, backup);
        if self.luck.one_in(2) {
            let body = self.users.body();
            self.w.remote.add(&name, &body, Flags::default());
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let (remote, local) = (self.w.remote.inner.borrow(), self.w.local.inner.borrow());
        let (mut uids, mut files) = (BTreeSet::new(), BTreeSet::new());
        let mut aside = BTreeSet::new();
        for (name, key) in self.w.state.mailboxes().unwrap() {
            let base = self.w.state.base(key).unwrap();
            // Names mean something in the UIDVALIDITY in which they were learned.
            let (far, near) = (
                self.called(&name, Side::Remote),
                self.called(&name, Side::Local),
            );
            let now = remote.boxes.get(&far).map(|b| UidValidity(b.uid_validity));
            if base.uid_validity == now {
                let ours = |aside: &&Aside| aside.reason == AsideReason::MarkedByUs;
                let marked = base.aside.iter().filter(ours).filter_map(Aside::uid);
                let paired = base.pairs.iter().map(|pair| pair.uid).chain(marked);
                uids.extend(paired.map(|uid| (far.clone(), uid)));
            }
            files.extend(base.pairs.into_iter().map(|p| (near.clone(), p.file)));
            aside.extend(base.aside.into_iter().map(|a| (name.clone(), a.id)));
        }
        let (there, here) = (lone(&remote, &uids), lone(&local, &files));
        let missing = |name: &MailboxName, side: Side| match side {
            Side::Remote => !local.boxes.contains_key(name),
            Side::Local => !remote.boxes.contains_key(name),
        };
        let all = there.iter().chain(&here).filter(|(name, id, _)| {
            let known = self.w.state.mailboxes().unwrap().contains_key(name);
            known && missing(name, id.side())
        });
        let all: Vec<_> = all.collect();
        self.met.lone += all.len().min(1);
        let apart = |(name, id, _): &&&Lone| aside.contains(&(name.clone(), id.clone()));
        self.met.aside += all.iter().filter(apart).count().min(1);
        let bodies_of = |all: &[Lone]| all.iter().map(|(_, _, body)| body.clone()).collect();
        let mut everything: BTreeSet<Vec<u8>> = local.quarantine.iter().cloned().collect();
        everything.extend(bodies(&remote).into_keys());
        everything.extend(bodies(&local).into_keys());
        Snapshot {
            bodies: everything,
            counts: [bodies(&remote), bodies(&local)],
            lone: [bodies_of(&there), bodies_of(&here)],
            shown: [bare(self.w.remote.view()), bare(self.w.local.view())],
        }
    }

    fn judge(&mut self, before: &Snapshot, how: &str) {
        let after = self.snapshot();
        let what = format!("seed {}, {how}, {:?}", self.seed, self.w.policy);
        let show = |all: Vec<&Vec<u8>>| -> Vec<String> {
            all.into_iter().map(|body| short(body)).collect()
        };
        let lost: Vec<_> = before.bodies.difference(&after.bodies).collect();
        assert!(lost.is_empty(), "{what}: lost {:?}", show(lost));
        let gone = self
            .lost
            .iter()
            .filter(|b| !after.counts[1].contains_key(*b));
        let gone: Vec<_> = gone.collect();
        assert!(gone.is_empty(), "{what}: restored, gone {:?}", show(gone));
        for (n, side) in [Side::Remote, Side::Local].into_iter().enumerate() {
            let gone = |body: &&Vec<u8>| !after.counts[n].contains_key(*body);
            let gone: Vec<_> = before.lone[n].iter().filter(gone).collect();
            assert!(gone.is_empty(), "{what}: gone on {side} {:?}", show(gone));
            let policy = &self.w.policy;
            if !policy.flows_to(side) {
                assert_eq!(before.shown[n], after.shown[n], "{what}: {side} changed");
            }
            if policy.deletes_on(side) || policy.deletes_mailboxes_on(side) {
                continue;
            }
            for (body, count) in &before.counts[n] {
                let now = after.counts[n].get(body).copied().unwrap_or(0);
                let body = short(body);
                assert!(now >= *count, "{what}: {body} {count} to {now} on {side}");
            }
        }
    }

    fn round(&mut self) {
        if self.users.chance.one_in(2) {
            self.settings();
        }
        let before = self.before();
        self.users.begin(&before);
        self.renamed = None;
        self.lost.clear();
        if self.luck.one_in(3) {
            self.back_up();
        }
        if !(self.users.chance.one_in(2) && self.drop_other_half()) {
            for _ in 0..self.users.chance.below(5) {
                self.users.act(&self.w);
            }
            for _ in 0..self.users.chance.below(4) {
                self.trouble();
            }
            self.renamed = self.users.rename(&self.w, &before);
        }
        if self.luck.one_in(4) {
            self.restore();
        }
        tell(&self.w, &format!("{:?}, users are done", self.w.policy));
        if self.users.chance.one_in(3) {
            let (before, at) = (self.snapshot(), 1 + self.users.chance.below(30) as u32);
            self.w.sync_cut(at);
            tell(&self.w, "cut");
            self.judge(&before, &format!("cut at step {at}"));
        }
        let before = self.snapshot();
        let mut report = self.w.sync();
        // An equal file took the message of an upload that was cut.
        if report.errors.iter().any(super::waits_for_the_next_run) {
            report = self.w.sync();
        }
        tell(
            &self.w,
            &format!("run {:?}", (&report.notes, &report.errors, &report.held)),
        );
        assert!(report.halted.is_none(), "seed {}: {report:?}", self.seed);
        self.judge(&before, "run");
        self.w.sync_idle();
    }
}

/// Without keywords: letters of files that were moved are put right in any direction.
fn bare(mut view: Shown) -> Shown {
    for (_, flags) in view.values_mut().flatten() {
        let system = flags.split(' ').filter(|flag| flag.starts_with('\\'));
        *flags = system.collect::<Vec<_>>().join(" ");
    }
    view
}

fn drop_box<I: MemoryId>(side: &Memory<I>, name: &MailboxName) -> bool {
    side.inner.borrow_mut().boxes.remove(name).is_some()
}

/// A message that is no half of a pair.
type Lone = (MailboxName, AnyId, Vec<u8>);

fn lone<I: MemoryId>(inner: &Inner<I>, known: &BTreeSet<(MailboxName, I)>) -> Vec<Lone> {
    let mut all = Vec::new();
    for (name, b) in &inner.boxes {
        for (id, m) in &b.messages {
            if !known.contains(&(name.clone(), id.clone())) {
                all.push((name.clone(), id.any(), m.body.clone()));
            }
        }
    }
    all
}

fn one(seed: u64) -> Met {
    let mut run = Run::new(seed);
    for _ in 0..4 {
        run.round();
    }
    run.met
}

#[test]
fn policies_that_change_lose_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    if let Some(seed) = number("MAILTIDE_SEED") {
        one(seed);
        return;
    }
    let total = number("MAILTIDE_RUNS").unwrap_or(50_000) / 20;
    let mut met = Met::default();
    for seed in 1..=total {
        match std::panic::catch_unwind(|| one(seed)) {
            Ok(more) => {
                met.lone += more.lone;
                met.aside += more.aside;
                met.restored += more.restored;
            }
            Err(panic) => {
                eprintln!("repeat with MAILTIDE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    let least = (total / 50) as usize;
    let all = [met.lone, met.aside, met.restored];
    assert!(all.iter().all(|n| *n >= least), "{met:?}");
    eprintln!("{met:?} in {total} runs");
}
