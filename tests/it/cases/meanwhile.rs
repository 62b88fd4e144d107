//! What somebody else does in the middle of a run, at each of its steps: in the end it is as they
//! left it, nothing is there twice, and no body has crossed that was on both sides already.

use super::*;
use crate::support::memory::{Act, Fuse, Memory};
use std::cell::RefCell;

fn begin(objects: bool) -> TwoSides {
    super::moves::begin(|w| w.remote.inner.borrow_mut().objects = objects)
}

/// What the run has to do by itself: nothing, or something on each side.
const BUSY: [fn(&mut TwoSides); 3] = [
    |_| {},
    |w| {
        let a = w.remote.ids(&mb("A"))[0];
        w.remote.edit(&mb("A"), &a, |flags| flags.insert(Answered));
    },
    |w| {
        let other = w.remote.ids(&inbox())[1];
        w.remote
            .edit(&inbox(), &other, |flags| flags.insert(Answered));
        let a = w.local.ids(&mb("A"))[0].clone();
        w.local.edit(&mb("A"), &a, |flags| flags.insert(Answered));
    },
];

/// Plays it with `act` at each step; `act` gives what is to be done, by now.
fn at_each_step(name: &str, act: fn(&TwoSides) -> Box<dyn FnOnce()>, want: &str) {
    after(name, |_| {}, act, want);
}

/// The same, after something that came before the run.
fn after(name: &str, before: fn(&TwoSides), act: fn(&TwoSides) -> Box<dyn FnOnce()>, want: &str) {
    for (objects, busy) in [false, true].into_iter().flat_map(|o| BUSY.map(|b| (o, b))) {
        let mut w = begin(objects);
        busy(&mut w);
        before(&w);
        let begun = w.fuse.borrow().steps;
        w.sync_ok();
        let steps = w.fuse.borrow().steps - begun;
        for step in each_step(steps) {
            let mut w = begin(objects);
            busy(&mut w);
            before(&w);
            let at = w.fuse.borrow().steps + step;
            let act = Act(act(&w));
            w.fuse.borrow_mut().act_at = Some((at, act));
            let mut copied = 0;
            for _ in 0..3 {
                let report = w.sync_ok();
                copied += report.counts.downloaded + report.counts.uploaded;
            }
            let context = format!("{name}, objects {objects}, step {step} of {steps}");
            w.sync_idle();
            w.assert_no_intent(&context);
            w.assert_equal_sides(&context);
            let shown = show(&w.remote.view()).replace(r"\Answered", "");
            let shown = shown.replace("( ", "(");
            assert_eq!(shown, want, "{context}");
            assert_eq!(copied, 0, "{context}");
        }
    }
}

#[test]
fn moved_there() {
    let act = |w: &TwoSides| -> Box<dyn FnOnce()> {
        let (remote, uid) = (w.remote.clone(), uid(w));
        Box::new(move || {
            remote.shift(&inbox(), &uid, &mb("A"));
        })
    };
    at_each_step(
        "moved there",
        act,
        r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()",
    );
}

#[test]
fn moved_here() {
    let act = |w: &TwoSides| -> Box<dyn FnOnce()> {
        let (local, file) = (w.local.clone(), file(w));
        Box::new(move || drop(local.shift(&inbox(), &file, &mb("B"))))
    };
    at_each_step(
        "moved here",
        act,
        r"A: a(\Seen); B: msg(\Seen); INBOX: other()",
    );
}

/// A side moves it at each step, and the other flags it: it finds it where it went.
fn moved_and_flagged(busy: fn(&TwoSides), act: fn(&TwoSides) -> Box<dyn FnOnce()>) {
    for step in each_step(100) {
        let mut w = begin(false);
        busy(&w);
        let at = w.fuse.borrow().steps + step;
        let act = Act(act(&w));
        w.fuse.borrow_mut().act_at = Some((at, act));
        w.sync_ok();
        if w.fuse.borrow().act_at.is_some() {
            return;
        }
        w.sync_ok();
        w.sync_ok();
        let want = r"A: a(\Answered \Seen) msg(\Flagged \Seen); B: ; INBOX: other()";
        assert_eq!(show(&w.remote.view()), want, "step {step}");
        w.assert_equal_sides(&format!("step {step}"));
    }
}

#[test]
fn moved_there_and_flagged_here() {
    let busy = |w: &TwoSides| {
        let a = w.remote.ids(&mb("A"))[0];
        w.remote.edit(&mb("A"), &a, |flags| flags.insert(Answered));
    };
    let act = |w: &TwoSides| -> Box<dyn FnOnce()> {
        let (remote, local, uid, f) = (w.remote.clone(), w.local.clone(), uid(w), file(w));
        Box::new(move || {
            remote.shift(&inbox(), &uid, &mb("A"));
            local.edit(&inbox(), &f, |flags| flags.insert(Flagged));
        })
    };
    moved_and_flagged(busy, act);
}

#[test]
fn moved_here_and_flagged_there() {
    let busy = |w: &TwoSides| {
        let a = w.local.ids(&mb("A"))[0].clone();
        w.local.edit(&mb("A"), &a, |flags| flags.insert(Answered));
    };
    let act = |w: &TwoSides| -> Box<dyn FnOnce()> {
        let (remote, local, uid, f) = (w.remote.clone(), w.local.clone(), uid(w), file(w));
        Box::new(move || {
            local.shift(&inbox(), &f, &mb("A"));
            remote.edit(&inbox(), &uid, |flags| flags.insert(Flagged));
        })
    };
    moved_and_flagged(busy, act);
}

/// Moves `msg` on disk, if it is still where it was.
fn late_here(w: &TwoSides, to: &'static str) -> Box<dyn FnOnce()> {
    let (local, file) = (w.local.clone(), file(w));
    Box::new(move || {
        if local.ids(&inbox()).contains(&file) {
            local.shift(&inbox(), &file, &mb(to));
        }
    })
}

/// The same on the server.
fn late_there(w: &TwoSides, to: &'static str) -> Box<dyn FnOnce()> {
    let remote = w.remote.clone();
    let uid = remote.ids(&inbox())[0];
    Box::new(move || {
        if remote.ids(&inbox()).contains(&uid) {
            remote.shift(&inbox(), &uid, &mb(to));
        }
    })
}

/// What is seen to be gone on one side, and not yet where it went, is not taken for deleted there.
#[test]
fn moved_there_before_and_here_meanwhile() {
    let before = |w: &TwoSides| {
        let uid = w.remote.ids(&inbox())[0];
        w.remote.shift(&inbox(), &uid, &mb("A"));
    };
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()";
    after("to the same mailbox", before, |w| late_here(w, "A"), want);
    after("to another", before, |w| late_here(w, "B"), want);
}

#[test]
fn moved_here_before_and_there_meanwhile() {
    let before = |w: &TwoSides| {
        let file = w.local.ids(&inbox())[0].clone();
        w.local.shift(&inbox(), &file, &mb("A"));
    };
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()";
    after("to the same mailbox", before, |w| late_there(w, "A"), want);
}

#[test]
fn moved_there_and_on() {
    let act = |w: &TwoSides| -> Box<dyn FnOnce()> {
        let (remote, a) = (w.remote.clone(), w.remote.ids(&mb("A"))[0]);
        Box::new(move || {
            let there = remote.shift(&mb("A"), &a, &inbox());
            remote.shift(&inbox(), &there, &mb("B"));
        })
    };
    at_each_step(
        "moved there, twice",
        act,
        r"A: ; B: a(\Seen); INBOX: msg(\Seen) other()",
    );
}

#[test]
fn deleted() {
    let there = |w: &TwoSides| -> Box<dyn FnOnce()> {
        let (remote, uid) = (w.remote.clone(), uid(w));
        Box::new(move || remote.delete(&inbox(), &uid))
    };
    at_each_step("deleted there", there, r"A: a(\Seen); B: ; INBOX: other()");
    let here = |w: &TwoSides| -> Box<dyn FnOnce()> {
        let (local, file) = (w.local.clone(), file(w));
        Box::new(move || local.delete(&inbox(), &file))
    };
    at_each_step("deleted here", here, r"A: a(\Seen); B: ; INBOX: other()");
}

/// A deletion waits while the disk has changed since it was looked at; the run that waits does it.
#[test]
fn what_waited_for_the_disk_is_done_by_the_same_run() {
    let deleted = || {
        let mut w = begin(false);
        gone(&mut w, Side::Local);
        w
    };
    let mut w = deleted();
    let before = w.fuse.borrow().steps;
    w.sync_ok();
    let steps = w.fuse.borrow().steps - before;
    let mut longest = 0;
    for step in 1..=steps {
        let mut w = deleted();
        let local = w.local.clone();
        let act = move || drop(local.add(&mb("B"), b"Subject: n\r\n\r\n1", seen()));
        let before = w.fuse.borrow().steps;
        w.fuse.borrow_mut().act_at = Some((before + step, Act(Box::new(act))));
        assert_eq!(w.sync_ok().counts.deleted_remote, 1, "step {step}");
        longest = longest.max(w.fuse.borrow().steps - before);
        w.sync_ok();
        w.assert_equal_sides("in the end");
    }
    assert!(
        longest > steps + 6,
        "nothing waited: {longest} steps of {steps}"
    );
}

/// How often each side is listed by a run: once for the look at everything, once before it is acted
/// on what vanished, and for the passes after it.
fn listed(w: &mut TwoSides) -> (u32, u32) {
    let count = |w: &TwoSides| {
        (
            w.remote.inner.borrow().counts.lists,
            w.local.inner.borrow().counts.lists,
        )
    };
    let before = count(w);
    w.sync_ok();
    let after = count(w);
    (after.0 - before.0, after.1 - before.1)
}

/// A server that never tells whether anything changed is looked at twice, and a disk is not.
#[test]
fn a_side_that_never_tells() {
    let wanted = |tells: bool| {
        let mut w = begin(false);
        w.remote.inner.borrow_mut().deltas = tells;
        gone(&mut w, Side::Remote);
        let f = file(&w);
        w.local
            .edit(&inbox(), &f, |flags| flags.insert(SystemFlag::Flagged));
        w
    };
    assert_eq!(listed(&mut wanted(true)), (3, 2));
    // One pass more, and no third.
    assert_eq!(listed(&mut wanted(false)), (5, 3));
    let deleted = |tells: bool| {
        let mut w = begin(false);
        w.local.inner.borrow_mut().deltas = tells;
        gone(&mut w, Side::Local);
        w
    };
    assert_eq!(listed(&mut deleted(true)), (2, 3));
    assert_eq!(listed(&mut deleted(false)), (2, 3));
}

/// What only holds other names has nothing that could have changed.
#[test]
fn names_without_messages_are_no_side_that_changed() {
    let gone_here = |container: bool| {
        let mut w = begin(false);
        let mut inner = w.local.inner.borrow_mut();
        inner.containers.extend(container.then(|| mb("Lists")));
        drop(inner);
        w.sync_ok();
        gone(&mut w, Side::Local);
        w
    };
    let plain = listed(&mut gone_here(false));
    assert_eq!(listed(&mut gone_here(true)), plain);
}

/// Somebody touches a file before each step from now on.
fn touch_on(local: Memory<MaildirId>, fuse: Rc<RefCell<Fuse>>) {
    let next = fuse.borrow().steps + 1;
    let again = (local, fuse.clone());
    let act = move || {
        let (local, fuse) = again;
        let id = local.ids(&mb("A"))[0].clone();
        local.edit(&mb("A"), &id, |_| {});
        touch_on(local, fuse);
    };
    fuse.borrow_mut().act_at = Some((next, Act(Box::new(act))));
}

/// A disk that never comes to rest is not waited for without end.
#[test]
fn a_disk_that_never_rests_is_waited_for_three_times() {
    let mut w = begin(false);
    gone(&mut w, Side::Local);
    touch_on(w.local.clone(), w.fuse.clone());
    let before = w.remote.inner.borrow().counts.lists;
    let report = w.sync();
    assert_eq!(report.counts.deleted_remote, 1, "{report:?}");
    let passes = w.remote.inner.borrow().counts.lists - before;
    assert_eq!(passes, 5);
    w.fuse.borrow_mut().act_at = None;
    w.sync_ok();
    w.assert_equal_sides("at rest");
}

/// A run was cut when it had stored `n`, and had not recorded it; then its file vanishes at each
/// step of the next. It is downloaded anew under the same name: what was to be done with the file
/// that vanished is not done with that one.
#[test]
fn a_file_vanishes_and_another_gets_its_name() {
    const N: &[u8] = b"Subject: n\r\n\r\n1";
    let cut = |refuses: bool| {
        let w = base();
        let uid = w.remote.add(&inbox(), N, seen());
        let name = String::from_utf8(file(&w).as_bytes().to_vec()).unwrap();
        let (origin, _) = name.rsplit_once('.').unwrap();
        let file = MaildirId::new(format!("{origin}.{}", uid.get()));
        let message = w.local.fresh(N.to_vec(), seen(), 1000);
        let mut local = w.local.inner.borrow_mut();
        let b = local.boxes.get_mut(&inbox()).unwrap();
        b.put_as(file.clone(), message);
        drop(local);
        let mut remote = w.remote.inner.borrow_mut();
        remote.refuses.extend(refuses.then(|| N.to_vec()));
        drop(remote);
        (w, file)
    };
    let mut anew = 0;
    for (refuses, step) in [false, true]
        .into_iter()
        .flat_map(|r| (1..60).map(move |s| (r, s)))
    {
        let (mut w, file) = cut(refuses);
        let local = w.local.clone();
        let at = w.fuse.borrow().steps + step;
        let act = Act(Box::new(move || local.delete(&inbox(), &file)));
        w.fuse.borrow_mut().act_at = Some((at, act));
        let report = w.sync();
        anew += report.counts.downloaded;
        assert_eq!((report.counts.uploaded, &report.errors), (0, &Vec::new()));
        w.fuse.borrow_mut().act_at = None;
        w.sync_ok();
        w.sync_idle();
        w.assert_equal_sides(&format!("refuses {refuses}, step {step}"));
        let more = w.remote.add(&inbox(), N, seen());
        w.sync_ok();
        assert!(w.remote.ids(&inbox()).contains(&more));
        w.assert_equal_sides("one more of the same content");
    }
    assert!(anew > 0, "never downloaded anew");
}
