//! Whose Maildir this is. The root holds a file with the account's id; without it, or with another
//! id, the Maildir is taken for missing (a disk that is not mounted, a wrong path), never for
//! empty.

use super::disk::{Create, Disk};
use super::layout::Layout;
use crate::store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// What the state database knows of the Maildir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: the first run. The id is for a new marker.
    First(String),
    /// Mailboxes are in step with it, and it has this id.
    Known(String),
}

/// A root that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its id; on a first run that of an existing marker, if there is one.
    pub uuid: String,
    /// Whether the marker is yet to be written.
    pub new: bool,
    /// How many runs had changed something when it was written; `None`: it does not say.
    pub generation: Option<u64>,
}

/// Checks that the Maildir is the one that the state speaks of. Writes nothing.
pub fn open_root(
    disk: &dyn Disk,
    (root, layout): (&Path, Layout),
    claim: &Claim,
) -> Result<Opened, StoreError> {
    let path = path(root, layout);
    let found = match disk.read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let mut lines = text.lines().map(str::trim);
            let uuid = lines.next().unwrap_or_default().to_owned();
            Some((uuid, lines.next().and_then(|line| line.parse().ok())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(StoreError::Guard(format!(
                "{} cannot be read: {error}",
                path.display()
            )));
        }
    };
    match (claim, found) {
        (Claim::Known(uuid), Some((found, generation))) if *uuid == found => Ok(Opened {
            uuid: found,
            new: false,
            generation,
        }),
        (Claim::Known(uuid), Some((found, _))) => Err(StoreError::Guard(format!(
            "{} belongs to another account (its marker says {found}, this account is {uuid}); \
             nothing was changed. Check `maildir` and `state_dir`",
            root.display()
        ))),
        (Claim::Known(_), None) => Err(StoreError::Guard(format!(
            "the Maildir {} is missing or is not the one kept in step (no {}): is the disk \
             mounted? Nothing was changed. If it was removed on purpose, move the account's state \
             database away to start over",
            root.display(),
            path.display()
        ))),
        (Claim::First(_), Some((uuid, generation))) => Ok(Opened {
            uuid,
            new: false,
            generation,
        }),
        (Claim::First(uuid), None) => Ok(Opened {
            uuid: uuid.clone(),
            new: true,
            generation: None,
        }),
    }
}

/// Creates the root, if need be, and writes its marker.
pub fn claim_root(
    disk: &dyn Disk,
    (root, layout): (&Path, Layout),
    uuid: &str,
    generation: u64,
) -> Result<(), StoreError> {
    let write = || -> std::io::Result<()> {
        let own = root.join(layout.own());
        disk.make_dirs(&own)?;
        let tmp = own.join("account.tmp");
        let mut file = disk.create(&tmp, Create::Anew)?;
        file.write_all(format!("{uuid}\n{generation}\n").as_bytes())?;
        file.sync()?;
        disk.replace(&tmp, &path(root, layout))?;
        disk.sync(&own)?;
        disk.sync(root)
    };
    write().map_err(|error| {
        let what = format!("the Maildir {} cannot be prepared: {error}", root.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Retry(format!("{what}; free some space"))
            }
            _ => StoreError::NeedsUser(what),
        }
    })
}

fn path(root: &Path, layout: Layout) -> PathBuf {
    root.join(layout.own()).join("account")
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Kernel;
    use super::*;

    #[test]
    fn missing_and_foreign_maildirs_are_never_empty_ones() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("Mail");
        let layout = Layout::Nested;
        let known = Claim::Known("a".into());
        let refused = |claim: &Claim| {
            open_root(&Kernel, (&root, layout), claim)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&known).contains("is the disk mounted?"));
        let first = open_root(&Kernel, (&root, layout), &Claim::First("a".into())).unwrap();
        assert!(first.new && !root.exists(), "a look writes nothing");
        claim_root(&Kernel, (&root, layout), "a", 7).unwrap();
        let opened = open_root(&Kernel, (&root, layout), &known).unwrap();
        assert_eq!((opened.new, opened.generation), (false, Some(7)));
        // The state was lost: the marker's id is taken over.
        let again = open_root(&Kernel, (&root, layout), &Claim::First("b".into())).unwrap();
        assert_eq!(again.uuid, "a");
        let other = Claim::Known("b".into());
        assert!(refused(&other).contains("belongs to another account"));
    }
}
