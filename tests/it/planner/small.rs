//! A small scope, all of it: two messages in two mailboxes, wherever each may have gone on each
//! side, with or without other flags, on servers that tell more or less, and runs cut here or
//! there.

use crate::support::fuse::each;
use crate::support::world::TwoSides;
use mailtide::model::*;

/// Where a message went on a side.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Stays,
    Moved,
    Copied,
    Gone,
}

const PLACES: [Place; 4] = [Place::Stays, Place::Moved, Place::Copied, Place::Gone];

fn boxes() -> [MailboxName; 2] {
    [MailboxName::inbox(), MailboxName::parse("A").unwrap()]
}

fn body(n: usize) -> Vec<u8> {
    format!("Subject: m{n}\r\n\r\nm{n}\r\n").into_bytes()
}

/// One combination: for each message a place there, a place here, and which sides starred it.
#[derive(Clone, Copy, Debug)]
struct Combination {
    there: [Place; 2],
    here: [Place; 2],
    starred: [usize; 2],
}

fn combinations() -> Vec<Combination> {
    let mut all = Vec::new();
    for n in 0..4_usize.pow(6) {
        let digit = |at: u32| n / 4_usize.pow(at) % 4;
        all.push(Combination {
            there: [PLACES[digit(0)], PLACES[digit(1)]],
            here: [PLACES[digit(2)], PLACES[digit(3)]],
            starred: [digit(4), digit(5)],
        });
    }
    all
}

fn change<I: crate::support::memory::MemoryId>(
    side: &crate::support::memory::Memory<I>,
    (n, place, star): (usize, Place, bool),
) {
    let [from, to] = match n {
        0 => boxes(),
        _ => {
            let [a, b] = boxes();
            [b, a]
        }
    };
    let id = {
        let inner = side.inner.borrow();
        let all = &inner.boxes[&from].messages;
        all.iter()
            .find(|(_, m)| m.body == body(n))
            .unwrap()
            .0
            .clone()
    };
    if star {
        side.edit(&from, &id, |flags| flags.insert(SystemFlag::Flagged));
    }
    match place {
        Place::Stays => {}
        Place::Moved => drop(side.shift(&from, &id, &to)),
        Place::Copied => drop(side.copy(&from, &id, &to)),
        Place::Gone => side.delete(&from, &id),
    }
}

fn count(w: &TwoSides, n: usize) -> usize {
    let view = w.remote.view();
    let wanted = String::from_utf8(body(n)).unwrap();
    view.values()
        .flatten()
        .filter(|(body, _)| *body == wanted)
        .count()
}

fn one(combination: &Combination, variant: usize, cut: u32) {
    let mut w = TwoSides::new();
    w.remote.inner.borrow_mut().tells = variant & 1 == 0;
    w.remote.inner.borrow_mut().moves_by_copy = variant & 2 != 0;
    w.remote.inner.borrow_mut().objects = variant & 4 != 0;
    let [inbox, a] = boxes();
    w.remote.create(&a);
    w.remote.add(&inbox, &body(0), Flags::default());
    w.remote.add(&a, &body(1), Flags::default());
    w.sync_ok();
    let Combination {
        there,
        here,
        starred,
    } = *combination;
    for n in 0..2 {
        change(&w.remote, (n, there[n], starred[n] & 1 != 0));
        change(&w.local, (n, here[n], starred[n] & 2 != 0));
    }
    if cut > 0 {
        w.sync_cut(cut);
    }
    let context = format!("{combination:?}, variant {variant}, cut at {cut}");
    let report = w.sync();
    assert!(
        report.ok(),
        "{context}: {:?} {:?}",
        report.errors,
        report.held
    );
    w.assert_equal_sides(&context);
    for n in 0..2 {
        let have = count(&w, n);
        let places = [there[n], here[n]];
        let gone = places.contains(&Place::Gone);
        let copies = places.iter().filter(|p| **p == Place::Copied).count();
        let least = usize::from(!gone);
        assert!(have >= least, "{context}: m{n} is there {have} times");
        assert!(have <= 1 + copies, "{context}: m{n} is there {have} times");
        if places == [Place::Gone; 2] {
            assert_eq!(have, 0, "{context}: m{n} came back");
        }
        let lost = !w.bodies().contains_key(&body(n)) && places != [Place::Gone; 2];
        assert!(!lost, "{context}: m{n} is nowhere");
    }
    w.sync_idle();
    w.assert_no_intent(&context);
}

#[test]
fn all_of_a_small_scope() {
    let all = combinations();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for lane in 0..threads {
            let all = &all;
            scope.spawn(move || {
                let mine = all.iter().enumerate().skip(lane);
                for (n, combination) in mine.step_by(threads * each()) {
                    for variant in 0..8 {
                        one(combination, variant, 0);
                    }
                    // The intents of a cut run, at a step that differs from one to the next.
                    for cut in [1, 2, 3].map(|k| (n * 7 + k * 5) as u32 % 24 + 1) {
                        one(combination, n % 8, cut);
                    }
                }
            });
        }
    });
    let played = all.len() / each();
    eprintln!("{played} combinations, {} runs", played * 11);
}
