//! Servers that cannot expunge single messages: what is to go is marked, and known to be.

use super::*;

/// Moved here, and copied there by another device, so that only the original is to go.
fn copied_there_and_moved_here(marks: bool) -> TwoSides {
    let mut w = super::mailboxes::with_a();
    w.remote.inner.borrow_mut().marks = marks;
    let (uid, file) = (uid(&w), file(&w));
    w.remote.copy(&inbox(), &uid, &mb("A"));
    w.local.shift(&inbox(), &file, &mb("A"));
    w.sync_ok();
    w
}

/// What is left of a move with its mark is set aside, and nothing else is.
#[test]
fn what_is_left_of_a_move_is_known() {
    for marks in [true, false] {
        let mut w = copied_there_and_moved_here(marks);
        let left = usize::from(marks);
        assert_eq!(w.remote.ids(&inbox()).len(), 1 + left);
        assert_eq!(w.local.ids(&inbox()).len(), 1);
        let key = w.state.mailboxes().unwrap()[&inbox()];
        let aside = w.state.base(key).unwrap().aside;
        assert_eq!(aside.len(), left, "{aside:?}");
        w.sync_idle();
    }
}

/// Somebody takes the mark away: it is a message again.
#[test]
fn what_is_unmarked_comes() {
    let mut w = copied_there_and_moved_here(true);
    let marked = uid(&w);
    w.remote.edit(&inbox(), &marked, |flags| *flags = seen());
    w.sync_ok();
    assert_eq!(w.local.ids(&inbox()).len(), 2);
    w.assert_equal_sides("unmarked");
    w.sync_idle();
}
