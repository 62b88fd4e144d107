//! Messages whose bytes cannot be had when they are to be copied or kept: they are named, set aside
//! and tried again, and nothing else waits for them.

use super::*;
use crate::support::memory::Act;

const NEW: &[u8] = b"Subject: n\r\n\r\n1";

#[test]
fn a_new_message_whose_body_the_server_does_not_give() {
    let mut w = base();
    let bad = w.remote.add(&inbox(), NEW, seen());
    w.remote.add(&inbox(), b"Subject: o\r\n\r\n1", seen());
    w.remote.change(&inbox(), &bad, |m| m.broken = true);
    let report = w.sync();
    assert_eq!(report.counts.downloaded, 1, "the other one");
    let named = |text: &str| text.contains(&bad.to_string()) && text.contains("cannot be had");
    assert!(report.errors.iter().any(|t| named(&t.text)), "{report:?}");
    // It is named by each run, and asked for again after an hour.
    let report = w.sync();
    assert!(report.errors.iter().any(|t| named(&t.text)), "{report:?}");
    w.remote.change(&inbox(), &bad, |m| m.broken = false);
    assert_eq!(w.sync().counts.downloaded, 0, "too early");
    w.now.set(w.now.get() + 3600);
    assert_eq!(w.sync_ok().counts.downloaded, 1);
    w.assert_equal_sides("it could be read");
}

/// It is there, and nothing changes any more; another run asks for it all the same.
#[test]
fn a_new_message_that_the_server_passes_over_in_silence() {
    let mut w = base();
    w.remote.add(&inbox(), NEW, seen());
    w.remote.inner.borrow_mut().mute.insert(NEW.to_vec());
    assert_eq!(w.sync().counts.downloaded, 0);
    w.remote.inner.borrow_mut().mute.clear();
    assert_eq!(w.sync_ok().counts.downloaded, 1);
    w.assert_equal_sides("it was given");
}

/// What a side passed over is named by each run, changed or not.
#[test]
fn what_one_side_remarks_is_told_by_each_run() {
    for side in Side::BOTH {
        let mut w = base();
        let remarks = vec!["a pipe was passed over".to_owned()];
        match side {
            Side::Remote => {
                let mut inner = w.remote.inner.borrow_mut();
                inner.boxes.get_mut(&inbox()).unwrap().remarks = remarks;
            }
            Side::Local => {
                let mut inner = w.local.inner.borrow_mut();
                inner.boxes.get_mut(&inbox()).unwrap().remarks = remarks;
            }
        }
        flag(&mut w, Some(Answered), None);
        for run in 1..=3 {
            let report = w.sync();
            let told = |t: &mailtide::engine::report::Trouble| t.text.contains("a pipe");
            assert!(
                report.errors.iter().any(told),
                "{side}, run {run}: {report:?}"
            );
        }
    }
}

/// The file breaks at some step of the run that uploads it.
#[test]
fn a_file_that_cannot_be_read_when_it_is_to_be_uploaded() {
    let mut refused = 0;
    for step in 1..=20 {
        let mut w = base();
        let file = w.local.add(&inbox(), NEW, seen());
        let (local, bad) = (w.local.clone(), file.clone());
        let breaks = move || local.change(&inbox(), &bad, |m| m.broken = true);
        let at = w.fuse.borrow().steps + step;
        w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(breaks))));
        let report = w.sync();
        if report.counts.uploaded == 1 {
            continue;
        }
        let named = |text: &str| text.contains(&file.to_string()) && text.contains("cannot be had");
        refused += usize::from(report.errors.iter().any(|t| named(&t.text)));
        w.local.change(&inbox(), &file, |m| m.broken = false);
        w.local.edit(&inbox(), &file, |_| {});
        w.now.set(w.now.get() + 3600);
        assert_eq!(w.sync_ok().counts.uploaded, 1, "step {step}");
        w.assert_equal_sides("it could be read");
    }
    assert!(refused > 0, "the file is named");
}

/// The server does not give the body any more at some step of the run that deletes it.
#[test]
fn a_deleted_message_whose_body_cannot_be_kept_stays() {
    let mut named = 0;
    for step in 1..=20 {
        let mut w = base();
        let bad = uid(&w);
        for id in w.local.ids(&inbox()) {
            w.local.delete(&inbox(), &id);
        }
        let remote = w.remote.clone();
        let breaks = move || {
            if remote.ids(&inbox()).contains(&bad) {
                remote.change(&inbox(), &bad, |m| m.broken = true);
            }
        };
        let at = w.fuse.borrow().steps + step;
        w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(breaks))));
        let report = w.sync();
        let left = w.remote.ids(&inbox());
        assert!(left.is_empty() || left == [bad], "{left:?}");
        let says = |text: &str| text.contains(&bad.to_string()) && text.contains("cannot be kept");
        if !report.errors.iter().any(|t| says(&t.text)) {
            continue;
        }
        named += 1;
        assert_eq!(left, [bad], "step {step}");
        w.remote.change(&inbox(), &bad, |m| m.broken = false);
        w.remote.edit(&inbox(), &bad, |_| {});
        w.sync_ok();
        w.assert_equal_sides("it could be kept");
    }
    assert!(named > 0, "the message is named");
}

/// The disk would not say how long a file is: it may be what is gone elsewhere, so that is neither
/// deleted nor uploaded anew until it says so.
#[test]
fn a_file_that_cannot_be_looked_at_is_nothing_new() {
    for to in [inbox(), mb("A")] {
        let mut w = super::mailboxes::with_a();
        let before = show(&w.remote.view());
        let file = file(&w);
        let body = w.local.inner.borrow().boxes[&inbox()].messages[&file].clone();
        w.local.delete(&inbox(), &file);
        let dim = |w: &TwoSides, dim: bool| {
            let mut inner = w.local.inner.borrow_mut();
            inner.boxes.get_mut(&to).unwrap().dim = dim;
        };
        let mut inner = w.local.inner.borrow_mut();
        let b = inner.boxes.get_mut(&to).unwrap();
        b.put_as(MaildirId::new("renamed"), body);
        drop(inner);
        dim(&w, true);
        for _ in 0..2 {
            let report = w.sync();
            assert_eq!((report.counts.uploaded, report.changes()), (0, 0), "{to}");
            assert!(!report.ok(), "it is named");
            assert_eq!(show(&w.remote.view()), before, "{to}");
        }
        dim(&w, false);
        let report = w.sync_ok();
        assert_eq!(
            (report.counts.uploaded, report.counts.deleted_remote),
            (0, 0),
            "{to}"
        );
        w.assert_equal_sides("it was looked at");
        w.sync_idle();
    }
}

/// Meanwhile what is new there on the server meets it.
#[test]
fn a_file_that_cannot_be_looked_at_is_linked_with_its_like() {
    let mut w = base();
    w.local.add(&inbox(), NEW, seen());
    w.remote.add(&inbox(), NEW, seen());
    let mut inner = w.local.inner.borrow_mut();
    inner.boxes.get_mut(&inbox()).unwrap().dim = true;
    drop(inner);
    let report = w.sync();
    assert_eq!(
        (report.counts.uploaded, report.counts.downloaded),
        (0, 0),
        "{report:?}"
    );
    w.assert_equal_sides("linked");
}

/// The new file may be what vanished, so that waits for it, and nothing else does.
#[test]
fn a_new_file_that_cannot_be_read_concerns_itself_only() {
    let mut w = base();
    let locked = w.local.add(&inbox(), NEW, seen());
    w.local.inner.borrow_mut().locked.insert(NEW.to_vec());
    w.local.add(&inbox(), b"Subject: o\r\n\r\n2", seen());
    w.remote.add(&inbox(), b"Subject: p\r\n\r\n33", seen());
    flag(&mut w, Some(Answered), None);
    let report = w.sync();
    let done = (
        report.counts.downloaded,
        report.counts.uploaded,
        report.counts.flags_local,
    );
    assert_eq!(done, (1, 1, 1), "{report:?}");
    for _ in 0..2 {
        let report = w.sync();
        assert_eq!(report.changes(), 0, "{report:?}");
        let named = |t: &mailtide::engine::report::Trouble| t.text.contains(&locked.to_string());
        assert!(report.errors.iter().any(named), "{report:?}");
    }
    gone(&mut w, Side::Local);
    assert_eq!(
        w.sync().counts.deleted_remote,
        0,
        "it may be the locked one"
    );
    w.local.inner.borrow_mut().locked.clear();
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.uploaded, report.counts.deleted_remote),
        (1, 1),
        "{report:?}"
    );
    w.assert_equal_sides("all can be read");
    w.sync_idle();
}

#[test]
fn a_file_whose_name_cannot_grow_concerns_itself_only() {
    let mut w = base();
    w.local.inner.borrow_mut().fixed.insert(BODY.to_vec());
    for uid in w.remote.ids(&inbox()) {
        w.remote
            .edit(&inbox(), &uid, |flags| flags.insert(Answered));
    }
    let report = w.sync();
    assert_eq!(report.counts.flags_local, 1, "{report:?}");
    for _ in 0..2 {
        let report = w.sync();
        let named = |t: &mailtide::engine::report::Trouble| t.text.contains("too long");
        assert!(report.errors.iter().any(named), "{report:?}");
        let kept = |note: &String| note.contains("keep changing");
        assert!(!report.notes.iter().any(kept), "{report:?}");
        assert_eq!(report.changes(), 0, "{report:?}");
    }
    w.local.inner.borrow_mut().fixed.clear();
    w.sync_ok();
    w.assert_equal_sides("it could grow");
    w.sync_idle();
}
