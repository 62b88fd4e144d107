//! A mailbox of the server that is changed without a look into it.

use super::{base, look};
use mailtide::imap::ImapStore;
use mailtide::model::*;
use mailtide::reconcile::{Cursor, News};
use mailtide::store::*;
use std::collections::BTreeMap;

pub async fn changed_without_a_look(mut store: ImapStore) {
    let name = MailboxName::inbox();
    store.list(&BTreeMap::new()).await.unwrap();
    let nothing = base::<Uid>(&name, None, &[]);
    let anywhere = Place {
        mailbox: name.clone(),
        uid_validity: None,
    };
    let delivery = || Delivery {
        tag: 0,
        flags: Flags::default(),
        date: None,
        origin: None,
    };
    let body = b"Subject: unseen\r\n\r\nunseen\r\n";
    let mut receiver = store.receive(&anywhere).await.unwrap();
    let begun = receiver.begin(body.len() as u64, Some(&delivery())).await;
    begun.unwrap();
    receiver.chunk(body).await.unwrap();
    receiver.end(delivery()).await.unwrap();
    receiver.finish().await.unwrap();
    let all = look(&mut store, &nothing, None).await;
    let (id, uid_validity) = (*all.seen.keys().next().unwrap(), all.uid_validity);
    let of = MailboxBase {
        uid_validity,
        ..nothing
    }
    .outline();
    let place = Place {
        uid_validity,
        ..anywhere
    };

    let there = store.assume_unchanged(&of, &all.cursor).unwrap();
    assert!(there.is_empty_delta() && there.writable && !there.renumbered);
    assert_eq!(
        (there.uid_validity, there.next),
        (all.uid_validity, all.next)
    );
    assert_eq!(there.cursor, all.cursor);
    // Once: what is not changed as planned is looked at.
    assert_eq!(store.assume_unchanged(&of, &all.cursor).map(|_| ()), None);
    let edit = |add: &[SystemFlag], remove: &[SystemFlag]| FlagEdit {
        id,
        change: FlagChange {
            add: Flags::of(add),
            remove: Flags::of(remove),
        },
        saw: None,
    };
    let set = [edit(&[SystemFlag::Flagged], &[])];
    assert_eq!(store.set_flags(&place, &set).await.unwrap(), [id]);
    let left = store.cursor_after_own_changes(&name, &all.cursor).unwrap();
    let cursors = BTreeMap::from([(name.clone(), left.clone())]);
    let listed = store.list(&cursors).await.unwrap();
    let inbox = listed.iter().find(|listed| listed.name == name).unwrap();
    assert_eq!(inbox.news, News::None);

    // It was, and nothing else happened: once more.
    store.assume_unchanged(&of, &left).unwrap();
    let taken = [edit(&[], &[SystemFlag::Flagged])];
    assert_eq!(store.set_flags(&place, &taken).await.unwrap(), [id]);
    // By now it is not as it was left then, which the server is told.
    store.assume_unchanged(&of, &left).unwrap();
    assert_eq!(store.set_flags(&place, &set).await.unwrap(), []);

    // Another UIDVALIDITY, or not all could be changed.
    let uid_validity = Some(UidValidity(1));
    let other = Outline {
        uid_validity,
        ..of.clone()
    };
    assert_eq!(store.assume_unchanged(&other, &left).map(|_| ()), None);
    let bare = Cursor(left.0.trim_end_matches(" free").into());
    assert!(bare != left && store.assume_unchanged(&of, &bare).is_none());

    // A look ends it, and so does a removal.
    store.assume_unchanged(&of, &left).unwrap();
    let known = base::<Uid>(&name, place.uid_validity, &[]);
    let now = look(&mut store, &known, None).await;
    store.assume_unchanged(&of, &now.cursor).unwrap();
    let removal = Removal {
        id,
        saw: now.seen[&id].clone(),
        elsewhere: false,
    };
    let removed = store.remove(&place, &[removal]).await.unwrap();
    assert_eq!(removed, [(id, Removed::Gone)]);
    store.assume_unchanged(&of, &now.cursor).unwrap();
}
