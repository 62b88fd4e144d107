//! Delivers messages. A file appears in `new/` or `cur/` only complete, durable and under a new
//! name: written to `tmp/`, synced with its batch, renamed with RENAME_NOREPLACE; then the
//! directories are synced.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::{Common, Keywords};
use crate::maildir::format::layout::join;
use crate::maildir::format::line_ends::{Dropped, ToDisk, ToWire};
use crate::maildir::fs::fsync::HeldSyncs;
use crate::maildir::fs::{Create, Fs, Output, Space, unique};
use crate::maildir::scan::Subdir;
use crate::model::{FlagChange, MaildirId, Stamp};
use crate::store::{Delivered, Delivery, Published, Receiver, StoreError};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashSet};
use std::hash::BuildHasher;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Free space is checked before each message of this size, and once a batch for smaller ones.
const BIG: u64 = 1 << 20;

/// From this many files on, one syncfs is cheaper than an fsync for each.
pub(in crate::maildir) const SYNC_ALL_FROM: usize = 8;

/// The outcomes of the messages.
pub(in crate::maildir) type Outcomes = Vec<(usize, Delivered<MaildirId>)>;

/// Receives messages for one mailbox or its quarantine.
pub struct MaildirReceiver {
    disk: Rc<dyn Fs>,
    /// The directory of the mailbox, with `tmp` below it.
    mailbox: PathBuf,
    target: DeliveryTarget,
    host: String,
    there: Rc<PresentNames>,
    /// The keyword letters of all mailboxes.
    common: Rc<Common>,
    current: Option<Current>,
    whole: Vec<(PathBuf, Delivery, u64)>,
    /// The reason, if there is no space for the current message.
    too_big: Option<String>,
    /// Messages without space, by tag.
    refused: Vec<(usize, String)>,
    /// Files in `tmp` without their final name; removed on any failure.
    made: BTreeSet<PathBuf>,
}

/// The present content of a mailbox.
#[derive(Debug, Default)]
pub struct PresentNames {
    /// Letters a to z in its file names.
    pub letters: BTreeSet<u8>,
    /// Base names of downloaded files.
    pub names: NameFilter,
}

/// A Bloom filter of file names: it may report a name that it does not contain.
#[derive(Debug, Default)]
pub struct NameFilter {
    digest: RandomState,
    all: HashSet<u64>,
}

impl NameFilter {
    /// Adds a name.
    pub fn insert(&mut self, name: &[u8]) {
        self.all.insert(self.digest.hash_one(name));
    }

    /// Whether it may contain the name; `false` is certain.
    pub fn may_have(&self, name: &[u8]) -> bool {
        self.all.contains(&self.digest.hash_one(name))
    }
}

/// The target of a delivery.
#[derive(Clone, Debug)]
pub enum DeliveryTarget {
    /// `new` or `cur`.
    Mailbox,
    /// This directory in quarantine, without subdirectories, with its path there; synced with the
    /// held changes, if syncs are held. The ids are paths in quarantine.
    Quarantine(PathBuf, Vec<u8>, HeldSyncs),
}

/// The current message.
struct Current {
    path: PathBuf,
    file: BufWriter<Box<dyn Output>>,
    convert: Option<ToDisk>,
    written: u64,
}

impl MaildirReceiver {
    /// Begins a delivery. `there` describes the mailbox, `common` the letters of other mailboxes.
    pub fn new(
        disk: Rc<dyn Fs>,
        (mailbox, target): (&Path, DeliveryTarget),
        host: &str,
        (there, common): (Rc<PresentNames>, Rc<Common>),
    ) -> MaildirReceiver {
        MaildirReceiver {
            disk,
            mailbox: mailbox.to_owned(),
            target,
            host: host.to_owned(),
            there,
            common,
            current: None,
            whole: Vec::new(),
            too_big: None,
            refused: Vec::new(),
            made: BTreeSet::new(),
        }
    }

    /// Returns the directory of files without a final name.
    pub(in crate::maildir) fn tmp(&self) -> PathBuf {
        match &self.target {
            DeliveryTarget::Mailbox => self.mailbox.join("tmp"),
            DeliveryTarget::Quarantine(directory, ..) => directory.clone(),
        }
    }

    fn create(&mut self) -> io::Result<(PathBuf, BufWriter<Box<dyn Output>>)> {
        let path = self.tmp().join(unique(&*self.disk, "mailtide"));
        let file = self.disk.create(&path, Create::New)?;
        self.made.insert(path.clone());
        Ok((path, BufWriter::with_capacity(64 << 10, file)))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let Some(convert) = &mut current.convert else {
            current.written += bytes.len() as u64;
            return current.file.write_all(bytes);
        };
        let mut out = Vec::with_capacity(bytes.len());
        let dropped = convert.convert(bytes, &mut out);
        if dropped != Dropped::All {
            out.extend_from_slice(convert.rest());
        }
        current.written += out.len() as u64;
        current.file.write_all(&out)?;
        if let Dropped::Stuck(at) = dropped {
            self.as_it_came()?;
            return self.write(bytes.get(at..).unwrap_or_default());
        }
        Ok(())
    }

    /// LF line ends would lose information: adds the CRs to the bytes written so far, and stores
    /// the remainder unchanged.
    fn as_it_came(&mut self) -> io::Result<()> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        current.file.flush()?;
        let (path, mut file) = self.create()?;
        let mut old = self.disk.open(&current.path)?;
        let (mut add, mut written, mut piece) = (ToWire::default(), 0, vec![0; 64 << 10]);
        loop {
            let count = old.read(&mut piece)?;
            if count == 0 {
                break;
            }
            let mut out = Vec::with_capacity(count + count / 16);
            add.convert(piece.get(..count).unwrap_or_default(), &mut out);
            written += out.len() as u64;
            file.write_all(&out)?;
        }
        self.disk.remove(&current.path)?;
        self.made.remove(&current.path);
        self.current = Some(Current {
            path,
            file,
            convert: None,
            written,
        });
        Ok(())
    }

    fn complete(&mut self, delivery: Delivery) -> io::Result<()> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        if let Some(convert) = &current.convert {
            current.file.write_all(convert.rest())?;
            current.written += convert.rest().len() as u64;
        }
        let mut file = current
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        if let Some(date) = delivery.date {
            file.set_modified(date.0)?;
        }
        self.whole.push((current.path, delivery, current.written));
        Ok(())
    }

    fn publish(&mut self) -> io::Result<Outcomes> {
        let held = match &self.target {
            DeliveryTarget::Quarantine(_, _, held) => held.clone(),
            DeliveryTarget::Mailbox => HeldSyncs::default(),
        };
        if !held.is_on() {
            self.sync()?;
        }
        let (outcomes, touched) = self.name_all(&held)?;
        for directory in touched {
            if !held.add(&directory) {
                self.disk.sync(&directory)?;
            }
        }
        Ok(outcomes)
    }

    /// Gives all files their names; returns the directories to sync.
    pub(in crate::maildir) fn name_all(
        &mut self,
        held: &HeldSyncs,
    ) -> io::Result<(Outcomes, BTreeSet<PathBuf>)> {
        let mut keywords = Keywords::default();
        if matches!(self.target, DeliveryTarget::Mailbox) {
            keywords = Keywords::load(&*self.disk, &self.mailbox)?;
            let deliveries = self.whole.iter().map(|(_, delivery, _)| delivery);
            let wanted: Vec<_> = deliveries
                .flat_map(|d| d.flags.keywords().cloned())
                .collect();
            if keywords.assign(wanted.iter(), &self.there.letters, &self.common) {
                keywords.save(&*self.disk, &self.mailbox)?;
            }
        }
        let mut outcomes = Vec::with_capacity(self.whole.len());
        let mut touched = BTreeSet::new();
        for (path, delivery, stored) in &std::mem::take(&mut self.whole) {
            let (id, directory, placed) = self.place(path, delivery, &keywords)?;
            self.made.remove(path);
            let stamp = self.stamp(&placed, delivery, *stored);
            held.add(&placed);
            touched.insert(directory);
            let outcome = Delivered::Stored {
                id: Some(id),
                stored: *stored,
                stamp,
            };
            outcomes.push((delivery.tag, outcome));
        }
        let refused = std::mem::take(&mut self.refused).into_iter();
        outcomes.extend(refused.map(|(tag, why)| (tag, Delivered::Refused(why))));
        Ok((outcomes, touched))
    }

    /// Returns the stamp of a file after its delivery; `None`: another program may have changed it.
    fn stamp(&self, placed: &Path, delivery: &Delivery, stored: u64) -> Option<Stamp> {
        let (DeliveryTarget::Mailbox, Some(date)) = (&self.target, delivery.date) else {
            return None;
        };
        let about = self.disk.about(placed).ok()?;
        let made = about.size == stored && about.modified == date.0.saturating_mul(1_000_000_000);
        made.then(|| about.stamp())
    }

    /// Returns the number of complete messages.
    pub(in crate::maildir) fn count(&self) -> usize {
        self.whole.len()
    }

    /// Syncs the content of all messages.
    pub(in crate::maildir) fn sync(&self) -> io::Result<()> {
        if self.whole.len() >= SYNC_ALL_FROM {
            return self.disk.sync_all(&self.tmp());
        }
        for (path, _, _) in &self.whole {
            self.disk.sync(path)?;
        }
        Ok(())
    }

    fn place(
        &self,
        path: &Path,
        delivery: &Delivery,
        keywords: &Keywords,
    ) -> io::Result<(MaildirId, PathBuf, PathBuf)> {
        let add = delivery.flags.clone();
        let change = FlagChange {
            add,
            ..FlagChange::default()
        };
        let info = file_name::change(b"", &change, keywords);
        let (directory, suffix) = match &self.target {
            DeliveryTarget::Quarantine(directory, ..) => {
                (directory.clone(), [b":2,", &*info].concat())
            }
            // An unseen message without flags goes to `new`.
            DeliveryTarget::Mailbox if info.is_empty() => {
                (self.mailbox.join(Subdir::New.name()), Vec::new())
            }
            DeliveryTarget::Mailbox => (
                self.mailbox.join(Subdir::Cur.name()),
                [b":2,", &*info].concat(),
            ),
        };
        for again in 0_u32.. {
            let base = match &delivery.origin {
                Some(origin) => file_name::downloaded(origin, delivery.date, again, &self.host),
                None => format!("{}.{}", unique(&*self.disk, "m"), self.host).into_bytes(),
            };
            // The base name must be unused with any flags.
            let id = MaildirId::new(base.clone());
            if self.there.names.may_have(&base) {
                continue;
            }
            let free = join(&directory, &[&*base, &suffix].concat());
            match self.disk.rename_new(path, &free) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let id = match &self.target {
                        DeliveryTarget::Quarantine(_, below, _) => {
                            MaildirId::new([below, &b"/"[..], &base, &suffix].concat())
                        }
                        DeliveryTarget::Mailbox => id,
                    };
                    return Ok((id, directory, free));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Returns an error if there is no space for any message; records the tag if there is none for
    /// this size.
    fn make_room(&mut self, size: u64) -> Result<(), StoreError> {
        self.too_big = None;
        if !self.made.is_empty() && size < BIG {
            return Ok(());
        }
        let space = self.disk.space(&self.tmp());
        let space = space.map_err(|error| self.failed(&error))?;
        let left = |space: Space| {
            format!(
                "only {} MiB of {} MiB are left where {} lies",
                space.free >> 20,
                space.total >> 20,
                self.mailbox.display()
            )
        };
        if space.is_scarce() {
            let left = left(space);
            let what = format!("{left}, so no mail is taken in; free some space");
            return Err(StoreError::Retry(what));
        }
        if size >= BIG && space.without(size).is_scarce() {
            let (left, size) = (left(space), size >> 20);
            self.too_big = Some(format!("it has {size} MiB, and {left}; free some space"));
        }
        Ok(())
    }

    pub(in crate::maildir) fn failed(&self, error: &io::Error) -> StoreError {
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space",
            io::ErrorKind::PermissionDenied => "; check its owner and mode",
            _ => "",
        };
        let mailbox = self.mailbox.display();
        StoreError::Retry(format!("cannot write to {mailbox}: {error}{hint}"))
    }
}

impl Receiver for MaildirReceiver {
    type Id = MaildirId;

    async fn begin(&mut self, size: u64, _: Option<&Delivery>) -> Result<(), StoreError> {
        self.make_room(size)?;
        if self.too_big.is_some() {
            return Ok(());
        }
        let (path, file) = self.create().map_err(|error| self.failed(&error))?;
        let convert = Some(ToDisk::default());
        self.current = Some(Current {
            path,
            file,
            convert,
            written: 0,
        });
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(bytes).map_err(|error| self.failed(&error))
    }

    async fn end(&mut self, delivery: Delivery) -> Result<(), StoreError> {
        if let Some(why) = self.too_big.take() {
            self.refused.push((delivery.tag, why));
            return Ok(());
        }
        self.complete(delivery).map_err(|error| self.failed(&error))
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        self.too_big = None;
        match self.current.take() {
            Some(current) => {
                self.made.remove(&current.path);
                let removed = self.disk.remove(&current.path);
                removed.map_err(|error| self.failed(&error))
            }
            None => Ok(()),
        }
    }

    async fn finish(mut self) -> Published<MaildirId> {
        self.publish().map_err(|error| self.failed(&error))
    }
}

impl Drop for MaildirReceiver {
    fn drop(&mut self) {
        for path in &self.made {
            if let Err(error) = self.disk.remove(path) {
                tracing::debug!(path = %path.display(), %error, "left in tmp");
            }
        }
    }
}

/// Removes files that earlier runs left in `tmp`, but not those of other programs.
pub fn sweep(disk: &dyn Fs, mailbox: &Path) -> io::Result<()> {
    let own = format!("P{}Q", disk.serial().0);
    let (tmp, mut left) = (mailbox.join("tmp"), Vec::new());
    disk.list(&tmp, &mut |name, _| {
        let text = name.to_string_lossy();
        if text.contains(".mailtideM") && !text.contains(&own) {
            left.push(tmp.join(name));
        }
    })?;
    left.iter().try_for_each(|path| disk.remove(path))
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
