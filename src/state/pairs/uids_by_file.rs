//! The UIDs of the files of a mailbox.

use crate::model::{MailboxKey, MaildirId, Uid};
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{State, StateError, doing};
use rusqlite::{OptionalExtension, params};

impl State {
    /// The UID of a file that is half of a pair.
    pub fn uid_of_file(
        &self,
        key: MailboxKey,
        file: &MaildirId,
    ) -> Result<Option<Uid>, StateError> {
        let what = doing("look for a message");
        let Some(packed) = NameCodec::of(&self.db).known(file).map_err(&what)? else {
            return Ok(None);
        };
        let sql = "SELECT uid FROM pair WHERE mailbox = ?1 AND file = ?2";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let uid = query.query_row(params![key.0, packed], |row| row.get(0));
        Ok(uid.optional().map_err(what)?.and_then(Uid::new))
    }

    /// The files of a mailbox that are half of a pair, by base name, with their UIDs.
    pub fn uids_by_file(&self, key: MailboxKey) -> Result<Vec<(MaildirId, Uid)>, StateError> {
        let what = doing("read the messages of a mailbox");
        let sql = "SELECT file, uid FROM pair WHERE mailbox = ?1";
        let names = NameCodec::of(&self.db);
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([key.0], |row| {
            let file = names.unpack(row.get_ref(0)?.as_blob()?)?;
            let uid = Uid::new(row.get(1)?).ok_or(rusqlite::Error::InvalidQuery)?;
            Ok((file, uid))
        });
        rows.and_then(Iterator::collect).map_err(&what)
    }
}
