//! Messages that the base does not know, what is refused, what does not travel.

use super::*;
use mailtide::state::Checkpoint;

#[test]
fn rows_38_to_41_new_messages() {
    let here = |w: &mut TwoSides| drop(w.local.add(&inbox(), b"Subject: n\r\n\r\n1", seen()));
    row(
        "38 new,-",
        base,
        here,
        r"INBOX: msg(\Seen) n(\Seen) other()",
    );
    let there = |w: &mut TwoSides| {
        w.remote.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
    };
    row(
        "39 -,new",
        base,
        there,
        r"INBOX: msg(\Seen) n(\Seen) other()",
    );
    let same = |w: &mut TwoSides| {
        w.local.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
        w.remote
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Answered]));
    };
    row(
        "40 new,new same",
        base,
        same,
        r"INBOX: msg(\Seen) n(\Answered \Seen) other()",
    );
    let other = |w: &mut TwoSides| {
        w.local
            .add(&inbox(), b"Subject: n\r\nMessage-ID: <1>\r\n\r\n1", seen());
        w.remote
            .add(&inbox(), b"Subject: n\r\nMessage-ID: <1>\r\n\r\n2", seen());
    };
    row(
        "41 same Message-ID",
        base,
        other,
        r"INBOX: msg(\Seen) n(\Seen) n(\Seen) other()",
    );
}

#[test]
fn rows_42_and_43_identical_messages() {
    let act = |w: &mut TwoSides| {
        for _ in 0..3 {
            w.local
                .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
        }
        for _ in 0..2 {
            w.remote
                .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
        }
    };
    row(
        "42 k and m",
        base,
        act,
        r"INBOX: msg(\Seen) n() n() n() other()",
    );
    // Same header, same size, same beginning; other content at the end.
    let act = |w: &mut TwoSides| {
        let body = |end: &str| format!("Subject: n\r\n\r\n{}{end}", "x".repeat(600)).into_bytes();
        for end in ["1", "2"] {
            w.local.add(&inbox(), &body(end), Flags::default());
        }
        for end in ["2", "3"] {
            w.remote.add(&inbox(), &body(end), Flags::default());
        }
    };
    row(
        "43 evidence not unique",
        base,
        act,
        r"INBOX: msg(\Seen) n() n() n() other()",
    );
}

#[test]
fn rows_44_to_46_not_copied() {
    let dead = Flags::of(&[Deleted]);
    assert!(!dead.is_empty());
    let here = |w: &mut TwoSides| {
        w.local
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Deleted]));
    };
    let want = r"INBOX: msg(\Seen) other() | INBOX: msg(\Seen) n(\Deleted) other()";
    row("44 new with T", base, here, want);
    let there = |w: &mut TwoSides| {
        w.remote
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Deleted]));
    };
    let want = r"INBOX: msg(\Seen) n(\Deleted) other() | INBOX: msg(\Seen) other()";
    row("45 new with \\Deleted", base, there, want);
    let undeleted = || {
        let mut w = base();
        let id = w
            .remote
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Deleted]));
        w.sync_ok();
        w.remote
            .edit(&inbox(), &id, |flags| *flags = Flags::default());
        w
    };
    row(
        "45 undeleted",
        undeleted,
        |_| {},
        r"INBOX: msg(\Seen) n() other()",
    );
    let poison = |w: &mut TwoSides| {
        let body = b"Subject: bad\r\n\r\n1".to_vec();
        w.remote.inner.borrow_mut().refuses.insert(body.clone());
        w.local.add(&inbox(), &body, Flags::default());
        w.local
            .add(&inbox(), b"Subject: good\r\n\r\n1", Flags::default());
    };
    let want = r"INBOX: good() msg(\Seen) other() | INBOX: bad() good() msg(\Seen) other()";
    row("46 poison", base, poison, want);
}

#[test]
fn row_46_refused_messages_are_tried_again_later() {
    let mut w = base();
    let body = b"Subject: bad\r\n\r\n1".to_vec();
    w.remote.inner.borrow_mut().refuses.insert(body.clone());
    w.local.add(&inbox(), &body, Flags::default());
    assert_eq!(w.sync().errors.len(), 1);
    w.remote.inner.borrow_mut().refuses.clear();
    let second = w.sync();
    assert_eq!(
        (second.counts.uploaded, second.errors.len()),
        (0, 1),
        "not before its time, but named"
    );
    w.now.set(w.now.get() + 3601);
    assert_eq!(w.sync_ok().counts.uploaded, 1);
    w.assert_equal_sides("retried");
}

#[test]
fn a_lost_append_reply_doubles_nothing() {
    for tells in [true, false] {
        let mut w = base();
        w.remote.inner.borrow_mut().tells = tells;
        w.remote.inner.borrow_mut().lose_reply = true;
        w.local
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
        let report = w.sync();
        assert!(
            report.errors[0].text.contains("connection lost"),
            "{:?}",
            report.errors
        );
        w.sync_ok();
        assert_eq!(show(&w.remote.view()), r"INBOX: msg(\Seen) n() other()");
        w.assert_equal_sides("after a lost reply");
    }
}

#[test]
fn an_upload_in_doubt_waits_before_it_is_sent_again() {
    let mut w = base();
    let f = w
        .local
        .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
    let key = *w.state.mailboxes().unwrap().get(&inbox()).unwrap();
    w.state.begin_uploads(key, &[f], 9, w.now.get()).unwrap();
    w.state.commit_uploads(key, w.now.get()).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(w.sync_ok().counts.uploaded, 1);
    assert!(
        began.elapsed().as_secs() < 5,
        "paused time does not really wait"
    );
    w.assert_equal_sides("sent again after the grace");
}

/// The clock was put back by an hour meanwhile: it waits no longer than otherwise.
#[test]
fn an_upload_in_doubt_waits_no_longer_when_the_clock_was_put_back() {
    let steps = [0, 3600].map(|ahead| {
        let mut w = base();
        let f = w
            .local
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
        let key = *w.state.mailboxes().unwrap().get(&inbox()).unwrap();
        let at = w.now.get() + ahead;
        w.state.begin_uploads(key, &[f], 9, at).unwrap();
        w.state.commit_uploads(key, at).unwrap();
        let (rows, before) = (w.state.writes(), w.fuse.borrow().steps);
        w.options.dry_run = true;
        w.sync();
        assert_eq!(w.state.writes(), rows, "a dry run wrote");
        w.options.dry_run = false;
        assert_eq!(w.sync_ok().counts.uploaded, 1);
        w.assert_equal_sides("sent again after the grace");
        w.fuse.borrow().steps - before
    });
    assert_eq!(steps[0], steps[1]);
}

#[test]
fn a_server_without_uidplus() {
    let prepare = || {
        let w = base();
        w.remote.inner.borrow_mut().tells = false;
        w.remote.inner.borrow_mut().marks = true;
        w
    };
    let act = |w: &mut TwoSides| {
        w.local.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
        gone(w, Side::Local);
    };
    let want = r"INBOX: msg(\Deleted \Seen) n(\Seen) other() | INBOX: n(\Seen) other()";
    row("no UIDPLUS", prepare, act, want);
}

#[test]
fn directions_and_travel() {
    let pull = || {
        let mut w = base();
        w.policy.direction = Direction::Pull;
        w
    };
    let act = |w: &mut TwoSides| {
        flag(w, Some(Answered), Some(Flagged));
        w.local.add(&inbox(), b"Subject: l\r\n\r\n1", seen());
        w.remote.add(&inbox(), b"Subject: r\r\n\r\n1", seen());
    };
    let want = "INBOX: msg(\\Answered \\Seen) other() r(\\Seen) | \
                INBOX: l(\\Seen) msg(\\Answered \\Flagged \\Seen) other() r(\\Seen)";
    row("pull", pull, act, want);
    row(
        "pull, deleted here",
        pull,
        |w| gone(w, Side::Local),
        &format!("{SAME} | INBOX: other()"),
    );
    let push = || {
        let mut w = base();
        w.policy.direction = Direction::Push;
        w
    };
    let want = "INBOX: l(\\Seen) msg(\\Answered \\Flagged \\Seen) other() r(\\Seen) | \
                INBOX: l(\\Seen) msg(\\Flagged \\Seen) other()";
    row("push", push, act, want);
    let keep = || {
        let mut w = base();
        w.policy.delete = Travel::None;
        w
    };
    row(
        "delete none, here",
        keep,
        |w| gone(w, Side::Local),
        &format!("{SAME} | INBOX: other()"),
    );
    row(
        "delete none, there",
        keep,
        |w| gone(w, Side::Remote),
        &format!("INBOX: other() | {SAME}"),
    );
    let local_only = || {
        let mut w = base();
        w.policy.delete = Travel::Local;
        w
    };
    row(
        "delete local",
        local_only,
        |w| gone(w, Side::Remote),
        "INBOX: other()",
    );
}

#[test]
fn flags_one_side_cannot_store_are_kept() {
    let prepare = || {
        let w = base();
        w.remote.inner.borrow_mut().stores = FlagMask::Only(Flags::system());
        w
    };
    let act = |w: &mut TwoSides| {
        let f = file(w);
        w.local.edit(&inbox(), &f, |flags| {
            flags.insert_keyword(Keyword::new("work").unwrap());
            flags.insert(Flagged);
        });
    };
    let want = "INBOX: msg(\\Flagged \\Seen) other() | INBOX: msg(\\Flagged \\Seen work) other()";
    row("keyword not storable there", prepare, act, want);
}

#[test]
fn flags_one_side_cannot_store_do_not_keep_a_message_from_going() {
    let prepare = || {
        let mut w = base();
        w.remote.inner.borrow_mut().stores = FlagMask::Only(Flags::system());
        let f = file(&w);
        w.local.edit(&inbox(), &f, |flags| {
            flags.insert_keyword(Keyword::new("work").unwrap());
        });
        w.sync_ok();
        w
    };
    row(
        "unstorable, D,S",
        prepare,
        |w| gone(w, Side::Local),
        "INBOX: other()",
    );
    row(
        "unstorable, S,D",
        prepare,
        |w| gone(w, Side::Remote),
        "INBOX: other()",
    );
}

#[test]
fn uidvalidity_changes() {
    let act = |w: &mut TwoSides| w.remote.renumber(&inbox(), 100);
    row("1.5 re-matched", base, act, SAME);
    let mut w = base();
    w.remote.renumber(&inbox(), 3);
    let report = w.sync_ok();
    assert_eq!(
        (
            report.counts.downloaded,
            report.counts.uploaded,
            report.changes()
        ),
        (0, 0, 0)
    );
    // Overlapping numbers, and a message that the new mailbox does not have: held, not deleted. It
    // keeps its flags, also where the server does not tell what an upload became.
    for tells in [true, false] {
        let mut w = base();
        w.remote.inner.borrow_mut().tells = tells;
        w.remote.renumber(&inbox(), 0);
        gone(&mut w, Side::Remote);
        let report = w.sync();
        assert_eq!(report.held.len(), 1, "{report:?}");
        assert_eq!(report.held[0].kind.name(), "unmatched-after-uidvalidity");
        assert_eq!(show(&w.local.view()), SAME);
        let id = report.held[0].id.clone();
        assert_eq!(
            w.sync().held[0].id,
            id,
            "the same id as long as it is the same"
        );
        assert!(w.state.approve(&id).unwrap());
        assert_eq!(w.sync_ok().counts.uploaded, 1);
        w.assert_equal_sides("approved");
        assert_eq!(show(&w.local.view()), SAME);
        w.sync_idle();
    }
}

/// A run that was cut at any step of an upload, and a mail reader that moves the file on before the
/// next, or copies it under its name: the message is there once in each place.
#[test]
fn an_upload_that_was_cut_and_whose_file_was_moved_since() {
    for (copied, want) in [
        (false, r"A: msg(); INBOX: other(\Seen)"),
        (true, r"A: msg(); INBOX: msg() other(\Seen)"),
    ] {
        let ended = (0..200).any(|at| cut_and_moved(at, copied, want));
        assert!(ended, "never came to the end");
    }
}

/// Whether the run came to its end before the cut.
fn cut_and_moved(at: u32, copied: bool, want: &str) -> bool {
    let mut ended = false;
    for deltas in [true, false] {
        let mut w = TwoSides::new();
        w.remote.inner.borrow_mut().deltas = deltas;
        w.remote.add(&inbox(), OTHER, seen());
        w.remote.create(&mb("A"));
        w.sync_ok();
        let file = w.local.add(&inbox(), BODY, Flags::default());
        ended = w.sync_cut(at).ok();
        let message = w.local.inner.borrow().boxes[&inbox()].messages[&file].clone();
        w.local.shift(&inbox(), &file, &mb("A"));
        if copied {
            let mut inner = w.local.inner.borrow_mut();
            let place = inner.boxes.get_mut(&inbox()).unwrap();
            place.put_as(file, message);
        }
        w.sync_ok();
        w.assert_equal_sides(&format!("cut at {at}"));
        assert_eq!(show(&w.remote.view()), want, "cut at {at}, copied {copied}");
        w.sync_idle();
    }
    ended
}

/// A file whose upload was stored, and the answer was lost.
fn stored_and_untold() -> (TwoSides, MaildirId) {
    let mut w = base();
    let file = w.local.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
    w.remote.inner.borrow_mut().lose_reply = true;
    assert!(!w.sync().ok());
    (w, file)
}

const ONCE: &str = r"INBOX: msg(\Seen) n(\Seen) other()";

/// Whatever the time stamps of the directory say, the file is looked for.
#[test]
fn an_upload_is_found_again_where_nothing_changed_on_disk() {
    let prepare = || {
        let (mut w, _) = stored_and_untold();
        let key = w.state.mailboxes().unwrap()[&inbox()];
        let mark = w.local.inner.borrow().boxes[&inbox()].mark();
        w.state
            .leave(&[Checkpoint::on(key, Side::Local, mark)])
            .unwrap();
        w
    };
    row("stored, nothing changed", prepare, |_| {}, ONCE);
}

/// A link where the file was says nothing of it: it may come back.
#[test]
fn an_upload_waits_while_something_stands_in_its_place() {
    let obscure = |w: &TwoSides, files: &[&MaildirId]| {
        let mut inner = w.local.inner.borrow_mut();
        let obscured = files.iter().copied().cloned().collect();
        inner.boxes.get_mut(&inbox()).unwrap().obscured = obscured;
    };
    let (mut w, file) = stored_and_untold();
    obscure(&w, &[&file]);
    w.sync();
    obscure(&w, &[]);
    w.sync_ok();
    assert_eq!(show(&w.remote.view()), ONCE);
    w.assert_equal_sides("it came back");
    w.assert_no_intent("it came back");
}
