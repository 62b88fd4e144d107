//! Servers that name each message wherever it lies (EMAILID, X-GM-MSGID).

use super::moves::begin;
use super::*;
use crate::support::memory::Message as MemoryMessage;

/// One message under three labels, and nothing here yet.
fn labels() -> TwoSides {
    let mut w = TwoSides::new();
    w.remote.inner.borrow_mut().objects = true;
    for name in ["A", "B"] {
        w.remote.create(&mb(name));
    }
    w.sync_ok();
    let id = w.remote.add(&inbox(), BODY, seen());
    for name in ["A", "B"] {
        w.remote.copy(&inbox(), &id, &mb(name));
    }
    w
}

#[test]
fn a_message_under_several_labels_is_fetched_once_for_the_inbox() {
    let mut w = labels();
    let before = (w.fuse.borrow().steps, w.remote.inner.borrow().counts.reads);
    let report = w.sync_ok();
    let steps = w.fuse.borrow().steps - before.0;
    assert_eq!(
        (report.counts.downloaded, report.counts.copied_local),
        (1, 2)
    );
    assert_eq!(w.remote.inner.borrow().counts.reads - before.1, 1, "bodies");
    w.assert_equal_sides("fetched once");
    w.sync_idle();
    for cut in each_step(steps) {
        let mut w = labels();
        w.sync_cut(cut);
        let count = |name: &str| w.local.ids(&mb(name)).len();
        let copied = count("A") + count("B");
        assert!(copied == 0 || count("INBOX") == 1, "cut at step {cut}");
        w.sync_ok();
        w.assert_equal_sides(&format!("cut at step {cut}"));
    }
}

/// What it is called proves what it is: nothing of it has to be read.
#[test]
fn what_moved_there_is_known_without_a_look_into_it() {
    let steps = |objects: bool| {
        let mut w = begin(|w| w.remote.inner.borrow_mut().objects = objects);
        let id = uid(&w);
        w.remote.shift(&inbox(), &id, &mb("B"));
        let before = w.fuse.borrow().steps;
        assert_eq!(w.sync_ok().counts.moved_local, 1);
        w.fuse.borrow().steps - before
    };
    let (named, plain) = (steps(true), steps(false));
    assert!(named < plain, "{named} steps, {plain} without names");
}

/// A message of another content with the id of one that is known, as of servers whose ids are sums.
fn add_collision(w: &TwoSides, mailbox: &str, of: &MemoryMessage, body: &[u8]) {
    let id = w.remote.add(&mb(mailbox), body, seen());
    let mut inner = w.remote.inner.borrow_mut();
    let message = inner
        .boxes
        .get_mut(&mb(mailbox))
        .unwrap()
        .messages
        .get_mut(&id);
    message.unwrap().object = of.object;
}

/// Ids that are not unique cost bytes, and no message becomes another.
#[test]
fn messages_of_one_id_in_one_mailbox_are_compared() {
    const OTHER: &[u8] = b"Subject: o\r\nMessage-ID: <o@x>\r\n\r\n1\r\n";
    const THIRD: &[u8] = b"Subject: t\r\nMessage-ID: <t@x>\r\n\r\n1\r\n";
    for first in [true, false] {
        let mut w = TwoSides::new();
        w.remote.inner.borrow_mut().objects = true;
        w.remote.create(&mb("A"));
        w.sync_ok();
        let id = w.remote.add(&mb("A"), BODY, seen());
        let known = w.remote.inner.borrow().boxes[&mb("A")].messages[&id].clone();
        if !first {
            w.sync_ok();
        }
        add_collision(&w, "A", &known, OTHER);
        add_collision(&w, "A", &known, THIRD);
        w.sync_ok();
        w.assert_equal_sides(&format!("first {first}"));
        w.sync_idle();
        // A copy that the user makes is one of its own message.
        let files: Vec<MaildirId> = w.local.ids(&mb("A"));
        for file in &files {
            w.local.copy(&mb("A"), file, &inbox());
        }
        w.sync();
        w.sync_ok();
        w.assert_equal_sides(&format!("first {first}, copied"));
        w.sync_idle();
    }
}
