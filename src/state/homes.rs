//! The names of mailboxes, and what each side calls them whatever their names.

use super::{Change, State, StateError, doing};
use crate::model::{MailboxKey, MailboxName};
use crate::reconcile::renames::Home;
use rusqlite::{Row, params};

impl State {
    /// All mailboxes, with what each side calls them whatever their names.
    pub fn homes(&self) -> Result<Vec<Home>, StateError> {
        let what = doing("list mailboxes");
        let sql = "SELECT name, id, remote_id, local_id FROM mailbox ORDER BY name";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            let name = MailboxName::parse(&row.get::<_, String>(0)?);
            let (key, remote, local) = (MailboxKey(row.get(1)?), row.get(2)?, row.get(3)?);
            Ok(name.map(|name| Home {
                key,
                name,
                remote,
                local,
            }))
        };
        let rows = query.query_map([], read).map_err(&what)?;
        let homes: Result<Vec<Option<Home>>, _> = rows.collect();
        Ok(homes.map_err(what)?.into_iter().flatten().collect())
    }

    /// Notes what each side calls mailboxes whatever their names.
    pub fn set_identities(&mut self, homes: &[Home]) -> Result<(), StateError> {
        let what = doing("note what mailboxes are called");
        let tx = self.db.transaction().map_err(&what)?;
        for home in homes {
            let sql = "UPDATE mailbox SET remote_id = ?2, local_id = ?3 WHERE id = ?1";
            tx.execute(sql, params![home.key.0, home.remote, home.local])
                .map_err(&what)?;
        }
        tx.commit().map_err(what)
    }

    /// Gives mailboxes other names, all at once: some may exchange theirs.
    pub fn rename_mailboxes(
        &mut self,
        names: &[(MailboxKey, MailboxName)],
        changes: &[Change],
    ) -> Result<(), StateError> {
        let what = doing("rename mailboxes");
        let run = self.run_row()?;
        let tx = self.db.transaction().map_err(&what)?;
        let go = || -> Result<(), rusqlite::Error> {
            let sql = "UPDATE mailbox SET name = ?2 WHERE id = ?1";
            for (key, _) in names {
                // No name of a mailbox has an empty part.
                tx.execute(sql, params![key.0, format!("//{}", key.0)])?;
            }
            for (key, name) in names {
                tx.execute(sql, params![key.0, name.to_string()])?;
            }
            Ok(())
        };
        go().map_err(&what)?;
        super::history::write(&tx, run, changes).map_err(&what)?;
        tx.commit().map_err(what)?;
        changes.iter().for_each(Change::log);
        Ok(())
    }
}
