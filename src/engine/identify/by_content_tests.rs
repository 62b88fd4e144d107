//! Knowledge about messages before their content is read.

use super::*;
use crate::engine::plain_values::*;
use crate::model::{Aside, AsideReason, Canonical, Flags, UidValidity};
use crate::store::{About, Sink};

#[test]
fn a_draft_is_what_is_marked_so_or_not_seen() {
    let mut look = scene("A", &[]).remote;
    assert!(is_draft(&look, &uid(1)), "not seen");
    look.seen.insert(uid(1), None);
    assert!(is_draft(&look, &uid(1)), "flags not told");
    look.seen
        .insert(uid(1), Some(Flags::of(&[SystemFlag::Seen])));
    assert!(!is_draft(&look, &uid(1)));
    look.seen
        .insert(uid(1), Some(Flags::of(&[SystemFlag::Draft])));
    assert!(is_draft(&look, &uid(1)));
}

/// A mailbox whose new files have these UIDs in their names.
fn named(claims: &[u32]) -> Scene {
    let mut one = scene("A", &[1, 2]);
    one.base.uid_validity = Some(UidValidity(5));
    for n in claims {
        let name = file(100 + n);
        one.local.seen.insert(name.clone(), None);
        let origin = Origin {
            mailbox: one.base.tag,
            uid_validity: UidValidity(5),
            uid: uid(*n),
        };
        one.local.origins.insert(name, origin);
    }
    one
}

/// The pair without a file, or a skipped message, has it under another name.
#[test]
fn what_a_new_file_names_and_the_base_has_no_file_of_is_half_recorded() {
    let half = |one: &Scene| {
        let hints = hints(&one.base, &one.local);
        half_recorded(&one.base, &one.local, &hints)
    };
    let mut one = named(&[1, 3]);
    assert!(half(&one).is_empty(), "the pair has its file");
    let gone = BTreeSet::from([file(1), file(2)]);
    one.local.coverage = crate::reconcile::Coverage::Delta { gone };
    assert_eq!(half(&one), [uid(1)], "nobody names the second");
    let aside = |id| Aside {
        id,
        reason: AsideReason::Refused,
        attempts: 1,
        retry_at: None,
        flags: Flags::default(),
        detail: String::new(),
    };
    one.base.aside = [uid(3).any(), uid(4).any(), file(5).any()]
        .map(aside)
        .into();
    assert_eq!(half(&one), [uid(1), uid(3)]);
    assert!(half(&named(&[])).is_empty());
}

/// Names of known files prove nothing, nor those of other mailboxes.
#[test]
fn a_hint_is_the_name_of_a_new_file_of_this_mailbox_in_this_uidvalidity() {
    let mut one = named(&[7, 8, 9]);
    let origin = |mailbox, uid_validity| Origin {
        mailbox,
        uid_validity: UidValidity(uid_validity),
        uid: uid(8),
    };
    one.local.origins.insert(file(108), origin(2, 5));
    one.local.origins.insert(file(109), origin(1, 6));
    one.local.origins.insert(file(2), origin(1, 5));
    assert_eq!(hints(&one.base, &one.local), [(file(107), uid(7))].into());
}

/// A message that was dropped is not part of the next one.
#[tokio::test]
async fn each_message_is_hashed_by_itself() {
    let about = |n: u32| About {
        id: uid(n),
        flags: Flags::default(),
        date: None,
        stored: 3,
        stamp: None,
        kin: None,
    };
    let mut sink = HashSink::default();
    sink.begin(3, None).await.unwrap();
    sink.chunk(b"x").await.unwrap();
    sink.abandon().await.unwrap();
    for n in [1, 2] {
        sink.begin(3, None).await.unwrap();
        sink.chunk(b"abc").await.unwrap();
        sink.end(about(n)).await.unwrap();
    }
    let all: Vec<(ContentHash, u64)> = sink.hashes.into_values().collect();
    assert_eq!(all, [(Canonical::of(b"abc"), 3); 2]);
}
