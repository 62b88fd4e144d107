//! File system decorator that tracks changed directories until they are synced. Their content is
//! visible but may be lost in a power failure, so the base does not record it before
//! ([`super::fsync`]).

use crate::maildir::fs::{Create, Fs, Input, Kind, Output, PathMetadata, Space};
use crate::model::Weight;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The decorator. Files created and removed in `tmp` do not count.
#[derive(Debug)]
pub struct TrackDirty {
    disk: Rc<dyn Fs>,
    directories: RefCell<BTreeSet<PathBuf>>,
    changes: Cell<u64>,
}

impl TrackDirty {
    /// Wraps this disk; all of it counts as synced.
    pub fn on(disk: Rc<dyn Fs>) -> TrackDirty {
        TrackDirty {
            disk,
            directories: RefCell::default(),
            changes: Cell::new(0),
        }
    }

    /// Counts changes: a scan with another count is outdated.
    pub fn changes(&self) -> u64 {
        self.changes.get()
    }

    fn note_change(&self) {
        self.changes.set(self.changes.get() + 1);
    }

    /// Returns the unsynced directories.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        self.directories.borrow().clone()
    }

    /// Removes a directory that was synced otherwise or no longer exists.
    pub fn is_sure(&self, directory: &Path) {
        self.directories.borrow_mut().remove(directory);
    }

    /// Marks a directory before the change, as an error does not tell whether it was made.
    fn touch(&self, path: &Path) {
        self.note_change();
        let Some(directory) = path.parent() else {
            return;
        };
        let mut directories = self.directories.borrow_mut();
        if !directory.ends_with("tmp") && !directories.contains(directory) {
            directories.insert(directory.to_owned());
        }
    }
}

impl Fs for TrackDirty {
    fn sync(&self, path: &Path) -> io::Result<()> {
        self.disk.sync(path)?;
        self.is_sure(path);
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.touch(from);
        self.touch(to);
        self.disk.rename_new(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.touch(to);
        self.disk.replace(from, to)
    }

    fn link(&self, old: &Path, new: &Path) -> io::Result<()> {
        self.touch(new);
        self.disk.link(old, new)
    }

    fn sync_all(&self, directory: &Path) -> io::Result<()> {
        self.disk.sync_all(directory)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>> {
        self.disk.open(path)
    }

    fn create(&self, path: &Path, how: Create) -> io::Result<Box<dyn Output>> {
        self.note_change();
        self.disk.create(path, how)
    }

    fn list(&self, directory: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        self.disk.list(directory, show)
    }

    fn weigh(
        &self,
        directory: &Path,
        show: &mut dyn FnMut(&OsStr, Kind, Option<Weight>),
    ) -> io::Result<()> {
        self.disk.weigh(directory, show)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.disk.resolve(path)
    }

    fn names(&self, path: &Path) -> Vec<PathBuf> {
        self.disk.names(path)
    }

    fn about(&self, path: &Path) -> io::Result<PathMetadata> {
        self.disk.about(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.disk.is_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note_change();
        self.disk.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.note_change();
        self.disk.remove_dir(path)
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        self.note_change();
        self.disk.remove_all(path)
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        self.note_change();
        self.disk.make_dirs(path)
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        self.disk.space(directory)
    }

    fn now(&self) -> i64 {
        self.disk.now()
    }

    fn serial(&self) -> (u32, u64) {
        self.disk.serial()
    }

    fn host(&self) -> String {
        self.disk.host()
    }

    fn apart(&self) -> Option<Box<dyn Fs + Send>> {
        self.disk.apart()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }
}
