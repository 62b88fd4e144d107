//! The connection breaks when one message is read or described to tell which it is, or to keep its
//! bytes, and when one is copied: it stops nothing else, and is neither lost nor doubled.

use super::*;
use mailtide::engine::Report;
use std::collections::BTreeMap;

fn body(n: usize) -> Vec<u8> {
    format!(
        "Message-ID: <{n}@x>\r\nSubject: n{n}\r\n\r\n{}",
        "x".repeat(n * 900)
    )
    .into_bytes()
}

fn draft() -> Flags {
    Flags::of(&[SystemFlag::Draft])
}

/// In step: messages 0 to 5, and an empty mailbox A.
fn in_step(flags: &Flags) -> TwoSides {
    let mut w = TwoSides::new();
    w.remote.create(&mb("A"));
    for n in 0..6 {
        w.remote.add(&inbox(), &body(n), flags.clone());
    }
    w.sync_ok();
    w.remote.inner.borrow_mut().reconnects = true;
    w
}

fn first_meeting(flags: &Flags) -> TwoSides {
    let w = TwoSides::new();
    for n in 0..6 {
        w.remote.add(&inbox(), &body(n), flags.clone());
        w.local.add(&inbox(), &body(n), flags.clone());
    }
    w.remote.inner.borrow_mut().reconnects = true;
    w
}

fn file_of(w: &TwoSides, n: usize) -> MaildirId {
    let inner = w.local.inner.borrow();
    let mut all = inner.boxes[&inbox()].messages.iter();
    all.find(|(_, m)| m.body == body(n)).unwrap().0.clone()
}

fn uid_of(w: &TwoSides, n: usize) -> Uid {
    let inner = w.remote.inner.borrow();
    let mut all = inner.boxes[&inbox()].messages.iter();
    *all.find(|(_, m)| m.body == body(n)).unwrap().0
}

/// What happens before the runs, by name; afterwards each message is on both sides, but those that
/// were deleted, and those of which there are copies.
type Scene = (&'static str, fn() -> TwoSides);

fn scenes() -> Vec<Scene> {
    vec![
        ("first meeting", || first_meeting(&Flags::default())),
        ("new UIDVALIDITY", || {
            let w = in_step(&Flags::default());
            w.remote.renumber(&inbox(), 100);
            w
        }),
        ("new UIDVALIDITY of drafts", || {
            let w = in_step(&draft());
            w.remote.renumber(&inbox(), 100);
            w
        }),
        ("moved there", || {
            let w = in_step(&Flags::default());
            for n in 0..6 {
                w.remote.shift(&inbox(), &uid_of(&w, n), &mb("A"));
            }
            w
        }),
        ("moved here", || {
            let w = in_step(&Flags::default());
            for n in 0..6 {
                w.local.shift(&inbox(), &file_of(&w, n), &mb("A"));
            }
            w
        }),
        ("deleted here", || {
            let w = in_step(&Flags::default());
            for n in 0..5 {
                w.local.delete(&inbox(), &file_of(&w, n));
            }
            w
        }),
    ]
}

/// How often each message is on each side.
fn counts(w: &TwoSides) -> BTreeMap<Vec<u8>, [usize; 2]> {
    let mut all: BTreeMap<Vec<u8>, [usize; 2]> = BTreeMap::new();
    for b in w.remote.inner.borrow().boxes.values() {
        for message in b.messages.values() {
            all.entry(message.body.clone()).or_default()[0] += 1;
        }
    }
    for b in w.local.inner.borrow().boxes.values() {
        for message in b.messages.values() {
            all.entry(message.body.clone()).or_default()[1] += 1;
        }
    }
    all
}

/// Lets runs follow each other while the connection breaks at a message, and after that.
fn play(w: &mut TwoSides, bad: &[u8], heal: impl Fn(&TwoSides), how: &str) -> Report {
    let mut last = None;
    for run in 0..4 {
        let report = w.sync();
        let how = format!("{how}, run {run}: {report:?}");
        assert!(report.halted.is_none(), "{how}");
        for (message, [there, here]) in counts(w) {
            assert!(there < 2 && here < 2, "{}: {how}", message.escape_ascii());
            if message != bad {
                assert_eq!([there, here], [1, 1], "{}: {how}", message.escape_ascii());
            }
        }
        w.now.set(w.now.get() + 60);
        last = Some(report);
    }
    heal(w);
    w.now.set(w.now.get() + 3 * 86_400);
    w.sync();
    w.sync();
    w.assert_equal_sides(how);
    for (message, count) in counts(w) {
        assert_eq!(count, [1, 1], "{}: {how}", message.escape_ascii());
    }
    w.sync_idle();
    last.unwrap()
}

#[test]
fn a_message_that_breaks_when_read_for_evidence_stops_no_others() {
    for (name, scene) in scenes() {
        for bad in [0, 3, 5] {
            let mut w = scene();
            w.remote.inner.borrow_mut().breaks_at = [body(bad)].into();
            let heal = |w: &TwoSides| w.remote.inner.borrow_mut().breaks_at.clear();
            play(&mut w, &body(bad), heal, &format!("{name}, {bad}"));
        }
    }
}

#[test]
fn a_message_that_breaks_when_described_stops_no_others() {
    for (name, scene) in scenes() {
        for bad in [0, 3, 5] {
            let mut w = scene();
            w.remote.inner.borrow_mut().odd.breaks_heads = [body(bad)].into();
            let heal = |w: &TwoSides| w.remote.inner.borrow_mut().odd.breaks_heads.clear();
            play(
                &mut w,
                &body(bad),
                heal,
                &format!("{name}, described, {bad}"),
            );
        }
    }
}

/// A deletion whose bytes cannot be kept waits, and the connection is left alone.
#[test]
fn a_deletion_that_breaks_when_its_bytes_are_read_waits() {
    let mut w = in_step(&Flags::default());
    for n in 0..5 {
        w.local.delete(&inbox(), &file_of(&w, n));
    }
    w.remote.inner.borrow_mut().breaks_at = [body(2)].into();
    let report = w.sync();
    assert!(report.halted.is_none(), "{report:?}");
    assert_eq!(w.remote.ids(&inbox()).len(), 2, "{report:?}");
    w.sync();
    let (breaks, rows) = (w.remote.inner.borrow().breaks, w.state.writes());
    let report = w.sync();
    let named = |text: &str| text.contains("the connection breaks when its bytes are read");
    assert!(report.errors.iter().any(|t| named(&t.text)), "{report:?}");
    assert_eq!(w.remote.inner.borrow().breaks, breaks);
    assert_eq!((report.changes(), w.state.writes()), (0, rows));
}

/// What was not copied is uploaded in the same run, once a look has shown that it is not there.
#[test]
fn a_copy_that_breaks_the_connection_stops_no_others() {
    for bad in [&[0][..], &[4], &[2, 3]] {
        let mut w = in_step(&Flags::default());
        w.remote.inner.borrow_mut().breaks_change = bad.iter().map(|n| body(*n)).collect();
        for n in 0..5 {
            w.local.copy(&inbox(), &file_of(&w, n), &mb("A"));
        }
        w.remote.add(&inbox(), &body(9), seen());
        let report = w.sync();
        assert!(report.halted.is_none(), "{bad:?}: {report:?}");
        assert_eq!(report.counts.downloaded, 1, "{bad:?}: {report:?}");
        let named = |text: &str| text.contains("the connection broke while messages were copied");
        assert!(
            report.errors.iter().any(|t| named(&t.text)),
            "{bad:?}: {report:?}"
        );
        w.now.set(w.now.get() + 60);
        w.sync_ok();
        w.assert_equal_sides(&format!("{bad:?}"));
        assert_eq!(w.remote.ids(&mb("A")).len(), 5, "{bad:?}");
        w.sync_idle();
    }
}

/// Moves of servers without MOVE are copies first, and not sent again blindly.
#[test]
fn a_move_by_copy_that_breaks_the_connection_stops_no_others() {
    for bad in [&[0][..], &[4], &[2, 3]] {
        let mut w = in_step(&Flags::default());
        w.remote.inner.borrow_mut().moves_by_copy = true;
        w.remote.inner.borrow_mut().breaks_change = bad.iter().map(|n| body(*n)).collect();
        for n in 0..5 {
            w.local.shift(&inbox(), &file_of(&w, n), &mb("A"));
        }
        w.remote.add(&inbox(), &body(9), seen());
        for run in 0..6 {
            let report = w.sync();
            eprintln!("{bad:?}, run {run}: {report:?} {:?}", w.state.suspects());
            assert!(report.halted.is_none(), "{bad:?}, run {run}: {report:?}");
            w.now.set(w.now.get() + 60);
        }
        assert_eq!(w.remote.ids(&mb("A")).len(), 5 - bad.len(), "{bad:?}");
        let (breaks, rows) = (w.remote.inner.borrow().breaks, w.state.writes());
        let report = w.sync();
        assert!(!report.errors.is_empty(), "{bad:?}: {report:?}");
        assert_eq!(
            (report.changes(), w.state.writes()),
            (0, rows),
            "{bad:?}: {report:?}"
        );
        assert_eq!(w.remote.inner.borrow().breaks, breaks, "{bad:?}");
        w.remote.inner.borrow_mut().breaks_change.clear();
        w.now.set(w.now.get() + 3 * 86_400);
        w.sync();
        w.sync_ok();
        w.assert_equal_sides(&format!("{bad:?}"));
        assert_eq!(w.remote.ids(&mb("A")).len(), 5, "{bad:?}");
        w.sync_idle();
    }
}
