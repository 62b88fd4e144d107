//! What the state tells of an account, with a watcher or without one.

use super::board::{Doing, Mailbox, Status};
use super::open::{self, OpenError};
use super::told::Held;
use crate::config::Config;
use crate::reconcile::guard::HeldKind;
use crate::state::{HeldRow, State, StateError};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The mailboxes as the state knows them.
pub fn mailboxes(state: &State) -> Result<Vec<Mailbox>, StateError> {
    let mut aside: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, message) in state.refused()? {
        let text = format!("{}: {}", message.id, message.detail);
        aside.entry(name.to_string()).or_default().push(text);
    }
    let held: Vec<String> = state.held()?.into_iter().map(|row| row.mailbox).collect();
    let mut all = Vec::new();
    for (name, key) in state.mailboxes()? {
        let set_aside = aside.remove(&name.to_string()).unwrap_or_default();
        let state_word = match (held.contains(&name.to_string()), set_aside.is_empty()) {
            (true, _) => "held",
            (false, false) => "trouble",
            (false, true) => "in-step",
        };
        all.push(Mailbox {
            name: name.to_string(),
            messages: state.count(key)?,
            state: state_word.to_owned(),
            compared_at: state.full_at(key)?,
            changed_at: None,
            lag: 0.0,
            set_aside,
        });
    }
    Ok(all)
}

/// What is held, as the state knows it.
pub fn held(state: &State) -> Result<Vec<Held>, StateError> {
    let row = |row: HeldRow| Held {
        id: row.id,
        cause: HeldKind::named(&row.kind)
            .map_or("", HeldKind::cause)
            .into(),
        kind: row.kind,
        side: row.side.to_string(),
        mailbox: Some(row.mailbox).filter(|name| !name.is_empty()),
        count: usize::try_from(row.count).unwrap_or(0),
        mailboxes: usize::try_from(row.mailboxes).unwrap_or(0),
        would: row.lines.lines().map(str::to_owned).collect(),
    };
    Ok(state.held()?.into_iter().map(row).collect())
}

/// What the databases tell while no watcher runs.
pub fn at_rest(config: &Config, accounts: &[String]) -> Result<Vec<Status>, OpenError> {
    let mut all = Vec::new();
    for account in open::chosen(config, accounts)? {
        let mut status = Status {
            account: account.name.clone(),
            state: Doing::NotRunning,
            ..Status::default()
        };
        let path = open::state_path(config.state_dir_of(&account.name), &account.name);
        if path.exists() {
            // Without the lock: a sync may be under way, and to look does no harm.
            let state = State::open_beside(&path)?;
            status.mailboxes = mailboxes(&state)?;
            status.held = held(&state)?;
            status.last_at = last_run(&path);
        } else {
            status.reason = Some("never synced".to_owned());
        }
        all.push(status);
    }
    Ok(all)
}

/// When a run last began: that is when the lock file was last written.
fn last_run(state: &Path) -> Option<i64> {
    let meta = std::fs::metadata(state.with_extension("lock")).ok()?;
    let since = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
