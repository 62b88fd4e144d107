//! Arguments of the commands that read mail.

use crate::browse::Sides;
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// The sides to read.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("sides").args(["server", "local"])))]
pub struct SidesArg {
    /// Read the server only
    #[arg(long)]
    pub server: bool,
    /// Read the disk only
    #[arg(long)]
    pub local: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Do not use a pager on a terminal
    #[arg(long)]
    pub no_pager: bool,
}

impl SidesArg {
    /// Returns the sides to read.
    pub fn sides(&self) -> Sides {
        match (self.server, self.local) {
            (true, _) => Sides::There,
            (false, true) => Sides::Here,
            (false, false) => Sides::Both,
        }
    }
}

/// `mailboxes`
#[derive(Debug, Args)]
pub struct Mailboxes {
    /// Accounts [default: all]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Sides and output
    #[command(flatten)]
    pub asked: SidesArg,
}

/// `list`
#[derive(Debug, Args)]
pub struct List {
    /// The mailbox, as `mailboxes` prints it: INBOX, or ACCOUNT/INBOX
    #[arg(value_name = "MAILBOX")]
    pub mailbox: String,
    /// The account, where there are several
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Only messages that arrived since a date, a time, or an age: 2026-11-23,
    /// "2026-11-23 14:00", 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only unread messages
    #[arg(long)]
    pub unread: bool,
    /// Number of messages, newest first
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Sides and output
    #[command(flatten)]
    pub asked: SidesArg,
}

/// `show`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["headers", "structure", "raw"])))]
pub struct ShowArgs {
    /// The message: an id that `list` prints, or a file
    #[arg(value_name = "MESSAGE")]
    pub message: String,
    /// Print its header
    #[arg(long)]
    pub headers: bool,
    /// Print its parts, with the numbers that `part` takes
    #[arg(long)]
    pub structure: bool,
    /// Print the unchanged message
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// Sides and output
    #[command(flatten)]
    pub asked: SidesArg,
}

/// `part`
#[derive(Debug, Args)]
pub struct PartArgs {
    /// The message: an id that `list` prints, or a file
    #[arg(value_name = "MESSAGE")]
    pub message: String,
    /// The number of the part, or its file name, as `show --structure` prints them
    #[arg(value_name = "PART")]
    pub part: String,
    /// Save it there instead of printing it; in a directory, or without a name, under its own name
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = ".")]
    pub save: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long, requires = "save")]
    pub force: bool,
    /// Sides and output
    #[command(flatten)]
    pub asked: SidesArg,
}

/// `search`
#[derive(Debug, Args)]
pub struct Search {
    /// The query, such as: from:bob subject:"annual report" since:2024-05 -is:read
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
    /// Only in this account; may be given several times
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Vec<String>,
    /// Print the paths of local files, one a line
    #[arg(long, conflicts_with = "json")]
    pub files: bool,
    /// Fuzzy search on the server (RFC 6203)
    #[arg(long, conflicts_with = "local")]
    pub fuzzy: bool,
    /// Number of messages, newest first [default: 100; all with --files and --json]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Sides and output
    #[command(flatten)]
    pub asked: SidesArg,
}
