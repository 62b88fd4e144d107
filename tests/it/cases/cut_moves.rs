//! Moves on a server that has no MOVE (RFC 6851): a COPY and an expunge. Runs that were cut between
//! the two, or before the answer came, and what was done with the message before the next run.

use super::*;
use crate::support::memory::Act;

/// How the server moves, and how much of it was done when the run was cut.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// By COPY, and the copy is there.
    Copied,
    /// By COPY, and nothing is there yet.
    Sent,
    /// By MOVE, and it was done.
    Moved,
}

/// INBOX, A and B; `msg` lies in INBOX.
fn three() -> TwoSides {
    let mut w = super::mailboxes::with_a();
    w.remote.create(&mb("B"));
    w.sync_ok();
    w
}

/// Where the bodies of `msg` lie on the server.
fn there(w: &TwoSides) -> Vec<String> {
    let inner = w.remote.inner.borrow();
    let boxes = inner.boxes.iter();
    let holds = boxes.flat_map(|(name, b)| {
        let all = b.messages.values().filter(|m| m.body == BODY);
        all.map(|_| name.to_string())
    });
    holds.collect()
}

/// `msg` was moved to A here, and the run that was to do so on the server was cut.
fn cut_as(how: Cut, begin: fn() -> TwoSides) -> TwoSides {
    let want: &[&str] = match how {
        Cut::Copied => &["A", "INBOX"],
        Cut::Sent => &["INBOX"],
        Cut::Moved => &["A"],
    };
    for step in 1..100 {
        let mut w = begin();
        w.remote.inner.borrow_mut().moves_by_copy = how != Cut::Moved;
        let file = file(&w);
        w.local.shift(&inbox(), &file, &mb("A"));
        w.sync_cut(step);
        if there(&w) == want && (noted(&w) || how != Cut::Sent) {
            return w;
        }
    }
    panic!("it was not cut there");
}

fn copied() -> TwoSides {
    cut_as(Cut::Copied, three)
}

fn moved() -> TwoSides {
    cut_as(Cut::Moved, three)
}

fn copied_slowly() -> TwoSides {
    let slow = || {
        let w = three();
        w.remote.inner.borrow_mut().deltas = false;
        w.local.inner.borrow_mut().deltas = false;
        w
    };
    cut_as(Cut::Copied, slow)
}

/// Where the file lies, and what it is called.
fn here(w: &TwoSides) -> (MailboxName, MaildirId) {
    let inner = w.local.inner.borrow();
    let mut all = inner.boxes.iter().flat_map(|(name, b)| {
        let own = b.messages.iter().filter(|(_, m)| m.body == BODY);
        own.map(|(id, _)| (name.clone(), id.clone()))
    });
    all.next().unwrap()
}

fn shifted(w: &mut TwoSides, to: &MailboxName) {
    let (from, file) = here(w);
    w.local.shift(&from, &file, to);
}

/// Another device moves what was copied.
fn carried(w: &mut TwoSides, to: &MailboxName) {
    let all = w.remote.inner.borrow().boxes[&mb("A")].messages.clone();
    if let Some((uid, _)) = all.iter().find(|(_, m)| m.body == BODY) {
        w.remote.shift(&mb("A"), uid, to);
    }
}

/// Two equal messages in INBOX.
fn two_equal() -> TwoSides {
    let mut w = three();
    w.remote.add(&inbox(), BODY, seen());
    w.sync_ok();
    w
}

fn noted(w: &TwoSides) -> bool {
    !w.state.uploads_in_doubt().unwrap().is_empty()
}

/// The run was cut at the first step at which it looks like this; the server has no MOVE.
fn cut_when(begin: fn() -> TwoSides, is: fn(&TwoSides) -> bool) -> TwoSides {
    for step in 1..100 {
        let mut w = begin();
        w.remote.inner.borrow_mut().moves_by_copy = true;
        w.sync_cut(step);
        if is(&w) {
            return w;
        }
    }
    panic!("it was not cut there");
}

type Began = (&'static str, fn() -> TwoSides);

/// The server has given it another UID in INBOX.
fn renumbered() -> TwoSides {
    let w = three();
    let uid = uid(&w);
    w.remote.shift(&inbox(), &uid, &inbox());
    w
}

fn renamed() -> TwoSides {
    cut_as(Cut::Copied, renumbered)
}

fn sent() -> TwoSides {
    cut_as(Cut::Sent, three)
}

const SENT: Began = ("sent, and never done", sent);

const BEGAN: [Began; 4] = [
    ("copied", copied),
    ("copied, all is listed", copied_slowly),
    ("another UID, copied", renamed),
    ("moved", moved),
];

#[test]
fn moved_on_here() {
    let want = r"A: a(\Seen); B: msg(\Seen); INBOX: other()";
    for (name, began) in BEGAN.into_iter().chain([SENT]) {
        row(name, began, |w| shifted(w, &mb("B")), want);
    }
}

/// All mailboxes are looked into, so that it may be seen in two of them, or in none.
#[test]
fn moved_on_here_while_it_is_looked_for() {
    for (to, want) in [
        (
            "B",
            r"A: a(\Seen) b(); B: b() msg(\Seen); INBOX: b() other()",
        ),
        (
            "INBOX",
            r"A: a(\Seen) b(); B: b(); INBOX: b() msg(\Seen) other()",
        ),
    ] {
        for step in each_step(60) {
            let mut w = copied();
            for name in ["A", "B", "INBOX"] {
                let body = b"Subject: b\r\n\r\n1";
                w.local.add(&mb(name), body, Flags::default());
            }
            let (local, (from, file)) = (w.local.clone(), here(&w));
            let shift = move || drop(local.shift(&from, &file, &mb(to)));
            let at = w.fuse.borrow().steps + step;
            w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(shift))));
            w.sync_ok();
            if w.fuse.borrow().act_at.is_some() {
                assert!(step > 10, "it never went");
                break;
            }
            w.sync_ok();
            w.sync_ok();
            let context = format!("to {to} at step {step}");
            assert_eq!(show(&w.remote.view()), want, "{context}");
            w.assert_equal_sides(&context);
        }
    }
}

#[test]
fn moved_back_here() {
    let want = r"A: a(\Seen); B: ; INBOX: msg(\Seen) other()";
    for (name, began) in BEGAN.into_iter().chain([SENT]) {
        row(name, began, |w| shifted(w, &inbox()), want);
    }
}

#[test]
fn deleted_here() {
    let deleted = |w: &mut TwoSides| {
        let (name, file) = here(w);
        w.local.delete(&name, &file);
    };
    let want = r"A: a(\Seen); B: ; INBOX: other()";
    for (name, began) in BEGAN.into_iter().chain([SENT]) {
        row(name, began, deleted, want);
    }
}

#[test]
fn moved_on_there() {
    let want = r"A: a(\Seen); B: msg(\Seen); INBOX: other()";
    for (name, began) in BEGAN {
        row(name, began, |w| carried(w, &mb("B")), want);
    }
}

#[test]
fn moved_back_there() {
    let want = r"A: a(\Seen); B: ; INBOX: msg(\Seen) other()";
    for (name, began) in BEGAN {
        row(name, began, |w| carried(w, &inbox()), want);
    }
}

/// What another device had copied there just before is not what comes of the move.
#[test]
fn beside_a_copy_by_another_device() {
    fn began() -> TwoSides {
        let mut w = three();
        let uid = uid(&w);
        w.remote.copy(&inbox(), &uid, &mb("A"));
        shifted(&mut w, &mb("B"));
        w
    }
    fn sent() -> TwoSides {
        cut_when(began, |w| noted(w) && there(w) == ["A", "INBOX"])
    }
    let want = r"A: a(\Seen) msg(\Seen); B: msg(\Seen); INBOX: other()";
    row("nothing else", sent, |_| {}, want);
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: msg(\Seen) other()";
    row(
        "moved back",
        sent,
        |w| both_shifted(w, &mb("B"), &inbox()),
        want,
    );
}

/// Two equal messages are to be moved to where another device has copied one of them: that copy
/// stands for one of the two, and is not what comes of the other.
#[test]
fn two_beside_a_copy_by_another_device() {
    fn began() -> TwoSides {
        let mut w = two_equal();
        let uid = uid(&w);
        w.remote.copy(&inbox(), &uid, &mb("A"));
        both_shifted(&mut w, &inbox(), &mb("A"));
        w
    }
    fn sent() -> TwoSides {
        cut_when(began, |w| noted(w) && there(w) == ["A", "INBOX"])
    }
    let want = r"A: a(\Seen) msg(\Seen) msg(\Seen); B: ; INBOX: other()";
    row("nothing else", sent, |_| {}, want);
}

/// Nothing was copied, and others came and went where it was to be moved: what is left where it
/// was is not what became of it there.
#[test]
fn others_came_and_went_meanwhile() {
    let sent = || cut_as(Cut::Sent, renumbered);
    let went_by = |w: &mut TwoSides| {
        let other = w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
        w.remote.delete(&mb("A"), &other);
    };
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()";
    row("another UID, sent", sent, went_by, want);
    row("sent", self::sent, went_by, want);
}

/// Of two equal messages one was moved, and the other copied.
#[test]
fn equal_messages_are_told_apart() {
    fn moved() -> TwoSides {
        let mut w = two_equal();
        both_shifted(&mut w, &inbox(), &mb("A"));
        w
    }
    fn began() -> TwoSides {
        cut_when(moved, |w| there(w) == ["A", "A", "INBOX"])
    }
    let want = r"A: a(\Seen); B: msg(\Seen) msg(\Seen); INBOX: other()";
    let on = |w: &mut TwoSides| both_shifted(w, &mb("A"), &mb("B"));
    row("both were moved on", began, on, want);
    let want = r"A: a(\Seen) msg(\Seen) msg(\Seen); B: ; INBOX: other()";
    row("nothing else", began, |_| {}, want);
}

fn both_shifted(w: &mut TwoSides, from: &MailboxName, to: &MailboxName) {
    let all = w.local.inner.borrow().boxes[from].messages.clone();
    for (file, _) in all.iter().filter(|(_, m)| m.body == BODY) {
        w.local.shift(from, file, to);
    }
}

#[test]
fn nothing_else_happened() {
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()";
    for (name, began) in BEGAN {
        row(name, began, |_| {}, want);
    }
}

/// The server carries the COPY out while the next run waits to see whether it does.
#[test]
fn it_is_copied_late() {
    let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()";
    let on = r"A: a(\Seen); B: msg(\Seen); INBOX: other()";
    for (step, moved_on) in (1..=20).flat_map(|step| [(step, false), (step, true)]) {
        let mut w = cut_as(Cut::Sent, three);
        if moved_on {
            shifted(&mut w, &mb("B"));
        }
        let (remote, uid) = (w.remote.clone(), uid(&w));
        let arrives = Act(Box::new(move || {
            remote.copy(&inbox(), &uid, &mb("A"));
        }));
        let at = w.fuse.borrow().steps + step;
        w.fuse.borrow_mut().act_at = Some((at, arrives));
        w.sync_ok();
        let how = format!("step {step}, moved on: {moved_on}");
        let want = if moved_on { on } else { want };
        assert_eq!(show(&w.remote.view()), want, "{how}");
        w.assert_equal_sides(&how);
    }
}

/// The server gave it another UID in its mailbox, and the user moved it.
#[test]
fn moved_here_and_renamed_there() {
    for by_copy in [true, false] {
        let renamed = match by_copy {
            true => |w: &mut TwoSides| renamed_and_moved(w, true),
            false => |w: &mut TwoSides| renamed_and_moved(w, false),
        };
        let want = r"A: a(\Seen) msg(\Seen); B: ; INBOX: other()";
        row("another UID, moved", three, renamed, want);
    }
}

fn renamed_and_moved(w: &mut TwoSides, by_copy: bool) {
    w.remote.inner.borrow_mut().moves_by_copy = by_copy;
    let uid = uid(w);
    w.remote.shift(&inbox(), &uid, &inbox());
    shifted(w, &mb("A"));
}
