//! Uploads that were cut, and equal messages elsewhere that they did not become, or of which that
//! cannot be told.

use super::carried::*;
use super::mailboxes::with_a;
use super::*;

/// What others have marked as deleted is no place to which it was moved.
#[test]
fn an_equal_one_that_is_deleted_elsewhere_is_not_it() {
    let lost = || {
        let mut w = with_a();
        in_doubt(&mut w);
        another_went_by(&mut w);
        w
    };
    let marked = |w: &mut TwoSides| {
        w.remote.add(&mb("A"), NEW, Flags::of(&[Deleted]));
    };
    let want = "A: a(\\Seen) n(\\Deleted); INBOX: msg(\\Seen) n() other() | \
                A: a(\\Seen); INBOX: msg(\\Seen) n() other()";
    row("marked elsewhere", lost, marked, want);
}

/// What is kept in step no more is not waited for.
#[test]
fn an_equal_one_while_its_mailbox_is_chosen_no_more() {
    let mut w = arrived();
    moved(&mut w);
    w.policy.mailboxes = vec!["!INBOX".into()];
    w.sync_ok();
    assert_eq!(w.local.ids(&mb("A")).len(), 2, "it is fetched");
}

/// Where its mailbox cannot be seen as a whole, nobody knows whether it is still there.
#[test]
fn it_arrived_and_stays_in_a_mailbox_that_is_not_seen() {
    let mut w = arrived();
    w.remote.add(&mb("A"), NEW, Flags::default());
    blind(&mut w, Side::Remote);
    w.sync();
    assert_eq!(w.local.ids(&mb("A")).len(), 1, "it waits");
    assert_eq!(w.local.ids(&inbox()).len(), 3, "the file stays");
    set_blind(&mut w, Side::Remote, false);
    w.sync();
    w.sync_ok();
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() other()";
    assert_eq!(show(&w.remote.view()), want);
    w.assert_equal_sides("it is seen again");
}

/// Nor what the UID that went by is: here another message, which is no pair of the file.
#[test]
fn it_never_arrived_where_another_did_that_is_not_seen() {
    let mut w = with_a();
    in_doubt(&mut w);
    w.remote
        .add(&inbox(), b"Subject: o\r\n\r\n", Flags::default());
    w.remote.add(&mb("A"), NEW, Flags::default());
    blind(&mut w, Side::Remote);
    w.sync();
    set_blind(&mut w, Side::Remote, false);
    w.sync();
    w.sync_ok();
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) n() o() other()";
    assert_eq!(show(&w.remote.view()), want);
    w.assert_equal_sides("it is seen again");
}
