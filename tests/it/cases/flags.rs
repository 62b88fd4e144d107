//! Flags of pairs from one run to the next.

use super::*;

/// What both sides did is agreed on, although nothing had to be done: else what one of them takes
/// back afterwards would look as if the other had just done it.
#[test]
fn what_both_did_and_one_takes_back_is_taken_back() {
    for side in Side::BOTH {
        let mut w = base();
        flag(&mut w, Some(Flagged), Some(Flagged));
        let report = w.sync_ok();
        assert_eq!(
            (report.counts.flags_remote, report.counts.flags_local),
            (0, 0)
        );
        let (uid, file) = (uid(&w), file(&w));
        let clear = |flags: &mut Flags| *flags = flags.clone().without(Flagged);
        match side {
            Side::Remote => w.remote.edit(&inbox(), &uid, clear),
            Side::Local => w.local.edit(&inbox(), &file, clear),
        }
        w.sync_ok();
        assert_eq!(show(&w.remote.view()), SAME, "{side}");
        w.assert_equal_sides("taken back");
        w.sync_idle();
    }
}

/// In one mailbox flags are set and messages are taken for one; in another there are flags, one
/// comes, one goes on each side, and one moves.
#[test]
fn nothing_is_recorded_before_it_is_durable() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let new = |n: u32| format!("Message-ID: <new{n}@x>\r\n\r\n{n}");
    let mut w = super::mailboxes::with_a();
    for n in 1..=5 {
        w.remote.add(&mb("A"), new(n).as_bytes(), seen());
    }
    w.sync_ok();
    let all = w.remote.ids(&mb("A"));
    for uid in [all[0], all[1]] {
        w.remote.edit(&mb("A"), &uid, |flags| flags.insert(Flagged));
    }
    w.remote.delete(&mb("A"), &all[2]);
    w.remote.shift(&mb("A"), &all[3], &inbox());
    let file = w.local.ids(&mb("A")).pop().unwrap();
    w.local.delete(&mb("A"), &file);
    flag(&mut w, Some(Flagged), None);
    for (n, name) in [(6, inbox()), (7, mb("A"))] {
        w.remote.add(&name, new(n).as_bytes(), seen());
        w.local
            .add(&name, new(n).as_bytes(), Flags::of(&[Answered]));
    }
    let early = std::sync::Arc::new(AtomicBool::new(false));
    let unsynced = w.local.inner.borrow().unsynced.clone();
    let noted = early.clone();
    w.state.fail_commits(move || {
        noted.fetch_or(unsynced.load(Ordering::SeqCst), Ordering::SeqCst);
        false
    });
    let report = w.sync_ok();
    let done = (
        report.counts.flags_local,
        report.counts.deleted_local,
        report.counts.moved_local,
    );
    assert_eq!((done, report.counts.linked), ((5, 1, 1), 2), "{report:?}");
    assert!(!early.load(Ordering::SeqCst));
    w.state.fail_commits(|| false);
    w.assert_equal_sides("done");
}

/// The server says that it takes any keyword, and refuses one.
fn picky() -> TwoSides {
    let w = base();
    let work = Flags::from_parts(0, Keyword::new("work"));
    w.remote.inner.borrow_mut().declines = work;
    w
}

#[test]
fn a_refused_keyword_blocks_nothing_and_stays_here() {
    let tag = |w: &mut TwoSides| {
        w.local.edit(&inbox(), &file(w), |f| {
            f.insert(SystemFlag::Flagged);
            for name in ["work", "todo"] {
                f.insert_keyword(Keyword::new(name).unwrap());
            }
        });
        let both = Flags::from_parts(16, ["work", "todo"].map(|n| Keyword::new(n).unwrap()));
        w.local.add(&inbox(), b"Subject: new\r\n\r\nnew\r\n", both);
    };
    let mut w = picky();
    tag(&mut w);
    let report = w.sync();
    let there = r"INBOX: msg(\Flagged \Seen todo) new(\Seen todo) other()";
    assert_eq!(show(&w.remote.view()), there);
    let here = r"INBOX: msg(\Flagged \Seen todo work) new(\Seen todo work) other()";
    assert_eq!(show(&w.local.view()), here);
    let [trouble] = &report.errors[..] else {
        panic!("named once: {:?}", report.errors);
    };
    assert!(
        trouble.text.contains("keyword work in INBOX"),
        "{}",
        trouble.text
    );
    w.sync_idle();
    assert!(w.sync().errors.is_empty(), "named once");
    // A change of other flags meets no refusal.
    w.remote.edit(&inbox(), &uid(&w), |f| {
        *f = f.clone().without(SystemFlag::Flagged)
    });
    assert!(w.sync().errors.is_empty());
    assert_eq!(show(&w.local.view()), here.replace("\\Flagged ", ""));
    w.sync_idle();
}
