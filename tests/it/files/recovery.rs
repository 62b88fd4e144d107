//! What a run that was cut leaves, and how the next one knows of it.

use mailtide::maildir::{Claim, Layout, MaildirStore};
use mailtide::model::{FlagChange, Flags, MailboxName, Side};
use mailtide::state::{HistoryChange, State};
use std::path::{Path, PathBuf};

fn files(directory: &Path) -> Vec<String> {
    let Ok(listed) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = listed
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A Maildir with a mailbox `A` of which these parts lie on a shelf of the quarantine.
fn shelved(root: &Path, parts: &[&str]) -> (PathBuf, PathBuf) {
    let mailbox = root.join("A");
    let shelf = root.join(".mailtide/quarantine/2026-11-25/A/mailbox.1.x");
    for sub in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(mailbox.join(sub)).unwrap();
        std::fs::write(mailbox.join(sub).join(format!("1.{sub}")), b"x").unwrap();
    }
    std::fs::create_dir_all(&shelf).unwrap();
    for part in parts {
        std::fs::rename(mailbox.join(part), shelf.join(part)).unwrap();
    }
    (mailbox, shelf)
}

fn store(root: &Path) -> MaildirStore {
    let claim = Claim::First("00000000000000aa".into());
    let mut store = MaildirStore::new(root, Layout::Nested, claim);
    store.take_possession().unwrap();
    store
}

#[test]
fn half_a_mailbox_is_put_back() {
    let root = tempfile::tempdir().unwrap();
    let mut local = store(root.path());
    let (mailbox, shelf) = shelved(root.path(), &["tmp", "new"]);
    local.recover().unwrap();
    assert_eq!(files(&mailbox), ["cur", "new", "tmp"]);
    assert_eq!(files(&mailbox.join("new")), ["1.new"]);
    assert!(files(&shelf).is_empty());
}

#[test]
fn a_mailbox_that_is_in_quarantine_stays_there() {
    let root = tempfile::tempdir().unwrap();
    let mut local = store(root.path());
    let (mailbox, shelf) = shelved(root.path(), &["tmp", "new", "cur"]);
    local.recover().unwrap();
    assert!(files(&mailbox).is_empty());
    assert_eq!(files(&shelf), ["cur", "new", "tmp"]);
}

#[test]
fn a_state_knows_that_it_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let state = State::open(&path).unwrap();
    assert!(!state.was_cut().unwrap());
    drop(state);
    let mut state = State::open(&path).unwrap();
    assert!(!state.was_cut().unwrap(), "closed as it should be");
    state.set_cut(true);
    assert!(state.was_cut().unwrap());
    state.set_cut(false);
    assert!(!state.was_cut().unwrap());
    // Killed: what it had written is in the journal still.
    std::mem::forget(state);
    assert!(State::open(&path).unwrap().was_cut().unwrap());
}

#[test]
fn a_run_that_changed_something_counts_as_cut_until_the_disk_holds_it() {
    let mut state = State::in_memory().unwrap();
    let row = mailtide::state::AccountRecord {
        uuid: "u".into(),
        config: String::new(),
    };
    state.set_account(&row, 0).unwrap();
    let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
    state.settle().unwrap();
    assert!(!state.was_cut().unwrap());
    let change = HistoryChange {
        mailbox: MailboxName::inbox(),
        side: Side::Local,
        what: "flags",
        message: None,
        why: FlagChange {
            add: Flags::default(),
            remove: Flags::default(),
        }
        .to_string(),
        kept: None,
        flags: None,
        trail: None,
    };
    state.apply(key, &[], &[change]).unwrap();
    assert!(state.was_cut().unwrap());
    state.settle().unwrap();
    assert!(!state.was_cut().unwrap());
    state.unsettle().unwrap();
    assert!(state.was_cut().unwrap());
}
