//! The stamp of a file: when it was last touched.

use std::fmt;

/// A digest of a file's inode, mtime and ctime. An equal stamp proves that the file was not
/// touched: write, rename, link and restore set the ctime.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i64);

impl Stamp {
    /// Makes a stamp of inode, mtime and ctime, ns since 1970.
    pub fn of(inode: u64, modified: i64, changed: i64) -> Stamp {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&inode.to_be_bytes());
        hasher.update(&modified.to_be_bytes());
        hasher.update(&changed.to_be_bytes());
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        Stamp(i64::from_be_bytes(number))
    }

    /// Returns the stored number.
    pub fn number(self) -> i64 {
        self.0
    }

    /// Makes a stamp of the stored number.
    pub fn from_number(number: i64) -> Stamp {
        Stamp(number)
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stamp {:016x}", self.0)
    }
}

/// What a directory scan tells of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weight {
    /// Bytes.
    pub size: u64,
    /// `None`: unknown.
    pub stamp: Option<Stamp>,
}

impl Weight {
    /// Of a file about which nothing is known.
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
