//! What somebody else does in the middle of a run, at each of its steps: in the end it is as they
//! left it, nothing is there twice, and no body has crossed that was on both sides already.

use super::*;
use crate::support::memory::Act;

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
    for (objects, busy) in [false, true].into_iter().flat_map(|o| BUSY.map(|b| (o, b))) {
        let mut w = begin(objects);
        busy(&mut w);
        let before = w.fuse.borrow().steps;
        w.sync_ok();
        let steps = w.fuse.borrow().steps - before;
        for step in 1..=steps {
            let mut w = begin(objects);
            busy(&mut w);
            let at = w.fuse.borrow().steps + step;
            let act = Act(act(&w));
            w.fuse.borrow_mut().act_at = Some((at, act));
            let mut copied = 0;
            for _ in 0..3 {
                let report = w.sync_ok();
                copied += report.downloaded + report.uploaded;
            }
            let context = format!("{name}, objects {objects}, step {step} of {steps}");
            w.sync_idle();
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
