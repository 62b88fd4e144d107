//! Servers that say that they stored a message, and keep nothing of it, another message, or not its
//! flags; and servers whose sizes and headers are wrong.

use super::*;
use crate::support::memory::Habit;
use mailtide::state::{AccountRecord as AccountRow, State};

const NEW: &[u8] = b"Subject: n\r\nMessage-ID: <n@x>\r\n\r\n1\r\n";
const ODD: &[u8] = b"Subject: \xc3\xa4\r\n\r\nnul \0\r\n";

/// A server of this habit, that tells UIDs or does not.
fn server(habit: Habit, tells: bool) -> TwoSides {
    let w = base();
    let mut inner = w.remote.inner.borrow_mut();
    (inner.habit, inner.tells) = (habit, tells);
    drop(inner);
    w
}

fn uploads(w: &mut TwoSides) {
    w.local.add(&inbox(), NEW, seen());
}

fn lose_state(w: &mut TwoSides) {
    w.state = State::in_memory().unwrap();
    let (uuid, config) = ("u".into(), String::new());
    w.state
        .set_account(&AccountRow { uuid, config }, 0)
        .unwrap();
}

#[test]
fn rebuilt_uploads_are_one_message_on_each_side() {
    let want = r"INBOX: msg(\Seen) other() X-Made: yes(\Seen) | INBOX: msg(\Seen) n(\Seen) other()";
    row("rebuilt", || server(Habit::Rebuilds, true), uploads, want);
    let untold = || server(Habit::Rebuilds, false);
    row("rebuilt, untold", untold, uploads, want);
}

#[test]
fn rebuilt_uploads_that_are_deleted_here_go_there() {
    for tells in [true, false] {
        let mut w = server(Habit::Rebuilds, tells);
        let file = w.local.add(&inbox(), NEW, seen());
        w.sync_ok();
        w.local.delete(&inbox(), &file);
        w.sync_ok();
        assert_eq!(show(&w.remote.view()), SAME, "tells {tells}");
        w.assert_equal_sides("deleted");
        w.sync_idle();
    }
}

/// A new UIDVALIDITY: what the server made of an upload is found by its name there.
#[test]
fn rebuilt_uploads_are_found_again_after_renumbering() {
    for tells in [true, false] {
        let mut w = server(Habit::Rebuilds, tells);
        uploads(&mut w);
        w.sync_ok();
        w.remote.renumber(&inbox(), 100);
        let report = w.sync_ok();
        assert!(report.held.is_empty(), "tells {tells}: {:?}", report.held);
        let counts = [w.remote.ids(&inbox()).len(), w.local.ids(&inbox()).len()];
        assert_eq!(counts, [3, 3], "tells {tells}");
        w.sync_idle();
    }
}

/// A file is sent beside what the server made of its equal: what it makes of it is no copy of that.
#[test]
fn a_rebuilt_upload_beside_its_like_is_one_message() {
    for tells in [true, false] {
        let mut w = server(Habit::Rebuilds, tells);
        uploads(&mut w);
        w.sync_ok();
        lose_state(&mut w);
        w.sync_ok();
        let counts = [w.remote.ids(&inbox()).len(), w.local.ids(&inbox()).len()];
        assert_eq!(counts, [4, 4], "tells {tells}");
        w.sync_idle();
    }
}

/// A copy of a draft there is another content than its file, and the server tells no UID of it.
#[test]
fn copies_of_rebuilt_drafts_are_one_message() {
    for tells in [true, false] {
        let mut w = super::mailboxes::with_a();
        w.remote.inner.borrow_mut().habit = Habit::Rebuilds;
        w.remote.inner.borrow_mut().tells = tells;
        let draft = Flags::of(&[SystemFlag::Draft]);
        let file = w.local.add(&inbox(), NEW, draft);
        w.sync_ok();
        w.local.copy(&inbox(), &file, &mb("A"));
        w.sync_ok();
        for name in [inbox(), mb("A")] {
            let counts = [w.remote.ids(&name).len(), w.local.ids(&name).len()];
            assert_eq!(counts[0], counts[1], "tells {tells}, {name}");
        }
        assert_eq!(w.remote.ids(&mb("A")).len(), 2, "tells {tells}");
        w.sync_idle();
    }
}

#[test]
fn uploads_under_another_uid_are_one_message() {
    let want = r"INBOX: msg(\Seen) n(\Seen) other()";
    row("misnamed", || server(Habit::Misnames, true), uploads, want);
}

/// One upload a run; the second without effect is the last.
#[test]
fn uploads_that_are_dropped_are_set_aside_after_two() {
    for tells in [true, false] {
        let mut w = server(Habit::Drops, tells);
        // Without a UID only what has no effect shows it.
        uploads(&mut w);
        let first = w.sync();
        assert_eq!(
            (first.counts.uploaded, first.errors.len()),
            (1, 1),
            "{tells}"
        );
        let second = w.sync();
        assert_eq!(second.counts.uploaded, 1, "{tells}: {second:?}");
        let text = &second.errors.last().unwrap().text;
        assert!(text.contains("set aside and not sent again"), "{text}");
        for _ in 0..2 {
            let rows = w.state.writes();
            let report = w.sync();
            assert_eq!((report.changes(), report.errors.len()), (0, 1), "{tells}");
            assert_eq!(w.state.writes(), rows);
        }
        assert_eq!(show(&w.local.view()), r"INBOX: msg(\Seen) n(\Seen) other()");
        assert!(w.local.inner.borrow().quarantine.is_empty());
        // It comes after all: it is the file that was set aside.
        w.remote.add(&inbox(), NEW, seen());
        w.sync_ok();
        w.assert_equal_sides("it came late");
        w.sync_idle();
    }
}

/// Cut anywhere, no file is taken for deleted there.
#[test]
fn uploads_that_are_dropped_keep_their_file_wherever_cut() {
    for (tells, step) in [true, false]
        .into_iter()
        .flat_map(|t| (1..40).map(move |s| (t, s)))
    {
        let mut w = server(Habit::Drops, tells);
        uploads(&mut w);
        w.sync_cut(step);
        for _ in 0..4 {
            w.sync();
        }
        let want = r"INBOX: msg(\Seen) n(\Seen) other()";
        assert_eq!(show(&w.local.view()), want, "{tells}, cut at {step}");
        assert_eq!(w.sync().counts.uploaded, 0, "{tells}, cut at {step}");
        w.remote.inner.borrow_mut().habit = Habit::Keeps;
        w.remote.add(&inbox(), NEW, seen());
        w.sync();
        w.assert_equal_sides(&format!("{tells}, cut at {step}"));
    }
}

/// The mailbox goes there before its message was listed.
#[test]
fn uploads_that_were_never_listed_bring_their_mailbox_back() {
    let mut w = super::mailboxes::with_a();
    w.remote.inner.borrow_mut().habit = Habit::Drops;
    w.local.add(&mb("A"), NEW, seen());
    w.sync();
    w.remote.inner.borrow_mut().boxes.remove(&mb("A"));
    w.remote.inner.borrow_mut().habit = Habit::Keeps;
    w.sync();
    w.sync_ok();
    let want = r"A: a(\Seen) n(\Seen); INBOX: msg(\Seen) other()";
    assert_eq!(show(&w.local.view()), want);
    w.assert_equal_sides("it came back");
}

#[test]
fn uploads_taken_for_another_message_are_set_aside() {
    const TWIN: &[u8] = b"Subject: t\r\nMessage-ID: <n@x>\r\n\r\nfooter\r\n";
    for tells in [true, false] {
        let mut w = server(Habit::Merges, tells);
        w.remote.add(&inbox(), TWIN, seen());
        w.sync_ok();
        uploads(&mut w);
        let sent = w.sync().counts.uploaded + w.sync().counts.uploaded;
        assert_eq!(sent, if tells { 1 } else { 2 });
        let report = w.sync();
        assert_eq!((report.changes(), report.errors.len()), (0, 1), "{tells}");
        let want = r"INBOX: msg(\Seen) n(\Seen) other() t(\Seen)";
        assert_eq!(show(&w.local.view()), want, "{tells}");
    }
}

/// What the server drops of an upload is set once.
#[test]
fn flags_that_an_upload_lacks_are_set_once() {
    for tells in [true, false] {
        let flags = Flags::of(&[Flagged, SystemFlag::Seen]);
        let server = |drops: &Flags, forgets: &Flags| {
            let mut w = server(Habit::Keeps, tells);
            {
                let mut inner = w.remote.inner.borrow_mut();
                (inner.odd.drops_flags, inner.odd.forgets) = (drops.clone(), forgets.clone());
            }
            w.local.add(&inbox(), NEW, flags.clone());
            w.sync_ok();
            w
        };
        let mut w = server(&flags, &Flags::default());
        w.assert_equal_sides("set again");
        let both = r"INBOX: msg(\Seen) n(\Flagged \Seen) other()";
        assert_eq!(show(&w.local.view()), both);
        w.sync_idle();
        // One that is missing then is another device's wish, or none can tell.
        let mut w = server(&flags, &Flags::of(&[Flagged]));
        w.sync_ok();
        w.assert_equal_sides("set once");
        w.sync_idle();
    }
}

/// Another device's flag, set before the upload was listed, is a wish.
#[test]
fn flags_that_another_device_adds_to_an_upload_come_here() {
    let mut w = server(Habit::Keeps, true);
    uploads(&mut w);
    let remote = w.remote.clone();
    let act = move || {
        for uid in remote.ids(&inbox()).into_iter().skip(2) {
            remote.edit(&inbox(), &uid, |flags| flags.insert(Answered));
        }
    };
    let at = w.fuse.borrow().steps + 12;
    w.fuse.borrow_mut().act_at = Some((at, crate::support::memory::Act(Box::new(act))));
    w.sync();
    w.sync_ok();
    w.assert_equal_sides("united");
}

#[test]
fn uploads_whose_date_is_ignored_are_one_message() {
    for tells in [true, false] {
        let dated = || {
            let w = base();
            w.remote.inner.borrow_mut().odd.dates = Some(7);
            w
        };
        let want = r"INBOX: msg(\Seen) n(\Seen) other()";
        let mut w = dated();
        w.remote.inner.borrow_mut().tells = tells;
        uploads(&mut w);
        w.sync_ok();
        assert_eq!(show(&w.remote.view()), want);
        w.assert_equal_sides("dated");
        w.sync_idle();
    }
}

/// A server whose sizes or headers are wrong.
fn wrong(headers: bool) -> TwoSides {
    let w = TwoSides::new();
    let mut inner = w.remote.inner.borrow_mut();
    inner.odd.cuts_headers = headers;
    inner.odd.sizes = (!headers).then_some(|size| size - 7);
    drop(inner);
    w
}

fn same_on_both(w: &mut TwoSides) {
    for n in 0..3 {
        let body = format!(
            "Received: x\r\nSubject: {n}\r\n\r\n{}\r\n",
            "x".repeat(n * 700)
        );
        w.remote.add(&inbox(), body.as_bytes(), seen());
        w.local
            .add(&inbox(), body.as_bytes(), Flags::of(&[Flagged]));
    }
}

/// Content decides: what comes down is compared with the files that are here.
#[test]
fn equal_messages_meet_whatever_sizes_a_server_tells() {
    let all = |flags: &str| {
        let one = |_: usize| format!(r"Received: x({flags})");
        let all: Vec<String> = (0..3).map(one).collect();
        format!("INBOX: {}", all.join(" "))
    };
    let want = all(r"\Flagged \Seen");
    row("sizes", || wrong(false), same_on_both, &want);
    row("headers", || wrong(true), same_on_both, &want);
    for (headers, direction) in [
        (false, Direction::Push),
        (false, Direction::Pull),
        (true, Direction::Pull),
    ] {
        let mut w = wrong(headers);
        w.policy.direction = direction;
        same_on_both(&mut w);
        for _ in 0..2 {
            w.sync_ok();
            w.sync_ok();
            let (there, here) = (w.remote.ids(&inbox()), w.local.ids(&inbox()));
            assert_eq!((there.len(), here.len()), (3, 3), "{headers} {direction:?}");
            lose_state(&mut w);
        }
    }
}

/// Of equal messages each meets one.
#[test]
fn equal_messages_of_several_meet_one_each() {
    let mut w = wrong(false);
    for _ in 0..3 {
        w.remote.add(&inbox(), NEW, seen());
    }
    for _ in 0..2 {
        w.local.add(&inbox(), NEW, seen());
    }
    w.sync_ok();
    assert_eq!(
        (w.remote.ids(&inbox()).len(), w.local.ids(&inbox()).len()),
        (3, 3)
    );
    w.assert_equal_sides("k and m");
}

/// What servers are known to alter doubles nothing, however often the state is lost.
#[test]
fn altered_uploads_meet_again_after_a_lost_state() {
    for tells in [true, false] {
        let mut w = server(Habit::Cleans, tells);
        let file = w.local.add(&inbox(), ODD, seen());
        for _ in 0..3 {
            w.sync_ok();
            w.sync_idle();
            let (there, here) = (w.remote.ids(&inbox()), w.local.ids(&inbox()));
            assert_eq!((there.len(), here.len()), (3, 3), "tells {tells}");
            lose_state(&mut w);
        }
        w.sync_ok();
        w.local.delete(&inbox(), &file);
        w.sync_ok();
        assert_eq!(w.remote.ids(&inbox()).len(), 2, "tells {tells}");
    }
}

/// A server that says that it copied a message, and keeps nothing.
#[test]
fn copies_that_are_dropped_are_uploaded() {
    let mut w = base();
    w.remote.create(&mb("A"));
    w.sync_ok();
    w.remote.inner.borrow_mut().odd.drops_copies = true;
    w.local.copy(&inbox(), &file(&w), &mb("A"));
    let first = w.sync();
    assert_eq!((first.counts.copied_remote, first.errors.len()), (1, 1));
    let want = r"A: msg(\Seen); INBOX: msg(\Seen) other()";
    assert_eq!(show(&w.local.view()), want, "the copy stays");
    let second = w.sync_ok();
    assert_eq!(second.counts.uploaded, 1, "{second:?}");
    assert_eq!(show(&w.local.view()), want);
    w.assert_equal_sides("uploaded");
    w.sync_idle();
}

/// A server from which somebody deletes what is new before a step of the next run.
fn deleting(w: &TwoSides, step: u32) {
    let remote = w.remote.clone();
    let act = move || {
        for uid in remote.ids(&inbox()).into_iter().skip(2) {
            remote.delete(&inbox(), &uid);
        }
    };
    let at = w.fuse.borrow().steps + step;
    w.fuse.borrow_mut().act_at = Some((at, crate::support::memory::Act(Box::new(act))));
}

/// An upload that somebody deletes before it is listed comes back once. The second time it is
/// asked for at once, and gone when it is deleted after that.
#[test]
fn uploads_that_are_deleted_twice_at_once_are_gone() {
    let before = |step| {
        let mut w = server(Habit::Keeps, true);
        uploads(&mut w);
        deleting(&w, step);
        let waits = w.sync().errors.len() == 1;
        w.fuse.borrow_mut().act_at = None;
        waits.then_some(w)
    };
    let first = (1..60).find(|step| before(*step).is_some()).unwrap();
    let mut ends = BTreeMap::new();
    for step in 1..40 {
        let mut w = before(first).unwrap();
        deleting(&w, step);
        w.sync();
        w.fuse.borrow_mut().act_at = None;
        w.sync();
        let end = (w.remote.ids(&inbox()).len(), w.local.ids(&inbox()).len());
        *ends.entry(end).or_insert(0) += 1;
    }
    let aside = ends.get(&(2, 3)).copied().unwrap_or(0);
    assert!(aside <= 3 && ends.contains_key(&(2, 2)), "{ends:?}");
}
