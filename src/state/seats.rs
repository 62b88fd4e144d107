//! Which UID each file of a mailbox has.

use super::names::Names;
use super::{State, StateError, doing};
use crate::model::{MailboxKey, MaildirId, Uid};

impl State {
    /// The files of a mailbox that are half of a pair, by base name, with their UIDs.
    pub fn uids_by_file(&self, key: MailboxKey) -> Result<Vec<(MaildirId, Uid)>, StateError> {
        let what = doing("read the messages of a mailbox");
        let sql = "SELECT file, uid FROM pair WHERE mailbox = ?1";
        let names = Names::of(&self.db);
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([key.0], |row| {
            let file = names.unpack(row.get_ref(0)?.as_blob()?)?;
            let uid = Uid::new(row.get(1)?).ok_or(rusqlite::Error::InvalidQuery)?;
            Ok((file, uid))
        });
        rows.and_then(Iterator::collect).map_err(&what)
    }
}
