//! Renames that have to be confirmed, and those that are refused.

use super::renames::begin;
use super::*;
use crate::support::memory::{Box_, Memory, MemoryId};

/// C in the memory of the server, to be put there under another name, with other mail.
fn taken(w: &TwoSides) -> Box_<Uid> {
    w.remote.inner.borrow_mut().boxes.remove(&mb("C")).unwrap()
}

/// INBOX, A, A/x, and C with so many messages; nothing that is all proves anything.
fn unproved(messages: u32) -> TwoSides {
    let mut w = begin();
    w.local.inner.borrow_mut().proves = false;
    let mut inner = w.remote.inner.borrow_mut();
    inner.boxes.get_mut(&mb("C")).unwrap().called = Some("C's");
    drop(inner);
    for number in 1..messages {
        let body = format!("Subject: c{number}\r\n\r\n{number}");
        w.remote.add(&mb("C"), body.as_bytes(), Flags::default());
    }
    w.sync_ok();
    w
}

/// A UIDVALIDITY is no proof: the messages must be the ones that were there.
#[test]
fn what_seems_to_be_renamed_there_is_asked_for_its_messages() {
    type Change = fn(&TwoSides, &mut Box_<Uid>);
    let acts: [(&str, Change, usize); 6] = [
        ("the same", |_, _| {}, 1),
        (
            "new mail",
            |w, b| {
                let message = w.remote.fresh(b"Subject: n\r\n\r\n1".to_vec(), seen(), 1);
                b.put_as(Uid::new(9).unwrap(), message);
            },
            1,
        ),
        (
            "one is another",
            |_, b| b.messages.values_mut().last().unwrap().body.push(b'x'),
            0,
        ),
        ("none", |_, b| b.messages.clear(), 0),
        ("another UIDVALIDITY", |_, b| b.uid_validity += 100, 0),
        ("it does not tell", |_, b| b.deaf = true, 0),
    ];
    for (name, act, want) in acts {
        let mut w = unproved(3);
        let mut other = taken(&w);
        act(&w, &mut other);
        w.remote.inner.borrow_mut().boxes.insert(mb("B"), other);
        let report = w.sync();
        assert_eq!(
            report.counts.mailboxes_renamed_local, want,
            "{name}: {report:?}"
        );
        assert!(report.halted.is_none(), "{name}: {report:?}");
        for b in w.remote.inner.borrow_mut().boxes.values_mut() {
            b.deaf = false;
        }
        w.sync_ok();
        w.assert_equal_sides(name);
        w.sync_idle();
    }
}

/// Those that are still there are enough.
#[test]
fn what_was_renamed_there_may_have_lost_messages() {
    let mut w = unproved(3);
    let last = w.remote.ids(&mb("C"))[2];
    w.remote.rename(&mb("C"), &mb("B"));
    w.remote.delete(&mb("B"), &last);
    let report = w.sync_ok();
    assert_eq!(
        (
            report.counts.mailboxes_renamed_local,
            report.counts.deleted_local
        ),
        (1, 1)
    );
    w.assert_equal_sides("fewer");
    w.sync_idle();
}

/// Nor is the number of a directory: most of the files must be there.
#[test]
fn what_seems_to_be_renamed_here_is_asked_for_its_files() {
    for (messages, left, want) in [
        (1, 1, 1),
        (2, 1, 0),
        (3, 2, 1),
        (4, 2, 0),
        (4, 3, 1),
        (2, 0, 0),
    ] {
        let mut w = unproved(messages);
        let all = w.local.ids(&mb("C"));
        w.local.rename(&mb("C"), &mb("B"));
        for id in all.iter().skip(left) {
            w.local.delete(&mb("B"), id);
        }
        let report = w.sync_ok();
        let name = format!("{left} of {messages}");
        assert_eq!(
            report.counts.mailboxes_renamed_remote, want,
            "{name}: {report:?}"
        );
        assert_eq!(report.counts.uploaded, 0, "{name}");
        w.assert_equal_sides(&name);
        w.sync_idle();
    }
    let mut w = unproved(2);
    w.local.rename(&mb("C"), &mb("B"));
    w.local
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&mb("B"))
        .unwrap()
        .deaf = true;
    assert_eq!(w.sync().counts.mailboxes_renamed_remote, 0);
}

/// Evenly spread messages are asked for, whatever their number.
#[test]
fn large_mailboxes_are_known_by_some_of_their_messages() {
    let mut w = unproved(200);
    w.remote.rename(&mb("C"), &mb("B"));
    assert_eq!(w.sync_ok().counts.mailboxes_renamed_local, 1);
    let mut w = unproved(200);
    w.local.rename(&mb("C"), &mb("B"));
    assert_eq!(w.sync_ok().counts.mailboxes_renamed_remote, 1);
}

/// That both sides seem to call it the same is evidence enough, as after a run that was cut.
#[test]
fn what_both_sides_seem_to_have_renamed_needs_no_witness() {
    let mut w = unproved(2);
    let key = w.state.mailboxes().unwrap()[&mb("C")];
    w.remote.rename(&mb("C"), &mb("B"));
    w.local.rename(&mb("C"), &mb("B"));
    w.remote
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&mb("B"))
        .unwrap()
        .deaf = true;
    w.local
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&mb("B"))
        .unwrap()
        .deaf = true;
    w.sync_ok();
    assert_eq!(w.state.mailboxes().unwrap().get(&mb("B")), Some(&key));
    // Not where they call it differently.
    let mut w = unproved(2);
    let key = w.state.mailboxes().unwrap()[&mb("C")];
    w.remote.rename(&mb("C"), &mb("B"));
    w.local.rename(&mb("C"), &mb("D"));
    w.remote
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&mb("B"))
        .unwrap()
        .deaf = true;
    w.local
        .inner
        .borrow_mut()
        .boxes
        .get_mut(&mb("D"))
        .unwrap()
        .deaf = true;
    w.sync();
    let known = w.state.mailboxes().unwrap();
    assert!(
        [mb("B"), mb("D")]
            .iter()
            .all(|name| known.get(name) != Some(&key))
    );
}

/// What a side refuses to rename moves message by message, and keeps nothing else from its name.
#[test]
fn a_rename_that_is_refused_concerns_no_other() {
    for (side, free, stuck) in [
        (Side::Remote, "A", "C"),
        (Side::Remote, "C", "A"),
        (Side::Local, "A", "C"),
    ] {
        let mut w = begin();
        let rename = |w: &TwoSides, from: &str, to: &str| match side {
            Side::Remote => w.local.rename(&mb(from), &mb(to)),
            Side::Local => w.remote.rename(&mb(from), &mb(to)),
        };
        rename(&w, free, "F");
        rename(&w, stuck, "S");
        match side {
            Side::Remote => drop(w.remote.inner.borrow_mut().stuck.insert(mb(stuck))),
            Side::Local => drop(w.local.inner.borrow_mut().stuck.insert(mb(stuck))),
        }
        let report = w.sync_ok();
        let renamed =
            report.counts.mailboxes_renamed_remote + report.counts.mailboxes_renamed_local;
        assert!(renamed >= 1, "{stuck} is stuck: {report:?}");
        let moved = report.counts.moved_remote + report.counts.moved_local;
        assert!(moved >= 1, "{stuck} is stuck: {report:?}");
        let text = format!("{stuck} is not renamed to S on {side}");
        assert!(
            report.notes.iter().any(|n| n.starts_with(&text)),
            "{report:?}"
        );
        w.assert_equal_sides("refused");
        w.sync_idle();
    }
    // Names that are exchanged are exchanged together or not at all.
    let mut w = begin();
    w.local.rename(&mb("C"), &mb("K"));
    w.local.rename(&mb("A/x"), &mb("C"));
    w.local.rename(&mb("K"), &mb("A/x"));
    w.remote.inner.borrow_mut().stuck.insert(mb("C"));
    w.remote.inner.borrow_mut().stuck.insert(mb("A/x"));
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.uploaded, report.counts.moved_remote),
        (0, 2),
        "{report:?}"
    );
    w.assert_equal_sides("exchanged");
    w.sync_idle();
}

/// Names that were half exchanged when the server refused go back, and a line that breaks then ends
/// the run.
/// On the side where one of the names is stuck.
fn half_exchanged(stuck: Side) -> TwoSides {
    fn exchange<I: MemoryId>(side: &Memory<I>) {
        side.rename(&mb("C"), &mb("K"));
        side.rename(&mb("A/x"), &mb("C"));
        side.rename(&mb("K"), &mb("A/x"));
    }
    let w = begin();
    match stuck {
        Side::Remote => {
            exchange(&w.local);
            w.remote.inner.borrow_mut().stuck.insert(mb("A/x"));
        }
        Side::Local => {
            exchange(&w.remote);
            w.local.inner.borrow_mut().stuck.insert(mb("A/x"));
        }
    }
    w
}

/// On the server messages are moved instead; on disk each mailbox has another UIDVALIDITY then, and
/// what is not found in it any more waits for the user.
fn went_back(w: &TwoSides, stuck: Side, context: &str) {
    match stuck {
        Side::Remote => w.assert_equal_sides(context),
        Side::Local => {
            let bodies = w.bodies();
            assert_eq!(bodies.len(), 5, "{context}");
            assert!(bodies.values().all(|count| *count >= 2), "{context}");
        }
    }
}

#[test]
fn names_that_were_half_exchanged_go_back() {
    for stuck in Side::BOTH {
        let mut w = half_exchanged(stuck);
        let (before, all) = (w.fuse.borrow().steps, super::one_of_many::whole(&w));
        let report = w.sync();
        let steps = w.fuse.borrow().steps - before;
        let all = super::one_of_many::whole(&w) - all;
        let renamed =
            report.counts.mailboxes_renamed_remote + report.counts.mailboxes_renamed_local;
        let (moved, held) = (report.counts.moved_remote, report.held.len());
        assert_eq!((renamed, moved + held), (0, 2), "{stuck} is stuck");
        went_back(&w, stuck, "half exchanged");
        w.sync_idle();
        let mut halted = 0;
        for step in each_step(steps) {
            let context = format!("{stuck} is stuck, step {step} of {steps}");
            let mut w = half_exchanged(stuck);
            let report = w.sync_failing(step, StoreError::Retry("the line broke".into()));
            assert!(report.halted.is_some(), "{context}: {report:?}");
            w.sync();
            went_back(&w, stuck, &format!("the line broke: {context}"));
            let mut w = half_exchanged(stuck);
            let report = w.sync_failing(step, StoreError::Mailbox("this one failed".into()));
            halted += u32::from(report.halted.is_some());
            w.sync();
            went_back(&w, stuck, &format!("one failed: {context}"));
        }
        assert!(halted <= all, "{halted} steps of {steps} end the run");
    }
}

/// What each side calls a mailbox is noted again where it changes, but by no dry run.
#[test]
fn what_mailboxes_are_called_is_kept_up() {
    let mut w = begin();
    w.remote.renumber(&mb("C"), 5);
    w.options.dry_run = true;
    let rows = w.state.writes();
    w.sync_ok();
    assert_eq!(w.state.writes(), rows);
    w.options.dry_run = false;
    w.sync_ok();
    w.sync_idle();
    w.remote.rename(&mb("C"), &mb("B"));
    let report = w.sync_ok();
    assert_eq!(
        (
            report.counts.mailboxes_renamed_local,
            report.counts.moved_local
        ),
        (1, 0)
    );
    // And on disk, for a mailbox that was made anew.
    let mut w = begin();
    let own = w.local.inner.borrow_mut().boxes.remove(&mb("C")).unwrap();
    w.local.create(&mb("C"));
    for (id, message) in own.messages {
        let mut inner = w.local.inner.borrow_mut();
        inner.boxes.get_mut(&mb("C")).unwrap().put_as(id, message);
    }
    w.sync_ok();
    w.local.rename(&mb("C"), &mb("B"));
    let report = w.sync_ok();
    assert_eq!(
        (
            report.counts.mailboxes_renamed_remote,
            report.counts.moved_remote
        ),
        (1, 0)
    );
}

/// A run that is about some mailboxes renames no others, neither from nor to a name.
#[test]
fn only_what_the_run_is_about_is_renamed() {
    for only in ["C", "B", "A"] {
        let mut w = begin();
        w.remote.rename(&mb("C"), &mb("B"));
        w.options.only = vec![only.into()];
        assert_eq!(w.sync().counts.mailboxes_renamed_local, 0, "{only}");
        w.options.only = vec!["B".into(), "C".into()];
        let report = w.sync();
        w.options.only.clear();
        w.sync_ok();
        w.assert_equal_sides(only);
        assert!(
            only != "A" || report.counts.mailboxes_renamed_local == 1,
            "{report:?}"
        );
    }
}
