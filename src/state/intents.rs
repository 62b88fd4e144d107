//! Uploads under way: the one kind of step whose repetition would double a message.

use super::{State, StateError, doing};
use crate::model::{MailboxKey, MaildirId, PairId, Uid};
use rusqlite::{Row, params};

/// An upload whose outcome is not recorded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The file.
    pub file: MaildirId,
    /// Whether the server may have stored it: its last byte was allowed to leave.
    pub committing: bool,
    /// When that phase began, seconds since 1970.
    pub at: i64,
    /// The highest UID that was there before it began: what it became, if anything, is above.
    pub above: u32,
    /// Whether the server said that it stored it, and told no UID.
    pub taken: bool,
    /// How often the server said that it stored it.
    pub tries: u32,
    /// What the server was to move; `None`: it was sent, or copied there.
    pub moved: Option<Source>,
}

/// From where the server was to move a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The message as the base knows it.
    pub pair: PairId,
    /// The mailbox.
    pub mailbox: MailboxKey,
    /// Its name there.
    pub uid: Uid,
}

impl State {
    /// Before the first byte is sent; `above` is the highest UID that the mailbox had.
    pub fn begin_uploads(
        &mut self,
        key: MailboxKey,
        files: &[MaildirId],
        above: u32,
        now: i64,
    ) -> Result<(), StateError> {
        let what = doing("note uploads");
        let tx = self.db.transaction().map_err(&what)?;
        let sql = "INSERT INTO upload (mailbox, file, phase, at, above) VALUES (?1, ?2, 0, ?3, ?4)
                   ON CONFLICT (mailbox, file) DO UPDATE SET
                       phase = 0, at = excluded.at, taken = 0,
                       pair = NULL, source = NULL, uid = NULL,
                       above = iif(tries > 0, min(above, excluded.above), excluded.above)";
        for file in files {
            let mut insert = tx.prepare_cached(sql).map_err(&what)?;
            insert
                .execute(params![key.0, file.as_bytes(), now, above])
                .map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Before the server is told to move messages: from then on they may be in the mailbox, where
    /// these files are already; `above` is the highest UID that it had.
    pub fn begin_moves(
        &mut self,
        key: MailboxKey,
        files: &[(MaildirId, Source)],
        above: u32,
        now: i64,
    ) -> Result<(), StateError> {
        let what = doing("note moves");
        let tx = self.db.transaction().map_err(&what)?;
        let sql = "INSERT OR REPLACE INTO upload
                       (mailbox, file, phase, at, above, pair, source, uid)
                   VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7)";
        for (file, from) in files {
            let mut insert = tx.prepare_cached(sql).map_err(&what)?;
            let (pair, source, uid) = (from.pair.0, from.mailbox.0, from.uid.get());
            let values = params![key.0, file.as_bytes(), now, above, pair, source, uid];
            insert.execute(values).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Before the last byte of the first of them is sent: from now on they may be stored.
    pub fn commit_uploads(&mut self, key: MailboxKey, now: i64) -> Result<(), StateError> {
        let sql = "UPDATE upload SET phase = 1, at = ?2 WHERE mailbox = ?1 AND phase = 0";
        self.db
            .execute(sql, params![key.0, now])
            .map_err(doing("note uploads"))?;
        Ok(())
    }

    /// Whatever was noted as later than now was noted now at the latest: the clock was put back,
    /// and nobody shall wait until it is as late again.
    pub fn uploads_begun_by(&mut self, now: i64) -> Result<(), StateError> {
        let sql = "UPDATE upload SET at = ?1 WHERE at > ?1";
        self.db.execute(sql, [now]).map_err(doing("note uploads"))?;
        Ok(())
    }

    /// Forgets an upload that the server surely did not store, or that is settled otherwise. One
    /// that it did not list is still what it was before.
    pub fn end_uploads(&mut self, key: MailboxKey, files: &[MaildirId]) -> Result<(), StateError> {
        let what = doing("forget uploads");
        let tx = self.db.transaction().map_err(&what)?;
        for file in files {
            let ends = [
                "UPDATE upload SET phase = 2, taken = 0
                 WHERE mailbox = ?1 AND file = ?2 AND told IS NOT NULL",
                "DELETE FROM upload WHERE mailbox = ?1 AND file = ?2 AND told IS NULL",
            ];
            for sql in ends {
                let mut end = tx.prepare_cached(sql).map_err(&what)?;
                end.execute(params![key.0, file.as_bytes()])
                    .map_err(&what)?;
            }
        }
        tx.commit().map_err(what)
    }

    /// Uploads that a cut run left behind, and those of which the server told no UID.
    pub fn open_uploads(&self, key: MailboxKey) -> Result<Vec<Upload>, StateError> {
        let what = doing("read uploads");
        let sql = "SELECT file, phase, at, above, pair, source, uid, taken, tries FROM upload
                   WHERE mailbox = ?1 AND phase < 2 ORDER BY file";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([key.0], upload);
        rows.map_err(&what)?.collect::<Result<_, _>>().map_err(what)
    }

    /// Uploads of all mailboxes that the server may have stored, and where.
    pub fn uploads_in_doubt(&self) -> Result<Vec<(MailboxKey, Upload)>, StateError> {
        let what = doing("read uploads");
        let sql = "SELECT file, phase, at, above, pair, source, uid, taken, tries, mailbox
                   FROM upload WHERE phase = 1 ORDER BY file";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([], |row| Ok((MailboxKey(row.get(9)?), upload(row)?)));
        rows.map_err(&what)?.collect::<Result<_, _>>().map_err(what)
    }
}

fn upload(row: &Row<'_>) -> Result<Upload, rusqlite::Error> {
    let pair: Option<i64> = row.get(4)?;
    let (mailbox, uid): (Option<i64>, Option<u32>) = (row.get(5)?, row.get(6)?);
    let source = |pair: i64| {
        Some(Source {
            pair: PairId(pair),
            mailbox: MailboxKey(mailbox?),
            uid: Uid::new(uid?)?,
        })
    };
    Ok(Upload {
        file: MaildirId::new(row.get::<_, Vec<u8>>(0)?),
        committing: row.get::<_, i64>(1)? == 1,
        at: row.get(2)?,
        above: row.get(3)?,
        taken: row.get(7)?,
        tries: row.get(8)?,
        moved: pair.and_then(source),
    })
}
