//! What was recorded of the files of a mailbox, in few bytes each: enough to see which of them are
//! no longer what was recorded, in a mailbox of any size.

use super::flags::Flags;
use super::id::Uid;
use super::stamp::Weight;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

/// Files by digests of their names. Another name has the same digest in one of 10^38 cases, and
/// nobody can know in which.
#[derive(Debug, Default)]
pub struct Recorded {
    keys: [RandomState; 2],
    files: HashMap<[u64; 2], File>,
    /// All that files carry, and their numbers here.
    flags: BTreeMap<Flags, u32>,
    changed: BTreeSet<Uid>,
    touched: BTreeSet<Uid>,
}

#[derive(Debug)]
struct File {
    /// Of its weight.
    weight: u64,
    flags: u32,
    /// `None`: it is there, and struck off.
    uid: Option<Uid>,
}

/// What a file that is there is to what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// Just that.
    Same,
    /// It was recorded with other flags.
    Changed,
    /// It was recorded with another weight: it may have another content.
    Touched,
    /// It was not recorded.
    New,
    /// A file of that name was struck off already.
    Twice,
}

/// The messages of which the files are not what was recorded, by their names on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlike {
    /// They are there, with other flags.
    pub changed: BTreeSet<Uid>,
    /// They are there, with the same flags; only their content shows whether they are the same.
    pub touched: BTreeSet<Uid>,
    /// They are not there.
    pub gone: BTreeSet<Uid>,
}

impl Unlike {
    /// All of them that surely are not.
    pub fn uids(&self) -> BTreeSet<Uid> {
        self.changed.union(&self.gone).copied().collect()
    }

    /// Whether there are none that surely are not.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }
}

impl Recorded {
    /// Room for so many.
    pub fn with_capacity(files: usize) -> Recorded {
        Recorded {
            files: HashMap::with_capacity(files),
            ..Recorded::default()
        }
    }

    /// A file (the base name) of a message, with its flags and its weight.
    pub fn add(&mut self, uid: Uid, file: &[u8], flags: Flags, weight: Weight) {
        let next = u32::try_from(self.flags.len()).unwrap_or(u32::MAX);
        let flags = *self.flags.entry(flags).or_insert(next);
        let uid = Some(uid);
        let (digest, weight) = (self.digest(file), self.weigh(weight));
        self.files.insert(digest, File { weight, flags, uid });
    }

    /// Strikes a file that is there off. Without a weight that is not asked.
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

    /// What is not as it was recorded, now that all files that are there were struck off.
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

    /// There may be one for each of a million messages.
    #[test]
    fn a_file_is_small() {
        assert!(size_of::<([u64; 2], File)>() <= 32);
    }
}
