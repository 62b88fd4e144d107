//! Tests of the history: typed columns, and rows of older versions.

use super::*;
use crate::model::{MailboxKey, Uid};
use crate::reconcile::Outcome;

fn flags(words: &[SystemFlag], keyword: Option<&str>) -> Flags {
    let mut flags = Flags::of(words);
    keyword.into_iter().for_each(|word| {
        flags.insert_keyword(Keyword::new(word).unwrap());
    });
    flags
}

fn changes() -> [FlagChange; 3] {
    let work = flags(&[SystemFlag::Seen], Some("$Work"));
    let make = |add, remove| FlagChange { add, remove };
    [
        make(work.clone(), Flags::default()),
        make(Flags::default(), work.clone()),
        make(flags(&[SystemFlag::Flagged], None), work),
    ]
}

fn change(what: &'static str, mailbox: &str) -> HistoryChange {
    HistoryChange {
        mailbox: MailboxName::parse(mailbox).unwrap(),
        side: Side::Remote,
        what,
        message: Some(AnyId::Remote(Uid::new(7).unwrap())),
        why: String::new(),
        kept: None,
        flags: None,
        trail: None,
    }
}

fn note(state: &mut State, now: i64, changes: &[HistoryChange]) -> i64 {
    state.begin_run(now);
    state.apply(MailboxKey(0), &[], changes).unwrap();
    let run = state.run_row().unwrap();
    state.end_run();
    run
}

#[test]
fn changes_in_words_are_read_once_into_columns() {
    for made in changes() {
        assert_eq!(change_in_words(&made.to_string()), Some(made));
    }
    assert_eq!(change_in_words("from UID 3"), None);
    let mut state = State::in_memory().unwrap();
    let rows = changes().map(|made| HistoryChange {
        why: made.to_string(),
        ..change("flags", "A")
    });
    let run = note(&mut state, 1, &rows);
    let read = |state: &State| {
        let rows = state.changes_of(run).unwrap().into_iter();
        rows.rev()
            .map(|row| row.flags.map(|made| made.change))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&state), [None, None, None]);
    fill_flags(&state.db).unwrap();
    assert_eq!(read(&state), changes().map(Some));
}

#[test]
fn flags_are_found_by_the_pair_wherever_it_lies() {
    let mut state = State::in_memory().unwrap();
    let key = state
        .add_mailbox(&MailboxName::parse("A").unwrap(), 1)
        .unwrap();
    let paired = |uid: u32, byte: u8| Outcome::Paired {
        uid: Uid::new(uid).unwrap(),
        file: MaildirId::new(format!("{uid}.x")),
        flags: Flags::default(),
        hash: ContentHash([byte; 32]),
        size: 1,
        kin: None,
        stamp: None,
        replaces: None,
    };
    state.apply(key, &[paired(7, 1)], &[]).unwrap();
    let pair = state.base(key).unwrap().pairs[0].id;
    let [made, ..] = changes();
    let row = HistoryChange {
        flags: Some(FlagsMade {
            pair: Some(pair),
            hash: None,
            change: made.clone(),
        }),
        ..change("flags", "A")
    };
    let run = note(&mut state, 1, &[row]);
    let rows = state.changes_of(run).unwrap();
    assert_eq!(rows[0].flags.as_ref().unwrap().change, made);
    let found = state.place_of(&rows[0]).unwrap().unwrap();
    assert_eq!(found.1, MaildirId::new("7.x"));
    // Another message that got the number of the pair is not selected.
    state.apply(key, &[Outcome::Dropped { pair }], &[]).unwrap();
    state.apply(key, &[paired(7, 2)], &[]).unwrap();
    assert_eq!(
        state.base(key).unwrap().pairs[0].id,
        pair,
        "the number comes again"
    );
    assert_eq!(state.place_of(&rows[0]).unwrap(), None);
}

#[test]
fn the_last_run_that_can_be_undone_is_no_undo() {
    let mut state = State::in_memory().unwrap();
    let first = note(&mut state, 1, &[change("deleted", "A"), change("new", "A")]);
    let second = note(&mut state, 2, &[change("mailbox-deleted", "B")]);
    let _new = note(&mut state, 3, &[change("new", "A")]);
    state.begin_undo(4);
    state.note_undone(&[change("restored", "B")], &[]).unwrap();
    state.end_run();
    let all = |_: &HistoryRow| true;
    assert_eq!(state.last_undoable(all).unwrap(), Some(second));
    let in_a = |row: &HistoryRow| row.mailbox == "A";
    assert_eq!(state.last_undoable(in_a).unwrap(), Some(first));
    assert_eq!(state.changes_of(first).unwrap().len(), 2);
    assert_eq!(state.changes_of(second).unwrap().len(), 1);
    let runs = state.runs(2).unwrap();
    let short: Vec<_> = runs.iter().map(|r| (r.run, r.restored, r.undo)).collect();
    assert_eq!(short, [(4, 1, true), (3, 0, false)]);
    assert_eq!(state.undoable_since(2).unwrap().len(), 1);
    assert_eq!(state.first_and_last_run().unwrap(), Some((1, 4)));
    assert!(state.has_run(4).unwrap() && !state.has_run(5).unwrap());
    // The next run is not an undo.
    note(&mut state, 5, &[change("new", "A")]);
    assert!(!state.runs(1).unwrap()[0].undo);
}
