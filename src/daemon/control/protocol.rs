//! The protocol of the control socket, and its client: a request and an answer, one JSON object a
//! line each.

use crate::config::Config;
use crate::daemon::arrange::ArrangeStep;
use crate::daemon::run_summary::RunSummary;
use crate::daemon::status_board::AccountStatus;
use crate::daemon::undo;
use crate::model::printable;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest request, bytes.
pub const LIMIT: u64 = 64 << 10;

/// Longest answer, bytes.
const LONGEST: u64 = 64 << 20;

/// The time in which a live watcher answers `hello`.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request to the watcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Which configuration does the watcher use?
    Hello {},
    /// The status of accounts.
    Status {
        /// The accounts; empty: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Sync all mailboxes now, with the secrets read again.
    Poke {
        /// The accounts; empty: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Start no cycle until `resume`.
    Pause {
        /// The accounts; empty: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// End a pause.
    Resume {
        /// The accounts; empty: all.
        #[serde(default)]
        accounts: Vec<String>,
    },
    /// Sync now and return the summaries.
    Sync {
        /// The accounts; empty: all.
        #[serde(default)]
        accounts: Vec<String>,
        /// Only mailboxes that match one of these patterns; empty: all.
        #[serde(default)]
        mailboxes: Vec<String>,
        /// Whether every mailbox is compared message by message.
        #[serde(default)]
        full: bool,
        /// The changes to undo before the sync.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<undo::UndoSelection>,
        /// The steps to carry out before the sync.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arrange: Vec<ArrangeStep>,
    },
    /// Execute a held change once.
    Approve {
        /// Its id.
        id: String,
    },
    /// Discard a held change and restore the missing messages.
    Reject {
        /// Its id.
        id: String,
    },
}

/// The answer of the watcher.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Whether the request was carried out.
    pub ok: bool,
    /// The error, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The process id of the watcher.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The path of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Of `status`: the accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountStatus>>,
    /// Of `sync`: the summaries by account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<RunSummary>>,
    /// Of `approve` and `reject`: the account of the held change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl Answer {
    /// A successful answer.
    pub fn done() -> Answer {
        Answer {
            ok: true,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Answer::default()
        }
    }

    /// An error answer.
    pub fn no(error: impl Into<String>) -> Answer {
        Answer {
            ok: false,
            error: Some(error.into()),
            ..Answer::done()
        }
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No watcher runs.
    #[error("no mailtide watch runs (nobody listens at {0})")]
    NotRunning(PathBuf),
    /// A watcher seems to run, but the connection failed.
    #[error("the watcher at {path} cannot be asked: {source}")]
    Io {
        /// The path of the socket.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The socket belongs to another user.
    #[error(
        "another user ({user}) listens at {path}: nothing was asked. Set control_socket to a \
         directory that only you may write"
    )]
    Stranger {
        /// The path of the socket.
        path: PathBuf,
        /// The user's number.
        user: u32,
    },
    /// The watcher accepts the connection but does not answer.
    #[error(
        "the watcher at {path} has not answered for {} s: it is stopped, or its machine is too \
         busy. See what the process does, and continue or restart it", PATIENCE.as_secs()
    )]
    Silent {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The watcher uses another configuration.
    #[error(
        "the watcher at {path} works with the configuration {theirs}, and this is {ours}: it was \
         not asked. Give one of them another control_socket and state_dir"
    )]
    Other {
        /// The path of the socket.
        path: PathBuf,
        /// The path of the watcher's configuration.
        theirs: String,
        /// The path of this configuration.
        ours: String,
    },
    /// The answer is invalid.
    #[error("the watcher at {path} is of another version: {what}; restart it")]
    Strange {
        /// The path of the socket.
        path: PathBuf,
        /// The error.
        what: String,
    },
}

/// Sends a request to the watcher of this configuration. Waits until the watcher is done, but not
/// for one that stops answering `hello`.
pub fn ask(config: &Config, request: &Request) -> Result<Answer, AskError> {
    let path = &config.control_socket;
    let mut line = Line::to(path)?;
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

/// Connects to a socket without waiting for a free slot in its backlog.
pub(super) fn dial(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// Whether the error is a timeout.
pub(super) fn is_over(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// A connection to the watcher.
struct Line<'a> {
    path: &'a Path,
    read: BufReader<UnixStream>,
    write: UnixStream,
}

impl<'a> Line<'a> {
    fn to(path: &'a Path) -> Result<Line<'a>, AskError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AskError::NotRunning(path.to_owned())
            }
            _ => failed(path, error),
        };
        let write = dial(path).map_err(failed)?;
        let peer = rustix::net::sockopt::socket_peercred(&write);
        let user = peer.map_err(|error| failed(error.into()))?.uid;
        if user != rustix::process::geteuid() && !user.is_root() {
            let (path, user) = (path.to_owned(), user.as_raw());
            return Err(AskError::Stranger { path, user });
        }
        Ok(Line {
            path,
            read: BufReader::new(write.try_clone().map_err(failed)?),
            write,
        })
    }

    /// Sends a request and waits for the answer while the watcher answers others.
    fn say(&mut self, request: &Request) -> Result<Answer, AskError> {
        self.send(request)?;
        let (path, mut text) = (self.path, Vec::new());
        loop {
            match self.hear(&mut text) {
                Ok(()) => break,
                Err(error) if is_over(&error) && *request != (Request::Hello {}) => {
                    Line::to(path)?.say(&Request::Hello {})?;
                }
                Err(error) => return Err(failed(path, error)),
            }
        }
        serde_json::from_slice(&text).map_err(|error| self.strange(error.to_string()))
    }

    fn send(&mut self, request: &Request) -> Result<(), AskError> {
        let strange = |error: serde_json::Error| self.strange(error.to_string());
        let line = serde_json::to_string(request).map_err(strange)?;
        let sent = self.write.write_all(format!("{line}\n").as_bytes());
        sent.map_err(|error| failed(self.path, error))
    }

    /// Reads the remainder of a line while bytes arrive.
    fn hear(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let began = Instant::now();
        loop {
            let some = self.read.fill_buf()?;
            let end = some.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(some.len(), |end| end + 1);
            text.extend(some.iter().take(count));
            self.read.consume(count);
            if end.is_some() {
                return Ok(());
            }
            if count == 0 || text.len() as u64 > LONGEST {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if began.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn strange(&self, what: String) -> AskError {
        AskError::Strange {
            path: self.path.to_owned(),
            what,
        }
    }
}

fn failed(path: &Path, source: io::Error) -> AskError {
    let path = path.to_owned();
    match is_over(&source) {
        true => AskError::Silent { path },
        false => AskError::Io { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_whose_owner_says_nothing_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let _silent = UnixListener::bind(&path).unwrap();
        let began = Instant::now();
        let mut line = Line::to(&path).unwrap();
        let silent = line.say(&Request::Hello {}).unwrap_err();
        assert!(matches!(silent, AskError::Silent { .. }), "{silent}");
        assert!(began.elapsed() < PATIENCE * 3);
        // The same holds for a watcher whose backlog is full.
        let all: Vec<_> = (0..5000).map_while(|_| dial_now(&path)).collect();
        assert!(!all.is_empty());
        assert!(matches!(
            Line::to(&path).err(),
            Some(AskError::Silent { .. })
        ));
    }

    /// Connects without waiting.
    fn dial_now(path: &Path) -> Option<Socket> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&SockAddr::unix(path).unwrap()).ok()?;
        Some(socket)
    }

    #[test]
    fn a_watcher_that_is_at_work_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let answer = |stream: UnixStream| {
            let mut write = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines() {
                let line = line.unwrap();
                let text = serde_json::to_string(&Answer::done()).unwrap();
                let (first, rest) = text.split_at(9);
                if line.contains("poke") {
                    std::thread::sleep(PATIENCE + Duration::from_secs(1));
                }
                write.write_all(first.as_bytes()).unwrap();
                write.write_all(format!("{rest}\n").as_bytes()).unwrap();
            }
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || answer(stream.unwrap()));
            }
        });
        let poke = Request::Poke {
            accounts: Vec::new(),
        };
        assert!(Line::to(&path).unwrap().say(&poke).unwrap().ok);
    }
}
