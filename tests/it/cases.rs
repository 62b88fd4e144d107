//! The tables of the law as rows: every row of the message table (1.3) and of the mailbox table
//! (1.4) that the spine decides. Each row runs, runs again (nothing to do), and is cut at every
//! step of the sides and at every transaction, resumed, and must end the same.

use crate::support::world::TwoSides;
use mailtide::model::*;
use mailtide::reconcile::{Direction, FlagMask, Travel};
use std::cell::Cell;
use std::rc::Rc;

const BODY: &[u8] = b"Subject: msg\r\n\r\nmsg\r\n";
const OTHER: &[u8] = b"Subject: other\r\n\r\nother\r\n";

fn inbox() -> MailboxName {
    MailboxName::inbox()
}

fn mb(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

fn seen() -> Flags {
    Flags::of(&[SystemFlag::Seen])
}

/// INBOX holds `msg` (paired, \Seen) and `other` (paired, no flags).
fn base() -> TwoSides {
    let mut w = TwoSides::new();
    w.remote.add(&inbox(), BODY, seen());
    w.remote.add(&inbox(), OTHER, Flags::default());
    w.sync_ok();
    w
}

fn uid(w: &TwoSides) -> Uid {
    w.remote.ids(&inbox())[0]
}

fn file(w: &TwoSides) -> MaildirId {
    let inner = w.local.inner.borrow();
    let all = &inner.boxes[&inbox()].messages;
    all.iter().find(|(_, m)| m.body == BODY).unwrap().0.clone()
}

fn show(view: &std::collections::BTreeMap<String, Vec<(String, String)>>) -> String {
    let short = |body: &str| {
        let line = body.lines().next().unwrap_or("").to_owned();
        line.trim_start_matches("Subject: ").to_owned()
    };
    let boxes = view.iter().map(|(name, all)| {
        let messages: Vec<String> = all
            .iter()
            .map(|(body, flags)| format!("{}({flags})", short(body)))
            .collect();
        format!("{name}: {}", messages.join(" "))
    });
    boxes.collect::<Vec<_>>().join("; ")
}

/// Runs a row: `act` makes the states of the sides, `want` is what both sides then hold (local
/// after `|` where it differs).
fn row(name: &str, prepare: fn() -> TwoSides, act: fn(&mut TwoSides), want: &str) {
    let (want_remote, want_local) = want.split_once(" | ").unwrap_or((want, want));
    let verify = |w: &mut TwoSides, how: &str| {
        assert_eq!(show(&w.remote.view()), want_remote, "{name}, remote, {how}");
        assert_eq!(show(&w.local.view()), want_local, "{name}, local, {how}");
        w.sync_idle();
    };
    let mut w = prepare();
    act(&mut w);
    let before = w.fuse.borrow().steps;
    w.sync();
    let steps = w.fuse.borrow().steps - before;
    verify(&mut w, "uncut");
    let whole = w.bodies();
    for cut in 1..=steps {
        let mut w = prepare();
        act(&mut w);
        w.sync_cut(cut);
        w.sync();
        verify(&mut w, &format!("cut at step {cut} of {steps}"));
        for (body, count) in &whole {
            let now = w.bodies().get(body).copied().unwrap_or(0);
            assert!(
                now >= (*count).min(1),
                "{name}: lost content, cut at step {cut}"
            );
        }
    }
    cut_at_commits(name, prepare, act, &verify);
}

/// The state database fails at its n-th transaction, for every n.
fn cut_at_commits(
    name: &str,
    prepare: fn() -> TwoSides,
    act: fn(&mut TwoSides),
    verify: &dyn Fn(&mut TwoSides, &str),
) {
    for n in 0..100 {
        let mut w = prepare();
        act(&mut w);
        let left = std::sync::Arc::new(std::sync::atomic::AtomicI32::new(n));
        let counter = left.clone();
        let order = std::sync::atomic::Ordering::SeqCst;
        w.state
            .fail_commits(move || counter.fetch_sub(1, order) <= 0);
        w.sync();
        let reached = left.load(order) < 0;
        w.state.fail_commits(|| false);
        if !reached {
            return;
        }
        w.sync();
        verify(&mut w, &format!("cut at commit {n}"));
    }
    panic!("{name}: more than 100 transactions");
}

fn flag(w: &mut TwoSides, remote: Option<SystemFlag>, local: Option<SystemFlag>) {
    let (u, f) = (uid(w), file(w));
    if let Some(flag) = remote {
        w.remote.edit(&inbox(), &u, |flags| flags.insert(flag));
    }
    if let Some(flag) = local {
        w.local.edit(&inbox(), &f, |flags| flags.insert(flag));
    }
}

fn gone(w: &mut TwoSides, side: Side) {
    match side {
        Side::Remote => w.remote.delete(&inbox(), &uid(w)),
        Side::Local => w.local.delete(&inbox(), &file(w)),
    }
}

fn broken(w: &mut TwoSides, side: Side) {
    match side {
        Side::Remote => w.remote.change(&inbox(), &uid(w), |m| m.broken = true),
        Side::Local => w.local.change(&inbox(), &file(w), |m| m.broken = true),
    }
}

fn edited(w: &mut TwoSides) {
    let f = file(w);
    w.local.change(&inbox(), &f, |m| {
        m.edited = true;
        m.body = b"Subject: edited\r\n\r\nx\r\n".to_vec();
    });
}

fn blind(w: &mut TwoSides, side: Side) {
    match side {
        Side::Remote => {
            w.remote
                .inner
                .borrow_mut()
                .boxes
                .get_mut(&inbox())
                .unwrap()
                .blind = true
        }
        Side::Local => {
            w.local
                .inner
                .borrow_mut()
                .boxes
                .get_mut(&inbox())
                .unwrap()
                .blind = true
        }
    }
}

use SystemFlag::{Answered, Deleted, Flagged};

const SAME: &str = r"INBOX: msg(\Seen) other()";

#[test]
fn rows_1_to_8_same_and_flags() {
    row("1 S,S", base, |_| {}, SAME);
    row(
        "2 S,F",
        base,
        |w| flag(w, Some(Answered), None),
        r"INBOX: msg(\Answered \Seen) other()",
    );
    row("3 S,D", base, |w| gone(w, Side::Remote), "INBOX: other()");
    let unknown = |w: &mut TwoSides| {
        gone(w, Side::Remote);
        blind(w, Side::Remote);
    };
    row(
        "5 S,U",
        base,
        unknown,
        "INBOX: other() | INBOX: msg(\\Seen) other()",
    );
    row("6 S,X", base, |w| broken(w, Side::Remote), SAME);
    row(
        "7 F,S",
        base,
        |w| flag(w, None, Some(Flagged)),
        r"INBOX: msg(\Flagged \Seen) other()",
    );
    let both = |w: &mut TwoSides| flag(w, Some(Answered), Some(Flagged));
    row(
        "8 F,F",
        base,
        both,
        r"INBOX: msg(\Answered \Flagged \Seen) other()",
    );
    let opposite = |w: &mut TwoSides| {
        let (u, f) = (uid(w), file(w));
        w.remote
            .edit(&inbox(), &u, |flags| *flags = Flags::default());
        w.local.edit(&inbox(), &f, |flags| flags.insert(Answered));
    };
    row(
        "8 F,F off and on",
        base,
        opposite,
        r"INBOX: msg(\Answered) other()",
    );
}

#[test]
fn rows_9_to_12_local_flags() {
    let plain = |w: &mut TwoSides| {
        flag(w, None, Some(Answered));
        gone(w, Side::Remote);
    };
    row("9 F,D no interest", base, plain, "INBOX: other()");
    let wanted = |w: &mut TwoSides| {
        flag(w, None, Some(Flagged));
        gone(w, Side::Remote);
    };
    row(
        "9 F,D interest",
        base,
        wanted,
        r"INBOX: msg(\Flagged \Seen) other()",
    );
    let unknown = |w: &mut TwoSides| {
        flag(w, None, Some(Flagged));
        gone(w, Side::Remote);
        blind(w, Side::Remote);
    };
    row(
        "11 F,U",
        base,
        unknown,
        "INBOX: other() | INBOX: msg(\\Flagged \\Seen) other()",
    );
    let body = |w: &mut TwoSides| {
        broken(w, Side::Remote);
        flag(w, None, Some(Flagged));
    };
    row("12 F,X", base, body, r"INBOX: msg(\Flagged \Seen) other()");
}

#[test]
fn rows_13_to_18_local_deletions() {
    row("13 D,S", base, |w| gone(w, Side::Local), "INBOX: other()");
    let plain = |w: &mut TwoSides| {
        flag(w, Some(Answered), None);
        gone(w, Side::Local);
    };
    row("14 D,F no interest", base, plain, "INBOX: other()");
    let wanted = |w: &mut TwoSides| {
        flag(w, Some(Flagged), None);
        gone(w, Side::Local);
    };
    row(
        "14 D,F interest",
        base,
        wanted,
        r"INBOX: msg(\Flagged \Seen) other()",
    );
    let both = |w: &mut TwoSides| {
        gone(w, Side::Remote);
        gone(w, Side::Local);
    };
    row("15 D,D", base, both, "INBOX: other()");
    let unknown = |w: &mut TwoSides| {
        gone(w, Side::Local);
        blind(w, Side::Remote);
    };
    row(
        "17 D,U",
        base,
        unknown,
        r"INBOX: msg(\Seen) other() | INBOX: other()",
    );
    let body = |w: &mut TwoSides| {
        gone(w, Side::Local);
        broken(w, Side::Remote);
    };
    row(
        "18 D,X",
        base,
        body,
        r"INBOX: msg(\Seen) other() | INBOX: other()",
    );
}

#[test]
fn row_17_an_old_deletion_is_cancelled_by_a_new_uidvalidity() {
    let act = |w: &mut TwoSides| {
        gone(w, Side::Local);
        w.remote.renumber(&inbox(), 10);
    };
    row("17 D,U epoch", base, act, SAME);
}

#[test]
fn row_25_unknown_local() {
    let want = r"INBOX: other() | INBOX: msg(\Seen) other()";
    let gone_there = |w: &mut TwoSides| {
        gone(w, Side::Remote);
        blind(w, Side::Local);
    };
    row("25 U,D", base, gone_there, want);
    let flags = |w: &mut TwoSides| {
        flag(w, Some(Answered), None);
        blind(w, Side::Local);
    };
    let want = r"INBOX: msg(\Answered \Seen) other() | INBOX: msg(\Seen) other()";
    row("25 U,F", base, flags, want);
    let gone_here = |w: &mut TwoSides| {
        gone(w, Side::Local);
        blind(w, Side::Local);
    };
    row(
        "25 U,S",
        base,
        gone_here,
        r"INBOX: msg(\Seen) other() | INBOX: other()",
    );
    let body = |w: &mut TwoSides| {
        broken(w, Side::Remote);
        blind(w, Side::Local);
    };
    row("25 U,X", base, body, SAME);
}

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

#[test]
fn rows_38_to_41_new_messages() {
    let here = |w: &mut TwoSides| drop(w.local.add(&inbox(), b"Subject: n\r\n\r\n1", seen()));
    row(
        "38 new,-",
        base,
        here,
        r"INBOX: msg(\Seen) n(\Seen) other()",
    );
    let there = |w: &mut TwoSides| {
        w.remote.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
    };
    row(
        "39 -,new",
        base,
        there,
        r"INBOX: msg(\Seen) n(\Seen) other()",
    );
    let same = |w: &mut TwoSides| {
        w.local.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
        w.remote
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Answered]));
    };
    row(
        "40 new,new same",
        base,
        same,
        r"INBOX: msg(\Seen) n(\Answered \Seen) other()",
    );
    let other = |w: &mut TwoSides| {
        w.local
            .add(&inbox(), b"Subject: n\r\nMessage-ID: <1>\r\n\r\n1", seen());
        w.remote
            .add(&inbox(), b"Subject: n\r\nMessage-ID: <1>\r\n\r\n2", seen());
    };
    row(
        "41 same Message-ID",
        base,
        other,
        r"INBOX: msg(\Seen) n(\Seen) n(\Seen) other()",
    );
}

#[test]
fn rows_42_and_43_identical_messages() {
    let act = |w: &mut TwoSides| {
        for _ in 0..3 {
            w.local
                .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
        }
        for _ in 0..2 {
            w.remote
                .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
        }
    };
    row(
        "42 k and m",
        base,
        act,
        r"INBOX: msg(\Seen) n() n() n() other()",
    );
    // Same header, same size, same beginning; other content at the end.
    let act = |w: &mut TwoSides| {
        let body = |end: &str| format!("Subject: n\r\n\r\n{}{end}", "x".repeat(600)).into_bytes();
        for end in ["1", "2"] {
            w.local.add(&inbox(), &body(end), Flags::default());
        }
        for end in ["2", "3"] {
            w.remote.add(&inbox(), &body(end), Flags::default());
        }
    };
    row(
        "43 evidence not unique",
        base,
        act,
        r"INBOX: msg(\Seen) n() n() n() other()",
    );
}

#[test]
fn rows_44_to_46_not_copied() {
    let dead = Flags::of(&[Deleted]);
    assert!(!dead.is_empty());
    let here = |w: &mut TwoSides| {
        w.local
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Deleted]));
    };
    let want = r"INBOX: msg(\Seen) other() | INBOX: msg(\Seen) n(\Deleted) other()";
    row("44 new with T", base, here, want);
    let there = |w: &mut TwoSides| {
        w.remote
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Deleted]));
    };
    let want = r"INBOX: msg(\Seen) n(\Deleted) other() | INBOX: msg(\Seen) other()";
    row("45 new with \\Deleted", base, there, want);
    let undeleted = || {
        let mut w = base();
        let id = w
            .remote
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::of(&[Deleted]));
        w.sync_ok();
        w.remote
            .edit(&inbox(), &id, |flags| *flags = Flags::default());
        w
    };
    row(
        "45 undeleted",
        undeleted,
        |_| {},
        r"INBOX: msg(\Seen) n() other()",
    );
    let poison = |w: &mut TwoSides| {
        let body = b"Subject: bad\r\n\r\n1".to_vec();
        w.remote.inner.borrow_mut().refuses.insert(body.clone());
        w.local.add(&inbox(), &body, Flags::default());
        w.local
            .add(&inbox(), b"Subject: good\r\n\r\n1", Flags::default());
    };
    let want = r"INBOX: good() msg(\Seen) other() | INBOX: bad() good() msg(\Seen) other()";
    row("46 poison", base, poison, want);
}

#[test]
fn row_46_refused_messages_are_tried_again_later() {
    let mut w = base();
    let body = b"Subject: bad\r\n\r\n1".to_vec();
    w.remote.inner.borrow_mut().refuses.insert(body.clone());
    w.local.add(&inbox(), &body, Flags::default());
    assert_eq!(w.sync().errors.len(), 1);
    w.remote.inner.borrow_mut().refuses.clear();
    let second = w.sync();
    assert_eq!(
        (second.uploaded, second.errors.len()),
        (0, 1),
        "not before its time, but named"
    );
    w.now.set(w.now.get() + 3601);
    assert_eq!(w.sync_ok().uploaded, 1);
    w.assert_equal_sides("retried");
}

#[test]
fn a_lost_append_reply_doubles_nothing() {
    for tells in [true, false] {
        let mut w = base();
        w.remote.inner.borrow_mut().tells = tells;
        w.remote.inner.borrow_mut().lose_reply = true;
        w.local
            .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
        let report = w.sync();
        assert!(
            report.errors[0].text.contains("connection lost"),
            "{:?}",
            report.errors
        );
        w.sync_ok();
        assert_eq!(show(&w.remote.view()), r"INBOX: msg(\Seen) n() other()");
        w.assert_equal_sides("after a lost reply");
    }
}

#[test]
fn an_upload_in_doubt_waits_before_it_is_sent_again() {
    let mut w = base();
    let f = w
        .local
        .add(&inbox(), b"Subject: n\r\n\r\n1", Flags::default());
    let key = *w.state.mailboxes().unwrap().get(&inbox()).unwrap();
    w.state.begin_uploads(key, &[f], w.now.get()).unwrap();
    w.state.commit_uploads(key, w.now.get()).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(w.sync_ok().uploaded, 1);
    assert!(
        began.elapsed().as_secs() < 5,
        "paused time does not really wait"
    );
    w.assert_equal_sides("sent again after the grace");
}

#[test]
fn a_server_without_uidplus() {
    let prepare = || {
        let w = base();
        w.remote.inner.borrow_mut().tells = false;
        w.remote.inner.borrow_mut().marks = true;
        w
    };
    let act = |w: &mut TwoSides| {
        w.local.add(&inbox(), b"Subject: n\r\n\r\n1", seen());
        gone(w, Side::Local);
    };
    let want = r"INBOX: msg(\Deleted \Seen) n(\Seen) other() | INBOX: n(\Seen) other()";
    row("no UIDPLUS", prepare, act, want);
}

#[test]
fn directions_and_travel() {
    let pull = || {
        let mut w = base();
        w.policy.direction = Direction::Pull;
        w
    };
    let act = |w: &mut TwoSides| {
        flag(w, Some(Answered), Some(Flagged));
        w.local.add(&inbox(), b"Subject: l\r\n\r\n1", seen());
        w.remote.add(&inbox(), b"Subject: r\r\n\r\n1", seen());
    };
    let want = "INBOX: msg(\\Answered \\Seen) other() r(\\Seen) | \
                INBOX: l(\\Seen) msg(\\Answered \\Flagged \\Seen) other() r(\\Seen)";
    row("pull", pull, act, want);
    row(
        "pull, deleted here",
        pull,
        |w| gone(w, Side::Local),
        &format!("{SAME} | INBOX: other()"),
    );
    let push = || {
        let mut w = base();
        w.policy.direction = Direction::Push;
        w
    };
    let want = "INBOX: l(\\Seen) msg(\\Answered \\Flagged \\Seen) other() r(\\Seen) | \
                INBOX: l(\\Seen) msg(\\Flagged \\Seen) other()";
    row("push", push, act, want);
    let keep = || {
        let mut w = base();
        w.policy.delete = Travel::None;
        w
    };
    row(
        "delete none, here",
        keep,
        |w| gone(w, Side::Local),
        &format!("{SAME} | INBOX: other()"),
    );
    row(
        "delete none, there",
        keep,
        |w| gone(w, Side::Remote),
        &format!("INBOX: other() | {SAME}"),
    );
    let local_only = || {
        let mut w = base();
        w.policy.delete = Travel::Local;
        w
    };
    row(
        "delete local",
        local_only,
        |w| gone(w, Side::Remote),
        "INBOX: other()",
    );
}

#[test]
fn flags_one_side_cannot_store_are_kept() {
    let prepare = || {
        let w = base();
        w.remote.inner.borrow_mut().stores = FlagMask::Only(Flags::system());
        w
    };
    let act = |w: &mut TwoSides| {
        let f = file(w);
        w.local.edit(&inbox(), &f, |flags| {
            flags.insert_keyword(Keyword::new("work").unwrap());
            flags.insert(Flagged);
        });
    };
    let want = "INBOX: msg(\\Flagged \\Seen) other() | INBOX: msg(\\Flagged \\Seen work) other()";
    row("keyword not storable there", prepare, act, want);
}

#[test]
fn flags_one_side_cannot_store_do_not_keep_a_message_from_going() {
    let prepare = || {
        let mut w = base();
        w.remote.inner.borrow_mut().stores = FlagMask::Only(Flags::system());
        let f = file(&w);
        w.local.edit(&inbox(), &f, |flags| {
            flags.insert_keyword(Keyword::new("work").unwrap());
        });
        w.sync_ok();
        w
    };
    row(
        "unstorable, D,S",
        prepare,
        |w| gone(w, Side::Local),
        "INBOX: other()",
    );
    row(
        "unstorable, S,D",
        prepare,
        |w| gone(w, Side::Remote),
        "INBOX: other()",
    );
}

#[test]
fn uidvalidity_changes() {
    let act = |w: &mut TwoSides| w.remote.renumber(&inbox(), 100);
    row("1.5 re-matched", base, act, SAME);
    let mut w = base();
    w.remote.renumber(&inbox(), 3);
    let report = w.sync_ok();
    assert_eq!(
        (report.downloaded, report.uploaded, report.changes()),
        (0, 0, 0)
    );
    // Overlapping numbers, and a message that the new mailbox does not have: held, not deleted.
    let mut w = base();
    w.remote.renumber(&inbox(), 0);
    gone(&mut w, Side::Remote);
    let report = w.sync();
    assert_eq!(report.held.len(), 1, "{report:?}");
    assert_eq!(report.held[0].kind.name(), "unmatched-after-uidvalidity");
    assert_eq!(show(&w.local.view()), SAME);
    let id = report.held[0].id.clone();
    assert_eq!(
        w.sync().held[0].id,
        id,
        "the same id as long as it is the same"
    );
    assert!(w.state.approve(&id).unwrap());
    assert_eq!(w.sync_ok().uploaded, 1);
    w.assert_equal_sides("approved");
    w.sync_idle();
}

#[test]
fn mailboxes_created() {
    let here = |w: &mut TwoSides| {
        w.local.create(&mb("A/B"));
        w.local.add(&mb("A/B"), b"Subject: n\r\n\r\n1", seen());
    };
    row("F1", base, here, &format!(r"A/B: n(\Seen); {SAME}"));
    let there = |w: &mut TwoSides| {
        w.remote.create(&mb("A/B"));
        w.remote.add(&mb("A/B"), b"Subject: n\r\n\r\n1", seen());
    };
    row("F2", base, there, &format!(r"A/B: n(\Seen); {SAME}"));
    let both = |w: &mut TwoSides| {
        for body in [b"Subject: n\r\n\r\n1", b"Subject: m\r\n\r\n2"] {
            w.remote.create(&mb("A"));
            w.remote.add(&mb("A"), body, Flags::default());
        }
        w.local.create(&mb("A"));
        w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
        w.local
            .add(&mb("A"), b"Subject: k\r\n\r\n3", Flags::default());
    };
    row("F3", base, both, &format!(r"A: k() m() n(\Seen); {SAME}"));
}

fn with_a() -> TwoSides {
    let mut w = base();
    w.remote.create(&mb("A"));
    w.remote.add(&mb("A"), b"Subject: a\r\n\r\n1", seen());
    w.sync_ok();
    w
}

fn drop_box(w: &mut TwoSides, side: Side) {
    match side {
        Side::Remote => drop(w.remote.inner.borrow_mut().boxes.remove(&mb("A"))),
        Side::Local => drop(w.local.inner.borrow_mut().boxes.remove(&mb("A"))),
    }
}

#[test]
fn mailboxes_deleted() {
    row("F4", with_a, |w| drop_box(w, Side::Local), SAME);
    let new_there = |w: &mut TwoSides| {
        drop_box(w, Side::Local);
        w.remote.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    };
    row(
        "F5",
        with_a,
        new_there,
        &format!(r"A: a(\Seen) n(\Seen); {SAME}"),
    );
    row("F6", with_a, |w| drop_box(w, Side::Remote), SAME);
    let new_here = |w: &mut TwoSides| {
        drop_box(w, Side::Remote);
        w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    };
    row(
        "F7",
        with_a,
        new_here,
        &format!(r"A: a(\Seen) n(\Seen); {SAME}"),
    );
    let both = |w: &mut TwoSides| {
        drop_box(w, Side::Remote);
        drop_box(w, Side::Local);
    };
    row("F8", with_a, both, SAME);
    let kept = || {
        let mut w = with_a();
        w.policy.delete_mailboxes = Travel::None;
        w
    };
    row(
        "F4 not travelling",
        kept,
        |w| drop_box(w, Side::Local),
        &format!(r"A: a(\Seen); {SAME}"),
    );
    row(
        "F6 not travelling",
        kept,
        |w| drop_box(w, Side::Remote),
        &format!(r"A: a(\Seen); {SAME}"),
    );
    let inbox_gone = |w: &mut TwoSides| {
        w.local.inner.borrow_mut().boxes.remove(&inbox());
    };
    row("F21", base, inbox_gone, SAME);
}

#[test]
fn deleted_bytes_are_kept() {
    for side in [Side::Remote, Side::Local] {
        let mut w = with_a();
        drop_box(&mut w, side);
        gone(&mut w, side);
        w.sync_ok();
        let kept = w.quarantined();
        assert!(kept.contains("Subject: a\r\n\r\n1"), "{side}: {kept:?}");
        assert!(
            kept.contains("Subject: msg\r\n\r\nmsg\r\n"),
            "{side}: {kept:?}"
        );
    }
}

#[test]
fn f19_no_inbox_changes_nothing() {
    let mut w = with_a();
    w.remote.inner.borrow_mut().boxes.clear();
    let report = w.sync();
    assert!(
        report.errors[0].text.contains("lists no INBOX"),
        "{:?}",
        report.errors
    );
    assert_eq!(show(&w.local.view()), format!(r"A: a(\Seen); {SAME}"));
}

#[test]
fn f20_a_mailbox_that_cannot_be_opened_holds_only_itself() {
    let mut w = with_a();
    w.local.add(&mb("A"), b"Subject: n\r\n\r\n1", seen());
    let epoch = w.remote.inner.borrow().boxes[&mb("A")].epoch;
    let key = w.state.mailboxes().unwrap()[&mb("A")];
    assert!(key.0 > 0 && epoch > 0);
    blind(&mut w, Side::Remote);
    gone(&mut w, Side::Remote);
    let report = w.sync();
    assert!(
        report.errors[0].text.contains("kept changing"),
        "{:?}",
        report.errors
    );
    assert_eq!(
        show(&w.remote.view()),
        r"A: a(\Seen) n(\Seen); INBOX: other()"
    );
    assert_eq!(
        show(&w.local.view()),
        format!(r"A: a(\Seen) n(\Seen); {SAME}")
    );
}

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
    assert_eq!(report.downloaded, 1, "the rest goes on");
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
    assert_eq!(w.sync_ok().deleted_remote, 41);
    w.assert_equal_sides("approved");
    assert!(w.state.held().unwrap().is_empty());
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
    assert_eq!(w.sync_ok().deleted_local, 1);
    let ids = w.remote.ids(&mb("A"));
    w.remote.delete(&mb("A"), &ids[0]);
    assert_eq!(
        w.sync_ok().deleted_local,
        1,
        "the new configuration is known by now"
    );
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
        (report.downloaded, report.uploaded, report.deleted_remote),
        (1, 1, 1)
    );
    assert_eq!(report.mailboxes_created_remote, 1);
}
