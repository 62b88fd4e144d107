//! Every change made: who, what, when, why.

use super::base::{flags_from, keyword_text, side_from, side_number};
use super::names::Names;
use super::{State, StateError, doing};
use crate::model::{AnyId, Flags, MailboxName, Side};
use rusqlite::{Connection, Row, params};

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which mailbox.
    pub mailbox: MailboxName,
    /// On which side.
    pub side: Side,
    /// What: `new`, `flags`, `deleted`, ...
    pub what: &'static str,
    /// To which message; `None`: to the mailbox itself.
    pub message: Option<AnyId>,
    /// Details and reason.
    pub why: String,
    /// Of a deletion, where the bytes were kept.
    pub kept: Option<Remains>,
}

/// What is kept of a message that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// The name of the file in quarantine, on disk with the path below it.
    pub file: Vec<u8>,
    /// The flags that both sides last agreed on; of these the keywords are remembered, as others
    /// are in the name.
    pub flags: Flags,
}

impl Change {
    /// Says it in the log.
    fn log(&self) {
        let message = self.message.as_ref().map(ToString::to_string);
        let message = message.unwrap_or_default();
        let (mailbox, side) = (&self.mailbox, self.side);
        tracing::info!(%mailbox, %side, what = self.what, %message, why = %self.why);
    }
}

/// A change as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The number of the run.
    pub run: i64,
    /// When the run began, seconds since 1970.
    pub at: i64,
    /// The mailbox.
    pub mailbox: String,
    /// On which side.
    pub side: Side,
    /// What.
    pub what: String,
    /// The message's UID or base name, as text.
    pub message: String,
    /// Details and reason.
    pub why: String,
    /// Of a deletion, where the bytes were kept.
    pub kept: Option<Remains>,
}

/// A run that changed something, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub run: i64,
    /// When it began, seconds since 1970.
    pub at: i64,
    /// How many messages it deleted.
    pub deleted: i64,
    /// Of how many it changed flags.
    pub flags: i64,
    /// All that it changed.
    pub changes: i64,
}

impl State {
    /// Says in the log what was recorded, and notes where.
    pub(super) fn note_changes(&mut self, changes: &[Change]) {
        for change in changes {
            change.log();
            self.touched.insert((change.side, change.mailbox.clone()));
        }
    }

    /// The row of this run, made when it is first needed.
    pub(super) fn run_row(&mut self) -> Result<i64, StateError> {
        if let Some(run) = self.run {
            return Ok(run);
        }
        let sql = "INSERT INTO run (at, program) VALUES (coalesce(?2, unixepoch()), ?1)";
        let program = concat!("mailtide ", env!("CARGO_PKG_VERSION"));
        self.db
            .execute(sql, params![program, self.began])
            .map_err(doing("note the run"))?;
        let run = self.db.last_insert_rowid();
        self.db
            .execute("UPDATE account SET generation = generation + 1", [])
            .map_err(doing("note the run"))?;
        self.run = Some(run);
        Ok(run)
    }

    /// The last changes of the wanted, so many at the most, by runs since then (seconds since
    /// 1970); newest first.
    pub fn history(
        &self,
        since: i64,
        most: u32,
        wanted: impl Fn(&HistoryRow) -> bool,
    ) -> Result<Vec<HistoryRow>, StateError> {
        let what = doing("read the history");
        let sql = "SELECT run.at, mailbox, side, what, message, why, kept, keywords,
                          run
                   FROM history JOIN run ON run.id = history.run
                   WHERE run.at >= ?1 ORDER BY history.id DESC";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let names = Names::of(&self.db);
        let rows = query.query_map([since], |row| history_row(row, &names));
        let wanted = |row: &Result<HistoryRow, _>| row.as_ref().map_or(true, &wanted);
        let rows = rows.map_err(&what)?.filter(wanted);
        let rows = rows.take(usize::try_from(most).unwrap_or(usize::MAX));
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// The changes of runs from this number, and this time (seconds since 1970) on, newest first.
    pub fn changes_since(&self, run: i64, at: i64) -> Result<Vec<HistoryRow>, StateError> {
        let what = doing("read the history");
        let sql = "SELECT run.at, mailbox, side, what, message, why, kept, keywords,
                          run
                   FROM history JOIN run ON run.id = history.run
                   WHERE run >= ?1 AND run.at >= ?2 ORDER BY history.id DESC";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let names = Names::of(&self.db);
        let rows = query.query_map([run, at], |row| history_row(row, &names));
        let rows = rows.map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// The last runs, newest first.
    pub fn runs(&self, most: u32) -> Result<Vec<RunRow>, StateError> {
        let what = doing("read the history");
        let sql = "SELECT run.id, run.at, count(*) FILTER (WHERE what = 'deleted'),
                          count(*) FILTER (WHERE what = 'flags'), count(*)
                   FROM run JOIN history ON history.run = run.id
                   GROUP BY run.id ORDER BY run.id DESC LIMIT ?1";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            Ok(RunRow {
                run: row.get(0)?,
                at: row.get(1)?,
                deleted: row.get(2)?,
                flags: row.get(3)?,
                changes: row.get(4)?,
            })
        };
        let rows = query.query_map([most], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }
}

fn history_row(row: &Row<'_>, names: &Names<'_>) -> Result<HistoryRow, rusqlite::Error> {
    let message = names.unpack(row.get_ref(4)?.as_blob()?)?;
    let (kept, keywords): (Option<Vec<u8>>, Option<String>) = (row.get(6)?, row.get(7)?);
    let flags = flags_from(0, &keywords.unwrap_or_default());
    Ok(HistoryRow {
        run: row.get(8)?,
        at: row.get(0)?,
        mailbox: row.get(1)?,
        side: side_from(row.get(2)?),
        what: row.get(3)?,
        message: message.as_bytes().escape_ascii().to_string(),
        why: row.get(5)?,
        kept: kept.map(|file| Remains { file, flags }),
    })
}

pub(super) fn write(
    db: &Connection,
    names: &Names<'_>,
    run: i64,
    changes: &[Change],
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO history (run, mailbox, side, what, message, why, kept, keywords)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let mut insert = db.prepare_cached(sql)?;
    for change in changes {
        let message = match &change.message {
            Some(AnyId::Remote(uid)) => uid.get().to_string().into_bytes(),
            Some(AnyId::Local(file)) => names.pack(file)?,
            None => Vec::new(),
        };
        let mailbox = change.mailbox.to_string();
        let side = side_number(change.side);
        let kept = change.kept.as_ref();
        let keywords = kept.map(|kept| keyword_text(&kept.flags));
        insert.execute(params![
            run,
            mailbox,
            side,
            change.what,
            message,
            change.why,
            kept.map(|kept| &kept.file),
            keywords.filter(|text| !text.is_empty()),
        ])?;
    }
    Ok(())
}
