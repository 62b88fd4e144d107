//! The status of accounts from their state databases.

use crate::config::Config;
use crate::daemon::last_run::LastRun;
use crate::daemon::open::{self, OpenError};
use crate::daemon::run_summary::HeldChange;
use crate::daemon::status_board::{AccountState, AccountStatus, MailboxStatus};
use crate::reconcile::guard::HeldKind;
use crate::state::{HeldRow, State, StateError};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Returns the mailboxes of a state.
pub fn mailboxes(state: &State) -> Result<Vec<MailboxStatus>, StateError> {
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
            (true, _) => "approval-needed",
            (false, false) => "partial",
            (false, true) => "synced",
        };
        all.push(MailboxStatus {
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

/// Returns the held changes of a state.
pub fn held(state: &State) -> Result<Vec<HeldChange>, StateError> {
    let row = |row: HeldRow| HeldChange {
        id: row.id,
        cause: HeldKind::named(&row.kind)
            .map_or("", HeldKind::cause)
            .into(),
        kind: row.kind,
        side: row.side.to_string(),
        mailbox: Some(row.mailbox).filter(|name| !name.is_empty()),
        count: usize::try_from(row.count).unwrap_or(0),
        mailboxes: usize::try_from(row.mailboxes).unwrap_or(0),
        since_at: Some(row.at),
        would: row.lines.lines().map(str::to_owned).collect(),
    };
    Ok(state.held()?.into_iter().map(row).collect())
}

/// Returns the status of accounts while no watcher runs.
pub fn at_rest(config: &Config, accounts: &[String]) -> Result<Vec<AccountStatus>, OpenError> {
    let mut all = Vec::new();
    for account in open::chosen(config, accounts)? {
        let mut status = AccountStatus {
            account: account.name.clone(),
            state: AccountState::NotRunning,
            ..AccountStatus::default()
        };
        let state_dir = config.state_dir_of(&account.name);
        let path = open::state_path(state_dir, &account.name);
        if path.exists() {
            // Reads without the lock, because a sync may run.
            let state = State::open_beside(&path)?;
            status.mailboxes = mailboxes(&state)?;
            status.held = held(&state)?;
            status.last_at = last_run(&path);
        } else {
            status.reason = Some("never synced".to_owned());
        }
        add_last_run(&mut status, LastRun::read(state_dir, &account.name));
        all.push(status);
    }
    Ok(all)
}

/// Adds what is recorded of the last run.
fn add_last_run(status: &mut AccountStatus, run: LastRun) {
    status.totals = run.totals;
    if run.began_at == 0 {
        return;
    }
    status.began_at = Some(run.began_at);
    status.synced_at = run.good_at;
    status.errors = match &run.summary {
        Some(summary) => summary.errors.clone(),
        None => Vec::new(),
    };
    match run.ended_at {
        Some(at) => (status.last, status.last_at) = (run.summary, Some(at)),
        None if run.is_under_way() => {
            (status.state, status.last_at) = (AccountState::Syncing, None);
            (status.reason, status.progress) = (None, run.progress);
        }
        None => {
            (status.state, status.last_at) = (AccountState::Stopped, None);
            status.progress = run.progress;
        }
    }
}

/// Returns the start of the last run, seconds since 1970: the mtime of the lock file.
fn last_run(state: &Path) -> Option<i64> {
    let meta = std::fs::metadata(state.with_extension("lock")).ok()?;
    let since = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
