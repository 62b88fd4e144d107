//! What lies in quarantine, looked for by name: to be put back.

use super::disk::Kind;
use super::file_name;
use super::keywords::Keywords;
use super::layout::join;
use super::store::MaildirStore;
use crate::model::{Flags, MailboxName};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A message in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where, below the quarantine.
    pub path: Vec<u8>,
    /// The flags in its name. Keywords are letters whose meaning is the mailbox's; they are left
    /// out of single messages, but not where the whole mailbox lies there.
    pub flags: Flags,
}

impl MaildirStore {
    /// A message by the name of its file, or by its path below the quarantine; `None`: it is not
    /// there, or no longer.
    pub fn find_kept(&self, name: &[u8]) -> io::Result<Option<Kept>> {
        if name.contains(&b'/') {
            let path = self.quarantine.path(name);
            let there = self.disk.about(&path);
            let file = there.is_ok_and(|about| about.kind == Kind::File);
            return Ok(file.then(|| self.kept(&path, &Keywords::default())));
        }
        let mut found = None;
        self.walk_kept(&self.quarantine.path(b""), &mut |path| {
            let own = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            if file_name::split(own).0 == name {
                found = Some(self.kept(path, &Keywords::default()));
            }
        })?;
        Ok(found)
    }

    /// The messages of a mailbox that was put into quarantine as a whole, the last time that it
    /// was.
    pub fn find_kept_mailbox(&self, mailbox: &MailboxName) -> io::Result<Vec<Kept>> {
        let mut days = Vec::new();
        let root = self.quarantine.path(b"");
        self.names(&root, &mut days)?;
        days.sort();
        for day in days.iter().rev() {
            let inside = day.join(self.layout.path(mailbox));
            let mut shelves = Vec::new();
            self.names(&inside, &mut shelves)?;
            let whole = |path: &PathBuf| {
                let name = path.file_name().map(OsStrExt::as_bytes);
                name.is_some_and(|name| name.starts_with(b"mailbox."))
            };
            shelves.retain(whole);
            shelves.sort();
            let Some(shelf) = shelves.last() else {
                continue;
            };
            let keywords = Keywords::load(&*self.disk, shelf)?;
            let mut all = Vec::new();
            for sub in ["cur", "new"] {
                let mut show = |path: &Path| all.push(self.kept(path, &keywords));
                self.walk_kept(&shelf.join(sub), &mut show)?;
            }
            return Ok(all);
        }
        Ok(Vec::new())
    }

    fn kept(&self, path: &Path, keywords: &Keywords) -> Kept {
        let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        Kept {
            path: self.quarantine.below(path),
            flags: file_name::flags(file_name::split(name).1, |letter| keywords.name(letter)),
        }
    }

    /// Directories in a directory that may not be there.
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
