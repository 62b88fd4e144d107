//! Messages that may have been moved or copied.

use crate::model::{ContentHash, Flags, Kin, MailboxName, Pair};

/// A pair with its presence on each side.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// The pair.
    pub pair: Pair,
    /// On the server.
    pub remote: Whereabouts,
    /// On disk.
    pub local: Whereabouts,
    /// Its flags on the server, when last seen.
    pub flags: Flags,
}

/// The presence of a message in its recorded place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// Present.
    Here,
    /// Certainly absent.
    Gone,
    /// Unknown.
    Unknown,
    /// Present with another content.
    Edited,
    /// Present but unreadable.
    Broken,
}

/// A new message with the content of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting<I> {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// Its id there.
    pub id: I,
    /// Its verified content.
    pub hash: ContentHash,
    /// Its id on the server, if known.
    pub kin: Option<Kin>,
    /// Its flags.
    pub flags: Flags,
    /// Bytes of its file, if on disk.
    pub size: Option<u64>,
}

/// A message in quarantine.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its content.
    pub hash: ContentHash,
    /// The flags last agreed on, and those of its file.
    pub flags: (Flags, Flags),
    /// Its path.
    pub path: Vec<u8>,
}
