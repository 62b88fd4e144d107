//! The server of the control socket.

use super::protocol::{Answer, LIMIT, Request, dial, is_over};
use crate::config::place_is_safe;
use crate::daemon::json::json;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The time in which a client has to send its request and to read the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the socket cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another watcher uses it.
    #[error("a mailtide watch runs already (control socket {0}); see mailtide status")]
    Taken(PathBuf),
    /// Another file has its path.
    #[error(
        "control_socket {path}: {what}; it was left as it is. Move it away, or set control_socket \
         to another place"
    )]
    Foreign {
        /// The path.
        path: PathBuf,
        /// The type of the file.
        what: String,
    },
    /// The system call failed.
    #[error("the control socket {path}: {source}; set control_socket to another place")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Handles requests.
#[allow(
    async_fn_in_trait,
    reason = "it is asked on the thread on which it lives"
)]
pub trait RequestHandler {
    /// Handles one request.
    async fn answer(&self, request: Request) -> Answer;
}

/// The bound socket; its file is removed on drop.
pub struct Control {
    path: PathBuf,
    /// Device and inode of the socket file.
    own: (u64, u64),
    listener: UnixListener,
}

impl Control {
    /// Binds the socket. Removes the file of a watcher that no longer runs.
    pub fn bind(path: &Path) -> Result<Control, ControlError> {
        let error = |source| ControlError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(parent) = path.parent() {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(parent).map_err(error)?;
        }
        clear(path)?;
        // The mode is set before bind, so other users never have access.
        let before = rustix::process::umask(0o177.into());
        let listener = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = listener.map_err(error)?;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, mode).map_err(error)?;
        let own = path.symlink_metadata().map_err(error)?;
        Ok(Control {
            path: path.to_owned(),
            own: (own.dev(), own.ino()),
            listener,
        })
    }

    /// Serves clients without end, each in a task of its own.
    pub async fn serve<A: RequestHandler + 'static>(&self, answers: Rc<A>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let answers = answers.clone();
                    tokio::task::spawn_local(async move {
                        if let Err(error) = talk(stream, &*answers).await {
                            tracing::debug!(%error, "the control connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket failed");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let there = self.path.symlink_metadata();
        if there.is_ok_and(|there| (there.dev(), there.ino()) == self.own) {
            // A socket file that stays is removed by the next watcher.
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket file of a watcher of this user that no longer runs. Another file is an error.
fn clear(path: &Path) -> Result<(), ControlError> {
    let error = |source| ControlError::Io {
        path: path.to_owned(),
        source,
    };
    let foreign = |what: String| ControlError::Foreign {
        path: path.to_owned(),
        what,
    };
    if let Some(above) = path.parent()
        && let Err(what) = place_is_safe(above)
    {
        return Err(foreign(what));
    }
    let there = match path.symlink_metadata() {
        Ok(there) => there,
        Err(none) if none.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(other) => return Err(error(other)),
    };
    if !there.file_type().is_socket() {
        return Err(foreign("the file is not a socket".to_owned()));
    }
    if there.uid() != rustix::process::geteuid().as_raw() {
        let owner = there.uid();
        return Err(foreign(format!("it is a socket of another user ({owner})")));
    }
    match dial(path) {
        Ok(_) => Err(ControlError::Taken(path.to_owned())),
        // The watcher is stopped (SIGSTOP), but it exists.
        Err(full) if is_over(&full) => Err(ControlError::Taken(path.to_owned())),
        Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(error)
        }
        Err(none) if none.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(other) => Err(error(other)),
    }
}

async fn talk<A: RequestHandler>(stream: UnixStream, answers: &A) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut read).take(LIMIT);
        let asked = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line));
        let size = asked.await??;
        if size == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let answer = match serde_json::from_slice(&line) {
            _ if peer != own && peer != 0 => Answer::no("this is another user's watcher"),
            _ if !whole => Answer::no("a request is one line of at most 64 KiB"),
            Ok(request) => answers.answer(request).await,
            Err(error) => Answer::no(format!("invalid request: {error}")),
        };
        let text = format!("{}\n", json(&answer)?);
        tokio::time::timeout(PATIENCE, write.write_all(text.as_bytes())).await??;
        if !whole {
            return Ok(());
        }
    }
}
