//! The age of deleted messages. Wall clocks may be wrong or jump, so the age is counted in days
//! with a run: a day counts once, and not before a day can have passed.

use std::collections::BTreeMap;

/// The time on one boot before the next day counts, seconds: a day, with tolerance for early runs.
const DAY: i64 = 20 * 3600;

/// A time of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The date by the wall clock, days since 1970.
    pub date: i64,
    /// The id of the boot; empty: unknown.
    pub boot: String,
    /// Seconds since boot with sleep; cannot be set.
    pub uptime: i64,
}

/// The recorded days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// The number of days.
    pub count: i64,
    /// The time of the last of them.
    pub last: Option<Moment>,
}

impl Days {
    /// Whether a new day begins; `known`: its date was recorded before.
    pub fn is_new(&self, now: &Moment, known: bool) -> bool {
        let Some(last) = &self.last else {
            return true;
        };
        let same_boot = !now.boot.is_empty() && now.boot == last.boot;
        let passed = now.uptime - last.uptime;
        !known && (!same_boot || passed >= DAY)
    }
}

/// Returns the day count at which each directory of the quarantine was new. An unknown one counts a
/// day for each younger one. Today's directory may have new content.
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

/// Returns the directories older than this many days.
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

    /// Plays times; returns the day count after each.
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
        // A machine without a hardware clock: 1970 until the network sets it.
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
        // Unknown directories: each counts a day.
        let first = ages(&BTreeMap::new(), &there, "2026-11-02", 7);
        let since: Vec<i64> = first.values().copied().collect();
        assert_eq!(since, [5, 6, 7]);
        assert_eq!(over(&first, 8, 1), names(&["1982-01-01", "2026-11-01"]));
        assert!(over(&first, 8, 3).is_empty() && over(&first, 37, 30).len() == 2);
        // New content in a directory of an old date.
        let again = ages(&first, &there, "1982-01-01", 40);
        assert_eq!(again["1982-01-01"], 40);
        assert_eq!(over(&again, 40, 30), names(&["2026-11-01", "2026-11-02"]));
        // A state restored from a copy knows future days.
        let ahead = BTreeMap::from([("2026-11-02".to_owned(), 99)]);
        assert_eq!(ages(&ahead, &there, "x", 7)["2026-11-02"], 7);
        assert!(over(&ages(&BTreeMap::new(), &[], "x", 7), 7, 0).is_empty());
    }
}
