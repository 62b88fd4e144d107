//! A line of a listing.

use super::id::MessageId;
use crate::mime::Summary;
use crate::model::{Flags, SystemFlag, Timestamp};
use std::path::PathBuf;

/// A message in a listing.
#[derive(Clone, Debug)]
pub struct MessageRow {
    /// Its name.
    pub id: MessageId,
    /// When it arrived: INTERNALDATE.
    pub at: Timestamp,
    /// Its flags; where both sides have it, those here.
    pub flags: Flags,
    /// Bytes.
    pub size: u64,
    /// Its header.
    pub summary: Summary,
    /// Where it is.
    pub place: Where,
    /// Its file.
    pub path: Option<PathBuf>,
}

/// Which side has a message or a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Only the disk.
    Here,
    /// Only the server.
    There,
    /// Both.
    Both,
}

impl Where {
    /// As it is printed.
    pub fn text(self) -> &'static str {
        match self {
            Where::Here => "here",
            Where::There => "there",
            Where::Both => "both",
        }
    }
}

/// Which messages of a mailbox a listing has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only those that arrived since then.
    pub since: Option<Timestamp>,
    /// Only those without `\Seen`.
    pub unread: bool,
    /// The newest so many.
    pub limit: Option<usize>,
}

impl Choice {
    /// Whether a message is chosen, the limit aside.
    pub fn takes(&self, at: Timestamp, flags: &Flags) -> bool {
        self.since.is_none_or(|since| at >= since) && !(self.unread && flags.has(SystemFlag::Seen))
    }

    /// Whether a message is left out for another reason than the limit.
    pub fn filters(&self) -> bool {
        self.since.is_some() || self.unread
    }
}

/// Which sides are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sides {
    /// Both; the disk alone where the server cannot be reached.
    #[default]
    Both,
    /// Only the disk.
    Here,
    /// Only the server.
    There,
}
