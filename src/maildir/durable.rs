//! Making what was changed durable: directories are synced before anything is agreed on what lies
//! in them. Many of them are synced together, with their whole file system.

use super::change::failed;
use super::store::MaildirStore;
use crate::model::MailboxName;
use crate::reconcile::{Listed, Presence};
use crate::store::StoreError;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// From so many directories on, a file system is synced as a whole (syncfs).
const MANY: usize = 8;

/// Paths that are to be synced together; while there are none to be held, each is synced at once.
#[derive(Clone, Debug, Default)]
pub struct Held(Rc<RefCell<Option<Vec<PathBuf>>>>);

impl Held {
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

    /// Has this synced with the others, if syncs are held.
    pub fn add(&self, path: &Path) -> bool {
        let mut held = self.0.borrow_mut();
        held.as_mut().is_some_and(|held| {
            held.push(path.to_owned());
            true
        })
    }
}

/// Directories that could not be synced, and why not. What could not be once may seem to be at a
/// second try, and is lost all the same: so nobody tries again.
#[derive(Debug, Default)]
pub struct Unsynced {
    failed: BTreeMap<PathBuf, io::Error>,
    /// Those that are no more, or cannot be looked at: nothing of them is left to be synced, and
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

    /// Whether these are there, and synced.
    pub fn check<'a>(&self, of: impl IntoIterator<Item = &'a PathBuf>) -> io::Result<()> {
        let why = |one| self.failed.get(one).or_else(|| self.unseen.get(one));
        match of.into_iter().find_map(why) {
            Some(error) => Err(copy(error)),
            None => Ok(()),
        }
    }

    /// Whether all that can be seen were synced.
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
    pub(super) fn sync(
        &self,
        mailbox: &Path,
        subs: &BTreeSet<&'static str>,
    ) -> Result<(), StoreError> {
        subs.iter()
            .try_for_each(|sub| self.sync_directory(&mailbox.join(sub)))
    }

    /// Syncs a directory; while syncs are held, [`Self::sync_held`] does it.
    pub(super) fn sync_directory(&self, directory: &Path) -> Result<(), StoreError> {
        if self.held.add(directory) {
            return Ok(());
        }
        let synced = self.disk.sync(directory);
        synced.map_err(|error| failed(directory, &error))
    }

    /// From now on directories are synced later, all together.
    pub(super) fn hold(&self) {
        self.held.begin();
    }

    /// Today's place in quarantine for a mailbox. The directories down to it are made durable with
    /// what is put there.
    pub(super) fn shelf_for(&mut self, name: &MailboxName) -> Result<PathBuf, StoreError> {
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

    /// Syncs what was held, in the order in which it was changed.
    pub(super) fn sync_held(&self) -> Result<(), StoreError> {
        let held = self.held.take().unwrap_or_default();
        self.sync_together(&held).all()
    }

    /// Makes durable all that lies in the Maildir, whoever changed it, for a run that was cut may
    /// have left changes that are seen, and that a power failure would take back. A mailbox that it
    /// was putting into quarantine is put back before that.
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

    /// Syncs directories, each once: one by one in this order, or many of them with their file
    /// systems.
    pub(super) fn sync_together(&self, directories: &[PathBuf]) -> Unsynced {
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

    /// Syncs the file systems of these directories, and with them these.
    pub(super) fn sync_file_systems(&self, directories: &[PathBuf]) -> Unsynced {
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

    /// What is seen after a sync that failed may be gone after a crash; nothing is agreed on it
    /// before another sync has succeeded.
    pub fn make_sure(&self) -> Result<(), StoreError> {
        // Held by a cycle that was dropped; its directories are unsure.
        drop(self.held.take());
        for directory in self.unsure.directories() {
            match self.disk.sync(&directory) {
                Ok(()) => {}
                // Removed meanwhile. Any other stays unsure until it is synced.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.unsure.is_sure(&directory);
                }
                Err(_) => self.sync_directory(&directory)?,
            }
        }
        Ok(())
    }
}
