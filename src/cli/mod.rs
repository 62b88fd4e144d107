//! Talks to people.
//!
//! Reading order: [`arguments`], [`log`], [`open`] (from configuration to an account ready to run),
//! the commands [`sync`], [`check`], [`approve`], [`import`], [`repair`], and what they print with:
//! [`progress`], [`mod@print`].

mod arguments;

mod log;

mod open;

mod sync;

mod check;

mod approve;

mod import;

mod repair;

mod progress;

mod print;

use arguments::{Arguments, Command};
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
        Command::Approve(command) => approve::run(&arguments, command),
        Command::Repair(command) => repair::run(&arguments, command),
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
