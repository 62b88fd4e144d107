//! What is said over the control socket: one JSON object a line, a request and its answer. Also
//! the side that asks.

use super::board::Status;
use super::told::Told;
use super::undo;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// No request is longer than this.
pub const LIMIT: u64 = 64 << 10;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How is it going?
    Status {
        /// Of these accounts; none: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Look everywhere now, and take the secret anew.
    Poke {
        /// These accounts; none: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Do nothing until told to go on.
    Pause {
        /// These accounts; none: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Go on.
    Resume {
        /// These accounts; none: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Sync now, and tell what was done.
    Sync {
        /// These accounts; none: all.
        #[serde(default)]
        accounts: Vec<String>,
        /// Mailboxes that match these patterns; none: all.
        #[serde(default)]
        mailboxes: Vec<String>,
        /// Whether to compare every mailbox message by message.
        #[serde(default)]
        full: bool,
        /// What runs did that is to be taken back before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<undo::What>,
    },
    /// Let what is held run, once.
    Approve {
        /// Its id.
        id: String,
    },
    /// Have what led to it undone.
    Reject {
        /// Its id.
        id: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it could be done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The watcher's process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// To `status`: how each account is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<Status>>,
    /// To `sync`: what was done, by account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<Told>>,
    /// To `approve` and `reject`: whose it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl Answer {
    /// It was done.
    pub fn done() -> Answer {
        Answer {
            ok: true,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Answer::default()
        }
    }

    /// It could not be.
    pub fn no(error: impl Into<String>) -> Answer {
        Answer {
            ok: false,
            error: Some(error.into()),
            ..Answer::done()
        }
    }
}

/// Why a watcher could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// None runs.
    #[error("no mailtide watch runs (nobody listens at {0})")]
    NotRunning(PathBuf),
    /// One seems to run, and does not answer.
    #[error("the watcher at {path} cannot be asked: {source}")]
    Io {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It answered something else.
    #[error("the watcher at {path} is of another version: {what}; restart it")]
    Strange {
        /// Its socket.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
}

/// Asks the watcher behind this socket.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, AskError> {
    let io = |source| AskError::Io {
        path: path.to_owned(),
        source,
    };
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning(path.to_owned())
        }
        _ => io(error),
    })?;
    let strange = |what: String| AskError::Strange {
        path: path.to_owned(),
        what,
    };
    let line = serde_json::to_string(request).map_err(|error| strange(error.to_string()))?;
    stream
        .write_all(format!("{line}\n").as_bytes())
        .map_err(io)?;
    let mut text = String::new();
    BufReader::new(stream).read_line(&mut text).map_err(io)?;
    if text.is_empty() {
        return Err(io(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_str(&text).map_err(|error| strange(error.to_string()))
}
