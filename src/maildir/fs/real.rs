//! The real file system.

use crate::maildir::fs::mounts;
use crate::maildir::fs::{Create, Fs, Input, Kind, Output, PathMetadata, Space};
use crate::model::{Stamp, Weight};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, RenameFlags, Stat, renameat_with, statat,
};
use std::ffi::{CStr, OsStr};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>> {
        // NONBLOCK: opening a FIFO must not block. NOFOLLOW: a link is not a message.
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
        let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        options.write(true).mode(0o600).custom_flags(no_link);
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
        entries(directory, &mut |_, name, kind| {
            show(OsStr::from_bytes(name.to_bytes()), kind)
        })
    }

    fn weigh(
        &self,
        directory: &Path,
        show: &mut dyn FnMut(&OsStr, Kind, Option<Weight>),
    ) -> io::Result<()> {
        entries(directory, &mut |inside, name, kind| {
            // Relative to the open directory: its path is resolved once for all files.
            let weight = statat(inside, name, AtFlags::SYMLINK_NOFOLLOW).ok();
            let weight = weight.map(|stat| weigh(&stat));
            show(OsStr::from_bytes(name.to_bytes()), kind, weight);
        })
    }

    fn about(&self, path: &Path) -> io::Result<PathMetadata> {
        path.symlink_metadata().map(|meta| about(&meta))
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Without RENAME_NOREPLACE: link(2) fails if the name exists.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if from.is_dir() => {
                // Directories cannot be linked, and rename replaces only an empty one.
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

    fn resolve(&self, path: &Path) -> PathBuf {
        let mut missing = Vec::new();
        let mut there = path.to_owned();
        loop {
            match there.canonicalize() {
                Ok(found) => {
                    return missing
                        .iter()
                        .rev()
                        .fold(found, |path, part| path.join(part));
                }
                Err(_) => match (there.file_name(), there.parent()) {
                    (Some(name), Some(parent)) => {
                        missing.push(name.to_owned());
                        there = parent.to_owned();
                    }
                    _ => return path.to_owned(),
                },
            }
        }
    }

    fn names(&self, path: &Path) -> Vec<PathBuf> {
        let path = self.resolve(path);
        let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let others = mounts::other_paths(&path, &table);
        std::iter::once(path).chain(others).collect()
    }

    fn apart(&self) -> Option<Box<dyn Fs + Send>> {
        Some(Box::new(RealFs))
    }
}

/// Lists a directory with a large buffer, without a copy of each name.
fn entries(directory: &Path, show: &mut dyn FnMut(BorrowedFd<'_>, &CStr, Kind)) -> io::Result<()> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = rustix::fs::open(directory, how, Mode::empty())?;
    let mut room = Vec::with_capacity(32 << 10);
    let mut entries = RawDir::new(&inside, room.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not return the type.
            FileType::Unknown => match statat(&inside, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                // It was renamed in between; the timestamps of the directory show that.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            },
            told => told,
        };
        let kind = match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            _ => Kind::Other,
        };
        show(inside.as_fd(), name, kind);
    }
    Ok(())
}

impl Input for File {
    fn rewind(&mut self) -> io::Result<()> {
        io::Seek::rewind(self)
    }

    fn about(&self) -> io::Result<PathMetadata> {
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

fn about(meta: &Metadata) -> PathMetadata {
    PathMetadata {
        kind: match (meta.is_file(), meta.is_dir()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Directory,
            _ => Kind::Other,
        },
        size: meta.len(),
        modified: ns(meta.mtime(), meta.mtime_nsec()),
        changed: ns(meta.ctime(), meta.ctime_nsec()),
        inode: meta.ino(),
        device: meta.dev(),
        born: meta.created().ok().map(nanos),
    }
}

fn weigh(stat: &Stat) -> Weight {
    let modified = ns(stat.st_mtime, stat.st_mtime_nsec as i64);
    let changed = ns(stat.st_ctime, stat.st_ctime_nsec as i64);
    Weight {
        size: stat.st_size.unsigned_abs(),
        stamp: Some(Stamp::of(stat.st_ino, modified, changed)),
    }
}

/// Converts seconds and ns to ns.
fn ns(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

fn nanos(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).map(|since| since.as_nanos());
    since.map_or(0, |nanos| i64::try_from(nanos).unwrap_or(i64::MAX))
}
