//! Talks to people.
//!
//! Reading order: [`arguments`], [`log`], the commands [`sync`], [`check`], [`import`],
//! [`repair`], [`undo`], [`history`], [`watch`], [`show`] (status), [`ask`] (what is said to the
//! watcher), and what they print with: [`progress`], [`mod@print`].

mod arguments;

mod log;

mod sync;

mod check;

mod import;

mod repair;

mod undo;

mod history;

mod watch;

mod show;

mod ask;

mod progress;

mod print;

use crate::daemon::Request;
use arguments::{Arguments, Command};
use ask::Word;
use clap::Parser;
use std::process::ExitCode;

/// Exit statuses.
pub mod status {
    /// In step.
    pub const OK: u8 = 0;
    /// Something could not be synced; the rest was.
    pub const PARTIAL: u8 = 1;
    /// Usage or configuration.
    pub const USAGE: u8 = 2;
    /// A guard holds something until the user decides.
    pub const HELD: u8 = 3;
    /// The network or the server failed for now.
    pub const TEMPORARY: u8 = 75;
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log::start(&arguments);
    let done = match &arguments.command {
        Command::Sync(command) => sync::run(&arguments, command),
        Command::Check(command) => check::run(&arguments, command),
        Command::Watch(command) => watch::run(&arguments, command),
        Command::Status(command) => show::run(&arguments, command),
        Command::Poke(command) => {
            ask::tell(&arguments, command, |accounts| Request::Poke { accounts })
        }
        Command::Pause(command) => {
            ask::tell(&arguments, command, |accounts| Request::Pause { accounts })
        }
        Command::Resume(command) => {
            ask::tell(&arguments, command, |accounts| Request::Resume { accounts })
        }
        Command::Approve(command) => ask::decide(&arguments, command, Word::Yes),
        Command::Reject(command) => ask::decide(&arguments, command, Word::No),
        Command::Repair(command) => repair::run(&arguments, command),
        Command::Undo(command) => undo::run(&arguments, command),
        Command::History(command) => history::run(&arguments, command),
        Command::Import(command) => import::run(&arguments, command),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("mailtide: {}", print::safe(&print::chain(&error)));
            ExitCode::from(status::USAGE)
        }
    }
}
