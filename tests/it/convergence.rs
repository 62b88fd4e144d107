//! A random state machine over both sides: users do things here and there, the run may be cut, and
//! at rest both sides hold what a small reference says: nothing lost, nothing doubled, the flag
//! merge exact, the second run empty.
//!
//! `MAILTIDE_RUNS=N` sets the number of runs, `MAILTIDE_FIRST=N` those that are left out; a failing
//! run prints its seed, and `MAILTIDE_SEED=S`
//! repeats just that one
//! and tells what happens.

mod keywords;
mod machines;
mod policies;
mod reference;
pub mod users;

use crate::support::memory::Inner;
use crate::support::world::TwoSides;
use mailtide::model::*;
use mailtide::state::{AccountRecord as AccountRow, State};
use reference::{Before, Rest, expected, united};
use std::collections::{BTreeMap, BTreeSet};
use users::{Chance, Renamed, Users};

/// Contents of a mailbox with their flags, and how often.
type Bag = BTreeMap<(String, String), usize>;

/// What runs did: a reference that is never asked about moves shows nothing about them.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    moved: usize,
    copied: usize,
    renamed: usize,
}

struct Run {
    done: Done,
    /// The state as it was some time ago.
    old: Option<State>,
    w: TwoSides,
    users: Users,
    seed: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let w = TwoSides::new();
        let mut chance = Chance::new(seed);
        w.remote.inner.borrow_mut().deltas = !chance.one_in(4);
        w.local.inner.borrow_mut().deltas = !chance.one_in(4);
        w.remote.inner.borrow_mut().tells = !chance.one_in(4);
        w.remote.inner.borrow_mut().moves_by_copy = chance.one_in(3);
        w.remote.inner.borrow_mut().objects = chance.one_in(3);
        let identical = chance.one_in(4);
        let mut users = Users::new(chance, identical);
        users.settle(&w);
        let done = Done::default();
        Run {
            done,
            old: None,
            w,
            users,
            seed,
        }
    }

    /// A state that knows nothing; or an old copy, which the program notices by the marker.
    fn lost_or_old(&mut self) -> State {
        let old = self.old.take().filter(|_| self.users.chance.one_in(2));
        old.map_or_else(
            || State::in_memory().unwrap(),
            |mut old| {
                old.start_over(1).unwrap();
                old
            },
        )
    }

    /// The pairs of every mailbox with their contents, as the state knows them at rest.
    fn before(&self) -> Before {
        let inner = self.w.remote.inner.borrow();
        let all = self.w.state.mailboxes().unwrap().into_iter();
        let all = all.map(|(name, key)| {
            let body = |uid: &Uid| inner.boxes[&name].messages[uid].body.clone();
            let pairs = self.w.state.base(key).unwrap().pairs.into_iter();
            let pairs = pairs.map(|pair| (body(&pair.uid), pair)).collect();
            (name.clone(), pairs)
        });
        all.collect()
    }

    fn round(&mut self) {
        if self.users.chance.one_in(3) {
            self.old = Some(self.w.state.copy().unwrap());
        }
        let mut before = self.before();
        self.users.begin(&before);
        for _ in 0..self.users.chance.below(7) {
            self.users.act(&self.w);
        }
        let forgets = !self.users.identical && self.users.chance.one_in(12);
        let mut anew = BTreeSet::new();
        if forgets {
            users::unmark(&self.w);
            users::translate(&self.w);
            self.w.state = self.lost_or_old();
            let (uuid, config) = ("u".into(), String::new());
            self.w
                .state
                .set_account(&AccountRow { uuid, config }, 0)
                .unwrap();
        } else {
            anew = self.users.renumber(&self.w, &mut before);
        }
        let counts = {
            let (remote, local) = (self.w.remote.inner.borrow(), self.w.local.inner.borrow());
            counts(&before, &remote, &local)
        };
        let rename = match forgets || !anew.is_empty() {
            true => None,
            false => self.users.rename(&self.w, &before),
        };
        let mut remote = self.w.remote.inner.borrow().boxes.clone();
        let mut local = self.w.local.inner.borrow().boxes.clone();
        if let Some(Renamed { on, from, to }) = &rename {
            // As if the other side had done so too.
            let other = |name: MailboxName| users::renamed(&name, from, to);
            before = before.into_iter().map(|(n, v)| (other(n), v)).collect();
            match on {
                Side::Remote => local = local.into_iter().map(|(n, b)| (other(n), b)).collect(),
                Side::Local => remote = remote.into_iter().map(|(n, b)| (other(n), b)).collect(),
            }
        }
        tell(
            &self.w,
            &format!("forgets: {forgets}, {rename:?}, the users are done"),
        );
        let want = match forgets {
            true => united(&remote, &local),
            false => expected(&before, &remote, &local, &anew),
        };
        if self.users.chance.one_in(2) {
            let at = 1 + self.users.chance.below(40) as u32;
            self.w.sync_cut(at);
            tell(&self.w, "cut");
        }
        let mut report = self.w.sync();
        // An equal file took the message of an upload that was cut.
        if report.errors.iter().any(waits_for_the_next_run) {
            report = self.w.sync();
        }
        tell(&self.w, "in step");
        self.done.moved += report.counts.moved_local.min(1) + report.counts.moved_remote.min(1);
        self.done.copied += report.counts.copied_local.min(1) + report.counts.copied_remote.min(1);
        let renamed = [
            report.counts.mailboxes_renamed_local,
            report.counts.mailboxes_renamed_remote,
        ];
        self.done.renamed += renamed.map(|n| n.min(1)).iter().sum::<usize>();
        let seed = self.seed;
        let (errors, held) = (&report.errors, &report.held);
        assert!(report.ok(), "seed {seed}: {errors:?} {held:?}");
        self.w.assert_equal_sides(&format!("seed {seed}"));
        match self.users.identical {
            true => self.within(&counts),
            false => self.exactly(&want),
        }
        self.w.sync_idle();
        self.w.assert_no_intent(&format!("seed {seed}"));
    }

    fn exactly(&self, want: &Rest) {
        let inner = self.w.remote.inner.borrow();
        let seed = self.seed;
        for (name, messages) in want {
            let Some(b) = inner.boxes.get(name) else {
                panic!("seed {seed}: mailbox {name} is not there");
            };
            let have = b
                .messages
                .values()
                .map(|m| (m.body.clone(), m.flags.clone()));
            compare(
                &bag(messages.iter().cloned()),
                &bag(have),
                &format!("seed {seed}, {name}"),
            );
        }
        for name in inner.boxes.keys() {
            assert!(
                want.contains_key(name),
                "seed {seed}: mailbox {name} is there"
            );
        }
    }

    /// Of identical messages, which one was moved is open; how many there are is not.
    fn within(&self, counts: &BTreeMap<Vec<u8>, Count>) {
        let inner = self.w.remote.inner.borrow();
        let mut have: BTreeMap<&[u8], usize> = BTreeMap::new();
        for m in inner.boxes.values().flat_map(|b| b.messages.values()) {
            *have.entry(&m.body).or_default() += 1;
        }
        for (body, count) in counts {
            let have = have.remove(body.as_slice()).unwrap_or(0);
            let (least, most) = (count.least(), count.most());
            let seed = self.seed;
            let what = short(body);
            assert!(have >= least, "seed {seed}: {what} {have} times, {count:?}");
            assert!(have <= most, "seed {seed}: {what} {have} times, {count:?}");
        }
        assert!(have.is_empty(), "seed {}: from nowhere", self.seed);
    }
}

/// Whether a run says that the next one sends a message once more.
fn waits_for_the_next_run(trouble: &mailtide::engine::Trouble) -> bool {
    trouble.text.ends_with("the next run sends it once more")
}

/// For a run that is repeated.
fn tell(w: &TwoSides, when: &str) {
    if std::env::var("MAILTIDE_SEED").is_err() {
        return;
    }
    fn side<I: std::fmt::Debug + Ord>(inner: &Inner<I>) {
        for (name, b) in &inner.boxes {
            for (id, m) in &b.messages {
                eprintln!("  {name} {id:?}: {} ({})", short(&m.body), m.flags);
            }
        }
    }
    eprintln!("-- {when}; there:");
    side(&w.remote.inner.borrow());
    eprintln!("here:");
    side(&w.local.inner.borrow());
    eprintln!("     {:?}", w.state.lettered().unwrap());
    for line in w.state.history(0, 50, |_| true).unwrap() {
        eprintln!("     {line:?}");
    }
}

/// How often a content was in step, and how often it was added and taken away on each side.
#[derive(Debug, Default)]
struct Count {
    base: usize,
    added: [usize; 2],
    gone: [usize; 2],
}

impl Count {
    /// Each message taken away on a side takes one; what was added on both may be one message.
    fn least(&self) -> usize {
        let [r, l] = self.added;
        let [rg, lg] = self.gone;
        // Added and gone on one side is a move, or an addition and a deletion.
        (self.base + r.max(l)).saturating_sub(rg + lg)
    }

    /// Nothing appears but what was there or was added.
    fn most(&self) -> usize {
        let [r, l] = self.added;
        self.base + r + l
    }
}

fn counts(
    before: &Before,
    remote: &Inner<Uid>,
    local: &Inner<MaildirId>,
) -> BTreeMap<Vec<u8>, Count> {
    let mut counts: BTreeMap<Vec<u8>, Count> = BTreeMap::new();
    let (mut uids, mut files) = (BTreeSet::new(), BTreeSet::new());
    for (name, pairs) in before {
        for (body, pair) in pairs {
            let count = counts.entry(body.clone()).or_default();
            count.base += 1;
            let has = |gone: bool, n: &mut usize| *n += usize::from(gone);
            let [there, here] = &mut count.gone;
            let (r, l) = (remote.boxes.get(name), local.boxes.get(name));
            has(
                !r.is_some_and(|b| b.messages.contains_key(&pair.uid)),
                there,
            );
            has(
                !l.is_some_and(|b| b.messages.contains_key(&pair.file)),
                here,
            );
            uids.insert((name.clone(), pair.uid));
            files.insert((name.clone(), pair.file.clone()));
        }
    }
    count_new(remote, &uids, |body| {
        counts.entry(body).or_default().added[0] += 1
    });
    count_new(local, &files, |body| {
        counts.entry(body).or_default().added[1] += 1
    });
    counts
}

fn count_new<I: Ord + Clone>(
    side: &Inner<I>,
    known: &BTreeSet<(MailboxName, I)>,
    mut count: impl FnMut(Vec<u8>),
) {
    for (name, b) in &side.boxes {
        for (id, m) in &b.messages {
            if !known.contains(&(name.clone(), id.clone())) {
                count(m.body.clone());
            }
        }
    }
}

fn short(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim()
        .replace(&"x".repeat(1500), "X")
        .replace("\r\n", " ")
}

fn bag(all: impl Iterator<Item = (Vec<u8>, Flags)>) -> Bag {
    let mut bag = Bag::new();
    for (body, flags) in all {
        *bag.entry((short(&body), flags.to_string())).or_default() += 1;
    }
    bag
}

/// Which of several identical new messages meets which is open; their number and, where there is
/// only one of a kind, their flags are not.
fn compare(want: &Bag, have: &Bag, context: &str) {
    let count = |bag: &Bag| {
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
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

fn runs(lane: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    if let Some(seed) = number("MAILTIDE_SEED") {
        if lane == 0 {
            one(seed);
        }
        return;
    }
    let total = number("MAILTIDE_RUNS").unwrap_or(15_000);
    let first = number("MAILTIDE_FIRST").unwrap_or(0) / 2;
    let mut done = Done::default();
    for n in first..first + total / 2 {
        let seed = 1 + n * 2 + lane;
        match std::panic::catch_unwind(|| one(seed)) {
            Ok(more) => {
                done.moved += more.moved;
                done.copied += more.copied;
                done.renamed += more.renamed;
            }
            Err(panic) => {
                eprintln!("repeat with MAILTIDE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    let least = (total / 100) as usize;
    let all = [done.moved, done.copied, done.renamed];
    assert!(
        all.iter().all(|n| *n >= least),
        "too little was tried: {done:?}"
    );
    eprintln!("{done:?} in {} runs", total / 2);
}

fn one(seed: u64) -> Done {
    let mut run = Run::new(seed);
    for _ in 0..3 {
        run.round();
    }
    run.done
}

#[test]
fn random_runs_converge_even_seeds() {
    runs(1);
}

#[test]
fn random_runs_converge_odd_seeds() {
    runs(0);
}
