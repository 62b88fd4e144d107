//! What was deleted here because it was gone there, and lies in quarantine: for as long as it does,
//! it is known, and comes from there when it shows up elsewhere.

use super::*;

/// A run saw that it left INBOX, and not yet where it went.
fn left() -> TwoSides {
    let mut w = super::moves::begin(|_| {});
    w.options.only = vec!["INBOX".into()];
    let uid = uid(&w);
    w.remote.shift(&inbox(), &uid, &mb("A"));
    assert_eq!(w.sync_ok().counts.deleted_local, 1);
    w.options.only.clear();
    w
}

#[test]
fn it_is_known_for_as_long_as_it_lies_there() {
    let mut w = left();
    w.state.unbury_days(&["da".into(), "dax".into()]).unwrap();
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.downloaded, report.counts.moved_local),
        (0, 1)
    );
    w.assert_equal_sides("out of quarantine");
}

/// The quarantine was emptied: then it is fetched.
#[test]
fn and_no_longer() {
    let mut w = left();
    w.state.unbury_days(&["day".into()]).unwrap();
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.downloaded, report.counts.moved_local),
        (1, 0)
    );
    w.assert_equal_sides("fetched");
}
