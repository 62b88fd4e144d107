//! The days on which mailtide ran, and the age of each directory of the quarantine in such days:
//! quarantine expires by them, not by the clock alone.

use crate::reconcile::retention::{Days, Moment};
use crate::state::{State, StateError, doing};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;

impl State {
    /// Returns the number of such days, and whether this date (days since 1970) is one of them.
    pub fn seen_days(&self, date: i64) -> Result<(Days, bool), StateError> {
        let what = doing("read which days were seen");
        let sql = "SELECT number, date, boot, uptime FROM seen_day ORDER BY number DESC LIMIT 1";
        let read = |row: &Row<'_>| {
            let last = Moment {
                date: row.get(1)?,
                boot: row.get(2)?,
                uptime: row.get(3)?,
            };
            Ok(Days {
                count: row.get(0)?,
                last: Some(last),
            })
        };
        let days = self.db.query_row(sql, [], read).optional().map_err(&what)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM seen_day WHERE date = ?1)";
        let known = self.db.query_row(sql, [date], |row| row.get(0));
        Ok((days.unwrap_or_default(), known.map_err(what)?))
    }

    /// Returns the day count at which each directory of the quarantine was first seen.
    pub fn kept_days(&self) -> Result<BTreeMap<String, i64>, StateError> {
        let what = doing("read how old the quarantine is");
        let mut query = self
            .db
            .prepare_cached("SELECT name, since FROM kept_day")
            .map_err(&what)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.map_err(&what)?.collect::<Result<_, _>>().map_err(what)
    }

    /// Records directories and a new day. Writes only what is new.
    pub fn note_days(
        &mut self,
        (known, ages): (&BTreeMap<String, i64>, &BTreeMap<String, i64>),
        new: Option<(&Moment, i64)>,
    ) -> Result<(), StateError> {
        if known == ages && new.is_none() {
            return Ok(());
        }
        let what = doing("note how old the quarantine is");
        let tx = self.db.transaction().map_err(&what)?;
        if known != ages {
            tx.execute("DELETE FROM kept_day", []).map_err(&what)?;
            for (name, since) in ages {
                let sql = "INSERT INTO kept_day (name, since) VALUES (?1, ?2)";
                tx.execute(sql, params![name, since]).map_err(&what)?;
            }
        }
        if let Some((now, number)) = new {
            let sql = "INSERT OR REPLACE INTO seen_day (date, number, boot, uptime)
                       VALUES (?1, ?2, ?3, ?4)";
            let values = params![now.date, number, now.boot, now.uptime];
            tx.execute(sql, values).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_remembered_and_written_once() {
        let mut state = State::in_memory().unwrap();
        assert_eq!(state.seen_days(7).unwrap(), (Days::default(), false));
        let now = Moment {
            date: 7,
            boot: "a".to_owned(),
            uptime: 5,
        };
        let ages = BTreeMap::from([("1970-01-08".to_owned(), 1)]);
        let none = BTreeMap::new();
        state.note_days((&none, &ages), Some((&now, 1))).unwrap();
        let days = Days {
            count: 1,
            last: Some(now),
        };
        assert_eq!(state.seen_days(7).unwrap(), (days.clone(), true));
        assert_eq!(state.seen_days(8).unwrap(), (days, false));
        let known = state.kept_days().unwrap();
        assert_eq!(known, ages);
        let before = state.writes();
        state.note_days((&known, &ages), None).unwrap();
        assert_eq!(state.writes(), before);
        state.note_days((&known, &none), None).unwrap();
        assert!(state.kept_days().unwrap().is_empty());
    }
}
