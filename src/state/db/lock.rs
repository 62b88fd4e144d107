//! Locks: a file beside the database, held while it is open, and one in the Maildir, held while
//! that is used.

use crate::state::StateError;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A lock; released on drop and by the end of the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and writes its holder into the file.
    pub fn take(path: &Path) -> Result<Lock, StateError> {
        let error = |source| StateError::File {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(no_follow())
            .mode(0o600);
        let mut file = options.open(path).map_err(error)?;
        is_only_a_lock(&file).map_err(error)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held(&mut file, path)),
            Err(other) => return Err(error(other.into())),
        }
        file.set_len(0).map_err(error)?;
        writeln!(file, "process {}", std::process::id()).map_err(error)?;
        Ok(Lock { _file: file })
    }

    /// Takes a shared lock if the file exists, and writes nothing (dry run). Network file systems
    /// allow no exclusive lock on a file opened for reading.
    pub fn take_quietly(path: &Path) -> Result<Option<Lock>, StateError> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(no_follow())
            .open(path);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(StateError::File {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(Errno::WOULDBLOCK) => Err(held(&mut file, path)),
            Err(other) => Err(StateError::File {
                path: path.to_owned(),
                source: other.into(),
            }),
        }
    }
}

/// O_NOFOLLOW and O_NONBLOCK: a link or FIFO in its place must not be followed or waited for.
fn no_follow() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0)
}

/// Refuses a file with another hard link, which would be overwritten.
fn is_only_a_lock(file: &File) -> std::io::Result<()> {
    let about = file.metadata()?;
    match about.is_file() && about.nlink() <= 1 {
        true => Ok(()),
        false => Err(std::io::Error::other(
            "it is no file of mailtide's own; move it away",
        )),
    }
}

fn held(file: &mut File, path: &Path) -> StateError {
    let mut holder = String::new();
    let read = file.take(200).read_to_string(&mut holder);
    let known = read.is_ok() && !holder.trim().is_empty();
    let holder = if known {
        holder.trim().to_owned()
    } else {
        "an unknown process".to_owned()
    };
    StateError::Locked {
        holder,
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_in_place_of_the_lock_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (notes, lock) = (dir.path().join("notes"), dir.path().join("lock"));
        std::fs::write(&notes, "years of notes").unwrap();
        let refused = || {
            assert!(Lock::take(&lock).is_err());
            assert_eq!(std::fs::read(&notes).unwrap(), b"years of notes");
            std::fs::remove_file(&lock).unwrap();
        };
        symlink(&notes, &lock).unwrap();
        assert!(Lock::take_quietly(&lock).is_err());
        refused();
        std::fs::hard_link(&notes, &lock).unwrap();
        refused();
        drop(Lock::take(&lock).unwrap());
        assert!(Lock::take_quietly(&lock).unwrap().is_some());
    }
}
