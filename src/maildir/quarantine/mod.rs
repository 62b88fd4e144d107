//! The quarantine: a directory for each day below the root's own, on the same file system, so that
//! a removal is one rename. It expires by days.

pub mod lookup;

use crate::maildir::format::layout::{Layout, join};
use crate::maildir::fs::{Fs, Kind, unique};
use crate::model::MailboxName;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// The name of a quarantined mailbox, followed by a unique part.
const SHELF: &str = "mailbox.";

/// The quarantine of a Maildir.
#[derive(Clone, Debug)]
pub struct Quarantine {
    disk: Rc<dyn Fs>,
    root: PathBuf,
    layout: Layout,
}

impl Quarantine {
    /// Makes the quarantine of the Maildir at this root.
    pub fn new(disk: Rc<dyn Fs>, root: &Path, layout: Layout) -> Quarantine {
        Quarantine {
            disk,
            root: root.join(layout.own()).join("quarantine"),
            layout,
        }
    }

    /// Returns today's directory of a mailbox, and creates it.
    pub fn directory(&self, mailbox: &MailboxName) -> io::Result<PathBuf> {
        let directory = self.root.join(self.day()).join(self.of(mailbox));
        self.disk.make_dirs(&directory)?;
        Ok(directory)
    }

    /// Returns the path of a mailbox's messages below the directory of a day.
    fn of(&self, mailbox: &MailboxName) -> PathBuf {
        match self.layout {
            Layout::MaildirPlusPlus if mailbox.is_inbox() => PathBuf::from("INBOX"),
            layout => layout.path(mailbox),
        }
    }

    /// Returns a path for a whole mailbox in a directory of [`Quarantine::directory`].
    pub fn shelf(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{SHELF}{}", unique(&*self.disk, "m")))
    }

    /// Returns quarantined copies of a mailbox with only one of `cur` and `new`: a cut run was
    /// moving it.
    pub fn half_shelves(&self, mailbox: &MailboxName) -> io::Result<Vec<PathBuf>> {
        let mut half = Vec::new();
        for day in self.below_or_none(&self.root)? {
            for shelf in self.below_or_none(&day.join(self.of(mailbox)))? {
                let name = shelf.file_name().unwrap_or_default();
                let has = |sub| self.disk.is_dir(&shelf.join(sub));
                if name.as_bytes().starts_with(SHELF.as_bytes()) && has("cur") != has("new") {
                    half.push(shelf);
                }
            }
        }
        Ok(half)
    }

    /// Returns the directories in a directory; none if it does not exist.
    fn below_or_none(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let listed = self.disk.list(directory, &mut |name, kind| {
            if kind == Kind::Directory {
                found.push(directory.join(name));
            }
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map(|()| found),
        }
    }

    /// Moves a file or directory into a directory of [`Quarantine::directory`], under its name or a
    /// similar free one.
    pub fn take_into(&self, directory: &Path, from: &Path) -> io::Result<PathBuf> {
        let name = from
            .file_name()
            .map(|name| name.as_bytes().to_vec())
            .unwrap_or_default();
        for n in 0_u32.. {
            let mut free = name.clone();
            if n > 0 {
                free.splice(0..0, format!("{n}.").into_bytes());
            }
            let to = join(directory, &free);
            match self.disk.rename_new(from, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(to),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Resolves a path that [`Quarantine::below`] returned. A path that leads out of the quarantine
    /// becomes invalid.
    pub fn path(&self, below: &[u8]) -> PathBuf {
        let path = Path::new(OsStr::from_bytes(below));
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        match inside {
            true => self.root.join(path),
            false => self.root.join("nowhere"),
        }
    }

    /// Returns a path relative to the quarantine, as bytes.
    pub fn below(&self, path: &Path) -> Vec<u8> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.as_os_str().as_bytes().to_vec()
    }

    /// Returns the names of the directories of all days.
    pub fn days(&self) -> io::Result<Vec<String>> {
        let mut days = Vec::new();
        let listed = self.disk.list(&self.root, &mut |name, kind| {
            let name = name.to_string_lossy().into_owned();
            let day = name.parse::<jiff::civil::Date>();
            if kind == Kind::Directory && day.is_ok() {
                days.push(name);
            }
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        days.sort();
        Ok(days)
    }

    /// Returns the name of today's directory.
    pub fn day(&self) -> String {
        self.today().strftime("%Y-%m-%d").to_string()
    }

    /// Removes the directories of these days.
    pub fn purge(&self, days: &[String]) -> io::Result<()> {
        days.iter()
            .try_for_each(|day| match day.parse::<jiff::civil::Date>() {
                Ok(_) => self.disk.remove_all(&self.root.join(day)),
                Err(_) => Ok(()),
            })
    }

    fn today(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.disk.now().into()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::fs::real::RealFs;

    #[test]
    fn nothing_is_overwritten_and_days_go_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(Rc::new(RealFs), dir.path(), Layout::Nested);
        let inbox = MailboxName::inbox();
        for n in 0..3 {
            let file = dir.path().join("m:2,S");
            std::fs::write(&file, n.to_string()).unwrap();
            let shelf = quarantine.directory(&inbox).unwrap();
            quarantine.take_into(&shelf, &file).unwrap();
        }
        let kept = quarantine.directory(&inbox).unwrap();
        assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 3);
        let old = quarantine.root.join("2001-01-01");
        std::fs::create_dir(&old).unwrap();
        std::fs::create_dir(quarantine.root.join("mine")).unwrap();
        let days = quarantine.days().unwrap();
        assert_eq!(
            days,
            ["2001-01-01".to_owned(), quarantine.day()],
            "no other directory"
        );
        let mine = ["2001-01-01", "mine", ".."].map(str::to_owned);
        quarantine.purge(&mine).unwrap();
        assert!(kept.exists() && !old.exists() && quarantine.root.join("mine").exists());
    }
}
