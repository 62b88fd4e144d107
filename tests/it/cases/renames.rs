//! Rows F9 to F15 and F22: mailboxes with another name. None moves a body.

use super::*;
use mailtide::engine::Report;

/// INBOX: msg, other. A: a. A/x: x. C: c.
pub(super) fn begin() -> TwoSides {
    let mut w = base();
    for (name, body) in [("A", "a"), ("A/x", "x"), ("C", "c")] {
        w.remote.create(&mb(name));
        let body = format!("Subject: {body}\r\n\r\n{body}");
        w.remote.add(&mb(name), body.as_bytes(), Flags::default());
    }
    w.sync_ok();
    w
}

/// The row, and that no body crosses and no message moves.
fn free(name: &str, act: fn(&mut TwoSides), want: &str) -> Report {
    row(name, begin, act, want);
    let mut w = begin();
    act(&mut w);
    let before = w.remote.inner.borrow().counts.reads;
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.downloaded, report.counts.uploaded),
        (0, 0),
        "{name}: {report:?}"
    );
    assert_eq!(
        (report.counts.moved_local, report.counts.moved_remote),
        (0, 0),
        "{name}: {report:?}"
    );
    assert_eq!(
        w.remote.inner.borrow().counts.reads,
        before,
        "{name}: bodies read"
    );
    report
}

fn drop_box(w: &mut TwoSides, side: Side, name: &str) {
    match side {
        Side::Remote => drop(w.remote.inner.borrow_mut().boxes.remove(&mb(name))),
        Side::Local => drop(w.local.inner.borrow_mut().boxes.remove(&mb(name))),
    }
}

#[test]
fn renamed_on_one_side() {
    let want = format!("B: a(); B/x: x(); C: c(); {SAME}");
    let here = |w: &mut TwoSides| w.local.rename(&mb("A"), &mb("B"));
    let report = free("F9", here, &want);
    assert_eq!(report.counts.mailboxes_renamed_remote, 2);
    let there = |w: &mut TwoSides| w.remote.rename(&mb("A"), &mb("B"));
    let report = free("F10", there, &want);
    assert_eq!(report.counts.mailboxes_renamed_local, 2);
    let deeper = |w: &mut TwoSides| {
        w.local.rename(&mb("A/x"), &mb("N/m"));
        w.remote.rename(&mb("C"), &mb("A/c"));
    };
    free(
        "F9, F10",
        deeper,
        &format!("A: a(); A/c: c(); {SAME}; N/m: x()"),
    );
}

#[test]
fn renamed_while_the_other_side_goes_on() {
    let mail_there = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("B"));
        w.remote.add(&mb("C"), b"Subject: n\r\n\r\n1", seen());
        let c = w.remote.ids(&mb("C"))[0];
        w.remote
            .edit(&mb("C"), &c, |f| f.insert(SystemFlag::Flagged));
    };
    let want = format!(r"A: a(); A/x: x(); B: c(\Flagged) n(\Seen); {SAME}");
    let one_by_one = format!(r"A: a(); A/x: x(); B: c(\Flagged); C: n(\Seen); {SAME}");
    let either = format!("{want} || {one_by_one}");
    row("renamed here, new mail there", begin, mail_there, &either);
    let mail_here = |w: &mut TwoSides| {
        w.remote.rename(&mb("C"), &mb("B"));
        w.local.add(&mb("C"), b"Subject: n\r\n\r\n1", seen());
        let c = w.local.ids(&mb("C"))[1].clone();
        w.local
            .edit(&mb("C"), &c, |f| f.insert(SystemFlag::Flagged));
    };
    row("renamed there, new mail here", begin, mail_here, &either);
    let child = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("B"));
        w.remote.create(&mb("C/new"));
        w.remote.add(&mb("C/new"), b"Subject: n\r\n\r\n1", seen());
    };
    let want = format!(r"A: a(); A/x: x(); B: c(); B/new: n(\Seen); {SAME}");
    let one_by_one = format!(r"A: a(); A/x: x(); B: c(); C/new: n(\Seen); {SAME}");
    let either = format!("{want} || {one_by_one}");
    row("F12", begin, child, &either);
}

#[test]
fn renamed_on_both_sides() {
    let alike = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("B"));
        w.remote.rename(&mb("C"), &mb("B"));
    };
    let want = format!("A: a(); A/x: x(); B: c(); {SAME}");
    free("both alike", alike, &want);
    let apart = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("K"));
        w.remote.rename(&mb("C"), &mb("B"));
    };
    free("F11", apart, &want);
    let swapped = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("K"));
        w.local.rename(&mb("A/x"), &mb("C"));
        w.local.rename(&mb("K"), &mb("A/x"));
    };
    free(
        "names exchanged",
        swapped,
        &format!("A: a(); A/x: c(); C: x(); {SAME}"),
    );
    let crosswise = |w: &mut TwoSides| {
        w.local.rename(&mb("A"), &mb("C/A"));
        w.remote.rename(&mb("C"), &mb("A/C"));
    };
    let mut w = begin();
    crosswise(&mut w);
    let all = w.bodies();
    w.sync_ok();
    w.assert_equal_sides("F13");
    for body in all.keys() {
        assert!(w.bodies().contains_key(body), "F13: lost {body:?}");
    }
    w.sync_idle();
}

#[test]
fn renamed_and_deleted() {
    let there = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("B"));
        drop_box(w, Side::Remote, "C");
    };
    let want = format!("A: a(); A/x: x(); B: c(); {SAME}");
    row("F14", begin, there, &want);
    let here = |w: &mut TwoSides| {
        w.remote.rename(&mb("C"), &mb("B"));
        drop_box(w, Side::Local, "C");
    };
    row("F15", begin, here, &want);
}

#[test]
fn a_name_in_the_way() {
    let taken = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("B"));
        w.remote.create(&mb("B"));
        w.remote.add(&mb("B"), b"Subject: b\r\n\r\n1", seen());
    };
    let mut w = begin();
    taken(&mut w);
    let report = w.sync_ok();
    let counts = (
        report.counts.uploaded,
        report.counts.moved_remote,
        report.counts.mailboxes_renamed_remote,
    );
    assert_eq!(counts, (0, 1, 0), "{report:?}");
    let view = show(&w.remote.view());
    assert!(view.contains(r"B: b(\Seen) c()"), "{view}");
    w.assert_equal_sides("a name in the way");
    w.sync_idle();
}

/// F22: INBOX stays where it is, and its messages move.
/// C was renamed on both sides, to a name that A got on the other: no rename can be carried out.
#[test]
fn renamed_crosswise_to_one_name_is_there_once() {
    let there = |w: &mut TwoSides| {
        w.remote.rename(&mb("C"), &mb("R"));
        w.local.rename(&mb("C"), &mb("K"));
        w.local.rename(&mb("A/x"), &mb("R"));
    };
    let want = format!("A: a(); {SAME}; K: ; R: c() x()");
    row("the server's name is taken here", begin, there, &want);
    let here = |w: &mut TwoSides| {
        w.local.rename(&mb("C"), &mb("R"));
        w.remote.rename(&mb("C"), &mb("K"));
        w.remote.rename(&mb("A/x"), &mb("R"));
    };
    let want = format!("A: a(); {SAME}; K: c(); R: x()");
    row("the name of the disk is taken there", begin, here, &want);
}

#[test]
fn inbox_is_not_renamed() {
    let here = |w: &mut TwoSides| w.local.rename(&inbox(), &mb("Old"));
    let want = r"A: a(); A/x: x(); C: c(); INBOX: ; Old: msg(\Seen) other()";
    let mut w = begin();
    here(&mut w);
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.uploaded, report.counts.moved_remote),
        (0, 2),
        "{report:?}"
    );
    assert_eq!(show(&w.remote.view()), want);
    w.assert_equal_sides("F22");
    w.sync_idle();
}

#[test]
fn what_one_way_accounts_do() {
    let mut w = begin();
    w.policy.direction = Direction::Pull;
    w.local.rename(&mb("C"), &mb("B"));
    let report = w.sync();
    assert_eq!(report.counts.mailboxes_renamed_remote, 0);
    assert_eq!(
        show(&w.remote.view()),
        format!("A: a(); A/x: x(); C: c(); {SAME}")
    );
}
