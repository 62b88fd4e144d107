//! Renames mailboxes on disk.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::{self, Keywords};
use crate::maildir::format::layout::join;
use crate::maildir::fs::{Fs, Kind};
use crate::maildir::scan::Subdir;
use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::model::MailboxName;
use crate::store::StoreError;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl MaildirStore {
    pub(in crate::maildir) fn rename_directory(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError> {
        let (old, new) = (self.path(from), self.root.join(self.layout.path(to)));
        let disk = self.disk.clone();
        self.is_clear(&new)?;
        self.note_long_names(std::slice::from_ref(to))?;
        let is_mailbox = |path: &Path| self.holds_mailbox(path);
        match (is_mailbox(&old), is_mailbox(&new)) {
            // A cut run renamed it, or a parent was renamed with it.
            (false, true) => {}
            (false, false) => return Err(StoreError::Stale(format!("{from} is gone"))),
            (true, true) => return Err(StoreError::Stale(format!("{to} is there already"))),
            (true, false) => {
                let above = new.parent().unwrap_or(&self.root).to_owned();
                disk.make_dirs(&above)
                    .map_err(|error| failed(&above, &error))?;
                // An empty directory of a former child mailbox has the name.
                let _unless_empty = disk.remove_dir(&new);
                match disk.rename_new(&old, &new) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        let done = self.rename_into(&old, &new);
                        done.map_err(|error| refused(&error, (&old, &new)))?;
                    }
                    Err(error) => return Err(refused(&error, (&old, &new))),
                }
                let parents = [old.parent(), new.parent()];
                for directory in parents.into_iter().flatten() {
                    self.sync_directory(directory)?;
                }
                // The mailboxes below the old name keep it.
                self.remove_empty_parents(&match disk.is_dir(&old) {
                    true => old,
                    false => old.parent().unwrap_or(&self.root).to_owned(),
                });
            }
        }
        self.paths.remove(from);
        self.paths.insert(to.clone(), new);
        self.forget_scan(from);
        self.forget_scan(to);
        Ok(())
    }

    /// Moves a mailbox into a directory that contains mailboxes below its new name. `cur` moves
    /// last, in one step, after all else is durable: a cut run leaves the mailbox under its old or
    /// its new name.
    fn rename_into(&self, old: &Path, new: &Path) -> io::Result<()> {
        let disk = &*self.disk;
        if !names_in(disk, &new.join(Subdir::New.name()))?.is_empty() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        for sub in [Subdir::New.name(), "tmp"] {
            disk.make_dirs(&new.join(sub))?;
        }
        let has_keywords = |at: &Path| disk.about(&at.join(keywords::FILE)).is_ok();
        if has_keywords(old) || has_keywords(new) {
            Keywords::load(disk, old)?.write(disk, &new.join(keywords::FILE))?;
        }
        let (fresh, seen) = (old.join(Subdir::New.name()), old.join(Subdir::Cur.name()));
        for name in names_in(disk, &fresh)? {
            let suffix: &[u8] = match file_name::split(&name).0.len() == name.len() {
                true => b":2,",
                false => b"",
            };
            let to = join(&seen, &[&*name, suffix].concat());
            unless_gone(disk.rename_new(&join(&fresh, &name), &to))?;
        }
        for directory in [&fresh, &seen, new] {
            disk.sync(directory)?;
        }
        disk.rename_new(&seen, &new.join(Subdir::Cur.name()))?;
        // Mail that was delivered meanwhile.
        for name in names_in(disk, &fresh)? {
            let to = join(&new.join(Subdir::New.name()), &name);
            unless_gone(disk.rename_new(&join(&fresh, &name), &to))?;
        }
        for directory in [new, old] {
            disk.sync(directory)?;
        }
        // Empty halves of a mailbox are skipped if one of these stays.
        let left = [
            disk.remove(&old.join(keywords::FILE)),
            disk.remove_dir(&fresh),
            disk.remove_dir(&old.join("tmp")),
        ];
        tracing::debug!(?left, "what was left of {}", old.display());
        Ok(())
    }
}

/// Returns the messages of a directory that may not exist.
fn names_in(disk: &dyn Fs, directory: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut show = |name: &OsStr, kind| {
        let name = name.as_bytes();
        if name.first() != Some(&b'.') && kind != Kind::Directory {
            names.push(name.to_vec());
        }
    };
    match disk.list(directory, &mut show) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(names),
    }
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn refused(error: &io::Error, (old, new): (&Path, &Path)) -> StoreError {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::InvalidInput => {
            StoreError::Stale(format!("{} is in the way", new.display()))
        }
        _ => failed(old, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::{Claim, Layout};
    use std::fs;

    #[test]
    fn a_mailbox_is_renamed_over_a_directory_that_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::Known("uuid".into());
        let mut store = MaildirStore::new(dir.path(), Layout::default(), claim);
        let name = |text: &str| MailboxName::parse(text).unwrap();
        store.create_all(&[name("A")]).remove(0).unwrap();
        store.create_all(&[name("Above/B")]).remove(0).unwrap();
        let at = |path: &str| dir.path().join(path);
        for taken in ["Left", "Half", "Half/new"] {
            fs::create_dir(at(taken)).unwrap();
        }
        fs::write(at("Half/new/1.x"), "whose?").unwrap();
        let in_the_way = |to: &str, store: &mut MaildirStore| {
            let why = store.rename_directory(&name("A"), &name(to));
            assert!(matches!(why, Err(StoreError::Stale(why)) if why.contains("in the way")));
            assert!(at("A/cur").is_dir() && at("A/new").is_dir() && at("A/tmp").is_dir());
        };
        in_the_way("Half", &mut store);
        in_the_way("A/below", &mut store);
        store.rename_directory(&name("A"), &name("Left")).unwrap();
        assert!(at("Left/cur").is_dir() && !at("A").exists());
        fs::write(at("Left/new/1.x"), "unread").unwrap();
        store
            .rename_directory(&name("Left"), &name("Above"))
            .unwrap();
        assert!(at("Above/cur/1.x:2,").exists() && at("Above/new").is_dir());
        assert!(at("Above/B/cur").is_dir() && !at("Left").exists());
        // A cut run moved everything but `cur`; the keyword letters move along.
        store.create_all(&[name("Next/C")]).remove(0).unwrap();
        fs::create_dir(at("Next/new")).unwrap();
        fs::write(at("Above/dovecot-keywords"), "0 $Work\n").unwrap();
        store
            .rename_directory(&name("Above"), &name("Next"))
            .unwrap();
        assert!(at("Next/cur/1.x:2,").exists() && at("Next/C/cur").is_dir());
        let keywords = fs::read_to_string(at("Next/dovecot-keywords")).unwrap();
        assert_eq!(keywords, "0 $Work\n");
        let left: Vec<_> = fs::read_dir(at("Above")).unwrap().collect();
        assert_eq!(left.len(), 1, "what lies below: {left:?}");
        assert!(at("Above/B/cur").is_dir());
    }
}
