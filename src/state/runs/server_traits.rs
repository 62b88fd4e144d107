//! Traits of the server that differ from its capabilities.

use crate::state::{State, StateError, doing};
use rusqlite::params;

/// A trait expires after this time, seconds: the server may have been repaired.
const HOLDS: i64 = 90 * 24 * 3600;

impl State {
    /// Returns the recorded traits.
    pub fn learned(&self, now: i64) -> Result<Vec<String>, StateError> {
        let what = doing("read what was learned of the server");
        let sql = "SELECT name FROM learned WHERE at > ?1 ORDER BY name";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([now - HOLDS], |row| row.get(0));
        rows.map_err(&what)?.collect::<Result<_, _>>().map_err(what)
    }

    /// Records traits. Writes only new ones.
    pub fn learn(&mut self, names: &[&str], now: i64) -> Result<(), StateError> {
        let known = self.learned(now)?;
        let what = doing("note what was learned of the server");
        for name in names
            .iter()
            .filter(|name| !known.iter().any(|one| one == *name))
        {
            let sql = "INSERT OR REPLACE INTO learned (name, at) VALUES (?1, ?2)";
            self.db.execute(sql, params![name, now]).map_err(&what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_holds_for_a_while() {
        let mut state = State::in_memory().unwrap();
        state.learn(&["b", "a"], 1000).unwrap();
        state.learn(&["a"], 2000).unwrap();
        assert_eq!(state.learned(3000).unwrap(), ["a", "b"]);
        let later = 1000 + HOLDS;
        assert!(state.learned(later).unwrap().is_empty());
        state.learn(&["a"], later).unwrap();
        assert_eq!(state.learned(later + 1).unwrap(), ["a"]);
    }
}
