//! Copying, moving and renaming within a side.

use super::*;

/// What a mailbox holds, with the bytes on the wire.
async fn holds<S: MailStore>(store: &mut S, place: &Place) -> BTreeMap<S::Id, Vec<u8>> {
    let base = base::<S::Id>(&place.mailbox, None, &[]);
    let seen = look(store, &base, None).await.seen;
    let ids: Vec<S::Id> = seen.into_keys().collect();
    let (current, all) = (Vec::new(), BTreeMap::new());
    let mut sink = Catch { current, all };
    store.read(place, &ids, &mut sink).await.unwrap();
    sink.all
        .into_iter()
        .map(|(id, (bytes, ..))| (id, bytes))
        .collect()
}

fn shift<I: Id>(id: &I, delivery: Option<Delivery>) -> Shift<I> {
    let (id, size) = (id.clone(), None);
    Shift {
        id,
        delivery,
        size,
        renamed: false,
        agreed: Flags::default(),
    }
}

/// The mailbox is left as it was.
pub async fn moves<S: MailStore>(store: &mut S, place: &Place, ids: &[S::Id]) {
    let before = holds(store, place).await;
    let bytes = &before[&ids[2]];
    let size = Some(bytes.len() as u64);
    for asked in [None, size] {
        let told = store
            .excerpts(place, &[(ids[2].clone(), asked)])
            .await
            .unwrap();
        assert_eq!(told, [(ids[2].clone(), Excerpt::of_wire(bytes))]);
    }
    let other = |name: &str| Place {
        mailbox: MailboxName::parse(name).unwrap(),
        uid_validity: None,
    };
    let (second, third, fourth) = (other("Second"), other("Third"), other("Deep/Fourth"));
    for place in [&second, &third] {
        store.create_mailbox(&place.mailbox).await.unwrap();
    }
    let delivery = Delivery {
        tag: 0,
        flags: Flags::of(&[SystemFlag::Seen]),
        date: None,
        origin: None,
    };
    let copy = [shift(&ids[2], Some(delivery))];
    let told = store
        .transfer(place, &second, Transfer::Copy, &copy)
        .await
        .unwrap();
    assert!(told.len() == 1 && told[0].0 == ids[2], "{told:?}");
    let copied = holds(store, &second).await;
    let (copied_id, copied_bytes) = copied.first_key_value().unwrap();
    assert_eq!((copied.len(), copied_bytes), (1, bytes));
    assert!(
        told[0].1.is_none() || told[0].1.as_ref() == Some(copied_id),
        "{told:?}"
    );
    assert_eq!(
        holds(store, place).await,
        before,
        "a copy leaves its source alone"
    );
    let step = [shift(copied_id, None)];
    let told = store
        .transfer(&second, &third, Transfer::Move, &step)
        .await
        .unwrap();
    let moved = holds(store, &third).await;
    assert_eq!(moved.values().collect::<Vec<_>>(), [bytes]);
    // Without UIDPLUS nothing proves that it arrived, so it has not left yet.
    let proven = told.iter().map(|(old, _)| old).collect::<Vec<_>>();
    assert!(proven.is_empty() || proven == [copied_id], "{told:?}");
    let base_of_second = base::<S::Id>(&second.mailbox, None, &[]);
    let left = look(store, &base_of_second, None).await;
    let alive = left
        .seen
        .values()
        .flatten()
        .filter(|f| !f.has(SystemFlag::Deleted));
    assert_eq!(alive.count(), 1 - proven.len(), "what moved has left");
    if S::Id::SIDE == Side::Local {
        get_another_name(store, &third, &second).await;
    }
    store
        .rename_mailbox(&third.mailbox, &fourth.mailbox)
        .await
        .unwrap();
    let renamed = holds(store, &fourth).await;
    assert_eq!(renamed.values().collect::<Vec<_>>(), [bytes]);
    // A run that was cut asks again; a name that is taken is refused.
    store
        .rename_mailbox(&third.mailbox, &fourth.mailbox)
        .await
        .unwrap();
    let refused = store.rename_mailbox(&second.mailbox, &fourth.mailbox).await;
    assert!(matches!(refused, Err(StoreError::Stale(_))), "{refused:?}");
}

/// A message moves, and back, and loses its name where that is asked for.
async fn get_another_name<S: MailStore>(store: &mut S, from: &Place, to: &Place) {
    let all = holds(store, from).await;
    let old = all.first_key_value().unwrap().0.clone();
    for renamed in [true, false] {
        let now = holds(store, from).await.into_keys().next().unwrap();
        let step = [Shift {
            renamed,
            agreed: Flags::default(),
            ..shift(&now, None)
        }];
        let told = store.transfer(from, to, Transfer::Move, &step).await;
        let new = told.unwrap()[0].1.clone().unwrap();
        assert_eq!(new == now, !renamed);
        let back = [shift(&new, None)];
        let told = store.transfer(to, from, Transfer::Move, &back).await;
        assert_eq!(told.unwrap(), [(new.clone(), Some(new))]);
    }
    let now = holds(store, from).await;
    assert!(!now.contains_key(&old));
    assert_eq!(now.into_values().next(), all.into_values().next());
}
