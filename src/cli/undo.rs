//! `mailtide undo`: shows what it takes to take back what runs did, and does it when told to.

use super::arguments::{Arguments, Undo};
use super::print::{self, say};
use super::status;
use crate::config;
use crate::daemon::undo::{Step, What, plan, taken_back};
use crate::daemon::{self, AskError, Errand, Keyring, Opened, Request, Told, Writes, ask};
use crate::engine::{Silent, Stop};
use crate::state::RunRow;
use anyhow::{Context, Result, bail};
use std::rc::Rc;
use std::time::Instant;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Undo) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, &command.accounts)?;
    if command.run.is_some() && accounts.len() > 1 {
        bail!("each account numbers its own runs: say which account, as in: mailtide undo NAME");
    }
    let since = command.since.as_deref().map(time).transpose()?;
    let stop = daemon::stop_on_signals().context("signals cannot be handled")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut worst = status::OK;
    for account in accounts {
        let job = one(&config, account, (command, since), &stop);
        worst = worst.max(runtime.block_on(job)?);
    }
    Ok(worst)
}

/// A time as people write it: `2026-11-23`, `2026-11-23 14:00`, or `2h ago` as `2h`; seconds since
/// 1970.
pub(super) fn time(text: &str) -> Result<i64> {
    let now = jiff::Zoned::now();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_second());
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        return Ok(at
            .to_zoned(now.time_zone().clone())?
            .timestamp()
            .as_second());
    }
    if let Ok(span) = text.parse::<jiff::Span>() {
        return Ok(now.checked_sub(span.abs())?.timestamp().as_second());
    }
    bail!("\"{text}\" is no time; write 2026-11-23, \"2026-11-23 14:00\" or a span such as 2h")
}

async fn one(
    config: &config::Config,
    account: config::Account,
    (command, since): (&Undo, Option<i64>),
    stop: &Stop,
) -> Result<u8> {
    let name = account.name.clone();
    let keyring = Rc::new(Keyring::new(account));
    // Beside a watcher, too: whether state and Maildir are of one age is not asked, as it may write
    // the one and then the other just now. What is done asks.
    let state_dir = config.state_dir_of(&name);
    let mut opened = Opened::new(keyring.clone(), state_dir, Writes::None, 1)?;
    let runs = opened.state.runs(20)?;
    if command.list {
        runs.iter()
            .for_each(|run| say(format!("{name}: {}", shown(run))));
        return Ok(status::OK);
    }
    let takes_back = |run: &&RunRow| run.deleted + run.flags > 0;
    let last = runs.iter().find(takes_back).map(|run| run.run);
    let what = match (command.run, since) {
        (None, Some(at)) => What::Since(at),
        (run, _) => What::Run(run.or(last).unwrap_or(i64::MAX)),
    };
    opened.enter()?; // a Maildir that is not there has nothing in quarantine
    let steps = plan(&what, &opened.state, &opened.local)?;
    drop(opened);
    show(&name, &steps);
    let possible = |step: &&Step| !matches!(step, Step::Cannot { .. });
    if steps.iter().filter(possible).count() == 0 {
        say(format!(
            "{name}: nothing to undo; mailtide undo --list shows what runs did"
        ));
        return Ok(status::OK);
    }
    if !command.yes {
        say(format!(
            "{name}: nothing was changed; do it with: mailtide undo --yes (same arguments)"
        ));
        return Ok(status::OK);
    }
    let told = match by_watcher(config, &name, &what)? {
        Some(told) => told,
        None => alone(config, keyring, &what, stop).await?,
    };
    for note in &told.notes {
        say(format!("{name}: {note}"));
    }
    print::troubles(&told);
    print::held(&told);
    say(print::summary(&told));
    Ok(print::exit_status(&[told]))
}

/// An account that a watcher keeps is its affair.
fn by_watcher(config: &config::Config, name: &str, what: &What) -> Result<Option<Told>> {
    let watched = match ask(config, &Request::Status { accounts: vec![] }) {
        Ok(answer) => answer.accounts.unwrap_or_default(),
        Err(AskError::NotRunning(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !watched.iter().any(|status| status.account == name) {
        return Ok(None);
    }
    let request = Request::Sync {
        accounts: vec![name.to_owned()],
        mailboxes: Vec::new(),
        full: false,
        undo: Some(what.clone()),
    };
    let answer = super::ask::must(config, &request)?;
    Ok(answer.runs.unwrap_or_default().pop())
}

async fn alone(
    config: &config::Config,
    keyring: Rc<Keyring>,
    what: &What,
    stop: &Stop,
) -> Result<Told> {
    let name = keyring.account().name.clone();
    let connections = keyring.account().connections;
    let mut opened = Opened::new(
        keyring,
        config.state_dir_of(&name),
        Writes::Allowed,
        connections,
    )?;
    let began = Instant::now();
    // Said before the server is asked: that may fail.
    say(format!(
        "{name}: {}",
        taken_back(opened.take_back(what).await?)
    ));
    let report = opened.cycle(Errand::default(), &Silent, stop).await?;
    opened.hang_up().await;
    Ok(Told::of(&name, &report, began.elapsed().as_secs_f64()))
}

fn shown(run: &RunRow) -> String {
    let at = jiff::Timestamp::from_second(run.at).unwrap_or_default();
    let at = at.to_zoned(jiff::tz::TimeZone::system());
    format!(
        "run {} of {}: {} changes, {} deleted, {} with other flags",
        run.run,
        at.strftime("%Y-%m-%d %H:%M:%S"),
        run.changes,
        run.deleted,
        run.flags
    )
}

fn show(name: &str, steps: &[Step]) {
    for step in steps {
        let line = match step {
            Step::PutBack { mailbox, what, .. } => format!("{mailbox}: put back {what}"),
            Step::Flags {
                mailbox,
                file,
                change,
            } => format!("{mailbox}: {file}: {change}"),
            Step::Cannot { what } => format!("cannot: {what}"),
        };
        say(format!("{name}: {line}"));
    }
}
