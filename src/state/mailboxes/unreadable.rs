//! Mailboxes that cannot be read, and since when.

use crate::model::MailboxName;
use crate::state::pairs::base::name_from;
use crate::state::{State, StateError, doing};
use rusqlite::{Row, params};
use std::collections::{BTreeMap, BTreeSet};

impl State {
    /// Returns the mailboxes that the last run could not read, and since when, seconds since 1970.
    pub fn unseen(&self) -> Result<BTreeMap<MailboxName, i64>, StateError> {
        let what = doing("read what cannot be looked into");
        let sql = "SELECT mailbox, since FROM unseen";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| Ok((name_from(row.get_ref(0)?.as_str()?), row.get(1)?));
        let rows = query.query_map([], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Records the mailboxes that cannot be read, and drops the others except those in `kept`.
    /// Writes only differences.
    pub fn set_unseen(
        &mut self,
        names: &BTreeSet<MailboxName>,
        kept: &BTreeSet<MailboxName>,
        now: i64,
    ) -> Result<(), StateError> {
        let before = self.unseen()?;
        let over = before
            .keys()
            .filter(|name| !names.contains(name) && !kept.contains(name));
        let over: Vec<&MailboxName> = over.collect();
        // A time in the future comes from a wrong clock.
        let is_new = |name: &&MailboxName| before.get(*name).is_none_or(|since| *since > now);
        let new: Vec<&MailboxName> = names.iter().filter(is_new).collect();
        if over.is_empty() && new.is_empty() {
            return Ok(());
        }
        let what = doing("note what cannot be looked into");
        let tx = self.db.transaction().map_err(&what)?;
        for name in over {
            let sql = "DELETE FROM unseen WHERE mailbox = ?1";
            tx.execute(sql, [name.to_string()]).map_err(&what)?;
        }
        for name in new {
            let sql = "INSERT OR REPLACE INTO unseen (mailbox, since) VALUES (?1, ?2)";
            tx.execute(sql, params![name.to_string(), now])
                .map_err(&what)?;
        }
        tx.commit().map_err(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_kept_while_it_lasts() {
        let mut state = State::in_memory().unwrap();
        let all = |names: &[&str]| -> BTreeSet<MailboxName> {
            names
                .iter()
                .filter_map(|name| MailboxName::parse(name))
                .collect()
        };
        let times = |state: &State| state.unseen().unwrap().into_values().collect::<Vec<_>>();
        state.set_unseen(&all(&["A", "B"]), &all(&[]), 5).unwrap();
        let writes = state.writes();
        state.set_unseen(&all(&["A", "B"]), &all(&[]), 9).unwrap();
        assert_eq!((times(&state), state.writes()), (vec![5, 5], writes));
        state.set_unseen(&all(&["A"]), &all(&["B"]), 9).unwrap();
        assert_eq!(times(&state), [5, 5], "B was not looked at");
        state.set_unseen(&all(&["A"]), &all(&[]), 9).unwrap();
        assert_eq!(times(&state), [5]);
        state.set_unseen(&all(&["A"]), &all(&[]), 4).unwrap();
        assert_eq!(times(&state), [4], "the clock went back");
    }
}
