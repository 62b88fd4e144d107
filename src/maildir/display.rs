//! Reads mail for display while other programs write it: without a lock, and writes nothing. A file
//! that disappears is skipped.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::Keywords;
use crate::maildir::fs::real::RealFs;
use crate::maildir::fs::{Fs, Input, Kind};
use crate::maildir::scan::{Subdir, info, pass_over};
use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::model::{Flags, MaildirId, SystemFlag, Timestamp};
use crate::store::{Depth, StoreError};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Scans of an unstable directory before the last one is used.
const PASSES: usize = 5;
/// A file in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its base name.
    pub id: MaildirId,
    /// Its path.
    pub path: PathBuf,
    /// The flags of its name.
    pub flags: Flags,
}

impl Glance {
    /// When the message arrived: what the name of a download says, else its mtime; `None`: it is
    /// gone.
    pub fn arrived(&self) -> Option<Timestamp> {
        let touched = || {
            RealFs
                .about(&self.path)
                .ok()
                .map(|about| about.modified_seconds())
        };
        named_time(&self.id).or_else(|| touched().map(Timestamp))
    }
}

/// When a message arrived, as the name of a download says.
pub fn named_time(base: &MaildirId) -> Option<Timestamp> {
    let digits = base.as_bytes().split(|byte| *byte == b'.').next()?;
    let seconds = std::str::from_utf8(digits).ok()?.parse().ok();
    let named = seconds.filter(|_| file_name::origin(base).is_some());
    named.map(Timestamp)
}

/// The counts of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Messages.
    pub messages: u64,
    /// Messages without `\Seen`.
    pub unread: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// The start of a file.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Bytes of the whole file.
    pub size: u64,
}

/// Reads at most this many bytes of a message. Only regular files are opened.
pub fn beginning(path: &Path, most: usize) -> io::Result<Beginning> {
    let file = RealFs.open(path)?;
    let size = Input::about(&*file)?.size;
    let room = usize::try_from(size).unwrap_or(most).min(most);
    let mut bytes = Vec::with_capacity(room);
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(Beginning { bytes, size })
}

/// Passes all bytes of a message on. Only regular files are opened.
pub fn pieces<E: From<io::Error>>(
    path: &Path,
    give: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut file = RealFs.open(path)?;
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            count => give(piece.get(..count).unwrap_or_default())?,
        }
    }
}

impl MaildirStore {
    /// Returns the files of the mailbox in this directory.
    pub fn glances(&self, mailbox: &Path) -> Result<Vec<Glance>, StoreError> {
        let fail = |error: io::Error| failed(mailbox, &error);
        let keywords = Keywords::load(&*self.disk, mailbox).map_err(fail)?;
        let mut found = BTreeMap::new();
        for _ in 0..PASSES {
            found.clear();
            let mut note = |sub: Subdir, (base, suffix): (&[u8], &[u8]), kind, _| {
                if kind == Kind::File {
                    let name = [base, suffix].concat();
                    let path =
                        crate::maildir::format::layout::join(&mailbox.join(sub.name()), &name);
                    let flags = file_name::flags(info(suffix), |letter| keywords.name(letter));
                    found.insert(MaildirId::new(base), (path, flags));
                }
            };
            let pass = pass_over(&*self.disk, mailbox, Depth::Changes, &mut note);
            if pass.map_err(fail)?.undisturbed {
                break;
            }
        }
        let glance = |(id, (path, flags))| Glance { id, path, flags };
        Ok(found.into_iter().map(glance).collect())
    }

    /// Returns the counts of the mailbox in this directory.
    pub fn counted(&self, mailbox: &Path) -> Result<Counted, StoreError> {
        let fail = |error: io::Error| failed(mailbox, &error);
        let mut counted = Counted::default();
        for _ in 0..PASSES {
            counted = Counted::default();
            let mut note = |_: Subdir, (_, suffix): (&[u8], &[u8]), kind, weight: Option<_>| {
                if kind == Kind::File {
                    let flags = file_name::flags(info(suffix), |_| None);
                    counted.messages += 1;
                    counted.unread += u64::from(!flags.has(SystemFlag::Seen));
                    counted.bytes += weight.map_or(0, |weight: crate::model::Weight| weight.size);
                }
            };
            let pass = pass_over(&*self.disk, mailbox, Depth::Everything, &mut note);
            if pass.map_err(fail)?.undisturbed {
                break;
            }
        }
        Ok(counted)
    }
}
