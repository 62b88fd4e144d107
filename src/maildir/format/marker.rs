//! The marker of a Maildir: a file in its root with the account and state database that it belongs
//! to. A Maildir without it, or with another's, counts as missing (unmounted disk, wrong path),
//! never as empty.

use crate::maildir::format::layout::Layout;
use crate::maildir::format::owner::{Foreign, Marker, MarkerPaths, Owner, foreign};
use crate::maildir::fs::{Create, Fs, Kind};
use crate::store::StoreError;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Directories that may contain a marker, one for each layout.
const OWN: [&str; 2] = [".mailtide", "mailtide"];

/// The id that the state database knows of the Maildir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// None: this is the first run. The id is for a new marker.
    First(String),
    /// This one; the state has mailboxes of it.
    Known(String),
    /// The Maildir is taken over and gets this id.
    Adopts(String),
}

impl Claim {
    /// Returns the id.
    pub fn uuid(&self) -> &str {
        match self {
            Claim::First(uuid) | Claim::Known(uuid) | Claim::Adopts(uuid) => uuid,
        }
    }
}

/// A root that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedRoot {
    /// Its id; on a first run that of an existing marker.
    pub uuid: String,
    /// Whether the marker has to be written.
    pub new: bool,
    /// The generation in the marker; `None`: it has none.
    pub generation: Option<u64>,
    /// Whether paths in the marker are outdated.
    pub outdated: bool,
    /// The owner in the marker, if it is on another machine.
    pub elsewhere: Option<Owner>,
}

impl OpenedRoot {
    /// Whether no run has changed anything yet, and the marker names another server or path.
    pub fn is_renamed(&self) -> bool {
        self.outdated && self.generation == Some(0)
    }

    /// A root without a marker.
    fn anew(uuid: &str, new: bool) -> OpenedRoot {
        OpenedRoot {
            uuid: uuid.to_owned(),
            new,
            generation: None,
            outdated: true,
            elsewhere: None,
        }
    }
}

/// The root of a Maildir, and the account that uses it.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// The disk.
    pub disk: &'a dyn Fs,
    /// Its path.
    pub path: &'a Path,
    /// Its layout.
    pub layout: Layout,
    /// The account.
    pub owner: &'a Owner,
}

impl Root<'_> {
    /// Checks that the Maildir belongs to the state and this account. Writes nothing.
    pub fn open(&self, claim: &Claim) -> Result<OpenedRoot, StoreError> {
        let path = self.marker_path();
        let Some(marker) = self.marker()? else {
            return self.unmarked(claim);
        };
        if let Claim::Adopts(uuid) = claim {
            return Ok(OpenedRoot::anew(uuid, false));
        }
        let resolved = self.disk.resolve(self.path);
        let places = self.places(&marker, &resolved);
        let knows = matches!(claim, Claim::Known(_));
        if let Some(why) = foreign(self.owner, claim.uuid(), knows, (&marker, places)) {
            return Err(self.refusal(&path, &marker, why));
        }
        let owner = marker.owner.as_ref();
        Ok(OpenedRoot {
            outdated: owner != Some(self.owner) || marker.root.as_ref() != Some(&resolved),
            elsewhere: owner
                .filter(|owner| owner.machine != self.owner.machine)
                .cloned(),
            uuid: marker.uuid,
            new: false,
            generation: marker.generation,
        })
    }

    /// Returns the marker, of any owner.
    pub fn marker(&self) -> Result<Option<Marker>, StoreError> {
        let path = self.marker_path();
        read(self.disk, &path).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => format!(
                    ": the Maildir {} belongs to another user of this machine. Nothing was \
                     changed. Run mailtide as that user, or make yourself the owner of the files \
                     (chown) and then run: mailtide adopt {}",
                    self.path.display(),
                    self.owner.account
                ),
                _ => String::new(),
            };
            let path = path.display();
            StoreError::Guard(format!("{path} cannot be read: {error}{hint}"))
        })
    }

    fn unmarked(&self, claim: &Claim) -> Result<OpenedRoot, StoreError> {
        let other = self.other_marker_path();
        match (read(self.disk, &other), claim) {
            (_, Claim::Adopts(uuid)) => Ok(OpenedRoot::anew(uuid, true)),
            (Ok(Some(marker)), _) => Err(self.refusal(&other, &marker, Foreign::Layout)),
            (_, Claim::Known(_)) => Err(StoreError::Guard(format!(
                "the Maildir {} is missing or is not the one kept in step (no {}): is the disk \
                 mounted? Nothing was changed. If it was removed on purpose, begin anew with: \
                 mailtide adopt {}",
                self.path.display(),
                self.marker_path().display(),
                self.owner.account
            ))),
            (_, Claim::First(uuid)) => Ok(OpenedRoot::anew(uuid, true)),
        }
    }

    /// Compares the paths in the marker with the disk.
    fn places(&self, marker: &Marker, resolved: &Path) -> MarkerPaths {
        let file = |path: &Path| {
            let about = self.disk.about(path).ok()?;
            Some((about.device, about.inode))
        };
        let recorded = marker.owner.as_ref().map(|owner| owner.state.as_path());
        let moved = recorded.filter(|state| *state != self.owner.state);
        let other_state = moved.and_then(file);
        // The old path may be a link now.
        let apart = |root: &&Path| *root != resolved && self.disk.resolve(root) != resolved;
        let root = marker.root.as_deref().filter(apart);
        let copied = root.filter(|root| file(root).is_some() && file(root) != file(resolved));
        let original = copied.map(|root| read(self.disk, &marker_path(root, self.layout)));
        MarkerPaths {
            other_state: other_state.is_some() && other_state != file(&self.owner.state),
            other_root: match original {
                Some(Ok(Some(original))) => original.uuid == marker.uuid,
                // The original exists and hides its marker.
                Some(Err(_)) => true,
                Some(Ok(None)) | None => false,
            },
        }
    }

    fn refusal(&self, path: &Path, marker: &Marker, why: Foreign) -> StoreError {
        let (root, mine) = (self.path.display(), &self.owner.account);
        let whose = match &marker.owner {
            Some(owner) => owner.to_string(),
            None => format!("the id {} in {}", marker.uuid, path.display()),
        };
        let what = match why {
            Foreign::Account => format!(
                "the Maildir {root} belongs to another account: {whose}; this is {}",
                self.owner
            ),
            Foreign::Layout => format!(
                "the Maildir {root} belongs to {whose}, which keeps it in another `layout`; this \
                 is {}",
                self.owner
            ),
            Foreign::Unnamed => format!(
                "the Maildir {root} belongs to another account or state database: {whose}, which \
                 the state database {} does not know",
                self.owner.state.display()
            ),
            Foreign::State => format!(
                "the Maildir {root} is kept in step by another state database: {whose}; this is {}",
                self.owner
            ),
            Foreign::CopiedState => format!(
                "the Maildir {root} is kept in step by {whose}, which is still there; the state \
                 database {} is a copy of it",
                self.owner.state.display()
            ),
            Foreign::CopiedMaildir => format!(
                "{root} is a copy of the Maildir {}, which is still there and belongs to {whose}",
                marker.root.as_deref().unwrap_or(Path::new("")).display()
            ),
        };
        StoreError::Guard(format!(
            "{what}. Nothing was changed. Check `maildir` and `state_dir`; to take the Maildir \
             over on purpose: mailtide adopt {mine} (it first shows what would go up and down)"
        ))
    }

    /// Refuses a Maildir inside another one, by any path to it.
    pub fn refuse_outer(&self) -> Result<(), StoreError> {
        for (n, path) in self.disk.names(self.path).iter().enumerate() {
            for directory in path.ancestors().skip(1) {
                for path in OWN.map(|own| directory.join(own).join("account")) {
                    match read(self.disk, &path) {
                        Ok(Some(marker)) if marker.is_ours() => {
                            return Err(self.nested("lies in", (directory, &path), &marker));
                        }
                        // The Maildir of another account on the configured path.
                        Err(error) if n == 0 && error.kind() == io::ErrorKind::PermissionDenied => {
                            return Err(StoreError::Guard(format!(
                                "the Maildir {} may lie in another: {} cannot be read: {error}. \
                                 Nothing was changed",
                                self.path.display(),
                                path.display()
                            )));
                        }
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses a Maildir that contains another one, at any depth.
    pub fn refuse_inner(&self) -> Result<(), StoreError> {
        let unseen = |error: io::Error, path: &Path| {
            StoreError::Guard(format!("{} cannot be read: {error}", path.display()))
        };
        let mut left = match self.disk.is_dir(self.path) {
            true => vec![self.path.to_owned()],
            false => Vec::new(),
        };
        while let Some(directory) = left.pop() {
            let mut names: Vec<OsString> = Vec::new();
            let listed = self.disk.list(&directory, &mut |name, kind| {
                if kind == Kind::Directory && !["cur", "new", "tmp"].iter().any(|s| name == *s) {
                    names.push(name.to_owned());
                }
            });
            match listed {
                // Another Maildir there could not be synced from here.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                other => other.map_err(|error| unseen(error, &directory))?,
            }
            let root = directory == self.path;
            for name in names {
                let own = OWN.iter().any(|own| name == *own);
                if own && !root {
                    self.refuse_marker(&directory, &name)?;
                }
                if !(own && root) {
                    left.push(directory.join(name));
                }
            }
        }
        Ok(())
    }

    /// Refuses if the subdirectory of this name contains the marker of another Maildir.
    pub fn refuse_marker(&self, directory: &Path, own: &std::ffi::OsStr) -> Result<(), StoreError> {
        if !OWN.iter().any(|name| own == *name) {
            return Ok(());
        }
        let path = directory.join(own).join("account");
        match read(self.disk, &path) {
            Ok(Some(marker)) if marker.is_ours() => {
                Err(self.nested("holds", (directory, &path), &marker))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Guard(format!(
                "{} cannot be read: {error}",
                path.display()
            ))),
        }
    }

    fn nested(&self, how: &str, (root, path): (&Path, &Path), marker: &Marker) -> StoreError {
        let whose = match &marker.owner {
            Some(owner) => owner.to_string(),
            None => format!("the id {}", marker.uuid),
        };
        StoreError::Guard(format!(
            "the Maildir {} {how} another one, {}, which belongs to {whose}. Nothing was changed. \
             Give each account a `maildir` outside of the others. If that account is no longer \
             kept, remove {} and then run: mailtide adopt {}",
            self.path.display(),
            root.display(),
            path.display(),
            self.owner.account
        ))
    }

    /// Creates the directory of marker and lock.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let own = self.path.join(self.layout.own());
        if self.disk.is_dir(&own) {
            return Ok(());
        }
        self.disk
            .make_dirs(&own)
            .map_err(|error| self.unprepared(&error))
    }

    /// Writes the marker.
    pub fn write(&self, uuid: &str, generation: u64) -> Result<(), StoreError> {
        let marker = Marker {
            uuid: uuid.to_owned(),
            generation: Some(generation),
            owner: Some(self.owner.clone()),
            root: Some(self.disk.resolve(self.path)),
        };
        let write = || -> io::Result<()> {
            let own = self.path.join(self.layout.own());
            self.disk.make_dirs(&own)?;
            let tmp = own.join("account.tmp");
            let mut file = self.disk.create(&tmp, Create::Anew)?;
            file.write_all(&marker.bytes())?;
            file.sync()?;
            self.disk.replace(&tmp, &self.marker_path())?;
            self.disk.sync(&own)?;
            self.disk.sync(self.path)
        };
        write().map_err(|error| self.unprepared(&error))
    }

    /// Removes the marker of the other layout, after this account took the Maildir over.
    pub fn remove_other_marker(&self) -> Result<(), StoreError> {
        match self.disk.remove(&self.other_marker_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unprepared(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn unprepared(&self, error: &io::Error) -> StoreError {
        let what = format!(
            "the Maildir {} cannot be prepared: {error}",
            self.path.display()
        );
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Retry(format!("{what}; free some space"))
            }
            _ => StoreError::NeedsUser(what),
        }
    }

    fn marker_path(&self) -> PathBuf {
        marker_path(self.path, self.layout)
    }

    fn other_marker_path(&self) -> PathBuf {
        let other = match self.layout {
            Layout::Nested => Layout::MaildirPlusPlus,
            Layout::MaildirPlusPlus => Layout::Nested,
        };
        marker_path(self.path, other)
    }
}

/// Reads the marker at this path; `None`: there is none.
fn read(disk: &dyn Fs, path: &Path) -> io::Result<Option<Marker>> {
    match disk.read(path) {
        Ok(bytes) => Ok(Some(Marker::read(&bytes))),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

fn marker_path(root: &Path, layout: Layout) -> PathBuf {
    root.join(layout.own()).join("account")
}

/// Returns the path of the lock, which every reader and writer of the Maildir holds.
pub fn lock_path(root: &Path, layout: Layout) -> PathBuf {
    root.join(layout.own()).join("lock")
}

#[cfg(test)]
#[path = "marker_tests.rs"]
mod tests;
