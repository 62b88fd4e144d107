//! Messages that were transferred when the connection broke; each is then copied separately.

use crate::model::{AnyId, MailboxKey, MailboxName, Uid, UidValidity};
use crate::state::pairs::base::{epoch_from, id_bytes, id_from, name_from, side_from, side_number};
use crate::state::{State, StateError, doing};
use rusqlite::{Row, params};
use std::collections::BTreeMap;

/// Messages by mailbox, with the number of broken connections.
pub type Suspects = BTreeMap<MailboxKey, BTreeMap<AnyId, u32>>;

/// A message of a pair at which no connection broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// Its UIDVALIDITY, if known.
    pub epoch: Option<UidValidity>,
    /// The message.
    pub uid: Uid,
}

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

    /// Returns a few messages of pairs at which no connection broke, those of this mailbox before
    /// others, newest first.
    pub fn unsuspected(&self, key: MailboxKey) -> Result<Vec<Passing>, StateError> {
        const MANY: i64 = 64;
        const FEW: usize = 3;
        let suspects = self.suspects()?;
        let what = doing("look for a message that can be read");
        let sql = "SELECT m.name, m.epoch, p.uid, m.id FROM pair p
                   JOIN mailbox m ON m.id = p.mailbox
                   ORDER BY m.id <> ?1, p.id DESC LIMIT ?2";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            let name = name_from(&row.get::<_, String>(0)?);
            let (epoch, uid) = (epoch_from(row.get(1)?), Uid::new(row.get(2)?));
            Ok((MailboxKey(row.get(3)?), name, epoch, uid))
        };
        let rows = query.query_map(params![key.0, MANY], read).map_err(&what)?;
        let mut all = Vec::new();
        for row in rows {
            let (key, mailbox, epoch, uid) = row.map_err(&what)?;
            let broke = |uid: Uid| {
                let known = suspects.get(&key);
                known.is_some_and(|known| known.contains_key(&AnyId::Remote(uid)))
            };
            if let Some(uid) = uid.filter(|uid| !broke(*uid)) {
                all.push(Passing {
                    mailbox,
                    epoch,
                    uid,
                });
            }
        }
        all.truncate(FEW);
        Ok(all)
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
    use crate::model::{Id, MaildirId};

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
