use super::*;
use crate::model::{MailboxName, Struck, SystemFlag, Weight};
use rusqlite::StatementStatus;

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
    // Pairs that are loaded or unknown are omitted.
    state.read_pairs(&mut base, &uids(&[300, 2, 7, 9])).unwrap();
    assert_eq!((read(&base), &base.others), (vec![2, 7, 300], &uids(&[1])));
    state.read_pairs(&mut base, &uids(&[1])).unwrap();
    let whole = state.base(key).unwrap();
    assert_eq!((&base.pairs, &base.others), (&whole.pairs, &whole.others));
}

/// A query for a few messages does not load the whole mailbox.
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

/// Statements are compiled once for all mailboxes.
#[test]
fn statements_are_compiled_once() {
    let (mut state, _) = with_pairs(&[1, 2]);
    let other = MailboxName::new(vec!["A".into()]).unwrap();
    state.add_mailbox(&other, 8).unwrap();
    let recompiled = |sql: &str| {
        let mut query = state.db.prepare(sql).unwrap();
        for key in [1, 2, 1] {
            let mut rows = query.query([key]).unwrap();
            while rows.next().unwrap().is_some() {}
        }
        query.get_status(StatementStatus::RePrepare)
    };
    let of_pairs = "SELECT uid FROM pair WHERE mailbox = ?1 ORDER BY uid";
    let of_asides = "SELECT message FROM aside WHERE mailbox = ?1";
    assert_eq!((recompiled(of_pairs), recompiled(of_asides)), (0, 0));
}

#[test]
fn what_is_recorded_of_files_is_told_where_all_is_settled() {
    let (state, key) = with_pairs(&[1, 2]);
    let none = Flags::default();
    let one = Weight {
        size: 1,
        stamp: None,
    };
    let mut recorded = state.recorded(key).unwrap().unwrap();
    assert_eq!(recorded.strike(b"2", &none, Some(one)), Struck::Same);
    assert_eq!(recorded.unlike().gone, uids(&[1]));
    let unsettled = |sql: &str| {
        let (state, key) = with_pairs(&[1, 2]);
        state.db.execute(sql, []).unwrap();
        state.recorded(key).unwrap().is_none()
    };
    assert!(!unsettled("UPDATE pair SET uid = 3 WHERE uid = 2"));
    assert!(unsettled("UPDATE pair SET tombstone = 0 WHERE uid = 2"));
    assert!(unsettled(
        "INSERT INTO aside (mailbox, side, message, reason, attempts, flags, keywords, detail)
         SELECT id, 0, x'00000009', 'kept', 0, 0, '', '' FROM mailbox"
    ));
}

#[test]
fn pairs_whose_flags_are_not_so() {
    let (state, key) = with_pairs(&[1, 2, 3]);
    let sql = "UPDATE pair SET flags = 16 WHERE uid > 1";
    state.db.execute(sql, []).unwrap();
    let unseen = |_: &Uid, flags: &Flags| !flags.has(SystemFlag::Seen);
    let unlike = |of: &[u32]| state.pairs_unlike(key, &uids(of), unseen).unwrap();
    assert_eq!(unlike(&[1, 2, 3, 9]), uids(&[2, 3]));
    assert_eq!(unlike(&[1, 3]), uids(&[3]));
}
