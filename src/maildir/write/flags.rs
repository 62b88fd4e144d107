//! Changes files: flags by rename, removal by a move into quarantine. Each operation checks the
//! file first; a file that another program renamed is looked up again.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::Keywords;
use crate::maildir::fs::{Kind, unique};
use crate::maildir::scan::{Entry, Subdir};
use crate::maildir::store::MaildirStore;
use crate::model::{FlagChange, Flags, MailboxBase, MailboxName, MaildirId};
use crate::reconcile::Coverage;
use crate::store::{FlagEdit, Obstacle, Place, Removal, Removed, StoreError};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The parts of a mailbox; `cur` last, as its presence makes a directory a mailbox.
const PARTS: [&str; 4] = [crate::maildir::format::keywords::FILE, "tmp", "new", "cur"];

impl MaildirStore {
    pub(in crate::maildir) fn change_flags(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<MaildirId>],
    ) -> Result<Vec<MaildirId>, StoreError> {
        let name = &place.mailbox;
        let mailbox = self.directory(name)?;
        let keywords = self.keywords_for(name, &mailbox, edits)?;
        let (mut done, mut touched) = (Vec::new(), BTreeSet::new());
        for edit in edits {
            let file = (name, &edit.id);
            let alter = |store: &Self, entry: &Entry| {
                let changed = changed(entry, edit, &keywords);
                let (from, to) = (
                    entry.path(&mailbox, &edit.id),
                    changed.path(&mailbox, &edit.id),
                );
                match changed == *entry {
                    true => store.disk.about(&from).map(|_| changed),
                    false => store.disk.rename_new(&from, &to).map(|()| changed),
                }
            };
            let Some((entry, altered)) = self.at(file, (edit.saw.as_ref(), &keywords), alter)?
            else {
                continue;
            };
            match altered {
                Ok(changed) if entry == changed => {}
                Ok(changed) => {
                    touched.extend([entry.sub.name(), changed.sub.name()]);
                    self.note_entry(name, &edit.id, Some(changed));
                }
                // Another program renamed it or took the name: the next scan shows it.
                Err(error) if is_race(&error) => {
                    self.forget_scan(name);
                    continue;
                }
                Err(error) if concerns_one(&error) => {
                    self.note_unchanged(file, "its flags cannot be set", &error);
                    continue;
                }
                Err(error) => return Err(failed(&entry.path(&mailbox, &edit.id), &error)),
            }
            done.push(edit.id.clone());
        }
        self.sync(&mailbox, &touched)?;
        Ok(done)
    }

    /// Records that a file could not be changed.
    pub(in crate::maildir) fn note_unchanged(
        &mut self,
        (mailbox, id): (&MailboxName, &MaildirId),
        what: &str,
        error: &io::Error,
    ) {
        self.unchanged.push(Obstacle {
            mailbox: mailbox.clone(),
            id: id.clone(),
            why: format!("{what}: {error}"),
        });
    }

    /// Returns the keyword letters of a mailbox, after it assigned letters to the keywords to be
    /// set.
    fn keywords_for(
        &mut self,
        name: &MailboxName,
        mailbox: &Path,
        edits: &[FlagEdit<MaildirId>],
    ) -> Result<Keywords, StoreError> {
        let io = |error: io::Error| failed(mailbox, &error);
        let mut keywords = Keywords::load(&*self.disk, mailbox).map_err(io)?;
        let wanted = || edits.iter().flat_map(|edit| edit.change.add.keywords());
        if wanted().all(|keyword| keywords.has(keyword)) {
            return Ok(keywords);
        }
        let letters = self.scan_of(name)?.letters();
        if keywords.assign(wanted(), &letters, &self.common) {
            keywords.save(&*self.disk, mailbox).map_err(io)?;
        }
        Ok(keywords)
    }

    pub(in crate::maildir) fn remove_files(
        &mut self,
        place: &Place,
        removals: &[Removal<MaildirId>],
    ) -> Result<Vec<(MaildirId, Removed)>, StoreError> {
        let name = &place.mailbox;
        let mailbox = self.directory(name)?;
        let keywords =
            Keywords::load(&*self.disk, &mailbox).map_err(|error| failed(&mailbox, &error))?;
        let (mut done, mut touched) = (Vec::new(), BTreeSet::new());
        let shelf = self.shelf_for(name)?;
        for removal in removals {
            let file = (name, &removal.id);
            let take = |store: &Self, entry: &Entry| {
                let now = file_name::flags(entry.info(), |letter| keywords.name(letter));
                let from = entry.path(&mailbox, &removal.id);
                let take = || store.quarantine.take_into(&shelf, &from);
                removal.still_holds(&now).then(take).transpose()
            };
            let Some((entry, taken)) = self.at(file, (removal.saw.as_ref(), &keywords), take)?
            else {
                done.push((removal.id.clone(), Removed::Gone));
                continue;
            };
            let to = match taken {
                Ok(Some(to)) => to,
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.forget_scan(name);
                    continue;
                }
                Err(error) if concerns_one(&error) => {
                    self.note_unchanged(file, "it cannot be moved to quarantine", &error);
                    continue;
                }
                Err(error) => return Err(failed(&entry.path(&mailbox, &removal.id), &error)),
            };
            touched.insert(entry.sub.name());
            self.note_entry(name, &removal.id, None);
            let below = self.quarantine.below(&to);
            done.push((removal.id.clone(), Removed::Kept(below)));
        }
        if !touched.is_empty() {
            self.sync_directory(&shelf)?;
        }
        self.sync(&mailbox, &touched)?;
        Ok(done)
    }

    pub(in crate::maildir) fn split_file(
        &mut self,
        place: &Place,
        id: &MaildirId,
    ) -> Result<MaildirId, StoreError> {
        let name = &place.mailbox;
        let mailbox = self.directory(name)?;
        let gone = || StoreError::Stale(format!("{id} is no longer there"));
        let entry = self.find(name, id)?.ok_or_else(gone)?;
        let new =
            MaildirId::new(format!("{}.{}", unique(&*self.disk, "m"), self.host).into_bytes());
        let (from, to) = (entry.path(&mailbox, id), entry.path(&mailbox, &new));
        self.disk
            .rename_new(&from, &to)
            .map_err(|error| failed(&from, &error))?;
        self.sync(&mailbox, &BTreeSet::from([entry.sub.name()]))?;
        self.forget_scan(name);
        Ok(new)
    }

    /// Moves a mailbox into quarantine if it contains only halves of pairs; returns its path there.
    /// `None`: the mailbox does not exist.
    pub(in crate::maildir) fn remove_mailbox(
        &mut self,
        base: &MailboxBase,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let name = &base.name;
        let Ok(mailbox) = self.directory(name) else {
            return Ok(None);
        };
        self.forget_scan(name);
        let inside = self
            .quarantine
            .directory(name)
            .map_err(|error| failed(&mailbox, &error))?;
        let shelf = self.quarantine.shelf(&inside);
        // Durable before anything is moved into it: after a cut the next run moves the mailbox back
        // (`recover`).
        self.disk
            .make_dirs(&shelf)
            .and_then(|()| self.sync_up(&inside))
            .map_err(|error| failed(&shelf, &error))?;
        // Checked after the syncs, so that less time is left for new mail.
        let look = self.look_at(base, None, crate::store::Depth::Changes)?;
        let known = crate::reconcile::messages::Known::disposable(base);
        let lone = |file: &MaildirId| !known.file(file) || look.edited.contains(file);
        let unknown = look.seen.keys().any(lone);
        if look.coverage != Coverage::Complete || unknown {
            // The directory is empty; it does no harm if it stays.
            let _removed = self.disk.remove_dir(&shelf);
            return Err(StoreError::Stale(format!("{name}: new mail arrived in it")));
        }
        if let Err(error) = self.shelve(&mailbox, &shelf, &known) {
            self.put_back(&shelf, &mailbox);
            return Err(error);
        }
        for directory in [&shelf, &inside, &mailbox] {
            self.sync_directory(directory)?;
        }
        self.remove_empty_parents(&mailbox);
        self.forget_scan(name);
        Ok(Some(self.quarantine.below(&shelf)))
    }

    /// Moves the parts of a mailbox. `Stale` if another program added a file since it was scanned.
    fn shelve(
        &self,
        mailbox: &Path,
        shelf: &Path,
        known: &crate::reconcile::messages::Known<'_>,
    ) -> Result<(), StoreError> {
        for part in PARTS {
            match self.disk.rename_new(&mailbox.join(part), &shelf.join(part)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&mailbox.join(part), &error)),
                Ok(()) => {}
            }
        }
        for sub in ["new", "cur"] {
            let (directory, mut stranger) = (shelf.join(sub), None);
            let listed = self.disk.list(&directory, &mut |name, kind| {
                let (base, _) = file_name::split(name.as_bytes());
                let ours = base.first() == Some(&b'.') || kind != Kind::File;
                let file = MaildirId::new(base);
                if !ours && !known.file(&file) {
                    stranger = Some(file);
                }
            });
            match listed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&directory, &error)),
                Ok(()) => {}
            }
            if let Some(file) = stranger {
                let what = format!("{}: {file} arrived in it", mailbox.display());
                return Err(StoreError::Stale(what));
            }
        }
        Ok(())
    }

    /// Reverts [`Self::shelve`] as far as it came.
    pub(in crate::maildir) fn put_back(&self, shelf: &Path, mailbox: &Path) {
        for part in PARTS.iter().rev() {
            match self.disk.rename_new(&shelf.join(part), &mailbox.join(part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(path = %mailbox.display(), %error, "{part} was not put back");
                }
                _ => {}
            }
        }
    }

    /// Removes parent directories that are empty now, up to the root.
    pub(in crate::maildir) fn remove_empty_parents(&self, mailbox: &Path) {
        let mut directory: PathBuf = mailbox.to_owned();
        while directory != self.root && directory.starts_with(&self.root) {
            if self.disk.remove_dir(&directory).is_err() || !directory.pop() {
                return;
            }
        }
    }

    /// Applies an operation to a file under its most likely names: as last seen, or with the flags
    /// that it should have. Scans the directory only if none of these exists. `None` if the file is
    /// gone.
    fn at<T>(
        &mut self,
        (name, id): (&MailboxName, &MaildirId),
        (flags, keywords): (Option<&Flags>, &Keywords),
        act: impl Fn(&Self, &Entry) -> io::Result<T>,
    ) -> Result<Option<(Entry, io::Result<T>)>, StoreError> {
        let entries = match (self.seen_last(name, id), flags) {
            (Some(entry), _) => vec![entry],
            (None, Some(flags)) => likely_entries(flags, keywords),
            (None, None) => Vec::new(),
        };
        for entry in entries {
            match act(self, &entry) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => return Ok(Some((entry, done))),
            }
        }
        let found = self.find(name, id)?;
        Ok(found.map(|entry| {
            let done = act(self, &entry);
            (entry, done)
        }))
    }

    /// Returns the entry of a file as of the last scan.
    fn seen_last(&self, name: &MailboxName, id: &MaildirId) -> Option<Entry> {
        let entry = match self.scans.get(name) {
            Some(scan) => scan.entries.get(id),
            None => self.glimpses.get(name).and_then(|all| all.get(id)),
        };
        entry.cloned()
    }

    /// Returns the entry of a file; looks it up on disk if it moved.
    pub(in crate::maildir) fn find(
        &mut self,
        name: &MailboxName,
        id: &MaildirId,
    ) -> Result<Option<Entry>, StoreError> {
        let mailbox = self.path(name);
        let known = match self.seen_last(name, id) {
            None => self.scan_of(name)?.entries.get(id).cloned(),
            known => known,
        };
        if let Some(entry) = &known
            && self.disk.about(&entry.path(&mailbox, id)).is_ok()
        {
            return Ok(known);
        }
        self.forget_scan(name);
        Ok(self.scan_of(name)?.entries.get(id).cloned())
    }
}

/// Returns the likely paths of a message with these flags.
fn likely_entries(flags: &Flags, keywords: &Keywords) -> Vec<Entry> {
    let add = FlagChange {
        add: flags.clone(),
        ..FlagChange::default()
    };
    let info = file_name::change(b"", &add, keywords);
    let entry = |sub: Subdir, suffix: &[u8]| Entry {
        sub,
        suffix: suffix.into(),
    };
    match info.is_empty() {
        true => vec![
            entry(Subdir::New, b""),
            entry(Subdir::Cur, b":2,"),
            entry(Subdir::Cur, b""),
        ],
        false => vec![entry(Subdir::Cur, &[b":2,", &*info].concat())],
    }
}

fn changed(entry: &Entry, edit: &FlagEdit<MaildirId>, keywords: &Keywords) -> Entry {
    let info = file_name::change(entry.info(), &edit.change, keywords);
    if info.is_empty() && entry.suffix.is_empty() {
        return entry.clone();
    }
    // A message with flags was seen, so it belongs in `cur`.
    let suffix = [b":2,", &*info].concat().into_boxed_slice();
    Entry {
        sub: Subdir::Cur,
        suffix,
    }
}

fn is_race(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
    )
}

/// Whether the error of a rename concerns only this file: its name is too long, it is immutable, or
/// another user owns it.
pub(in crate::maildir) fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidFilename | io::ErrorKind::PermissionDenied
    )
}

pub(in crate::maildir) fn failed(path: &Path, error: &io::Error) -> StoreError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Retry(format!("{path}: {error}; free some space"))
        }
        _ => StoreError::Mailbox(format!("{path}: {error}")),
    }
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
