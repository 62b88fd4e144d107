//! A disk that records operations and fails on request; many mailboxes are changed together.

use super::{Claim, Layout};
use crate::maildir::fs::real::RealFs;
use crate::maildir::fs::{Create, Fs, Input, Kind, Output, PathMetadata, Space};
use crate::maildir::store::MaildirStore;
use crate::model::{Canonical, Flags, MailboxBase, MailboxKey, MailboxName, MaildirId};
use crate::model::{Pair, PairId, Uid};
use crate::store::{Delivery, LocalStore, MailStore, Place, Receiver};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// The operations in order, and the one that fails.
#[derive(Debug)]
pub(super) struct Watched {
    pub done: RefCell<Vec<String>>,
    fails: fn(&str) -> bool,
}

impl Watched {
    fn note(&self, what: &str, path: &Path) -> io::Result<()> {
        let line = format!("{what} {}", path.display());
        let fails = (self.fails)(&line);
        self.done.borrow_mut().push(line);
        match fails {
            true => Err(io::Error::other("broken")),
            false => Ok(()),
        }
    }

    /// Returns the operations without paths, with repetitions counted.
    pub fn told(&self) -> String {
        let mut told: Vec<(String, usize)> = Vec::new();
        for line in self.done.take() {
            let what = line.split(' ').next().unwrap().to_owned();
            match told.last_mut() {
                Some((last, count)) if *last == what => *count += 1,
                _ => told.push((what, 1)),
            }
        }
        let told = told.into_iter().map(|(what, n)| format!("{n} {what}"));
        told.collect::<Vec<_>>().join(", ")
    }
}

impl Fs for Watched {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Input>> {
        RealFs.open(path)
    }

    fn create(&self, path: &Path, how: Create) -> io::Result<Box<dyn Output>> {
        RealFs.create(path, how)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.note("sync", path)
    }

    fn sync_all(&self, directory: &Path) -> io::Result<()> {
        self.note("sync-all", directory)
    }

    fn list(&self, directory: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        if (self.fails)(&format!("list {}", directory.display())) {
            return Err(io::Error::other("broken"));
        }
        RealFs.list(directory, show)
    }

    fn apart(&self) -> Option<Box<dyn Fs + Send>> {
        RealFs.apart()
    }

    /// Everything below `far` is on another file system.
    fn about(&self, path: &Path) -> io::Result<PathMetadata> {
        if (self.fails)(&format!("about {}", path.display())) {
            return Err(io::Error::other("broken"));
        }
        let device = u64::from(path.components().any(|part| part.as_os_str() == "far"));
        let about = RealFs.about(path)?;
        Ok(PathMetadata { device, ..about })
    }

    fn is_dir(&self, path: &Path) -> bool {
        RealFs.is_dir(path)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("name", to)?;
        RealFs.rename_new(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.replace(from, to)
    }

    fn link(&self, old: &Path, new: &Path) -> io::Result<()> {
        RealFs.link(old, new)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_dir(path)
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_all(path)
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        self.note(path.file_name().unwrap().to_str().unwrap(), path)?;
        RealFs.make_dirs(path)
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        RealFs.space(directory)
    }

    fn now(&self) -> i64 {
        RealFs.now()
    }

    fn serial(&self) -> (u32, u64) {
        RealFs.serial()
    }

    fn host(&self) -> String {
        "host".into()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFs.read(path)
    }
}

pub(super) struct World {
    pub dir: tempfile::TempDir,
    pub disk: Rc<Watched>,
    pub store: MaildirStore,
}

pub(super) fn world(fails: fn(&str) -> bool) -> World {
    let dir = tempfile::tempdir().unwrap();
    let done = RefCell::default();
    let disk = Rc::new(Watched { done, fails });
    let claim = Claim::Known("uuid".into());
    let store = MaildirStore::on(disk.clone(), dir.path(), Layout::default(), claim);
    World { dir, disk, store }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(work)
}

impl World {
    /// Creates mailboxes; returns those that were created.
    pub fn create(&mut self, names: &[String]) -> Vec<String> {
        let parsed: Vec<MailboxName> = names.iter().map(|n| name(n)).collect();
        let made = run(self.store.create_mailboxes(&parsed));
        let made = names.iter().zip(made).filter(|(_, made)| made.is_ok());
        made.map(|(name, _)| name.clone()).collect()
    }

    /// Delivers this many messages into each mailbox and publishes them together; returns the
    /// counts.
    fn publish(&mut self, names: &[String], messages: usize) -> Vec<Option<usize>> {
        run(async {
            let mut receivers = Vec::new();
            for text in names {
                let mailbox = name(text);
                let place = Place {
                    mailbox,
                    uid_validity: None,
                };
                let mut receiver = self.store.receive(&place).await.unwrap();
                for tag in 0..messages {
                    let (flags, date, origin) = (Flags::default(), None, None);
                    receiver.begin(5, None).await.unwrap();
                    receiver.chunk(b"mail\n").await.unwrap();
                    let delivery = Delivery {
                        tag,
                        flags,
                        date,
                        origin,
                    };
                    receiver.end(delivery).await.unwrap();
                }
                receivers.push(receiver);
            }
            self.disk.done.take();
            let published = self.store.publish(receivers).await;
            let count = published.into_iter().map(|one| Some(one.ok()?.len()));
            count.collect()
        })
    }

    /// Counts the files in a part of a mailbox.
    fn files(&self, mailbox: &str, part: &str) -> usize {
        let directory = self.dir.path().join(mailbox).join(part);
        std::fs::read_dir(directory).map_or(0, Iterator::count)
    }
}

pub(super) fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

/// The record of a mailbox with files of these sizes.
pub(super) fn base(mailbox: &str, files: &[(&str, u64)]) -> MailboxBase {
    let pair = |(n, (file, size)): (u32, &(&str, u64))| Pair {
        id: PairId(n.into()),
        uid: Uid::new(n).unwrap(),
        file: MaildirId::new(*file),
        flags: Flags::default(),
        hash: Canonical::of(file.as_bytes()),
        size: *size,
        stamp: None,
        kin: None,
        tombstone: None,
    };
    MailboxBase {
        key: MailboxKey(1),
        name: name(mailbox),
        tag: 1,
        uid_validity: None,
        pairs: (1..).zip(files).map(pair).collect(),
        others: BTreeSet::new(),
        aside: Vec::new(),
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("box{n:02}")).collect()
}

#[test]
fn content_is_durable_before_it_has_a_name_and_names_before_they_are_told() {
    let mut w = world(|_| false);
    w.create(&names(10));
    assert_eq!(w.publish(&names(10), 2), [Some(2); 10]);
    assert_eq!(w.disk.told(), "1 sync-all, 20 name, 1 sync-all");
    assert_eq!(w.publish(&names(2), 1), [Some(1); 2]);
    assert_eq!(w.disk.told(), "2 sync, 2 name, 2 sync");
    assert_eq!((w.files("box00", "new"), w.files("box00", "tmp")), (3, 0));
}

#[test]
fn content_that_is_not_durable_gets_no_name() {
    let boxes = ["far/a", "far/b", "near"].map(str::to_owned);
    let mut w = world(|line| line.starts_with("sync-all") && line.contains("/far/"));
    w.create(&boxes);
    assert_eq!(w.publish(&boxes, 4), [None, None, Some(4)]);
    for (mailbox, want) in [("far/a", 0), ("far/b", 0), ("near", 4)] {
        let found = (w.files(mailbox, "new"), w.files(mailbox, "tmp"));
        assert_eq!(found, (want, 0), "{mailbox}");
    }
    let mut w = world(|line| line.starts_with("sync ") && line.contains("box00/tmp"));
    w.create(&names(2));
    assert_eq!(w.publish(&names(2), 1), [None, Some(1)]);
    // Its file system is unknown.
    let mut w = world(|line| line.starts_with("about") && line.ends_with("box01/tmp"));
    w.create(&names(2));
    assert_eq!(w.publish(&names(2), 4), [Some(4), None]);
    assert_eq!(w.files("box01", "new"), 0);
}

#[test]
fn names_that_are_not_durable_are_not_told() {
    let mut w = world(|line| line.starts_with("sync ") && line.ends_with("box01/new"));
    w.create(&names(3));
    assert_eq!(w.publish(&names(3), 1), [Some(1), None, Some(1)]);
    let mut w = world(|line| line.starts_with("sync-all") && line.ends_with("new"));
    w.create(&names(9));
    assert_eq!(w.publish(&names(9), 1), [None; 9]);
    let mut w = world(|line| line.starts_with("name") && line.contains("box02"));
    w.create(&names(9));
    let published = w.publish(&names(9), 1);
    let failed: Vec<usize> = (0..9).filter(|n| published[*n].is_none()).collect();
    assert_eq!(failed, [2]);
}

#[test]
fn mailboxes_are_made_together_and_cur_comes_last() {
    let mut w = world(|_| false);
    assert_eq!(w.create(&names(10)), names(10));
    let told = w.disk.told();
    let begun = ["1 tmp, 1 new"; 10].join(", ");
    assert_eq!(told, format!("{begun}, 1 sync-all, 10 cur, 1 sync-all"));
    let mut w = world(|_| false);
    w.create(&names(1));
    assert_eq!(w.disk.told(), "1 tmp, 1 new, 1 sync, 1 cur, 2 sync");
}

#[test]
fn of_a_mailbox_that_is_not_sure_to_stay_nothing_is_left() {
    let all = names(3);
    let fails: [fn(&str) -> bool; 3] = [
        |line| line.starts_with("new") && line.contains("box01"),
        |line| line.starts_with("sync ") && line.ends_with("box01"),
        |line| line.starts_with("cur") && line.contains("box01"),
    ];
    for fails in fails {
        let mut w = world(fails);
        assert_eq!(w.create(&all), ["box00", "box02"]);
        assert!(!w.dir.path().join("box01/cur").exists());
    }
    // The root is not certain for any of them.
    let mut w = world(|line| line.starts_with("sync-all") && line.ends_with("far/a/b/c"));
    let deep = ["far/a/b/c", "far/d/e/f", "far/g/h/i", "near"].map(str::to_owned);
    assert_eq!(w.create(&deep), ["near"]);
    assert!(!w.dir.path().join("far/g/h/i/cur").exists());
}
