//! Files and directories with access for the user only, created with these rights and never through
//! a link.

use crate::state::StateError;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Creates an empty file, unless it exists.
pub fn file(path: &Path) -> Result<(), StateError> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// A copy of a database with its journal in a directory beside it; removed on drop.
pub struct Copy(PathBuf);

impl Copy {
    /// Makes the copy.
    pub fn of(database: &Path, journal: &Path) -> Result<Copy, StateError> {
        let copy = Copy::beside(database)?;
        let to = copy.database();
        std::fs::copy(database, &to).map_err(failed(database))?;
        std::fs::copy(journal, to.with_extension("db-wal")).map_err(failed(journal))?;
        Ok(copy)
    }

    /// Returns the path of the copied database.
    pub fn database(&self) -> PathBuf {
        self.0.join("state.db")
    }

    fn beside(database: &Path) -> Result<Copy, StateError> {
        for n in 0_u32.. {
            let path = database.with_extension(format!("copy-{}-{n}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Copy(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Err(failed(database)(io::ErrorKind::AlreadyExists.into()))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // A copy that stays is as private as the database.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StateError {
    move |source| StateError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_copy_is_private_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a.db"), "database").unwrap();
        std::fs::write(at("a.db-wal"), "journal").unwrap();
        std::fs::write(at("notes"), "years of notes").unwrap();
        let first = format!("a.copy-{}-0", std::process::id());
        symlink(dir.path(), at(&first)).unwrap();
        let copy = Copy::of(&at("a.db"), &at("a.db-wal")).unwrap();
        assert_eq!(std::fs::read(copy.database()).unwrap(), b"database");
        let directory = copy.database().parent().unwrap().to_owned();
        assert_eq!(directory.metadata().unwrap().mode() & 0o777, 0o700);
        drop(copy);
        assert!(!directory.exists() && at("a.db").exists());
        symlink(at("notes"), at("b.db")).unwrap();
        file(&at("b.db")).unwrap();
        assert_eq!(std::fs::read(at("notes")).unwrap(), b"years of notes");
        file(&at("c.db")).unwrap();
        assert_eq!(at("c.db").metadata().unwrap().mode() & 0o777, 0o600);
    }
}
