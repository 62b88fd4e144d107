//! The tables of the law as rows: every row of the message table (1.3) and of the mailbox table
//! (1.4) that the spine decides. Each row runs, runs again (nothing to do), and is cut at every
//! step of the sides and at every transaction, resumed, and must end the same.

mod aliases;
mod astray;
mod breaks;
mod budget;
mod buried;
mod carried;
mod compared;
mod cut_moves;
mod damaged;
mod evidence;
mod first_meeting;
mod flags;
mod frozen;
mod guards;
mod letters;
mod looks;
mod mailboxes;
mod marked;
mod meanwhile;
mod moves;
mod names;
mod new_messages;
mod not_carried;
mod objects;
mod one_of_many;
mod progress;
mod renames;
mod renames_asked;
mod renumbered;
mod restored;
mod set_aside;
mod touched;
mod unreadable;
mod uploads;
mod verify;

use crate::support::fuse::{each, each_step};
use crate::support::world::TwoSides;
use mailtide::model::*;
use mailtide::reconcile::{Direction, FlagMask, Travel};
use mailtide::store::StoreError;
use std::cell::Cell;
use std::collections::BTreeMap;
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

fn show(view: &BTreeMap<String, Vec<(String, String)>>) -> String {
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

/// The result that a row wants.
struct Want {
    remote: String,
    local: String,
    /// The result on both sides that is allowed instead where a step was refused.
    refused: Option<String>,
}

impl Want {
    /// Reads `REMOTE | LOCAL || REFUSED`; without `|` both sides are equal.
    fn parse(text: &str) -> Want {
        let (want, refused) = match text.split_once(" || ") {
            Some((want, refused)) => (want, Some(refused.to_owned())),
            None => (text, None),
        };
        let (remote, local) = want.split_once(" | ").unwrap_or((want, want));
        let (remote, local) = (remote.to_owned(), local.to_owned());
        Want {
            remote,
            local,
            refused,
        }
    }

    /// Fails unless the sides hold what is wanted, or what may be where `may_refuse` a step.
    fn check(&self, w: &TwoSides, may_refuse: bool, how: &str) {
        let (remote, local) = (show(&w.remote.view()), show(&w.local.view()));
        if may_refuse && self.refused.as_ref() == Some(&remote) {
            return assert_eq!(local, remote, "local, {how}");
        }
        assert_eq!(remote, self.remote, "remote, {how}");
        assert_eq!(local, self.local, "local, {how}");
    }
}

/// Fails unless `w` is at its end: a further run writes nothing, no intent is left, and each body
/// of `whole` exists at least as often as there. (More may lie in quarantine: bytes are kept before
/// a deletion. That nothing is doubled in a mailbox shows the view.)
fn assert_at_end(w: &mut TwoSides, whole: &BTreeMap<Vec<u8>, usize>, how: &str) {
    w.sync_idle();
    w.assert_no_intent(how);
    let bodies = w.bodies();
    for (body, count) in whole.iter().filter(|(body, _)| !body.is_empty()) {
        let now = bodies.get(body).copied().unwrap_or(0);
        let short = String::from_utf8_lossy(body);
        assert!(now >= *count, "{how}: {now} of {count} of {short:?}");
    }
}

/// Runs a row: `act` makes the states of the sides, `want` is what both sides then hold (local
/// after `|` where it differs; after `||` what they may hold when a step was refused).
fn row(name: &str, prepare: fn() -> TwoSides, act: fn(&mut TwoSides), want: &str) {
    let want = Want::parse(want);
    let mut w = prepare();
    act(&mut w);
    let before = w.fuse.borrow().steps;
    w.sync();
    let steps = w.fuse.borrow().steps - before;
    want.check(&w, false, &format!("{name}, uncut"));
    let whole = w.bodies();
    let verify = |w: &mut TwoSides, may_refuse: bool, how: &str| {
        let how = format!("{name}, {how}");
        want.check(w, may_refuse, &how);
        assert_at_end(w, &whole, &how);
        want.check(w, may_refuse, &how);
    };
    verify(&mut w, false, "uncut");
    for cut in each_step(steps) {
        let mut w = prepare();
        act(&mut w);
        assert!(!w.sync_cut(cut).ok(), "{name}: cut at step {cut}");
        w.sync();
        verify(&mut w, false, &format!("cut at step {cut} of {steps}"));
    }
    failing_steps(steps, (prepare, act), &|w, how| verify(w, true, how));
    cut_at_commits(name, prepare, act, &|w, how| verify(w, false, how));
}

/// How a row begins, and what happens then.
type Scene = (fn() -> TwoSides, fn(&mut TwoSides));

/// One step fails: as when the line breaks, which ends the run; and in one mailbox only.
fn failing_steps(steps: u32, (prepare, act): Scene, verify: &dyn Fn(&mut TwoSides, &str)) {
    for step in each_step(steps) {
        let mut w = prepare();
        act(&mut w);
        let report = w.sync_failing(step, StoreError::Retry("the line broke".into()));
        assert!(report.halted.is_some(), "{report:?}");
        w.sync();
        verify(&mut w, &format!("the line broke at step {step} of {steps}"));
        let mut w = prepare();
        act(&mut w);
        w.sync_failing(step, StoreError::Mailbox("this one failed".into()));
        w.sync();
        verify(&mut w, &format!("one failed at step {step} of {steps}"));
    }
}

/// The state database fails at its n-th transaction, for every n.
fn cut_at_commits(
    name: &str,
    prepare: fn() -> TwoSides,
    act: fn(&mut TwoSides),
    verify: &dyn Fn(&mut TwoSides, &str),
) {
    for n in (0..100).step_by(each()) {
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
    set_blind(w, side, true);
}

fn set_blind(w: &mut TwoSides, side: Side, blind: bool) {
    set_blind_in(w, side, &inbox(), blind);
}

fn set_blind_in(w: &mut TwoSides, side: Side, name: &MailboxName, blind: bool) {
    let (mut remote, mut local) = (w.remote.inner.borrow_mut(), w.local.inner.borrow_mut());
    match side {
        Side::Remote => remote.boxes.get_mut(name).unwrap().blind = blind,
        Side::Local => local.boxes.get_mut(name).unwrap().blind = blind,
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
