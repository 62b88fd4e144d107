//! Mailboxes with equal counters and equal messages, on a server that names no mailbox by an id.

use super::{home, run};
use crate::anywhere::{files, mail};
use crate::sim::profile::Profile;
use crate::sim::serve::serve;
use std::collections::BTreeSet;

/// Returns how many files `A` and `B` have after a sync, and its text. Both have this UIDVALIDITY
/// on the server, and the same two messages.
fn synced(uid_validity: u64) -> ([usize; 2], String) {
    let (port, server) = serve(Profile::named("condstore"));
    let mut stage = server.lock();
    for name in ["A", "B"] {
        stage.mail.create(name, 1_700_000_000);
        for n in [7, 8] {
            let letter = stage.mail.letter(mail(n), BTreeSet::new(), 1_700_000_000);
            stage.mail.boxes.get_mut(name).unwrap().put(letter);
        }
        stage.mail.boxes.get_mut(name).unwrap().uid_validity = uid_validity;
    }
    drop(stage);
    let home = home(port, "tls = \"none\"\npassword = \"x\"");
    let (code, text) = run(&home, &["sync", "-v"]);
    assert_eq!(code, 0, "{text}");
    let count = |name| {
        let path = home.mail().join(name);
        if path.exists() { files(&path).len() } else { 0 }
    };
    ([count("A"), count("B")], text)
}

#[test]
fn equal_mailboxes_with_a_low_uidvalidity_are_two() {
    let (counts, text) = synced(3);
    assert_eq!(counts, [2, 2], "{text}");
    // Two mailboxes hardly have one time of creation and the same messages.
    let (counts, text) = synced(1_700_000_000);
    assert_eq!(counts, [2, 0], "{text}");
    assert!(text.contains("B is A under another name"), "{text}");
}
