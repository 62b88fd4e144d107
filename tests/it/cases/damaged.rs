//! Files that are broken or were edited in place.

use super::*;
use mailtide::engine::Reach;
use mailtide::reconcile::{Action, Outcome};

#[test]
fn rows_26_to_31_broken_files() {
    let mended = |w: &mut TwoSides| broken(w, Side::Local);
    row("26 X,S", base, mended, SAME);
    let flags = |w: &mut TwoSides| {
        broken(w, Side::Local);
        flag(w, Some(Answered), None);
    };
    row(
        "27 X,F",
        base,
        flags,
        r"INBOX: msg(\Answered \Seen) other()",
    );
    let lost = |w: &mut TwoSides| {
        broken(w, Side::Local);
        gone(w, Side::Remote);
    };
    row("28 X,D", base, lost, "INBOX: other()");
    let unknown = |w: &mut TwoSides| {
        broken(w, Side::Local);
        blind(w, Side::Remote);
    };
    row("30 X,U", base, unknown, SAME);
    let both = |w: &mut TwoSides| {
        broken(w, Side::Local);
        broken(w, Side::Remote);
    };
    row("31 X,X", base, both, SAME);
}

#[test]
fn rows_32_to_37_edited_files() {
    row(
        "32 C,S",
        base,
        edited,
        r"INBOX: edited(\Seen) msg(\Seen) other()",
    );
    let flags = |w: &mut TwoSides| {
        edited(w);
        let u = uid(w);
        w.remote.edit(&inbox(), &u, |flags| flags.insert(Answered));
    };
    row(
        "33 C,F",
        base,
        flags,
        r"INBOX: edited(\Seen) msg(\Answered \Seen) other()",
    );
    let lost = |w: &mut TwoSides| {
        edited(w);
        gone(w, Side::Remote);
    };
    row("34 C,D", base, lost, r"INBOX: edited(\Seen) other()");
    let unknown = |w: &mut TwoSides| {
        edited(w);
        blind(w, Side::Remote);
    };
    row(
        "36 C,U",
        base,
        unknown,
        r"INBOX: msg(\Seen) other() | INBOX: edited(\Seen) other()",
    );
    let body = |w: &mut TwoSides| {
        edited(w);
        broken(w, Side::Remote);
    };
    row(
        "37 C,X",
        base,
        body,
        r"INBOX: msg(\Seen) other() | INBOX: edited(\Seen) other()",
    );
}

/// All mailboxes are compared message by message from now on.
fn full(w: &mut TwoSides) {
    w.now.set(w.now.get() + 10);
    w.options.reach = Reach::Everything(w.now.get());
}

/// The file is written to in place, and its length stays.
fn overwritten(w: &mut TwoSides) {
    w.local.overwrite(&inbox(), &file(w), EDITED);
    full(w);
}

/// As long as the message that it was.
const EDITED: &[u8] = b"Subject: MSG\r\n\r\nmsg\r\n";

#[test]
fn an_edit_of_equal_length_is_found_by_a_full_look() {
    let want = r"INBOX: MSG(\Seen) msg(\Seen) other()";
    row("32 C,S, equal length", base, overwritten, want);
    let flags = |w: &mut TwoSides| {
        flag(w, Some(Answered), None);
        overwritten(w);
    };
    let want = r"INBOX: MSG(\Seen) msg(\Answered \Seen) other()";
    row("33 C,F, equal length", base, flags, want);
    let lost = |w: &mut TwoSides| {
        overwritten(w);
        gone(w, Side::Remote);
    };
    let want = r"INBOX: MSG(\Seen) other()";
    row("34 C,D, equal length", base, lost, want);
    let renamed = |w: &mut TwoSides| {
        flag(w, None, Some(Flagged));
        overwritten(w);
    };
    let want = r"INBOX: MSG(\Flagged \Seen) msg(\Seen) other()";
    row("32 C,S, equal length, flags", base, renamed, want);
}

/// Header lines that mail programs add make no other message.
#[test]
fn an_added_header_line_is_no_edit() {
    let act = |w: &mut TwoSides| {
        let body = b"Subject: msg\r\nStatus: RO\r\n\r\nmsg\r\n";
        w.local.overwrite(&inbox(), &file(w), body);
        full(w);
    };
    row("32, headers added", base, act, SAME);
}

/// Reads of files by a run.
fn reads(w: &mut TwoSides) -> u32 {
    full(w);
    let before = w.local.inner.borrow().counts.reads;
    w.sync_ok();
    w.local.inner.borrow().counts.reads - before
}

#[test]
fn a_full_look_reads_a_file_once_after_it_was_touched() {
    let mut w = base();
    assert_eq!(reads(&mut w), 0, "as downloaded");
    flag(&mut w, None, Some(Flagged));
    assert_eq!(reads(&mut w), 1, "one was renamed");
    assert_eq!(reads(&mut w), 0, "and its content is known since");
    w.local.add(&inbox(), b"Subject: new\r\n\r\nnew", seen());
    w.sync_ok();
    assert_eq!(reads(&mut w), 0, "as uploaded");
    // As in a state of an older program.
    let key = w.state.mailboxes().unwrap()[&inbox()];
    let pairs = w.state.base(key).unwrap().pairs;
    let forgotten = |pair: &Pair| {
        let (size, stamp) = (pair.size, None);
        (pair.id, Weight { size, stamp })
    };
    let all: Vec<_> = pairs.iter().map(forgotten).collect();
    w.state.learn_weights(&all).unwrap();
    assert_eq!(reads(&mut w), 3, "nothing is known of them");
    assert_eq!(reads(&mut w), 0);
}

/// A dry run tells of the edit and records nothing.
#[test]
fn a_dry_run_leaves_the_stamps() {
    let mut w = base();
    overwritten(&mut w);
    w.options.dry_run = true;
    let rows = w.state.writes();
    let plan = w.sync().plan.unwrap();
    let split = |action: &Action| matches!(action, Action::Split { .. });
    assert!(
        plan.messages
            .iter()
            .any(|(_, plan)| plan.actions.iter().any(split))
    );
    assert_eq!(w.state.writes(), rows);
}

/// A deletion on the server that was cut between STORE `\\Deleted` and EXPUNGE.
fn half_deleted() -> TwoSides {
    let mut w = base();
    w.remote.create(&mb("A"));
    w.sync_ok();
    let u = uid(&w);
    let key = w.state.mailboxes().unwrap()[&inbox()];
    let pair = w.state.base(key).unwrap().pairs[0].id;
    let side = Side::Remote;
    let tombstone = Outcome::Tombstone { pair, side };
    w.state.apply(key, &[tombstone], &[]).unwrap();
    w.remote.edit(&inbox(), &u, |flags| flags.insert(Deleted));
    w
}

#[test]
fn our_own_mark_is_nobody_s_wish() {
    let stays = r"A: ; INBOX: msg(\Seen) other()";
    row("still here", half_deleted, |_| {}, stays);
    let gone = |w: &mut TwoSides| gone(w, Side::Local);
    row("deleted", half_deleted, gone, "A: ; INBOX: other()");
    let wanted = |w: &mut TwoSides| {
        flag(w, Some(Flagged), None);
        let f = file(w);
        w.local.delete(&inbox(), &f);
    };
    let want = r"A: ; INBOX: msg(\Flagged \Seen) other()";
    row("wanted there", half_deleted, wanted, want);
    let moved = |w: &mut TwoSides| {
        let f = file(w);
        w.local.shift(&inbox(), &f, &mb("A"));
    };
    let want = r"A: msg(\Seen); INBOX: other()";
    row("moved", half_deleted, moved, want);
    let broken = |w: &mut TwoSides| broken(w, Side::Local);
    row("broken here", half_deleted, broken, stays);
}

/// A deletion here that was carried across, when the run was cut, and the user puts the file back.
#[test]
fn what_was_deleted_here_and_is_put_back_after_a_cut_is_there_again() {
    let deleted = || {
        let w = base();
        let f = file(&w);
        let message = w.local.inner.borrow().boxes[&inbox()].messages[&f].clone();
        w.local.delete(&inbox(), &f);
        (w, f, message)
    };
    for n in (0..100).step_by(each()) {
        let (mut w, f, message) = deleted();
        let left = std::sync::Arc::new(std::sync::atomic::AtomicI32::new(n));
        let (counter, order) = (left.clone(), std::sync::atomic::Ordering::SeqCst);
        w.state
            .fail_commits(move || counter.fetch_sub(1, order) <= 0);
        w.sync();
        w.state.fail_commits(|| false);
        let mut inner = w.local.inner.borrow_mut();
        inner.boxes.get_mut(&inbox()).unwrap().put_as(f, message);
        drop(inner);
        w.sync_ok();
        assert_eq!(show(&w.remote.view()), SAME, "cut at commit {n}");
        w.assert_equal_sides(&format!("cut at commit {n}"));
        if left.load(order) > 0 {
            return;
        }
    }
    panic!("more than 100 transactions");
}
