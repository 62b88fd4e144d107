//! `mailtide sync`: one cycle of each account, side by side. An account lives on a thread of its
//! own (decision 0003).

use super::arguments::{Arguments, Sync};
use super::planned::{self, Described};
use super::print;
use super::progress::{Bar, Bars};
use super::terminal;
use crate::config;
use crate::daemon::{
    self, AskError, CycleRequest, HookContext, HookEvents, HookRunner, Keyring, OpenAccount,
    OpenError, Progress, Progressing, Request, RunRecorder, RunSummary, SyncDepth, Writes, ask,
    chosen, count, failed, state_path, stop_on_signals,
};
use crate::engine::{Report, Stop};
use crate::state::{State, StateError};
use crate::store::StoreError;
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Interval at which the progress is recorded for `mailtide status`.
const RECORD: Duration = Duration::from_secs(2);

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Sync) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = chosen(&config, &command.accounts)?;
    let stop = stop_on_signals().context("signals cannot be handled")?;
    let bars = match terminal::redraws() && !arguments.quiet && !command.no_progress {
        true => Bars::shown(),
        false => Bars::hidden(),
    };
    let (watched, accounts) = hand_over(&config, command, accounts)?;
    let done: Vec<Done> = std::thread::scope(|threads| {
        let started: Vec<_> = accounts
            .iter()
            .map(|account| {
                let job = SyncJob {
                    config: &config,
                    verbose: arguments.verbose > 0,
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
    let plans = done
        .iter()
        .map(|done| (done.summary.account.clone(), done.described.clone()));
    let plans: BTreeMap<String, Described> = plans.collect();
    let mut runs: Vec<RunSummary> = done.into_iter().map(|done| done.summary).collect();
    // A watcher writes the metrics itself.
    if watched.is_empty() {
        measure(&config, command)?;
    }
    runs.extend(watched);
    runs.sort_by(|a, b| a.account.cmp(&b.account));
    show(arguments, command, (&runs, &plans))?;
    Ok(print::exit_status(&runs))
}

/// Writes the metrics of all accounts, where the configuration wants them.
fn measure(config: &config::Config, command: &Sync) -> Result<()> {
    let Some(path) = config.metrics_file.as_ref().filter(|_| !command.dry_run) else {
        return Ok(());
    };
    if let Err(error) = daemon::write_metrics(path, &daemon::at_rest(config, &[])?) {
        let path = path.display();
        print::complain(format!("mailtide: metrics_file {path}: {error}"));
    }
    Ok(())
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

fn show(
    arguments: &Arguments,
    command: &Sync,
    (runs, plans): (&[RunSummary], &BTreeMap<String, Described>),
) -> Result<()> {
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
        if let Some(plan) = plans.get(&run.account) {
            plan.show(&run.account, arguments.verbose > 0);
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

/// What became of an account.
struct Done {
    summary: RunSummary,
    /// Of a dry run, the plan.
    described: Described,
}

struct SyncJob<'a> {
    config: &'a config::Config,
    verbose: bool,
    account: &'a config::Account,
    state_dir: PathBuf,
    command: &'a Sync,
    bar: Bar,
    stop: Stop,
}

impl SyncJob<'_> {
    fn run(self) -> Done {
        let began = Instant::now();
        let name = &self.account.name;
        let recorder = RunRecorder::new(&self.state_dir, name);
        let mut described = Described::default();
        let recorder = (!self.command.dry_run).then(|| RefCell::new(recorder));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let report = match runtime {
            Ok(runtime) => {
                let span = tracing::info_span!("sync", account = %name);
                let cycle = async {
                    let report = self.cycle(recorder.as_ref()).await;
                    let place = (self.config, self.account);
                    if let Ok(report) = &report {
                        described = planned::describe(place, report, self.verbose).await;
                    }
                    report
                };
                runtime.block_on(cycle.instrument(span))
            }
            Err(error) => Err(StoreError::Bug(format!("no runtime: {error}")).into()),
        };
        self.bar.done();
        // What another process does is in its record.
        let theirs = matches!(&report, Err(OpenError::State(StateError::Locked { .. })));
        let report = report.unwrap_or_else(|error| failed(&error));
        let mut summary = RunSummary::of(name, &report, began.elapsed().as_secs_f64());
        let path = state_path(&self.state_dir, name);
        if !summary.held.is_empty() && path.exists() {
            // Held changes without a date are shown without it.
            let state = State::open_beside(&path).ok();
            let known = state.and_then(|state| daemon::held(&state).ok());
            summary.date_held(&known.unwrap_or_default());
        }
        if let Some(recorder) = recorder.filter(|_| !theirs) {
            let mut recorder = recorder.into_inner();
            let errors = recorder.new_errors(&summary);
            self.run_hooks(HookEvents {
                errors,
                ..daemon::events(&report)
            });
            recorder.end(&summary);
            recorder.flush();
        }
        Done { summary, described }
    }

    /// Runs the hooks as the watcher does, once the account is free, and waits for them.
    fn run_hooks(&self, events: HookEvents) {
        if events.is_empty() {
            return;
        }
        let tasks = tokio::task::LocalSet::new();
        let hooks = async {
            let runner = HookRunner::start(HookContext::of(self.account));
            runner.queue(events);
            runner.finish().await;
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => {
                let span = tracing::info_span!("sync", account = %self.account.name);
                tasks.block_on(&runtime, hooks.instrument(span));
            }
            Err(error) => tracing::warn!(%error, "the hooks cannot be run"),
        }
    }

    async fn cycle(&self, recorder: Option<&RefCell<RunRecorder>>) -> Result<Report, OpenError> {
        let writes = match self.command.dry_run {
            true => Writes::None,
            false => Writes::Allowed,
        };
        let keyring = Rc::new(Keyring::new(self.account.clone()));
        let connections = self.account.connections;
        let mut opened = OpenAccount::new(keyring, &self.state_dir, writes, connections)?;
        if let Some(recorder) = recorder {
            recorder.borrow_mut().begin_now();
        }
        let errand = CycleRequest {
            dry_run: self.command.dry_run,
            only: self.command.mailbox.clone(),
            reach: match self.command.full {
                true => SyncDepth::Everything.reach(),
                false => SyncDepth::Changes.reach(),
            },
        };
        let record = |now: Progress| {
            if let Some(recorder) = recorder.filter(|_| now.of > 0) {
                recorder.borrow_mut().progress(now);
            }
        };
        let observer = Progressing::new(&self.bar, RECORD, record);
        let report = opened.cycle(errand, &observer, &self.stop).await;
        opened.disconnect().await;
        report
    }
}

fn crashed(account: &config::Account) -> Done {
    let what = "mailtide itself failed here; this is a defect, please report it with what it \
                printed. What was done until then is recorded";
    let report = failed(&StoreError::Bug(what.into()).into());
    Done {
        summary: RunSummary::of(&account.name, &report, 0.0),
        described: Described::default(),
    }
}
