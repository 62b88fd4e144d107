//! A second opinion for `check`: how many messages an independent reader sees. The `maildir`
//! crate lists an unreadable directory as empty, so its word never decides anything.

use std::path::Path;

/// Messages in `new` and `cur` of a mailbox's directory, as the `maildir` crate counts them.
pub fn independent_count(mailbox: &Path) -> usize {
    let reader = maildir::Maildir::from(mailbox.to_path_buf());
    reader.count_new() + reader.count_cur()
}
