//! The table of mailboxes.

use super::*;

#[test]
fn mailboxes_created() {
    let here = |w: &mut TwoSides| {
        w.local.create(&mb("A/B"));
        w.local.add(&mb("A/B"), b"Subject: n\r\n\r\n1", seen());
    };
    row("F1", base, here, &format!(r"A/B: n(\Seen); {SAME}"));
    let there = |w: &mut TwoSides| {
        w.remote.create(&mb("A/B"));
        w.remote.add(&mb("A/B"), b"Subject: n\r\n\r\n1", seen());
    };
    row("F2", base, there, &format!(r"A/B: n(\Seen); {SAME}"));
    let both = |w: &mut TwoSides| {
        for body in [b"Subject: n\r\n\r\n1", b"Subject: m\r\n\r\n2"] {
            w.remote.create(&mb("A"));
            w.remote.add(&mb("A"), body, Flags::default());
        }
        w.local.create(&mb("A"));
        w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
        w.local
            .add(&mb("A"), b"Subject: k\r\n\r\n3", Flags::default());
    };
    row("F3", base, both, &format!(r"A: k() m() n(\Seen); {SAME}"));
}

pub fn with_a() -> TwoSides {
    let mut w = base();
    w.remote.create(&mb("A"));
    w.remote.add(&mb("A"), b"Subject: a\r\n\r\n1", seen());
    w.sync_ok();
    w
}

/// Each was emptied into the other, one on disk and one on the server, and deleted there.
#[test]
fn mailboxes_emptied_into_each_other() {
    let prepare = || {
        let mut w = with_a();
        w.remote.create(&mb("C"));
        w.remote.add(&mb("C"), b"Subject: c\r\n\r\n1", seen());
        w.sync_ok();
        w
    };
    let crosswise = |w: &mut TwoSides| {
        let (a, c) = (w.local.ids(&mb("A")), w.remote.ids(&mb("C")));
        w.local.shift(&mb("A"), &a[0], &mb("C"));
        w.remote.shift(&mb("C"), &c[0], &mb("A"));
        w.local.inner.borrow_mut().boxes.remove(&mb("A"));
        w.remote.inner.borrow_mut().boxes.remove(&mb("C"));
    };
    let want = format!(r"A: c(\Seen); C: a(\Seen); {SAME}");
    row("crosswise", prepare, crosswise, &want);
    let with_new_mail = |w: &mut TwoSides| {
        let (a, c) = (w.local.ids(&mb("A")), w.remote.ids(&mb("C")));
        w.local.shift(&mb("A"), &a[0], &mb("C"));
        w.remote.shift(&mb("C"), &c[0], &mb("A"));
        w.local.inner.borrow_mut().boxes.remove(&mb("A"));
        w.remote.inner.borrow_mut().boxes.remove(&mb("C"));
        w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
        w.local.add(&mb("C"), b"Subject: m\r\n\r\n1", seen());
    };
    let want = format!(r"A: c(\Seen) n(\Seen); C: a(\Seen) m(\Seen); {SAME}");
    row("crosswise, new mail", prepare, with_new_mail, &want);
}

fn drop_box(w: &mut TwoSides, side: Side) {
    match side {
        Side::Remote => drop(w.remote.inner.borrow_mut().boxes.remove(&mb("A"))),
        Side::Local => drop(w.local.inner.borrow_mut().boxes.remove(&mb("A"))),
    }
}

#[test]
fn mailboxes_deleted() {
    row("F4", with_a, |w| drop_box(w, Side::Local), SAME);
    let new_there = |w: &mut TwoSides| {
        drop_box(w, Side::Local);
        w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    };
    row(
        "F5",
        with_a,
        new_there,
        &format!(r"A: a(\Seen) n(\Seen); {SAME}"),
    );
    row("F6", with_a, |w| drop_box(w, Side::Remote), SAME);
    let new_here = |w: &mut TwoSides| {
        drop_box(w, Side::Remote);
        w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    };
    row(
        "F7",
        with_a,
        new_here,
        &format!(r"A: a(\Seen) n(\Seen); {SAME}"),
    );
    let both = |w: &mut TwoSides| {
        drop_box(w, Side::Remote);
        drop_box(w, Side::Local);
    };
    row("F8", with_a, both, SAME);
    let kept = || {
        let mut w = with_a();
        w.policy.delete_mailboxes = Travel::None;
        w
    };
    row(
        "F4 not travelling",
        kept,
        |w| drop_box(w, Side::Local),
        &format!(r"A: a(\Seen); {SAME}"),
    );
    row(
        "F6 not travelling",
        kept,
        |w| drop_box(w, Side::Remote),
        &format!(r"A: a(\Seen); {SAME}"),
    );
    let inbox_gone = |w: &mut TwoSides| {
        w.local.inner.borrow_mut().boxes.remove(&inbox());
    };
    row("F21", base, inbox_gone, SAME);
}

/// To delete it would take what arrives meanwhile, or what lies below it.
#[test]
fn a_mailbox_that_cannot_be_deleted_is_emptied() {
    let mut w = with_a();
    w.remote.inner.borrow_mut().stuck.insert(mb("A"));
    drop_box(&mut w, Side::Local);
    let report = w.sync_ok();
    assert!(
        report.notes[0].contains("messages are deleted, and it stays: it cannot be renamed"),
        "{:?}",
        report.notes
    );
    assert_eq!(
        (
            report.counts.deleted_remote,
            report.counts.mailboxes_deleted_remote
        ),
        (1, 0)
    );
    assert!(w.quarantined().contains("Subject: a\r\n\r\n1"));
    assert_eq!(show(&w.local.view()), format!("A: ; {SAME}"));
    w.assert_equal_sides("it is emptied");
    w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    w.sync_ok();
    assert_eq!(show(&w.local.view()), format!(r"A: n(\Seen); {SAME}"));
}

/// A run that deleted it on the server was cut when it had another name already.
fn cut(w: &mut TwoSides) {
    drop_box(w, Side::Local);
    w.remote.rename(&mb("A"), &mb("mailtide-deleting-1-A"));
}

#[test]
fn a_mailbox_that_was_being_deleted_gets_its_name_back() {
    // Where that is refused once, it comes under the name that it has, and then gets its own.
    let want = format!(r"{SAME} || A: a(\Seen); {SAME}");
    row("deleted again", with_a, cut, &want);
    let arrived = |w: &mut TwoSides| {
        cut(w);
        let name = mb("mailtide-deleting-1-A");
        w.remote.add(&name, b"Subject: n\r\n\r\n1", seen());
    };
    let want = format!(r"A: a(\Seen) n(\Seen); {SAME}");
    row("it holds new mail", with_a, arrived, &want);
    let stuck = |w: &mut TwoSides| {
        cut(w);
        let mut inner = w.remote.inner.borrow_mut();
        inner.stuck.insert(mb("mailtide-deleting-1-A"));
    };
    let want = format!(r"{SAME}; mailtide-deleting-1-A: a(\Seen)");
    row("it cannot be renamed", with_a, stuck, &want);
    let taken = |w: &mut TwoSides| {
        cut(w);
        w.remote.create(&mb("A"));
    };
    let want = format!(r"A: ; {SAME}; mailtide-deleting-1-A: a(\Seen)");
    row("its name is taken", with_a, taken, &want);
}

#[test]
fn what_became_of_mailboxes_is_counted() {
    for side in Side::BOTH {
        let mut w = with_a();
        drop_box(&mut w, side);
        let report = w.sync_ok();
        let (here, there) = (
            report.counts.mailboxes_deleted_local,
            report.counts.mailboxes_deleted_remote,
        );
        let want = match side {
            Side::Local => (0, 1),
            Side::Remote => (1, 0),
        };
        assert_eq!((here, there), want, "deleted on the {side} side");
    }
}

#[test]
fn deleted_bytes_are_kept() {
    for side in [Side::Remote, Side::Local] {
        let mut w = with_a();
        drop_box(&mut w, side);
        gone(&mut w, side);
        let report = w.sync_ok();
        // What was deleted here is fetched before it goes there.
        let fetched = match side {
            Side::Local => (BODY.len() + b"Subject: a\r\n\r\n1".len()) as u64,
            Side::Remote => 0,
        };
        assert_eq!(report.counts.bytes_down, fetched, "{side}");
        let kept = w.quarantined();
        assert!(kept.contains("Subject: a\r\n\r\n1"), "{side}: {kept:?}");
        assert!(
            kept.contains("Subject: msg\r\n\r\nmsg\r\n"),
            "{side}: {kept:?}"
        );
    }
}

#[test]
fn f19_no_inbox_changes_nothing() {
    let mut w = with_a();
    w.remote.inner.borrow_mut().boxes.clear();
    let report = w.sync();
    assert!(
        report.errors[0].text.contains("lists no INBOX"),
        "{:?}",
        report.errors
    );
    assert_eq!(show(&w.local.view()), format!(r"A: a(\Seen); {SAME}"));
}

#[test]
fn f20_a_mailbox_that_cannot_be_opened_holds_only_itself() {
    let mut w = with_a();
    w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    let uid_validity = w.remote.inner.borrow().boxes[&mb("A")].uid_validity;
    let key = w.state.mailboxes().unwrap()[&mb("A")];
    assert!(key.0 > 0 && uid_validity > 0);
    blind(&mut w, Side::Remote);
    gone(&mut w, Side::Remote);
    let report = w.sync();
    assert!(
        report.errors[0].text.contains("changed during the sync"),
        "{:?}",
        report.errors
    );
    assert_eq!(
        show(&w.remote.view()),
        r"A: a(\Seen) n(\Seen); INBOX: other()"
    );
    assert_eq!(
        show(&w.local.view()),
        format!(r"A: a(\Seen) n(\Seen); {SAME}")
    );
}

#[test]
fn what_the_server_passes_over_is_not_expunged() {
    let mut w = with_a();
    for body in [BODY, b"Subject: a\r\n\r\n1"] {
        w.remote.inner.borrow_mut().mute.insert(body.to_vec());
    }
    gone(&mut w, Side::Local);
    drop_box(&mut w, Side::Local);
    let report = w.sync();
    assert_eq!(show(&w.remote.view()), format!(r"A: a(\Seen); {SAME}"));
    assert!(!report.ok(), "{report:?}");
    w.remote.inner.borrow_mut().mute.clear();
    w.sync_ok();
    assert_eq!(show(&w.remote.view()), "INBOX: other()");
    assert!(w.quarantined().contains("Subject: a\r\n\r\n1"));
}

#[test]
fn a_mailbox_goes_although_one_of_its_messages_went_before() {
    let mut w = with_a();
    w.remote.add(&mb("A"), b"Subject: b\r\n\r\n2", seen());
    w.sync_ok();
    drop_box(&mut w, Side::Local);
    let first = w.remote.ids(&mb("A"))[0];
    w.remote.delete(&mb("A"), &first);
    w.sync_ok();
    assert_eq!(show(&w.remote.view()), SAME);
}

/// Names of files tell of which mailbox they are: the one that the state knows.
#[test]
fn what_is_made_again_has_the_number_that_it_had() {
    use crate::support::memory::MemoryId;
    let mut w = with_a();
    w.local.inner.borrow_mut().boxes.remove(&mb("A"));
    w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    w.sync_ok();
    let key = w.state.mailboxes().unwrap()[&mb("A")];
    let tag = w.state.base(key).unwrap().tag;
    let files = w.local.ids(&mb("A"));
    assert_eq!(files.len(), 2);
    for file in files {
        assert_eq!(file.origin().unwrap().mailbox, tag, "{file}");
    }
}

/// And what the disk calls it is noted at once: it may be renamed before the next run.
#[test]
fn what_is_made_again_is_known_when_it_is_renamed() {
    let mut w = with_a();
    w.local.inner.borrow_mut().boxes.remove(&mb("A"));
    w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    w.sync_ok();
    w.local.rename(&mb("A"), &mb("B"));
    let report = w.sync_ok();
    assert_eq!(report.counts.mailboxes_renamed_remote, 1, "{report:?}");
    assert_eq!(report.counts.moved_remote, 0, "{report:?}");
}
