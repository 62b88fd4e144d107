//! The file system of the stage as the program's [`Fs`].

use super::fs::{Node, shown};
use super::stage::{Shared, Stage};
use mailtide::maildir::{Create, Fs, Input, Kind, Output, PathMetadata, Space};
use std::ffi::{OsStr, OsString};
use std::io::{Cursor, Error, ErrorKind, Read, Result, Write};
use std::path::Path;

impl Stage {
    /// A call of the program; fails when it is time to.
    fn call(&mut self, what: &'static str, path: &Path) -> Result<i64> {
        if !self.step(&format!("disk {what} {}", path.display())) {
            return Err(Error::other("the process is dead"));
        }
        if self.chance(self.chaos.disk) {
            let writes = ["create", "write", "make_dirs", "link"].contains(&what);
            let (kind, fault) = match writes && self.random.one_in(2) {
                true => (Error::from(ErrorKind::StorageFull), "ENOSPC"),
                false => (Error::from_raw_os_error(5), "EIO"),
            };
            self.meet(fault, what);
            return Err(kind);
        }
        Ok(self.now())
    }
}

fn about(inode: u64, node: &Node) -> PathMetadata {
    match node {
        Node::Directory { modified, born } => PathMetadata {
            kind: Kind::Directory,
            size: 0,
            modified: *modified,
            changed: *modified,
            inode,
            device: 1,
            born: Some(*born),
        },
        Node::Link => PathMetadata {
            kind: Kind::Other,
            size: 0,
            modified: 0,
            changed: 0,
            inode,
            device: 1,
            born: None,
        },
        Node::File {
            bytes,
            modified,
            changed,
        } => PathMetadata {
            kind: Kind::File,
            size: bytes.len() as u64,
            modified: *modified,
            changed: *changed,
            inode,
            device: 1,
            born: None,
        },
    }
}

/// A file that is read: its bytes as they were when it was opened.
struct Reader(Shared, u64, Cursor<Vec<u8>>);

impl Read for Reader {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        self.2.read(to)
    }
}

impl Input for Reader {
    fn rewind(&mut self) -> Result<()> {
        self.2.set_position(0);
        Ok(())
    }

    fn about(&self) -> Result<PathMetadata> {
        let stage = self.0.lock();
        Ok(about(self.1, stage.fs.inode(self.1)))
    }
}

struct Writer(Shared, u64);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut stage = self.0.lock();
        let now = stage.call("write", Path::new(""))?;
        stage.fs.write(self.1, Some(bytes), now);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Output for Writer {
    fn set_modified(&mut self, seconds: i64) -> Result<()> {
        let mut stage = self.0.lock();
        stage.call("set_modified", Path::new(""))?;
        stage.fs.set_modified(self.1, seconds * 1_000_000_000);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let mut stage = self.0.lock();
        stage.call("sync", Path::new(""))?;
        stage.fs.sync(self.1);
        Ok(())
    }
}

impl Fs for Shared {
    fn open(&self, path: &Path) -> Result<Box<dyn Input>> {
        let mut stage = self.lock();
        stage.call("open", path)?;
        let (inode, node) = stage.fs.node(path)?;
        let Node::File { bytes, .. } = node else {
            return Err(Error::other("it is no regular file"));
        };
        let bytes = Cursor::new(bytes.clone());
        Ok(Box::new(Reader(self.clone(), inode, bytes)))
    }

    fn create(&self, path: &Path, how: Create) -> Result<Box<dyn Output>> {
        let mut stage = self.lock();
        let now = stage.call("create", path)?;
        let inode = stage.fs.create(path, how == Create::New, now)?;
        Ok(Box::new(Writer(self.clone(), inode)))
    }

    fn sync(&self, path: &Path) -> Result<()> {
        let mut stage = self.lock();
        stage.call("sync", path)?;
        let inode = stage.fs.find(path)?;
        stage.fs.sync(inode);
        Ok(())
    }

    fn sync_all(&self, directory: &Path) -> Result<()> {
        let mut stage = self.lock();
        stage.call("sync_all", directory)?;
        stage.fs.sync_all();
        Ok(())
    }

    fn list(&self, directory: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        let mut stage = self.lock();
        stage.call("list", directory)?;
        let mut names = stage.fs.list(directory)?;
        let chance = stage.chaos.users;
        if chance > 0 && stage.chance(chance.div_ceil(4)) {
            // A mail reader renames while the directory is read: what is renamed shows once, not
            // at all, or twice.
            super::users::act(&mut stage);
            let after = stage.fs.list(directory).unwrap_or_default();
            let (gone, new): (Vec<_>, Vec<_>) = (
                names
                    .iter()
                    .filter(|n| !after.contains(n))
                    .cloned()
                    .collect(),
                after
                    .iter()
                    .filter(|n| !names.contains(n))
                    .cloned()
                    .collect(),
            );
            names.retain(|name| !gone.contains(name) || stage.random.one_in(2));
            let late = new.into_iter().filter(|_| stage.random.one_in(2));
            let late: Vec<_> = late.collect();
            names.extend(late);
        }
        let kind = |(name, inner): (OsString, bool)| {
            let kind = match inner {
                true => Kind::Directory,
                false if super::field::is_link(&stage, &directory.join(&name)) => Kind::Other,
                false => Kind::File,
            };
            (name, kind)
        };
        let names: Vec<(OsString, Kind)> = names.into_iter().map(kind).collect();
        drop(stage);
        for (name, kind) in names {
            show(&name, kind);
        }
        Ok(())
    }

    fn about(&self, path: &Path) -> Result<PathMetadata> {
        let mut stage = self.lock();
        stage.call("about", path)?;
        let (inode, node) = stage.fs.node(path)?;
        let about = about(inode, node);
        if stage.tells {
            eprintln!("       modified {} at {}", about.modified, stage.now());
        }
        Ok(about)
    }

    fn is_dir(&self, path: &Path) -> bool {
        let mut stage = self.lock();
        stage.call("is_dir", path).is_ok()
            && matches!(stage.fs.node(path), Ok((_, Node::Directory { .. })))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        let mut stage = self.lock();
        let now = stage.call("rename", from)?;
        stage.judged(
            &format!("rename {} {}", from.display(), to.display()),
            |stage| stage.fs.rename(from, to, false, now),
        )
    }

    fn replace(&self, from: &Path, to: &Path) -> Result<()> {
        let mut stage = self.lock();
        let now = stage.call("replace", to)?;
        stage.judged("replace", |stage| stage.fs.rename(from, to, true, now))
    }

    fn link(&self, old: &Path, new: &Path) -> Result<()> {
        let mut stage = self.lock();
        let now = stage.call("link", new)?;
        stage.fs.link(old, new, now)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut stage = self.lock();
        let now = stage.call("remove", path)?;
        stage.judged("remove", |stage| stage.fs.remove(path, now))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        let mut stage = self.lock();
        let now = stage.call("remove_dir", path)?;
        stage.fs.remove(path, now)
    }

    fn remove_all(&self, path: &Path) -> Result<()> {
        let mut stage = self.lock();
        let now = stage.call("remove_all", path)?;
        let what = format!("remove_all {}", shown(path.as_os_str()));
        stage.judged(&what, |stage| stage.fs.remove_all(path, now))
    }

    fn make_dirs(&self, path: &Path) -> Result<()> {
        let mut stage = self.lock();
        let now = stage.call("make_dirs", path)?;
        stage.fs.make_dir(path, now)
    }

    fn space(&self, _: &Path) -> Result<Space> {
        let (free, total) = (1 << 40, 1 << 41);
        Ok(Space { free, total })
    }

    fn now(&self) -> i64 {
        self.lock().now()
    }

    fn serial(&self) -> (u32, u64) {
        let mut stage = self.lock();
        stage.serial += 1;
        (7, stage.serial)
    }

    fn host(&self) -> String {
        "stage".into()
    }
}
