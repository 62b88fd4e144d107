//! Uploads that were cut when the server had stored them already, and whose message another device
//! moved on before the next run.

use super::mailboxes::with_a;
use super::*;

pub(super) const NEW: &[u8] = b"Subject: n\r\n\r\n1";

/// A file in INBOX of which an upload was begun, and its last byte has left.
pub(super) fn in_doubt(w: &mut TwoSides) -> MaildirId {
    let file = w.local.add(&inbox(), NEW, Flags::default());
    note(w, &inbox(), &file);
    file
}

pub(super) fn note(w: &mut TwoSides, name: &MailboxName, file: &MaildirId) {
    let key = *w.state.mailboxes().unwrap().get(name).unwrap();
    let above = w.remote.inner.borrow().boxes[name].next - 1;
    let files = std::slice::from_ref(file);
    let now = w.now.get();
    w.state.begin_uploads(key, files, above, now).unwrap();
    w.state.commit_uploads(key, now).unwrap();
}

/// A UID of INBOX that goes by, and is not that of the upload.
pub(super) fn another_went_by(w: &mut TwoSides) {
    let uid = w
        .remote
        .add(&inbox(), b"Subject: o\r\n\r\n", Flags::default());
    w.remote.delete(&inbox(), &uid);
}

/// One that arrived.
pub(super) fn arrived() -> TwoSides {
    let mut w = with_a();
    in_doubt(&mut w);
    w.remote.add(&inbox(), NEW, Flags::default());
    w
}

/// Another device moves it to A.
pub(super) fn moved(w: &mut TwoSides) {
    moved_to(w, "A");
}

pub(super) fn moved_to(w: &mut TwoSides, to: &str) {
    let all = w.remote.inner.borrow().boxes[&inbox()].messages.clone();
    let (uid, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
    w.remote.shift(&inbox(), uid, &mb(to));
}

#[test]
fn moved_there_after_it_arrived() {
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
    row("arrived, moved there", arrived, moved, want);
    let slow = || {
        let w = arrived();
        w.remote.inner.borrow_mut().deltas = false;
        w.local.inner.borrow_mut().deltas = false;
        w
    };
    row("arrived, moved there, all is listed", slow, moved, want);
    let new = |w: &mut TwoSides| {
        w.remote.create(&mb("B"));
        moved_to(w, "B");
    };
    let want = r"A: a(\Seen); B: n(); INBOX: msg(\Seen) other()";
    row("moved there to a mailbox that is new", arrived, new, want);
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
    let empty = || {
        let mut w = with_a();
        w.remote.create(&mb("E"));
        w.sync_ok();
        let file = w.local.add(&mb("E"), NEW, Flags::default());
        note(&mut w, &mb("E"), &file);
        let uid = w.remote.add(&mb("E"), NEW, Flags::default());
        w.remote.shift(&mb("E"), &uid, &mb("A"));
        w
    };
    let from_empty = r"A: a(\Seen) n(); E: ; INBOX: msg(\Seen) other()";
    row("out of a mailbox that was empty", empty, |_| {}, from_empty);
    let named = || {
        let w = arrived();
        w.remote.inner.borrow_mut().objects = true;
        w
    };
    row("arrived, moved there, it has an id", named, moved, want);
}

#[test]
fn what_was_flagged_meanwhile_stays_so_on_both_sides() {
    let flagged = |w: &mut TwoSides| {
        let all = w.remote.inner.borrow().boxes[&inbox()].messages.clone();
        let (uid, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.remote.edit(&inbox(), uid, |flags| *flags = seen());
        moved(w);
        let all = w.local.inner.borrow().boxes[&inbox()].messages.clone();
        let (file, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        let flagged = Flags::of(&[SystemFlag::Flagged]);
        w.local
            .edit(&inbox(), file, |flags| *flags = flagged.clone());
    };
    let want = r"A: a(\Seen) n(\Flagged \Seen); INBOX: msg(\Seen) other()";
    row("arrived, flagged, moved there", arrived, flagged, want);
}

#[test]
fn it_never_arrived_and_an_equal_one_came_elsewhere() {
    let lost = || {
        let mut w = with_a();
        in_doubt(&mut w);
        w
    };
    let came = |w: &mut TwoSides| {
        w.remote.add(&mb("A"), NEW, Flags::default());
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    row("no UID went by", lost, came, want);
}

#[test]
fn it_arrived_and_stays_and_an_equal_one_came_elsewhere() {
    let came = |w: &mut TwoSides| {
        w.remote.add(&mb("A"), NEW, Flags::default());
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    row("it stays", arrived, came, want);
    // A UID went by, but the upload is there.
    let passed_by = |w: &mut TwoSides| {
        another_went_by(w);
        w.remote.add(&mb("A"), NEW, Flags::default());
    };
    row("it stays, another went by", arrived, passed_by, want);
    let mut w = arrived();
    passed_by(&mut w);
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.downloaded, report.counts.moved_local),
        (1, 0)
    );
}

/// Servers end the last line, mail readers note what they did in the header.
#[test]
fn what_is_added_to_it_makes_no_other_message() {
    let (plain, noted) = ("Subject: n\r\n\r\n1", "Subject: n\r\nStatus: RO\r\n\r\n1");
    let ended = |body: &str| format!("{body}\r\n");
    for (here, there) in [
        (plain, ended(plain)),
        (noted, noted.to_owned()),
        (noted, ended(noted)),
        (noted, plain.to_owned()),
        (noted, ended(plain)),
    ] {
        let mut w = with_a();
        let file = w.local.add(&inbox(), here.as_bytes(), Flags::default());
        note(&mut w, &inbox(), &file);
        let uid = w.remote.add(&inbox(), there.as_bytes(), Flags::default());
        w.remote.shift(&inbox(), &uid, &mb("A"));
        let report = w.sync_ok();
        assert_eq!(report.counts.uploaded, 0, "{here:?} is {there:?} there");
        let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
        assert_eq!(show(&w.remote.view()), want);
        assert_eq!(show(&w.local.view()), want);
    }
}

/// What is new elsewhere may be copies of a pair of the same content: as many as there are.
#[test]
fn copies_of_a_pair_that_stays_are_not_it() {
    let pair = || {
        let mut w = with_a();
        w.remote.create(&mb("B"));
        w.remote.add(&mb("B"), NEW, Flags::default());
        w.sync_ok();
        in_doubt(&mut w);
        w
    };
    fn copied(w: &mut TwoSides) {
        another_went_by(w);
        for _ in 0..2 {
            w.remote.add(&mb("A"), NEW, Flags::default());
        }
    }
    let want = r"A: a(\Seen) n() n(); B: n(); INBOX: msg(\Seen) n() other()";
    row("copied twice", pair, copied, want);
    let looked_at = |w: &mut TwoSides| {
        copied(w);
        let uid = w.remote.ids(&mb("B"))[0];
        w.remote.edit(&mb("B"), &uid, |flags| *flags = seen());
    };
    let want = r"A: a(\Seen) n() n(); B: n(\Seen); INBOX: msg(\Seen) n() other()";
    row("copied twice, and flagged", pair, looked_at, want);
}

#[test]
fn two_files_of_one_content_and_one_of_them_arrived() {
    let two = || {
        let mut w = with_a();
        let file = w.local.add(&mb("A"), NEW, Flags::default());
        note(&mut w, &mb("A"), &file);
        in_doubt(&mut w);
        w
    };
    let one = |w: &mut TwoSides| {
        another_went_by(w);
        w.remote.add(&mb("A"), NEW, Flags::default());
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    row("the other one is the one in A", two, one, want);
}

#[test]
fn what_a_pair_of_the_same_content_left_is_not_it() {
    let twice = || {
        let mut w = with_a();
        w.remote.create(&mb("B"));
        w.local.add(&mb("A"), NEW, Flags::default());
        w.sync_ok();
        in_doubt(&mut w);
        w
    };
    let moved = |w: &mut TwoSides| {
        another_went_by(w);
        let all = w.remote.inner.borrow().boxes[&mb("A")].messages.clone();
        let (uid, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.remote.shift(&mb("A"), uid, &mb("B"));
    };
    let want = r"A: a(\Seen); B: n(); INBOX: msg(\Seen) n() other()";
    row("another was moved", twice, moved, want);
}

#[test]
fn two_that_arrived_and_were_moved_to_two_mailboxes() {
    let two = || {
        let mut w = with_a();
        w.remote.create(&mb("B"));
        w.sync_ok();
        in_doubt(&mut w);
        in_doubt(&mut w);
        for _ in 0..2 {
            w.remote.add(&inbox(), NEW, Flags::default());
        }
        w
    };
    let both = |w: &mut TwoSides| {
        moved_to(w, "A");
        moved_to(w, "B");
    };
    let want = r"A: a(\Seen) n(); B: n(); INBOX: msg(\Seen) other()";
    row("two arrived, both moved there", two, both, want);
    let want = r"A: a(\Seen) n(); B: ; INBOX: msg(\Seen) n() other()";
    row("two arrived, one moved there", two, moved, want);
}

#[test]
fn deleted_there_after_it_arrived() {
    // It never was on both sides: it comes back.
    let deleted = |w: &mut TwoSides| {
        let all = w.remote.inner.borrow().boxes[&inbox()].messages.clone();
        let (uid, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.remote.delete(&inbox(), uid);
    };
    let want = r"A: a(\Seen); INBOX: msg(\Seen) n() other()";
    row("arrived, deleted there", arrived, deleted, want);
}

#[test]
fn numbered_anew_and_nothing_went_by() {
    let came = |w: &mut TwoSides| {
        w.remote.renumber(&inbox(), 100);
        w.remote.add(&mb("A"), NEW, Flags::default());
    };
    let lost = || {
        let mut w = with_a();
        in_doubt(&mut w);
        w
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    row("UIDVALIDITY changed", lost, came, want);
}

#[test]
fn where_it_may_lie_in_what_cannot_be_read_it_waits() {
    for dry_run in [false, true] {
        let mut w = arrived();
        moved(&mut w);
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .get_mut(&mb("A"))
            .unwrap()
            .deaf = true;
        w.options.dry_run = dry_run;
        let report = w.sync();
        assert!(!report.ok(), "A cannot be looked into");
        let there = w.remote.inner.borrow().boxes[&inbox()].messages.clone();
        let equal = there.values().filter(|m| m.body == NEW).count();
        assert_eq!(equal, 0, "not uploaded again");
        if let Some(plan) = report.plan {
            assert!(plan.messages.is_empty(), "{plan:?}");
        }
        w.options.dry_run = false;
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .get_mut(&mb("A"))
            .unwrap()
            .deaf = false;
        w.sync_ok();
        let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
        assert_eq!(show(&w.remote.view()), want);
        w.assert_equal_sides("it was moved");
    }
}

#[test]
fn a_file_that_cannot_be_read_now_makes_what_is_new_there_wait() {
    let mut w = arrived();
    moved(&mut w);
    w.local
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&inbox())
        .unwrap()
        .deaf = true;
    w.sync();
    assert_eq!(w.local.ids(&mb("A")).len(), 1, "not fetched");
    // A file that can never be read again stops nobody for ever.
    w.now.set(w.now.get() + 3601);
    w.sync();
    assert_eq!(w.local.ids(&mb("A")).len(), 2, "fetched");
}

#[test]
fn a_server_that_claims_that_four_billion_uids_went_by() {
    let lost = || {
        let mut w = with_a();
        in_doubt(&mut w);
        w
    };
    let claims = |w: &mut TwoSides| {
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .get_mut(&inbox())
            .unwrap()
            .next = u32::MAX - 100;
    };
    let want = r"A: a(\Seen); INBOX: msg(\Seen) n() other()";
    row("UIDNEXT jumped", lost, claims, want);
}

/// Its mailbox is gone here, and comes back for what is new in it (simulator, seed 90550).
#[test]
fn its_mailbox_is_gone_here_and_comes_back() {
    let sent = || {
        let mut w = with_a();
        let file = w.local.add(&mb("A"), NEW, Flags::default());
        note(&mut w, &mb("A"), &file);
        w
    };
    let gone = |w: &mut TwoSides| {
        w.local.inner.borrow_mut().boxes.remove(&mb("A"));
        let uid = uid(w);
        w.remote.shift(&inbox(), &uid, &mb("A"));
    };
    let want = r"A: a(\Seen) msg(\Seen); INBOX: other()";
    row("gone here, moved into it there", sent, gone, want);
}
