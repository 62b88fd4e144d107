//! The recorded files of a mailbox in few bytes each, to find the files that differ from the base
//! in a mailbox of any size.

use super::flags::Flags;
use super::id::Uid;
use super::stamp::Weight;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

/// Files by digests of their names. Two names collide in one of 10^38 cases, and the digest is
/// keyed, so that collisions cannot be constructed.
#[derive(Debug, Default)]
pub struct Recorded {
    keys: [RandomState; 2],
    files: HashMap<[u64; 2], RecordedFile>,
    /// Distinct sets of flags, with their numbers.
    flags: BTreeMap<Flags, u32>,
    changed: BTreeSet<Uid>,
    touched: BTreeSet<Uid>,
}

#[derive(Debug)]
struct RecordedFile {
    /// The digest of its size and stamp.
    weight: u64,
    flags: u32,
    /// `None`: it exists and was removed from the index.
    uid: Option<Uid>,
}

/// The comparison of an existing file with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// It is as recorded.
    Same,
    /// Its flags differ.
    Changed,
    /// Its size or stamp differs: its content may differ.
    Touched,
    /// It is not recorded.
    New,
    /// A file of this name was compared already.
    Twice,
}

/// The messages whose files differ from the base, by UID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlike {
    /// Existing files with other flags.
    pub changed: BTreeSet<Uid>,
    /// Existing files with the recorded flags whose content has to be compared.
    pub touched: BTreeSet<Uid>,
    /// Missing files.
    pub gone: BTreeSet<Uid>,
}

impl Unlike {
    /// Returns all messages that certainly differ.
    pub fn uids(&self) -> BTreeSet<Uid> {
        self.changed.union(&self.gone).copied().collect()
    }

    /// Whether no message certainly differs.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }
}

impl Recorded {
    /// Makes an index with this capacity.
    pub fn with_capacity(files: usize) -> Recorded {
        Recorded {
            files: HashMap::with_capacity(files),
            ..Recorded::default()
        }
    }

    /// Adds a file (base name) with its flags, size and stamp.
    pub fn add(&mut self, uid: Uid, file: &[u8], flags: Flags, weight: Weight) {
        let next = u32::try_from(self.flags.len()).unwrap_or(u32::MAX);
        let flags = *self.flags.entry(flags).or_insert(next);
        let uid = Some(uid);
        let (digest, weight) = (self.digest(file), self.weigh(weight));
        self.files
            .insert(digest, RecordedFile { weight, flags, uid });
    }

    /// Compares an existing file and removes it from the index. Without size and stamp these are
    /// not compared.
    pub fn strike(&mut self, file: &[u8], flags: &Flags, weight: Option<Weight>) -> Struck {
        let (digest, weight) = (self.digest(file), weight.map(|weight| self.weigh(weight)));
        let Some(recorded) = self.files.get_mut(&digest) else {
            return Struck::New;
        };
        let Some(uid) = recorded.uid.take() else {
            return Struck::Twice;
        };
        if self.flags.get(flags) != Some(&recorded.flags) {
            self.changed.insert(uid);
            return Struck::Changed;
        }
        if weight.is_none_or(|weight| weight == recorded.weight) {
            return Struck::Same;
        }
        self.touched.insert(uid);
        Struck::Touched
    }

    /// Returns the differences, after all existing files were compared.
    pub fn unlike(self) -> Unlike {
        Unlike {
            gone: self.files.into_values().filter_map(|f| f.uid).collect(),
            changed: self.changed,
            touched: self.touched,
        }
    }

    fn digest(&self, file: &[u8]) -> [u64; 2] {
        let [one, other] = &self.keys;
        [one.hash_one(file), other.hash_one(file)]
    }

    fn weigh(&self, weight: Weight) -> u64 {
        let [one, _] = &self.keys;
        one.hash_one(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stamp, SystemFlag};

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    fn weight(size: u64, stamp: i64) -> Weight {
        let stamp = Some(Stamp::from_number(stamp));
        Weight { size, stamp }
    }

    #[test]
    fn each_file_is_struck_off_once_and_as_it_was_recorded() {
        let (seen, none) = (Flags::of(&[SystemFlag::Seen]), Flags::default());
        let recorded = || {
            let mut all = Recorded::with_capacity(3);
            all.add(uid(1), b"a", seen.clone(), weight(1, 1));
            all.add(uid(2), b"b", none.clone(), weight(2, 2));
            all
        };
        let mut all = recorded();
        assert_eq!(all.strike(b"a", &seen, Some(weight(1, 1))), Struck::Same);
        assert_eq!(all.strike(b"b", &none, None), Struck::Same);
        assert_eq!(all.strike(b"a", &seen, Some(weight(1, 1))), Struck::Twice);
        assert!(all.unlike().is_empty());
        let strike = |file: &[u8], flags: &Flags, size| {
            let mut all = recorded();
            let struck = all.strike(file, flags, size);
            let unlike = all.unlike();
            let numbers = |uids: BTreeSet<Uid>| uids.into_iter().map(Uid::get).collect::<Vec<_>>();
            assert_eq!(unlike.touched.is_empty(), struck != Struck::Touched);
            (struck, numbers(unlike.changed), numbers(unlike.gone))
        };
        let changed = (Struck::Changed, vec![1], vec![2]);
        assert_eq!(strike(b"a", &seen, None), (Struck::Same, vec![], vec![2]));
        assert_eq!(strike(b"c", &seen, None), (Struck::New, vec![], vec![1, 2]));
        assert_eq!(strike(b"a", &none, None), changed, "other flags");
        let draft = Flags::of(&[SystemFlag::Draft]);
        assert_eq!(strike(b"a", &draft, None), changed, "flags that none has");
        let touched = (Struck::Touched, vec![], vec![2]);
        let odd = [
            weight(2, 1),
            weight(1, 2),
            Weight {
                size: 1,
                stamp: None,
            },
        ];
        for other in odd {
            assert_eq!(strike(b"a", &seen, Some(other)), touched, "{other:?}");
        }
    }

    #[test]
    fn either_makes_a_difference() {
        let one = || BTreeSet::from([uid(1)]);
        let unlike = |changed, gone| Unlike {
            changed,
            gone,
            touched: BTreeSet::new(),
        };
        assert!(!unlike(one(), BTreeSet::new()).is_empty());
        let both = unlike(one(), BTreeSet::from([uid(2)]));
        assert_eq!(both.uids(), [uid(1), uid(2)].into());
        assert!(!unlike(BTreeSet::new(), one()).is_empty());
        assert!(Unlike::default().is_empty());
    }

    /// There may be a million of these.
    #[test]
    fn a_file_is_small() {
        assert!(size_of::<([u64; 2], RecordedFile)>() <= 32);
    }
}
