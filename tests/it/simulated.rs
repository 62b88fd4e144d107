//! The simulator ([`crate::sim`]) in the test command: seeds, each twice, and scenes killed at
//! every step. `MAILTIDE_SIM=N` sets the number of seeds, `MAILTIDE_SEED=S` plays just one.

use crate::sim::habits::HABITS;
use crate::sim::play::{Outcome, play, play_field, play_odd};
use crate::sim::{profile, scenes};
use crate::support::fuse::each;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

fn number(name: &str, usual: usize) -> usize {
    let set = std::env::var(name).ok().and_then(|n| n.parse().ok());
    set.unwrap_or(usual)
}

/// Runs jobs on as many threads as there are processors.
fn spread<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return done;
                }
                done.push(job(n));
            }
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let all = all.into_iter();
        all.flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Which fault has met which operation: no cell that could be reached stays empty.
const MUST_MEET: [(&str, &[&str]); 9] = [
    (
        "EIO",
        &["open", "create", "write", "sync", "rename", "list", "about"],
    ),
    ("ENOSPC", &["create", "write", "make_dirs"]),
    ("cut", &["read", "write"]),
    (
        "NO [UNAVAILABLE]",
        &["list", "select", "fetch", "store", "append", "expunge"],
    ),
    ("BYE", &["list", "select", "fetch", "store", "append"]),
    ("silence", &["list", "select", "fetch", "append"]),
    ("EXISTS lies", &["select", "fetch"]),
    ("VANISHED lies", &["select", "fetch"]),
    ("torn line", &["list", "select", "fetch", "search"]),
];

/// Properties P1 to P5 and P8 to P12, see `judge.rs`.
#[test]
fn nothing_is_lost_doubled_or_deleted_whatever_fails() {
    let seeds = number("MAILTIDE_SIM", 900);
    let only: Option<u64> = std::env::var("MAILTIDE_SEED")
        .ok()
        .and_then(|n| n.parse().ok());
    let (first, count) = only.map_or((1, seeds), |seed| (seed, 1));
    let outcomes = spread(count, |n| {
        let seed = first + n as u64;
        let (once, again) = (play(seed, None), play(seed, None));
        assert_eq!(once.trace, again.trace, "seed {seed} made two traces");
        (seed, once)
    });
    let mut met: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let (mut all, mut servers) = (Outcome::default(), BTreeSet::new());
    let (mut storms, mut messages, mut twice) = (0, 0, 0);
    for (seed, outcome) in outcomes {
        let (server, chaos) = (outcome.profile, &outcome.chaos);
        let repeat = "repeat: cargo run --release --example sim -- --seed";
        assert!(
            outcome.broken.is_empty(),
            "{server} {chaos} {:?}\n{repeat} {seed}",
            outcome.broken
        );
        all.steps += outcome.steps;
        all.kills += outcome.kills;
        servers.insert(outcome.profile);
        if let Some((count, doubled)) = outcome.storm {
            (storms, messages, twice) = (storms + 1, messages + count, twice + doubled);
        }
        for (cell, count) in outcome.met {
            *met.entry(cell).or_default() += count;
        }
    }
    eprintln!(
        "{count} seeds twice, {} steps, {} kills",
        all.steps, all.kills
    );
    eprintln!("{storms} storms with {messages} messages; of those moved or copied in the middle");
    eprintln!("of runs, {twice} ended up twice");
    if count >= 2000 {
        assert!(twice * 25 < messages as u64, "too many are there twice");
        assert_eq!(servers.len(), profile::PROFILES.len(), "{servers:?}");
        for (fault, operations) in MUST_MEET {
            for operation in operations {
                assert!(
                    met.contains_key(&(fault, operation)),
                    "{fault} at {operation}"
                );
            }
        }
    }
}

/// The same properties, on servers that do something else than they say, or at which one message
/// breaks the connection. `MAILTIDE_ODD=N` sets the number of seeds.
#[test]
fn odd_servers_neither_lose_nor_double_mail() {
    let seeds = number("MAILTIDE_ODD", 75);
    let only = std::env::var("MAILTIDE_ODD_SEED").ok();
    let only: Option<u64> = only.and_then(|n| n.parse().ok());
    let (first, count) = only.map_or((1, seeds), |seed| (seed, 1));
    let outcomes = spread(count, |n| {
        let seed = first + n as u64;
        let (once, again) = (play_odd(seed), play_odd(seed));
        assert_eq!(once.trace, again.trace, "seed {seed} made two traces");
        (seed, once)
    });
    let mut met: BTreeSet<&str> = BTreeSet::new();
    let mut habits: BTreeSet<String> = BTreeSet::new();
    for (seed, outcome) in outcomes {
        let (server, chaos) = (outcome.profile, &outcome.chaos);
        let repeat = "repeat: cargo run --release --example sim -- --odd --seed";
        let broken = &outcome.broken;
        assert!(
            broken.is_empty(),
            "{server} {chaos} {broken:?}\n{repeat} {seed}"
        );
        habits.extend(chaos.split(' ').next().map(str::to_owned));
        let breaks = outcome.met.keys().filter(|(fault, _)| *fault == "break");
        met.extend(breaks.map(|(_, operation)| *operation));
    }
    if count >= 200 {
        assert_eq!(habits.len(), HABITS.len(), "{habits:?}");
        for operation in ["fetch", "store", "append", "move"] {
            assert!(met.contains(operation), "no break at {operation}: {met:?}");
        }
    }
}

/// The same properties, and that of keywords, where mail readers tag, copy, link and rename files,
/// and mailboxes are put back, restored, unmounted, or replaced by links. `MAILTIDE_FIELD=N` sets
/// the number of seeds.
#[test]
fn backups_mounts_and_mail_readers_cost_no_mail() {
    let seeds = number("MAILTIDE_FIELD", 60);
    let only = std::env::var("MAILTIDE_FIELD_SEED").ok();
    let only: Option<u64> = only.and_then(|n| n.parse().ok());
    let (first, count) = only.map_or((1, seeds), |seed| (seed, 1));
    let outcomes = spread(count, |n| {
        let seed = first + n as u64;
        let (once, again) = (play_field(seed, None), play_field(seed, None));
        assert_eq!(once.trace, again.trace, "seed {seed} made two traces");
        (seed, once)
    });
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for (seed, outcome) in outcomes {
        let (server, chaos, broken) = (outcome.profile, &outcome.chaos, &outcome.broken);
        let repeat = "repeat: cargo run --release --example sim -- --field --seed";
        assert!(
            broken.is_empty(),
            "{server} {chaos} {broken:?}\n{repeat} {seed}"
        );
        met.extend(outcome.met.keys().map(|(fault, _)| *fault));
    }
    for fault in ["restore", "put back", "unmounted", "link"] {
        assert!(count < 50 || met.contains(fault), "no {fault}: {met:?}");
    }
}

#[test]
fn scenes_killed_at_every_step_end_as_if_they_were_not() {
    let cuts = spread(scenes::count(), |n| scenes::cut_everywhere(n, each()));
    let points: u64 = cuts.iter().map(|cut| cut.points).sum();
    let broken: Vec<String> = cuts.into_iter().flat_map(|cut| cut.broken).collect();
    assert!(
        broken.is_empty(),
        "{} broken: {:#?}",
        broken.len(),
        &broken[..1]
    );
    eprintln!("{} scenes, {points} points", scenes::count());
    assert!(
        scenes::count() >= 120 && points >= 10_000 / each() as u64,
        "{points} points"
    );
}
