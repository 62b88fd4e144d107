//! F31: one mailbox that the server lists under several names is kept in step under one.

use super::*;
use mailtide::reconcile::Census;

/// A and B hold the same messages, and the server calls them the same.
fn begin(messages: u32, proves: bool, census: Option<[&str; 2]>) -> TwoSides {
    let w = base();
    for (at, name) in ["A", "B"].into_iter().enumerate() {
        w.remote.create(&mb(name));
        for number in 1..=messages {
            let body = format!("Message-ID: <{number}@x>\r\n\r\n{number}");
            w.remote.add(&mb(name), body.as_bytes(), seen());
        }
        let mut inner = w.remote.inner.borrow_mut();
        inner.proves = proves;
        let one = inner.boxes.get_mut(&mb(name)).unwrap();
        one.called = Some("one");
        one.census = census.map(|texts| Census {
            text: texts[at].into(),
            next: messages + 1,
        });
    }
    w
}

/// The mailboxes that are on disk in the end.
fn synced(mut w: TwoSides) -> Vec<String> {
    let report = w.sync_ok();
    let names: Vec<String> = w
        .local
        .names()
        .iter()
        .map(|name| name.to_string())
        .collect();
    assert_eq!(report.counts.mailboxes, names.len(), "{report:?}");
    w.sync_idle();
    names
}

const ONE: [&str; 2] = ["A", "INBOX"];
const BOTH: [&str; 3] = ["A", "B", "INBOX"];

#[test]
fn what_proves_needs_no_witness() {
    row(
        "F31",
        || begin(2, true, None),
        |_| {},
        "A: Message-ID: <1@x>(\\Seen) Message-ID: <2@x>(\\Seen); \
         B: Message-ID: <1@x>(\\Seen) Message-ID: <2@x>(\\Seen); INBOX: msg(\\Seen) other() | \
         A: Message-ID: <1@x>(\\Seen) Message-ID: <2@x>(\\Seen); INBOX: msg(\\Seen) other()",
    );
    assert_eq!(synced(begin(2, true, None)), ONE);
    assert_eq!(synced(begin(0, true, None)), ONE);
    assert_eq!(synced(begin(2, true, Some(["1", "2"]))), ONE);
    let report = begin(2, true, None).sync_ok();
    let note = "B is A under another name on the server; only A is synced";
    assert_eq!(report.notes, [note]);
}

#[test]
fn what_is_known_comes_first_and_inbox_before_all() {
    let mut w = begin(2, true, None);
    let a = w.remote.inner.borrow_mut().boxes.remove(&mb("A")).unwrap();
    w.sync_ok();
    w.remote.inner.borrow_mut().boxes.insert(mb("A"), a);
    assert_eq!(synced(w), ["B", "INBOX"]);
    let w = begin(2, true, None);
    let mut inner = w.remote.inner.borrow_mut();
    inner.boxes.get_mut(&inbox()).unwrap().called = Some("one");
    drop(inner);
    assert_eq!(synced(w), ["INBOX"]);
}

#[test]
fn what_suggests_needs_the_counts_and_the_last_messages() {
    assert_eq!(synced(begin(2, false, Some(["1", "1"]))), ONE);
    row(
        "F31, UIDVALIDITY",
        || begin(1, false, Some(["1", "1"])),
        |_| {},
        "A: Message-ID: <1@x>(\\Seen); B: Message-ID: <1@x>(\\Seen); \
         INBOX: msg(\\Seen) other() | A: Message-ID: <1@x>(\\Seen); INBOX: msg(\\Seen) other()",
    );
    assert_eq!(synced(begin(2, false, Some(["1", "2"]))), BOTH);
    assert_eq!(synced(begin(2, false, None)), BOTH);
    assert_eq!(synced(begin(0, false, Some(["1", "1"]))), BOTH);
    // The last sixteen are asked for.
    for (other, want) in [(4, &ONE[..]), (5, &BOTH[..]), (20, &BOTH[..])] {
        let w = begin(20, false, Some(["1", "1"]));
        let uid = Uid::new(other).unwrap();
        w.remote.change(&mb("B"), &uid, |m| m.body.push(b'x'));
        assert_eq!(synced(w), want, "message {other} is another");
    }
}

/// INBOX has the UIDVALIDITY of A and B, and other counts, or none.
fn one_uidvalidity(counts: Option<&str>) -> TwoSides {
    let w = begin(2, false, Some(["1", "1"]));
    let mut inner = w.remote.inner.borrow_mut();
    let one = inner.boxes.get_mut(&inbox()).unwrap();
    one.called = Some("one");
    one.census = counts.map(|counts| Census {
        text: counts.into(),
        next: 3,
    });
    drop(inner);
    w
}

/// Some servers have one UIDVALIDITY for all mailboxes; a copy of a mailbox has its UIDs there.
#[test]
fn a_uidvalidity_of_several_mailboxes_proves_nothing() {
    assert_eq!(synced(one_uidvalidity(Some("2"))), BOTH);
    assert_eq!(synced(one_uidvalidity(None)), BOTH);
    row(
        "F31, one UIDVALIDITY for all",
        || one_uidvalidity(None),
        |_| {},
        "A: Message-ID: <1@x>(\\Seen) Message-ID: <2@x>(\\Seen); \
         B: Message-ID: <1@x>(\\Seen) Message-ID: <2@x>(\\Seen); INBOX: msg(\\Seen) other()",
    );
}

/// Mailboxes that were told apart once and become alike are not hidden from each other.
#[test]
fn two_that_were_synced_as_two_stay_two() {
    let mut w = begin(2, false, Some(["1", "2"]));
    w.sync_ok();
    for one in w.remote.inner.borrow_mut().boxes.values_mut() {
        one.census = Some(Census {
            text: "1".into(),
            next: 3,
        });
    }
    w.local.add(&mb("B"), b"Subject: new\r\n\r\n1", seen());
    w.sync_ok();
    assert_eq!(w.remote.ids(&mb("B")).len(), 3);
    assert_eq!(synced(w), BOTH);
}

/// What is taken for another mailbox by mistake would be there for ever.
#[test]
fn what_cannot_be_asked_waits() {
    for deaf in ["A", "B"] {
        let mut w = begin(2, false, Some(["1", "1"]));
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .get_mut(&mb(deaf))
            .unwrap()
            .deaf = true;
        w.remote.add(&inbox(), b"Subject: new\r\n\r\n1", seen());
        assert!(!w.sync().ok(), "{deaf} is deaf");
        assert_eq!(w.local.ids(&inbox()).len(), 3, "others do not wait");
        assert!(!w.local.names().contains(&mb("B")), "{deaf} is deaf");
        w.remote
            .inner
            .borrow_mut()
            .boxes
            .get_mut(&mb(deaf))
            .unwrap()
            .deaf = false;
        assert_eq!(synced(w), ONE, "{deaf} was deaf");
    }
}
