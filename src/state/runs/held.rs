//! The changes that wait for the user's approval.

use crate::model::Side;
use crate::reconcile::guard::Held;
use crate::state::pairs::base::{side_from, side_number};
use crate::state::{State, StateError, doing};
use rusqlite::{Row, params};
use std::collections::BTreeSet;

/// A held change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// Its id.
    pub id: String,
    /// The kind of guard.
    pub kind: String,
    /// The side that it would change.
    pub side: Side,
    /// The mailbox; empty: several.
    pub mailbox: String,
    /// The number of messages.
    pub count: i64,
    /// The number of mailboxes that would be deleted.
    pub mailboxes: i64,
    /// What it would do, one line each.
    pub lines: String,
    /// Since when it is held, seconds since 1970.
    pub at: i64,
    /// Whether the next run may execute it.
    pub approved: bool,
    /// Whether the next run is to restore the missing messages.
    pub rejected: bool,
}

/// A value of the column `approved`.
const APPROVED: i64 = 1;
/// A value of the column `approved`.
const REJECTED: i64 = 2;

impl State {
    /// Returns the held changes of the last run.
    pub fn held(&self) -> Result<Vec<HeldRow>, StateError> {
        let what = doing("read what is held");
        let sql = "SELECT id, kind, side, mailbox, count, lines, at, approved, mailboxes
                   FROM held ORDER BY at, id";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            Ok(HeldRow {
                id: row.get(0)?,
                kind: row.get(1)?,
                side: side_from(row.get(2)?),
                mailbox: row.get(3)?,
                count: row.get(4)?,
                lines: row.get(5)?,
                at: row.get(6)?,
                approved: row.get::<_, i64>(7)? == APPROVED,
                rejected: row.get::<_, i64>(7)? == REJECTED,
                mailboxes: row.get(8)?,
            })
        };
        query
            .query_map([], read)
            .map_err(&what)?
            .collect::<Result<_, _>>()
            .map_err(what)
    }

    /// Returns the ids that the user approved.
    pub fn approved(&self) -> Result<BTreeSet<String>, StateError> {
        let held = self.held()?;
        Ok(held
            .into_iter()
            .filter(|row| row.approved)
            .map(|row| row.id)
            .collect())
    }

    /// Returns the ids that the user rejected.
    pub fn rejected(&self) -> Result<BTreeSet<String>, StateError> {
        let held = self.held()?.into_iter();
        Ok(held.filter(|row| row.rejected).map(|row| row.id).collect())
    }

    /// Approves a held change for one run. `false`: no held change has this id.
    pub fn approve(&mut self, id: &str) -> Result<bool, StateError> {
        self.decide(id, APPROVED)
    }

    /// Rejects a held change. `false`: no held change has this id.
    pub fn reject(&mut self, id: &str) -> Result<bool, StateError> {
        self.decide(id, REJECTED)
    }

    fn decide(&mut self, id: &str, word: i64) -> Result<bool, StateError> {
        let sql = "UPDATE held SET approved = ?2 WHERE id = ?1";
        let rows = self.db.execute(sql, params![id, word]);
        Ok(rows.map_err(doing("note the decision"))? > 0)
    }

    /// Records the held changes and drops those that are over, except for mailboxes that `keeps`
    /// names (a partial run does not cover them). Writes only differences.
    pub fn set_held(
        &mut self,
        now_held: &[Held],
        now: i64,
        keeps: impl Fn(&HeldRow) -> bool,
    ) -> Result<(), StateError> {
        let rows = self.held()?;
        let before: BTreeSet<String> = rows.iter().map(|row| row.id.clone()).collect();
        let mut after: BTreeSet<String> = now_held.iter().map(|held| held.id.clone()).collect();
        after.extend(rows.into_iter().filter(|row| keeps(row)).map(|row| row.id));
        if before == after {
            return Ok(());
        }
        let what = doing("remember what is held");
        let tx = self.db.transaction().map_err(&what)?;
        for id in before.difference(&after) {
            tx.execute("DELETE FROM held WHERE id = ?1", [id])
                .map_err(&what)?;
        }
        for held in now_held.iter().filter(|held| !before.contains(&held.id)) {
            let mailbox = held
                .mailbox
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let values = params![
                held.id,
                held.kind.name(),
                side_number(held.side),
                mailbox,
                i64::try_from(held.count).unwrap_or(i64::MAX),
                held.lines.join("\n"),
                now,
                i64::try_from(held.mailboxes).unwrap_or(i64::MAX)
            ];
            let sql = "INSERT INTO held (id, kind, side, mailbox, count, lines, at, mailboxes,
                                         approved)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)";
            tx.execute(sql, values).map_err(&what)?;
        }
        tx.commit().map_err(what)
    }
}
