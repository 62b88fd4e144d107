//! The stage of one run: disk, server, clock and chance in one place, so that one seed makes one
//! run. Every call of the program comes through [`Stage::step`], where it may be killed, where
//! others may act in between, and where the trace is kept.

use super::field::Field;
use super::fs::Fs;
use super::judge::Truth;
use super::mail::Mail;
use super::profile::Profile;
use mailtide::model::Side;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// A small generator (xorshift64*): the same seed makes the same run on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d | 1)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        match all.len() {
            0 => None,
            n => all.get(self.below(n)),
        }
    }
}

/// What may go wrong; each number is one in so many, 0 never.
#[derive(Clone, Debug, Default)]
pub struct Chaos {
    /// Users act between two steps.
    pub users: usize,
    /// The line is cut at a response.
    pub cuts: usize,
    /// The line is cut within what is sent.
    pub cuts_up: usize,
    /// The server lies in a response.
    pub lies: usize,
    /// The server says NO for no reason, or gives the session up.
    pub refusals: usize,
    /// A call of the file system fails.
    pub disk: usize,
    /// The clock jumps.
    pub clock: usize,
}

/// Thrown at the step at which the program is killed.
pub struct Killed;

pub struct Stage {
    pub random: Random,
    pub fs: Fs,
    pub mail: Mail,
    pub truth: Truth,
    pub profile: Profile,
    pub chaos: Chaos,
    /// ns since 1970, without what tokio's clock has added in this run.
    pub clock: i64,
    pub begin: Option<Instant>,
    pub steps: u64,
    pub kill_at: Option<u64>,
    /// Killed: nothing that is still running down may have an effect.
    pub dead: bool,
    /// Commands that change something, sent to the server.
    pub orders: u64,
    /// Commands sent to the server.
    pub commands: u64,
    pub serial: u64,
    trace: blake3::Hasher,
    /// Mailboxes are made, renamed and renumbered in the middle of runs, too.
    pub wild: bool,
    /// Users act in the middle of runs, dozens of times in each, or mailboxes cannot be read at
    /// times, or the server has no UIDPLUS. What is moved about meanwhile may end up twice; it is
    /// counted, and must be rare.
    pub stormy: bool,
    /// What was there twice in the end of a storm.
    pub doubled: u64,
    pub tells: bool,
    /// The content whose places are told.
    follows: Option<usize>,
    places: Vec<String>,
    /// Messages that the program took away for good from a side, and when, seconds.
    pub gone: Vec<(i64, Side)>,
    /// What happens in the field besides.
    pub field: Option<Field>,
    /// What broke a promise, in the words of the judge.
    pub broken: Vec<String>,
    /// Cells of the table of faults and operations that were reached.
    pub met: std::collections::BTreeMap<(&'static str, &'static str), u64>,
}

/// Everybody's handle on the stage.
#[derive(Clone)]
pub struct Shared(pub Arc<Mutex<Stage>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated disk")
    }
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    pub fn new(seed: u64, profile: Profile, tick: i64) -> Stage {
        Stage {
            random: Random::new(seed),
            fs: Fs::new(tick),
            mail: Mail::new(&profile),
            truth: Truth::default(),
            profile,
            chaos: Chaos::default(),
            clock: 1_700_000_000_123_456_789,
            begin: None,
            steps: 0,
            kill_at: None,
            dead: false,
            orders: 0,
            commands: 0,
            serial: 0,
            trace: blake3::Hasher::new(),
            wild: false,
            stormy: false,
            doubled: 0,
            tells: std::env::var("MAILTIDE_TELL").is_ok(),
            follows: std::env::var("MAILTIDE_FOLLOW")
                .ok()
                .and_then(|n| n.parse().ok()),
            places: Vec::new(),
            gone: Vec::new(),
            field: None,
            broken: Vec::new(),
            met: std::collections::BTreeMap::new(),
        }
    }

    pub fn now(&self) -> i64 {
        let passed = self.begin.map(|begin| begin.elapsed().as_nanos() as i64);
        self.clock + passed.unwrap_or(0)
    }

    /// Goes into the trace.
    pub fn note(&mut self, what: &str) {
        self.trace.update(what.as_bytes());
        self.trace.update(b"\n");
        if self.tells {
            eprintln!("{:>6} {what}", self.steps);
            if let Some(n) = self.follows {
                let places = self.places(n);
                if places != self.places {
                    eprintln!("       --> c{n}: {}", places.join(", "));
                    self.places = places;
                }
            }
        }
    }

    pub fn trace(&self) -> String {
        self.trace.finalize().to_hex().to_string()
    }

    /// One in so many; 0 is never.
    pub fn chance(&mut self, of: usize) -> bool {
        of > 0 && self.random.one_in(of)
    }

    /// A step of the program. `false`: it is dead and the step must have no effect.
    pub fn step(&mut self, what: &str) -> bool {
        if self.dead {
            return false;
        }
        self.steps += 1;
        self.clock += 1_000 + self.random.below(50_000) as i64;
        if self.chance(self.chaos.clock) {
            let jump = [-3_600, 7_200, 86_400 * 3, -30][self.random.below(4)];
            self.clock += jump * 1_000_000_000 + self.random.below(1 << 30) as i64 * 7;
            self.note("the clock jumps");
        }
        self.note(what);
        if self.kill_at.is_some_and(|at| self.steps >= at) {
            self.dead = true;
            self.note("killed");
            std::panic::resume_unwind(Box::new(Killed));
        }
        if self.chance(self.chaos.users) {
            super::users::act(self);
        }
        true
    }

    /// A fault met an operation.
    pub fn meet(&mut self, fault: &'static str, operation: &'static str) {
        *self.met.entry((fault, operation)).or_default() += 1;
        self.note(&format!("{fault} at {operation}"));
    }
}
