//! `mailtide repair`: checks what mailtide remembers, forgets what does not hold, and syncs.

use super::arguments::{Arguments, Repair};
use super::open::{self, OpenState, Writes};
use super::print::{self, Finished, safe};
use super::sync::failed;
use crate::config;
use crate::daemon::stop_on_signals;
use crate::engine::{Account, Options, Report, Silent, Stop, World};
use crate::state::StateError;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Repair) -> Result<u8> {
    let config = config::load(arguments.config.as_deref())?;
    let accounts = open::chosen(&config, &command.accounts)?;
    let stop = stop_on_signals().context("signals cannot be handled")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut runs = Vec::new();
    for account in &accounts {
        let began = Instant::now();
        let job = one(&config.state_dir, account, command.rebuild, &stop);
        let report = runtime.block_on(job).unwrap_or_else(|error| failed(&error));
        let run = Finished {
            account: account.name.clone(),
            report,
            seconds: began.elapsed().as_secs_f64(),
        };
        for error in &run.report.errors {
            eprintln!("{}", safe(&format!("{}: {}", account.name, error.text)));
        }
        for held in &run.report.held {
            for line in print::held_lines(held) {
                eprintln!("{}: {line}", account.name);
            }
        }
        println!("{}", print::summary(&run));
        runs.push(run);
    }
    Ok(print::exit_status(&runs))
}

async fn one(
    state_dir: &Path,
    account: &config::Account,
    rebuild: bool,
    stop: &Stop,
) -> Result<Report> {
    let say = |text: &str| println!("{}: {}", account.name, safe(text));
    let OpenState {
        mut state,
        lock,
        claim,
    } = whole_state(state_dir, account, &say)?;
    let mut local = open::local(account, claim);
    let uuid = local.take_possession()?;
    open::note_account(&mut state, account, uuid)?;
    match open::same_age(&mut state, &local)? {
        Some(what) => say(&what),
        None => say("the Maildir is the one that the state knows, and as old"),
    }
    if rebuild {
        let next = state.generation()?.0 + 1;
        state.start_over(next)?;
        open::settle(&mut state, &local)?;
        say("all that was known of messages is forgotten; they are matched anew");
    }
    let mut engine = Account {
        remote: open::remote(account, Writes::Allowed).await?,
        local,
        state: &mut state,
        policy: account.policy.clone(),
        options: Options {
            config: account.fingerprint(),
            grace: i64::try_from(account.timeout.as_secs()).unwrap_or(60),
            ..Options::default()
        },
        world: World {
            now: Box::new(open::now),
            random: Box::new(|| open::random() as u32),
        },
        observer: &Silent,
        stop: stop.clone(),
    };
    if !rebuild {
        let found = engine.verify().await?;
        for note in &found.notes {
            say(note);
        }
        say(&format!(
            "{} messages in step: {} are as they were, of {} a half is gone, {} did not belong \
             together and are matched anew",
            found.pairs, found.sound, found.gone, found.forgotten
        ));
    }
    let report = engine.sync().await;
    engine.remote.close().await;
    open::settle(engine.state, &engine.local)?;
    drop(lock);
    Ok(report)
}

/// The state of an account, put aside and begun anew if it is damaged.
fn whole_state(
    state_dir: &Path,
    account: &config::Account,
    say: &dyn Fn(&str),
) -> Result<OpenState> {
    let path = open::state_path(state_dir, &account.name);
    let opened = match open::open_state(state_dir, &account.name, Writes::Allowed) {
        Err(error) if is_damaged(&error) => {
            say(&format!("{error}"));
            say(&format!("moved to {}", set_aside(&path)?.display()));
            open::open_state(state_dir, &account.name, Writes::Allowed)?
        }
        opened => opened?,
    };
    let OpenState {
        mut state,
        lock,
        mut claim,
    } = opened;
    let wrong = state.integrity()?;
    if wrong.is_empty() {
        say("the state database is whole");
    } else {
        drop(state);
        say(&format!(
            "the state database is damaged: {}",
            wrong.join("; ")
        ));
        say(&format!("moved to {}", set_aside(&path)?.display()));
        (state, claim) = open::open_unlocked(&path)?;
    }
    Ok(OpenState { state, lock, claim })
}

fn is_damaged(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StateError::Damaged { .. }))
}

/// Moves a damaged database out of the way, with what SQLite keeps beside it.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let aside = path.with_extension(format!("db.damaged-{}", open::now()));
    std::fs::rename(path, &aside)
        .with_context(|| format!("cannot move {} away", path.display()))?;
    for ending in ["-wal", "-shm"] {
        let beside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (from, to) = (beside(path), beside(&aside));
        if from.exists() {
            std::fs::rename(&from, &to)
                .with_context(|| format!("cannot move {} away", from.display()))?;
        }
    }
    Ok(aside)
}
