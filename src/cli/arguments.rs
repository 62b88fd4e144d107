//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Synchronizes IMAP accounts with local Maildirs, in both directions.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER)]
pub struct Arguments {
    /// The configuration file [default: ~/.config/mailtide/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print more: -v lists each change with its reason, -vv adds debug output
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Format of log lines [default: text; to the journal under systemd]
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
    /// The command
    #[command(subcommand)]
    pub command: CliCommand,
}

const AFTER: &str = "\
Exit status: 0 success; 1 some mailboxes or messages failed, the others are synced; 2 usage or
configuration error; 3 a change waits for your approval, or the Maildir belongs to another account;
75 the network or the server failed, retry later.";

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text.
    Text,
    /// JSON: one object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Synchronize accounts once, in both directions
    Sync(Sync),
    /// Run as a service that synchronizes accounts as they change
    Watch(WatchArgs),
    /// Show the status of accounts
    Status(StatusArgs),
    /// Make the running watcher sync all mailboxes now and re-read credentials
    Poke(AccountArgs),
    /// Make the running watcher stop syncing accounts until `resume`
    Pause(AccountArgs),
    /// Resume paused accounts
    Resume(AccountArgs),
    /// Check configuration, TLS, login, server, mailboxes and Maildir; change nothing
    Check(CheckArgs),
    /// Execute held changes once
    Approve(Decide),
    /// Discard held deletions and restore the missing messages on the other side
    Reject(Decide),
    /// Take over a Maildir of another account or state database; prints the changes first
    Adopt(Adopt),
    /// Verify the state database, drop wrong entries, sync
    Repair(Repair),
    /// Restore the messages that a run deleted and the flags it changed; --yes applies it
    Undo(Undo),
    /// List the changes of past runs with side and reason
    History(History),
    /// List the mailboxes on disk and on the server
    Mailboxes(super::looking::Mailboxes),
    /// List the messages of a mailbox, the newest first
    List(super::looking::List),
    /// Show a message, its header, or its parts
    Show(super::looking::ShowArgs),
    /// Print or save one part of a message
    Part(super::looking::PartArgs),
    /// Search messages on disk and on the server
    Search(super::looking::Search),
    /// Update the search index
    Index(AccountArgs),
    /// Set and clear flags of messages: flag MESSAGE +seen -flagged +work
    Flag(super::organising::Flag),
    /// Move messages to another mailbox
    Move(super::organising::Refile),
    /// Copy messages to another mailbox
    Copy(super::organising::Refile),
    /// Delete messages; their bytes are kept in the trash or in quarantine
    Delete(super::organising::Delete),
    /// Add a file as a message to a mailbox
    Append(super::organising::Append),
    /// Create, rename, delete and subscribe to mailboxes
    Mailbox(super::organising::MailboxArgs),
    /// Convert the configuration of mbsync or OfflineIMAP
    Import(Import),
    /// Run the watcher as a service of your systemd
    Service(Service),
}

/// `service`
#[derive(Debug, Args)]
pub struct Service {
    /// What to do
    #[command(subcommand)]
    pub what: ServiceAction,
}

/// What to do with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ServiceAction {
    /// Write the unit and start it, now and at each login
    Install {
        /// Let it run while you are not logged in, without a question (loginctl enable-linger)
        #[arg(long)]
        linger: bool,
    },
    /// Stop it and remove the unit
    Uninstall,
    /// Show whether it is installed and runs
    Status,
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
    /// Compare every mailbox message by message, even without a reported change
    #[arg(long)]
    pub full: bool,
    /// Print the plan, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show no bar, on a terminal either
    #[arg(long)]
    pub no_progress: bool,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub json: bool,
}

/// `watch`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Fail where the last good run of an account is older: 2h, 30min, 1d
    #[arg(long, value_name = "AGE")]
    pub max_age: Option<String>,
    /// Show it again each second, until interrupted
    #[arg(long)]
    pub follow: bool,
}

/// `poke`, `pause` and `resume`
#[derive(Debug, Args)]
pub struct AccountArgs {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
}

/// `approve` and `reject`
#[derive(Debug, Args)]
pub struct Decide {
    /// The id of a held change, as sync and status print it, or an account: all of its held changes
    #[arg(value_name = "ID|ACCOUNT", required_unless_present = "all")]
    pub id: Option<String>,
    /// All held changes of all accounts
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
}

/// `adopt`
#[derive(Debug, Args)]
pub struct Adopt {
    /// The account that takes over its `maildir`
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Apply without a question; without this and without a terminal, only print
    #[arg(long)]
    pub yes: bool,
}

/// `repair`
#[derive(Debug, Args)]
pub struct Repair {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Rebuild the state database from both sides (no message is deleted)
    #[arg(long)]
    pub rebuild: bool,
}

/// `undo`
#[derive(Debug, Args)]
pub struct Undo {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// The run with this number [default: the last run with a deletion, a move or a change of
    /// flags that --mailbox and --message select]
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    pub run: Option<i64>,
    /// All runs since a date, a time, or an age: 2026-11-23, "2026-11-23 14:00", 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only in mailboxes that match (`*` anything, `%` all but `/`); may be given several times
    #[arg(long, value_name = "PATTERN")]
    pub mailbox: Vec<String>,
    /// Only this message: an id as `list` prints it, a Message-ID in < and >, or a UID or file
    /// name as `history` prints it
    #[arg(long, value_name = "MESSAGE")]
    pub message: Option<String>,
    /// Only list the last runs
    #[arg(long, conflicts_with_all = ["since", "run", "yes", "mailbox", "message"])]
    pub list: bool,
    /// Apply and sync; without this, only print
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
    /// Only since a date, a time, or an age: 2026-11-23, "2026-11-23 14:00", 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Number of changes of each account, the last ones
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
    /// Program to import from
    #[arg(value_enum)]
    pub program: ImportProgram,
    /// Its configuration file [default: the default path of that program]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print the configuration instead of writing it
    #[arg(long)]
    pub print: bool,
}

/// A program whose configuration can be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportProgram {
    /// mbsync
    Mbsyncrc,
    /// OfflineIMAP
    Offlineimaprc,
}
