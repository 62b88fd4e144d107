//! Creates mailboxes, so that neither a power failure nor a failing disk leaves half of one.

use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::model::MailboxName;
use crate::store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// Attempts of steps that would otherwise leave half a mailbox.
const TRIES: u32 = 3;

impl MaildirStore {
    /// Creates mailboxes and their parents; removes each that failed.
    pub(in crate::maildir) fn create_all(
        &mut self,
        names: &[MailboxName],
    ) -> Vec<Result<(), StoreError>> {
        if let Err(error) = self.note_long_names(names) {
            return names.iter().map(|_| Err(error.clone())).collect();
        }
        let path = |name| self.root.join(self.layout.path(name));
        let met: Vec<bool> = names.iter().map(|name| self.is_met_anew(name)).collect();
        let paths: Vec<PathBuf> = names.iter().map(path).collect();
        let made = self.make_all(&paths);
        let made = names.iter().zip(paths).zip(met.into_iter().zip(made));
        let result = made.map(|((name, path), (met, made))| {
            if met {
                let what = format!("{name}: its directory is there; the next run looks into it");
                return Err(StoreError::Mailbox(what));
            }
            made.map_err(|error| failed(&path, &error))?;
            self.paths.insert(name.clone(), path);
            Ok(())
        });
        result.collect()
    }

    /// `cur` is created last, after the others are durable: it makes a directory a mailbox (F2).
    /// Each step is made for all mailboxes, then synced together.
    fn make_all(&self, paths: &[PathBuf]) -> Vec<io::Result<()>> {
        let mut begun = Vec::new();
        for path in paths {
            begun.push(self.begin(path));
        }
        let there = paths.iter().zip(&begun).filter(|(_, begun)| begun.is_ok());
        let there: Vec<PathBuf> = there.map(|(path, _)| path.clone()).collect();
        let unsynced = self.sync_together(&there);
        let mut made = Vec::new();
        for (path, begun) in paths.iter().zip(begun) {
            // A mailbox that the user created meanwhile is neither removed nor created again, as it
            // may have been moved since.
            let ours = !self.disk.is_dir(&path.join("cur"));
            let begun = begun.and_then(|()| unsynced.check([path]));
            made.push((ours, begun.and_then(|()| self.end(path, ours))));
        }
        let up = |path: &Path| -> Vec<PathBuf> {
            let above = path.ancestors();
            let above = above.take_while(|above| above.starts_with(&self.root));
            above.map(Path::to_owned).collect()
        };
        let whole = paths
            .iter()
            .zip(&made)
            .filter(|(_, (_, made))| made.is_ok());
        let unsynced =
            self.sync_together(&whole.flat_map(|(path, _)| up(path)).collect::<Vec<_>>());
        let made = paths.iter().zip(made).map(|(path, (ours, made))| {
            let made = made.and_then(|()| unsynced.check(&up(path)));
            made.inspect_err(|_| {
                if ours {
                    self.unmake(path);
                }
            })
        });
        made.collect()
    }

    /// Reverts [`Self::make_all`]: the next run must not take a part that is not durable for a
    /// mailbox. `cur` is removed first and durably: `cur` alone would be half a mailbox for ever
    /// (F35), the others alone are one that is being created. A mailbox with new mail is completed
    /// instead.
    fn unmake(&self, path: &Path) {
        let [tmp, new, cur] = ["tmp", "new", "cur"].map(|part| path.join(part));
        let gone = |part: &Path| self.often(part, &|| self.remove_part(part));
        if !(gone(&cur) == Ok(true) && self.disk.sync(path).is_ok()) {
            return;
        }
        let filled = [&tmp, &new].into_iter().any(|part| gone(part) == Ok(false));
        for part in [&tmp, &new, &cur].into_iter().filter(|_| filled) {
            let _logged = self.often(part, &|| self.disk.make_dirs(part));
        }
    }

    /// Whether a directory was removed; `false` if it is not empty.
    fn remove_part(&self, directory: &Path) -> io::Result<bool> {
        match self.disk.remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    /// A retry may succeed on a disk that failed once.
    fn often<T>(&self, path: &Path, act: &dyn Fn() -> io::Result<T>) -> Result<T, ()> {
        let done = (0..TRIES).find_map(|_| act().ok());
        done.ok_or_else(|| tracing::warn!(path = %path.display(), "half a mailbox is left"))
    }

    fn begin(&self, path: &Path) -> io::Result<()> {
        self.is_clear(path).map_err(io::Error::other)?;
        self.disk.make_dirs(&path.join("tmp"))?;
        self.disk.make_dirs(&path.join("new"))
    }

    fn end(&self, path: &Path, ours: bool) -> io::Result<()> {
        if ours {
            self.disk.make_dirs(&path.join("cur"))?;
        }
        // The parent may have been renamed in between, which leaves half a mailbox here.
        match self.disk.is_dir(&path.join("new")) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Syncs a directory and its parents, up to the root.
    pub(in crate::maildir) fn sync_up(&self, path: &Path) -> io::Result<()> {
        let mut directory = path.to_owned();
        loop {
            self.disk.sync(&directory)?;
            if directory == self.root || !directory.pop() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::{Claim, Layout};
    use std::fs;

    /// Creates a mailbox, puts a file into this part, and reverts the creation.
    fn left(part: Option<&str>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::Known("uuid".into());
        let store = MaildirStore::new(dir.path(), Layout::default(), claim);
        let path = dir.path().join("A");
        store
            .make_all(std::slice::from_ref(&path))
            .remove(0)
            .unwrap();
        if let Some(part) = part {
            fs::write(path.join(part).join("1.mail"), "mail").unwrap();
        }
        store.unmake(&path);
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(&path).unwrap().map(name);
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        if let Some(part) = part {
            assert!(path.join(part).join("1.mail").exists(), "{part}");
        }
        names
    }

    #[test]
    fn what_is_unmade_is_gone_or_whole() {
        assert_eq!(left(None), [""; 0]);
        for part in ["tmp", "new", "cur"] {
            assert_eq!(left(Some(part)), ["cur", "new", "tmp"], "{part}");
        }
    }
}
