//! Adds and removes mailboxes.

pub mod checkpoint;
mod identity;
mod refused_keywords;
pub mod uid_proof;
mod unreadable;

use crate::model::{Aside, MailboxKey, MailboxName, PairId, UidValidity};
use crate::state::{State, StateError, doing};
use rusqlite::params;
use std::collections::BTreeSet;

impl State {
    /// Adds a mailbox.
    pub fn add_mailbox(&mut self, name: &MailboxName, tag: u32) -> Result<MailboxKey, StateError> {
        let keys = self.add_mailboxes(&[(name, tag)])?;
        Ok(keys.first().copied().unwrap_or(MailboxKey(0)))
    }

    /// Adds mailboxes in one transaction; returns their rows in order.
    pub fn add_mailboxes(
        &mut self,
        tagged: &[(&MailboxName, u32)],
    ) -> Result<Vec<MailboxKey>, StateError> {
        if tagged.is_empty() {
            return Ok(Vec::new());
        }
        let what = doing("add mailboxes");
        let tx = self.db.transaction().map_err(&what)?;
        let mut keys = Vec::new();
        for (name, tag) in tagged {
            let sql = "INSERT INTO mailbox (name, tag) VALUES (?1, ?2)";
            let added = tx.execute(sql, params![name.to_string(), tag]);
            added.map_err(&what)?;
            keys.push(MailboxKey(tx.last_insert_rowid()));
        }
        tx.commit().map_err(what)?;
        Ok(keys)
    }

    /// Removes a mailbox with all its messages.
    pub fn forget_mailbox(&mut self, key: MailboxKey) -> Result<(), StateError> {
        let sql = "DELETE FROM mailbox WHERE id = ?1";
        self.db
            .execute(sql, [key.0])
            .map_err(doing("forget a mailbox"))?;
        Ok(())
    }

    /// Drops the messages of a mailbox except these, so that the others are copied again; skipped
    /// messages among these stay skipped.
    pub fn forget_messages(
        &mut self,
        key: MailboxKey,
        kept: &BTreeSet<PairId>,
        aside: &[Aside],
    ) -> Result<(), StateError> {
        let what = doing("forget the messages of a mailbox");
        let tx = self.db.transaction().map_err(&what)?;
        let pairs: Vec<PairId> = {
            let sql = "SELECT id FROM pair WHERE mailbox = ?1";
            let mut query = tx.prepare_cached(sql).map_err(&what)?;
            let ids = query.query_map([key.0], |row| Ok(PairId(row.get(0)?)));
            ids.and_then(Iterator::collect).map_err(&what)?
        };
        for pair in pairs.iter().filter(|pair| !kept.contains(pair)) {
            let mut delete = tx
                .prepare_cached("DELETE FROM pair WHERE id = ?1")
                .map_err(&what)?;
            delete.execute([pair.0]).map_err(&what)?;
        }
        for sql in [
            "DELETE FROM aside WHERE mailbox = ?1",
            "DELETE FROM upload WHERE mailbox = ?1",
            "UPDATE mailbox SET remote_cursor = NULL, local_cursor = NULL, local_id = NULL
             WHERE id = ?1",
        ] {
            tx.execute(sql, [key.0]).map_err(&what)?;
        }
        for aside in aside {
            crate::state::pairs::outcome::set_aside(&tx, key, aside).map_err(&what)?;
        }
        // The UIDs of the remaining messages are valid in this UIDVALIDITY only.
        if kept.is_empty() && !aside.iter().any(|aside| aside.uid().is_some()) {
            let sql = "UPDATE mailbox SET epoch = NULL WHERE id = ?1";
            tx.execute(sql, [key.0]).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Records the UIDVALIDITY of mailboxes that had none.
    pub fn learn_epochs(&mut self, all: &[(MailboxKey, UidValidity)]) -> Result<(), StateError> {
        let what = doing("remember UIDVALIDITY");
        let tx = self.db.transaction().map_err(&what)?;
        for (key, uid_validity) in all {
            let sql = "UPDATE mailbox SET epoch = ?2 WHERE id = ?1 AND epoch IS NULL";
            let uid_validity = i64::try_from(uid_validity.0).unwrap_or(i64::MAX);
            let mut update = tx.prepare_cached(sql).map_err(&what)?;
            update
                .execute(params![key.0, uid_validity])
                .map_err(&what)?;
        }
        tx.commit().map_err(what)
    }
}
