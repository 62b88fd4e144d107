//! `mailtide status`: how accounts are doing, from the watcher, or from what is remembered when
//! none runs.

use super::arguments::{Arguments, StatusArgs as Command};
use super::print::{held_lines, say, say_object, summary};
use super::status;
use crate::daemon::{
    self, AccountState, AccountStatus, Answer, AskError, Request, ask, at_rest, chosen, count, now,
};
use anyhow::{Result, bail};
use serde_json::json;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Command) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    chosen(&config, &command.accounts)?;
    let accounts = command.accounts.clone();
    let (watcher, all) = match ask(&config, &Request::Status { accounts }) {
        Ok(Answer {
            error: Some(error), ..
        }) => bail!(error),
        Ok(answer) => (Some(answer.pid), answer.accounts.unwrap_or_default()),
        Err(AskError::NotRunning(_)) => (None, at_rest(&config, &command.accounts)?),
        Err(error) => return Err(error.into()),
    };
    if command.json {
        let object = json!({ "watcher": watcher, "accounts": all });
        say_object(&object)?;
    } else {
        match watcher {
            Some(pid) => say(format!("mailtide watch runs (process {pid})")),
            None => say("no mailtide watch runs; from the state databases:"),
        }
        for one in &all {
            for line in lines(one, arguments.verbose > 0) {
                say(line);
            }
        }
    }
    Ok(verdict(&all))
}

/// The exit status is that of a sync that would have ended so.
fn verdict(all: &[AccountStatus]) -> u8 {
    let any = |wanted: &[AccountState]| all.iter().any(|one| wanted.contains(&one.state));
    if all.iter().any(|one| !one.held.is_empty()) {
        status::HELD
    } else if any(&[AccountState::LoginFailed]) {
        status::USAGE
    } else if any(&[AccountState::Partial]) {
        status::PARTIAL
    } else if any(&[AccountState::Waiting]) {
        status::TEMPORARY
    } else {
        status::OK
    }
}

fn lines(one: &AccountStatus, verbose: bool) -> Vec<String> {
    let messages: usize = one.mailboxes.iter().map(|mailbox| mailbox.messages).sum();
    let mailboxes = count(one.mailboxes.len(), "mailboxes");
    let mut lines = vec![format!(
        "{}: {} ({messages} messages in {mailboxes})",
        one.account,
        one.state.text()
    )];
    let mut add = |text: String| lines.push(format!("    {text}"));
    if let Some(reason) = &one.reason {
        add(reason.clone());
    }
    if let (Some(last), Some(at)) = (&one.last, one.last_at) {
        add(format!("last sync {}: {}", ago(at), summary(last)));
    } else if let Some(at) = one.last_at {
        add(format!("last run began {}", ago(at)));
    }
    if one.state != AccountState::NotRunning {
        if let Some(at) = one.synced_at {
            add(format!("last fully synced {}", ago(at)));
        }
        if let Some(at) = one.next_at {
            add(format!("next scheduled sync {}", ahead(at)));
        }
        for push in &one.push {
            let how = match (push.listening, &push.trouble) {
                (true, _) => "listening",
                (false, Some(_)) => "not listening",
                (false, None) => "connecting",
            };
            let trouble = push.trouble.as_ref().map(|what| format!(": {what}"));
            add(format!(
                "{how} ({}){}",
                push.how,
                trouble.unwrap_or_default()
            ));
        }
        let tier = one.tier.as_deref().unwrap_or("not connected yet");
        let connections = count(one.connections, "connections");
        add(format!("server: {tier}, {connections}; disk: {}", one.disk));
        let (cycles, changes) = (count(one.cycles, "syncs"), count(one.changes, "changes"));
        let (compared, drift) = (count(one.compared, "mailboxes"), one.drift);
        add(format!(
            "since start: {cycles}, {changes}; full verification: {compared}, {drift} missed \
             changes"
        ));
    }
    for error in &one.errors {
        let place = error.mailbox.as_ref().map(|name| format!("{name}: "));
        add(format!("{}{}", place.unwrap_or_default(), error.text));
    }
    for mailbox in &one.mailboxes {
        let state = match mailbox.lag > 0.0 {
            true => format!("{}, waiting for {:.1} s", mailbox.state, mailbox.lag),
            false => mailbox.state.clone(),
        };
        if verbose || mailbox.state != "synced" {
            let messages = count(mailbox.messages, "messages");
            add(format!("{}: {state}, {messages}", mailbox.name));
        }
        for aside in &mailbox.set_aside {
            add(format!("{}: not copied: {aside}", mailbox.name));
        }
    }
    one.held.iter().flat_map(held_lines).for_each(add);
    lines
}

fn ago(at: i64) -> String {
    format!("{} ago", span(now() - at))
}

fn ahead(at: i64) -> String {
    format!("in {}", span(at - now()))
}

fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
