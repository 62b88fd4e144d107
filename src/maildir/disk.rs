//! The file system as a Maildir needs it, and nothing of it that could overwrite a message. The
//! kernel's is [`Kernel`]; another one is for showing what becomes of the mail when it fails.
//!
//! Paths are whole. Links are never followed but by [`Disk::is_dir`].

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
}

/// A name that no other file has: time, process, counter.
pub fn unique(disk: &dyn Disk, kind: &str) -> String {
    let now = disk.now();
    let (seconds, micros) = (now / 1_000_000_000, now % 1_000_000_000 / 1000);
    let (process, count) = disk.serial();
    format!("{seconds}.{kind}M{micros}P{process}Q{count}")
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Disk for Kernel {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>> {
        // NONBLOCK: opening a FIFO must not hang. NOFOLLOW: a link is not a message.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        let custom = i32::try_from(flags).unwrap_or(0);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(custom)
            .open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(Box::new(file)),
            false => Err(io::Error::other("it is no regular file")),
        }
    }

    fn create(&self, path: &Path, how: Create) -> io::Result<Box<dyn Output>> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        match how {
            Create::New => options.create_new(true),
            Create::Anew => options.create(true).truncate(true),
        };
        Ok(Box::new(options.open(path)?))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_all(&self, directory: &Path) -> io::Result<()> {
        rustix::fs::syncfs(File::open(directory)?).map_err(io::Error::from)
    }

    fn list(&self, directory: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let is = entry.file_type()?;
            let kind = match (is.is_file(), is.is_dir()) {
                (true, _) => Kind::File,
                (_, true) => Kind::Directory,
                _ => Kind::Other,
            };
            show(&entry.file_name(), kind);
        }
        Ok(())
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        path.symlink_metadata().map(|meta| about(&meta))
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // A file system that cannot do it in one step: a link fails where the name is taken.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if from.is_dir() => {
                // Directories have no links, and an empty one is all that one could replace.
                match to.symlink_metadata() {
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    Err(_) => std::fs::rename(from, to),
                }
            }
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                std::fs::hard_link(from, to)?;
                std::fs::remove_file(from)
            }
            other => other.map_err(io::Error::from),
        }
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, old: &Path, new: &Path) -> io::Result<()> {
        std::fs::hard_link(old, new)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        let told = rustix::fs::statvfs(directory).map_err(io::Error::from)?;
        let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
        let (free, total) = (bytes(told.f_bavail), bytes(told.f_blocks));
        Ok(Space { free, total })
    }

    fn now(&self) -> i64 {
        nanos(SystemTime::now())
    }

    fn serial(&self) -> (u32, u64) {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        (std::process::id(), count)
    }

    fn host(&self) -> String {
        let name = rustix::system::uname();
        name.nodename().to_string_lossy().into_owned()
    }
}

impl Input for File {
    fn rewind(&mut self) -> io::Result<()> {
        io::Seek::rewind(self)
    }

    fn about(&self) -> io::Result<About> {
        self.metadata().map(|meta| about(&meta))
    }
}

impl Output for File {
    fn set_modified(&mut self, seconds: i64) -> io::Result<()> {
        let since = Duration::from_secs(seconds.unsigned_abs());
        let at = match seconds < 0 {
            true => UNIX_EPOCH - since,
            false => UNIX_EPOCH + since,
        };
        File::set_modified(self, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

fn about(meta: &Metadata) -> About {
    About {
        kind: match (meta.is_file(), meta.is_dir()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Directory,
            _ => Kind::Other,
        },
        size: meta.len(),
        modified: meta
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(meta.mtime_nsec()),
        inode: meta.ino(),
        device: meta.dev(),
        born: meta.created().ok().map(nanos),
    }
}

fn nanos(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).map(|since| since.as_nanos());
    since.map_or(0, |nanos| i64::try_from(nanos).unwrap_or(i64::MAX))
}
