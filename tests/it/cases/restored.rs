//! A server that was put back from a backup, or made anew, with the same UIDVALIDITY: UIDs that are
//! known are other messages by now.

use super::*;
use mailtide::engine::Reach;

/// The server lost `other` and gave its UID to `new`, and as many mod-sequences as before.
fn replaced() -> TwoSides {
    let mut w = TwoSides::new();
    w.remote.add(&inbox(), BODY, seen());
    let backup = w.remote.backup(&inbox());
    w.remote.add(&inbox(), OTHER, Flags::default());
    w.sync_ok();
    w.remote.restore(&inbox(), backup);
    w.remote
        .add(&inbox(), b"Subject: new\r\n\r\nnew\r\n", Flags::default());
    w
}

/// The same of a server that tells nothing but lists.
fn replaced_without_deltas() -> TwoSides {
    let mut w = TwoSides::new();
    w.remote.inner.borrow_mut().deltas = false;
    w.remote.add(&inbox(), BODY, seen());
    let backup = w.remote.backup(&inbox());
    w.remote.add(&inbox(), OTHER, Flags::default());
    w.sync_ok();
    w.remote.restore(&inbox(), backup);
    w.remote
        .add(&inbox(), b"Subject: new\r\n\r\nnew\r\n", Flags::default());
    w
}

/// The file of a message.
fn file_of(w: &TwoSides, body: &[u8]) -> MaildirId {
    let inner = w.local.inner.borrow();
    let all = &inner.boxes[&inbox()].messages;
    all.iter().find(|(_, m)| m.body == body).unwrap().0.clone()
}

const KEPT: &str = r"INBOX: msg(\Seen) new() | INBOX: msg(\Seen) new() other()";

fn another_comes(w: &mut TwoSides) {
    w.remote
        .add(&inbox(), b"Subject: next\r\n\r\nnext\r\n", Flags::default());
}

#[test]
fn new_mail_after_a_restore_is_fetched() {
    let want = r"INBOX: msg(\Seen) new() next() | INBOX: msg(\Seen) new() next() other()";
    row("restored", replaced, another_comes, want);
    row(
        "restored, lists",
        replaced_without_deltas,
        another_comes,
        want,
    );
}

#[test]
fn a_full_compare_finds_another_message() {
    let full = |w: &mut TwoSides| {
        w.now.set(w.now.get() + 10);
        w.options.reach = Reach::Everything(w.now.get());
    };
    row("restored, full", replaced, full, KEPT);
    row("restored, lists, full", replaced_without_deltas, full, KEPT);
}

#[test]
fn a_deletion_here_leaves_another_message_there() {
    let act = |w: &mut TwoSides| w.local.delete(&inbox(), &file_of(w, OTHER));
    row("restored D", replaced, act, r"INBOX: msg(\Seen) new()");
    let want = r"INBOX: msg(\Seen) new()";
    row("restored D, lists", replaced_without_deltas, act, want);
}

#[test]
fn flags_set_here_are_not_set_on_another_message() {
    let act = |w: &mut TwoSides| {
        let file = file_of(w, OTHER);
        w.local.edit(&inbox(), &file, |flags| flags.insert(Flagged));
    };
    let want = r"INBOX: msg(\Seen) new() | INBOX: msg(\Seen) new() other(\Flagged)";
    row("restored F", replaced, act, want);
    row("restored F, lists", replaced_without_deltas, act, want);
}

#[test]
fn a_move_here_does_not_move_another_message() {
    let act = |w: &mut TwoSides| {
        w.remote.create(&mb("A"));
        w.local.create(&mb("A"));
        w.local.shift(&inbox(), &file_of(w, OTHER), &mb("A"));
    };
    let want = r"A: other(); INBOX: msg(\Seen) new()";
    row("restored M", replaced, act, want);
    row("restored M, lists", replaced_without_deltas, act, want);
}

#[test]
fn a_mailbox_deleted_here_comes_back_with_other_mail() {
    let prepare = || {
        let mut w = TwoSides::new();
        w.remote.create(&mb("A"));
        w.remote.add(&mb("A"), BODY, seen());
        let backup = w.remote.backup(&mb("A"));
        w.remote.add(&mb("A"), OTHER, Flags::default());
        w.sync_ok();
        w.remote.restore(&mb("A"), backup);
        w.remote
            .add(&mb("A"), b"Subject: new\r\n\r\nnew\r\n", Flags::default());
        w
    };
    let act = |w: &mut TwoSides| drop(w.local.inner.borrow_mut().boxes.remove(&mb("A")));
    let want = r"A: msg(\Seen) new(); INBOX: ";
    row("restored F4", prepare, act, want);
}

/// HIGHESTMODSEQ went back and messages are missing that are known: nobody deleted them.
#[test]
fn what_a_restored_server_lost_is_kept_here() {
    let prepare = || {
        let mut w = TwoSides::new();
        w.remote.add(&inbox(), BODY, seen());
        let backup = w.remote.backup(&inbox());
        w.remote.add(&inbox(), OTHER, Flags::default());
        w.sync_ok();
        w.remote.restore(&inbox(), backup);
        // Some servers see to it that no UID is given twice.
        let mut inner = w.remote.inner.borrow_mut();
        inner.boxes.get_mut(&inbox()).unwrap().next = 1000;
        drop(inner);
        w
    };
    let want = r"INBOX: msg(\Seen) | INBOX: msg(\Seen) other()";
    row("restored, UIDNEXT ahead", prepare, |_| {}, want);
}

/// What was deleted comes back with the backup: it is new.
/// The run that fetched it was cut before its checkpoint, so UIDNEXT is that of the checkpoint.
#[test]
fn message_lost_before_its_checkpoint_is_kept() {
    let mut kept = 0;
    for at in 1..40 {
        let mut w = TwoSides::new();
        w.remote.add(&inbox(), BODY, seen());
        w.sync_ok();
        let backup = w.remote.backup(&inbox());
        w.remote.add(&inbox(), OTHER, Flags::default());
        w.sync_cut(at);
        w.remote.restore(&inbox(), backup);
        let mut here = w.local.inner.borrow().boxes[&inbox()].messages.clone();
        here.retain(|_, m| m.body == OTHER);
        // The listing shows no change, so a daily comparison finds it at the latest.
        w.now.set(w.now.get() + 24 * 3600);
        let report = w.sync();
        assert_eq!(report.counts.deleted_local, 0, "cut at step {at}");
        let after = w.local.inner.borrow().boxes[&inbox()].messages.clone();
        let after = after.values().filter(|m| m.body == OTHER).count();
        assert_eq!(after, here.len(), "cut at step {at}");
        kept += after;
    }
    assert!(kept > 0, "the message never came before the cut");
}

#[test]
fn what_a_restored_server_has_again_is_new() {
    let prepare = || {
        let mut w = base();
        let backup = w.remote.backup(&inbox());
        gone(&mut w, Side::Local);
        w.sync_ok();
        w.remote.restore(&inbox(), backup);
        w
    };
    row("restored, deleted before", prepare, |_| {}, SAME);
}

/// Some servers tell another date of a message the next time.
#[test]
fn a_message_with_another_date_is_read_and_stays_itself() {
    let full = |w: &mut TwoSides| {
        let id = w.remote.ids(&inbox())[1];
        w.remote.change(&inbox(), &id, |m| m.date += 3600);
        w.now.set(w.now.get() + 10);
        w.options.reach = Reach::Everything(w.now.get());
    };
    row("other date, full", base, full, SAME);
    let flagged = |w: &mut TwoSides| {
        let id = uid(w);
        let inner = &w.remote.inner;
        let mut inner = inner.borrow_mut();
        let all = &mut inner.boxes.get_mut(&inbox()).unwrap().messages;
        all.get_mut(&id).unwrap().date += 3600;
        drop(inner);
        flag(w, None, Some(Flagged));
    };
    let want = r"INBOX: msg(\Flagged \Seen) other()";
    row("other date, F", base, flagged, want);
}

/// Host, port or user changed, and the numbers of the mailbox happen to be the same.
#[test]
fn another_account_with_equal_numbers_is_another_account() {
    let act = |w: &mut TwoSides| w.options.config = "another host".into();
    row("re-pointed", replaced, act, KEPT);
}
