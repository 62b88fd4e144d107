//! What is compared: what a pass left, and once a day everything.

use super::looks::with_mailboxes;
use super::*;
use mailtide::engine::Reach;

/// What a full comparison finds counts as missed only where the cheap look showed nothing.
#[test]
fn what_the_cheap_look_showed_was_not_missed() {
    let mut w = with_mailboxes();
    w.remote.add(&mb("A"), b"Subject: k\r\n\r\n1", seen());
    w.options.reach = Reach::Everything(w.now.get() + 1);
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.downloaded, report.counts.drift),
        (1, 0),
        "{report:?}"
    );
    assert_eq!(report.counts.compared, 2, "INBOX and B");
}

/// The look at what a pass left on disk: what fails there for a mailbox is looked at by another
/// pass, and what fails for all ends the run.
#[test]
fn what_a_pass_left_is_looked_at_by_another_if_it_cannot_be_seen() {
    let begin = || {
        let w = with_mailboxes();
        w.remote.add(&mb("A"), b"Subject: k\r\n\r\n1", seen());
        let inner = w.remote.inner.borrow();
        let before = (w.fuse.borrow().steps, inner.counts.lists);
        drop(inner);
        (w, before)
    };
    let (mut w, (before, _)) = begin();
    w.sync_ok();
    let steps = w.fuse.borrow().steps - before;
    for at in [steps - 1, steps] {
        let (mut w, (_, before)) = begin();
        let report = w.sync_failing(at, StoreError::Mailbox("not now".into()));
        assert!(report.ok() && report.counts.downloaded == 1, "{report:?}");
        let passes = w.remote.inner.borrow().counts.lists - before;
        assert_eq!(passes, 2, "step {at} of {steps}");
        let (mut w, _) = begin();
        let report = w.sync_failing(at, StoreError::Retry("not now".into()));
        assert!(!report.ok(), "{report:?}");
    }
}

/// The daily comparison asks the server for all, whatever happened on disk.
#[test]
fn what_the_server_did_not_tell_is_found_by_the_comparison() {
    let mut w = with_mailboxes();
    w.remote.add(&mb("A"), b"Subject: k\r\n\r\n1", seen());
    w.sync_ok();
    w.now.set(w.now.get() + 1);
    w.sync_ok();
    // Both say the same of one.
    let (there, here) = (w.remote.ids(&mb("A")), w.local.ids(&mb("A")));
    let flag = |flags: &mut Flags| flags.insert(Flagged);
    w.remote.edit(&mb("A"), &there[0], flag);
    let same = |id: &&MaildirId| {
        id.as_bytes()
            .ends_with(format!(".{}", there[0].get()).as_bytes())
    };
    w.local
        .edit(&mb("A"), here.iter().find(same).unwrap(), flag);
    // Nobody says anything of the other.
    let mut inner = w.remote.inner.borrow_mut();
    let all = &mut inner.boxes.get_mut(&mb("A")).unwrap().messages;
    flag(&mut all.get_mut(&there[1]).unwrap().flags);
    drop(inner);
    w.options.reach = Reach::Everything(w.now.get() + 1);
    let report = w.sync_ok();
    assert_eq!(report.counts.flags_local, 1, "{report:?}");
    w.assert_equal_sides("all was compared");
}
