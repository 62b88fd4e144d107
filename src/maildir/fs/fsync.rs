//! Syncs changed directories before the base records their content. Many are synced together by
//! syncfs.

use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::model::MailboxName;
use crate::reconcile::{Listed, Presence};
use crate::store::StoreError;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// From this many directories on, the file system is synced as a whole (syncfs).
const MANY: usize = 8;

/// Paths to sync together; without a hold each is synced at once.
#[derive(Clone, Debug, Default)]
pub struct HeldSyncs(Rc<RefCell<Option<Vec<PathBuf>>>>);

impl HeldSyncs {
    fn begin(&self) {
        self.0.borrow_mut().get_or_insert_default();
    }

    fn take(&self) -> Option<Vec<PathBuf>> {
        self.0.take()
    }

    /// Whether syncs are held.
    pub fn is_on(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Adds a path; `false` if syncs are not held.
    pub fn add(&self, path: &Path) -> bool {
        let mut held = self.0.borrow_mut();
        held.as_mut().is_some_and(|held| {
            held.push(path.to_owned());
            true
        })
    }
}

/// Directories whose sync failed. A second sync may succeed although the data is lost, so it is not
/// tried.
#[derive(Debug, Default)]
pub struct Unsynced {
    failed: BTreeMap<PathBuf, io::Error>,
    /// Directories that no longer exist or cannot be read: nothing in them can be synced or relied
    /// on.
    /// nothing to be relied on.
    unseen: BTreeMap<PathBuf, io::Error>,
}

impl Unsynced {
    fn note<'a>(&mut self, of: impl IntoIterator<Item = &'a PathBuf>, synced: io::Result<()>) {
        if let Err(error) = synced {
            let of = of.into_iter();
            let failed = of.map(|one| (one.clone(), copy(&error)));
            self.failed.extend(failed);
        }
    }

    /// Fails if one of these was not synced.
    pub fn check<'a>(&self, of: impl IntoIterator<Item = &'a PathBuf>) -> io::Result<()> {
        let why = |one| self.failed.get(one).or_else(|| self.unseen.get(one));
        match of.into_iter().find_map(why) {
            Some(error) => Err(copy(error)),
            None => Ok(()),
        }
    }

    /// Fails if any directory that exists was not synced.
    fn all(&self) -> Result<(), StoreError> {
        match self.failed.iter().next() {
            Some((directory, error)) => Err(failed(directory, error)),
            None => Ok(()),
        }
    }
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

impl MaildirStore {
    pub(in crate::maildir) fn sync(
        &self,
        mailbox: &Path,
        subs: &BTreeSet<&'static str>,
    ) -> Result<(), StoreError> {
        subs.iter()
            .try_for_each(|sub| self.sync_directory(&mailbox.join(sub)))
    }

    /// Syncs a directory; while syncs are held, [`Self::sync_held`] does it.
    pub(in crate::maildir) fn sync_directory(&self, directory: &Path) -> Result<(), StoreError> {
        if self.held.add(directory) {
            return Ok(());
        }
        let synced = self.disk.sync(directory);
        synced.map_err(|error| failed(directory, &error))
    }

    /// Holds the syncs of directories from now on.
    pub(in crate::maildir) fn hold(&self) {
        self.held.begin();
    }

    /// Returns today's directory in quarantine for a mailbox. Its parents are synced with its
    /// content.
    pub(in crate::maildir) fn shelf_for(
        &mut self,
        name: &MailboxName,
    ) -> Result<PathBuf, StoreError> {
        let shelf = self.quarantine.directory(name);
        let shelf = shelf.map_err(|error| failed(&self.root, &error))?;
        if !self.shelves.contains(&shelf) {
            let above = shelf.ancestors().skip(1);
            for directory in above.take_while(|path| path.starts_with(&self.root)) {
                self.sync_directory(directory)?;
            }
            self.shelves.insert(shelf.clone());
        }
        Ok(shelf)
    }

    /// Syncs the held paths in the order of their changes.
    pub(in crate::maildir) fn sync_held(&self) -> Result<(), StoreError> {
        let held = self.held.take().unwrap_or_default();
        self.sync_together(&held).all()
    }

    /// Syncs the whole Maildir: a cut run may have left visible changes that a power failure would
    /// take back. First moves back a mailbox that it was putting into quarantine.
    pub fn recover(&mut self) -> Result<(), StoreError> {
        let listed = self.listed(&BTreeMap::new())?;
        let half = |one: &&Listed| matches!(one.presence, Presence::Unknown(_));
        for one in listed.iter().filter(half) {
            let mailbox = self.path(&one.name);
            let shelves = self.quarantine.half_shelves(&one.name);
            for shelf in shelves.map_err(|error| failed(&mailbox, &error))? {
                self.put_back(&shelf, &mailbox);
            }
        }
        let inside = |one: &Listed| self.path(&one.name).join("cur");
        let open = |one: &&Listed| matches!(one.presence, Presence::Mailbox | Presence::Unknown(_));
        let mut all: Vec<PathBuf> = listed.iter().filter(open).map(inside).collect();
        all.push(self.root.clone());
        self.sync_file_systems(&all).all()?;
        for directory in self.unsure.directories() {
            self.unsure.is_sure(&directory);
        }
        Ok(())
    }

    /// Syncs directories: a few one by one in this order, many by syncfs.
    pub(in crate::maildir) fn sync_together(&self, directories: &[PathBuf]) -> Unsynced {
        let mut seen = BTreeSet::new();
        let each = directories.iter().filter(|one| seen.insert(*one));
        let each: Vec<PathBuf> = each.cloned().collect();
        if each.len() > MANY {
            return self.sync_file_systems(&each);
        }
        let mut unsynced = Unsynced::default();
        for directory in &each {
            unsynced.note([directory], self.disk.sync(directory));
        }
        unsynced
    }

    /// Syncs the file systems of these directories.
    pub(in crate::maildir) fn sync_file_systems(&self, directories: &[PathBuf]) -> Unsynced {
        let mut devices: BTreeMap<u64, Vec<&PathBuf>> = BTreeMap::new();
        let mut unsynced = Unsynced::default();
        for directory in directories {
            match self.disk.about(directory) {
                Ok(about) => devices.entry(about.device).or_default().push(directory),
                Err(error) => {
                    self.unsure.is_sure(directory);
                    unsynced.unseen.insert(directory.clone(), error);
                }
            }
        }
        for all in devices.into_values() {
            let synced = match all.first() {
                Some(one) => self.disk.sync_all(one),
                None => Ok(()),
            };
            if synced.is_ok() {
                all.iter().for_each(|one| self.unsure.is_sure(one));
            }
            unsynced.note(all, synced);
        }
        unsynced
    }

    /// After a failed sync, visible changes may be lost in a crash; the base records nothing before
    /// a later sync succeeded.
    pub fn make_sure(&self) -> Result<(), StoreError> {
        // A dropped cycle held it; its directories are not synced.
        drop(self.held.take());
        for directory in self.unsure.directories() {
            match self.disk.sync(&directory) {
                Ok(()) => {}
                // It was removed. Any other directory stays unsynced.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.unsure.is_sure(&directory);
                }
                Err(_) => self.sync_directory(&directory)?,
            }
        }
        Ok(())
    }
}
