//! UID sets as ranges; never expanded, as a range may span 4 billion.

use crate::model::Uid;
use std::collections::BTreeSet;
use std::fmt;

/// Most ranges of a set.
pub const RANGES: usize = 1 << 20;

/// UIDs as sorted, disjoint, inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidSet(Vec<(u32, u32)>);

impl UidSet {
    /// Makes a set of ranges in any order; `9:4` equals `4:9` (RFC 9051, sequence-set).
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u32, u32)>) -> UidSet {
        let mut all: Vec<(u32, u32)> = ranges
            .into_iter()
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect();
        all.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(all.len());
        for (low, high) in all {
            match merged.last_mut() {
                Some((_, last)) if low <= last.saturating_add(1) => *last = (*last).max(high),
                _ => merged.push((low, high)),
            }
        }
        UidSet(merged)
    }

    /// Makes a set of UIDs.
    pub fn from_uids<'a>(uids: impl IntoIterator<Item = &'a Uid>) -> UidSet {
        UidSet::from_ranges(uids.into_iter().map(|uid| (uid.get(), uid.get())))
    }

    /// Parses `1:3,7`; `*` is the highest number. `None`: invalid.
    pub fn parse(text: &[u8]) -> Option<UidSet> {
        if memchr::memchr_iter(b',', text).count() > RANGES {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let number = |n: &str| {
            if n == "*" {
                Some(u32::MAX)
            } else {
                n.parse().ok()
            }
        };
        let range = |part: &str| match part.split_once(':') {
            Some((a, b)) => Some((number(a)?, number(b)?)),
            None => number(part).map(|n| (n, n)),
        };
        let ranges: Option<Vec<(u32, u32)>> = text.split(',').map(range).collect();
        ranges.map(UidSet::from_ranges)
    }

    /// Whether it contains the UID.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.0.partition_point(|(_, high)| *high < uid.get());
        self.0.get(at).is_some_and(|(low, _)| *low <= uid.get())
    }

    /// Returns the number of UIDs.
    #[allow(
        clippy::len_without_is_empty,
        reason = "nothing asks whether a set is empty"
    )]
    pub fn len(&self) -> u64 {
        self.0
            .iter()
            .map(|(low, high)| u64::from(high - low) + 1)
            .sum()
    }

    /// Bytes of memory.
    pub fn weight(&self) -> usize {
        self.0.len() * size_of::<(u32, u32)>()
    }

    /// Returns the union.
    pub fn union(&self, other: &UidSet) -> UidSet {
        UidSet::from_ranges(self.0.iter().chain(&other.0).copied())
    }

    /// Returns the difference; `None`: it is empty.
    pub fn without(&self, other: &UidSet) -> Option<UidSet> {
        let mut left = Vec::new();
        for (low, high) in &self.0 {
            let mut next = Some(*low);
            for (from, to) in other
                .0
                .iter()
                .filter(|(from, to)| from <= high && to >= low)
            {
                let Some(first) = next else { break };
                if first < *from {
                    left.push((first, from - 1));
                }
                next = to.checked_add(1).filter(|after| after <= high);
            }
            left.extend(next.map(|first| (first, *high)));
        }
        (!left.is_empty()).then_some(UidSet(left))
    }

    /// Returns its UIDs, if there are at most `most`.
    pub fn uids(&self, most: u64) -> Option<BTreeSet<Uid>> {
        if self.len() > most {
            return None;
        }
        Some(
            self.0
                .iter()
                .flat_map(|(low, high)| (*low..=*high).filter_map(Uid::new))
                .collect(),
        )
    }

    /// Returns the lowest UID.
    pub fn first(&self) -> Option<Uid> {
        self.0.first().and_then(|(low, _)| Uid::new(*low))
    }

    /// Splits it into sets whose text fits a command line.
    pub fn pieces(&self) -> Vec<UidSet> {
        self.0
            .chunks(180)
            .map(|ranges| UidSet(ranges.to_vec()))
            .collect()
    }
}

/// UIDs in the server's order: COPYUID pairs two lists, which need not be sorted (RFC 4315, 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidList(Vec<(u32, u32)>);

impl UidList {
    /// Parses `5,3,10:12`. `None`: invalid.
    pub fn parse(text: &[u8]) -> Option<UidList> {
        if memchr::memchr_iter(b',', text).count() > RANGES {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let range = |part: &str| match part.split_once(':') {
            Some((a, b)) => {
                let (a, b): (u32, u32) = (a.parse().ok()?, b.parse().ok()?);
                Some((a.min(b), a.max(b)))
            }
            None => part.parse().ok().map(|n| (n, n)),
        };
        let ranges: Option<Vec<(u32, u32)>> = text.split(',').map(range).collect();
        ranges.map(UidList)
    }

    /// Bytes of memory.
    pub fn weight(&self) -> usize {
        self.0.len() * size_of::<(u32, u32)>()
    }

    fn len(&self) -> u64 {
        let one = |(low, high): &(u32, u32)| u64::from(high - low) + 1;
        self.0.iter().map(one).sum()
    }

    /// Pairs two lists; empty if their lengths differ or exceed the limit.
    pub fn pairs(&self, other: &UidList, most: u64) -> Vec<(Uid, Uid)> {
        if self.len() != other.len() || self.len() > most {
            return Vec::new();
        }
        let flat = |list: &UidList| -> Vec<Uid> {
            let ranges = list.0.iter();
            ranges
                .flat_map(|(low, high)| (*low..=*high).filter_map(Uid::new))
                .collect()
        };
        flat(self).into_iter().zip(flat(other)).collect()
    }
}

impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (low, high)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match low == high {
                true => write!(f, "{low}")?,
                false => write!(f, "{low}:{high}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order() {
        let list = |text: &str| UidList::parse(text.as_bytes()).unwrap();
        let numbers = |pairs: Vec<(Uid, Uid)>| -> Vec<(u32, u32)> {
            pairs.iter().map(|(a, b)| (a.get(), b.get())).collect()
        };
        let pairs = list("5,3,8:9").pairs(&list("20:22,7"), 10);
        assert_eq!(numbers(pairs), [(5, 20), (3, 21), (8, 22), (9, 7)]);
        assert!(list("1:3").pairs(&list("1:2"), 10).is_empty());
        assert!(
            list("1:4294967295")
                .pairs(&list("1:4294967295"), 10)
                .is_empty()
        );
        assert_eq!(UidList::parse(b"1:*"), None);
    }

    #[test]
    fn sets_as_servers_send_them() {
        for (text, want, len) in [
            ("1:3,7", "1:3,7", 4_u64),
            ("9:4", "4:9", 6),
            ("5,4,3", "3:5", 3),
            ("1:4294967295", "1:4294967295", 4_294_967_295),
            ("3:*", "3:4294967295", 4_294_967_293),
        ] {
            let set = UidSet::parse(text.as_bytes()).unwrap();
            assert_eq!((set.to_string().as_str(), set.len()), (want, len));
        }
        for bad in ["", "a", "1:", "1,,2", "-1", "4294967296"] {
            assert_eq!(UidSet::parse(bad.as_bytes()), None, "{bad}");
        }
        let set = UidSet::parse(b"2:4,9").unwrap();
        let has: Vec<u32> = (1..11)
            .filter(|n| set.contains(Uid::new(*n).unwrap()))
            .collect();
        assert_eq!(has, [2, 3, 4, 9]);
        assert!(UidSet::parse(b"1:4294967295").unwrap().uids(1000).is_none());
    }

    #[test]
    fn a_set_without_another_keeps_the_gaps() {
        let set = |text: &str| UidSet::parse(text.as_bytes()).unwrap();
        for (own, other, left) in [
            ("1:9", "3:4,7", "1:2,5:6,8:9"),
            ("1:9", "9:20", "1:8"),
            ("4:6,8", "1:4,6", "5,8"),
            ("3", "4", "3"),
        ] {
            assert_eq!(
                set(own).without(&set(other)),
                Some(set(left)),
                "{own} {other}"
            );
        }
        assert_eq!(set("2:3").without(&set("1:9")), None);
    }
}
