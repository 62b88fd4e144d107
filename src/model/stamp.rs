//! When a file was last touched, in few bytes.

use std::fmt;

/// A digest of a file's inode, mtime and ctime. Nobody wrote to a file that has the same stamp as
/// before: whatever is written, renamed, linked or put back sets the ctime.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i64);

impl Stamp {
    /// From the number of the file, its mtime and its ctime, ns since 1970.
    pub fn of(inode: u64, modified: i64, changed: i64) -> Stamp {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&inode.to_be_bytes());
        hasher.update(&modified.to_be_bytes());
        hasher.update(&changed.to_be_bytes());
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        Stamp(i64::from_be_bytes(number))
    }

    /// As it is stored.
    pub fn number(self) -> i64 {
        self.0
    }

    /// From what was stored.
    pub fn from_number(number: i64) -> Stamp {
        Stamp(number)
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stamp {:016x}", self.0)
    }
}

/// What a directory tells of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weight {
    /// Bytes.
    pub size: u64,
    /// `None`: not known.
    pub stamp: Option<Stamp>,
}

impl Weight {
    /// That of a file of which nothing is told.
    pub const NOTHING: Weight = Weight {
        size: 0,
        stamp: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_makes_another_stamp() {
        let stamp = Stamp::of(1, 2, 3);
        assert_eq!(Stamp::from_number(stamp.number()), stamp);
        let others = [Stamp::of(2, 2, 3), Stamp::of(1, 3, 3), Stamp::of(1, 2, 4)];
        assert!(others.iter().all(|other| *other != stamp));
    }
}
