//! Where deleted bytes go: a directory a day below the root's own, on the same file system, so
//! that putting something there is one rename. Emptied by the day.

use super::disk::{Disk, Kind, unique};
use super::layout::{Layout, join};
use crate::model::MailboxName;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// What the directory of a mailbox that was put here as a whole is called, and a unique name.
const SHELF: &str = "mailbox.";

/// The quarantine of a Maildir.
#[derive(Clone, Debug)]
pub struct Quarantine {
    disk: Rc<dyn Disk>,
    root: PathBuf,
    layout: Layout,
}

impl Quarantine {
    /// Of the Maildir at this root.
    pub fn new(disk: Rc<dyn Disk>, root: &Path, layout: Layout) -> Quarantine {
        Quarantine {
            disk,
            root: root.join(layout.own()).join("quarantine"),
            layout,
        }
    }

    /// Today's directory for a mailbox, created if need be.
    pub fn directory(&self, mailbox: &MailboxName) -> io::Result<PathBuf> {
        let directory = self.root.join(self.day()).join(self.of(mailbox));
        self.disk.make_dirs(&directory)?;
        Ok(directory)
    }

    /// Where the messages of a mailbox lie below the directory of a day.
    fn of(&self, mailbox: &MailboxName) -> PathBuf {
        match self.layout {
            Layout::MaildirPlusPlus if mailbox.is_inbox() => PathBuf::from("INBOX"),
            layout => layout.path(mailbox),
        }
    }

    /// Where a new shelf for a mailbox as a whole is to be, in a directory that
    /// [`Quarantine::directory`] gave.
    pub fn shelf(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{SHELF}{}", unique(&*self.disk, "m")))
    }

    /// Shelves of a mailbox on which only one of `cur` and `new` lies: a run was cut while it moved
    /// the mailbox there.
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

    /// The directories in a directory; none where there is none.
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

    /// Moves a file (or a directory) into a directory that [`Quarantine::directory`] gave, under
    /// its own name, or one like it that is free.
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

    /// What lies at a path below the quarantine, as [`Quarantine::below`] gave it. A path that
    /// leads out of it leads nowhere.
    pub fn path(&self, below: &[u8]) -> PathBuf {
        let path = Path::new(OsStr::from_bytes(below));
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        match inside {
            true => self.root.join(path),
            false => self.root.join("nowhere"),
        }
    }

    /// A path below the quarantine as bytes.
    pub fn below(&self, path: &Path) -> Vec<u8> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.as_os_str().as_bytes().to_vec()
    }

    /// The names of the directories of all days.
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

    /// The name of the directory into which goes what is deleted now.
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
    use super::super::kernel::Kernel;
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_days_go_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(Rc::new(Kernel), dir.path(), Layout::Nested);
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
