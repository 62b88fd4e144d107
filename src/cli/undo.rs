//! `mailtide undo`: shows what it takes to take back what runs did, and does it when told to.

use super::arguments::{Arguments, Undo};
use super::print::{self, safe};
use super::status;
use crate::config;
use crate::daemon::undo::{Step, carry_out, plan};
use crate::daemon::{self, Errand, Keyring, Opened, Told, Writes};
use crate::engine::{Silent, Stop};
use crate::state::RunRow;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Undo) -> Result<u8> {
    let config = config::load(arguments.config.as_deref())?;
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
        let job = one(&config.state_dir, account, (command, since), &stop);
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
    state_dir: &Path,
    account: config::Account,
    (command, since): (&Undo, Option<i64>),
    stop: &Stop,
) -> Result<u8> {
    let name = account.name.clone();
    let (keyring, connections) = (Rc::new(Keyring::new(account)), 1);
    let mut opened = Opened::new(keyring, state_dir, Writes::Allowed, connections)?;
    opened.make_ready()?;
    let runs = opened.state.runs(20)?;
    if command.list {
        runs.iter()
            .for_each(|run| println!("{name}: {}", shown(run)));
        return Ok(status::OK);
    }
    let takes_back = |run: &&RunRow| run.deleted + run.flags > 0;
    let last = runs.iter().find(takes_back).map(|run| run.run);
    let (from, at) = match (command.run, since) {
        (Some(run), _) => (run, 0),
        (None, Some(at)) => (0, at),
        (None, None) => (last.unwrap_or(i64::MAX), 0),
    };
    let mut rows = opened.state.changes_since(from, at)?;
    if since.is_none() {
        rows.retain(|row| row.run == from);
    }
    let steps = plan(&rows, &opened.state, &opened.local)?;
    show(&name, &steps);
    let possible = |step: &&Step| !matches!(step, Step::Cannot { .. });
    if steps.iter().filter(possible).count() == 0 {
        println!("{name}: nothing to undo; mailtide undo --list shows what runs did");
        return Ok(status::OK);
    }
    if !command.yes {
        println!("{name}: nothing was changed; do it with: mailtide undo --yes (same arguments)");
        return Ok(status::OK);
    }
    let Opened { state, local, .. } = &mut opened;
    let done = carry_out(&steps, state, local).await?;
    println!("{name}: {done} taken back here; now the server:");
    let began = Instant::now();
    let report = opened.cycle(Errand::default(), &Silent, stop).await?;
    opened.hang_up().await;
    let told = Told::of(&name, &report, began.elapsed().as_secs_f64());
    print::troubles(&told);
    print::held(&told);
    println!("{}", print::summary(&told));
    Ok(print::exit_status(&[told]))
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
        println!("{name}: {}", safe(&line));
    }
}
