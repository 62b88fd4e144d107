//! Ids of messages on each side, and the counters of the server.
//!
//! A UID means nothing outside the UIDVALIDITY in which it was learned (RFC 9051, 2.3.1.1).

use super::counted::counted;
use super::side::Side;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The UID of a message in a mailbox and UIDVALIDITY; never 0.
#[derive(Clone, Copy)]
pub struct Uid(NonZeroU32);

counted!(Uid);

impl Uid {
    /// The lowest UID.
    pub const FIRST: Uid = Uid(NonZeroU32::MIN);

    /// Makes a UID; `None` for 0 (RFC 9051: nz-number).
    pub fn new(value: u32) -> Option<Uid> {
        NonZeroU32::new(value).map(Uid)
    }

    /// Returns the number.
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

/// The UIDVALIDITY of a mailbox. 64 bits, because servers send values over 32 bits, and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(pub u64);

/// A modification sequence (RFC 7162), up to 2^63-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(pub u64);

/// The base name of a Maildir file: everything before `:2,`. Bytes, because names need not be
/// UTF-8; copies share them.
#[derive(Clone)]
pub struct MaildirId(Arc<[u8]>);

counted!(MaildirId);

impl MaildirId {
    /// Takes the base name of a file.
    pub fn new(base: impl AsRef<[u8]>) -> MaildirId {
        MaildirId(base.as_ref().into())
    }

    /// Returns its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the ten hexadecimal digits by which users name the file.
    pub fn digest(&self) -> String {
        let hash = blake3::hash(&self.0).to_hex();
        hash.chars().take(10).collect()
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

/// The id of a pair in the state database.
#[derive(Clone, Copy, Debug)]
pub struct PairId(pub i64);

counted!(PairId);

/// An id of a message on one of the sides.
pub trait Id: Clone + Ord + fmt::Debug + fmt::Display + 'static {
    /// The side.
    const SIDE: Side;

    /// Returns the id as a value for either side.
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
    /// A UID.
    Remote(Uid),
    /// A base name.
    Local(MaildirId),
}

impl AnyId {
    /// Returns its side.
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

/// The origin of a downloaded file, a part of its name: it identifies the file after a cut run or a
/// lost database. A hint only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The mailbox's random number.
    pub mailbox: u32,
    /// The UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UID.
    pub uid: Uid,
}

/// A time, seconds since 1970-01-01 UTC: an INTERNALDATE or an mtime.
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
