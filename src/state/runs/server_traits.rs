//! Traits of the server that differ from its capabilities.

use crate::state::{State, StateError, doing};
use rusqlite::params;

/// A trait expires after this time, seconds: the server may have been repaired.
const HOLDS: i64 = 90 * 24 * 3600;
/// A number of connections expires after this time: other programs may have used the rest.
const COUNT_HOLDS: i64 = 6 * 3600;
/// The part of a name before a number of connections.
const COUNTED: &str = "connections-";

impl State {
    /// Returns the recorded traits.
    pub fn learned(&self, now: i64) -> Result<Vec<String>, StateError> {
        let what = doing("read what was learned of the server");
        let sql = "SELECT name FROM learned
                   WHERE at > iif(name LIKE '%' || ?3 || '%', ?2, ?1) ORDER BY name";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let since = params![now - HOLDS, now - COUNT_HOLDS, COUNTED];
        let rows = query.query_map(since, |row| row.get(0));
        rows.map_err(&what)?.collect::<Result<_, _>>().map_err(what)
    }

    /// Records traits. Writes only new ones; a number of connections replaces the former one.
    pub fn learn(&mut self, names: &[String], now: i64) -> Result<(), StateError> {
        let known = self.learned(now)?;
        let what = doing("note what was learned of the server");
        for name in names
            .iter()
            .filter(|name| !known.iter().any(|one| one == *name))
        {
            if let Some((prefix, _)) = name.rsplit_once(COUNTED) {
                let sql = "DELETE FROM learned WHERE name LIKE ?1 || ?2 || '%'";
                self.db.execute(sql, [prefix, COUNTED]).map_err(&what)?;
            }
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
        let learn = |state: &mut State, names: &[&str], now| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            state.learn(&names, now).unwrap();
        };
        learn(&mut state, &["b", "a"], 1000);
        learn(&mut state, &["a"], 2000);
        assert_eq!(state.learned(3000).unwrap(), ["a", "b"]);
        let later = 1000 + HOLDS;
        assert!(state.learned(later).unwrap().is_empty());
        learn(&mut state, &["a"], later);
        assert_eq!(state.learned(later + 1).unwrap(), ["a"]);
        // A number replaces the former one, and expires soon.
        learn(&mut state, &["connections-3", "own-connections-1"], later);
        learn(&mut state, &["connections-2"], later);
        let now = ["a", "connections-2", "own-connections-1"];
        assert_eq!(state.learned(later + 1).unwrap(), now);
        assert_eq!(state.learned(later + COUNT_HOLDS).unwrap(), ["a"]);
    }
}
