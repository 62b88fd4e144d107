//! How long what was deleted is kept. The clock of a machine may be wrong or jump, so age is
//! counted in days that were seen: a day counts once, and no sooner than a day can have passed.

use std::collections::BTreeMap;

/// On one boot of the machine the next day does not count before so many seconds have passed: a
/// day, with some tolerance for runs that are a little early.
const DAY: i64 = 20 * 3600;

/// A moment as the machine tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The date by the clock, days since 1970.
    pub date: i64,
    /// Which boot of the machine it is; empty: not known.
    pub boot: String,
    /// Seconds since that boot, sleep included; no clock that anybody sets.
    pub uptime: i64,
}

/// What is remembered of the days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// How many days were seen.
    pub count: i64,
    /// The moment at which the last of them was.
    pub last: Option<Moment>,
}

impl Days {
    /// Whether this moment is in a day that was not seen yet; `known`: its date was seen before.
    pub fn is_new(&self, now: &Moment, known: bool) -> bool {
        let Some(last) = &self.last else {
            return true;
        };
        let same_boot = !now.boot.is_empty() && now.boot == last.boot;
        let passed = now.uptime - last.uptime;
        !known && (!same_boot || passed >= DAY)
    }
}

/// The day count since when each directory of the quarantine is known to be as old as it is. One
/// that was not known counts as old as there are younger ones: each stands for a day. The directory
/// of today may have got something new.
pub fn ages(
    known: &BTreeMap<String, i64>,
    there: &[String],
    today: &str,
    count: i64,
) -> BTreeMap<String, i64> {
    let mut names: Vec<&String> = there.iter().collect();
    names.sort();
    let younger = names.iter().rev().enumerate();
    let since = |(younger, name): (usize, &&String)| {
        let guess = count - i64::try_from(younger).unwrap_or(0);
        let since = match known.get(*name) {
            _ if *name == today => count,
            Some(since) => (*since).min(count),
            None => guess,
        };
        ((*name).clone(), since)
    };
    younger.map(since).collect()
}

/// The directories that were kept for more than so many days.
pub fn over(ages: &BTreeMap<String, i64>, count: i64, days: u32) -> Vec<String> {
    let old = |since: i64| count - since > i64::from(days);
    let over = ages.iter().filter(|(_, since)| old(**since));
    over.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(date: i64, boot: &str, hours: i64) -> Moment {
        Moment {
            date,
            boot: boot.to_owned(),
            uptime: hours * 3600,
        }
    }

    /// Plays moments; answers with the day count after each.
    fn counts(moments: &[Moment]) -> Vec<i64> {
        let (mut days, mut seen) = (Days::default(), std::collections::BTreeSet::new());
        let mut all = Vec::new();
        for now in moments {
            if days.is_new(now, seen.contains(&now.date)) {
                days.count += 1;
                days.last = Some(now.clone());
                seen.insert(now.date);
            }
            all.push(days.count);
        }
        all
    }

    #[test]
    fn a_day_counts_once_and_no_sooner_than_it_can_have_passed() {
        let daily: Vec<_> = (0..5).map(|n| at(100 + n, "a", n * 24)).collect();
        assert_eq!(counts(&daily), [1, 2, 3, 4, 5]);
        let often: Vec<_> = (0..49).map(|n| at(100 + n / 24, "a", n)).collect();
        assert_eq!(counts(&often).last(), Some(&3));
        let jumps = [100, 160, 161, 162, 100, 163].map(|date| at(date, "a", 1));
        assert_eq!(counts(&jumps), [1; 6], "the clock jumps, nothing ages");
        let stuck: Vec<_> = (0..9).map(|n| at(0, "a", n * 24)).collect();
        assert_eq!(counts(&stuck), [1; 9]);
        // A machine without a clock of its own: 1970, until the network tells.
        let mut boots = Vec::new();
        for n in 0..9 {
            let boot = n.to_string();
            boots.extend([at(0, &boot, 0), at(100 + n / 3, &boot, 0)]);
        }
        assert!(counts(&boots).last() <= Some(&4), "{:?}", counts(&boots));
    }

    #[test]
    fn directories_age_by_days_that_were_seen() {
        let names = |all: &[&str]| {
            all.iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let there = names(&["1982-01-01", "2026-11-01", "2026-11-02"]);
        // Nothing is known of them: each stands for a day.
        let first = ages(&BTreeMap::new(), &there, "2026-11-02", 7);
        let since: Vec<i64> = first.values().copied().collect();
        assert_eq!(since, [5, 6, 7]);
        assert_eq!(over(&first, 8, 1), names(&["1982-01-01", "2026-11-01"]));
        assert!(over(&first, 8, 3).is_empty() && over(&first, 37, 30).len() == 2);
        // What comes into a directory of an old date is new.
        let again = ages(&first, &there, "1982-01-01", 40);
        assert_eq!(again["1982-01-01"], 40);
        assert_eq!(over(&again, 40, 30), names(&["2026-11-01", "2026-11-02"]));
        // A state that was put back from an older copy knows days that are to come.
        let ahead = BTreeMap::from([("2026-11-02".to_owned(), 99)]);
        assert_eq!(ages(&ahead, &there, "x", 7)["2026-11-02"], 7);
        assert!(over(&ages(&BTreeMap::new(), &[], "x", 7), 7, 0).is_empty());
    }
}
