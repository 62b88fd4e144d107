//! The identities of mailboxes on both sides, and the generation of state and marker.

use crate::model::{MailboxKey, MailboxName};
use crate::reconcile::mailbox_identity::Home;
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{HistoryChange, State, StateError, doing};
use rusqlite::{Row, params};

impl State {
    /// Returns the generation of the state, and the one that certainly is in the marker: one less
    /// after a cut run.
    pub fn generation(&self) -> Result<(u64, u64), StateError> {
        let what = doing("read the account");
        let sql = "SELECT coalesce(max(generation), 0), coalesce(max(settled), 0) FROM account";
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (own, settled) = self.db.query_row(sql, [], read).map_err(what)?;
        let number = |number| u64::try_from(number).unwrap_or(0);
        Ok((number(own), number(settled)))
    }

    /// Records that the marker has the current generation.
    pub fn settle(&mut self) -> Result<(), StateError> {
        let sql = "UPDATE account SET settled = generation WHERE settled != generation";
        self.db.execute(sql, []).map_err(doing("note the run"))?;
        Ok(())
    }

    /// Records that changes on disk may not be durable, for the next run.
    pub fn unsettle(&mut self) -> Result<(), StateError> {
        let sql = "UPDATE account SET settled = 0 WHERE settled != 0";
        self.db.execute(sql, []).map_err(doing("note the run"))?;
        Ok(())
    }

    /// Drops all mailboxes and messages: everything is matched again, and nothing counts as
    /// deleted.
    pub fn start_over(&mut self, generation: u64) -> Result<(), StateError> {
        let what = doing("start over");
        let tx = self.db.transaction().map_err(&what)?;
        for sql in ["DELETE FROM mailbox", "DELETE FROM buried"] {
            tx.execute(sql, []).map_err(&what)?;
        }
        let number = i64::try_from(generation).unwrap_or(i64::MAX);
        tx.execute("UPDATE account SET generation = ?1, settled = 0", [number])
            .map_err(&what)?;
        tx.commit().map_err(what)
    }

    /// Returns all mailboxes with their identities on each side.
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

    /// Records the identities of mailboxes.
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

    /// Records the identity of a mailbox's directory.
    pub fn set_local_identity(&mut self, key: MailboxKey, text: &str) -> Result<(), StateError> {
        let sql = "UPDATE mailbox SET local_id = ?2 WHERE id = ?1";
        let done = self.db.execute(sql, params![key.0, text]);
        done.map_err(doing("note what a mailbox is called"))?;
        Ok(())
    }

    /// Renames mailboxes in one step, as some may exchange their names.
    pub fn rename_mailboxes(
        &mut self,
        names: &[(MailboxKey, MailboxName)],
        changes: &[HistoryChange],
    ) -> Result<(), StateError> {
        let what = doing("rename mailboxes");
        let run = self.run_row()?;
        let tx = self.db.transaction().map_err(&what)?;
        let go = || -> Result<(), rusqlite::Error> {
            let sql = "UPDATE mailbox SET name = ?2 WHERE id = ?1";
            for (key, _) in names {
                let charges = "UPDATE charge SET mailbox = ?2
                               WHERE mailbox = (SELECT name FROM mailbox WHERE id = ?1)";
                tx.execute(charges, params![key.0, format!("//{}", key.0)])?;
                // No mailbox name has an empty component.
                tx.execute(sql, params![key.0, format!("//{}", key.0)])?;
            }
            for (key, name) in names {
                // A mailbox with that name no longer exists on either side; its messages are
                // matched by content.
                let other = "DELETE FROM mailbox WHERE name = ?1";
                tx.execute(other, [name.to_string()])?;
                tx.execute(sql, params![key.0, name.to_string()])?;
                let charges = "UPDATE charge SET mailbox = ?2 WHERE mailbox = ?1";
                tx.execute(charges, [format!("//{}", key.0), name.to_string()])?;
            }
            Ok(())
        };
        go().map_err(&what)?;
        crate::state::runs::history::write(&tx, &NameCodec::of(&tx), run, changes)
            .map_err(&what)?;
        tx.commit().map_err(what)?;
        self.note_changes(changes);
        Ok(())
    }
}
