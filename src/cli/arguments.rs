//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Keeps IMAP accounts and local Maildirs in step, in both directions.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER)]
pub struct Arguments {
    /// The configuration file [default: ~/.config/mailtide/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say more; twice: say why
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How log lines are written [default: text; to the journal under systemd]
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Exit status: 0 in step; 1 something could not be synced (the rest was); 2 usage or
configuration; 3 a guard holds something until you decide, or the Maildir is another's; 75 the
network or the server failed for now.";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring accounts in step, both directions, once
    Sync(Sync),
    /// Keep accounts in step for ever: a service
    Watch(Watch),
    /// Show how accounts are doing
    Status(Status),
    /// Have the watcher look everywhere now, with secrets taken anew
    Poke(Named),
    /// Have the watcher leave accounts alone
    Pause(Named),
    /// Have it go on
    Resume(Named),
    /// Look at configuration, TLS, login, server, mailboxes and Maildir; change nothing
    Check(Check),
    /// Let a held part of a plan run once
    Approve(Decide),
    /// Have what led to a held part of a plan undone: what is gone is brought back
    Reject(Decide),
    /// Take over a Maildir that belongs to another account or state database; shown first
    Adopt(Adopt),
    /// Check what is remembered, forget what does not hold, and sync
    Repair(Repair),
    /// Bring back what a run deleted on either side, and the flags it changed; shown first
    Undo(Undo),
    /// Show what was changed, on which side, and why
    History(History),
    /// Show the mailboxes, here and on the server
    Mailboxes(super::looking::Mailboxes),
    /// List the messages of a mailbox, the newest first
    List(super::looking::List),
    /// Show a message, its header, or its parts
    Show(super::looking::Show),
    /// Print or save one part of a message
    Part(super::looking::Part),
    /// Write a configuration from that of mbsync or OfflineIMAP
    Import(Import),
}

/// `sync`
#[derive(Debug, Args)]
pub struct Sync {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Only mailboxes that match (`*` anything, `%` anything but `/`); may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub mailbox: Vec<String>,
    /// Compare every mailbox message by message, even where nothing seems to have changed
    #[arg(long)]
    pub full: bool,
    /// Show what would be done, and write nothing anywhere
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// `check`
#[derive(Debug, Args)]
pub struct Check {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// `watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `poke`, `pause` and `resume`
#[derive(Debug, Args)]
pub struct Named {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
}

/// `approve` and `reject`
#[derive(Debug, Args)]
pub struct Decide {
    /// The id that sync and status show with what is held
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `adopt`
#[derive(Debug, Args)]
pub struct Adopt {
    /// The account whose `maildir` it is to be
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Do it without a question; without this and without a terminal it is only shown
    #[arg(long)]
    pub yes: bool,
}

/// `repair`
#[derive(Debug, Args)]
pub struct Repair {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Forget everything, and match all messages anew by their content
    #[arg(long)]
    pub rebuild: bool,
}

/// `undo`
#[derive(Debug, Args)]
pub struct Undo {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// The run with this number [default: the last that deleted something or changed flags, there
    /// where --mailbox and --message say]
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    pub run: Option<i64>,
    /// All runs since then: 2026-11-23, "2026-11-23 14:00", or so long ago: 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only in mailboxes that match (`*` anything, `%` all but `/`); may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub mailbox: Vec<String>,
    /// Only this message: its UID or the name of its file, as `history` shows it
    #[arg(long, value_name = "MESSAGE")]
    pub message: Option<String>,
    /// Only list the last runs
    #[arg(long, conflicts_with_all = ["since", "run", "yes", "mailbox", "message"])]
    pub list: bool,
    /// Do it, and sync; without this it is only shown
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object for each account
    #[arg(long)]
    pub json: bool,
}

/// `history`
#[derive(Debug, Args)]
pub struct History {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Only mailboxes that match (`*` anything, `%` anything but `/`); may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub mailbox: Vec<String>,
    /// Only since then: 2026-11-23, "2026-11-23 14:00", or so long ago: 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// The last so many changes of each account
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub last: u32,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `import`
#[derive(Debug, Args)]
pub struct Import {
    /// Whose
    #[arg(value_enum)]
    pub program: Program,
    /// The file [default: where that program looks for it]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print it instead of writing the configuration file
    #[arg(long)]
    pub print: bool,
}

/// Whose configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// mbsync's
    Mbsyncrc,
    /// OfflineIMAP's
    Offlineimaprc,
}
