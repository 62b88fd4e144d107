//! Where deleted bytes go: a directory a day below the root's own, on the same file system, so
//! that putting something there is one rename. Emptied after so many days.

use super::layout::{Layout, join};
use crate::model::MailboxName;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// The quarantine of a Maildir.
#[derive(Clone, Debug)]
pub struct Quarantine {
    root: PathBuf,
    layout: Layout,
}

impl Quarantine {
    /// Of the Maildir at this root.
    pub fn new(root: &Path, layout: Layout) -> Quarantine {
        Quarantine {
            root: root.join(layout.own()).join("quarantine"),
            layout,
        }
    }

    /// Today's directory for a mailbox, created if need be.
    pub fn directory(&self, mailbox: &MailboxName) -> io::Result<PathBuf> {
        let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        let below: PathBuf = match self.layout {
            Layout::MaildirPlusPlus if mailbox.is_inbox() => PathBuf::from("INBOX"),
            layout => layout.path(mailbox),
        };
        let directory = self.root.join(day).join(below);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)?;
        Ok(directory)
    }

    /// Moves a file (or a directory) there under its own name, or one like it that is free.
    pub fn take(&self, from: &Path, mailbox: &MailboxName) -> io::Result<PathBuf> {
        let directory = self.directory(mailbox)?;
        let name = from
            .file_name()
            .map(|name| name.as_bytes().to_vec())
            .unwrap_or_default();
        for n in 0_u32.. {
            let mut free = name.clone();
            if n > 0 {
                free.splice(0..0, format!("{n}.").into_bytes());
            }
            let to = join(&directory, &free);
            match rename_new(from, &to) {
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

    /// Removes what has been there for more than so many days; answers with the days removed.
    pub fn purge(&self, days: u32) -> io::Result<Vec<String>> {
        let oldest = jiff::Zoned::now()
            .date()
            .saturating_sub(jiff::Span::new().days(days));
        let mut removed = Vec::new();
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(removed),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let day = name.parse::<jiff::civil::Date>();
            if day.is_ok_and(|day| day < oldest) && entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
                removed.push(name);
            }
        }
        Ok(removed)
    }
}

/// Renames, but never onto something that exists.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot do it in one step: a link fails where the name is taken.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        other => other.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_old_days_go() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(dir.path(), Layout::Nested);
        let inbox = MailboxName::inbox();
        for n in 0..3 {
            let file = dir.path().join("m:2,S");
            std::fs::write(&file, n.to_string()).unwrap();
            quarantine.take(&file, &inbox).unwrap();
        }
        let kept = quarantine.directory(&inbox).unwrap();
        assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 3);
        let old = quarantine.root.join("2001-01-01");
        std::fs::create_dir(&old).unwrap();
        std::fs::create_dir(quarantine.root.join("mine")).unwrap();
        assert_eq!(quarantine.purge(30).unwrap(), ["2001-01-01"]);
        assert!(kept.exists() && !old.exists());
    }
}
