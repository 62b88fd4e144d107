//! What is told while a run goes on.

use super::*;
use std::collections::BTreeSet;

#[test]
fn what_is_announced_is_what_is_copied() {
    let mut w = base();
    for name in ["A", "B"] {
        w.remote.create(&mb(name));
        w.remote.add(&mb(name), b"Subject: n\r\n\r\n1", seen());
    }
    w.sync_ok();
    w.sync_ok();
    w.told = Rc::default();
    w.sync_idle();
    let idle = w.told.clone();
    assert_eq!((idle.bytes.get(), idle.copied.get()), (0, 0));
    assert!(idle.looked.borrow().is_empty(), "{idle:?}");

    for n in 0..3 {
        let body = format!("Subject: n\r\n\r\nnew {n}");
        w.remote.add(&mb("A"), body.as_bytes(), seen());
    }
    w.local.add(&inbox(), b"Subject: n\r\n\r\nmine", seen());
    let there = w.remote.ids(&mb("B"))[0];
    w.remote
        .edit(&mb("B"), &there, |flags| flags.insert(Flagged));
    w.told = Rc::default();
    let report = w.sync_ok();
    let told = &w.told;
    assert_eq!(told.planned.borrow()[0], (4, 3), "{told:?}");
    assert_eq!(
        told.copied.get(),
        report.counts.downloaded + report.counts.uploaded
    );
    assert_eq!(
        told.bytes.get(),
        report.counts.bytes_down + report.counts.bytes_up
    );
    let looked = BTreeSet::from([inbox(), mb("A"), mb("B")]);
    assert_eq!(*told.looked.borrow(), looked);
}

/// So many uploads are on their way at once, and no more: their answers may all be lost.
#[test]
fn no_more_than_five_hundred_uploads_are_in_doubt() {
    let begin = || {
        let mut w = TwoSides::new();
        w.policy.limits.upload = 1000;
        for n in 0..700 {
            let body = format!("Subject: {n}\r\n\r\n{n}");
            w.local.add(&inbox(), body.as_bytes(), seen());
        }
        w
    };
    let mut w = begin();
    w.sync_ok();
    let steps = w.fuse.borrow().steps;
    let mut most = 0;
    for step in (1..=steps).step_by(47) {
        let mut w = begin();
        w.sync_cut(step);
        most = most.max(w.state.uploads_in_doubt().unwrap().len());
    }
    // What was not sent when the run was cut is not in doubt.
    assert!((490..=500).contains(&most), "{most}");
}
