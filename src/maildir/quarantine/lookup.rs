//! Finds messages in quarantine.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::Keywords;
use crate::maildir::format::layout::join;
use crate::maildir::fs::Kind;
use crate::maildir::store::MaildirStore;
use crate::model::{Flags, MailboxName};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A message in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedMessage {
    /// Its path there.
    pub path: Vec<u8>,
    /// The flags of its name. Keyword letters are mapped by the table of the mailbox only if the
    /// whole mailbox is in quarantine.
    pub flags: Flags,
}

impl MaildirStore {
    /// Returns a message by its path in quarantine; `None`: it does not exist.
    pub fn find_kept(&self, path: &[u8]) -> io::Result<Option<QuarantinedMessage>> {
        let path = self.quarantine.path(path);
        match self.disk.about(&path) {
            Ok(about) if about.kind == Kind::File => {
                Ok(Some(self.kept(&path, &Keywords::default())))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns at most this many bytes of a message in quarantine; `None`: it does not exist.
    pub fn kept_beginning(&self, path: &[u8], most: usize) -> io::Result<Option<Vec<u8>>> {
        match crate::maildir::display::beginning(&self.quarantine.path(path), most) {
            Ok(read) => Ok(Some(read.bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns all single messages by file name, for history rows of older versions.
    pub fn all_kept(&self) -> io::Result<BTreeMap<Vec<u8>, QuarantinedMessage>> {
        let mut all = BTreeMap::new();
        self.walk_kept(&self.quarantine.path(b""), &mut |path| {
            let own = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            let name = file_name::split(own).0.to_vec();
            all.insert(name, self.kept(path, &Keywords::default()));
        })?;
        Ok(all)
    }

    /// Returns the messages of a mailbox that was put into quarantine at this path.
    pub fn shelf(&self, path: &[u8]) -> io::Result<Vec<QuarantinedMessage>> {
        let shelf = self.quarantine.path(path);
        let keywords = Keywords::load(&*self.disk, &shelf)?;
        let mut all = Vec::new();
        for sub in ["cur", "new"] {
            let mut show = |path: &Path| all.push(self.kept(path, &keywords));
            self.walk_kept(&shelf.join(sub), &mut show)?;
        }
        Ok(all)
    }

    /// Returns the path of the first quarantined copy of a mailbox since this time, for history
    /// rows without one. `None`: there is none.
    pub fn shelf_since(&self, mailbox: &MailboxName, at: i64) -> io::Result<Option<Vec<u8>>> {
        let mut found: Option<(i64, PathBuf)> = None;
        let mut days = Vec::new();
        self.names(&self.quarantine.path(b""), &mut days)?;
        for day in days {
            let mut shelves = Vec::new();
            self.names(&day.join(self.layout.path(mailbox)), &mut shelves)?;
            for shelf in shelves {
                let Some(made) = made_at(&shelf).filter(|made| *made >= at) else {
                    continue;
                };
                if found.as_ref().is_none_or(|(best, _)| made < *best) {
                    found = Some((made, shelf));
                }
            }
        }
        Ok(found.map(|(_, shelf)| self.quarantine.below(&shelf)))
    }

    fn kept(&self, path: &Path, keywords: &Keywords) -> QuarantinedMessage {
        let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        QuarantinedMessage {
            path: self.quarantine.below(path),
            flags: file_name::flags(file_name::split(name).1, |letter| keywords.name(letter)),
        }
    }

    /// Lists the directories in a directory that may not exist.
    fn names(&self, directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
        let listed = self.disk.list(directory, &mut |name, kind| {
            if kind == Kind::Directory {
                found.push(directory.join(name));
            }
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn walk_kept(&self, directory: &Path, show: &mut dyn FnMut(&Path)) -> io::Result<()> {
        let mut below = Vec::new();
        self.names(directory, &mut below)?;
        let listed = self.disk.list(directory, &mut |name, kind| {
            if kind == Kind::File {
                show(&join(directory, name.as_bytes()));
            }
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        below.iter().try_for_each(|path| self.walk_kept(path, show))
    }
}

/// Returns the time of a quarantined mailbox, seconds since 1970; `None`: it is none.
fn made_at(shelf: &Path) -> Option<i64> {
    let name = shelf.file_name()?.to_str()?.strip_prefix("mailbox.")?;
    name.split('.').next()?.parse().ok()
}
