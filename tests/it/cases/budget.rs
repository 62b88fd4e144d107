//! Limits over a day: deletions in small portions, approvals, messages that lie elsewhere, the
//! clock, and uploads to a server that knows nothing.

use super::mailboxes::with_a;
use super::*;
use crate::support::memory::Memory;

const DAY: i64 = 24 * 3600;

fn body(n: usize) -> Vec<u8> {
    format!("Subject: m{n}\r\n\r\n{n}\r\n").into_bytes()
}

/// Mailboxes with so many messages each, in step.
fn holding(boxes: usize, each: usize) -> TwoSides {
    let mut w = base();
    for b in 0..boxes {
        w.remote.create(&mb(&format!("M{b:02}")));
        for n in 0..each {
            let name = mb(&format!("M{b:02}"));
            w.remote.add(&name, &body(b * 1000 + n), seen());
        }
    }
    w.sync_ok();
    w
}

/// Deletes the first messages of a mailbox on one side.
fn delete(w: &TwoSides, side: Side, name: &MailboxName, count: usize) {
    match side {
        Side::Remote => w.remote.ids(name).iter().take(count).for_each(|id| {
            w.remote.delete(name, id);
        }),
        Side::Local => w.local.ids(name).iter().take(count).for_each(|id| {
            w.local.delete(name, id);
        }),
    }
}

fn left(w: &TwoSides, side: Side, name: &MailboxName) -> usize {
    match side {
        Side::Remote => w.remote.ids(name).len(),
        Side::Local => w.local.ids(name).len(),
    }
}

fn kinds(report: &mailtide::engine::Report) -> Vec<&'static str> {
    report.held.iter().map(|held| held.kind.name()).collect()
}

#[test]
fn deletions_one_by_one_are_held_like_all_at_once() {
    for side in Side::BOTH {
        for portion in [1, 7] {
            let (mut w, name) = (holding(1, 150), mb("M00"));
            let mut report = w.sync();
            while left(&w, side, &name) > 0 {
                delete(&w, side, &name, portion);
                w.now.set(w.now.get() + 1);
                report = w.sync();
            }
            assert_eq!(
                left(&w, side.other(), &name),
                150 - 25 / portion * portion,
                "{side}"
            );
            assert_eq!(kinds(&report), ["emptied-mailbox"], "{side}");
        }
    }
}

#[test]
fn a_small_mailbox_is_not_emptied_one_by_one() {
    let (mut w, name) = (holding(1, 11), mb("M00"));
    for n in 1..=11 {
        delete(&w, Side::Local, &name, 1);
        let held = kinds(&w.sync());
        assert_eq!(
            held,
            if n < 11 {
                vec![]
            } else {
                vec!["emptied-mailbox"]
            }
        );
    }
    assert_eq!(left(&w, Side::Remote, &name), 1);
}

#[test]
fn an_inbox_of_few_messages_may_be_emptied_many_times_a_day() {
    let mut w = base();
    for n in 0..20 {
        w.remote.add(&inbox(), &body(n), seen());
        w.sync_ok();
        let id = w
            .local
            .ids(&inbox())
            .into_iter()
            .find(|id| w.local.inner.borrow().boxes[&inbox()].messages[id].body == body(n));
        w.local.delete(&inbox(), &id.unwrap());
        w.sync_ok();
    }
    assert_eq!(w.remote.ids(&inbox()).len(), 2);
}

#[test]
fn many_small_mailboxes_do_not_get_around_the_limit_of_the_account() {
    for side in Side::BOTH {
        let mut w = holding(120, 10);
        for b in 0..120 {
            delete(&w, side, &mb(&format!("M{b:02}")), 9);
            if b % 10 == 9 {
                w.sync();
            }
        }
        let gone: usize = (0..120)
            .map(|b| 10 - left(&w, side.other(), &mb(&format!("M{b:02}"))))
            .sum();
        assert!(gone <= 500, "{gone} of 1080 went to the {side} side");
        assert_eq!(kinds(&w.sync()), ["mass-deletion-account"]);
    }
}

#[test]
fn most_of_a_small_account_is_held() {
    let mut w = holding(6, 9);
    for b in 0..6 {
        delete(&w, Side::Local, &mb(&format!("M{b:02}")), 9);
        w.sync();
    }
    assert_eq!(kinds(&w.sync()), ["mass-deletion-account"]);
    let there: usize = (0..6)
        .map(|b| left(&w, Side::Remote, &mb(&format!("M{b:02}"))))
        .sum();
    assert!(there >= 27, "{there} of 54 are left");
}

#[test]
fn small_mailboxes_deleted_one_by_one_are_held() {
    let mut w = holding(8, 3);
    for b in 0..4 {
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .remove(&mb(&format!("M{b:02}")));
        let held = kinds(&w.sync());
        assert_eq!(
            held,
            if b < 3 {
                vec![]
            } else {
                vec!["many-mailboxes-gone"]
            }
        );
    }
    assert_eq!(w.local.names().len(), 6);
    w.now.set(w.now.get() + DAY);
    w.sync_ok();
    assert_eq!(
        w.local.names().len(),
        5,
        "a day later there is a new budget"
    );
}

#[test]
fn a_mailbox_that_is_renamed_keeps_its_budget() {
    let mut w = holding(1, 100);
    delete(&w, Side::Local, &mb("M00"), 25);
    w.sync_ok();
    w.local.rename(&mb("M00"), &mb("N"));
    w.sync_ok();
    delete(&w, Side::Local, &mb("N"), 1);
    assert_eq!(kinds(&w.sync()), ["mass-deletion"]);
}

#[test]
fn marks_one_by_one_count() {
    let (mut w, name) = (holding(1, 100), mb("M00"));
    let ids = w.local.ids(&name);
    for id in ids.iter().take(25) {
        w.local.edit(&name, id, |flags| flags.insert(Deleted));
        w.sync_ok();
    }
    w.local.edit(&name, &ids[25], |flags| flags.insert(Deleted));
    assert_eq!(kinds(&w.sync()), ["mass-deletion"]);
    // What was marked and goes is the same message: it counts once.
    w.local.edit(&name, &ids[25], |flags| *flags = seen());
    delete(&w, Side::Local, &name, 1);
    w.sync_ok();
}

#[test]
fn thirty_a_day_of_a_large_mailbox_are_never_held() {
    let (mut w, name) = (holding(1, 400), mb("M00"));
    for day in 0..4 {
        for _ in 0..30 {
            delete(&w, Side::Local, &name, 1);
            w.now.set(w.now.get() + 20);
            w.sync_ok();
        }
        w.now.set(w.now.get() + DAY);
        assert_eq!(left(&w, Side::Remote, &name), 400 - 30 * (day + 1));
    }
}

#[test]
fn a_step_of_the_clock_gives_no_new_budget() {
    for step in [60 * DAY, -60 * DAY, -30, 9000 * DAY] {
        let (mut w, name) = (holding(1, 100), mb("M00"));
        for _ in 0..3 {
            delete(&w, Side::Remote, &name, 25);
            w.sync();
            w.now.set(w.now.get() + step);
        }
        assert_eq!(left(&w, Side::Local, &name), 75, "{step}");
        assert_eq!(kinds(&w.sync()), ["mass-deletion"], "{step}");
    }
}

#[test]
fn a_budget_outlasts_a_state_that_starts_over() {
    let (mut w, name) = (holding(1, 100), mb("M00"));
    delete(&w, Side::Local, &name, 25);
    w.sync_ok();
    w.state.start_over(9).unwrap();
    w.sync_ok();
    delete(&w, Side::Local, &name, 1);
    assert_eq!(kinds(&w.sync()), ["mass-deletion"]);
}

#[test]
fn an_approval_lets_nothing_else_go() {
    let mut w = holding(12, 60);
    delete(&w, Side::Local, &mb("M00"), 40);
    let id = w.sync().held[0].id.clone();
    assert!(w.state.approve(&id).unwrap());
    w.policy.limits.account = 200;
    for b in 1..12 {
        delete(&w, Side::Local, &mb(&format!("M{b:02}")), 20);
    }
    let report = w.sync();
    assert_eq!(report.counts.deleted_remote, 40, "what was approved");
    assert_eq!(kinds(&report), ["mass-deletion-account"]);
    // It is over, and counts against nothing.
    delete(&w, Side::Local, &mb("M00"), 15);
    let report = w.sync();
    assert_eq!(
        (report.counts.deleted_remote, report.held[0].count),
        (0, 235)
    );
}

#[test]
fn what_was_approved_goes_on_after_a_cut() {
    let prepare = || {
        let mut w = holding(1, 60);
        delete(&w, Side::Local, &mb("M00"), 40);
        let id = w.sync().held[0].id.clone();
        assert!(w.state.approve(&id).unwrap());
        w
    };
    let mut w = prepare();
    let before = w.fuse.borrow().steps;
    w.sync_ok();
    let steps = w.fuse.borrow().steps - before;
    for cut in each_step(steps) {
        let mut w = prepare();
        w.sync_cut(cut);
        let report = w.sync();
        let asked = report.held.len();
        assert!(
            asked == 0 || left(&w, Side::Remote, &mb("M00")) == 60,
            "cut at {cut}"
        );
        for held in report.held {
            w.state.approve(&held.id).unwrap();
        }
        w.sync_ok();
        w.assert_equal_sides(&format!("cut at {cut}"));
        w.sync_idle();
    }
}

#[test]
fn deletions_that_are_cut_count_once() {
    let prepare = || {
        let w = holding(1, 60);
        delete(&w, Side::Local, &mb("M00"), 20);
        w
    };
    let mut w = prepare();
    let before = w.fuse.borrow().steps;
    w.sync_ok();
    let steps = w.fuse.borrow().steps - before;
    for cut in each_step(steps) {
        let mut w = prepare();
        w.sync_cut(cut);
        w.sync_ok();
        delete(&w, Side::Local, &mb("M00"), 5);
        w.sync_ok();
        delete(&w, Side::Local, &mb("M00"), 1);
        assert_eq!(kinds(&w.sync()), ["mass-deletion"], "cut at {cut}");
    }
}

/// As mutt files: it copies, and deletes the original.
#[test]
fn filed_messages_are_never_held() {
    for side in Side::BOTH {
        for steps in [1, 2, 30] {
            let (mut w, name, to) = (holding(1, 300), mb("M00"), mb("A"));
            w.remote.create(&to);
            w.local.create(&to);
            w.sync_ok();
            let file = |w: &TwoSides| match side {
                Side::Remote => each_copied(&w.remote, &name, &to),
                Side::Local => each_copied(&w.local, &name, &to),
            };
            file(&w);
            if steps > 1 {
                w.sync_ok();
            }
            for _ in 0..steps {
                delete(&w, side, &name, 300 / steps);
                w.sync_ok();
            }
            delete(&w, side, &name, 300);
            w.sync_ok();
            w.assert_equal_sides("filed");
            assert_eq!((left(&w, side, &name), left(&w, side, &to)), (0, 300));
            // None of that counts.
            delete(&w, side, &to, 25);
            w.sync_ok();
        }
    }
}

fn each_copied<I: crate::support::memory::MemoryId>(
    side: &Memory<I>,
    from: &MailboxName,
    to: &MailboxName,
) {
    for id in side.ids(from) {
        side.copy(from, &id, to);
    }
}

/// Both copies go: then the message is deleted.
#[test]
fn copies_that_go_together_count() {
    let (mut w, a, b) = (holding(2, 60), mb("M00"), mb("M01"));
    each_copied(&w.remote, &a, &b);
    w.sync_ok();
    delete(&w, Side::Remote, &a, 60);
    delete(&w, Side::Remote, &b, 120);
    assert_eq!(kinds(&w.sync()), ["emptied-mailbox", "emptied-mailbox"]);
}

#[test]
fn a_mailbox_whose_mail_was_filed_before_may_go() {
    let (mut w, name, to) = (holding(1, 40), mb("M00"), mb("A"));
    w.local.create(&to);
    each_copied(&w.local, &name, &to);
    w.sync_ok();
    w.local.inner.borrow_mut().boxes.remove(&name);
    w.sync_ok();
    w.assert_equal_sides("filed, and its mailbox is gone");
}

/// So much mail on disk, and another message on the server.
fn own_mail(messages: usize) -> TwoSides {
    let w = TwoSides::new();
    w.local.create(&mb("Own"));
    for n in 0..messages {
        w.local.add(&mb("Own"), &body(n), seen());
    }
    w.remote.add(&inbox(), OTHER, seen());
    w
}

#[test]
fn uploads_to_a_server_that_knows_nothing_are_held() {
    let mut w = own_mail(11);
    for _ in 0..2 {
        let report = w.sync();
        assert_eq!(kinds(&report), ["mass-upload"], "{:?}", report.errors);
        assert_eq!((report.held[0].count, report.counts.uploaded), (11, 0));
        assert_eq!(w.remote.names().len(), 1, "nothing is created there");
        assert_eq!(w.local.ids(&inbox()).len(), 1, "mail comes all the same");
    }
    let id = w.state.held().unwrap()[0].id.clone();
    assert!(w.state.approve(&id).unwrap());
    // More mail does not end what was said of the server.
    w.local.add(&mb("Own"), &body(100), seen());
    assert_eq!(w.sync_ok().counts.uploaded, 12);
    w.assert_equal_sides("approved");
    assert!(w.state.held().unwrap().is_empty());
    w.sync_idle();
}

#[test]
fn a_few_uploads_and_those_to_a_known_server_are_not_held() {
    let mut w = own_mail(10);
    assert_eq!(w.sync_ok().counts.uploaded, 10);
    for n in 1000..1300 {
        w.local.add(&inbox(), &body(n), seen());
    }
    assert_eq!(w.sync_ok().counts.uploaded, 300);
    let mut w = own_mail(40);
    w.remote.create(&mb("Own"));
    for n in 0..36 {
        w.remote.add(&mb("Own"), &body(n), seen());
    }
    assert_eq!(w.sync_ok().counts.uploaded, 4);
}

#[test]
fn approved_uploads_that_are_cut_go_on() {
    let prepare = || {
        let mut w = own_mail(20);
        let id = w.sync().held[0].id.clone();
        assert!(w.state.approve(&id).unwrap());
        w
    };
    let mut w = prepare();
    let before = w.fuse.borrow().steps;
    w.sync_ok();
    let steps = w.fuse.borrow().steps - before;
    for cut in each_step(steps) {
        let mut w = prepare();
        w.sync_cut(cut);
        w.sync();
        w.assert_equal_sides(&format!("cut at {cut}"));
        w.sync_idle();
        assert!(w.state.held().unwrap().is_empty(), "cut at {cut}");
    }
}

/// A message that is refused for good does not keep a new configuration unknown.
#[test]
fn a_standing_error_does_not_hold_deletions_for_ever() {
    let mut w = with_a();
    w.options.config = "other".into();
    w.local.add(&inbox(), b"Subject: bad\r\n\r\n", seen());
    w.remote
        .inner
        .borrow_mut()
        .refuses
        .insert(b"Subject: bad\r\n\r\n".to_vec());
    let report = w.sync();
    assert!(!report.ok() && report.held.is_empty(), "{report:?}");
    delete(&w, Side::Remote, &mb("A"), 1);
    let report = w.sync();
    assert_eq!((report.counts.deleted_local, report.held.len()), (1, 0));
}

/// What vanished may be what cannot be looked at; after a day it is deleted all the same, and its
/// bytes are kept.
#[test]
fn deletions_wait_a_day_for_what_cannot_be_looked_at() {
    let mut w = with_a();
    w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    let dim = |w: &TwoSides, dim: bool| {
        w.local
            .inner
            .borrow_mut()
            .boxes
            .get_mut(&mb("A"))
            .unwrap()
            .dim = dim;
    };
    dim(&w, true);
    w.sync();
    delete(&w, Side::Local, &inbox(), 1);
    let gone = |w: &TwoSides| 2 - w.remote.ids(&inbox()).len();
    w.now.set(w.now.get() + DAY - 60);
    w.sync();
    assert_eq!(gone(&w), 0);
    w.now.set(w.now.get() + 60);
    w.sync();
    assert_eq!(gone(&w), 1);
    assert_eq!(w.quarantined().len(), 1);
    dim(&w, false);
    w.sync_ok();
    w.assert_equal_sides("it was looked at");
    w.sync_idle();
}

/// The same of a mailbox that fails.
#[test]
fn deletions_wait_a_day_for_a_mailbox_that_fails() {
    let (mut waited, mut went) = (0, 0);
    for step in 1..=30 {
        let mut w = with_a();
        delete(&w, Side::Local, &inbox(), 1);
        w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
        let fails =
            |w: &mut TwoSides| w.sync_failing(step, StoreError::Mailbox("this one failed".into()));
        let report = fails(&mut w);
        if !report
            .notes
            .iter()
            .any(|note| note.contains("deletions postponed"))
        {
            continue;
        }
        waited += 1;
        assert_eq!(report.counts.deleted_remote, 0, "step {step}");
        w.now.set(w.now.get() + DAY);
        let report = fails(&mut w);
        let failed = report
            .errors
            .iter()
            .any(|t| t.text.contains("this one failed"));
        went += report.counts.deleted_remote * usize::from(failed);
        w.sync_ok();
        w.assert_equal_sides(&format!("step {step}"));
    }
    assert!(waited > 0 && went > 0, "{waited} waited, {went} went");
}
