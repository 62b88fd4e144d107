//! `mailtide sync`: one cycle of each account, side by side. An account lives on a thread of its
//! own (decision 0003).

use super::arguments::{Arguments, Sync};
use super::print;
use super::progress::{Bar, Bars};
use crate::config;
use crate::daemon::{
    self, AskError, CycleRequest, Keyring, OpenAccount, OpenError, Request, RunSummary, SyncDepth,
    Writes, ask, chosen, count, failed, stop_on_signals,
};
use crate::engine::{Report, Stop};
use crate::store::StoreError;
use anyhow::{Context, Result};
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;
use tracing::Instrument;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Sync) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = chosen(&config, &command.accounts)?;
    let stop = stop_on_signals().context("signals cannot be handled")?;
    let bars = match stderr().is_terminal() && !arguments.quiet {
        true => Bars::shown(),
        false => Bars::hidden(),
    };
    let (watched, accounts) = hand_over(&config, command, accounts)?;
    let mut runs: Vec<RunSummary> = std::thread::scope(|threads| {
        let started: Vec<_> = accounts
            .iter()
            .map(|account| {
                let job = SyncJob {
                    account,
                    state_dir: config.state_dir_of(&account.name).to_owned(),
                    command,
                    bar: bars.account(&account.name),
                    stop: stop.clone(),
                };
                (account, threads.spawn(move || job.run()))
            })
            .collect();
        let finish =
            |(account, thread): (&config::Account, std::thread::ScopedJoinHandle<'_, _>)| {
                thread.join().unwrap_or_else(|_| crashed(account))
            };
        started.into_iter().map(finish).collect()
    });
    runs.extend(watched);
    runs.sort_by(|a, b| a.account.cmp(&b.account));
    show(arguments, command, &runs)?;
    Ok(print::exit_status(&runs))
}

type SyncResults = (Vec<RunSummary>, Vec<config::Account>);

/// Accounts that a watcher keeps are synced by it; answers with what it did, and with the accounts
/// that are left. A dry run is our own affair: it writes nothing.
fn hand_over(
    config: &config::Config,
    command: &Sync,
    accounts: Vec<config::Account>,
) -> Result<SyncResults> {
    let everyone = Vec::new();
    let watched = match ask(config, &Request::Status { accounts: everyone }) {
        _ if command.dry_run => return Ok((Vec::new(), accounts)),
        Ok(answer) => answer.accounts.unwrap_or_default(),
        Err(AskError::NotRunning(_)) => return Ok((Vec::new(), accounts)),
        Err(error) => return Err(error.into()),
    };
    let is_watched = |account: &config::Account| watched.iter().any(|w| w.account == account.name);
    let (theirs, ours): (Vec<_>, Vec<_>) = accounts.into_iter().partition(is_watched);
    if theirs.is_empty() {
        return Ok((Vec::new(), ours));
    }
    let request = Request::Sync {
        accounts: theirs.into_iter().map(|account| account.name).collect(),
        mailboxes: command.mailbox.clone(),
        full: command.full,
        undo: None,
        arrange: Vec::new(),
    };
    let answer = super::ask::must(config, &request)?;
    Ok((answer.runs.unwrap_or_default(), ours))
}

fn show(arguments: &Arguments, command: &Sync, runs: &[RunSummary]) -> Result<()> {
    for run in runs {
        print::troubles(run);
        if arguments.quiet {
            continue;
        }
        if arguments.verbose > 0 {
            for note in &run.notes {
                print::complain(format!("{}: note: {note}", run.account));
            }
        }
        print::held(run);
        if command.json {
            continue;
        }
        for line in run.plan.iter().flatten() {
            print::say(format!("{}: would {line}", run.account));
        }
        match command.dry_run {
            true => print::say(format!("{}: dry run, nothing was written", run.account)),
            false => print::say(print::summary(run)),
        }
        if command.full {
            print::say(format!(
                "{}: verified {} without a reported change: {}",
                run.account,
                count(run.counts.compared, "mailboxes"),
                count(run.counts.drift, "missed changes")
            ));
        }
    }
    if command.json {
        print::say_object(&print::object(runs))?;
    }
    Ok(())
}

struct SyncJob<'a> {
    account: &'a config::Account,
    state_dir: PathBuf,
    command: &'a Sync,
    bar: Bar,
    stop: Stop,
}

impl SyncJob<'_> {
    fn run(self) -> RunSummary {
        let began = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let report = match runtime {
            Ok(runtime) => {
                let span = tracing::info_span!("sync", account = %self.account.name);
                runtime.block_on(self.cycle().instrument(span))
            }
            Err(error) => Err(StoreError::Bug(format!("no runtime: {error}")).into()),
        };
        self.bar.done();
        let report = report.unwrap_or_else(|error| failed(&error));
        RunSummary::of(&self.account.name, &report, began.elapsed().as_secs_f64())
    }

    async fn cycle(&self) -> Result<Report, OpenError> {
        let writes = match self.command.dry_run {
            true => Writes::None,
            false => Writes::Allowed,
        };
        let keyring = Rc::new(Keyring::new(self.account.clone()));
        let connections = self.account.connections;
        let mut opened = OpenAccount::new(keyring, &self.state_dir, writes, connections)?;
        let errand = CycleRequest {
            dry_run: self.command.dry_run,
            only: self.command.mailbox.clone(),
            reach: match self.command.full {
                true => SyncDepth::Everything.reach(),
                false => SyncDepth::Changes.reach(),
            },
        };
        let report = opened.cycle(errand, &self.bar, &self.stop).await;
        opened.disconnect().await;
        report
    }
}

fn crashed(account: &config::Account) -> RunSummary {
    let what = "mailtide itself failed here; this is a defect, please report it with what it \
                printed. What was done until then is recorded";
    let report = failed(&StoreError::Bug(what.into()).into());
    RunSummary::of(&account.name, &report, 0.0)
}
