//! Of a mailbox in which little happened little is read.

use super::*;
use crate::support::memory::Memory;

/// What happens to one message of a mailbox on the server costs as little whether it holds few or
/// many.
#[test]
fn of_a_mailbox_only_what_changed_is_read() {
    let mut w = base();
    w.remote.create(&mb("A"));
    for n in 0..40 {
        let body = format!("Subject: {n}\r\n\r\n{n}");
        w.remote.add(&mb("A"), body.as_bytes(), seen());
    }
    let mut read = |act: &dyn Fn(&Memory<Uid>)| {
        // What we changed here a moment ago is compared first.
        w.sync_ok();
        w.now.set(w.now.get() + 1);
        w.sync_ok();
        act(&w.remote);
        let before = w.remote.inner.borrow().counts.known;
        let done = w.sync_ok().changes();
        w.assert_equal_sides("with what changed");
        (done, w.remote.inner.borrow().counts.known - before)
    };
    let nth = |there: &Memory<Uid>, n: usize| there.ids(&mb("A"))[n];
    let flag = |flags: &mut Flags| flags.insert(SystemFlag::Flagged);
    assert_eq!(
        read(&|there| there.edit(&mb("A"), &nth(there, 3), flag)),
        (1, 0)
    );
    assert_eq!(
        read(&|there| there.delete(&mb("A"), &nth(there, 5))),
        (1, 0)
    );
    let add = |there: &Memory<Uid>| {
        there.add(&mb("A"), b"Subject: new\r\n\r\nnew", seen());
    };
    assert_eq!(read(&add), (1, 0));
}

/// A large mailbox that only we changed is compared without reading all that is known of it; one
/// that somebody else changed, too, is looked at as any other.
#[test]
fn a_large_mailbox_that_only_we_changed_is_not_read() {
    let mut w = TwoSides::new();
    for n in 0..4100 {
        let body = format!("Subject: {n}\r\n\r\n{n}");
        w.remote.add(&inbox(), body.as_bytes(), seen());
    }
    w.sync_ok();
    let mut read = |act: &dyn Fn(&TwoSides)| {
        w.now.set(w.now.get() + 1);
        w.sync_ok();
        let one = w.remote.ids(&inbox())[9];
        w.remote.edit(&inbox(), &one, |flags| flags.insert(Flagged));
        assert_eq!(w.sync_ok().changes(), 1);
        w.now.set(w.now.get() + 1);
        act(&w);
        let before = w.local.inner.borrow().counts.known;
        w.sync_ok();
        w.assert_equal_sides("a large mailbox");
        let read = w.local.inner.borrow().counts.known - before;
        w.remote.edit(&inbox(), &one, |flags| *flags = seen());
        w.sync_ok();
        read
    };
    assert_eq!(read(&|_| ()), 0);
    let other = |w: &TwoSides| {
        let file = w.local.ids(&inbox())[7].clone();
        w.local
            .edit(&inbox(), &file, |flags| flags.insert(Answered));
    };
    assert!(read(&other) >= 4100);
}
