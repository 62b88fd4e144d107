//! Uploads that the server accepted, until a listing of the mailbox shows them.

use crate::model::{MailboxKey, MaildirId, PairId, Uid};
use crate::state::{State, StateError, doing};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// An accepted upload with a UID; it is a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedUpload {
    /// The file.
    pub file: MaildirId,
    /// The UID.
    pub uid: Uid,
    /// The highest UID before it was sent.
    pub above: u32,
    /// The number of OK responses.
    pub tries: u32,
    /// Whether a listing showed it without flags that were set since.
    pub corrected: bool,
}

impl State {
    /// Returns the uploads of a mailbox with a UID that was not listed yet.
    pub fn told_uploads(&self, key: MailboxKey) -> Result<Vec<AcceptedUpload>, StateError> {
        let what = doing("read uploads");
        let sql = "SELECT file, told, above, tries, phase FROM upload
                   WHERE mailbox = ?1 AND told IS NOT NULL ORDER BY told";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            Ok(AcceptedUpload {
                file: MaildirId::new(row.get::<_, Vec<u8>>(0)?),
                uid: Uid::new(row.get(1)?).ok_or(rusqlite::Error::InvalidQuery)?,
                above: row.get(2)?,
                tries: row.get(3)?,
                corrected: row.get::<_, i64>(4)? == 3,
            })
        };
        let rows = query.query_map([key.0], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Returns the mailboxes with such uploads.
    pub fn unlisted(&self) -> Result<BTreeSet<MailboxKey>, StateError> {
        let what = doing("read uploads");
        let sql = "SELECT DISTINCT mailbox FROM upload WHERE phase >= 2";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([], |row| Ok(MailboxKey(row.get(0)?)));
        rows.and_then(Iterator::collect).map_err(what)
    }

    /// Records that the server accepted these uploads without a UID.
    pub fn take_uploads(&mut self, key: MailboxKey, files: &[MaildirId]) -> Result<(), StateError> {
        if files.is_empty() {
            return Ok(());
        }
        let what = doing("note uploads");
        let tx = self.db.transaction().map_err(&what)?;
        let sql = "UPDATE upload SET phase = 1, taken = 1, tries = tries + 1
                   WHERE mailbox = ?1 AND file = ?2";
        for file in files {
            let mut update = tx.prepare_cached(sql).map_err(&what)?;
            let values = params![key.0, file.as_bytes()];
            update.execute(values).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Returns the number of OK responses for these files without a listing.
    pub fn tries(&self, key: MailboxKey) -> Result<BTreeMap<MaildirId, u32>, StateError> {
        let what = doing("read uploads");
        let sql = "SELECT file, tries FROM upload WHERE mailbox = ?1 AND tries > 0";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([key.0], |row| {
            Ok((MaildirId::new(row.get::<_, Vec<u8>>(0)?), row.get(1)?))
        });
        rows.and_then(Iterator::collect).map_err(what)
    }

    /// Returns the number made of the Message-ID of an uploaded pair.
    pub fn sent_as(&self, pair: PairId) -> Result<Option<i64>, StateError> {
        let what = doing("read what a message was called");
        let sql = "SELECT sent FROM pair WHERE id = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let sent = query.query_row([pair.0], |row| row.get(0));
        Ok(sent.optional().map_err(what)?.flatten())
    }

    /// Whether the UID belongs to another pair.
    pub fn has_uid(
        &self,
        key: MailboxKey,
        uid: Uid,
        but: Option<PairId>,
    ) -> Result<bool, StateError> {
        let what = doing("look for a message");
        let sql = "SELECT 1 FROM pair WHERE mailbox = ?1 AND uid = ?2 AND id IS NOT ?3";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let values = params![key.0, uid.get(), but.map(|pair| pair.0)];
        query.exists(values).map_err(what)
    }
}

pub(in crate::state) use record::{correct, list, name, unlist};

/// Writes the resolutions as parts of a transaction.
mod record {
    use super::{MailboxKey, MaildirId, Uid, params};
    use rusqlite::Connection;

    type SqlResult = Result<(), rusqlite::Error>;

    /// The server returned the UID of an upload.
    pub(in crate::state) fn unlist(
        db: &Connection,
        key: MailboxKey,
        (file, uid): (&MaildirId, Uid),
        (above, tries): (u32, u32),
    ) -> SqlResult {
        let sql = "INSERT OR REPLACE INTO upload (mailbox, file, phase, at, above, told, tries)
                   VALUES (?1, ?2, 2, 0, ?3, ?4, ?5)";
        let values = params![key.0, file.as_bytes(), above, uid.get(), tries];
        db.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// A listing showed it.
    pub(in crate::state) fn list(db: &Connection, key: MailboxKey, file: &MaildirId) -> SqlResult {
        let sql = "DELETE FROM upload WHERE mailbox = ?1 AND file = ?2 AND phase >= 2";
        let values = params![key.0, file.as_bytes()];
        db.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// A listing showed it without flags that were set in the meantime.
    pub(in crate::state) fn correct(
        db: &Connection,
        key: MailboxKey,
        file: &MaildirId,
    ) -> SqlResult {
        let sql = "UPDATE upload SET phase = 3 WHERE mailbox = ?1 AND file = ?2 AND phase = 2";
        let values = params![key.0, file.as_bytes()];
        db.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// A number made of its Message-ID.
    pub(in crate::state) fn name(
        db: &Connection,
        key: MailboxKey,
        (uid, name): (Uid, Option<i64>),
    ) -> SqlResult {
        let sql = "UPDATE pair SET sent = ?3 WHERE mailbox = ?1 AND uid = ?2";
        let values = params![key.0, uid.get(), name];
        db.prepare_cached(sql)?.execute(values).map(drop)
    }
}
