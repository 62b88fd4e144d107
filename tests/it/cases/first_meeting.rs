//! Messages that meet for the first time: which are one, and how much is read to know it.

use super::*;
use crate::support::memory::Act;

/// Without a delivery trace and with equal pieces, as two states of a draft.
fn draft(middle: char) -> Vec<u8> {
    let (before, after) = ("a".repeat(1080), "b".repeat(1920));
    let middle = middle.to_string().repeat(200);
    format!("Subject: draft\r\n\r\n{before}{middle}{after}\r\n").into_bytes()
}

fn meet(there: (&[u8], &Flags), here: (&[u8], &Flags)) -> TwoSides {
    let w = TwoSides::new();
    w.remote.add(&inbox(), there.0, there.1.clone());
    w.local.add(&inbox(), here.0, here.1.clone());
    w
}

/// Pieces do not tell two states of a draft apart, so it is read.
#[test]
fn two_states_of_a_draft_are_two_messages() {
    assert_eq!(Excerpt::of_wire(&draft('1')), Excerpt::of_wire(&draft('2')));
    let (flags, plain) = (Flags::of(&[SystemFlag::Draft]), Flags::default());
    for (there, here) in [(&flags, &flags), (&flags, &plain), (&plain, &flags)] {
        let mut w = meet((&draft('1'), there), (&draft('2'), here));
        let linked = w.sync_ok().counts.linked;
        assert_eq!(linked, 0, "{there} and {here}");
        assert_eq!(w.remote.ids(&inbox()).len(), 2, "{there} and {here}");
        w.assert_equal_sides("both are kept");
    }
}

/// Of others pieces are enough to meet. After the run the contents are compared, once.
#[test]
fn equal_messages_meet_by_pieces_and_are_read_once() {
    let plain = Flags::default();
    let mut w = meet((&draft('1'), &plain), (&draft('1'), &plain));
    let report = w.sync_ok();
    assert_eq!((report.counts.downloaded, report.counts.uploaded), (0, 0));
    assert_eq!(w.remote.inner.borrow().counts.reads, 1, "compared");
    w.assert_equal_sides("they met");
    w.sync_idle();
    assert_eq!(w.remote.inner.borrow().counts.reads, 1, "not again");
}

/// What only one side has is set on the other, and counted there.
#[test]
fn flags_of_those_that_meet_are_those_of_both() {
    let flags = |flag| Flags::of(&[flag]);
    let mut w = meet((BODY, &flags(Flagged)), (BODY, &flags(Answered)));
    let report = w.sync_ok();
    let counted = (
        report.counts.linked,
        report.counts.flags_remote,
        report.counts.flags_local,
    );
    assert_eq!(counted, (1, 1, 1));
    let want = r"INBOX: msg(\Answered \Flagged)";
    assert_eq!(show(&w.remote.view()), want);
    w.assert_equal_sides("both have both");
    w.sync_idle();
}

#[test]
fn what_crosses_is_counted() {
    let mut w = base();
    let all: [&[u8]; 4] = [
        b"Subject: 1\r\n\r\n1",
        b"Subject: 2\r\n\r\n",
        b"3: 3\r\n\r\n",
        b"4: 4\r\n\r\n44",
    ];
    for (at, body) in all.into_iter().enumerate() {
        match at % 2 {
            0 => drop(w.local.add(&inbox(), body, seen())),
            _ => drop([w.remote.add(&inbox(), body, seen())]),
        }
    }
    let report = w.sync_ok();
    assert_eq!((report.counts.uploaded, report.counts.downloaded), (2, 2));
    let bytes = |first: usize, second: usize| (all[first].len() + all[second].len()) as u64;
    assert_eq!(
        (report.counts.bytes_up, report.counts.bytes_down),
        (bytes(0, 2), bytes(1, 3))
    );
}

#[test]
fn flags_of_both_are_united_and_counted() {
    let flagged = Flags::of(&[SystemFlag::Flagged]);
    let mut w = meet((BODY, &seen()), (BODY, &flagged));
    let other = Flags::default();
    w.remote.add(&inbox(), OTHER, flagged.clone());
    w.local.add(&inbox(), OTHER, other);
    let report = w.sync_ok();
    assert_eq!(
        (
            report.counts.linked,
            report.counts.flags_remote,
            report.counts.flags_local
        ),
        (2, 1, 2)
    );
    assert_eq!(
        show(&w.remote.view()),
        r"INBOX: msg(\Flagged \Seen) other(\Flagged)"
    );
    w.assert_equal_sides("united");
}

/// Another device makes the mailbox that is to be made there, and puts the same mail into it.
#[test]
fn a_mailbox_that_was_made_there_meanwhile() {
    const NEW: &[u8] = b"Subject: n\r\n\r\n1";
    let (mut step, mut before_us) = (0, 0);
    loop {
        step += 1;
        let mut w = base();
        w.local.create(&mb("A"));
        w.local.add(&mb("A"), NEW, seen());
        let (remote, ours) = (w.remote.clone(), Rc::new(Cell::new(false)));
        let already = ours.clone();
        let made = move || {
            already.set(remote.names().contains(&mb("A")));
            remote.create(&mb("A"));
            remote.add(&mb("A"), NEW, seen());
        };
        let at = w.fuse.borrow().steps + step;
        w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(made))));
        w.sync_ok();
        if w.fuse.borrow().act_at.is_some() {
            break;
        }
        w.sync_ok();
        w.assert_equal_sides("it was made");
        if !ours.get() {
            before_us += 1;
            assert_eq!(w.remote.ids(&mb("A")).len(), 1, "step {step}");
        }
    }
    assert!(before_us > 3, "{before_us} of {step} steps");
}

/// They are linked when their flags are the same; one that is gone by then is no pair, so the other
/// is a message that is new.
#[test]
fn one_of_two_that_meet_goes_before_their_flags_are_the_same() {
    let mut before = 0;
    for (step, side) in (1..=20).flat_map(|step| Side::BOTH.map(|side| (step, side))) {
        let flags = |flag| Flags::of(&[flag]);
        let mut w = meet((BODY, &flags(Flagged)), (BODY, &flags(Answered)));
        let (remote, local, same) = (w.remote.clone(), w.local.clone(), Rc::new(Cell::new(true)));
        let merged = same.clone();
        let act = move || {
            let view = match side {
                Side::Remote => show(&remote.view()),
                Side::Local => show(&local.view()),
            };
            merged.set(view.contains(r"\Answered") && view.contains(r"\Flagged"));
            match side {
                Side::Remote => remote.delete(&inbox(), &remote.ids(&inbox())[0]),
                Side::Local => local.delete(&inbox(), &local.ids(&inbox())[0]),
            }
        };
        let at = w.fuse.borrow().steps + step;
        w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(act))));
        w.sync();
        if w.fuse.borrow().act_at.is_some() {
            continue;
        }
        w.sync();
        w.assert_equal_sides(&format!("{side}, step {step}"));
        if !same.get() {
            before += 1;
            assert_eq!(w.remote.ids(&inbox()).len(), 1, "{side}, step {step}");
        }
    }
    assert!(before > 6, "{before}");
}

/// The mail of an account is nothing new, however often its first run is cut.
#[test]
fn what_is_fetched_at_first_has_not_just_arrived() {
    let begin = || {
        let w = TwoSides::new();
        for name in ["INBOX", "A"] {
            w.remote.create(&mb(name));
            w.remote.add(&mb(name), BODY, Flags::default());
            w.remote.add(&mb(name), OTHER, Flags::default());
        }
        w
    };
    let mut w = begin();
    let report = w.sync_ok();
    assert!(report.arrived.is_empty());
    assert_eq!(report.counts.mailboxes_created_local, 1);
    let told = w.state.history(0, u32::MAX, |_| true).unwrap();
    let first = told.iter().rev().find(|change| change.what == "new");
    assert_eq!(first.unwrap().mailbox, "INBOX", "it comes first");
    for step in each_step(w.fuse.borrow().steps) {
        let mut w = begin();
        let arrived = w.sync_cut(step).arrived;
        assert!(arrived.is_empty(), "{arrived:?}, cut at step {step}");
        let arrived = w.sync_ok().arrived;
        assert!(arrived.is_empty(), "{arrived:?} after a cut at step {step}");
    }
}

/// Both sides moved a message to where another one meets itself.
#[test]
fn what_meets_beside_what_both_moved() {
    const NEW: &[u8] = b"Subject: n\r\n\r\n1";
    let both = |w: &mut TwoSides| {
        let (uid, file) = (uid(w), file(w));
        w.remote.shift(&inbox(), &uid, &mb("A"));
        w.local.shift(&inbox(), &file, &mb("A"));
        w.remote.add(&mb("A"), NEW, seen());
        w.local.add(&mb("A"), NEW, seen());
    };
    let want = r"A: a(\Seen) msg(\Seen) n(\Seen); INBOX: other()";
    row("both moved it", super::mailboxes::with_a, both, want);
    let copied = |w: &mut TwoSides| {
        let (uid, file) = (uid(w), file(w));
        w.remote.copy(&inbox(), &uid, &mb("A"));
        w.local.copy(&inbox(), &file, &mb("A"));
        w.remote.add(&mb("A"), NEW, seen());
        w.local.add(&mb("A"), NEW, seen());
    };
    let want = r"A: a(\Seen) msg(\Seen) n(\Seen); INBOX: msg(\Seen) other()";
    row("both copied it", super::mailboxes::with_a, copied, want);
}

/// What it may be a copy of, or may have been, lies in a mailbox that cannot be seen on disk now.
#[test]
fn what_meets_beside_what_is_not_seen() {
    const NEW: &[u8] = b"Subject: n\r\n\r\n1";
    for gone in [false, true] {
        let mut w = super::mailboxes::with_a();
        w.remote.add(&inbox(), NEW, seen());
        w.local.add(&inbox(), NEW, seen());
        if gone {
            let uid = w.remote.ids(&mb("A"))[0];
            w.remote.delete(&mb("A"), &uid);
        }
        set_blind_in(&mut w, Side::Local, &mb("A"), true);
        w.sync();
        set_blind_in(&mut w, Side::Local, &mb("A"), false);
        w.sync_ok();
        let a = if gone { "" } else { r"a(\Seen)" };
        let want = format!(r"A: {a}; INBOX: msg(\Seen) n(\Seen) other()");
        assert_eq!(show(&w.remote.view()), want);
        w.assert_equal_sides("it is seen again");
        w.sync_idle();
    }
}

/// A delivered message. Others look like it, up to the end of a long text.
fn delivered(n: usize, end: char) -> Vec<u8> {
    let text = "x".repeat(1500);
    format!("Received: for {n}\r\nSubject: {n}\r\n\r\n{text}{end}\r\n").into_bytes()
}

/// Size, header and the beginning of the text are equal, and that is all that is compared first.
#[test]
fn messages_that_look_alike_are_told_apart_after_the_run() {
    let meet = || {
        let w = TwoSides::new();
        w.remote.add(&inbox(), &delivered(1, 'a'), seen());
        w.local.add(&inbox(), &delivered(1, 'b'), Flags::default());
        w
    };
    let mut w = meet();
    let report = w.sync_ok();
    assert_eq!(report.counts.linked, 1, "they look alike");
    let told = |note: &String| note.contains("have different contents; both are kept");
    assert!(report.notes.iter().any(told), "{:?}", report.notes);
    let want = r"INBOX: Received: for 1(\Seen) Received: for 1(\Seen)";
    row("look-alikes", meet, |_| {}, want);
}

/// A body that cannot be had is no proof of anything, and is not asked for again.
#[test]
fn a_message_that_cannot_be_read_stays_linked() {
    let w = TwoSides::new();
    w.remote.add(&inbox(), &delivered(1, 'a'), seen());
    w.local.add(&inbox(), &delivered(1, 'a'), seen());
    w.remote.inner.borrow_mut().mute.insert(delivered(1, 'a'));
    let mut w = w;
    assert_eq!(w.sync_ok().counts.linked, 1);
    w.sync_idle();
    w.assert_equal_sides("linked");
}

/// However many messages a take-over links, after each run a part of them is read.
#[test]
fn contents_of_a_take_over_are_compared_in_portions() {
    let mut w = TwoSides::new();
    for n in 0..150 {
        w.remote.add(&inbox(), &delivered(n, 'a'), seen());
        w.local.add(&inbox(), &delivered(n, 'a'), seen());
    }
    for read in [100, 150, 150] {
        w.sync_ok();
        assert_eq!(w.remote.inner.borrow().counts.reads, read);
    }
    w.sync_idle();
    w.assert_equal_sides("taken over");
}
