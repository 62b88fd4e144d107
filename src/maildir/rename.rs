//! Renaming mailboxes on disk.

use super::change::{PARTS, failed};
use super::store::MaildirStore;
use crate::model::MailboxName;
use crate::store::StoreError;
use std::io;
use std::path::Path;

impl MaildirStore {
    pub(super) fn rename_directory(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError> {
        let (old, new) = (self.path(from), self.root.join(self.layout.path(to)));
        let disk = self.disk.clone();
        let is_mailbox = |path: &Path| disk.is_dir(&path.join("cur"));
        match (is_mailbox(&old), is_mailbox(&new)) {
            // A run was cut after it had renamed, or the name above was renamed with all below it.
            (false, true) => {}
            (false, false) => return Err(StoreError::Stale(format!("{from} is gone"))),
            (true, true) => return Err(StoreError::Stale(format!("{to} is there already"))),
            (true, false) => {
                let above = new.parent().unwrap_or(&self.root).to_owned();
                disk.make_dirs(&above)
                    .map_err(|error| failed(&above, &error))?;
                // An empty directory is left of a mailbox that lay below this name.
                let _unless_empty = disk.remove_dir(&new);
                match disk.rename_new(&old, &new) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        self.rename_parts(&old, &new)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                        return Err(in_the_way(&new));
                    }
                    Err(error) => return Err(failed(&old, &error)),
                }
                let parents = [old.parent(), new.parent()];
                for directory in parents.into_iter().flatten() {
                    self.sync_directory(directory)?;
                }
                // What lies below the old name keeps it.
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

    /// Moves a mailbox into a directory in which others lie below its new name. `cur` goes last: a
    /// run that is cut before leaves two halves of a mailbox, which nobody touches, and the next
    /// run finds the mailbox where `cur` is and goes on.
    fn rename_parts(&self, old: &Path, new: &Path) -> Result<(), StoreError> {
        let has = |directory: &Path, part: &str| self.disk.about(&directory.join(part)).is_ok();
        if PARTS.iter().any(|part| has(old, part) && has(new, part)) {
            return Err(in_the_way(new));
        }
        for part in PARTS {
            let (from, to) = (old.join(part), new.join(part));
            match self.disk.rename_new(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&from, &error)),
                Ok(()) => {}
            }
        }
        self.sync_directory(new)?;
        match self.disk.is_dir(old) {
            true => self.sync_directory(old),
            false => Ok(()),
        }
    }
}

fn in_the_way(directory: &Path) -> StoreError {
    StoreError::Stale(format!("{} is in the way", directory.display()))
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
        assert!(at("Above/new/1.x").exists() && at("Above/B/cur").is_dir() && !at("Left").exists());
        // A run was cut when only `cur` was left to be moved.
        store.create_all(&[name("Next/C")]).remove(0).unwrap();
        fs::rename(at("Above/new"), at("Next/new")).unwrap();
        fs::rename(at("Above/tmp"), at("Next/tmp")).unwrap();
        store
            .rename_directory(&name("Above"), &name("Next"))
            .unwrap();
        assert!(
            at("Next/new/1.x").exists() && at("Next/cur").is_dir() && at("Next/C/cur").is_dir()
        );
        assert!(!at("Above/cur").exists() && at("Above/B/cur").is_dir());
    }
}
