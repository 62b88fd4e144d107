//! A mailbox that is gone on one side holds, on the other, messages that the base does not pair:
//! set aside, kept by a policy, edited. None of them goes with it.

use super::mailboxes::with_a;
use super::*;
use mailtide::state::HeldRow;

const LONE: &[u8] = b"Subject: n\r\n\r\n1";

fn drop_box(w: &mut TwoSides, side: Side) {
    match side {
        Side::Remote => drop(w.remote.inner.borrow_mut().boxes.remove(&mb("A"))),
        Side::Local => drop(w.local.inner.borrow_mut().boxes.remove(&mb("A"))),
    }
}

fn gone_here(w: &mut TwoSides) {
    drop_box(w, Side::Local);
}

fn gone_there(w: &mut TwoSides) {
    drop_box(w, Side::Remote);
}

/// A holds `a` and `n`, both paired; `n` was deleted on one side, which does not travel.
fn kept_on(side: Side, direction: Direction) -> TwoSides {
    let mut w = with_a();
    w.remote.add(&mb("A"), LONE, seen());
    w.sync_ok();
    w.policy.direction = direction;
    w.policy.delete = match direction {
        Direction::Both if side == Side::Remote => Travel::Local,
        Direction::Both => Travel::Remote,
        Direction::Pull | Direction::Push => Travel::None,
    };
    w.policy.delete_mailboxes = w.policy.delete;
    match side {
        Side::Remote => {
            let n = w.local.ids(&mb("A"));
            w.local.delete(&mb("A"), &n[1]);
        }
        Side::Local => {
            let n = w.remote.ids(&mb("A"));
            w.remote.delete(&mb("A"), &n[1]);
        }
    }
    w.sync_ok();
    w
}

fn travelling(mut w: TwoSides) -> TwoSides {
    w.policy.delete_mailboxes = Travel::Both;
    w
}

fn by_default(mut w: TwoSides) -> TwoSides {
    w.policy = Default::default();
    w
}

#[test]
fn what_a_policy_keeps_there_outlives_its_mailbox() {
    let want = format!(r"A: a(\Seen) n(\Seen); {SAME} | A: a(\Seen); {SAME}");
    let kept = || kept_on(Side::Remote, Direction::Both);
    row("kept there", kept, gone_here, &want);
    let kept = || travelling(kept_on(Side::Remote, Direction::Both));
    row("mailboxes travel", kept, gone_here, &want);
    let kept = || by_default(kept_on(Side::Remote, Direction::Both));
    row("another policy by now", kept, gone_here, &want);
}

#[test]
fn what_a_policy_keeps_here_outlives_its_mailbox() {
    let want = format!(r"A: a(\Seen); {SAME} | A: a(\Seen) n(\Seen); {SAME}");
    let kept = || kept_on(Side::Local, Direction::Both);
    row("kept here", kept, gone_there, &want);
    let kept = || travelling(kept_on(Side::Local, Direction::Both));
    row("mailboxes travel", kept, gone_there, &want);
    let kept = || by_default(kept_on(Side::Local, Direction::Both));
    row("another policy by now", kept, gone_there, &want);
    let kept = || kept_on(Side::Local, Direction::Push);
    row("a copy on the server", kept, gone_there, &want);
}

#[test]
fn an_archive_outlives_the_mailbox_on_the_server() {
    let want = format!(r"{SAME} | A: a(\Seen) n(\Seen); {SAME}");
    let kept = || kept_on(Side::Local, Direction::Pull);
    row("archive", kept, gone_there, &want);
    // The mailbox may go, but not what is kept in it; and nothing is made there.
    let kept = || travelling(kept_on(Side::Local, Direction::Pull));
    row("mailboxes travel", kept, gone_there, &want);
    let mut w = kept_on(Side::Local, Direction::Pull);
    gone_there(&mut w);
    let report = w.sync_ok();
    let note = "A is gone on remote; on local it stays, with its mail";
    assert!(report.notes.iter().any(|n| n == note), "{:?}", report.notes);
}

/// Mail that arrives where nothing may be created on the server.
#[test]
fn new_mail_in_an_archive_creates_no_mailbox_on_the_server() {
    let archive = || {
        let mut w = with_a();
        w.policy.direction = Direction::Pull;
        w
    };
    let arrives = |w: &mut TwoSides| {
        w.local.add(&mb("A"), LONE, seen());
        gone_there(w);
    };
    let want = format!(r"{SAME} | A: a(\Seen) n(\Seen); {SAME}");
    row("new here", archive, arrives, &want);
}

#[test]
fn what_is_marked_deleted_outlives_its_mailbox() {
    let marked = || {
        let mut w = with_a();
        w.remote
            .add(&mb("A"), LONE, Flags::of(&[SystemFlag::Deleted]));
        w.sync_ok();
        w
    };
    let want = format!(r"A: a(\Seen) n(\Deleted); {SAME} | A: a(\Seen); {SAME}");
    row("set aside before", marked, gone_here, &want);
    let at_once = |w: &mut TwoSides| {
        let mark = Flags::of(&[SystemFlag::Deleted]);
        w.remote.add(&mb("A"), LONE, mark);
        gone_here(w);
    };
    row("marked and new", with_a, at_once, &want);
    let here = |w: &mut TwoSides| {
        let mark = Flags::of(&[SystemFlag::Deleted]);
        w.local.add(&mb("A"), LONE, mark);
        gone_there(w);
    };
    let want = format!(r"A: a(\Seen); {SAME} | A: a(\Seen) n(\Deleted); {SAME}");
    row("marked here", with_a, here, &want);
}

fn refused(by: Side) -> TwoSides {
    let mut w = with_a();
    match by {
        Side::Remote => {
            w.remote.inner.borrow_mut().refuses.insert(LONE.to_vec());
            w.local.add(&mb("A"), LONE, seen());
        }
        Side::Local => {
            w.local.inner.borrow_mut().refuses.insert(LONE.to_vec());
            w.remote.add(&mb("A"), LONE, seen());
        }
    }
    w.sync();
    w
}

#[test]
fn what_a_side_refuses_outlives_its_mailbox() {
    let want = format!(r"A: a(\Seen) n(\Seen); {SAME} | A: a(\Seen); {SAME}");
    row("by the disk", || refused(Side::Local), gone_here, &want);
    let want = format!(r"A: a(\Seen); {SAME} | A: a(\Seen) n(\Seen); {SAME}");
    row("by the server", || refused(Side::Remote), gone_there, &want);
}

/// A body that the server does not give lies nowhere else.
#[test]
fn what_cannot_be_read_outlives_its_mailbox() {
    let unreadable = || {
        let mut w = with_a();
        w.remote.add(&mb("A"), LONE, seen());
        w.remote.inner.borrow_mut().mute.insert(LONE.to_vec());
        w.sync();
        w
    };
    let mut w = unreadable();
    gone_here(&mut w);
    w.sync();
    w.sync();
    let want = format!(r"A: a(\Seen) n(\Seen); {SAME}");
    assert_eq!(show(&w.remote.view()), want);
}

/// Under its name lies another content than the one that both sides had.
#[test]
fn a_file_that_was_edited_outlives_its_mailbox() {
    let edited = |w: &mut TwoSides| {
        let a = w.local.ids(&mb("A"))[0].clone();
        w.local.change(&mb("A"), &a, |m| {
            m.body = b"Subject: edited\r\n\r\n1".to_vec();
            m.edited = true;
        });
        gone_there(w);
    };
    let want = format!(r"A: edited(\Seen); {SAME}");
    row("edited", with_a, edited, &want);
    let overwritten = |w: &mut TwoSides| {
        let a = w.local.ids(&mb("A"))[0].clone();
        let body = w.local.inner.borrow().boxes[&mb("A")].messages[&a]
            .body
            .clone();
        let edited = String::from_utf8(body)
            .unwrap()
            .replace("Subject: a", "Subject: A");
        w.local.overwrite(&mb("A"), &a, edited.as_bytes());
        gone_there(w);
    };
    let want = format!(r"A: A(\Seen); {SAME}");
    row("edited, equal length", with_a, overwritten, &want);
}

/// What we deleted ourselves, on a server that only marks, is no reason to keep a mailbox.
#[test]
fn what_we_marked_ourselves_goes_with_its_mailbox() {
    let prepare = || {
        let mut w = with_a();
        w.remote.inner.borrow_mut().marks = true;
        w.remote.add(&mb("A"), LONE, seen());
        w.sync_ok();
        let n = w.local.ids(&mb("A"))[1].clone();
        w.local.delete(&mb("A"), &n);
        w.sync_ok();
        w
    };
    row("marked by us", prepare, gone_here, SAME);
    let mut w = prepare();
    w.local.inner.borrow_mut().quarantine.clear();
    gone_here(&mut w);
    w.sync_ok();
    assert!(w.quarantined().contains("Subject: n\r\n\r\n1"));
    // Another device took the mark off: it is wanted.
    let wanted = |w: &mut TwoSides| {
        let n = w.remote.ids(&mb("A"))[1];
        w.remote.edit(&mb("A"), &n, |flags| *flags = seen());
        gone_here(w);
    };
    let want = format!(r"A: a(\Seen) n(\Seen); {SAME}");
    row("unmarked", prepare, wanted, &want);
}

/// The same UIDs in another UIDVALIDITY are other messages.
#[test]
fn a_mailbox_that_was_made_again_there_comes_here() {
    let again = |w: &mut TwoSides| {
        gone_here(w);
        gone_there(w);
        w.remote.create(&mb("A"));
        w.remote.add(&mb("A"), LONE, seen());
    };
    row(
        "made again",
        with_a,
        again,
        &format!(r"A: n(\Seen); {SAME}"),
    );
}

/// What lies below it and is kept stays below it; it is emptied.
#[test]
fn a_mailbox_goes_though_one_below_it_stays() {
    let prepare = || {
        let mut w = with_a();
        w.remote.create(&mb("A/B"));
        w.remote.add(&mb("A/B"), b"Subject: b\r\n\r\n2", seen());
        w.remote
            .add(&mb("A/B"), LONE, Flags::of(&[SystemFlag::Deleted]));
        w.sync_ok();
        w
    };
    let both = |w: &mut TwoSides| {
        gone_here(w);
        w.local.inner.borrow_mut().boxes.remove(&mb("A/B"));
    };
    let want = format!(r"A/B: b(\Seen) n(\Deleted); {SAME} | A/B: b(\Seen); {SAME}");
    row("below", prepare, both, &want);
}

/// What stays set aside is known by a UID, and a UID holds in one UIDVALIDITY.
#[test]
fn what_is_kept_there_is_new_in_another_uidvalidity() {
    let kept = || kept_on(Side::Remote, Direction::Both);
    let other = |w: &mut TwoSides| {
        w.remote.renumber(&mb("A"), 3);
        gone_here(w);
    };
    let want = format!(r"A: a(\Seen) n(\Seen); {SAME}");
    row("renumbered", kept, other, &want);
}

/// The guard counts what lies in the mailbox, not what the base knows of it.
#[test]
fn what_lies_in_a_mailbox_that_would_go_is_counted() {
    for side in Side::BOTH {
        let mut w = with_a();
        for n in 0..14 {
            let body = format!("Subject: m{n}\r\n\r\n{n}");
            w.remote.add(&mb("A"), body.as_bytes(), seen());
        }
        w.sync_ok();
        let (uid, file) = (w.remote.ids(&mb("A"))[0], w.local.ids(&mb("A"))[0].clone());
        match side {
            Side::Remote => w.local.delete(&mb("A"), &file),
            Side::Local => w.remote.delete(&mb("A"), &uid),
        }
        drop_box(&mut w, side);
        w.sync();
        let held: Vec<HeldRow> = w.state.held().unwrap();
        let want = format!("delete mailbox A with 14 messages on {}", side.other());
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!(held[0].lines, want);
    }
}
