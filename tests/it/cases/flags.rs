//! Flags of pairs from one run to the next.

use super::*;

/// What both sides did is agreed on, although nothing had to be done: else what one of them takes
/// back afterwards would look as if the other had just done it.
#[test]
fn what_both_did_and_one_takes_back_is_taken_back() {
    for side in Side::BOTH {
        let mut w = base();
        flag(&mut w, Some(Flagged), Some(Flagged));
        let report = w.sync_ok();
        assert_eq!((report.flags_remote, report.flags_local), (0, 0));
        let (uid, file) = (uid(&w), file(&w));
        let clear = |flags: &mut Flags| *flags = flags.clone().without(Flagged);
        match side {
            Side::Remote => w.remote.edit(&inbox(), &uid, clear),
            Side::Local => w.local.edit(&inbox(), &file, clear),
        }
        w.sync_ok();
        assert_eq!(show(&w.remote.view()), SAME, "{side}");
        w.assert_equal_sides("taken back");
        w.sync_idle();
    }
}
