//! Scans a directory so that absence is proof. While another program renames, a pass may miss
//! existing files, except if the timestamps of the directory are equal before and after (measured:
//! 372 of 382 against 0 of about 1,950). So only a stable scan proves absence; after an unstable
//! one it is unknown.

pub mod cursor;
mod list;
pub mod mailbox_path;
pub mod prefetch;
mod snapshot;

use crate::maildir::format::file_name::split;
use crate::maildir::format::keywords;
use crate::maildir::fs::{Fs, Kind};
use crate::model::{MaildirId, Weight};
use crate::store::Depth;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Passes before a scan counts as unstable. At 50 renames a second in a directory of 20,000 files
/// every second pass is stable.
pub const PASSES: usize = 20;
/// The timestamp granularity, ns: a younger timestamp may hide a change in the same tick of at most
/// 10 ms.
const TICK: i64 = 20_000_000;
/// The same for file systems that store whole seconds.
const SECOND: i64 = 2_000_000_000;

/// The most, ns, that another clock runs ahead of the file system's.
const FUTURE: i64 = 600_000_000_000;

/// A subdirectory of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subdir {
    /// `new`.
    New,
    /// `cur`.
    Cur,
}

impl Subdir {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Subdir::New => "new",
            Subdir::Cur => "cur",
        }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its subdirectory.
    pub sub: Subdir,
    /// Its info: `:2,` and letters, or nothing.
    pub suffix: Box<[u8]>,
}

impl Entry {
    /// Returns the letters and everything after them.
    pub fn info(&self) -> &[u8] {
        info(&self.suffix)
    }

    /// Returns its path.
    pub fn path(&self, mailbox: &Path, base: &MaildirId) -> PathBuf {
        let name = [base.as_bytes(), &self.suffix].concat();
        crate::maildir::format::layout::join(&mailbox.join(self.sub.name()), &name)
    }
}

/// The timestamps of a mailbox, ns since 1970 (0: missing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Of `cur`.
    pub cur: i64,
    /// Of `new`.
    pub new: i64,
    /// Of the keyword file.
    pub keywords: i64,
}

impl Times {
    /// Reads the current ones.
    pub fn of(disk: &dyn Fs, mailbox: &Path) -> io::Result<Times> {
        let stamp = |name: &str| disk.about(&mailbox.join(name)).map(|about| about.modified);
        let keywords = match stamp(keywords::FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            other => other?,
        };
        Ok(Times {
            cur: stamp("cur")?,
            new: stamp("new")?,
            keywords,
        })
    }

    /// Returns how long after `at` (ns) a change could leave these timestamps equal; 0: never. A
    /// timestamp far in the future does not hide a change, which sets another.
    pub fn blur(&self, at: i64) -> i64 {
        [self.cur, self.new, self.keywords]
            .map(|stamp| blur(stamp, at))
            .into_iter()
            .max()
            .unwrap_or(0)
    }

    /// Returns the same as a delay, after which a scan is conclusive. A longer one is not worth the
    /// wait.
    pub fn rest(&self, at: i64) -> Option<Duration> {
        let blur = self.blur(at);
        let short = (1..=SECOND).contains(&blur);
        short.then(|| Duration::from_nanos(blur.unsigned_abs()))
    }

    /// Whether a change of the directories after `at` (ns) alters their timestamps.
    fn tells(&self, at: i64) -> bool {
        tells(self.cur, at) && tells(self.new, at)
    }
}

/// Whether a change after `at` (ns) gets a timestamp other than this (ns).
pub fn tells(stamp: i64, at: i64) -> bool {
    blur(stamp, at) == 0
}

fn blur(stamp: i64, at: i64) -> i64 {
    match stamp > at.saturating_add(FUTURE) {
        true => 0,
        false => stamp.saturating_add(tick(stamp)).saturating_sub(at).max(0),
    }
}

/// The least distance of two changes that get two timestamps, ns.
fn tick(stamp: i64) -> i64 {
    match stamp % 1_000_000_000 == 0 && stamp != 0 {
        true => SECOND,
        false => TICK,
    }
}

/// The content of a mailbox's directory.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The messages.
    pub entries: BTreeMap<MaildirId, Entry>,
    /// Whether absence is proof.
    pub stable: bool,
    /// The timestamps before the scan.
    pub times: Times,
    /// The start, ns since 1970.
    pub at: i64,
    /// Skipped objects, for the user.
    pub remarks: Vec<String>,
    /// The base names of objects that are not files, with their kind.
    pub obscured: BTreeMap<MaildirId, Obscured>,
}

/// An object under the name of a message that is not a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obscured {
    /// Its kind.
    pub kind: Kind,
    /// The text for the user.
    pub remark: String,
}

impl Scan {
    /// Letters a to z in file names.
    pub fn letters(&self) -> BTreeSet<u8> {
        let infos = self.entries.values().flat_map(|entry| entry.info());
        infos.copied().filter(u8::is_ascii_lowercase).collect()
    }
}

/// Returns the letters and everything after them, of an info.
pub fn info(suffix: &[u8]) -> &[u8] {
    suffix.strip_prefix(b":2,").unwrap_or_default()
}

/// Scans until a pass is stable, or the limit is reached.
pub fn scan(disk: &dyn Fs, mailbox: &Path) -> io::Result<Scan> {
    let mut last = Scan::default();
    for _ in 0..PASSES {
        let (scan, undisturbed) = pass(disk, mailbox)?;
        last = scan;
        if undisturbed {
            break;
        }
    }
    Ok(last)
}

/// A pass over a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct ScanPass {
    /// The timestamps before it.
    pub times: Times,
    /// The start, ns since 1970.
    pub at: i64,
    /// Whether the timestamps did not change meanwhile.
    pub undisturbed: bool,
}

impl ScanPass {
    /// Whether absence is proof.
    pub fn is_stable(&self) -> bool {
        // A change in the tick of the timestamp would not alter it.
        self.undisturbed && self.times.tells(self.at)
    }
}

/// Receives a file: subdirectory, base name, info, type, and size with stamp if requested and
/// available.
pub type ScanObserver<'a> = dyn FnMut(Subdir, (&[u8], &[u8]), Kind, Option<Weight>) + 'a;

/// Shows the content of a mailbox in no order, with directories, without hidden files.
pub fn pass_over(
    disk: &dyn Fs,
    mailbox: &Path,
    depth: Depth,
    show: &mut ScanObserver<'_>,
) -> io::Result<ScanPass> {
    let times = Times::of(disk, mailbox)?;
    let at = disk.now();
    for sub in [Subdir::New, Subdir::Cur] {
        let directory = mailbox.join(sub.name());
        let mut show = |name: &OsStr, kind, weight| {
            let name = name.as_bytes();
            if name.first() != Some(&b'.') {
                let (base, _) = split(name);
                show(sub, name.split_at(base.len()), kind, weight);
            }
        };
        match depth {
            Depth::Everything => disk.weigh(&directory, &mut show)?,
            Depth::Changes => disk.list(&directory, &mut |name, kind| show(name, kind, None))?,
        }
    }
    let after = Times::of(disk, mailbox)?;
    Ok(ScanPass {
        times,
        at,
        undisturbed: (times.cur, times.new) == (after.cur, after.new),
    })
}

fn pass(disk: &dyn Fs, mailbox: &Path) -> io::Result<(Scan, bool)> {
    let mut scan = Scan::default();
    let mut found: Vec<(MaildirId, Entry)> = Vec::new();
    let mut show = |sub, (base, suffix): (&[u8], &[u8]), kind, _| {
        let suffix = suffix.into();
        let entry = Entry { sub, suffix };
        let base = MaildirId::new(base);
        if kind == Kind::File {
            found.push((base, entry));
            return;
        }
        let what = match kind {
            Kind::Directory => "is a directory where a message was; what became of that is unknown",
            _ => "is no regular file (a link, a pipe?) and is left alone",
        };
        let remark = remark(&entry.path(mailbox, &base), what);
        scan.obscured.insert(base, Obscured { kind, remark });
    };
    let pass = pass_over(disk, mailbox, Depth::Changes, &mut show)?;
    (scan.times, scan.at, scan.stable) = (pass.times, pass.at, pass.is_stable());
    let others = scan.obscured.values();
    let others = others.filter(|one| one.kind != Kind::Directory);
    scan.remarks = others.map(|one| one.remark.clone()).collect();
    // The first one seen is the message; the choice must be stable.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.dedup_by(|(twin, entry), (first, _)| {
        if twin == first {
            let what = "has the same base name as another file; rename one of them";
            scan.remarks.push(remark(&entry.path(mailbox, twin), what));
        }
        twin == first
    });
    scan.entries = found.into_iter().collect();
    Ok((scan, pass.undisturbed))
}

fn remark(path: &Path, what: &str) -> String {
    format!("{} {what}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::fs::real::RealFs;

    #[test]
    fn regular_files_only_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let mailbox = dir.path();
        for sub in ["cur", "new", "tmp"] {
            std::fs::create_dir(mailbox.join(sub)).unwrap();
        }
        for name in ["new/a", "cur/b:2,S", "cur/.hidden", "cur/d:2,", "cur/d:2,F"] {
            std::fs::write(mailbox.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", mailbox.join("cur/link")).unwrap();
        std::fs::create_dir(mailbox.join("cur/sub")).unwrap();
        // In the tick of the last change another one could be hidden.
        let first = scan(&RealFs, mailbox).unwrap();
        assert!(!first.stable || first.times.tells(first.at));
        let mut scan = first;
        while !scan.stable {
            scan = super::scan(&RealFs, mailbox).unwrap();
        }
        let names: Vec<String> = scan.entries.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["file a", "file b", "file d"]);
        assert_eq!(scan.remarks.len(), 2, "{:?}", scan.remarks);
    }

    #[test]
    fn an_unreadable_directory_is_an_error_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(scan(&RealFs, dir.path()).is_err());
        assert!(scan(&RealFs, &dir.path().join("nowhere")).is_err());
    }
}
