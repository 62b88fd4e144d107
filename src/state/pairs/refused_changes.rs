//! Messages for which the server refused a change; each waits separately.

use crate::model::{MailboxName, PairId, Uid};
use crate::reconcile::Outcome;
use crate::state::pairs::base::name_from;
use crate::state::{State, StateError, doing};
use rusqlite::{Connection, Row, params};

/// A message with a refused change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedChange {
    /// The message.
    pub pair: PairId,
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// Its UID.
    pub uid: Uid,
    /// The number of attempts.
    pub attempts: u32,
    /// The time of the next attempt, seconds since 1970.
    pub retry_at: i64,
    /// The change and the server's text.
    pub detail: String,
}

/// The delay after the second refusal, seconds; it doubles with each further one, up to a day.
/// After the first the next pass retries.
const FIRST_WAIT: i64 = 3600;

impl State {
    /// Returns all messages with a refused change.
    pub fn refused_changes(&self) -> Result<Vec<RefusedChange>, StateError> {
        let what = doing("read which changes were refused");
        let sql = "SELECT r.pair, m.name, p.uid, r.attempts, r.retry_at, r.detail
                   FROM refused_change r JOIN pair p ON p.id = r.pair
                   JOIN mailbox m ON m.id = p.mailbox ORDER BY m.name, p.uid";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            Ok(RefusedChange {
                pair: PairId(row.get(0)?),
                mailbox: name_from(row.get_ref(1)?.as_str()?),
                uid: Uid::new(row.get(2)?).unwrap_or(Uid::FIRST),
                attempts: row.get(3)?,
                retry_at: row.get(4)?,
                detail: row.get(5)?,
            })
        };
        let rows = query.query_map([], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Records a refused change.
    pub fn refuse_change(
        &mut self,
        pair: PairId,
        detail: &str,
        now: i64,
    ) -> Result<(), StateError> {
        let sql = "INSERT INTO refused_change (pair, attempts, retry_at, detail)
                   SELECT id, 1, ?2, ?3 FROM pair WHERE id = ?1
                   ON CONFLICT (pair) DO UPDATE SET attempts = attempts + 1,
                       retry_at = ?2 + min(?4 << min(attempts - 1, 5), 86400),
                       detail = excluded.detail";
        self.db
            .execute(sql, params![pair.0, now, detail, FIRST_WAIT])
            .map_err(doing("remember that a change was refused"))?;
        Ok(())
    }

    /// Drops messages without a pending change.
    pub fn forget_refusals(&mut self, pairs: &[PairId]) -> Result<(), StateError> {
        for pair in pairs {
            let sql = "DELETE FROM refused_change WHERE pair = ?1";
            self.db
                .execute(sql, [pair.0])
                .map_err(doing("forget that a change was refused"))?;
        }
        Ok(())
    }
}

/// Drops messages on whose flags both sides agree.
pub(in crate::state) fn forget_agreed(
    db: &Connection,
    outcomes: &[Outcome],
) -> Result<(), rusqlite::Error> {
    let mut any = db.prepare_cached("SELECT 1 FROM refused_change LIMIT 1")?;
    if outcomes.is_empty() || !any.exists([])? {
        return Ok(());
    }
    for outcome in outcomes {
        if let Outcome::Agreed { pair, .. } = outcome {
            db.prepare_cached("DELETE FROM refused_change WHERE pair = ?1")?
                .execute([pair.0])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Canonical, Flags, MaildirId};

    #[test]
    fn a_refused_change_waits_longer_each_time_and_goes_with_its_pair() {
        let mut state = State::in_memory().unwrap();
        let key = state.add_mailbox(&MailboxName::inbox(), 1).unwrap();
        let paired = Outcome::Paired {
            uid: Uid::FIRST,
            file: MaildirId::new("f"),
            flags: Flags::default(),
            hash: Canonical::of(b"x"),
            size: 1,
            kin: None,
            stamp: None,
            replaces: None,
        };
        state.apply(key, &[paired], &[]).unwrap();
        let pair = state.base(key).unwrap().pairs[0].id;
        let mut waits = Vec::new();
        for _ in 0..7 {
            state.refuse_change(pair, "no", 1000).unwrap();
            waits.push((state.refused_changes().unwrap()[0].retry_at - 1000) / 3600);
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 24]);
        state.forget_refusals(&[PairId(pair.0 + 1)]).unwrap();
        assert_eq!(state.refused_changes().unwrap()[0].attempts, 7);
        state.apply(key, &[Outcome::Dropped { pair }], &[]).unwrap();
        assert!(state.refused_changes().unwrap().is_empty());
        state.refuse_change(pair, "no", 1000).unwrap();
        assert!(state.refused_changes().unwrap().is_empty(), "no such pair");
    }
}
