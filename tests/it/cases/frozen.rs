//! Mailboxes in which the server lets nobody change anything.

use super::*;

/// Out of a mailbox that is read-only there nothing moves, and what is filed from it is copied;
/// into one neither: it stays where it is on both sides, and the user is told.
#[test]
fn read_only_mailboxes_take_part_in_no_move() {
    let (in_both, at_home) = (
        r"A: a(\Seen) msg(\Seen); INBOX: msg(\Seen) other()",
        r"A: a(\Seen); INBOX: msg(\Seen) other()",
    );
    for (frozen, want) in [("INBOX", in_both), ("A", at_home)] {
        let mut w = super::mailboxes::with_a();
        let set = |w: &TwoSides, read_only| {
            let mut inner = w.remote.inner.borrow_mut();
            inner.boxes.get_mut(&mb(frozen)).unwrap().read_only = read_only;
        };
        set(&w, true);
        let file = file(&w);
        w.local.shift(&inbox(), &file, &mb("A"));
        for _ in 0..2 {
            let report = w.sync();
            assert_eq!(
                (report.counts.moved_remote, report.counts.deleted_remote),
                (0, 0)
            );
            let told = report.notes.iter().any(|note| note.contains("read-only"));
            assert_eq!(told, frozen == "A", "{:?}", report.notes);
        }
        assert_eq!(show(&w.remote.view()), want, "{frozen}");
        let want = r"A: a(\Seen) msg(\Seen); INBOX: other()";
        assert_eq!(show(&w.local.view()), want, "{frozen}");
        if frozen == "A" {
            set(&w, false);
            w.sync_ok();
            w.assert_equal_sides("it can be written to now");
        }
    }
}
