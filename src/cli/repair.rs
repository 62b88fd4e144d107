//! `mailtide repair`: checks what mailtide remembers, forgets what does not hold, and syncs.

use super::arguments::{Arguments, Repair};
use super::print;
use crate::config;
use crate::daemon::{
    self, CycleRequest, Keyring, OpenAccount, OpenError, OpenState, RunSummary, Writes,
};
use crate::engine::{Report, Silent, Stop};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Runs the command; answers with the exit status.
pub fn run(arguments: &Arguments, command: &Repair) -> Result<u8> {
    let config = daemon::load(arguments.config.as_deref())?;
    let accounts = daemon::chosen(&config, &command.accounts)?;
    let stop = daemon::stop_on_signals().context("signals cannot be handled")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut runs = Vec::new();
    for account in &accounts {
        let began = Instant::now();
        let job = one(
            config.state_dir_of(&account.name),
            account,
            command.rebuild,
            &stop,
        );
        let report = runtime.block_on(job).or_else(unopened)?;
        let run = RunSummary::of(&account.name, &report, began.elapsed().as_secs_f64());
        print::troubles(&run);
        print::held(&run);
        print::say(print::summary(&run));
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
    let say = |text: &str| print::say(format!("{}: {text}", account.name));
    let opened = whole_state(state_dir, account, &say)?;
    let keyring = Rc::new(Keyring::new(account.clone()));
    let mut opened = OpenAccount::of(keyring, opened, Writes::Allowed, account.connections);
    let notes = opened.make_ready()?;
    notes.iter().for_each(|note| say(note));
    if notes.is_empty() {
        say("the Maildir belongs to this state database, and their generations match");
    }
    if rebuild {
        opened.start_over()?;
        say("the state database was emptied; all messages are matched again");
    } else {
        let found = opened.verify(stop).await??;
        for note in &found.notes {
            say(note);
        }
        say(&format!(
            "checked {} messages: {} ok, {} missing on one side, {} mismatched (will be matched \
             again)",
            found.pairs, found.sound, found.gone, found.forgotten
        ));
    }
    let report = opened.cycle(CycleRequest::default(), &Silent, stop).await?;
    opened.disconnect().await;
    Ok(report)
}

/// An account that could not be opened is reported as one that could not be synced.
fn unopened(error: anyhow::Error) -> Result<Report> {
    error
        .downcast::<OpenError>()
        .map(|error| daemon::failed(&error))
}

/// The state of an account, put aside and begun anew if it is damaged.
fn whole_state(
    state_dir: &Path,
    account: &config::Account,
    say: &dyn Fn(&str),
) -> Result<OpenState> {
    let path = daemon::state_path(state_dir, &account.name);
    let opened = match daemon::open_state(state_dir, account, Writes::Allowed) {
        Err(OpenError::State(error)) if error.is_damage() => {
            say(&format!("{error}"));
            say(&format!("moved to {}", set_aside(&path)?.display()));
            daemon::open_state(state_dir, account, Writes::Allowed)?
        }
        opened => opened?,
    };
    let OpenState {
        mut state,
        lock,
        mut claim,
        owner,
        beside,
    } = opened;
    let wrong = match state.integrity() {
        Err(error) if error.is_damage() => vec![error.to_string()],
        wrong => wrong?,
    };
    if wrong.is_empty() {
        say("the state database is whole");
    } else {
        drop(state);
        say(&format!(
            "the state database is damaged: {}",
            wrong.join("; ")
        ));
        say(&format!("moved to {}", set_aside(&path)?.display()));
        (state, claim) = daemon::new_state(&path)?;
    }
    Ok(OpenState {
        state,
        lock,
        claim,
        owner,
        beside,
    })
}

/// Moves a damaged database out of the way, after what SQLite keeps beside it: a run that is cut in
/// between leaves no journal to a new database.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let aside = path.with_extension(format!("db.damaged-{}", daemon::now()));
    for ending in ["-wal", "-shm", ""] {
        let beside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (from, to) = (beside(path), beside(&aside));
        if ending.is_empty() || from.exists() {
            std::fs::rename(&from, &to)
                .with_context(|| format!("cannot move {} away", from.display()))?;
        }
    }
    Ok(aside)
}
