//! `mailtide sync`: one cycle of each account, side by side. An account lives on a thread of its
//! own (decision 0003).

use super::arguments::{Arguments, Sync};
use super::open::{self, OpenState, Writes};
use super::print::{self, Finished};
use super::progress::{Bar, Bars};
use crate::config::{self, ConfigError};
use crate::daemon::stop_on_signals;
use crate::engine::{Account, Options, Report, Severity, Stop, Trouble, World};
use crate::state::{State, StateError};
use crate::store::StoreError;
use anyhow::{Context, Result};
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tracing::Instrument;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Sync) -> Result<u8> {
    let config = config::load(arguments.config.as_deref())?;
    let accounts = open::chosen(&config, &command.accounts)?;
    let stop = stop_on_signals().context("signals cannot be handled")?;
    let bars = match stderr().is_terminal() && !arguments.quiet {
        true => Bars::shown(),
        false => Bars::hidden(),
    };
    let runs: Vec<Finished> = std::thread::scope(|threads| {
        let started: Vec<_> = accounts
            .iter()
            .map(|account| {
                let job = Job {
                    account,
                    state_dir: config.state_dir.clone(),
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
    show(arguments, command, &runs)?;
    Ok(print::exit_status(&runs))
}

fn show(arguments: &Arguments, command: &Sync, runs: &[Finished]) -> Result<()> {
    for run in runs {
        for error in &run.report.errors {
            let place = error
                .mailbox
                .as_ref()
                .map(|name| format!("/{name}"))
                .unwrap_or_default();
            eprintln!(
                "{}",
                print::safe(&format!("{}{place}: {}", run.account, error.text))
            );
        }
        if arguments.quiet {
            continue;
        }
        if arguments.verbose > 0 {
            for note in &run.report.notes {
                eprintln!("{}", print::safe(&format!("{}: note: {note}", run.account)));
            }
        }
        for held in &run.report.held {
            for line in print::held_lines(held) {
                eprintln!("{}: {line}", run.account);
            }
        }
        if command.json {
            continue;
        }
        for line in print::plan_lines(&run.report) {
            println!("{}: would {line}", run.account);
        }
        match command.dry_run {
            true => println!("{}: dry run, nothing was written", run.account),
            false => println!("{}", print::summary(run)),
        }
    }
    if command.json {
        println!("{}", serde_json::to_string(&print::object(runs))?);
    }
    Ok(())
}

struct Job<'a> {
    account: &'a config::Account,
    state_dir: PathBuf,
    command: &'a Sync,
    bar: Bar,
    stop: Stop,
}

impl Job<'_> {
    fn run(self) -> Finished {
        let began = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let report = match runtime {
            Ok(runtime) => {
                let span = tracing::info_span!("account", name = %self.account.name);
                runtime.block_on(self.cycle().instrument(span))
            }
            Err(error) => Err(error.into()),
        };
        self.bar.done();
        let report = report.unwrap_or_else(|error| failed(&error));
        let seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Finished {
            account: self.account.name.clone(),
            report,
            seconds,
        }
    }

    async fn cycle(&self) -> Result<Report> {
        let account = self.account;
        let writes = if self.command.dry_run {
            Writes::None
        } else {
            Writes::Allowed
        };
        let opened = open_account(&self.state_dir, account, writes)?;
        let OpenState {
            mut state,
            lock,
            claim,
        } = opened;
        let mut local = open::local(account, claim);
        let mut notes = Vec::new();
        if writes == Writes::Allowed {
            let uuid = local.take_possession()?;
            open::note_account(&mut state, account, uuid)?;
            if let Some(what) = open::same_age(&mut state, &local)? {
                tracing::warn!("{what}");
                notes.push(what);
            }
        } else if let Ok(marker) = local.generation()
            && !open::fits(&state, marker)?
        {
            state = State::in_memory()?;
        }
        let mut engine = Account {
            remote: open::remote(account, writes).await?,
            local,
            state: &mut state,
            policy: account.policy.clone(),
            options: Options {
                dry_run: self.command.dry_run,
                only: self.command.mailbox.clone(),
                config: account.fingerprint(),
                grace: i64::try_from(account.timeout.as_secs()).unwrap_or(60),
            },
            world: World {
                now: Box::new(open::now),
                random: Box::new(|| open::random() as u32),
            },
            observer: &self.bar,
            stop: self.stop.clone(),
        };
        let mut report = engine.sync().await;
        engine.remote.close().await;
        report.notes.extend(notes);
        if writes == Writes::Allowed {
            open::settle(engine.state, &engine.local)?;
            match engine.local.purge(account.quarantine_days) {
                Ok(days) => {
                    let emptied =
                        |day| format!("quarantine of {day} was emptied: its time is over");
                    report.notes.extend(days.iter().map(emptied));
                    if !days.is_empty() {
                        let kept = i64::from(account.quarantine_days) * 24 * 3600;
                        engine.state.unbury_before(open::now() - kept)?;
                    }
                }
                Err(error) => tracing::warn!(%error, "the quarantine could not be emptied"),
            }
        }
        drop(lock);
        Ok(report)
    }
}

fn open_account(state_dir: &Path, account: &config::Account, writes: Writes) -> Result<OpenState> {
    open::open_state(state_dir, &account.name, writes)
}

/// An account that could not even begin.
pub(super) fn failed(error: &anyhow::Error) -> Report {
    let severity = match error.downcast_ref::<StoreError>() {
        Some(StoreError::Guard(_)) => Severity::Guard,
        Some(StoreError::Retry(_)) => Severity::Temporary,
        Some(StoreError::NeedsUser(_)) => Severity::Configuration,
        Some(StoreError::Mailbox(_) | StoreError::Stale(_) | StoreError::Bug(_)) => {
            Severity::Partial
        }
        None if error.is::<ConfigError>() => Severity::Configuration,
        None => match error.downcast_ref::<StateError>() {
            Some(StateError::Locked { .. }) => Severity::Temporary,
            _ => Severity::Partial,
        },
    };
    let mut report = Report::default();
    report.errors.push(Trouble {
        mailbox: None,
        severity,
        text: print::chain(error),
    });
    report
}

fn crashed(account: &config::Account) -> Finished {
    let what = "mailtide itself failed here; this is a defect, please report it with what it \
                printed. What was done until then is recorded";
    let report = failed(&anyhow::Error::from(StoreError::Bug(what.into())));
    Finished {
        account: account.name.clone(),
        report,
        seconds: 0.0,
    }
}
