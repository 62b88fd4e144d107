//! Checkpoints: a cursor for each side of a mailbox, and the time of its last full comparison.
//!
//! Written without fsync: a checkpoint that a power failure takes back only causes another read,
//! and it is never newer than the rows before it.

use crate::model::{MailboxKey, MailboxName, Side};
use crate::reconcile::Cursor;
use crate::state::{State, StateError, doing};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// The checkpoint of a mailbox, after all that was read has been executed.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The mailbox.
    pub key: MailboxKey,
    /// The cursors of the sides that were read.
    pub cursors: Vec<(Side, Cursor)>,
    /// The time of the comparison message by message, seconds since 1970; `None`: unchanged.
    pub full_at: Option<i64>,
}

impl Checkpoint {
    /// Makes a checkpoint of one side.
    pub fn on(key: MailboxKey, side: Side, cursor: Cursor) -> Checkpoint {
        Checkpoint {
            key,
            cursors: vec![(side, cursor)],
            full_at: None,
        }
    }
}

impl State {
    /// Returns the cursors of all mailboxes; empty for those never read.
    pub fn cursors(&self, side: Side) -> Result<BTreeMap<MailboxName, Cursor>, StateError> {
        let what = doing("read cursors");
        let sql = match side {
            Side::Remote => "SELECT name, coalesce(remote_cursor, '') FROM mailbox",
            Side::Local => "SELECT name, coalesce(local_cursor, '') FROM mailbox",
        };
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, Cursor(row.get(1)?)));
        let rows = query.query_map([], read).map_err(&what)?;
        let mut all = BTreeMap::new();
        for row in rows {
            let (text, cursor) = row.map_err(&what)?;
            all.extend(MailboxName::parse(&text).map(|name| (name, cursor)));
        }
        Ok(all)
    }

    /// Returns the time of the last comparison of a mailbox; 0: never.
    pub fn full_at(&self, key: MailboxKey) -> Result<i64, StateError> {
        let sql = "SELECT full_at FROM mailbox WHERE id = ?1";
        let query = self.db.prepare_cached(sql);
        query
            .and_then(|mut query| query.query_row([key.0], |row| row.get(0)))
            .map_err(doing("read a mailbox"))
    }

    /// Returns these times of all mailboxes.
    pub fn compared_at(&self) -> Result<Vec<(MailboxKey, i64)>, StateError> {
        let what = doing("read about mailboxes");
        let mut query = self
            .db
            .prepare_cached("SELECT id, full_at FROM mailbox")
            .map_err(&what)?;
        let rows = query.query_map([], |row| Ok((MailboxKey(row.get(0)?), row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(what)
    }

    /// Records checkpoints; the next synced write makes them durable.
    pub fn leave(&mut self, all: &[Checkpoint]) -> Result<(), StateError> {
        if all.is_empty() {
            return Ok(());
        }
        self.db
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(doing("remember cursors"))?;
        let written = self.leave_all(all);
        let back = self.db.pragma_update(None, "synchronous", "FULL");
        written.and(back).map_err(doing("remember cursors"))
    }

    fn leave_all(&mut self, all: &[Checkpoint]) -> Result<(), rusqlite::Error> {
        let tx = self.db.transaction()?;
        all.iter().try_for_each(|left| write(&tx, left))?;
        tx.commit()
    }
}

fn write(tx: &Connection, left: &Checkpoint) -> Result<(), rusqlite::Error> {
    for (side, cursor) in &left.cursors {
        let sql = match side {
            Side::Remote => {
                "UPDATE mailbox SET remote_cursor = ?2 WHERE id = ?1 AND remote_cursor IS NOT ?2"
            }
            Side::Local => {
                "UPDATE mailbox SET local_cursor = ?2 WHERE id = ?1 AND local_cursor IS NOT ?2"
            }
        };
        let mut update = tx.prepare_cached(sql)?;
        update.execute(params![left.key.0, cursor.0])?;
    }
    if let Some(at) = left.full_at {
        let sql = "UPDATE mailbox SET full_at = ?2 WHERE id = ?1";
        let mut update = tx.prepare_cached(sql)?;
        update.execute(params![left.key.0, at])?;
    }
    Ok(())
}
