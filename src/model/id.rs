//! How each side names a message, and the counters those names live in.
//!
//! A UID means nothing outside the UIDVALIDITY in which it was learned (RFC 9051, 2.3.1.1).

use super::counted::counted;
use super::side::Side;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

/// A message's unique identifier within one mailbox and one UIDVALIDITY; never 0.
#[derive(Clone, Copy)]
pub struct Uid(NonZeroU32);

counted!(Uid);

impl Uid {
    /// The least that there can be.
    pub const FIRST: Uid = Uid(NonZeroU32::MIN);

    /// `None` for 0, which no message has (RFC 9051: nz-number).
    pub fn new(value: u32) -> Option<Uid> {
        NonZeroU32::new(value).map(Uid)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UID {}", self.0)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UID {}", self.0)
    }
}

/// The UIDVALIDITY of a mailbox. 64 bits, because values over 32 bits and 0 exist in the wild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(pub u64);

/// A modification sequence (RFC 7162), up to 2^63-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(pub u64);

/// The unique part of a Maildir file name: all before `:2,`. Bytes, because names need not be
/// UTF-8; shared by its copies, as there are several for every message that is looked at.
#[derive(Clone)]
pub struct MaildirId(Arc<[u8]>);

counted!(MaildirId);

impl MaildirId {
    /// Takes the base name of a file as it is on disk.
    pub fn new(base: impl AsRef<[u8]>) -> MaildirId {
        MaildirId(base.as_ref().into())
    }

    /// The bytes as they are on disk.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for MaildirId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.0.escape_ascii())
    }
}

impl fmt::Display for MaildirId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.0.escape_ascii())
    }
}

/// The identifier of a pair in the state database.
#[derive(Clone, Copy, Debug)]
pub struct PairId(pub i64);

counted!(PairId);

/// An identifier that one of the sides uses.
pub trait Id: Clone + Ord + fmt::Debug + fmt::Display + 'static {
    /// The side that uses it.
    const SIDE: Side;

    /// The same as a value that can be either.
    fn any(&self) -> AnyId;
}

impl Id for Uid {
    const SIDE: Side = Side::Remote;

    fn any(&self) -> AnyId {
        AnyId::Remote(*self)
    }
}

impl Id for MaildirId {
    const SIDE: Side = Side::Local;

    fn any(&self) -> AnyId {
        AnyId::Local(self.clone())
    }
}

/// A message on either side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnyId {
    /// By UID.
    Remote(Uid),
    /// By base name.
    Local(MaildirId),
}

impl AnyId {
    /// The side that knows it.
    pub fn side(&self) -> Side {
        match self {
            AnyId::Remote(_) => Side::Remote,
            AnyId::Local(_) => Side::Local,
        }
    }
}

impl fmt::Display for AnyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyId::Remote(uid) => uid.fmt(f),
            AnyId::Local(file) => file.fmt(f),
        }
    }
}

/// Where a file of ours was downloaded from; part of its name, so that a run that was cut before
/// it recorded the file, or that lost its database, knows the file again. Only ever a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The mailbox (a random number given to it when it was first seen).
    pub mailbox: u32,
    /// The UIDVALIDITY.
    pub epoch: UidValidity,
    /// The UID.
    pub uid: Uid,
}

/// A moment, in seconds since 1970-01-01 UTC: an INTERNALDATE or a file's mtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_zero_does_not_exist() {
        assert_eq!(Uid::new(0), None);
        assert_eq!(Uid::new(u32::MAX).map(Uid::get), Some(u32::MAX));
    }
}
