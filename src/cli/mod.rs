//! The command line interface.
//!
//! Reading order: [`arguments`], [`log`] with [`outside`] (texts in it), the commands [`sync`],
//! [`check`], [`import`], [`adopt`], [`repair`], [`undo`], [`history`], [`watch`],
//! [`service`], [`show`]
//! (status), [`ask`] (what is said to the watcher), those that look at mail ([`looking`]:
//! [`mailboxes`], [`list`], [`view`] (show), [`part`], [`search`]; [`index`]), those that arrange
//! it ([`organising`], [`organise`]: [`flag`], [`refile`], [`append`], [`mailbox`]), and what they
//! print with: [`terminal`], [`progress`], [`planned`], [`page`], [`columns`], [`mod@print`].

mod arguments;

mod log;

mod outside;

mod sync;

mod check;

mod import;

mod adopt;

mod repair;

mod undo;

mod history;

mod watch;

mod service;

mod show;

mod ask;

mod looking;

mod mailboxes;

mod list;

mod view;

mod part;

mod search;

mod index;

mod organising;

mod organise;

mod flag;

mod refile;

mod append;

mod mailbox;

mod page;

mod planned;

mod columns;

mod terminal;

mod progress;

mod print;

use crate::config::ConfigError;
use crate::daemon::Request;
use arguments::{Arguments, CliCommand};
use ask::VerdictArg;
use clap::Parser;
use refile::RefileKind;
use std::process::ExitCode;

/// Exit statuses.
pub mod status {
    use crate::daemon::{AskError, OpenError};
    use crate::state::StateError;
    use crate::store::StoreError;

    /// Success.
    pub const OK: u8 = 0;
    /// Some mailboxes or messages failed, the others are synced.
    pub const PARTIAL: u8 = 1;
    /// Usage or configuration error.
    pub const USAGE: u8 = 2;
    /// A change waits for approval, or the Maildir belongs to another account.
    pub const HELD: u8 = 3;
    /// The network or the server failed; retry later.
    pub const TEMPORARY: u8 = 75;

    /// Returns the exit status of a failed command.
    pub fn of(error: &anyhow::Error) -> u8 {
        let own = match error.downcast_ref() {
            Some(OpenError::Store(own)) => Some(own),
            Some(OpenError::State(StateError::Locked { .. })) => return TEMPORARY,
            _ if matches!(error.downcast_ref(), Some(AskError::Other { .. })) => return HELD,
            _ if matches!(error.downcast_ref(), Some(AskError::Silent { .. })) => return TEMPORARY,
            _ => error.downcast_ref::<StoreError>(),
        };
        match own {
            Some(StoreError::Retry(_) | StoreError::Busy { .. }) => TEMPORARY,
            Some(StoreError::Guard(_)) => HELD,
            Some(
                StoreError::Mailbox(_)
                | StoreError::Stale(_)
                | StoreError::Renumbered(_)
                | StoreError::Bug(_),
            ) => PARTIAL,
            Some(StoreError::NeedsUser(_) | StoreError::LoginRefused(_)) | None => USAGE,
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log::start(&arguments);
    let done = match &arguments.command {
        CliCommand::Sync(command) => sync::run(&arguments, command),
        CliCommand::Check(command) => check::run(&arguments, command),
        CliCommand::Watch(command) => watch::run(&arguments, command),
        CliCommand::Status(command) => show::run(&arguments, command),
        CliCommand::Poke(command) => {
            ask::tell(&arguments, command, |accounts| Request::Poke { accounts })
        }
        CliCommand::Pause(command) => {
            ask::tell(&arguments, command, |accounts| Request::Pause { accounts })
        }
        CliCommand::Resume(command) => {
            ask::tell(&arguments, command, |accounts| Request::Resume { accounts })
        }
        CliCommand::Approve(command) => ask::decide(&arguments, command, VerdictArg::Yes),
        CliCommand::Reject(command) => ask::decide(&arguments, command, VerdictArg::No),
        CliCommand::Adopt(command) => adopt::run(&arguments, command),
        CliCommand::Repair(command) => repair::run(&arguments, command),
        CliCommand::Undo(command) => undo::run(&arguments, command),
        CliCommand::History(command) => history::run(&arguments, command),
        CliCommand::Mailboxes(command) => mailboxes::run(&arguments, command),
        CliCommand::List(command) => list::run(&arguments, command),
        CliCommand::Show(command) => view::run(&arguments, command),
        CliCommand::Part(command) => part::run(&arguments, command),
        CliCommand::Search(command) => search::run(&arguments, command),
        CliCommand::Index(command) => index::run(&arguments, command),
        CliCommand::Flag(command) => flag::run(&arguments, command),
        CliCommand::Move(command) => refile::run(&arguments, command, RefileKind::Move),
        CliCommand::Copy(command) => refile::run(&arguments, command, RefileKind::Copy),
        CliCommand::Delete(command) => refile::delete(&arguments, command),
        CliCommand::Append(command) => append::run(&arguments, command),
        CliCommand::Mailbox(command) => mailbox::run(&arguments, command),
        CliCommand::Import(command) => import::run(&arguments, command),
        CliCommand::Service(command) => service::run(&arguments, command),
    };
    let status = match done {
        Ok(status) => status,
        Err(error) => {
            match error.downcast_ref() {
                Some(ConfigError::Several(all)) => {
                    let each = |one: &ConfigError| print::complain(format!("mailtide: {one}"));
                    all.iter().for_each(each);
                }
                _ => print::complain(format!("mailtide: {}", print::chain(&error))),
            }
            status::of(&error)
        }
    };
    ExitCode::from(print::ended(status))
}
