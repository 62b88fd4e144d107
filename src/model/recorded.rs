//! What was recorded of the files of a mailbox, in few bytes each: enough to see that a mailbox of
//! any size is just what was recorded of it.

use super::flags::Flags;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

/// Files by digests of their names. Another name has the same digest in one of 10^38 cases, and
/// nobody can know in which.
#[derive(Debug, Default)]
pub struct Recorded {
    keys: [RandomState; 2],
    files: HashMap<[u64; 2], (u32, u64)>,
    /// All that files carry, and their numbers here.
    flags: BTreeMap<Flags, u32>,
}

impl Recorded {
    /// Room for so many.
    pub fn with_capacity(files: usize) -> Recorded {
        Recorded {
            files: HashMap::with_capacity(files),
            ..Recorded::default()
        }
    }

    /// A file (the base name) with its flags and its size, bytes.
    pub fn add(&mut self, file: &[u8], flags: Flags, size: u64) {
        let next = u32::try_from(self.flags.len()).unwrap_or(u32::MAX);
        let flags = *self.flags.entry(flags).or_insert(next);
        self.files.insert(self.digest(file), (flags, size));
    }

    /// Strikes a file that is there off; `false`: that was not recorded, or not so, or it is struck
    /// off already. Without a size that is not asked.
    pub fn strike(&mut self, file: &[u8], flags: &Flags, size: Option<u64>) -> bool {
        let recorded = self.files.remove(&self.digest(file));
        recorded.is_some_and(|(had, was)| {
            self.flags.get(flags) == Some(&had) && size.is_none_or(|size| size == was)
        })
    }

    /// Whether all are struck off.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn digest(&self, file: &[u8]) -> [u64; 2] {
        let [one, other] = &self.keys;
        [one.hash_one(file), other.hash_one(file)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SystemFlag;

    #[test]
    fn each_file_is_struck_off_once_and_as_it_was_recorded() {
        let (seen, none) = (Flags::of(&[SystemFlag::Seen]), Flags::default());
        let recorded = || {
            let mut all = Recorded::with_capacity(3);
            all.add(b"a", seen.clone(), 1);
            all.add(b"b", none.clone(), 2);
            all
        };
        let mut all = recorded();
        assert!(all.strike(b"a", &seen, Some(1)) && !all.is_empty());
        assert!(all.strike(b"b", &none, None) && all.is_empty());
        assert!(!all.strike(b"a", &seen, Some(1)), "twice");
        assert!(!recorded().strike(b"c", &seen, None), "another name");
        assert!(!recorded().strike(b"a", &none, None), "other flags");
        assert!(!recorded().strike(b"a", &Flags::of(&[SystemFlag::Draft]), None));
        assert!(!recorded().strike(b"a", &seen, Some(2)), "another size");
    }
}
