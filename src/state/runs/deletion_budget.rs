//! The deletions of the last day, which the limits of the guard count.
//!
//! The day follows the clock of the runs, except for a step back, and for a step ahead of more than
//! [`STEP`], which may be a wrong clock.
//! step back, and a step ahead of more than [`STEP`], which may be a clock that is wrong.

use crate::model::Uid;
use crate::reconcile::budget::{Charge, Consent};
use crate::state::pairs::base::{epoch_from, name_from, side_from, side_number};
use crate::state::{State, StateError, doing};
use rusqlite::{Connection, Row, params};

/// The time that a deletion counts, seconds.
const DAY: i64 = 24 * 3600;

/// The longest believable time between two runs, seconds.
const STEP: i64 = 7 * 24 * 3600;

impl State {
    /// Returns the deletions that count at this time (seconds since 1970), the oldest first.
    pub fn charges(&self, now: i64) -> Result<Vec<Charge>, StateError> {
        let what = doing("read what was deleted today");
        let first = self.first_run_of_day(now)?;
        let sql = "SELECT side, mailbox, epoch, held, whole, approved, uids
                   FROM charge WHERE run >= ?1 ORDER BY id";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let rows = query.query_map([first], charge_from).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Records deletions that are about to be executed (seconds since 1970), and drops those that
    /// no longer count. The next synced write, before the first deletion, makes this durable.
    pub fn charge(&mut self, charges: &[Charge], now: i64) -> Result<(), StateError> {
        if charges.is_empty() {
            return Ok(());
        }
        let what = doing("note what is to be deleted");
        let first = self.first_run_of_day(now)?;
        let run = self.run_row()?;
        self.db
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(&what)?;
        let written = self.write_charges(charges, first, run);
        let back = self.db.pragma_update(None, "synchronous", "FULL");
        written.and(back).map_err(what)
    }

    fn write_charges(
        &mut self,
        charges: &[Charge],
        first: i64,
        run: i64,
    ) -> Result<(), rusqlite::Error> {
        let tx = self.db.transaction()?;
        tx.execute("DELETE FROM charge WHERE run < ?1", [first])?;
        charges
            .iter()
            .try_for_each(|charge| write(&tx, run, charge))?;
        tx.commit()
    }

    /// Returns the first run that is less than a day old.
    fn first_run_of_day(&self, now: i64) -> Result<i64, StateError> {
        let what = doing("read when runs were");
        let sql = "SELECT id, at FROM run ORDER BY id DESC";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let mut rows = query.query([]).map_err(&what)?;
        let (mut first, mut age, mut later) = (i64::MAX, 0_i64, now);
        while let Some(row) = rows.next().map_err(&what)? {
            let at: i64 = row.get(1).map_err(&what)?;
            let between = later.saturating_sub(at);
            if (0..=STEP).contains(&between) {
                age += between;
            }
            if age >= DAY {
                break;
            }
            (first, later) = (row.get(0).map_err(&what)?, at);
        }
        // The next run, if this one has recorded nothing.
        let next = "SELECT coalesce(max(id), 0) + 1 FROM run";
        match first {
            i64::MAX => self.db.query_row(next, [], |row| row.get(0)).map_err(what),
            first => Ok(first),
        }
    }
}

fn charge_from(row: &Row<'_>) -> Result<Charge, rusqlite::Error> {
    let uids = row.get_ref(6)?.as_blob()?.chunks_exact(4);
    let uid = |bytes: &[u8]| {
        let bytes: [u8; 4] = bytes.try_into().ok()?;
        Uid::new(u32::from_be_bytes(bytes))
    };
    Ok(Charge {
        side: side_from(row.get(0)?),
        mailbox: name_from(row.get_ref(1)?.as_str()?),
        uid_validity: epoch_from(row.get(2)?),
        held: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
        whole: row.get(4)?,
        consent: match row.get(5)? {
            true => Consent::Approved,
            false => Consent::Unasked,
        },
        uids: uids.filter_map(uid).collect(),
    })
}

fn write(db: &Connection, run: i64, charge: &Charge) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO charge (run, side, mailbox, epoch, held, whole, approved, uids)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let uids = charge.uids.iter().map(|uid| uid.get().to_be_bytes());
    let uid_validity = charge.uid_validity.map(|uid_validity| uid_validity.0);
    db.prepare_cached(sql)?.execute(params![
        run,
        side_number(charge.side),
        charge.mailbox.to_string(),
        uid_validity.map(|uid_validity| i64::try_from(uid_validity).unwrap_or(i64::MAX)),
        i64::try_from(charge.held).unwrap_or(i64::MAX),
        charge.whole,
        charge.consent == Consent::Approved,
        uids.flatten().collect::<Vec<u8>>(),
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MailboxName, Side, UidValidity};

    const T: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;

    fn charge(n: u32) -> Charge {
        Charge {
            side: Side::Local,
            mailbox: MailboxName::parse("A/b").unwrap(),
            uid_validity: Some(UidValidity(7)),
            held: 12,
            whole: n == 2,
            consent: match n {
                3 => Consent::Approved,
                _ => Consent::Unasked,
            },
            uids: vec![Uid::new(n).unwrap(), Uid::new(0x0100_0000 + n).unwrap()],
        }
    }

    /// Records a deletion at each of these times and returns the number that counts at the end.
    fn counted(times: &[i64], now: i64) -> usize {
        let mut state = State::in_memory().unwrap();
        for (n, at) in times.iter().enumerate() {
            state.begin_run(*at);
            state.charge(&[charge(n as u32 + 1)], *at).unwrap();
            state.end_run();
        }
        state.charges(now).unwrap().len()
    }

    #[test]
    fn charges_are_read_as_they_were_written() {
        let mut state = State::in_memory().unwrap();
        let all: Vec<Charge> = (1..=3).map(charge).collect();
        state.begin_run(T);
        state.charge(&all, T).unwrap();
        assert_eq!(state.charges(T).unwrap(), all);
    }

    #[test]
    fn a_deletion_counts_for_a_day() {
        assert_eq!(counted(&[T], T), 1);
        assert_eq!(counted(&[T], T + DAY - 1), 1);
        assert_eq!(counted(&[T], T + DAY), 0);
        let hourly: Vec<i64> = (0..48).map(|n| T + n * HOUR).collect();
        assert_eq!(counted(&hourly, T + 47 * HOUR), 24);
    }

    #[test]
    fn a_step_of_the_clock_makes_nothing_older() {
        let far = 60 * DAY;
        assert_eq!(counted(&[T], T + far), 1, "far ahead");
        assert_eq!(counted(&[T], T - far), 1, "back");
        assert_eq!(counted(&[T, T + far, T + 1], T + 2), 3, "ahead and back");
        assert_eq!(counted(&[T - far, T], T + 1), 2, "it was wrong before");
        assert_eq!(counted(&[T, T - far], T - far + DAY), 0, "a day after");
        assert_eq!(
            counted(&[T], T + STEP),
            0,
            "a week without a run is believed"
        );
    }

    #[test]
    fn charges_that_count_no_longer_are_deleted() {
        let mut state = State::in_memory().unwrap();
        for n in 0..3 {
            state.begin_run(T + n * DAY);
            state.charge(&[charge(1)], T + n * DAY).unwrap();
            state.end_run();
        }
        let rows = state
            .db
            .query_row("SELECT count(*) FROM charge", [], |row| row.get(0));
        assert_eq!(rows, Ok(1));
    }
}
