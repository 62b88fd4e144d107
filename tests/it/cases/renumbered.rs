//! A new UIDVALIDITY: which message is which (law, 1.5).

use super::*;

fn found_again(w: &mut TwoSides, found: usize, lost: usize) {
    let want = format!("{found} messages were found again, {lost} were not");
    let notes = w.sync().notes;
    assert!(notes.iter().any(|note| note.ends_with(&want)), "{notes:?}");
}

/// A server that was put back from a backup may give other dates: then headers and sizes tell.
#[test]
fn dates_are_others() {
    for all in [false, true] {
        let mut w = base();
        w.remote.renumber(&inbox(), 100);
        for id in w.remote.ids(&inbox()).iter().skip(usize::from(!all)) {
            w.remote.change(&inbox(), id, |m| m.date += 24 * 3600);
        }
        found_again(&mut w, 2, 0);
        w.sync_ok();
        w.assert_equal_sides("renumbered");
        assert_eq!(show(&w.remote.view()), SAME);
    }
}

/// What looks the same and is not is not taken for it.
#[test]
fn another_message_of_the_same_name_date_and_size() {
    let mut w = base();
    w.remote.renumber(&inbox(), 100);
    let id = uid(&w);
    w.remote.change(&inbox(), &id, |m| {
        m.body = b"Subject: msg\r\n\r\nMSG\r\n".to_vec()
    });
    found_again(&mut w, 1, 1);
    let here = w.local.inner.borrow().boxes[&inbox()].messages.clone();
    assert!(here.values().any(|m| m.body == BODY), "kept");
    assert!(
        here.values().any(|m| m.body.ends_with(b"MSG\r\n")),
        "fetched"
    );
}

/// Where the server names messages, that is proof: nothing is read.
#[test]
fn names_that_prove_are_enough() {
    let mut w = TwoSides::new();
    w.remote.inner.borrow_mut().objects = true;
    for body in [BODY, OTHER, b"Subject: n\r\n\r\n1"] {
        w.remote.add(&inbox(), body, seen());
    }
    w.sync_ok();
    w.remote.renumber(&inbox(), 100);
    let last = w.local.ids(&inbox()).pop().unwrap();
    w.local.delete(&inbox(), &last);
    w.remote.add(&inbox(), b"Subject: o\r\n\r\n1", seen());
    let before = w.remote.inner.borrow().counts.reads;
    found_again(&mut w, 3, 0);
    let read = w.remote.inner.borrow().counts.reads - before;
    assert_eq!(read, 2, "one comes again, one is new, and no other is read");
}

/// A file that was not found waits for the user, and is found when its message comes after all.
#[test]
fn what_was_not_found_may_come_later() {
    let mut w = base();
    let gone = uid(&w);
    w.remote.delete(&inbox(), &gone);
    w.remote.renumber(&inbox(), 100);
    found_again(&mut w, 1, 1);
    assert_eq!(w.sync().held.len(), 1);
    w.remote.add(&inbox(), BODY, seen());
    let report = w.sync_ok();
    assert_eq!(
        (report.counts.linked, report.counts.downloaded),
        (1, 0),
        "{report:?}"
    );
    assert_eq!(show(&w.remote.view()), SAME);
    w.assert_equal_sides("it came");
}

/// A server that was put back from a backup under the same UIDVALIDITY gives UIDs for a second
/// time. Nothing is taken for another, and what the server lost is kept.
#[test]
fn a_mailbox_that_was_put_back_from_a_backup() {
    let mut w = base();
    w.remote.create(&mb("A"));
    let add = |w: &TwoSides, n: u32| {
        let body = format!("Subject: {n}\r\n\r\n{n}");
        w.remote.add(&mb("A"), body.as_bytes(), seen());
    };
    (0..100).for_each(|n| add(&w, n));
    w.sync_ok();
    let backup = w.remote.inner.borrow().boxes[&mb("A")].clone();
    (100..105).for_each(|n| add(&w, n));
    w.sync_ok();
    w.now.set(w.now.get() + 1);
    w.sync_ok();
    let mut inner = w.remote.inner.borrow_mut();
    inner.boxes.insert(mb("A"), backup);
    drop(inner);
    add(&w, 1000);
    found_again(&mut w, 100, 5);
    let report = w.sync();
    assert_eq!((report.held.len(), report.changes()), (1, 0), "{report:?}");
    assert_eq!(w.remote.ids(&mb("A")).len(), 101);
    assert_eq!(w.local.ids(&mb("A")).len(), 106);
}
