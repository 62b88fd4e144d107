//! Messages that meet for the first time: which are one, and how much is read to know it.

use super::*;
use crate::support::memory::Act;

/// Without a delivery trace and with equal pieces, as two states of a draft.
fn draft(middle: char) -> Vec<u8> {
    let (before, after) = ("a".repeat(1500), "b".repeat(1500));
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
    let (flags, plain) = (Flags::of(&[SystemFlag::Draft]), Flags::default());
    for (there, here) in [(&flags, &flags), (&flags, &plain), (&plain, &flags)] {
        let mut w = meet((&draft('1'), there), (&draft('2'), here));
        w.sync_ok();
        assert_eq!(w.remote.ids(&inbox()).len(), 2, "{there} and {here}");
        w.assert_equal_sides("both are kept");
    }
}

/// Of others pieces are enough.
#[test]
fn equal_messages_meet_without_being_read() {
    let plain = Flags::default();
    let mut w = meet((&draft('1'), &plain), (&draft('1'), &plain));
    let report = w.sync_ok();
    assert_eq!((report.downloaded, report.uploaded), (0, 0));
    assert_eq!(w.remote.inner.borrow().reads, 0, "none was fetched");
    w.assert_equal_sides("they met");
}

/// What only one side has is set on the other, and counted there.
#[test]
fn flags_of_those_that_meet_are_those_of_both() {
    let flags = |flag| Flags::of(&[flag]);
    let mut w = meet((BODY, &flags(Flagged)), (BODY, &flags(Answered)));
    let report = w.sync_ok();
    let counted = (report.linked, report.flags_remote, report.flags_local);
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
    assert_eq!((report.uploaded, report.downloaded), (2, 2));
    let bytes = |first: usize, second: usize| (all[first].len() + all[second].len()) as u64;
    assert_eq!(
        (report.bytes_up, report.bytes_down),
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
        (report.linked, report.flags_remote, report.flags_local),
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
