//! What is known of messages that may have been moved or copied.

use crate::model::{ContentHash, Flags, Kin, MailboxName, Pair};

/// A pair, and how each side sees it where the base has it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where.
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

/// Whether a message is where the base has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is.
    Here,
    /// Surely not.
    Gone,
    /// That is not known.
    Unknown,
    /// It is, with other content.
    Edited,
    /// It is, but nobody can read it.
    Broken,
}

/// A new message that has the content of some pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting<I> {
    /// Where.
    pub mailbox: MailboxName,
    /// Its name there.
    pub id: I,
    /// The content that it surely has.
    pub hash: ContentHash,
    /// What the server calls it everywhere, where that is known.
    pub kin: Option<Kin>,
    /// Its flags.
    pub flags: Flags,
    /// Bytes of the file, of one on disk.
    pub size: Option<u64>,
}

/// A message in quarantine.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its content.
    pub hash: ContentHash,
    /// The flags last agreed on, and those it had here.
    pub flags: (Flags, Flags),
    /// Where it lies.
    pub path: Vec<u8>,
}
