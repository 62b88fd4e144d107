//! Intents of uploads: the only step whose repetition would double a message.

use crate::model::{MailboxKey, MaildirId, PairId, Uid};
use crate::state::{State, StateError, doing};
use rusqlite::{Row, params};

/// An upload without a recorded outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The file.
    pub file: MaildirId,
    /// Whether the server may have stored it: its last byte may have been sent.
    pub committing: bool,
    /// The start of that phase, seconds since 1970.
    pub at: i64,
    /// The highest UID before it began; its own UID is higher.
    pub above: u32,
    /// Whether the server answered OK without a UID.
    pub taken: bool,
    /// The number of OK responses.
    pub tries: u32,
    /// The message that the server was to move; `None`: an APPEND or COPY.
    pub moved: Option<MoveSource>,
}

/// The source of a move on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveSource {
    /// The pair.
    pub pair: PairId,
    /// The mailbox.
    pub mailbox: MailboxKey,
    /// The UID.
    pub uid: Uid,
}

impl State {
    /// Records an upload before its first byte is sent; `above` is the highest UID of the mailbox.
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

    /// Records moves before the command is sent: from then on the messages may be in the target;
    /// `above` is its highest UID.
    pub fn begin_moves(
        &mut self,
        key: MailboxKey,
        files: &[(MaildirId, MoveSource)],
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

    /// Records that the last byte of these uploads may be sent: they may be stored from now on.
    pub fn commit_uploads(&mut self, key: MailboxKey, now: i64) -> Result<(), StateError> {
        let sql = "UPDATE upload SET phase = 1, at = ?2 WHERE mailbox = ?1 AND phase = 0";
        self.db
            .execute(sql, params![key.0, now])
            .map_err(doing("note uploads"))?;
        Ok(())
    }

    /// Replaces times later than now by now: after the clock was set back nothing has to wait for
    /// it.
    pub fn uploads_begun_by(&mut self, now: i64) -> Result<(), StateError> {
        let sql = "UPDATE upload SET at = ?1 WHERE at > ?1";
        self.db.execute(sql, [now]).map_err(doing("note uploads"))?;
        Ok(())
    }

    /// Drops an upload that the server certainly did not store, or that was resolved otherwise. One
    /// that it did not list gets its former row.
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

    /// Returns the uploads of a cut run, and those without a UID.
    pub fn open_uploads(&self, key: MailboxKey) -> Result<Vec<Upload>, StateError> {
        let what = doing("read uploads");
        let sql = "SELECT file, phase, at, above, pair, source, uid, taken, tries FROM upload
                   WHERE mailbox = ?1 AND phase < 2 ORDER BY file";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([key.0], upload);
        rows.map_err(&what)?.collect::<Result<_, _>>().map_err(what)
    }

    /// Returns the uploads of all mailboxes that the server may have stored.
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
        Some(MoveSource {
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
