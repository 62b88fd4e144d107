//! Making what was changed durable: directories are synced before anything is agreed on what lies
//! in them. Many of them are synced together, with their whole file system.

use super::change::failed;
use super::store::MaildirStore;
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// From so many directories on, a file system is synced as a whole (syncfs).
const MANY: usize = 8;

impl MaildirStore {
    pub(super) fn sync(
        &self,
        mailbox: &Path,
        subs: &BTreeSet<&'static str>,
    ) -> Result<(), StoreError> {
        subs.iter()
            .try_for_each(|sub| self.sync_directory(&mailbox.join(sub)))
    }

    /// A directory is about to be changed: whatever comes between, it is synced before anything is
    /// agreed on what lies in it.
    pub(super) fn touch(&self, directory: &Path) {
        self.unsure.borrow_mut().insert(directory.to_owned());
    }

    /// Syncs a directory; while syncs are held, [`Self::sync_held`] does it.
    pub(super) fn sync_directory(&self, directory: &Path) -> Result<(), StoreError> {
        if let Some(held) = self.held.borrow_mut().as_mut() {
            self.touch(directory);
            held.push(directory.to_owned());
            return Ok(());
        }
        match self.disk.sync(directory) {
            Ok(()) => {
                self.unsure.borrow_mut().remove(directory);
                Ok(())
            }
            Err(error) => {
                self.touch(directory);
                Err(failed(directory, &error))
            }
        }
    }

    /// From now on directories are synced later, all together.
    pub(super) fn hold(&self) {
        self.held.borrow_mut().get_or_insert_default();
    }

    /// Syncs the directories whose sync was held, in the order in which they were changed.
    pub(super) fn sync_held(&self) -> Result<(), StoreError> {
        let mut held = self.held.take().unwrap_or_default();
        let mut once = BTreeSet::new();
        held.retain(|directory| once.insert(directory.clone()));
        if held.len() <= MANY {
            return held.iter().try_for_each(|path| self.sync_directory(path));
        }
        let mut devices: BTreeMap<u64, PathBuf> = BTreeMap::new();
        for directory in &held {
            // One that is gone by now has nothing to sync.
            if let Ok(about) = self.disk.about(directory) {
                devices
                    .entry(about.device)
                    .or_insert_with(|| directory.clone());
            }
        }
        for directory in devices.values() {
            let synced = self.disk.sync_all(directory);
            synced.map_err(|error| failed(directory, &error))?;
        }
        let mut unsure = self.unsure.borrow_mut();
        for directory in &held {
            unsure.remove(directory);
        }
        Ok(())
    }

    /// What is seen after a sync that failed may be gone after a crash; nothing is agreed on it
    /// before another sync has succeeded.
    pub(super) fn make_sure(&self) -> Result<(), StoreError> {
        let unsure = self.unsure.borrow().clone();
        for directory in unsure {
            match self.disk.sync(&directory) {
                // Synced, or removed meanwhile. Any other stays unsure until it is synced.
                Ok(()) => drop(self.unsure.borrow_mut().remove(&directory)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.unsure.borrow_mut().remove(&directory);
                }
                Err(_) => self.sync_directory(&directory)?,
            }
        }
        Ok(())
    }
}
