//! The history of all changes.

use super::trail::{self, COLUMNS as TRAIL, Trail};
use crate::model::{
    AnyId, ContentHash, FlagChange, Flags, Keyword, MailboxName, MaildirId, PairId, Side,
    SystemFlag,
};
use crate::state::pairs::base::{flags_from, keyword_text, side_from, side_number};
use crate::state::pairs::name_codec::NameCodec;
use crate::state::{State, StateError, doing};
use rusqlite::{Connection, Row, params};

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryChange {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// The side.
    pub side: Side,
    /// The kind: `new`, `flags`, `deleted`, ...
    pub what: &'static str,
    /// The message; `None`: the mailbox itself.
    pub message: Option<AnyId>,
    /// Details and reason.
    pub why: String,
    /// Of a deletion, the place of the bytes.
    pub kept: Option<QuarantineRef>,
    /// Of a change of flags, the change.
    pub flags: Option<FlagsMade>,
    /// Where the message was before, and its pair; `None`: not recorded.
    pub trail: Option<Trail>,
}

/// A change of the flags of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagsMade {
    /// The pair; `None`: an older row, or a message that was not a pair.
    pub pair: Option<PairId>,
    /// The content of the pair; filled in when it is recorded.
    pub hash: Option<ContentHash>,
    /// The change.
    pub change: FlagChange,
}

/// The place of deleted bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineRef {
    /// The path of the file, or of the directory of a mailbox, in quarantine. In older rows only
    /// the file name of a message that was deleted on the server.
    pub file: Vec<u8>,
    /// The flags last agreed on; only the keywords are stored, as the file name has the others.
    pub flags: Flags,
}

impl HistoryChange {
    /// Logs it.
    fn log(&self) {
        let message = self.message.as_ref().map(ToString::to_string);
        let message = message.unwrap_or_default();
        let (mailbox, side) = (&self.mailbox, self.side);
        tracing::info!(%mailbox, %side, what = self.what, %message, why = %self.why);
    }
}

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The number of the run.
    pub run: i64,
    /// The start of the run, seconds since 1970.
    pub at: i64,
    /// The mailbox.
    pub mailbox: String,
    /// The side.
    pub side: Side,
    /// The kind.
    pub what: String,
    /// The message's UID or base name, as text.
    pub message: String,
    /// The same as bytes.
    pub file: MaildirId,
    /// Details and reason.
    pub why: String,
    /// Of a deletion, the place of the bytes.
    pub kept: Option<QuarantineRef>,
    /// Of a change of flags, the change.
    pub flags: Option<FlagsMade>,
    /// Where the message was before, and its pair; `None`: not recorded.
    pub trail: Option<Trail>,
    /// Whether the run was an undo.
    pub undo: bool,
}

impl HistoryRow {
    /// Whether it can be undone.
    pub fn is_undoable(&self) -> bool {
        match self.what.as_str() {
            "deleted" | "mailbox-deleted" | "flags" | "restored" => true,
            "moved" | "mailbox-renamed" => self.source().is_some(),
            _ => false,
        }
    }

    /// Returns the mailbox from which the message was moved, or the mailbox's name before; `None`:
    /// another change, or an older row.
    pub fn source(&self) -> Option<&MailboxName> {
        self.trail.as_ref()?.source.as_ref()
    }
}

/// A run that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub run: i64,
    /// Its start, seconds since 1970.
    pub at: i64,
    /// The number of deleted messages.
    pub deleted: i64,
    /// The number of deleted mailboxes.
    pub mailboxes: i64,
    /// The number of messages with changed flags.
    pub flags: i64,
    /// The number of restored messages.
    pub restored: i64,
    /// The number of moved messages.
    pub moved: i64,
    /// The number of renamed mailboxes.
    pub renamed: i64,
    /// The number of all changes.
    pub changes: i64,
    /// Whether it was an undo.
    pub undo: bool,
}

/// The columns that [`history_row`] reads.
const COLUMNS: &str = "run.at, mailbox, side, what, message, why, kept, keywords, run,
                       flag_change.pair, flag_change.hash, added, added_keywords, removed,
                       removed_keywords, run.undo";

/// The joins for these columns.
const BESIDE: &str = "LEFT JOIN flag_change ON flag_change.id = history.id
                      LEFT JOIN trail ON trail.id = history.id";

impl State {
    /// Logs changes, and inserts their rows.
    pub(in crate::state) fn note_changes(&mut self, changes: &[HistoryChange]) {
        for change in changes {
            change.log();
            self.touched.insert((change.side, change.mailbox.clone()));
        }
    }

    /// Returns the row of this run; inserts it with its first change.
    pub(in crate::state) fn run_row(&mut self) -> Result<i64, StateError> {
        if let Some(run) = self.run {
            return Ok(run);
        }
        let sql = "INSERT INTO run (at, program, first, undo)
                   VALUES (coalesce(?2, unixepoch()), ?1,
                           (SELECT coalesce(max(id), 0) + 1 FROM history), ?3)";
        let program = concat!("mailtide ", env!("CARGO_PKG_VERSION"));
        self.db
            .execute(sql, params![program, self.began, self.undoes])
            .map_err(doing("note the run"))?;
        let run = self.db.last_insert_rowid();
        self.db
            .execute("UPDATE account SET generation = generation + 1", [])
            .map_err(doing("note the run"))?;
        self.run = Some(run);
        Ok(run)
    }

    /// Returns the last `limit` selected changes of runs since a time (seconds since 1970), newest
    /// first.
    pub fn history(
        &self,
        since: i64,
        most: u32,
        wanted: impl Fn(&HistoryRow) -> bool,
    ) -> Result<Vec<HistoryRow>, StateError> {
        let what = doing("read the history");
        let sql = format!(
            "SELECT {COLUMNS}, {TRAIL} FROM history JOIN run ON run.id = history.run {BESIDE}
             WHERE run.at >= ?1 ORDER BY history.id DESC"
        );
        let mut query = self.db.prepare_cached(&sql).map_err(&what)?;
        let names = NameCodec::of(&self.db);
        let rows = query.query_map([since], |row| history_row(row, &names));
        let wanted = |row: &Result<HistoryRow, _>| row.as_ref().map_or(true, &wanted);
        let rows = rows.map_err(&what)?.filter(wanted);
        let rows = rows.take(usize::try_from(most).unwrap_or(usize::MAX));
        rows.collect::<Result<_, _>>().map_err(what)
    }

    /// Returns the changes of a run, newest first.
    pub fn changes_of(&self, run: i64) -> Result<Vec<HistoryRow>, StateError> {
        let what = doing("read the history");
        let sql = format!(
            "SELECT {COLUMNS}, {TRAIL} FROM run JOIN history ON history.run = run.id {BESIDE}
             WHERE run.id = ?1 AND history.id >= run.first
               AND history.id < coalesce((SELECT min(first) FROM run WHERE id > ?1 AND first > 0),
                                         9223372036854775807)
             ORDER BY history.id DESC"
        );
        let mut query = self.db.prepare_cached(&sql).map_err(&what)?;
        let names = NameCodec::of(&self.db);
        let rows = query.query_map([run], |row| history_row(row, &names));
        rows.map_err(&what)?
            .collect::<Result<_, _>>()
            .map_err(&what)
    }

    /// Returns the changes since a time (seconds since 1970) that can be undone, newest first; not
    /// those of an undo.
    pub fn undoable_since(&self, at: i64) -> Result<Vec<HistoryRow>, StateError> {
        self.history(at, u32::MAX, |row| row.is_undoable() && !row.undo)
    }

    /// Returns the last run that is not an undo and has a selected change that can be undone.
    pub fn last_undoable(
        &self,
        wanted: impl Fn(&HistoryRow) -> bool,
    ) -> Result<Option<i64>, StateError> {
        let last = self.history(i64::MIN, 1, |row| {
            row.is_undoable() && !row.undo && wanted(row)
        })?;
        Ok(last.first().map(|row| row.run))
    }

    /// Returns the first and the last run with changes.
    pub fn first_and_last_run(&self) -> Result<Option<(i64, i64)>, StateError> {
        let sql = "SELECT min(id), max(id) FROM run";
        let both = self.db.query_row(sql, [], |row| {
            let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(first.zip(last))
        });
        both.map_err(doing("read the history"))
    }

    /// Whether the run exists.
    pub fn has_run(&self, run: i64) -> Result<bool, StateError> {
        let sql = "SELECT 1 FROM run WHERE id = ?1";
        let found = self
            .db
            .prepare_cached(sql)
            .and_then(|mut q| q.exists([run]));
        found.map_err(doing("read the history"))
    }

    /// Marks the run as an undo that started at this time.
    pub fn begin_undo(&mut self, now: i64) {
        self.end_run();
        self.begin_run(now);
        self.undoes = true;
    }

    /// Records restored messages, and drops them from the index of the quarantine.
    pub fn note_undone(
        &mut self,
        changes: &[HistoryChange],
        back: &[Vec<u8>],
    ) -> Result<(), StateError> {
        if changes.is_empty() {
            return Ok(());
        }
        let what = doing("record what was taken back");
        let run = self.run_row()?;
        let tx = self.db.transaction().map_err(&what)?;
        let named = trail::with_pairs(&tx, changes).map_err(&what)?;
        write(&tx, &NameCodec::of(&tx), run, &named).map_err(&what)?;
        for path in back {
            let sql = "DELETE FROM buried WHERE path = ?1";
            let mut delete = tx.prepare_cached(sql).map_err(&what)?;
            delete.execute([path]).map_err(&what)?;
        }
        tx.commit().map_err(&what)?;
        self.note_changes(changes);
        Ok(())
    }

    /// Returns the last runs, newest first.
    pub fn runs(&self, most: u32) -> Result<Vec<RunRow>, StateError> {
        let what = doing("read the history");
        let sql = "WITH last AS (SELECT * FROM run ORDER BY id DESC LIMIT ?1)
                   SELECT last.id, last.at, count(*) FILTER (WHERE what = 'deleted'),
                          count(*) FILTER (WHERE what = 'mailbox-deleted'),
                          count(*) FILTER (WHERE what = 'flags'),
                          count(*) FILTER (WHERE what = 'restored'), count(*), last.undo,
                          count(*) FILTER (WHERE what = 'moved'),
                          count(*) FILTER (WHERE what = 'mailbox-renamed')
                   FROM history JOIN last ON last.id = history.run
                   WHERE history.id >= (SELECT min(first) FROM last)
                   GROUP BY last.id ORDER BY last.id DESC";
        let mut query = self.db.prepare_cached(sql).map_err(&what)?;
        let read = |row: &Row<'_>| {
            Ok(RunRow {
                run: row.get(0)?,
                at: row.get(1)?,
                deleted: row.get(2)?,
                mailboxes: row.get(3)?,
                flags: row.get(4)?,
                restored: row.get(5)?,
                changes: row.get(6)?,
                undo: row.get(7)?,
                moved: row.get(8)?,
                renamed: row.get(9)?,
            })
        };
        let rows = query.query_map([most], read).map_err(&what)?;
        rows.collect::<Result<_, _>>().map_err(what)
    }
}

fn history_row(row: &Row<'_>, names: &NameCodec<'_>) -> Result<HistoryRow, rusqlite::Error> {
    let message = names.unpack(row.get_ref(4)?.as_blob()?)?;
    let (kept, keywords): (Option<Vec<u8>>, Option<String>) = (row.get(6)?, row.get(7)?);
    let flags = flags_from(0, &keywords.unwrap_or_default());
    let flags_at = |bits: usize| -> Result<Option<Flags>, rusqlite::Error> {
        let (bits, words): (Option<i64>, Option<String>) = (row.get(bits)?, row.get(bits + 1)?);
        Ok(bits.map(|bits| flags_from(bits, &words.unwrap_or_default())))
    };
    let change = flags_at(11)?.zip(flags_at(13)?);
    let change = change.map(|(add, remove)| FlagChange { add, remove });
    let pair: Option<i64> = row.get(9)?;
    let hash: Option<[u8; 32]> = row.get(10)?;
    Ok(HistoryRow {
        run: row.get(8)?,
        at: row.get(0)?,
        mailbox: row.get(1)?,
        side: side_from(row.get(2)?),
        what: row.get(3)?,
        message: message.as_bytes().escape_ascii().to_string(),
        why: row.get(5)?,
        file: message,
        kept: kept.map(|file| QuarantineRef { file, flags }),
        flags: change.map(|change| FlagsMade {
            pair: pair.map(PairId),
            hash: hash.map(ContentHash),
            change,
        }),
        undo: row.get(15)?,
        trail: trail::read(row, 16)?,
    })
}

pub(in crate::state) fn write(
    db: &Connection,
    names: &NameCodec<'_>,
    run: i64,
    changes: &[HistoryChange],
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
        let id = db.last_insert_rowid();
        if let Some(made) = &change.flags {
            write_flags(db, id, made.pair, &made.change)?;
        }
        if let Some(trail) = &change.trail {
            trail::write(db, id, trail)?;
        }
    }
    Ok(())
}

fn write_flags(
    db: &Connection,
    id: i64,
    pair: Option<PairId>,
    change: &FlagChange,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO flag_change (id, pair, hash, added, added_keywords, removed,
                                        removed_keywords)
               VALUES (?1, ?2, (SELECT hash FROM pair WHERE id = ?2), ?3, ?4, ?5, ?6)";
    db.prepare_cached(sql)?.execute(params![
        id,
        pair.map(|pair| pair.0),
        change.add.bits(),
        keyword_text(&change.add),
        change.remove.bits(),
        keyword_text(&change.remove),
    ])?;
    Ok(())
}

/// Fills the typed columns of older rows from their text.
pub(in crate::state) fn fill_flags(db: &Connection) -> Result<(), rusqlite::Error> {
    let sql = "SELECT id, why FROM history
               WHERE what = 'flags' AND id NOT IN (SELECT id FROM flag_change)";
    let mut select = db.prepare(sql)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let rows: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
    for (id, why) in rows {
        if let Some(change) = change_in_words(&why) {
            write_flags(db, id, None, &change)?;
        }
    }
    Ok(())
}

/// Parses a change as older rows have it: `+(\Seen) -($Work)`.
fn change_in_words(text: &str) -> Option<FlagChange> {
    let mut change = FlagChange::default();
    let mut rest = text;
    while let Some((sign, tail)) = rest
        .split_at_checked(1)
        .filter(|(sign, _)| !sign.is_empty())
    {
        let (inner, after) = tail.strip_prefix('(')?.split_once(')')?;
        let mut flags = Flags::default();
        for word in inner.split_ascii_whitespace() {
            let system = SystemFlag::ALL.iter().find(|flag| flag.name() == word);
            match system {
                Some(flag) => flags.insert(*flag),
                None => flags.insert_keyword(Keyword::new(word)?),
            }
        }
        match sign {
            "+" => change.add = flags,
            "-" => change.remove = flags,
            _ => return None,
        }
        rest = after.trim_start();
    }
    Some(change)
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
