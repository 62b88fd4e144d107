//! `mailtide repair` looks at all pairs, here in memory: what is counted, and what is forgotten.

use super::*;
use mailtide::engine::Verified;

fn found(pairs: usize, sound: usize, gone: usize, forgotten: usize) -> Verified {
    Verified {
        pairs,
        sound,
        gone,
        forgotten,
        notes: Vec::new(),
    }
}

#[test]
fn what_is_as_agreed_is_sound() {
    let mut w = base();
    assert_eq!(w.verify().unwrap(), found(2, 2, 0, 0));
    // All is compared message by message by the next run.
    let key = w.state.mailboxes().unwrap()[&inbox()];
    assert_eq!(w.state.full_at(key).unwrap(), 0);
    assert_eq!(w.sync_ok().changes(), 0);
}

#[test]
fn pairs_of_which_a_half_is_gone_are_left_to_the_next_run() {
    for side in [Side::Remote, Side::Local] {
        let mut w = base();
        gone(&mut w, side);
        assert_eq!(w.verify().unwrap(), found(2, 1, 1, 0));
        assert_eq!(w.sync_ok().changes(), 1);
        w.assert_equal_sides("after it");
    }
}

#[test]
fn pairs_of_two_messages_are_forgotten() {
    let mut w = base();
    let f = file(&w);
    let another = |m: &mut crate::support::memory::Message| {
        m.body = b"Subject: another\r\n\r\nx\r\n".to_vec();
    };
    w.local.change(&inbox(), &f, another);
    assert_eq!(w.verify().unwrap(), found(2, 1, 0, 1));
    assert_eq!(w.verify().unwrap(), found(1, 1, 0, 0));
    let mut w = TwoSides::new();
    w.remote.inner.borrow_mut().objects = true;
    w.remote.add(&inbox(), BODY, seen());
    w.remote.add(&inbox(), OTHER, Flags::default());
    w.sync_ok();
    assert_eq!(w.verify().unwrap(), found(2, 2, 0, 0));
    let u = uid(&w);
    w.remote.change(&inbox(), &u, |m| m.object += 1000);
    assert_eq!(w.verify().unwrap(), found(2, 1, 0, 1));
}

#[test]
fn what_cannot_be_read_is_named_and_kept() {
    let mut w = base();
    broken(&mut w, Side::Local);
    let verified = w.verify().unwrap();
    assert_eq!((verified.sound, verified.forgotten), (1, 0), "{verified:?}");
}

#[test]
fn a_new_uidvalidity_is_named() {
    let mut w = base();
    w.remote
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&inbox())
        .unwrap()
        .uid_validity += 1;
    let verified = w.verify().unwrap();
    assert_eq!((verified.pairs, verified.sound, verified.gone), (2, 0, 0));
    assert!(verified.notes[0].contains("UIDVALIDITY"), "{verified:?}");
}

#[test]
fn a_mailbox_that_cannot_be_looked_at_does_not_end_it_but_a_side_does() {
    let mut w = base();
    w.remote.create(&mb("A"));
    w.remote.add(&mb("A"), b"Subject: a\r\n\r\na\r\n", seen());
    w.sync_ok();
    w.remote.inner.borrow_mut().boxes.remove(&mb("A"));
    let verified = w.verify().unwrap();
    assert_eq!((verified.pairs, verified.sound), (2, 2));
    assert_eq!(verified.notes.len(), 1, "{verified:?}");
    let at = w.fuse.borrow().steps + 3;
    w.fuse.borrow_mut().cut_at = Some(at);
    assert!(w.verify().is_err());
}
