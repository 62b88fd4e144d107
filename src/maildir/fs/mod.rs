//! The file system as a trait, without operations that could overwrite a message. [`real`] has the
//! real one; tests use one that fails.
//!
//! Paths are absolute. Only [`Fs::is_dir`] follows links.

pub mod dirty;
pub mod fsync;
pub mod mounts;
pub mod real;

use crate::model::{Stamp, Weight};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file system.
pub trait Fs: Debug {
    /// Opens a regular file for reading, without blocking; another type is an error.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>>;

    /// Creates a file with mode 0600.
    fn create(&self, path: &Path, how: Create) -> io::Result<Box<dyn Output>>;

    /// Syncs a file or a directory.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Syncs the file system of this directory.
    fn sync_all(&self, directory: &Path) -> io::Result<()>;

    /// Lists a directory in no order. While another program renames, a pass may miss or repeat
    /// files.
    fn list(&self, directory: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()>;

    /// Lists with size and stamp of each file; `None`: the file is gone.
    fn weigh(
        &self,
        directory: &Path,
        show: &mut dyn FnMut(&OsStr, Kind, Option<Weight>),
    ) -> io::Result<()> {
        self.list(directory, &mut |name, kind| {
            let about = self.about(&crate::maildir::format::layout::join(
                directory,
                name.as_bytes(),
            ));
            show(name, kind, about.ok().map(|about| about.weight()));
        })
    }

    /// Returns the metadata of a path (lstat).
    fn about(&self, path: &Path) -> io::Result<PathMetadata>;

    /// Whether it is a directory, or a link to one.
    fn is_dir(&self, path: &Path) -> bool;

    /// Renames without replacing an existing file.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames onto a file of our own.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates a hard link.
    fn link(&self, old: &Path, new: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with its content.
    fn remove_all(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents; an existing one is no error.
    fn make_dirs(&self, path: &Path) -> io::Result<()>;

    /// Returns the free space of the file system of this directory.
    fn space(&self, directory: &Path) -> io::Result<Space>;

    /// The clock of file timestamps, ns since 1970.
    fn now(&self) -> i64;

    /// The process id, and a new number at each call.
    fn serial(&self) -> (u32, u64);

    /// The host name, for file names.
    fn host(&self) -> String;

    /// Resolves links in the part of a path that exists.
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Returns all resolved paths of a directory, the given one first: bind mounts make several.
    fn names(&self, path: &Path) -> Vec<PathBuf> {
        vec![self.resolve(path)]
    }

    /// Returns a handle for another thread that only reads; `None`: not possible.
    fn apart(&self) -> Option<Box<dyn Fs + Send>> {
        None
    }

    /// Reads a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whether something may exist at a path already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// No.
    New,
    /// A file of ours, which is truncated.
    Anew,
}

/// A file opened for reading.
pub trait Input: Read {
    /// Seeks to its start.
    fn rewind(&mut self) -> io::Result<()>;

    /// Returns its current metadata.
    fn about(&self) -> io::Result<PathMetadata>;
}

/// A file opened for writing.
pub trait Output: Write {
    /// Sets its mtime, seconds since 1970.
    fn set_modified(&mut self, seconds: i64) -> io::Result<()>;

    /// Syncs it.
    fn sync(&mut self) -> io::Result<()>;
}

/// The type of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, FIFO, socket or device.
    Other,
}

/// The space of a file system, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Available to us.
    pub free: u64,
    /// Total.
    pub total: u64,
}

impl Space {
    /// The reserve: 1 GiB, or 5 % of a small file system (guard G17). Other programs need space,
    /// too.
    const LEAST: u64 = 1 << 30;

    /// Whether less than the reserve is available.
    pub fn is_scarce(self) -> bool {
        self.free < Space::LEAST.min(self.total / 20)
    }

    /// Returns the space after this many more bytes.
    pub fn without(self, bytes: u64) -> Space {
        let free = self.free.saturating_sub(bytes);
        Space { free, ..self }
    }
}

/// The metadata of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMetadata {
    /// Its type.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Its mtime, ns since 1970.
    pub modified: i64,
    /// Its ctime, ns since 1970.
    pub changed: i64,
    /// Its inode.
    pub inode: u64,
    /// Its device.
    pub device: u64,
    /// Its creation time, ns since 1970, if the file system has it.
    pub born: Option<i64>,
}

impl PathMetadata {
    /// Its mtime, seconds since 1970.
    pub fn modified_seconds(&self) -> i64 {
        self.modified.div_euclid(1_000_000_000)
    }

    /// Returns its stamp.
    pub fn stamp(&self) -> Stamp {
        Stamp::of(self.inode, self.modified, self.changed)
    }

    /// Returns size and stamp.
    pub fn weight(&self) -> Weight {
        Weight {
            size: self.size,
            stamp: Some(self.stamp()),
        }
    }
}

/// A unique base name: time, process, counter.
pub fn unique(disk: &dyn Fs, kind: &str) -> String {
    let now = disk.now();
    let (seconds, micros) = (now / 1_000_000_000, now % 1_000_000_000 / 1000);
    let (process, count) = disk.serial();
    format!("{seconds}.{kind}M{micros}P{process}Q{count}")
}
