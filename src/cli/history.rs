//! `mailtide history`: what was changed, on which side, and why.

use super::arguments::{Arguments, History};
use super::print::{say, say_object};
use super::status;
use crate::daemon::{self, clock, state_path};
use crate::model::MailboxName;
use crate::reconcile::Policy;
use crate::state::{HistoryRow, State};
use anyhow::Result;
use serde_json::json;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &History) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, &command.accounts)?;
    let since = command
        .since
        .as_deref()
        .map(super::undo::time)
        .transpose()?;
    let policy = Policy {
        mailboxes: command.mailbox.clone(),
        ..Policy::default()
    };
    let chosen = |row: &HistoryRow| {
        let name = MailboxName::parse(&row.mailbox);
        policy.mailboxes.is_empty() || name.is_some_and(|name| policy.chooses(&name))
    };
    for account in accounts {
        let name = &account.name;
        let path = state_path(config.state_dir_of(name), name);
        let mut rows = match path.exists() {
            // Without the lock: a sync may be under way, and to look does no harm.
            true => State::open_beside(&path)?.history(since.unwrap_or(0), command.last, chosen)?,
            false => Vec::new(),
        };
        rows.reverse();
        for row in &rows {
            match command.json {
                true => say_object(&object(name, row))?,
                false => say(format!("{name}: {}", line(row))),
            }
        }
        if rows.is_empty() && !command.json {
            say(format!("{name}: nothing was changed"));
        }
    }
    Ok(status::OK)
}

fn line(row: &HistoryRow) -> String {
    let mut text = format!(
        "{} run {}: {}: {} {}",
        clock(row.at),
        row.run,
        row.side,
        row.mailbox,
        row.what
    );
    if !row.message.is_empty() {
        text = format!("{text} {}", row.message);
    }
    if !row.why.is_empty() {
        text = format!("{text} ({})", row.why);
    }
    text
}

fn object(account: &str, row: &HistoryRow) -> serde_json::Value {
    let kept = row
        .kept
        .as_ref()
        .map(|kept| kept.file.escape_ascii().to_string());
    json!({
        "account": account,
        "run": row.run,
        "at": row.at,
        "mailbox": row.mailbox,
        "side": row.side.to_string(),
        "what": row.what,
        "message": row.message,
        "why": row.why,
        "kept": kept,
    })
}
