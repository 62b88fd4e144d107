//! Rows V: the same message in another place. Each is shown for servers of several kinds, and moves
//! and copies no body across.

use super::mailboxes::with_a;
use super::*;
use mailtide::engine::Report;

/// The sides a row begins with; B is there and empty.
pub(super) fn begin(change: impl FnOnce(&TwoSides)) -> TwoSides {
    let mut w = TwoSides::new();
    change(&w);
    w.remote.add(&inbox(), BODY, seen());
    w.remote.add(&inbox(), OTHER, Flags::default());
    for name in ["A", "B"] {
        w.remote.create(&mb(name));
    }
    w.remote.add(&mb("A"), b"Subject: a\r\n\r\n1", seen());
    w.sync_ok();
    w
}

fn plain() -> TwoSides {
    begin(|_| {})
}

/// No MOVE: a copy and an expunge, and the server does not tell what the copy is called.
fn silent() -> TwoSides {
    begin(|w| {
        w.remote.inner.borrow_mut().moves_by_copy = true;
        w.remote.inner.borrow_mut().tells = false;
    })
}

/// EMAILID.
fn named() -> TwoSides {
    begin(|w| w.remote.inner.borrow_mut().objects = true)
}

/// Everything is listed, every time.
fn slow() -> TwoSides {
    begin(|w| {
        w.remote.inner.borrow_mut().deltas = false;
        w.local.inner.borrow_mut().deltas = false;
    })
}

/// The row, for each kind of server.
fn rows(name: &str, act: fn(&mut TwoSides), want: &str) {
    for (kind, prepare) in [
        ("plain", plain as fn() -> TwoSides),
        ("silent", silent),
        ("named", named),
        ("slow", slow),
    ] {
        row(&format!("{name}, {kind}"), prepare, act, want);
    }
}

/// The row, and that no body crosses.
fn free(name: &str, act: fn(&mut TwoSides), want: &str) -> Report {
    priced(name, act, want, 0)
}

/// The row, and that so many bodies are read on the server and none is copied.
fn priced(name: &str, act: fn(&mut TwoSides), want: &str, bodies: u32) -> Report {
    rows(name, act, want);
    for prepare in [silent, named, plain] {
        let mut w = prepare();
        act(&mut w);
        let before = w.remote.inner.borrow().counts.reads;
        let report = w.sync_ok();
        assert_eq!(
            (report.counts.downloaded, report.counts.uploaded),
            (0, 0),
            "{name}: {report:?}"
        );
        let reads = w.remote.inner.borrow().counts.reads - before;
        assert_eq!(reads, bodies, "{name}: bodies read");
    }
    let mut w = plain();
    act(&mut w);
    w.sync_ok()
}

fn moved_here(w: &mut TwoSides, to: &str) {
    let f = file(w);
    w.local.shift(&inbox(), &f, &mb(to));
}

/// Some mail readers give what they move another name.
fn moved_here_by_copy(w: &mut TwoSides) {
    let f = file(w);
    w.local.copy(&inbox(), &f, &mb("A"));
    w.local.delete(&inbox(), &f);
}

fn moved_there(w: &mut TwoSides, to: &str) {
    let u = uid(w);
    w.remote.shift(&inbox(), &u, &mb(to));
}

const MOVED: &str = r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()";

#[test]
fn moved_on_the_server() {
    let report = free("4 S,V", |w| moved_there(w, "A"), MOVED);
    assert_eq!(
        (report.counts.moved_local, report.counts.moved_remote),
        (1, 0)
    );
    let flagged = |w: &mut TwoSides| {
        flag(w, None, Some(SystemFlag::Flagged));
        moved_there(w, "A");
    };
    let want = r"A: a(\Seen) msg(\Flagged \Seen); B: ; INBOX: other()";
    free("10 F,V", flagged, want);
    let deleted = |w: &mut TwoSides| {
        gone(w, Side::Local);
        moved_there(w, "A");
    };
    rows("16 D,V", deleted, MOVED);
    let broken_here = |w: &mut TwoSides| {
        broken(w, Side::Local);
        moved_there(w, "A");
    };
    rows("29 X,V", broken_here, MOVED);
    let edited_here = |w: &mut TwoSides| {
        edited(w);
        moved_there(w, "A");
    };
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: edited(\Seen) other()";
    rows("35 C,V", edited_here, want);
}

#[test]
fn moved_on_disk() {
    let report = free("19 V,S", |w| moved_here(w, "A"), MOVED);
    assert_eq!(
        (report.counts.moved_local, report.counts.moved_remote),
        (0, 1)
    );
    free("19 V,S, by copy", moved_here_by_copy, MOVED);
    let flagged = |w: &mut TwoSides| {
        flag(w, Some(SystemFlag::Flagged), Some(SystemFlag::Answered));
        moved_here(w, "A");
    };
    let want = r"A: a(\Seen) msg(\Answered \Flagged \Seen); B: ; INBOX: other()";
    free("20 V,F", flagged, want);
    let deleted = |w: &mut TwoSides| {
        gone(w, Side::Remote);
        moved_here(w, "A");
    };
    rows("21 V,D", deleted, MOVED);
    let broken_there = |w: &mut TwoSides| {
        broken(w, Side::Remote);
        moved_here(w, "A");
    };
    free("24 V,X", broken_there, MOVED);
    let renamed = |w: &mut TwoSides| {
        let f = file(w);
        w.local.copy(&inbox(), &f, &inbox());
        w.local.delete(&inbox(), &f);
        flag(w, Some(SystemFlag::Flagged), Some(SystemFlag::Answered));
    };
    let want = r"A: a(\Seen); B: ; INBOX: msg(\Answered \Flagged \Seen) other()";
    free("another name", renamed, want);
}

#[test]
fn moved_on_both_sides() {
    let same = |w: &mut TwoSides| {
        flag(w, Some(SystemFlag::Flagged), Some(SystemFlag::Answered));
        moved_there(w, "A");
        moved_here(w, "A");
    };
    let want = r"A: a(\Seen) msg(\Answered \Flagged \Seen); B: ; INBOX: other()";
    free("22 V,V, same target", same, want);
    let apart = |w: &mut TwoSides| {
        moved_there(w, "B");
        moved_here(w, "A");
    };
    let want = r"A: a(\Seen); B: msg(\Seen); INBOX: other()";
    free("22 V,V, other target", apart, want);
    let swapped = |w: &mut TwoSides| {
        moved_there(w, "A");
        let a = w.local.ids(&mb("A"))[0].clone();
        w.local.shift(&mb("A"), &a, &inbox());
    };
    let want = r"A: msg(\Seen); B: ; INBOX: a(\Seen) other()";
    free("crosswise", swapped, want);
}

#[test]
fn what_is_not_known_holds_a_move() {
    let blind_there = |w: &mut TwoSides| {
        moved_here(w, "A");
        let mut inner = w.remote.inner.borrow_mut();
        inner.boxes.get_mut(&inbox()).unwrap().blind = true;
    };
    let held = r"A: a(\Seen); B: ; INBOX: msg(\Seen) other() | ".to_owned() + MOVED;
    still("23 V,U", blind_there, &held);
    let blind_here = |w: &mut TwoSides| {
        moved_there(w, "A");
        let mut inner = w.local.inner.borrow_mut();
        inner.boxes.get_mut(&inbox()).unwrap().blind = true;
    };
    let held = MOVED.to_owned() + r" | A: a(\Seen); B: ; INBOX: msg(\Seen) other()";
    still("25 U,V", blind_here, &held);
}

/// Nothing is done as long as one side cannot be seen, and everything when it can.
fn still(name: &str, act: fn(&mut TwoSides), want: &str) {
    let (want_remote, want_local) = want.split_once(" | ").unwrap();
    let mut w = plain();
    act(&mut w);
    w.sync();
    assert_eq!(show(&w.remote.view()), want_remote, "{name}, remote");
    assert_eq!(show(&w.local.view()), want_local, "{name}, local");
    for b in w.remote.inner.borrow_mut().boxes.values_mut() {
        b.blind = false;
    }
    for b in w.local.inner.borrow_mut().boxes.values_mut() {
        b.blind = false;
    }
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.downloaded, report.counts.uploaded),
        (0, 0),
        "{name}"
    );
    assert_eq!(show(&w.remote.view()), MOVED, "{name}, in the end");
    w.assert_equal_sides(name);
}

#[test]
fn copies() {
    let here = |w: &mut TwoSides| {
        let f = file(w);
        w.local.copy(&inbox(), &f, &mb("A"));
    };
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: msg(\Seen) other()";
    let report = free("a copy here", here, want);
    assert_eq!(
        (report.counts.copied_local, report.counts.copied_remote),
        (0, 1)
    );
    let there = |w: &mut TwoSides| {
        let u = uid(w);
        let copy = w.remote.copy(&inbox(), &u, &mb("A"));
        w.remote
            .edit(&mb("A"), &copy, |f| f.insert(SystemFlag::Flagged));
    };
    let want = r"A: a(\Seen) msg(\Flagged \Seen); B: ; INBOX: msg(\Seen) other()";
    let report = free("a copy there", there, want);
    assert_eq!(
        (report.counts.copied_local, report.counts.copied_remote),
        (1, 0)
    );
    let both = |w: &mut TwoSides| {
        let (u, f) = (uid(w), file(w));
        w.local.copy(&inbox(), &f, &mb("A"));
        w.remote.copy(&inbox(), &u, &mb("A"));
    };
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: msg(\Seen) other()";
    free("a copy on both", both, want);
    let beside = |w: &mut TwoSides| {
        let (u, f) = (uid(w), file(w));
        w.local.copy(&inbox(), &f, &inbox());
        w.remote.copy(&inbox(), &u, &mb("B"));
        w.remote.copy(&inbox(), &u, &mb("B"));
    };
    let want = r"A: a(\Seen); B: msg(\Seen) msg(\Seen); INBOX: msg(\Seen) msg(\Seen) other()";
    free("several copies", beside, want);
    let half = |w: &mut TwoSides| {
        let u = uid(w);
        w.remote.copy(&inbox(), &u, &mb("A"));
        moved_here(w, "A");
    };
    // What is expunged where it was must be the message that arrived.
    priced("a move that was half done", half, MOVED, 1);
}

#[test]
fn a_mailbox_emptied_into_another_and_deleted() {
    let there = |w: &mut TwoSides| {
        moved_there(w, "A");
        let a = w.remote.ids(&mb("A"));
        for id in a {
            w.remote.shift(&mb("A"), &id, &mb("B"));
        }
        w.remote.inner.borrow_mut().boxes.remove(&mb("A"));
    };
    let want = r"B: a(\Seen) msg(\Seen); INBOX: other()";
    free("there", there, want);
    let here = |w: &mut TwoSides| {
        moved_here(w, "A");
        let a = w.local.ids(&mb("A"));
        for id in a {
            w.local.shift(&mb("A"), &id, &mb("B"));
        }
        w.local.inner.borrow_mut().boxes.remove(&mb("A"));
    };
    free("here", here, want);
    let with_new_mail = |w: &mut TwoSides| {
        moved_here(w, "B");
        let a = w.local.ids(&mb("A"));
        w.local.shift(&mb("A"), &a[0], &mb("B"));
        w.local.inner.borrow_mut().boxes.remove(&mb("A"));
        w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    };
    let want = r"A: n(\Seen); B: a(\Seen) msg(\Seen); INBOX: other()";
    rows("with new mail", with_new_mail, want);
}

/// The source is noticed in one cycle, the target in another: what went to quarantine comes back.
#[test]
fn a_move_noticed_in_two_cycles() {
    for prepare in [plain, named] {
        let mut w = prepare();
        w.options.only = vec!["INBOX".into()];
        flag(&mut w, None, Some(SystemFlag::Answered));
        moved_there(&mut w, "A");
        w.sync_ok();
        assert_eq!(show(&w.local.view()), r"A: a(\Seen); B: ; INBOX: other()");
        w.options.only.clear();
        let before = w.remote.inner.borrow().counts.reads;
        let report = w.sync_ok();
        assert_eq!(
            (report.counts.downloaded, report.counts.moved_local),
            (0, 1)
        );
        assert_eq!(w.remote.inner.borrow().counts.reads, before, "bodies read");
        let want = r"A: a(\Seen) msg(\Answered \Seen); B: ; INBOX: other()";
        assert_eq!(show(&w.remote.view()), want);
        w.assert_equal_sides("in the end");
        w.sync_idle();
    }
}

/// The target is noticed first.
#[test]
fn a_move_whose_target_is_noticed_first() {
    for prepare in [plain, named] {
        let mut w = prepare();
        w.options.only = vec!["A".into()];
        moved_there(&mut w, "A");
        let report = w.sync_ok();
        assert_eq!(
            (report.counts.downloaded, report.counts.copied_local),
            (0, 1)
        );
        w.options.only.clear();
        assert_eq!(w.sync_ok().counts.deleted_local, 1);
        assert_eq!(show(&w.remote.view()), MOVED);
        w.assert_equal_sides("in the end");
        w.sync_idle();
    }
}

/// Same header, same size, same date: only the content tells them apart.
#[test]
fn two_that_look_alike_are_two() {
    let body = |middle: &str| {
        let pad = "x".repeat(1500);
        format!("Message-ID: <1@x>\r\nSubject: n\r\n\r\n{pad}{middle}{pad}").into_bytes()
    };
    let mut w = plain();
    let old = w.remote.add(&inbox(), &body("1"), seen());
    w.sync_ok();
    w.remote.delete(&inbox(), &old);
    w.remote.add(&mb("A"), &body("2"), seen());
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.moved_local, report.counts.downloaded),
        (0, 1),
        "{report:?}"
    );
    w.assert_equal_sides("in the end");
}

/// Where the server names messages, one that is new in many mailboxes is fetched once.
#[test]
fn one_fetch_for_all_places() {
    let mut w = begin(|w| w.remote.inner.borrow_mut().objects = true);
    let first = w.remote.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
    for name in ["A", "B"] {
        w.remote.copy(&inbox(), &first, &mb(name));
    }
    let before = w.remote.inner.borrow().counts.reads;
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.downloaded, report.counts.copied_local),
        (1, 2),
        "{report:?}"
    );
    assert_eq!(
        w.remote.inner.borrow().counts.reads - before,
        1,
        "bodies read"
    );
    w.assert_equal_sides("in the end");
    w.sync_idle();
}

#[test]
fn directions_are_kept() {
    let mut w = with_a();
    w.policy.direction = Direction::Pull;
    moved_here(&mut w, "A");
    w.sync_ok();
    assert_eq!(
        show(&w.remote.view()),
        r"A: a(\Seen); INBOX: msg(\Seen) other()"
    );
}
