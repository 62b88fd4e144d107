//! The files of an account: which messages lie in its mailboxes, and what one holds. Nothing is
//! written, and links and odd files are never followed or opened.

use crate::maildir::Layout;
use crate::model::{Flags, MailboxName, MaildirId, Stamp};
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Of a larger file only so many bytes are looked through.
pub const READ: usize = 4 << 20;
/// A change may share the time stamp of one that happened so long before, ns.
const TICK: i64 = 2_000_000_000;

/// A mailbox on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxDirectory {
    /// Its name.
    pub mailbox: MailboxName,
    /// Its directory.
    pub directory: PathBuf,
}

impl MailboxDirectory {
    /// The mailboxes of a Maildir, by their names.
    pub fn all<'n>(
        root: &Path,
        layout: Layout,
        names: impl Iterator<Item = &'n MailboxName>,
    ) -> Vec<MailboxDirectory> {
        let place = |name: &MailboxName| MailboxDirectory {
            mailbox: name.clone(),
            directory: root.join(layout.path(name)),
        };
        names.map(place).collect()
    }

    /// The path of a message in it.
    pub fn path(&self, sub: CurOrNew, name: &[u8]) -> PathBuf {
        let name = std::ffi::OsStr::from_bytes(name);
        self.directory.join(sub.name()).join(name)
    }

    /// When its directories last changed.
    pub fn times(&self) -> io::Result<DirectoryTimes> {
        let of = |sub: CurOrNew| {
            let about = self.directory.join(sub.name()).metadata()?;
            io::Result::Ok(modified(&about))
        };
        Ok(DirectoryTimes {
            cur: of(CurOrNew::Cur)?,
            new: of(CurOrNew::New)?,
        })
    }

    /// Its messages by the base names of their files.
    pub fn list(&self) -> io::Result<DirectoryListing> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
        let times = self.times()?;
        let letters = crate::maildir::letters(&self.directory)?;
        let mut files = BTreeMap::new();
        for sub in [CurOrNew::New, CurOrNew::Cur] {
            for entry in std::fs::read_dir(self.directory.join(sub.name()))? {
                let entry = entry?;
                let name = entry.file_name().into_vec();
                if name.first() == Some(&b'.') || !entry.file_type()?.is_file() {
                    continue;
                }
                let (base, info) = crate::maildir::split(&name);
                let base = MaildirId::new(base);
                let flags = crate::maildir::flags(info, |letter| letters.name(letter).cloned());
                files.insert(base, FiledMessage { sub, name, flags });
            }
        }
        Ok(DirectoryListing {
            times: times.sure(now),
            files,
        })
    }
}

/// One of the two directories of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurOrNew {
    /// `cur`.
    Cur,
    /// `new`.
    New,
}

impl CurOrNew {
    /// The directory's name.
    pub fn name(self) -> &'static str {
        match self {
            CurOrNew::Cur => "cur",
            CurOrNew::New => "new",
        }
    }
}

/// When the directories of a mailbox last changed, ns since 1970; 0: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryTimes {
    /// `cur`.
    pub cur: i64,
    /// `new`.
    pub new: i64,
}

impl DirectoryTimes {
    /// As they can be relied on for a listing made at this time.
    fn sure(self, now: i64) -> DirectoryTimes {
        let sure = |time: i64| {
            if now.saturating_sub(time) > TICK {
                time
            } else {
                0
            }
        };
        DirectoryTimes {
            cur: sure(self.cur),
            new: sure(self.new),
        }
    }

    /// Whether nothing changed since a listing with these times.
    pub fn still(self, listed: DirectoryTimes) -> bool {
        listed.cur != 0 && listed.new != 0 && self == listed
    }
}

/// A mailbox as it was listed.
#[derive(Clone, Debug)]
pub struct DirectoryListing {
    /// When its directories had last changed.
    pub times: DirectoryTimes,
    /// Its messages.
    pub files: BTreeMap<MaildirId, FiledMessage>,
}

/// A message as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiledMessage {
    /// Where.
    pub sub: CurOrNew,
    /// The name of its file.
    pub name: Vec<u8>,
    /// Its flags.
    pub flags: Flags,
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct FileText {
    /// Its bytes, or the first of them.
    pub bytes: Vec<u8>,
    /// Bytes with CRLF line ends.
    pub size: u64,
    /// When it arrived, s since 1970: what its name says, else its mtime.
    pub date: i64,
    /// A digest of inode, mtime and size.
    pub stamp: Stamp,
}

/// A digest of inode, mtime and size of a file, without opening it.
pub fn stamp(path: &Path) -> io::Result<Stamp> {
    Ok(digest(&path.symlink_metadata()?))
}

/// Reads the file of a message.
pub fn read(path: &Path, base: &MaildirId) -> io::Result<FileText> {
    let mut options = OpenOptions::new();
    options.read(true);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = options.open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(READ).min(READ));
    (&mut file).take(READ as u64).read_to_end(&mut bytes)?;
    let mut lines = LineCount::default();
    lines.pass(&bytes);
    if bytes.len() >= READ {
        lines.pass_rest(&mut file)?;
    }
    Ok(FileText {
        size: lines.size + lines.bare,
        bytes,
        date: crate::maildir::named_time(base).map_or(about.mtime(), |at| at.0),
        stamp: digest(&about),
    })
}

/// Counts bytes, and line ends without a CR.
#[derive(Default)]
struct LineCount {
    size: u64,
    bare: u64,
    after_cr: bool,
}

impl LineCount {
    fn pass(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        for at in memchr::memchr_iter(b'\n', bytes) {
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            let cr = before.map_or(self.after_cr, |byte| *byte == b'\r');
            self.bare += u64::from(!cr);
        }
        if let Some(last) = bytes.last() {
            self.after_cr = *last == b'\r';
        }
    }

    fn pass_rest(&mut self, file: &mut File) -> io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(()),
                count => self.pass(piece.get(..count).unwrap_or_default()),
            }
        }
    }
}

fn digest(about: &Metadata) -> Stamp {
    let size = i64::try_from(about.len()).unwrap_or(i64::MAX);
    Stamp::of(about.ino(), modified(about), size)
}

fn modified(about: &Metadata) -> i64 {
    let seconds = about.mtime().saturating_mul(1_000_000_000);
    seconds.saturating_add(about.mtime_nsec())
}
