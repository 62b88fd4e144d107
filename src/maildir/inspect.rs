//! What readers beside the sync see. For `check`: how many messages an independent reader sees. The
//! `maildir` crate lists an unreadable directory as empty, so its word never decides anything. For
//! a search: the letters of keywords.

use super::kernel::Kernel;
use super::keywords::Keywords;
use crate::model::Letters;
use std::path::Path;

/// Messages in `new` and `cur` of a mailbox's directory, as the `maildir` crate counts them.
pub fn independent_count(mailbox: &Path) -> usize {
    let reader = maildir::Maildir::from(mailbox.to_path_buf());
    reader.count_new() + reader.count_cur()
}

/// The letters of a mailbox and the keywords that they stand for.
pub fn letters(mailbox: &Path) -> std::io::Result<Letters> {
    Ok(Keywords::load(&Kernel, mailbox)?.letters())
}
