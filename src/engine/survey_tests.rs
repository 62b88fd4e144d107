//! What a survey goes by.

use super::*;
use crate::model::{Canonical, Flags, MaildirId, Pair, PairId};
use crate::reconcile::Cursor;

#[test]
fn the_highest_uid_is_that_of_the_base_or_one_that_was_seen() {
    let uid = |n| Uid::new(n).unwrap();
    let pair = |n: u32| Pair {
        id: PairId(n.into()),
        uid: uid(n),
        file: MaildirId::new("f"),
        flags: Flags::default(),
        hash: Canonical::of(b"x"),
        size: 1,
        kin: None,
        tombstone: None,
    };
    let mut base = MailboxBase {
        key: MailboxKey(1),
        name: MailboxName::inbox(),
        tag: 1,
        epoch: None,
        pairs: Vec::new(),
        aside: Vec::new(),
    };
    let mut look = Look::unchanged(None, Cursor::default());
    assert_eq!(top(&base, &look), 0);
    base.pairs = vec![pair(7), pair(3)];
    assert_eq!(top(&base, &look), 7);
    look.seen.insert(uid(9), None);
    assert_eq!(top(&base, &look), 9);
}
