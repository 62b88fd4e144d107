use super::*;
use crate::reconcile::Outcome;

/// UIDs are kept as numbers for pairs, and as bytes for what is set aside.
#[test]
fn an_outline_says_in_short_what_the_base_says() {
    let mut state = State::in_memory().unwrap();
    let key = state.add_mailbox(&MailboxName::inbox(), 7).unwrap();
    let agrees = |state: &State| {
        let outline = state.outline(key).unwrap();
        assert_eq!(outline, state.base(key).unwrap().outline());
        outline.uids.map(|(first, last)| (first.get(), last.get()))
    };
    assert_eq!(agrees(&state), None);
    state.learn_epochs(&[(key, UidValidity(9))]).unwrap();
    let aside = |id: AnyId| Aside {
        id,
        reason: AsideReason::Kept,
        attempts: 0,
        retry_at: None,
        flags: Flags::default(),
        detail: String::new(),
    };
    let uid = |number| AnyId::Remote(Uid::new(number).unwrap());
    let alone = |id| Outcome::Alone {
        pair: None,
        aside: aside(id),
    };
    let local = alone(AnyId::Local(MaildirId::new("a")));
    state.apply(key, &[local], &[]).unwrap();
    assert_eq!(agrees(&state), None);
    for (number, ends) in [
        (300, (300, 300)),
        (256, (256, 300)),
        (66_000, (256, 66_000)),
    ] {
        state.apply(key, &[alone(uid(number))], &[]).unwrap();
        assert_eq!(agrees(&state), Some(ends));
    }
    let sql = "INSERT INTO pair (mailbox, uid, file, flags, keywords, hash, size)
               VALUES (?1, ?2, ?3, 0, '', zeroblob(32), 1)";
    for number in [257, 5, 70_000] {
        let values = params![key.0, number, number.to_string().into_bytes()];
        state.db.execute(sql, values).unwrap();
    }
    assert_eq!(agrees(&state), Some((5, 70_000)));
    // What is one of a pair is not alone.
    let pair = AnyId::Local(MaildirId::new("257"));
    let before = state.base(key).unwrap().aside;
    state
        .apply(key, &[alone(pair), alone(uid(257))], &[])
        .unwrap();
    assert_eq!(state.base(key).unwrap().aside, before);
    assert!(state.has_file(key, &MaildirId::new("257")).unwrap());
    assert!(!state.has_file(key, &MaildirId::new("a")).unwrap());
}

fn with_pairs(uids: &[u32]) -> (State, MailboxKey) {
    let mut state = State::in_memory().unwrap();
    let key = state.add_mailbox(&MailboxName::inbox(), 7).unwrap();
    let sql = "INSERT INTO pair (mailbox, uid, file, flags, keywords, hash, size)
               VALUES (?1, ?2, ?3, 0, '', zeroblob(32), 1)";
    for number in uids {
        let values = params![key.0, number, number.to_string().into_bytes()];
        state.db.execute(sql, values).unwrap();
    }
    (state, key)
}

fn uids(numbers: &[u32]) -> BTreeSet<Uid> {
    numbers.iter().filter_map(|n| Uid::new(*n)).collect()
}

#[test]
fn of_most_messages_only_the_uid_is_read() {
    let (state, key) = with_pairs(&[1, 300, 2, 7]);
    let sql = "UPDATE pair SET tombstone = 1 WHERE uid = 7";
    state.db.execute(sql, []).unwrap();
    let read =
        |base: &MailboxBase| -> Vec<u32> { base.pairs.iter().map(|pair| pair.uid.get()).collect() };
    let mut base = state.sketch(key).unwrap();
    assert_eq!((read(&base), &base.others), (vec![7], &uids(&[1, 2, 300])));
    assert_eq!(base.outline(), state.base(key).unwrap().outline());
    // What is read already, and what is not known, are left out.
    state.read_pairs(&mut base, &uids(&[300, 2, 7, 9])).unwrap();
    assert_eq!((read(&base), &base.others), (vec![2, 7, 300], &uids(&[1])));
    state.read_pairs(&mut base, &uids(&[1])).unwrap();
    let whole = state.base(key).unwrap();
    assert_eq!((&base.pairs, &base.others), (&whole.pairs, &whole.others));
}

/// No mailbox is read as a whole for what is said of a few of its messages.
#[test]
fn a_sketch_is_read_from_indexes() {
    let (state, _) = with_pairs(&[]);
    let plan = |sql: &str| -> String {
        let mut query = state
            .db
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let rows = query.query_map([1], |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let covered = plan("SELECT uid FROM pair WHERE mailbox = ?1 ORDER BY uid");
    assert!(covered.contains("COVERING INDEX"), "{covered}");
    assert!(!covered.contains("TEMP"), "{covered}");
}
