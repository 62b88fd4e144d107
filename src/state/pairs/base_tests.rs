use super::*;
use crate::reconcile::Outcome;

/// UIDs are stored as numbers in pairs, and as bytes in skipped messages.
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
    // A message of a pair is not skipped.
    let pair = AnyId::Local(MaildirId::new("257"));
    let before = state.base(key).unwrap().aside;
    state
        .apply(key, &[alone(pair), alone(uid(257))], &[])
        .unwrap();
    assert_eq!(state.base(key).unwrap().aside, before);
    assert!(state.has_file(key, &MaildirId::new("257")).unwrap());
    assert!(!state.has_file(key, &MaildirId::new("a")).unwrap());
}
