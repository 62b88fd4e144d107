//! The file system as a Maildir needs it, and nothing of it that could overwrite a message. The
//! kernel's is [`super::Kernel`]; another one is for showing what becomes of the mail when that
//! fails.
//!
//! Paths are whole. Links are never followed but by [`Disk::is_dir`].

use crate::model::{Stamp, Weight};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file system with the mailboxes on it.
pub trait Disk: Debug {
    /// Opens a regular file for reading; anything else is an error, and nothing hangs.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>>;

    /// Makes a file that only its owner may read.
    fn create(&self, path: &Path, how: Create) -> io::Result<Box<dyn Output>>;

    /// Makes a file's bytes, or a directory's names, durable.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Makes all that is on the file system of this directory durable.
    fn sync_all(&self, directory: &Path) -> io::Result<()>;

    /// Shows what is in a directory, in no order. While another program renames, one pass may miss
    /// files or show them twice.
    fn list(&self, directory: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()>;

    /// The same with the weight of each file; `None`: it is not to be had any more.
    fn weigh(
        &self,
        directory: &Path,
        show: &mut dyn FnMut(&OsStr, Kind, Option<Weight>),
    ) -> io::Result<()> {
        self.list(directory, &mut |name, kind| {
            let about = self.about(&super::layout::join(directory, name.as_bytes()));
            show(name, kind, about.ok().map(|about| about.weight()));
        })
    }

    /// What lies at a path.
    fn about(&self, path: &Path) -> io::Result<About>;

    /// Whether there is a directory, or a link to one.
    fn is_dir(&self, path: &Path) -> bool;

    /// Renames, but never onto something that exists.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames onto a file of our own.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// A second name for a file.
    fn link(&self, old: &Path, new: &Path) -> io::Result<()>;

    /// Takes a name away.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory that is empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it.
    fn remove_all(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory, and those above it; one that is there is no error.
    fn make_dirs(&self, path: &Path) -> io::Result<()>;

    /// How much room there is on the file system of this directory.
    fn space(&self, directory: &Path) -> io::Result<Space>;

    /// The clock of file time stamps, ns since 1970.
    fn now(&self) -> i64;

    /// The process, and a number that it has not given before.
    fn serial(&self) -> (u32, u64);

    /// What this machine is called, for names of files.
    fn host(&self) -> String;

    /// A path without links, as far as it exists.
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// All paths without links that lead to a directory, the given one first: mounts can make
    /// several.
    fn names(&self, path: &Path) -> Vec<PathBuf> {
        vec![self.resolve(path)]
    }

    /// The same disk, for another thread that only reads; `None`: one thread is all it bears.
    fn apart(&self) -> Option<Box<dyn Disk + Send>> {
        None
    }

    /// All bytes of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whether something may be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// No.
    New,
    /// It is ours, and begun anew.
    Anew,
}

/// A file that is read.
pub trait Input: Read {
    /// From the beginning again.
    fn rewind(&mut self) -> io::Result<()>;

    /// What it is by now.
    fn about(&self) -> io::Result<About>;
}

/// A file that is written.
pub trait Output: Write {
    /// Sets its mtime, s since 1970.
    fn set_modified(&mut self, seconds: i64) -> io::Result<()>;

    /// Makes its bytes durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// What something in a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, a pipe, a device.
    Other,
}

/// Room on a file system, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// That we may use.
    pub free: u64,
    /// In all.
    pub total: u64,
}

impl Space {
    /// Nothing is taken in when less than this is left: 1 GiB, or 5 % of a small file system
    /// (guard G17). What fills the last of a disk takes more with it than mail.
    const LEAST: u64 = 1 << 30;

    /// Whether there is too little to take mail in.
    pub fn is_scarce(self) -> bool {
        self.free < Space::LEAST.min(self.total / 20)
    }

    /// What is left when so many bytes more are taken.
    pub fn without(self, bytes: u64) -> Space {
        let free = self.free.saturating_sub(bytes);
        Space { free, ..self }
    }
}

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// When it was last modified, ns since 1970.
    pub modified: i64,
    /// When its inode was last changed (ctime), ns since 1970.
    pub changed: i64,
    /// Its number.
    pub inode: u64,
    /// The file system it lies on.
    pub device: u64,
    /// When it was made, ns since 1970, where that is told.
    pub born: Option<i64>,
}

impl About {
    /// When it was last modified, s since 1970.
    pub fn modified_seconds(&self) -> i64 {
        self.modified.div_euclid(1_000_000_000)
    }

    /// When it was touched, in few bytes.
    pub fn stamp(&self) -> Stamp {
        Stamp::of(self.inode, self.modified, self.changed)
    }

    /// What a full look compares.
    pub fn weight(&self) -> Weight {
        Weight {
            size: self.size,
            stamp: Some(self.stamp()),
        }
    }
}

/// A name that no other file has: time, process, counter.
pub fn unique(disk: &dyn Disk, kind: &str) -> String {
    let now = disk.now();
    let (seconds, micros) = (now / 1_000_000_000, now % 1_000_000_000 / 1000);
    let (process, count) = disk.serial();
    format!("{seconds}.{kind}M{micros}P{process}Q{count}")
}
