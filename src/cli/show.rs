//! `mailtide status`: how accounts are doing, from the watcher, or from what is remembered when
//! none runs.

use super::arguments::{Arguments, StatusArgs as Command};
use super::print::{self, held_lines, say, say_object, summary};
use super::{status, terminal};
use crate::config::Config;
use crate::daemon::{
    self, AccountState, AccountStatus, Answer, AskError, Request, ask, at_rest, chosen, clock,
    count, now,
};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

/// Interval of `--follow`.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Command) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    chosen(&config, &command.accounts)?;
    let max_age = command.max_age.as_deref().map(age).transpose()?;
    loop {
        let (watcher, all) = look(&config, command)?;
        if command.json {
            say_object(&json!({ "watcher": watcher, "accounts": all }))?;
        } else {
            let lines = page(watcher, &all, arguments.verbose > 0);
            match command.follow && stdout().is_terminal() && !terminal::is_dumb() {
                true => print::redraw(&lines),
                false => lines.iter().for_each(say),
            }
        }
        let old = stale(&all, max_age);
        if !command.follow || print::is_closed() {
            old.iter().for_each(print::complain);
            let verdict = verdict(&all);
            return Ok(match old.is_empty() || verdict != status::OK {
                true => verdict,
                false => status::PARTIAL,
            });
        }
        std::thread::sleep(AGAIN);
    }
}

/// Asks the watcher, or reads what is recorded where none runs.
fn look(config: &Config, command: &Command) -> Result<(Option<u32>, Vec<AccountStatus>)> {
    let accounts = command.accounts.clone();
    match ask(config, &Request::Status { accounts }) {
        Ok(Answer {
            error: Some(error), ..
        }) => bail!(error),
        Ok(answer) => Ok((Some(answer.pid), answer.accounts.unwrap_or_default())),
        Err(AskError::NotRunning(_)) => Ok((None, at_rest(config, &command.accounts)?)),
        Err(error) => Err(error.into()),
    }
}

fn page(watcher: Option<u32>, all: &[AccountStatus], verbose: bool) -> Vec<String> {
    let first = match watcher {
        Some(pid) => format!("mailtide watch runs (process {pid})"),
        None => "no mailtide watch runs; from the state databases:".to_owned(),
    };
    let rest = all.iter().flat_map(|one| lines(one, verbose));
    std::iter::once(first).chain(rest).collect()
}

/// An age in seconds.
fn age(text: &str) -> Result<i64> {
    let span: jiff::Span = text
        .parse()
        .with_context(|| format!("\"{text}\" is no age; write 2h, 30min or 1d"))?;
    let now = jiff::Zoned::now();
    let then = now.checked_sub(span.abs())?;
    Ok(now.timestamp().as_second() - then.timestamp().as_second())
}

/// Says which accounts had no good run within this age. A watcher in step is as good as a run.
fn stale(all: &[AccountStatus], max_age: Option<i64>) -> Vec<String> {
    let Some(max_age) = max_age else {
        return Vec::new();
    };
    let old = |one: &&AccountStatus| {
        let good = one.synced_at.is_some_and(|at| now() - at <= max_age);
        one.state != AccountState::Synced && !good
    };
    let text = |one: &AccountStatus| {
        let last = match one.synced_at {
            Some(at) => format!("the last good run ended {}, at {}", ago(at), clock(at)),
            None => "there was no good run".to_owned(),
        };
        format!("{}: {last}", one.account)
    };
    all.iter().filter(old).map(text).collect()
}

/// The exit status is that of a sync that would have ended so.
fn verdict(all: &[AccountStatus]) -> u8 {
    let any = |wanted: &[AccountState]| all.iter().any(|one| wanted.contains(&one.state));
    let resting = all
        .iter()
        .filter(|one| one.state == AccountState::NotRunning);
    let ended: Vec<_> = resting.filter_map(|one| one.last.clone()).collect();
    let of = |code: u8| print::exit_status(&ended) == code;
    if all.iter().any(|one| !one.held.is_empty()) || of(status::HELD) {
        status::HELD
    } else if any(&[AccountState::LoginFailed]) || of(status::USAGE) {
        status::USAGE
    } else if any(&[AccountState::Partial]) || of(status::PARTIAL) {
        status::PARTIAL
    } else if any(&[AccountState::Waiting, AccountState::Stopped]) || of(status::TEMPORARY) {
        status::TEMPORARY
    } else {
        status::OK
    }
}

/// The state of an account in a few words, and for one at rest the outcome of its last run.
fn heading(one: &AccountStatus) -> &'static str {
    match (one.state, &one.last) {
        (AccountState::NotRunning, Some(last)) if last.ok => "synced",
        (AccountState::NotRunning, Some(last)) if !last.held.is_empty() => {
            "synced, approval needed"
        }
        (AccountState::NotRunning, Some(_)) => "the last run failed",
        (AccountState::Syncing, _) => "syncing",
        (state, _) => state.text(),
    }
}

fn lines(one: &AccountStatus, verbose: bool) -> Vec<String> {
    let messages: usize = one.mailboxes.iter().map(|mailbox| mailbox.messages).sum();
    let mailboxes = count(one.mailboxes.len(), "mailboxes");
    let mut lines = vec![format!(
        "{}: {} ({messages} messages in {mailboxes})",
        one.account,
        heading(one)
    )];
    lines.extend(runs(one));
    lines.extend(watched(one));
    let mut add = |text: String| lines.push(format!("    {text}"));
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

/// The run under way, the last one, and the last good one.
fn runs(one: &AccountStatus) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |text: String| lines.push(format!("    {text}"));
    let told = one
        .errors
        .iter()
        .any(|error| Some(&error.text) == one.reason.as_ref());
    if let Some(reason) = one.reason.as_ref().filter(|_| !told) {
        add(reason.clone());
    }
    let progress = one.progress.as_ref().map(daemon::Progress::text);
    match (one.state, one.began_at) {
        (AccountState::Syncing, _) => add(match progress {
            Some(progress) => format!("under way: {progress}"),
            None => "under way: looking".to_owned(),
        }),
        (AccountState::Stopped, Some(at)) => add(format!(
            "the run that began {}, at {}, did not end{}; the next sync goes on from there",
            ago(at),
            clock(at),
            progress.map(|what| format!(": {what}")).unwrap_or_default()
        )),
        _ => {}
    }
    match (&one.last, one.last_at) {
        (Some(last), Some(at)) => {
            add(format!(
                "last run {}, at {}: {}",
                ago(at),
                clock(at),
                summary(last)
            ));
        }
        (None, Some(at)) => add(format!("last run began {}, at {}", ago(at), clock(at))),
        (_, None) => {}
    }
    let good = one.last.as_ref().is_some_and(|last| last.ok);
    match one.synced_at {
        Some(at) if !good => add(format!("last good run {}, at {}", ago(at), clock(at))),
        None if one.last.is_some() && !good => add("there was no good run yet".to_owned()),
        _ => {}
    }
    lines
}

/// The watcher's part.
fn watched(one: &AccountStatus) -> Vec<String> {
    let resting = one.began_at.is_some() || one.state == AccountState::NotRunning;
    let mut lines = Vec::new();
    let mut add = |text: String| lines.push(format!("    {text}"));
    if !resting {
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
    lines
}

fn ago(at: i64) -> String {
    format!("{} ago", span(now() - at))
}

fn ahead(at: i64) -> String {
    format!("in {}", span(at - now()))
}

fn span(seconds: i64) -> String {
    daemon::span(u64::try_from(seconds).unwrap_or(0))
}
