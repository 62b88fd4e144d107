//! Uploads that were cut when the server may have stored them already, and what happens to their
//! files before the next run.

use super::mailboxes::with_a;
use super::*;
use crate::support::memory::Act;

const NEW: &[u8] = b"Subject: n\r\n\r\n1";

/// A file in INBOX of which an upload was begun, and its last byte has left.
fn in_doubt(w: &mut TwoSides) -> MaildirId {
    let file = w.local.add(&inbox(), NEW, Flags::default());
    let key = *w.state.mailboxes().unwrap().get(&inbox()).unwrap();
    let above = w.remote.ids(&inbox()).last().map_or(0, |uid| uid.get());
    let files = [file.clone()];
    w.state
        .begin_uploads(key, &files, above, w.now.get())
        .unwrap();
    w.state.commit_uploads(key, w.now.get()).unwrap();
    file
}

/// One that arrived.
fn arrived() -> TwoSides {
    let mut w = with_a();
    in_doubt(&mut w);
    w.remote.add(&inbox(), NEW, Flags::default());
    w
}

/// A user moves it to A.
fn moved(w: &mut TwoSides) {
    let all = w.local.inner.borrow().boxes[&inbox()].messages.clone();
    let (file, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
    w.local.shift(&inbox(), file, &mb("A"));
}

#[test]
fn moved_here_after_it_arrived() {
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
    row("arrived, moved here", arrived, moved, want);
    let slow = || {
        let mut w = with_a();
        w.remote.inner.borrow_mut().deltas = false;
        w.local.inner.borrow_mut().deltas = false;
        in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        w
    };
    row("arrived, moved here, all is listed", slow, moved, want);
}

#[test]
fn moved_here_after_it_arrived_at_the_first_run() {
    let arrived = || {
        let mut w = TwoSides::new();
        w.remote.create(&mb("A"));
        w.sync_ok();
        in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        w
    };
    row("nothing else is known", arrived, moved, "A: n(); INBOX: ");
}

#[test]
fn what_was_flagged_meanwhile_stays_so_on_both_sides() {
    let flagged = |w: &mut TwoSides| {
        let all = w.remote.inner.borrow().boxes[&inbox()].messages.clone();
        let (uid, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.remote.edit(&inbox(), uid, |flags| *flags = seen());
        let all = w.local.inner.borrow().boxes[&inbox()].messages.clone();
        let (file, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        let flagged = Flags::of(&[SystemFlag::Flagged]);
        w.local
            .edit(&inbox(), file, |flags| *flags = flagged.clone());
        moved(w);
    };
    let want = r"A: a(\Seen) n(\Flagged \Seen); INBOX: msg(\Seen) other()";
    row("arrived, flagged, moved here", arrived, flagged, want);
}

/// The file goes to a mailbox that was looked at already, out of one that was not, or before it
/// could be read: at one step of the run or another it is seen in neither. Where both mailboxes are
/// looked into, it is seen in both.
#[test]
fn moved_here_while_it_is_looked_for() {
    let looked = r"INBOX: msg(\Seen) other()";
    moved_to("A", false, &format!(r"A: a(\Seen) n(); {looked}; Z: "));
    moved_to("Z", false, &format!(r"A: a(\Seen); {looked}; Z: n()"));
    let (to_a, to_z) = (r"A: a(\Seen) b() n()", r"A: a(\Seen) b()");
    moved_to("A", true, &format!("{to_a}; {looked}; Z: b()"));
    moved_to("Z", true, &format!("{to_z}; {looked}; Z: b() n()"));
}

fn moved_to(name: &'static str, busy: bool, want: &str) {
    for step in each_step(60) {
        let mut w = with_a();
        w.remote.create(&mb("Z"));
        w.sync_ok();
        for name in ["A", "Z"].iter().filter(|_| busy) {
            let body = b"Subject: b\r\n\r\n1";
            w.local.add(&mb(name), body, Flags::default());
        }
        let file = in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        let local = w.local.clone();
        let shift = move || drop(local.shift(&inbox(), &file, &mb(name)));
        let at = w.fuse.borrow().steps + step;
        w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(shift))));
        let mut copied = w.sync_ok().counts.downloaded;
        if w.fuse.borrow().act_at.is_some() {
            assert!(step > 10, "it never went");
            break;
        }
        copied += w.sync_ok().counts.downloaded + w.sync_ok().counts.downloaded;
        let context = format!("to {name} at step {step}, busy: {busy}");
        assert_eq!(show(&w.remote.view()), want, "{context}");
        w.assert_equal_sides(&context);
        assert_eq!(copied, 0, "{context}");
    }
}

#[test]
fn moved_here_and_it_never_arrived() {
    let lost = || {
        let mut w = with_a();
        in_doubt(&mut w);
        w
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
    row("lost, moved here", lost, moved, want);
}

#[test]
fn what_arrived_is_not_what_vanished_elsewhere() {
    let twice = || {
        let mut w = with_a();
        w.local.add(&mb("A"), NEW, Flags::default());
        w.sync_ok();
        in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        w
    };
    let deleted = |w: &mut TwoSides| {
        let all = w.local.inner.borrow().boxes[&mb("A")].messages.clone();
        let (file, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.local.delete(&mb("A"), file);
    };
    let want = r"A: a(\Seen); INBOX: msg(\Seen) n() other()";
    row("twice, one deleted here", twice, deleted, want);
    let expunged = |w: &mut TwoSides| {
        let all = w.remote.inner.borrow().boxes[&mb("A")].messages.clone();
        let (uid, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.remote.delete(&mb("A"), uid);
    };
    row("twice, one deleted there", twice, expunged, want);
}

/// The last byte of the upload arrives while the next run waits to see whether it does.
#[test]
fn moved_here_and_it_arrives_late() {
    for step in 1..=20 {
        let mut w = with_a();
        in_doubt(&mut w);
        moved(&mut w);
        let remote = w.remote.clone();
        let arrives = Act(Box::new(move || {
            remote.add(&inbox(), NEW, Flags::default());
        }));
        let at = w.fuse.borrow().steps + step;
        w.fuse.borrow_mut().act_at = Some((at, arrives));
        w.sync_ok();
        assert_eq!(
            show(&w.remote.view()),
            r"A: a(\Seen) n(); INBOX: msg(\Seen) other()",
            "step {step}"
        );
        w.assert_equal_sides("it came late");
    }
}

#[test]
fn what_was_there_before_the_upload_is_not_it() {
    let before = || {
        let mut w = with_a();
        w.remote.add(&inbox(), NEW, Flags::default());
        in_doubt(&mut w);
        w
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    row("an equal one was there", before, moved, want);
}

#[test]
fn two_equal_uploads_are_two_messages() {
    let two = || {
        let mut w = with_a();
        in_doubt(&mut w);
        in_doubt(&mut w);
        for _ in 0..2 {
            w.remote.add(&inbox(), NEW, Flags::default());
        }
        w
    };
    let both = |w: &mut TwoSides| {
        moved(w);
        moved(w);
    };
    let want = r"A: a(\Seen) n() n(); INBOX: msg(\Seen) other()";
    row("two arrived, both moved here", two, both, want);
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    row("two arrived, one moved here", two, moved, want);
}

#[test]
fn a_copy_of_the_same_name_is_no_move() {
    let copied = |w: &mut TwoSides| {
        let mut inner = w.local.inner.borrow_mut();
        let all = inner.boxes[&inbox()].messages.clone();
        let (file, message) = all.into_iter().find(|(_, m)| m.body == NEW).unwrap();
        inner.boxes.get_mut(&mb("A")).unwrap().put_as(file, message);
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    row("arrived, copied here", arrived, copied, want);
}

/// Wherever the copy comes in the order of mailboxes.
#[test]
fn a_copy_is_not_told_as_a_move() {
    for place in ["A", "Z"] {
        let mut w = with_a();
        w.remote.create(&mb("Z"));
        w.sync_ok();
        let file = in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        {
            let mut inner = w.local.inner.borrow_mut();
            let all = inner.boxes[&inbox()].messages.clone();
            let message = all[&file].clone();
            let copy = inner.boxes.get_mut(&mb(place)).unwrap();
            copy.put_as(file.clone(), message);
        }
        w.sync_ok();
        let told = w.state.history(0, u32::MAX, |_| true).unwrap();
        let told: Vec<&str> = told.iter().map(|change| change.why.as_str()).collect();
        assert!(!told.iter().any(|why| why.contains("moved")), "{told:?}");
        w.assert_equal_sides(place);
        assert_eq!(w.bodies()[NEW], 4, "two on each side");
    }
}

/// What is kept in step no more is not waited for.
#[test]
fn moved_here_out_of_a_mailbox_that_is_chosen_no_more() {
    let mut w = with_a();
    let file = in_doubt(&mut w);
    w.policy.mailboxes = vec!["!INBOX".into()];
    w.local.shift(&inbox(), &file, &mb("A"));
    w.sync_ok();
    assert_eq!(w.remote.ids(&mb("A")).len(), 2, "it is uploaded");
}

fn notes(w: &TwoSides) -> usize {
    let key = w.state.mailboxes().unwrap()[&inbox()];
    w.state.open_uploads(key).unwrap().len()
}

/// The note on an upload ends with its file, though not in a dry run.
#[test]
fn nothing_is_noted_of_a_file_that_is_gone() {
    let mut w = with_a();
    let file = in_doubt(&mut w);
    w.local.delete(&inbox(), &file);
    w.options.dry_run = true;
    let rows = w.state.writes();
    w.sync_ok();
    assert_eq!((w.state.writes(), notes(&w)), (rows, 1), "a dry run");
    w.options.dry_run = false;
    blind(&mut w, Side::Local);
    w.sync();
    assert_eq!(notes(&w), 1, "it may be there");
    set_blind(&mut w, Side::Local, false);
    w.sync_ok();
    assert_eq!(notes(&w), 0);
}

/// Two uploads are in doubt: one has arrived, and the other may yet.
#[test]
fn each_upload_is_waited_for_by_itself() {
    const OTHER_NEW: &[u8] = b"Subject: m\r\n\r\n1";
    for step in each_step(30) {
        for late in [NEW, OTHER_NEW] {
            let mut w = with_a();
            w.options.grace = 1000;
            let first = w.local.add(&inbox(), NEW, Flags::default());
            let second = w.local.add(&inbox(), OTHER_NEW, Flags::default());
            let key = w.state.mailboxes().unwrap()[&inbox()];
            let above = w.remote.inner.borrow().boxes[&inbox()].next - 1;
            let (files, now) = ([first, second], w.now.get());
            w.state.begin_uploads(key, &files, above, now).unwrap();
            w.state.commit_uploads(key, now).unwrap();
            let early = if late == NEW { OTHER_NEW } else { NEW };
            // The server added a newline, so that only its content tells.
            let stored = [early, b"\r\n"].concat();
            w.remote.add(&inbox(), &stored, Flags::default());
            let remote = w.remote.clone();
            let arrives = move || {
                remote.add(&inbox(), late, Flags::default());
            };
            let at = w.fuse.borrow().steps + step;
            w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(arrives))));
            w.sync_ok();
            w.sync_ok();
            if w.fuse.borrow().act_at.is_some() {
                continue;
            }
            w.sync_ok();
            let want = r"A: a(\Seen); INBOX: m() msg(\Seen) n() other()";
            assert_eq!(show(&w.remote.view()), want, "step {step}");
            assert_eq!(show(&w.local.view()), want, "step {step}");
        }
    }
}

#[test]
fn deleted_here_after_it_arrived() {
    let deleted = |w: &mut TwoSides| {
        let all = w.local.inner.borrow().boxes[&inbox()].messages.clone();
        let (file, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.local.delete(&inbox(), file);
    };
    // It never was on both sides.
    let want = r"A: a(\Seen); INBOX: msg(\Seen) n() other()";
    row("arrived, deleted here", arrived, deleted, want);
}

#[test]
fn moved_here_out_of_a_mailbox_that_is_gone_on_both_sides() {
    let lost = || {
        let mut w = with_a();
        w.remote.create(&mb("B"));
        w.sync_ok();
        let file = w.local.add(&mb("B"), NEW, Flags::default());
        let key = *w.state.mailboxes().unwrap().get(&mb("B")).unwrap();
        w.state.begin_uploads(key, &[file], 0, w.now.get()).unwrap();
        w.state.commit_uploads(key, w.now.get()).unwrap();
        w
    };
    let gone = |w: &mut TwoSides| {
        let file = w.local.ids(&mb("B"))[0].clone();
        w.local.shift(&mb("B"), &file, &mb("A"));
        w.local.inner.borrow_mut().boxes.remove(&mb("B"));
        w.remote.inner.borrow_mut().boxes.remove(&mb("B"));
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
    row("its mailbox is gone", lost, gone, want);
}
