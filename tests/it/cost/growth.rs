//! How the work of a run grows with the messages and mailboxes that changed, in comparisons of
//! identifiers: as O(n log n), so that four times as many take about five times the work. Sides and
//! state are in memory.

use crate::support::world::TwoSides;
use mailtide::engine::Report;
use mailtide::model::counted::comparisons;
use mailtide::model::*;
use mailtide::state::{AccountRecord as AccountRow, State};

/// Messages of the smaller run.
const FEW: usize = 500;

fn mb(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

fn a() -> MailboxName {
    mb("A")
}

fn b() -> MailboxName {
    mb("B")
}

fn body(n: usize) -> Vec<u8> {
    // All of one size: a file is read only where its size is that of a known message.
    format!("Message-ID: <{n:06}@x>\r\n\r\n{n:06}\r\n").into_bytes()
}

/// Mailboxes with so many messages each, on both sides.
fn world(mailboxes: &[MailboxName], messages: usize, body: fn(usize) -> Vec<u8>) -> TwoSides {
    let mut w = TwoSides::new();
    let limits = &mut w.policy.limits;
    (limits.count, limits.account, limits.empty) = (usize::MAX, usize::MAX, usize::MAX);
    for (at, name) in mailboxes.iter().enumerate() {
        w.remote.create(name);
        for n in 0..messages {
            let body = body(at * messages + n);
            w.remote.add(name, &body, Flags::default());
        }
    }
    w.sync_ok();
    w
}

/// A with `n` messages, and B without any.
fn filled(n: usize) -> TwoSides {
    let mut w = world(&[a()], n, body);
    w.remote.create(&b());
    w.sync_ok();
    w
}

/// The same, and all messages are equal.
fn alike(n: usize) -> TwoSides {
    let mut w = world(&[a()], n, |_| body(0));
    w.remote.create(&b());
    w.sync_ok();
    w
}

/// `n` mailboxes of two messages.
fn many(n: usize) -> TwoSides {
    let names: Vec<MailboxName> = (0..n).map(|n| mb(&format!("M{n:05}"))).collect();
    world(&names, 2, body)
}

/// A run that begins like this.
struct Scene {
    begin: fn(usize) -> TwoSides,
    act: fn(&mut TwoSides),
    /// What the run shall have done of each.
    done: fn(&Report) -> usize,
}

impl Scene {
    /// The comparisons of the run where there are `n`.
    fn work(&self, n: usize) -> u64 {
        let mut w = (self.begin)(n);
        (self.act)(&mut w);
        let before = comparisons();
        let report = w.sync_ok();
        let took = comparisons() - before;
        assert_eq!((self.done)(&report), n, "{report:?}");
        w.assert_equal_sides("in the end");
        took
    }

    /// Fails where four times as many take more work than O(n log n) comes to, by a tenth.
    fn grows(&self, what: &str, few: usize) {
        let (less, more) = (self.work(few), self.work(4 * few));
        let logs = ((4 * few) as f64).ln() / (few as f64).ln();
        let most = less as f64 * 4.0 * logs * 1.1;
        let many = 4 * few;
        eprintln!("{what}: {few} take {less} comparisons, {many} take {more}");
        assert!((more as f64) <= most, "{what}: {less} became {more}");
    }
}

fn grows(
    what: &str,
    begin: fn(usize) -> TwoSides,
    act: fn(&mut TwoSides),
    done: fn(&Report) -> usize,
) {
    Scene { begin, act, done }.grows(what, FEW);
}

fn moved_here(w: &mut TwoSides) {
    for file in w.local.ids(&a()) {
        w.local.shift(&a(), &file, &b());
    }
}

fn moved_there(w: &mut TwoSides) {
    for uid in w.remote.ids(&a()) {
        w.remote.shift(&a(), &uid, &b());
    }
}

#[test]
fn moves_take_work_in_proportion() {
    grows("moved here", filled, moved_here, |r| r.counts.moved_remote);
    grows("moved there", filled, moved_there, |r| r.counts.moved_local);
}

#[test]
fn copies_take_work_in_proportion() {
    grows("copied here", filled, copied_here, |r| {
        r.counts.copied_remote
    });
    grows("copied there", filled, copied_there, |r| {
        r.counts.copied_local
    });
}

fn copied_here(w: &mut TwoSides) {
    for file in w.local.ids(&a()) {
        w.local.copy(&a(), &file, &b());
    }
}

fn copied_there(w: &mut TwoSides) {
    for uid in w.remote.ids(&a()) {
        w.remote.copy(&a(), &uid, &b());
    }
}

#[test]
fn equal_messages_take_work_in_proportion() {
    grows("equal, moved here", alike, moved_here, |r| {
        r.counts.moved_remote
    });
    grows("equal, moved there", alike, moved_there, |r| {
        r.counts.moved_local
    });
    grows("equal, copied here", alike, copied_here, |r| {
        r.counts.copied_remote
    });
    grows("equal, copied there", alike, copied_there, |r| {
        r.counts.copied_local
    });
    grows("equal, met anew", alike, forget, |r| r.counts.linked);
}

fn flag(flags: &mut Flags) {
    flags.insert(SystemFlag::Flagged);
}

#[test]
fn flags_and_deletions_take_work_in_proportion() {
    let here = |w: &mut TwoSides| {
        let files = w.local.ids(&a());
        files.iter().for_each(|file| w.local.edit(&a(), file, flag));
    };
    grows("flagged here", filled, here, |r| r.counts.flags_remote);
    let there = |w: &mut TwoSides| {
        let uids = w.remote.ids(&a());
        uids.iter().for_each(|uid| w.remote.edit(&a(), uid, flag));
    };
    grows("flagged there", filled, there, |r| r.counts.flags_local);
    let here = |w: &mut TwoSides| {
        let files = w.local.ids(&a());
        files.iter().for_each(|file| w.local.delete(&a(), file));
    };
    grows("deleted here", filled, here, |r| r.counts.deleted_remote);
    let there = |w: &mut TwoSides| {
        let uids = w.remote.ids(&a());
        uids.iter().for_each(|uid| w.remote.delete(&a(), uid));
    };
    grows("deleted there", filled, there, |r| r.counts.deleted_local);
}

#[test]
fn new_messages_take_work_in_proportion() {
    fn bodies(w: &TwoSides) -> impl Iterator<Item = Vec<u8>> {
        let n = w.remote.ids(&a()).len();
        (n..2 * n).map(body)
    }
    let here = |w: &mut TwoSides| {
        for body in bodies(w) {
            w.local.add(&b(), &body, Flags::default());
        }
    };
    grows("new here", filled, here, |r| r.counts.uploaded);
    let there = |w: &mut TwoSides| {
        for body in bodies(w) {
            w.remote.add(&b(), &body, Flags::default());
        }
    };
    grows("new there", filled, there, |r| r.counts.downloaded);
}

/// The state is lost, and the sides meet anew.
fn forget(w: &mut TwoSides) {
    w.state = State::in_memory().unwrap();
    let (uuid, config) = ("u".into(), String::new());
    w.state
        .set_account(&AccountRow { uuid, config }, 0)
        .unwrap();
}

#[test]
fn a_lost_state_takes_work_in_proportion() {
    grows("met anew", filled, forget, |r| r.counts.linked);
    let renumbered = |w: &mut TwoSides| w.remote.renumber(&a(), 10);
    let known = |r: &Report| r.notes.iter().filter_map(|n| found(n)).sum();
    grows("renumbered", filled, renumbered, known);
}

/// How many messages a new UIDVALIDITY left as they were, by its note.
fn found(note: &str) -> Option<usize> {
    let (_, number) = note.split_once("UIDVALIDITY changed; ")?;
    number.split(' ').next()?.parse().ok()
}

#[test]
fn mailboxes_take_work_in_proportion() {
    let scene = |act: fn(&mut TwoSides), done| Scene {
        begin: many,
        act,
        done,
    };
    let flags = |w: &mut TwoSides| {
        for name in w.remote.names() {
            if let Some(uid) = w.remote.ids(&name).first() {
                w.remote.edit(&name, uid, flag);
            }
        }
    };
    scene(flags, |r| r.counts.flags_local).grows("a flag in each", FEW / 4);
}

fn new_here(w: &mut TwoSides) {
    let n = w.remote.ids(&a()).len();
    for body in (n..2 * n).map(body) {
        w.local.add(&b(), &body, Flags::default());
    }
}

/// What happens before a run.
type Act = fn(&mut TwoSides);

/// The steps of the sides in a run that is not cut.
fn steps(act: Act, n: usize) -> u32 {
    let mut w = filled(n);
    act(&mut w);
    let before = w.fuse.borrow().steps;
    w.sync_ok();
    w.fuse.borrow().steps - before
}

/// The comparisons of the run after one that was cut at this eighth of its steps.
fn work_after_cut(act: Act, n: usize, eighth: u32) -> u64 {
    let at = steps(act, n) * eighth / 8;
    let mut w = filled(n);
    act(&mut w);
    w.sync_cut(at);
    w.now.set(w.now.get() + 100);
    let before = comparisons();
    w.sync_ok();
    let took = comparisons() - before;
    w.assert_equal_sides("in the end");
    took
}

#[test]
fn runs_after_a_cut_take_work_in_proportion() {
    let acts: [(&str, Act); 3] = [
        ("moved here", moved_here),
        ("moved there", moved_there),
        ("new here", new_here),
    ];
    for (what, act) in acts {
        for eighth in [3, 6, 7] {
            let less = work_after_cut(act, FEW / 2, eighth);
            let more = work_after_cut(act, 2 * FEW, eighth);
            eprintln!("{what}, cut at {eighth}/8: {less} {more}");
            let most = 6 * less;
            assert!(
                more <= most,
                "{what}, cut at {eighth}/8: {less} became {more}"
            );
        }
    }
}
