//! What a run looks into, and what it leaves alone.

use super::*;
use crate::support::memory::Act;
use mailtide::engine::Reach;
use mailtide::model::Scope;

/// So many steps a run takes; it changes nothing.
fn steps(w: &mut TwoSides) -> u32 {
    let before = w.fuse.borrow().steps;
    let report = w.sync_ok();
    assert_eq!(report.changes(), 0, "{report:?}");
    w.fuse.borrow().steps - before
}

/// Both listings, and what the disk has to settle.
const NOTHING: u32 = 3;

pub fn with_mailboxes() -> TwoSides {
    let mut w = base();
    for name in ["A", "B"] {
        w.remote.create(&mb(name));
        w.remote.add(&mb(name), b"Subject: n\r\n\r\n1", seen());
    }
    w.sync_ok();
    // What was fetched a moment ago is compared once more.
    w.now.set(w.now.get() + 1);
    w.sync_ok();
    w
}

#[test]
fn what_did_not_change_is_not_looked_into_for_a_day() {
    let mut w = with_mailboxes();
    assert_eq!(steps(&mut w), NOTHING);
    let now = w.now.get();
    w.options.reach = Reach::Everything(now + 1);
    let all = steps(&mut w);
    assert!(all >= NOTHING + 6, "{all}");
    w.options.reach = Reach::Due;
    // All were compared now, as of the next second; before and after that the clock may say what
    // it likes.
    for (later, want) in [
        (0, NOTHING),
        (86_400, NOTHING),
        (-86_398, NOTHING),
        (86_401, all),
        (-100_000, all),
    ] {
        let mut w = with_mailboxes();
        w.options.reach = Reach::Everything(now + 1);
        w.sync_ok();
        w.options.reach = Reach::Due;
        w.now.set(now + later);
        assert_eq!(steps(&mut w), want, "{later} seconds later");
        assert_eq!(steps(&mut w), NOTHING, "{later} seconds later, again");
    }
}

#[test]
fn everything_is_what_was_not_compared_since() {
    let mut w = with_mailboxes();
    let now = w.now.get();
    w.options.reach = Reach::Everything(now);
    w.sync_ok();
    for (since, compared) in [(now, 0), (now + 1, 3)] {
        w.options.reach = Reach::Everything(since);
        assert_eq!(w.sync_ok().counts.compared, compared, "since {since}");
    }
    // Compared at a time that is still to come.
    w.now.set(now - 10);
    w.options.reach = Reach::Everything(now - 20);
    assert_eq!(w.sync_ok().counts.compared, 3);
}

/// A large account that is compared as a whole is never in memory as a whole.
#[test]
fn what_is_as_it_was_recorded_is_not_kept_in_mind() {
    let compared = |act: &dyn Fn(&mut TwoSides)| {
        let mut w = with_mailboxes();
        act(&mut w);
        w.now.set(w.now.get() + 100_000);
        let read = |w: &TwoSides| {
            let (here, there) = (w.local.inner.borrow(), w.remote.inner.borrow());
            here.counts.known + there.counts.known
        };
        let before = read(&w);
        let report = w.sync_ok();
        let known = read(&w) - before;
        assert_eq!(w.sync_ok().counts.compared, 0, "all were compared");
        (report.counts.compared, report.counts.drift, known)
    };
    assert_eq!(compared(&|_| ()), (3, 0, 0));
    // A change there that had been missed.
    let missed = |w: &mut TwoSides| {
        let mut inner = w.remote.inner.borrow_mut();
        let a = inner.boxes.get_mut(&mb("A")).unwrap();
        a.messages
            .values_mut()
            .for_each(|m| m.flags = Flags::default());
    };
    let (compared_, drift, _) = compared(&missed);
    assert_eq!((compared_, drift), (3, 1));
}

#[test]
fn who_was_woken_looks_where_it_was_named() {
    let mut w = with_mailboxes();
    w.remote.inner.borrow_mut().deltas = false;
    let now = w.now.get();
    w.now.set(now + 100_000);
    for (scope, looks) in [
        (Scope::Nothing, 0),
        (Scope::of(mb("A")), 1),
        (Scope::of(mb("none")), 0),
        (Scope::Everywhere, 3),
    ] {
        w.options.reach = Reach::Woken(scope.clone());
        // A mailbox is looked at on disk and there.
        assert_eq!(steps(&mut w), NOTHING + 2 * looks, "{scope:?}");
    }
    w.options.reach = Reach::Woken(Scope::of(mb("A")));
    let b = w.local.ids(&mb("B"))[0].clone();
    w.local.edit(&mb("B"), &b, |flags| flags.insert(Flagged));
    assert_eq!(w.sync_ok().counts.flags_remote, 1, "what changed on disk");
}

/// Where a refused message waits for its time, the mailbox is looked at when it has come.
#[test]
fn what_waits_is_looked_at_in_its_time() {
    let mut w = with_mailboxes();
    let body = b"Subject: bad\r\n\r\n1".to_vec();
    w.remote.inner.borrow_mut().refuses.insert(body.clone());
    w.local.add(&mb("A"), &body, Flags::default());
    assert!(!w.sync().ok());
    let before = w.fuse.borrow().steps;
    assert!(!w.sync().ok());
    assert_eq!(w.fuse.borrow().steps - before, NOTHING);
    w.remote.inner.borrow_mut().refuses.clear();
    w.now.set(w.now.get() + 3601);
    w.options.reach = Reach::Woken(Scope::Nothing);
    assert_eq!(w.sync_ok().counts.uploaded, 1);
}

/// New mail is what comes, unread, into a mailbox that was compared as a whole before.
#[test]
fn what_comes_is_new_where_the_mailbox_was_known() {
    let mut w = base();
    w.remote.create(&mb("A"));
    w.remote
        .add(&mb("A"), b"Subject: n\r\n\r\n1", Flags::default());
    w.remote
        .add(&inbox(), b"Subject: n\r\n\r\n2", Flags::default());
    w.remote.add(&inbox(), b"Subject: n\r\n\r\n3", seen());
    let report = w.sync_ok();
    assert_eq!(report.counts.downloaded, 3);
    let arrived: Vec<_> = report.arrived.into_iter().collect();
    assert_eq!(arrived, [(inbox(), 1)]);
}

/// Messages that were moved out of a mailbox do not count when it is deleted.
#[test]
fn what_was_moved_out_does_not_die_with_its_mailbox() {
    for side in [Side::Remote, Side::Local] {
        let mut w = with_mailboxes();
        for number in 0..40 {
            let body = format!("Subject: {number}\r\n\r\n{number}");
            w.remote.add(&mb("A"), body.as_bytes(), seen());
        }
        w.sync_ok();
        match side {
            Side::Remote => {
                for id in w.remote.ids(&mb("A")) {
                    w.remote.shift(&mb("A"), &id, &mb("B"));
                }
                w.remote.inner.borrow_mut().boxes.remove(&mb("A"));
            }
            Side::Local => {
                for id in w.local.ids(&mb("A")) {
                    w.local.shift(&mb("A"), &id, &mb("B"));
                }
                w.local.inner.borrow_mut().boxes.remove(&mb("A"));
            }
        }
        let report = w.sync_ok();
        assert_eq!(
            report.counts.moved_local + report.counts.moved_remote,
            41,
            "{report:?}"
        );
        w.assert_equal_sides("moved out");
    }
}

/// A mailbox that fails is named and passed over; the others are worked on.
#[test]
fn a_mailbox_that_fails_stops_no_other() {
    for at in 3..=8 {
        let mut w = with_mailboxes();
        for name in ["A", "B"] {
            let id = w.remote.ids(&mb(name))[0];
            w.remote.edit(&mb(name), &id, |flags| flags.insert(Flagged));
        }
        flag(&mut w, Some(Flagged), None);
        let report = w.sync_failing(at, StoreError::Mailbox("this one failed".into()));
        assert!(report.counts.flags_local >= 2, "step {at}: {report:?}");
        let w2 = w.sync();
        assert!(w2.ok(), "{w2:?}");
        w.assert_equal_sides("in the end");
    }
}

/// A directory whose time stamp moved, and in which all is as it was, is nothing to ask about.
#[test]
fn what_was_only_touched_on_disk_is_not_looked_at_there() {
    let mut w = with_mailboxes();
    let id = w.local.ids(&mb("A"))[0].clone();
    w.local.edit(&mb("A"), &id, |flags| flags.insert(Flagged));
    w.local.edit(&mb("A"), &id, |flags| *flags = seen());
    assert_eq!(steps(&mut w), NOTHING + 1, "the look at the disk");
    assert_eq!(steps(&mut w), NOTHING);
    // What waits for its time is asked for.
    let mut w = with_mailboxes();
    let key = *w.state.mailboxes().unwrap().get(&mb("A")).unwrap();
    w.state
        .begin_uploads(key, &[MaildirId::new("gone")], 9, w.now.get())
        .unwrap();
    let id = w.local.ids(&mb("A"))[0].clone();
    w.local.edit(&mb("A"), &id, |flags| flags.insert(Flagged));
    w.local.edit(&mb("A"), &id, |flags| *flags = seen());
    assert!(steps(&mut w) > NOTHING + 1, "the upload is looked for");
}

/// Where only the disk changed, and as it was planned, nothing is asked again.
#[test]
fn what_only_came_here_takes_one_pass() {
    fn new_there(w: &mut TwoSides) {
        w.remote.add(&mb("A"), b"Subject: k\r\n\r\n1", seen());
    }
    fn new_here(w: &mut TwoSides) {
        w.local.add(&mb("A"), b"Subject: k\r\n\r\n1", seen());
    }
    let passes = |act: fn(&mut TwoSides)| {
        let mut w = with_mailboxes();
        act(&mut w);
        let before = w.remote.inner.borrow().counts.lists;
        assert_eq!(w.sync_ok().changes(), 1);
        let passes = w.remote.inner.borrow().counts.lists - before;
        w.sync_idle();
        passes
    };
    assert_eq!(passes(new_there), 1);
    assert_eq!(passes(|w| flag(w, Some(Flagged), None)), 1);
    assert_eq!(passes(|w| gone(w, Side::Remote)), 1);
    assert_eq!(passes(new_here), 2);
    assert_eq!(passes(|w| flag(w, None, Some(Flagged))), 2);
}

/// A mailbox whose first sync was cut holds no new mail yet.
#[test]
fn what_a_first_sync_brings_is_not_new_even_if_it_was_cut() {
    let begin = || {
        let w = base();
        w.remote.create(&mb("A"));
        for body in [b"Subject: n\r\n\r\n1", b"Subject: n\r\n\r\n2"] {
            w.remote.add(&mb("A"), body, Flags::default());
        }
        let before = w.fuse.borrow().steps;
        (w, before)
    };
    let (mut w, before) = begin();
    w.sync_ok();
    let steps = w.fuse.borrow().steps - before;
    for cut in each_step(steps) {
        let (mut w, _) = begin();
        w.sync_cut(cut);
        let report = w.sync_ok();
        assert!(report.arrived.is_empty(), "step {cut}: {report:?}");
        w.remote
            .add(&mb("A"), b"Subject: n\r\n\r\n3", Flags::default());
        let arrived: Vec<_> = w.sync_ok().arrived.into_iter().collect();
        assert_eq!(arrived, [(mb("A"), 1)], "step {cut}");
    }
}

#[test]
fn a_run_that_is_to_stop_does_nothing_more() {
    let mut w = with_mailboxes();
    flag(&mut w, Some(Flagged), None);
    w.stop.request();
    let before = w.fuse.borrow().steps;
    let report = w.sync();
    assert!(!report.ok() && report.changes() == 0, "{report:?}");
    assert_eq!(w.fuse.borrow().steps, before, "nobody is asked");
}

/// A run that is about some mailboxes leaves alone what is held of others, and only that.
#[test]
fn what_is_held_elsewhere_stays_held() {
    let mut w = with_mailboxes();
    for name in ["A", "B"] {
        for n in 0..40 {
            let body = format!("Subject: {name}{n}\r\n\r\n");
            w.remote.add(&mb(name), body.as_bytes(), seen());
        }
    }
    w.sync_ok();
    for name in ["A", "B"] {
        for id in w.local.ids(&mb(name)) {
            w.local.delete(&mb(name), &id);
        }
    }
    let held = |w: &TwoSides| -> Vec<String> {
        let rows = w.state.held().unwrap().into_iter();
        rows.map(|row| row.mailbox).collect()
    };
    assert_eq!(w.sync().held.len(), 2);
    assert_eq!(held(&w).len(), 2);
    // What led to it in A is taken back.
    w.options.only = vec!["A".into()];
    for n in 0..40 {
        let body = format!("Subject: A{n}\r\n\r\n");
        w.local.add(&mb("A"), body.as_bytes(), seen());
    }
    w.sync();
    assert_eq!(held(&w), ["B"]);
}

/// Only what was compared as a whole on both sides counts as compared.
#[test]
fn a_disk_that_is_listed_is_no_server_that_was_compared() {
    let mut w = base();
    w.local.inner.borrow_mut().deltas = false;
    let key = w.state.mailboxes().unwrap()[&inbox()];
    let compared = w.state.full_at(key).unwrap();
    w.now.set(w.now.get() + 3600);
    flag(&mut w, Some(Flagged), None);
    assert_eq!(w.sync_ok().counts.flags_local, 1);
    assert_eq!(w.state.full_at(key).unwrap(), compared);
}

/// What happened during a long pass is not left to the next run.
#[test]
fn a_pass_that_took_long_is_followed_by_another() {
    let passes = |seconds: i64| {
        let mut w = base();
        w.remote.add(&inbox(), b"Subject: k\r\n\r\n1", seen());
        let (now, before) = (w.now.clone(), w.remote.inner.borrow().counts.lists);
        let takes = move || now.set(now.get() + seconds);
        let at = w.fuse.borrow().steps + 3;
        w.fuse.borrow_mut().act_at = Some((at, Act(Box::new(takes))));
        w.sync_ok();
        w.remote.inner.borrow().counts.lists - before
    };
    assert_eq!((passes(29), passes(30), passes(31)), (1, 2, 2));
}

/// What comes together is published together: each time waits for the disk.
#[test]
fn mail_of_several_mailboxes_is_published_at_once() {
    // INBOX, which was there before, and then the others.
    let w = with_mailboxes();
    assert_eq!(w.local.inner.borrow().counts.published, 2);
}
