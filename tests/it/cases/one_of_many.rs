//! What fails in one mailbox stops nothing in the others: not in the same run either.

use super::*;

const NAMES: [&str; 3] = ["A", "B", "C"];

/// Where messages of a mailbox are moved to.
fn to(name: &MailboxName) -> MailboxName {
    mb(&format!("T/{name}"))
}

/// Three mailboxes of two messages each.
fn three() -> TwoSides {
    let mut w = TwoSides::new();
    for name in NAMES {
        w.remote.create(&mb(name));
        w.remote.create(&to(&mb(name)));
        for number in 1..=2 {
            let body = format!("Message-ID: <{number}@{name}>\r\n\r\n{number}");
            w.remote.add(&mb(name), body.as_bytes(), seen());
        }
    }
    w.sync_ok();
    w
}

/// In each of them the same happens.
fn everywhere(w: &mut TwoSides, act: &dyn Fn(&mut TwoSides, &MailboxName)) {
    for name in NAMES {
        act(w, &mb(name));
    }
}

/// The mailboxes that are the same on both sides.
fn in_step(w: &TwoSides) -> usize {
    let (remote, local) = (w.remote.view(), w.local.view());
    let same = |name: &&&str| remote.get(**name) == local.get(**name);
    NAMES.iter().filter(same).count()
}

/// How often a side was asked for all of its mailboxes, or made durable what was done in them: who
/// fails there fails as a whole.
pub(super) fn whole(w: &TwoSides) -> u32 {
    let local = w.local.inner.borrow();
    w.remote.inner.borrow().counts.lists + local.counts.lists + local.counts.settles
}

/// Each step fails once, as one mailbox does that is not to be had.
/// What vanished may lie in the one that cannot be seen, and `waits` then.
fn others_go_on(what: &str, waits: bool, act: &dyn Fn(&mut TwoSides, &MailboxName)) {
    let mut w = three();
    everywhere(&mut w, act);
    assert_eq!(in_step(&w), 0, "{what}");
    let (before, all) = (w.fuse.borrow().steps, whole(&w));
    w.sync_ok();
    let (steps, all) = (w.fuse.borrow().steps - before, whole(&w) - all);
    assert_eq!(in_step(&w), 3, "{what}");
    let whole_bodies = w.bodies();
    let mut halted = 0;
    for step in each_step(steps) {
        let mut w = three();
        everywhere(&mut w, act);
        let report = w.sync_failing(step, StoreError::Mailbox("it is not to be had".into()));
        halted += u32::from(report.halted.is_some());
        let went_on = report.halted.is_some() || waits || in_step(&w) >= 2;
        assert!(went_on, "{what}: step {step} of {steps}: {report:?}");
        w.sync_ok();
        let how = format!("{what}: step {step} of {steps}");
        assert_eq!(in_step(&w), 3, "{how}");
        assert_at_end(&mut w, &whole_bodies, &how);
    }
    assert!(
        halted <= all,
        "{what}: {halted} of {steps} steps end the run"
    );
}

fn flagged(flags: &mut Flags) {
    flags.insert(Flagged);
}

#[test]
fn flags() {
    others_go_on("flags there", false, &|w, name| {
        let uid = w.remote.ids(name)[0];
        w.remote.edit(name, &uid, flagged);
    });
    others_go_on("flags here", false, &|w, name| {
        let file = w.local.ids(name).remove(0);
        w.local.edit(name, &file, flagged);
    });
}

#[test]
fn deletions() {
    others_go_on("deleted there", true, &|w, name| {
        let uid = w.remote.ids(name)[0];
        w.remote.delete(name, &uid);
    });
    others_go_on("deleted here", true, &|w, name| {
        let file = w.local.ids(name).remove(0);
        w.local.delete(name, &file);
    });
}

#[test]
fn new_messages() {
    let body = |name: &MailboxName| format!("Message-ID: <new@{name}>\r\n\r\n1");
    others_go_on("new there", false, &|w, name| {
        w.remote.add(name, body(name).as_bytes(), seen());
    });
    others_go_on("new here", false, &|w, name| {
        w.local.add(name, body(name).as_bytes(), seen());
    });
    others_go_on("the same on both sides", false, &|w, name| {
        w.remote.add(name, body(name).as_bytes(), seen());
        w.local.add(name, body(name).as_bytes(), Flags::default());
    });
    others_go_on("copied there", false, &|w, name| {
        let uid = w.remote.ids(name)[0];
        w.remote.copy(name, &uid, name);
    });
}

#[test]
fn moves() {
    others_go_on("moved there", true, &|w, name| {
        let uid = w.remote.ids(name)[0];
        w.remote.shift(name, &uid, &to(name));
    });
    others_go_on("moved here", true, &|w, name| {
        let file = w.local.ids(name).remove(0);
        w.local.shift(name, &file, &to(name));
    });
}

/// What left one mailbox may have come into another that cannot be seen now.
#[test]
fn what_moved_to_where_it_cannot_be_seen_is_not_deleted() {
    let there = |w: &mut TwoSides| {
        let uid = w.remote.ids(&mb("A"))[0];
        w.remote.shift(&mb("A"), &uid, &mb("B"));
    };
    let here = |w: &mut TwoSides| {
        let file = w.local.ids(&mb("A")).remove(0);
        w.local.shift(&mb("A"), &file, &mb("B"));
    };
    let acts: [fn(&mut TwoSides); 2] = [there, here];
    for (at, act) in acts.into_iter().enumerate() {
        let mut w = three();
        act(&mut w);
        let before = w.fuse.borrow().steps;
        w.sync_ok();
        for step in each_step(w.fuse.borrow().steps - before) {
            let mut w = three();
            act(&mut w);
            let failed = w.sync_failing(step, StoreError::Mailbox("not now".into()));
            let second = w.sync_ok();
            let third = w.sync_ok();
            let context = format!("{at}: step {step}: {failed:?}");
            for report in [failed, second, third] {
                assert_eq!(
                    report.counts.downloaded + report.counts.uploaded,
                    0,
                    "{context}"
                );
            }
            // A file may have come back out of quarantine.
            let quarantine = w.local.inner.borrow().quarantine.clone();
            assert!(quarantine.iter().all(Vec::is_empty), "{context}");
            w.assert_equal_sides(&context);
            w.sync_idle();
            w.assert_no_intent(&context);
        }
    }
}
