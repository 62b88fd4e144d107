//! Reads a Maildir beside the sync: counts messages by an independent reader, for `check` (the
//! `maildir` crate lists an unreadable directory as empty, so its result decides nothing), and
//! reads keyword letters, for searches.

use crate::maildir::format::keywords::Keywords;
use crate::maildir::fs::real::RealFs;
use crate::model::Letters;
use std::path::Path;

/// Counts the messages in `new` and `cur` by the `maildir` crate.
pub fn independent_count(mailbox: &Path) -> usize {
    let reader = maildir::Maildir::from(mailbox.to_path_buf());
    reader.count_new() + reader.count_cur()
}

/// Returns the bytes that may still be written where a path lies, or will lie; `None`: not known.
pub fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|above| above.exists())?;
    let about = rustix::fs::statvfs(there).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

/// The letters of a mailbox and the keywords that they stand for.
pub fn letters(mailbox: &Path) -> std::io::Result<Letters> {
    Ok(Keywords::load(&RealFs, mailbox)?.letters())
}
