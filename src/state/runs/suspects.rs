//! Messages that were transferred when the connection broke; each is then copied separately.

use crate::model::{AnyId, MailboxKey};
use crate::state::pairs::base::{id_bytes, id_from, side_from, side_number};
use crate::state::{State, StateError, doing};
use rusqlite::{Row, params};
use std::collections::BTreeMap;

/// Messages by mailbox, with the number of broken connections.
pub type Suspects = BTreeMap<MailboxKey, BTreeMap<AnyId, u32>>;

impl State {
    /// Returns the messages that were transferred when a connection broke, and did not pass since.
    pub fn suspects(&self) -> Result<Suspects, StateError> {
        let what = doing("read at which messages the connection broke");
        let sql = "SELECT mailbox, side, message, breaks FROM suspect";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            let id = id_from(side_from(row.get(1)?), row.get(2)?);
            Ok((MailboxKey(row.get(0)?), id, row.get(3)?))
        };
        let rows = query.query_map([], read).map_err(&what)?;
        let mut all = Suspects::new();
        for row in rows {
            let (key, id, breaks) = row.map_err(&what)?;
            all.entry(key)
                .or_default()
                .extend(id.map(|id| (id, breaks)));
        }
        Ok(all)
    }

    /// Records that the connection broke while these messages were transferred.
    pub fn suspect(&mut self, key: MailboxKey, ids: &[AnyId]) -> Result<(), StateError> {
        let what = doing("note at which messages the connection broke");
        let tx = self.db.transaction().map_err(&what)?;
        let sql = "INSERT INTO suspect (mailbox, side, message, breaks) VALUES (?1, ?2, ?3, 1)
                   ON CONFLICT (mailbox, side, message) DO UPDATE SET breaks = breaks + 1";
        for id in ids {
            let mut insert = tx.prepare_cached(sql).map_err(&what)?;
            let values = params![key.0, side_number(id.side()), id_bytes(id)];
            insert.execute(values).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Drops messages that passed or are skipped.
    pub fn clear_suspects(&mut self, key: MailboxKey, ids: &[AnyId]) -> Result<(), StateError> {
        let what = doing("forget at which messages the connection broke");
        let tx = self.db.transaction().map_err(&what)?;
        let sql = "DELETE FROM suspect WHERE mailbox = ?1 AND side = ?2 AND message = ?3";
        for id in ids {
            let mut delete = tx.prepare_cached(sql).map_err(&what)?;
            let values = params![key.0, side_number(id.side()), id_bytes(id)];
            delete.execute(values).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, MailboxName, MaildirId, Uid};

    #[test]
    fn breaks_are_counted_by_message_until_it_passes() {
        let mut state = State::in_memory().unwrap();
        let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
        let (uid, file) = (Uid::new(300).unwrap().any(), MaildirId::new("f").any());
        let both = [uid.clone(), file.clone()];
        state.suspect(key, &both).unwrap();
        state.suspect(key, &both[1..]).unwrap();
        let all = state.suspects().unwrap();
        assert_eq!(all[&key], [(uid.clone(), 1), (file, 2)].into());
        state.clear_suspects(key, &both[1..]).unwrap();
        assert_eq!(state.suspects().unwrap()[&key], [(uid, 1)].into());
    }
}
