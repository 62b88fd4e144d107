//! Of a mailbox in which little happened little is read.

use super::*;
use crate::support::memory::Memory;

/// What happens to one message of a mailbox on the server costs as little whether it holds few or
/// many.
#[test]
fn of_a_mailbox_only_what_changed_is_read() {
    let mut w = base();
    for name in ["A", "B"] {
        w.remote.create(&mb(name));
    }
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
    let new = b"Subject: new\r\n\r\nnew";
    assert_eq!(
        read(&|there| drop(there.add(&mb("A"), new, seen()))),
        (1, 0)
    );
    let shift = |there: &Memory<Uid>| drop(there.shift(&mb("A"), &nth(there, 7), &mb("B")));
    assert_eq!(read(&shift), (1, 0));
}
