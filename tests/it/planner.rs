//! The planner alone, with "pretend success": a base is perturbed on both sides, the plan is
//! carried out on plain values in any order that its classes allow, and planned again until
//! nothing is left.
//!
//! `MAILTIDE_CASES=N` sets the number of cases (200,000); a case that fails is made as small as it
//! can be and printed. [`small`] plays every combination of a small scope through the engine.

mod small;
mod world;

use mailtide::model::*;
use mailtide::reconcile::messages::{Case, decide};
use mailtide::reconcile::settled::Settled;
use mailtide::reconcile::three_way::shows_interest;
use mailtide::reconcile::{Action, Direction, Look, Policy, Travel};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use world::World;

/// Flags as bits: \Seen, \Flagged, \Deleted, $Work.
type Bits = u8;

fn flags(bits: Bits) -> Flags {
    let system = [SystemFlag::Seen, SystemFlag::Flagged, SystemFlag::Deleted];
    let set = system.into_iter().enumerate();
    let set = set.filter(|(n, _)| bits & (1 << n) != 0).map(|(_, f)| f);
    let mut all = Flags::of(&set.collect::<Vec<_>>());
    if bits & 8 != 0 {
        all.insert_keyword(Keyword::new("$Work").unwrap());
    }
    all
}

/// What became of a message on a side since the base.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Same,
    Flags(Bits),
    Gone,
    /// Its content is empty.
    Broken,
    /// Its file was edited in place.
    Edited,
}

#[derive(Clone, Debug)]
struct Known {
    base: Bits,
    tombstone: Option<Side>,
    remote: Fate,
    local: Fate,
}

#[derive(Clone, Debug)]
struct Setting {
    known: Vec<Known>,
    new_there: Vec<Bits>,
    new_here: Vec<Bits>,
    /// How far each side was seen: everything, changes, or only some.
    reach: [u8; 2],
    /// Which of those that are as they were are not mentioned by a partial look.
    unseen: u16,
    direction: u8,
    delete: u8,
    keywords_there: bool,
    order: u64,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Same),
        3 => (0..16_u8).prop_map(Fate::Flags),
        3 => Just(Fate::Gone),
        1 => Just(Fate::Broken),
        1 => Just(Fate::Edited),
    ]
}

fn known() -> impl Strategy<Value = Known> {
    let tombstone = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Side::Remote)),
        1 => Just(Some(Side::Local)),
    ];
    (0..16_u8, tombstone, fate(), fate()).prop_map(|(base, tombstone, remote, local)| Known {
        base,
        tombstone,
        // Content is fixed per UID, and a server that gives no body gives flags.
        remote: match remote {
            Fate::Edited | Fate::Broken => Fate::Same,
            fate => fate,
        },
        local,
    })
}

prop_compose! {
    fn setting()(
        known in prop::collection::vec(known(), 0..6),
        new_there in prop::collection::vec(0..16_u8, 0..3),
        new_here in prop::collection::vec(0..16_u8, 0..3),
        reach in [0..3_u8, 0..3_u8],
        unseen in any::<u16>(),
        direction in 0..6_u8,
        delete in 0..6_u8,
        keywords_there in prop::bool::weighted(0.8),
        order in any::<u64>(),
    ) -> Setting {
        Setting {
            known, new_there, new_here, reach, unseen, direction, delete, keywords_there, order,
        }
    }
}

fn policy(setting: &Setting) -> Policy {
    Policy {
        direction: match setting.direction {
            0 => Direction::Pull,
            1 => Direction::Push,
            _ => Direction::Both,
        },
        delete: match setting.delete {
            0 => Travel::None,
            1 => Travel::Local,
            2 => Travel::Remote,
            _ => Travel::Both,
        },
        ..Policy::default()
    }
}

fn planned(world: &World, looks: &(Look<Uid>, Look<MaildirId>), policy: &Policy) -> Vec<Action> {
    let (in_doubt, settled) = (BTreeSet::new(), Settled::default());
    let plan = decide(&Case {
        base: &world.base,
        remote: &looks.0,
        local: &looks.1,
        links: &[],
        in_doubt: &in_doubt,
        uploads: &in_doubt,
        unlisted: &Default::default(),
        settled: &settled,
        policy,
        now: 1_000_000,
    });
    plan.actions
}

/// The classes of a plan run one after another; within a class any order is good.
fn class(action: &Action) -> u8 {
    match action {
        Action::Split { .. } | Action::Discard { .. } => 0,
        Action::Copy { .. } => 1,
        Action::Delete { .. } => 3,
        _ => 2,
    }
}

fn shuffled(actions: &[Action], seed: u64) -> Vec<Action> {
    let mut keyed: Vec<(u8, u64, Action)> = Vec::new();
    let mut random = seed | 1;
    for action in actions {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        keyed.push((class(action), random, action.clone()));
    }
    keyed.sort_by_key(|(class, random, _)| (*class, *random));
    keyed.into_iter().map(|(_, _, action)| action).collect()
}

/// What a plan must never do, whatever is done with it.
fn judge(world: &World, looks: &(Look<Uid>, Look<MaildirId>), policy: &Policy, plan: &[Action]) {
    for action in plan {
        match action {
            // P2: a deletion has a cause on the other side, surely seen, and nobody wants it here.
            Action::Delete { on, pair, .. } => {
                let gone = match on {
                    Side::Remote => looks.1.shows_gone(&pair.file),
                    Side::Local => looks.0.shows_gone(&pair.uid),
                };
                assert!(gone, "{action:?} without a cause");
                assert!(policy.deletes_on(*on) || world.broken.contains(&pair.file));
                let base = world.base.pairs.iter().find(|p| p.id == pair.id).unwrap();
                let now = world.say(&pair.on(*on)).map(|(_, flags)| flags);
                let broken = world.broken.contains(&pair.file);
                let wanted = now.is_some_and(|now| shows_interest(&base.flags, &now));
                assert!(!wanted || broken, "{action:?} of what is wanted");
            }
            Action::Copy { from, .. } => {
                assert!(
                    policy.flows_to(from.side().other()),
                    "{action:?} against the direction"
                );
                if let AnyId::Local(file) = from {
                    assert!(!world.broken.contains(file), "{action:?} of a broken file");
                }
            }
            _ => {}
        }
    }
}

fn contents(world: &World) -> BTreeMap<u32, usize> {
    let mut all = BTreeMap::new();
    let held = world.there.values().chain(world.here.values());
    for content in held.map(|(content, _)| content).chain(&world.kept) {
        *all.entry(*content).or_default() += 1;
    }
    all
}

fn play(setting: &Setting) {
    let mut world = World::of(setting);
    let before = contents(&world);
    let (policy, keywords) = (policy(setting), setting.keywords_there);
    let start = world.clone();
    let mut rounds = 0;
    loop {
        // After the first, everything is seen.
        let mut now = setting.clone();
        if rounds > 0 {
            (now.reach, now.unseen) = ([0, 0], 0);
        }
        let looks = world.looks(&now);
        let plan = planned(&world, &looks, &policy);
        judge(&world, &looks, &policy, &plan);
        // P6: any order within a class gives the same.
        let (mut one, mut other) = (world.clone(), world.clone());
        for action in shuffled(&plan, 0) {
            one.carry_out(&action, keywords);
        }
        for action in shuffled(&plan, setting.order) {
            other.carry_out(&action, keywords);
        }
        for side in [Side::Remote, Side::Local] {
            assert_eq!(
                one.view(side, true),
                other.view(side, true),
                "another order"
            );
        }
        world = one;
        // P1: no content is gone from both sides and the quarantine.
        let after = contents(&world);
        for content in before.keys() {
            assert!(after.contains_key(content), "{content} is lost");
        }
        rounds += 1;
        if plan.is_empty() && rounds > 1 {
            break;
        }
        // P7: it comes to an end.
        assert!(rounds < 10, "no end: {plan:?}");
    }
    let both = policy.direction == Direction::Both && policy.delete == Travel::Both;
    let whole = world.broken.is_empty();
    if both && whole {
        // P3: both sides hold the same.
        let [there, here] = [Side::Remote, Side::Local].map(|side| world.view(side, keywords));
        assert_eq!(there, here, "not equal");
        flag_law(&start, &world, keywords);
    }
}

/// P8: a flag of a message that both had and both kept is what was touched, else what it was.
fn flag_law(start: &World, end: &World, keywords: bool) {
    for pair in &start.base.pairs {
        let (there, here) = (start.there.get(&pair.uid), start.here.get(&pair.file));
        let (Some((_, there)), Some((_, here))) = (there, here) else {
            continue;
        };
        // The mark of a deletion of ours that was cut is nobody's wish.
        let ours = pair.tombstone == Some(Side::Remote) && !pair.flags.has(SystemFlag::Deleted);
        let there = &match ours {
            true => there.clone().without(SystemFlag::Deleted),
            false => there.clone(),
        };
        if start.edited.contains(&pair.file) || start.broken.contains(&pair.file) {
            continue;
        }
        let Some((_, now)) = end.there.get(&pair.uid) else {
            continue;
        };
        let touched = |now: &Flags| (now.difference(&pair.flags), pair.flags.difference(now));
        let there = match keywords {
            true => there.clone(),
            // What the server cannot show is as it was.
            false => {
                let seen = there.intersection(&Flags::system());
                seen.union(&pair.flags.difference(&Flags::system()))
            }
        };
        let ((a, b), (c, d)) = (touched(&there), touched(here));
        let want = pair.flags.difference(&b).difference(&d).union(&a).union(&c);
        let shown = |flags: &Flags| match keywords {
            true => flags.clone(),
            false => flags.intersection(&Flags::system()),
        };
        assert_eq!(shown(now), shown(&want), "flags of {}", pair.uid);
    }
}

#[test]
fn plans_hold_what_they_promise() {
    let cases = std::env::var("MAILTIDE_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(200_000),
        failure_persistence: None,
        max_shrink_iters: 100_000,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let found = runner.run(&setting(), |setting| {
        play(&setting);
        Ok(())
    });
    if let Err(error) = found {
        panic!("{error}");
    }
}
