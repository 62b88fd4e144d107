//! What waits for the user, and the dry run that shows it.

use super::mailboxes::with_a;
use super::*;

fn many(count: usize) -> TwoSides {
    let mut w = base();
    for n in 0..count {
        w.remote.add(
            &inbox(),
            format!("Subject: m{n}\r\n\r\n").as_bytes(),
            Flags::default(),
        );
    }
    w.sync_ok();
    w
}

#[test]
fn guard_mass_deletion_is_held_and_runs_once_when_approved() {
    let mut w = many(60);
    let doomed: Vec<MaildirId> = w.local.ids(&inbox()).into_iter().take(40).collect();
    for id in &doomed {
        w.local.delete(&inbox(), id);
    }
    w.remote
        .add(&inbox(), b"Subject: new\r\n\r\n", Flags::default());
    let report = w.sync();
    assert_eq!(report.held.len(), 1);
    assert_eq!(
        (report.held[0].count, report.held[0].kind.name()),
        (40, "mass-deletion")
    );
    assert_eq!(report.counts.downloaded, 1, "the rest goes on");
    assert_eq!(w.remote.ids(&inbox()).len(), 63);
    let id = report.held[0].id.clone();
    // One more deletion: another plan, another id; the approval of the old one does not cover it.
    assert!(w.state.approve(&id).unwrap());
    let last = w.local.ids(&inbox())[0].clone();
    w.local.delete(&inbox(), &last);
    let again = w.sync();
    assert_eq!(again.held.len(), 1);
    assert_ne!(again.held[0].id, id);
    assert!(w.state.approve(&again.held[0].id).unwrap());
    assert_eq!(w.sync_ok().counts.deleted_remote, 41);
    w.assert_equal_sides("approved");
    assert!(w.state.held().unwrap().is_empty());
}

#[test]
fn a_rejected_deletion_brings_back_what_is_gone() {
    for side in [Side::Local, Side::Remote] {
        let mut w = many(60);
        for n in 0..40 {
            match side {
                Side::Local => {
                    let id = w.local.ids(&inbox())[n % 2].clone();
                    w.local.delete(&inbox(), &id);
                }
                Side::Remote => {
                    let id = w.remote.ids(&inbox())[n % 2];
                    w.remote.delete(&inbox(), &id);
                }
            }
        }
        let id = w.sync().held[0].id.clone();
        assert!(w.state.reject(&id).unwrap());
        let report = w.sync_ok();
        let brought = report.counts.downloaded + report.counts.uploaded + report.counts.moved_local;
        assert_eq!(
            (
                brought,
                report.counts.deleted_local + report.counts.deleted_remote
            ),
            (40, 0),
            "{side}"
        );
        assert_eq!(
            w.remote.ids(&inbox()).len(),
            w.local.ids(&inbox()).len(),
            "{side}"
        );
        w.assert_equal_sides("rejected");
        assert!(w.state.held().unwrap().is_empty());
        w.sync_idle();
    }
}

#[test]
fn a_rejected_wave_of_deletion_marks_is_taken_back() {
    let mut w = many(60);
    let all = w.local.ids(&inbox());
    for id in all.iter().take(40) {
        w.local
            .edit(&inbox(), id, |flags| flags.insert(SystemFlag::Deleted));
    }
    let held = w.sync().held;
    assert!(w.state.reject(&held[0].id).unwrap());
    w.sync_ok();
    w.assert_equal_sides("rejected");
    let view = w.local.view();
    assert!(
        view["INBOX"]
            .iter()
            .all(|(_, flags)| !flags.contains("Deleted")),
        "{view:?}"
    );
    w.sync_idle();
}

#[test]
fn a_rejected_deletion_of_a_mailbox_creates_it_again() {
    let mut w = many(5);
    let name = MailboxName::parse("Work").unwrap();
    w.remote.create(&name);
    for n in 0..15 {
        let body = format!("Subject: work {n}\r\n\r\n");
        w.remote.add(&name, body.as_bytes(), Flags::default());
    }
    w.sync_ok();
    w.local.inner.borrow_mut().boxes.remove(&name);
    let held = w.sync().held;
    assert_eq!(held[0].kind.name(), "emptied-mailbox");
    assert!(w.state.reject(&held[0].id).unwrap());
    w.sync_ok();
    assert_eq!(w.local.ids(&name).len(), 15);
    w.assert_equal_sides("rejected");
    w.sync_idle();
}

#[test]
fn guard_limits() {
    // At the limits nothing is held; one past them it is. (count, percent, before, deleted)
    for (before, deleted, held) in [
        (60, 25, false),
        (60, 26, true),
        (400, 40, false),
        (400, 41, true),
        (11, 11, true),
        (10, 10, false),
        (9000, 500, false),
        (9000, 501, true),
    ] {
        let mut w = many(before - 2);
        for id in w.remote.ids(&inbox()).into_iter().take(deleted) {
            w.remote.delete(&inbox(), &id);
        }
        let report = w.sync();
        assert_eq!(
            !report.held.is_empty(),
            held,
            "{deleted} of {before}: {:?}",
            report.held
        );
        let left = w.local.ids(&inbox()).len();
        assert_eq!(
            left,
            if held { before } else { before - deleted },
            "{deleted} of {before}"
        );
    }
}

#[test]
fn guard_a_wave_of_deleted_flags_counts() {
    let mut w = many(60);
    for id in w.remote.ids(&inbox()).into_iter().take(30) {
        w.remote.edit(&inbox(), &id, |flags| flags.insert(Deleted));
    }
    assert_eq!(w.sync().held[0].count, 30);
}

#[test]
fn guard_mailboxes_and_configuration() {
    let mut w = base();
    for n in 0..6 {
        w.remote.create(&mb(&format!("M{n}")));
    }
    w.sync_ok();
    for n in 0..4 {
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .remove(&mb(&format!("M{n}")));
    }
    assert_eq!(w.sync().held[0].kind.name(), "many-mailboxes-gone");
    assert_eq!(w.local.names().len(), 7);
    let mut w = with_a();
    w.options.config = "other".into();
    gone(&mut w, Side::Remote);
    let report = w.sync();
    assert_eq!(report.held[0].kind.name(), "configuration-changed");
    assert!(w.state.approve(&report.held[0].id).unwrap());
    assert_eq!(w.sync_ok().counts.deleted_local, 1);
    let ids = w.remote.ids(&mb("A"));
    w.remote.delete(&mb("A"), &ids[0]);
    assert_eq!(
        w.sync_ok().counts.deleted_local,
        1,
        "the new configuration is known by now"
    );
}

/// Mailboxes are renamed in a pass of their own, before it is known what is gone.
#[test]
fn guard_configuration_beside_a_renamed_mailbox() {
    let mut w = with_a();
    w.options.config = "other".into();
    w.remote.rename(&mb("A"), &mb("C"));
    gone(&mut w, Side::Remote);
    let report = w.sync();
    assert_eq!(report.counts.mailboxes_renamed_local, 1, "{report:?}");
    assert_eq!(report.held[0].kind.name(), "configuration-changed");
    assert!(w.state.approve(&report.held[0].id).unwrap());
    assert_eq!(w.sync_ok().counts.deleted_local, 1);
}

/// A word that was given holds until it is known whether what it is about is still to be done.
#[test]
fn guard_a_word_outlasts_a_pass_that_only_renames() {
    for approve in [true, false] {
        let mut w = with_a();
        w.options.config = "other".into();
        gone(&mut w, Side::Remote);
        let id = w.sync().held[0].id.clone();
        w.remote.rename(&mb("A"), &mb("C"));
        if approve {
            assert!(w.state.approve(&id).unwrap());
        } else {
            assert!(w.state.reject(&id).unwrap());
        }
        let report = w.sync_ok();
        assert_eq!(report.counts.mailboxes_renamed_local, 1, "{report:?}");
        let done = (report.counts.deleted_local, report.counts.uploaded);
        assert_eq!(done, if approve { (1, 0) } else { (0, 1) }, "{report:?}");
        w.assert_equal_sides("a word");
    }
}

#[test]
fn dry_run_shows_the_plan_and_writes_nothing() {
    let mut w = base();
    let made: Rc<Cell<u32>> = Rc::default();
    made.set(1);
    w.remote
        .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
    w.local.create(&mb("New"));
    w.local
        .add(&mb("New"), b"Subject: k\r\n\r\n1", Flags::default());
    gone(&mut w, Side::Local);
    w.options.dry_run = true;
    let (writes, rows) = (w.fuse.borrow().writes, w.state.writes());
    let plan = w.sync().plan.unwrap();
    assert_eq!((w.fuse.borrow().writes, w.state.writes()), (writes, rows));
    let lines: Vec<String> = plan
        .messages
        .iter()
        .flat_map(|(name, plan)| plan.actions.iter().map(move |a| format!("{name}: {a}")))
        .chain(plan.mailboxes.iter().map(ToString::to_string))
        .collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    w.options.dry_run = false;
    let report = w.sync_ok();
    assert_eq!(
        (
            report.counts.downloaded,
            report.counts.uploaded,
            report.counts.deleted_remote
        ),
        (1, 1, 1)
    );
    assert_eq!(report.counts.mailboxes_created_remote, 1);
}

/// What waits for a mailbox that cannot be looked into is in no plan, as it is not done either.
#[test]
fn dry_run_leaves_out_what_would_wait() {
    let mut waited = false;
    for step in 1..=30 {
        let mut w = with_a();
        gone(&mut w, Side::Local);
        w.local
            .add(&mb("A"), b"Subject: n\r\n\r\n1", Flags::default());
        w.options.dry_run = true;
        let report = w.sync_failing(step, StoreError::Mailbox("this one failed".into()));
        let Some(plan) = report.plan else {
            continue;
        };
        let mut actions = plan.messages.iter().flat_map(|(_, plan)| &plan.actions);
        let deletes = actions.any(|action| action.to_string().starts_with("delete"));
        if report
            .notes
            .iter()
            .any(|note| note.contains("deletions postponed"))
        {
            assert!(!deletes, "step {step}");
            waited = true;
        }
    }
    assert!(waited, "no step was that of a mailbox");
}
