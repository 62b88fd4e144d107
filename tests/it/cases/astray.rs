//! Uploads that were cut when the server may have stored them already, and what happens to their
//! files before the next run.

use super::mailboxes::with_a;
use super::*;

const NEW: &[u8] = b"Subject: n\r\n\r\n1";

/// A file in INBOX of which an upload was begun, and its last byte has left.
fn in_doubt(w: &mut TwoSides) -> MaildirId {
    let file = w.local.add(&inbox(), NEW, Flags::default());
    let key = *w.state.mailboxes().unwrap().get(&inbox()).unwrap();
    let above = w.remote.ids(&inbox()).last().map_or(0, |uid| uid.get());
    let files = [file.clone()];
    w.state
        .begin_uploads(key, &files, above, w.now.get())
        .unwrap();
    w.state.commit_uploads(key, w.now.get()).unwrap();
    file
}

/// A user moves it to A.
fn moved(w: &mut TwoSides) {
    let all = w.local.inner.borrow().boxes[&inbox()].messages.clone();
    let (file, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
    w.local.shift(&inbox(), file, &mb("A"));
}

#[test]
fn moved_here_after_it_arrived() {
    let arrived = || {
        let mut w = with_a();
        in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        w
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
    row("arrived, moved here", arrived, moved, want);
    let slow = || {
        let mut w = with_a();
        w.remote.inner.borrow_mut().deltas = false;
        w.local.inner.borrow_mut().deltas = false;
        in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        w
    };
    row("arrived, moved here, all is listed", slow, moved, want);
}

#[test]
fn moved_here_after_it_arrived_at_the_first_run() {
    let arrived = || {
        let mut w = TwoSides::new();
        w.remote.create(&mb("A"));
        w.sync_ok();
        in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        w
    };
    row("nothing else is known", arrived, moved, "A: n(); INBOX: ");
}

#[test]
fn moved_here_and_it_never_arrived() {
    let lost = || {
        let mut w = with_a();
        in_doubt(&mut w);
        w
    };
    let want = r"A: a(\Seen) n(); INBOX: msg(\Seen) other()";
    row("lost, moved here", lost, moved, want);
}

#[test]
fn what_arrived_is_not_what_vanished_elsewhere() {
    let twice = || {
        let mut w = with_a();
        w.local.add(&mb("A"), NEW, Flags::default());
        w.sync_ok();
        in_doubt(&mut w);
        w.remote.add(&inbox(), NEW, Flags::default());
        w
    };
    let deleted = |w: &mut TwoSides| {
        let all = w.local.inner.borrow().boxes[&mb("A")].messages.clone();
        let (file, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.local.delete(&mb("A"), file);
    };
    let want = r"A: a(\Seen); INBOX: msg(\Seen) n() other()";
    row("twice, one deleted here", twice, deleted, want);
    let expunged = |w: &mut TwoSides| {
        let all = w.remote.inner.borrow().boxes[&mb("A")].messages.clone();
        let (uid, _) = all.iter().find(|(_, m)| m.body == NEW).unwrap();
        w.remote.delete(&mb("A"), uid);
    };
    row("twice, one deleted there", twice, expunged, want);
}
