//! What is said over the control socket: one JSON object a line, a request and its answer. Also
//! the side that asks.

use super::board::Status;
use super::told::Told;
use super::undo;
use crate::config::Config;
use crate::model::printable;
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
    /// Which configuration is it?
    Hello {},
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
    /// The file of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
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
    /// Another user listens there.
    #[error(
        "another user ({user}) listens at {path}: nothing was asked. Set control_socket to a \
         directory that only you may write"
    )]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// The number of the user.
        user: u32,
    },
    /// It works with another configuration.
    #[error(
        "the watcher at {path} works with the configuration {theirs}, and this is {ours}: it was \
         not asked. Give one of them another control_socket and state_dir"
    )]
    Other {
        /// Its socket.
        path: PathBuf,
        /// Its configuration.
        theirs: String,
        /// Ours.
        ours: String,
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

/// Asks the watcher of this configuration.
pub fn ask(config: &Config, request: &Request) -> Result<Answer, AskError> {
    let path = &config.control_socket;
    let io = |source| AskError::Io {
        path: path.clone(),
        source,
    };
    let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning(path.clone())
        }
        _ => io(error),
    })?;
    let peer = rustix::net::sockopt::socket_peercred(&stream);
    let user = peer.map_err(|error| io(error.into()))?.uid;
    if user != rustix::process::geteuid() && !user.is_root() {
        let (path, user) = (path.clone(), user.as_raw());
        return Err(AskError::Stranger { path, user });
    }
    let mut line = Line {
        path,
        read: BufReader::new(stream.try_clone().map_err(io)?),
        write: stream,
    };
    let hello = line.say(&Request::Hello {})?;
    let ours = printable(&config.path.display().to_string());
    match hello.config {
        Some(theirs) if theirs == ours => line.say(request),
        Some(theirs) => Err(AskError::Other {
            path: path.clone(),
            theirs,
            ours,
        }),
        None => Err(line.strange("it does not name its configuration".into())),
    }
}

/// A connection to a watcher.
struct Line<'a> {
    path: &'a Path,
    read: BufReader<UnixStream>,
    write: UnixStream,
}

impl Line<'_> {
    fn say(&mut self, request: &Request) -> Result<Answer, AskError> {
        let path = self.path;
        let io = |source| AskError::Io {
            path: path.to_owned(),
            source,
        };
        let strange = |error: serde_json::Error| self.strange(error.to_string());
        let line = serde_json::to_string(request).map_err(strange)?;
        let sent = self.write.write_all(format!("{line}\n").as_bytes());
        sent.map_err(io)?;
        let mut text = String::new();
        self.read.read_line(&mut text).map_err(io)?;
        if text.is_empty() {
            return Err(io(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_str(&text).map_err(|error| self.strange(error.to_string()))
    }

    fn strange(&self, what: String) -> AskError {
        AskError::Strange {
            path: self.path.to_owned(),
            what,
        }
    }
}
