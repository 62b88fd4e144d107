//! Arguments of the commands that arrange mail.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `flag`
#[derive(Debug, Args)]
pub struct Flag {
    /// Messages, and +FLAG or -FLAG: seen, answered, flagged, draft, deleted, or a keyword
    #[arg(value_name = "MESSAGE|+FLAG|-FLAG", required = true, num_args = 2..,
          allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `move` and `copy`
#[derive(Debug, Args)]
pub struct Refile {
    /// Messages, and last the mailbox that they go to
    #[arg(value_name = "MESSAGE... MAILBOX", required = true, num_args = 2..)]
    pub words: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `delete`
#[derive(Debug, Args)]
pub struct Delete {
    /// Messages
    #[arg(value_name = "MESSAGE", required = true)]
    pub messages: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `append`
#[derive(Debug, Args)]
pub struct Append {
    /// The file with the message; `-`: standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The mailbox
    #[arg(long, value_name = "MAILBOX")]
    pub mailbox: String,
    /// The account, where there are several
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// A flag or keyword that it gets: seen, flagged ...; may be given several times
    #[arg(long, value_name = "FLAG")]
    pub flag: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `mailbox`
#[derive(Debug, Args)]
pub struct MailboxArgs {
    /// What to do
    #[command(subcommand)]
    pub what: What,
    /// The account, where there are several
    #[arg(long, global = true, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What becomes of a mailbox.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Make a mailbox
    Create {
        /// Its name
        #[arg(value_name = "MAILBOX")]
        mailbox: String,
    },
    /// Give a mailbox another name
    Rename {
        /// Its name
        #[arg(value_name = "MAILBOX")]
        mailbox: String,
        /// The new one
        #[arg(value_name = "NAME")]
        to: String,
    },
    /// Delete a mailbox; what is in it is kept in quarantine
    Delete {
        /// Its name
        #[arg(value_name = "MAILBOX")]
        mailbox: String,
    },
    /// Have mail programs that go by subscriptions show a mailbox
    Subscribe {
        /// Its name
        #[arg(value_name = "MAILBOX")]
        mailbox: String,
    },
    /// Have them show it no longer
    Unsubscribe {
        /// Its name
        #[arg(value_name = "MAILBOX")]
        mailbox: String,
    },
}
