//! The connection breaks at certain messages, at every try: these are set aside by themselves, and
//! the others pass. Where it breaks at all messages, none is set aside.

use super::*;
use mailtide::engine::Report;
use mailtide::engine::report::Severity;

fn body(n: usize) -> Vec<u8> {
    format!("Message-ID: <{n}@x>\r\nSubject: n{n}\r\n\r\n{n}").into_bytes()
}

/// On which side the messages are new.
fn with_new(side: Side, count: usize) -> TwoSides {
    let mut w = base();
    w.remote.create(&mb("A"));
    w.sync_ok();
    for n in 0..count {
        match side {
            Side::Remote => drop(w.remote.add(&inbox(), &body(n), seen())),
            Side::Local => drop(w.local.add(&inbox(), &body(n), seen())),
        }
    }
    match side {
        Side::Remote => drop(w.remote.add(&mb("A"), &body(99), seen())),
        Side::Local => drop(w.local.add(&mb("A"), &body(99), seen())),
    }
    w.remote.inner.borrow_mut().reconnects = true;
    w
}

fn break_at(w: &mut TwoSides, all: &[usize]) {
    w.remote.inner.borrow_mut().breaks_at = all.iter().map(|n| body(*n)).collect();
}

fn copied(report: &Report, from: Side) -> usize {
    match from {
        Side::Remote => report.counts.downloaded,
        Side::Local => report.counts.uploaded,
    }
}

fn named(report: &Report) -> usize {
    let told = |t: &&mailtide::engine::report::Trouble| {
        t.severity == Severity::Partial && t.text.contains("the connection breaks at this message")
    };
    let texts = report.errors.iter().filter(told);
    texts
        .map(|t| &t.text)
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

#[test]
fn messages_that_break_the_connection_stop_no_others() {
    for side in Side::BOTH {
        for bad in [&[0][..], &[4], &[9], &[3, 4], &[0, 5, 9]] {
            let mut w = with_new(side, 10);
            break_at(&mut w, bad);
            let report = w.sync();
            let how = format!("new on {side}, {bad:?}: {report:?}");
            assert_eq!(copied(&report, side), 11 - bad.len(), "{how}");
            assert_eq!(named(&report), bad.len(), "{how}");
            assert!(report.halted.is_none(), "{how}");
            // Named by each run, and not tried again before its time.
            let breaks = w.remote.inner.borrow().breaks;
            let rows = w.state.writes();
            let report = w.sync();
            assert_eq!((report.changes(), named(&report)), (0, bad.len()), "{how}");
            assert_eq!(w.remote.inner.borrow().breaks, breaks, "{how}");
            assert_eq!(w.state.writes(), rows, "{how}");
            // Tried once more after an hour, and not again before two more.
            w.now.set(w.now.get() + 3700);
            let report = w.sync();
            assert_eq!(
                (copied(&report, side), named(&report)),
                (0, bad.len()),
                "{how}"
            );
            let breaks = w.remote.inner.borrow().breaks;
            w.now.set(w.now.get() + 3700);
            w.sync();
            assert_eq!(w.remote.inner.borrow().breaks, breaks, "{how}");
            w.now.set(w.now.get() + 2 * 3700);
            break_at(&mut w, &[]);
            let report = w.sync_ok();
            assert_eq!(copied(&report, side), bad.len(), "{how}");
            w.assert_equal_sides(&how);
            w.sync_idle();
            assert!(w.state.suspects().unwrap().is_empty(), "{how}");
        }
    }
}

#[test]
fn a_server_that_breaks_at_every_message_sets_none_aside() {
    for side in Side::BOTH {
        let mut w = with_new(side, 10);
        w.remote.inner.borrow_mut().breaks_always = true;
        for run in 0..5 {
            let report = w.sync();
            let how = format!("new on {side}, run {run}: {report:?}");
            assert!(report.halted.is_some(), "{how}");
            assert_eq!(named(&report), 0, "{how}");
            assert!(w.remote.inner.borrow().breaks <= 12 * (run + 1), "{how}");
        }
        w.remote.inner.borrow_mut().breaks_always = false;
        let report = w.sync_ok();
        assert_eq!(copied(&report, side), 11, "{side}");
        w.assert_equal_sides("it is whole again");
        w.sync_idle();
    }
}

/// Nothing is new but messages at which the connection breaks: one that is known passes, so it is
/// not the connection.
#[test]
fn many_messages_that_break_are_set_aside_where_known_ones_pass() {
    for count in [3, 4, 9] {
        let mut w = base();
        for n in 0..count {
            w.remote.add(&inbox(), &body(n), seen());
        }
        w.remote.inner.borrow_mut().reconnects = true;
        break_at(&mut w, &(0..count).collect::<Vec<_>>());
        let mut reports: Vec<Report> = (0..3).map(|_| w.sync()).collect();
        let last = reports.pop().unwrap();
        assert_eq!(named(&last), count, "{last:?}");
        assert!(last.halted.is_none(), "{last:?}");
        let (breaks, rows) = (w.remote.inner.borrow().breaks, w.state.writes());
        w.sync();
        assert_eq!(w.remote.inner.borrow().breaks, breaks, "{count}");
        assert_eq!(w.state.writes(), rows, "{count}");
    }
}

/// What is remembered of the first break, when nothing can be reached after it.
#[test]
fn a_message_at_which_each_run_breaks_comes_last() {
    for side in Side::BOTH {
        let mut w = with_new(side, 10);
        break_at(&mut w, &[2]);
        w.remote.inner.borrow_mut().reconnects = false;
        let mut all = 0;
        for _ in 0..4 {
            all += copied(&w.sync(), side);
        }
        assert_eq!(all, 10, "new on {side}");
        break_at(&mut w, &[]);
        w.now.set(w.now.get() + 3700);
        assert_eq!(copied(&w.sync_ok(), side), 1, "new on {side}");
        w.assert_equal_sides("it passes");
    }
}

/// It was stored, and the answer never comes.
#[test]
fn an_upload_that_breaks_after_it_was_stored_is_not_doubled() {
    for bad in [&[0][..], &[4], &[2, 3, 9]] {
        let mut w = with_new(Side::Local, 10);
        w.remote.inner.borrow_mut().breaks_after = bad.iter().map(|n| body(*n)).collect();
        for _ in 0..3 {
            w.sync();
        }
        w.sync_ok();
        assert_eq!(w.remote.ids(&inbox()).len(), 12, "{bad:?}");
        w.assert_equal_sides(&format!("{bad:?}"));
        w.sync_idle();
        w.assert_no_intent("all is known");
    }
}

/// A run may be cut anywhere.
#[test]
fn a_run_that_is_cut_beside_a_break_ends_alike() {
    for side in Side::BOTH {
        let fresh = || {
            let mut w = with_new(side, 3);
            break_at(&mut w, &[1]);
            w
        };
        let mut w = fresh();
        let before = w.fuse.borrow().steps;
        w.sync();
        let steps = w.fuse.borrow().steps - before;
        for cut in each_step(steps) {
            let mut w = fresh();
            w.sync_cut(cut);
            for _ in 0..2 {
                w.sync();
            }
            break_at(&mut w, &[]);
            w.now.set(w.now.get() + 4 * 3700);
            w.sync_ok();
            let how = format!("new on {side}, cut at step {cut} of {steps}");
            w.assert_equal_sides(&how);
            assert_eq!(w.remote.ids(&inbox()).len(), 5, "{how}");
            w.sync_idle();
            w.assert_no_intent(&how);
        }
    }
}

/// In step: messages 0 to 5, and an empty mailbox A.
fn in_step() -> TwoSides {
    let mut w = TwoSides::new();
    w.remote.create(&mb("A"));
    for n in 0..6 {
        w.remote.add(&inbox(), &body(n), Flags::default());
    }
    w.sync_ok();
    w.remote.inner.borrow_mut().reconnects = true;
    w
}

/// What is done with a file here.
type Change = fn(&TwoSides, &MaildirId);

const CHANGES: [(&str, Change); 3] = [
    ("flags", |w, file| {
        w.local.edit(&inbox(), file, |flags| flags.insert(Flagged));
    }),
    ("deletion", |w, file| w.local.delete(&inbox(), file)),
    ("move", |w, file| {
        w.local.shift(&inbox(), file, &mb("A"));
    }),
];

/// Changes of the messages up to the fifth; the sixth stays.
fn change(w: &TwoSides, change: Change) {
    for file in w.local.ids(&inbox()) {
        let body = w.local.inner.borrow().boxes[&inbox()].messages[&file]
            .body
            .clone();
        if body != self::body(5) {
            change(w, &file);
        }
    }
}

/// The messages that are on the server as they were.
fn unchanged(w: &TwoSides) -> usize {
    let inner = w.remote.inner.borrow();
    let plain = |m: &&crate::support::memory::Message| m.flags.is_empty();
    inner.boxes[&inbox()]
        .messages
        .values()
        .filter(plain)
        .count()
}

fn says(report: &Report, text: &str) -> bool {
    report.errors.iter().any(|t| t.text.contains(text))
}

#[test]
fn a_change_that_breaks_the_connection_stops_no_others() {
    for (what, act) in CHANGES {
        for bad in [&[0][..], &[4], &[2, 3]] {
            let mut w = in_step();
            w.remote.inner.borrow_mut().breaks_change = bad.iter().map(|n| body(*n)).collect();
            change(&w, act);
            let report = w.sync();
            let how = format!("{what}, {bad:?}: {report:?}");
            assert_eq!(unchanged(&w), bad.len() + 1, "{how}");
            assert!(report.halted.is_none(), "{how}");
            assert!(says(&report, "the connection breaks"), "{how}");
            for _ in 0..2 {
                let (breaks, rows) = (w.remote.inner.borrow().breaks, w.state.writes());
                let report = w.sync();
                assert!(says(&report, "the connection breaks"), "{how}: {report:?}");
                assert_eq!(w.remote.inner.borrow().breaks, breaks, "{how}");
                assert_eq!((report.changes(), w.state.writes()), (0, rows), "{how}");
            }
            w.remote.inner.borrow_mut().breaks_change.clear();
            w.now.set(w.now.get() + 3700);
            w.sync_ok();
            w.assert_equal_sides(&how);
            assert_eq!(unchanged(&w), 1, "{how}");
            w.sync_idle();
        }
    }
}

#[test]
fn a_server_that_breaks_at_every_change_ends_the_run() {
    for (what, act) in CHANGES {
        let mut w = in_step();
        change(&w, act);
        w.remote.inner.borrow_mut().breaks_always = true;
        let report = w.sync();
        assert!(report.halted.is_some(), "{what}: {report:?}");
        assert!(!says(&report, "breaks"), "{what}: {report:?}");
        w.remote.inner.borrow_mut().breaks_always = false;
        w.sync_ok();
        w.assert_equal_sides(what);
        assert_eq!(unchanged(&w), 1, "{what}");
        w.sync_idle();
    }
}

#[test]
fn a_change_that_the_server_refuses_waits_and_is_named() {
    for (what, act) in &CHANGES[1..] {
        let mut w = in_step();
        w.remote.inner.borrow_mut().keeps = (0..5).map(body).collect();
        change(&w, *act);
        for run in 0..3 {
            let report = w.sync();
            let how = format!("{what}, run {run}: {report:?}");
            assert!(says(&report, "no permission"), "{how}");
            let kept = |note: &String| note.contains("keep changing");
            assert!(!report.notes.iter().any(kept), "{how}");
            assert_eq!(unchanged(&w), 6, "{how}");
        }
        let rows = w.state.writes();
        w.sync();
        assert_eq!(w.state.writes(), rows, "{what}");
        w.remote.inner.borrow_mut().keeps.clear();
        w.now.set(w.now.get() + 3700);
        w.sync_ok();
        w.assert_equal_sides(what);
        assert_eq!(unchanged(&w), 1, "{what}");
        w.sync_idle();
    }
}

#[test]
fn a_mailbox_that_breaks_the_connection_stops_no_others() {
    for bad in [inbox(), mb("A")] {
        let mut w = in_step();
        let other = if bad.is_inbox() { mb("A") } else { inbox() };
        w.remote.add(&bad, &body(7), seen());
        w.remote.add(&other, &body(8), seen());
        w.remote.inner.borrow_mut().breaks_look.insert(bad.clone());
        let report = w.sync();
        assert_eq!(report.counts.downloaded, 1, "{bad}: {report:?}");
        assert!(report.halted.is_none(), "{bad}: {report:?}");
        assert!(says(&report, "breaks when it is looked into"), "{report:?}");
        // With nothing else to be looked into, it may be the connection.
        assert!(w.sync().halted.is_some(), "{bad}");
        w.remote.inner.borrow_mut().breaks_look.clear();
        assert_eq!(w.sync_ok().counts.downloaded, 1, "{bad}");
        w.assert_equal_sides("it can be looked into");
        w.sync_idle();
    }
}
