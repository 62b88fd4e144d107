//! The index: a database of its own beside the state, with the words of each message (SQLite
//! FTS5). It holds nothing that is not in the files; one that is damaged, or of another version,
//! is made anew.

use super::document::Document;
use super::files::{CurOrNew, DirectoryTimes, FileText, FiledMessage};
use crate::model::{Flags, Keyword, MailboxName, MaildirId, Stamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The version of the schema, and of what is taken for a word.
const VERSION: i64 = 1;

/// Why the index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite failed.
    #[error("the search index failed while it was to {doing}: {source}")]
    Database {
        /// What was to be done.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A file could not be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl IndexError {
    /// Whether the index itself is damaged, or no index at all.
    pub fn is_damage(&self) -> bool {
        let damage = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        match self {
            IndexError::Database { source, .. } => match source {
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::FromSqlConversionFailure(..) => true,
                other => other
                    .sqlite_error_code()
                    .is_some_and(|code| damage.contains(&code)),
            },
            IndexError::File { .. } => false,
        }
    }
}

pub(super) fn doing(doing: &'static str) -> impl Fn(rusqlite::Error) -> IndexError + Copy {
    move |source| IndexError::Database { doing, source }
}

/// The index of an account.
#[derive(Debug)]
pub struct MailIndex {
    pub(super) db: Connection,
}

/// A message as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexedMessage {
    pub id: i64,
    pub sub: CurOrNew,
    pub name: Vec<u8>,
    pub stamp: Stamp,
}

impl MailIndex {
    /// Opens the index to add to it; makes it where there is none that can be used.
    pub fn open(path: &Path) -> Result<MailIndex, IndexError> {
        match MailIndex::try_open(path) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            Err(error) if error.is_damage() => {
                tracing::warn!(path = %path.display(), %error, "the index is made anew");
            }
            Err(error) => return Err(error),
        }
        MailIndex::remove(path)?;
        let file = |source| IndexError::File {
            path: path.to_owned(),
            source,
        };
        let mut options = std::fs::OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(path);
        made.map_err(file)?;
        let db = Connection::open(path).map_err(doing("make it"))?;
        let index = MailIndex { db };
        index.set_up()?;
        let schema = include_str!("schema.sql");
        let whole = format!("BEGIN IMMEDIATE; {schema} COMMIT;");
        index.db.execute_batch(&whole).map_err(doing("make it"))?;
        Ok(index)
    }

    /// Opens the index to search in it. `None`: there is none that can be used.
    pub fn open_beside(path: &Path) -> Result<Option<MailIndex>, IndexError> {
        match MailIndex::try_open(path) {
            Err(error) if error.is_damage() => {
                tracing::warn!(path = %path.display(), %error, "the index is damaged");
                Ok(None)
            }
            other => other,
        }
    }

    fn try_open(path: &Path) -> Result<Option<MailIndex>, IndexError> {
        match path.symlink_metadata() {
            Ok(about) if about.is_file() => {}
            Ok(_) => {
                let source = io::Error::other("it is no file of mailtide's own; move it away");
                let path = path.to_owned();
                return Err(IndexError::File { path, source });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let path = path.to_owned();
                return Err(IndexError::File { path, source });
            }
        }
        let db = Connection::open(path).map_err(doing("open it"))?;
        let index = MailIndex { db };
        index.set_up()?;
        let version = index
            .db
            .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
        let version = version.map_err(doing("open it"))?;
        Ok((version == VERSION).then_some(index))
    }

    fn set_up(&self) -> Result<(), IndexError> {
        // What a power failure takes back is indexed again. 4 MB of memory, and 16 MB of log.
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
                       PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;
                       PRAGMA cache_size = -4096; PRAGMA wal_autocheckpoint = 4096;
                       PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY;";
        self.db.execute_batch(pragmas).map_err(doing("open it"))?;
        self.db.set_prepared_statement_cache_capacity(32);
        Ok(())
    }

    /// Removes the index of an account.
    pub fn remove(path: &Path) -> Result<(), IndexError> {
        let with = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        for path in [path.to_owned(), with("-wal"), with("-shm")] {
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(IndexError::File { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How many messages it knows.
    pub fn count(&self) -> Result<u64, IndexError> {
        let sql = "SELECT count(*) FROM message";
        let count = self.db.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(count.map_err(doing("count messages"))?.unsigned_abs())
    }

    /// The mailboxes that it knows, with their numbers.
    pub(super) fn mailboxes(
        &self,
    ) -> Result<BTreeMap<MailboxName, (i64, DirectoryTimes)>, IndexError> {
        let what = doing("list mailboxes");
        let sql = "SELECT name, id, cur, new FROM mailbox";
        let mut query = self.db.prepare_cached(sql).map_err(what)?;
        let rows = query.query_map([], |row| {
            let times = DirectoryTimes {
                cur: row.get(2)?,
                new: row.get(3)?,
            };
            Ok((row.get::<_, String>(0)?, (row.get(1)?, times)))
        });
        let mut all = BTreeMap::new();
        for row in rows.map_err(what)? {
            let (name, known) = row.map_err(what)?;
            all.extend(MailboxName::parse(&name).map(|name| (name, known)));
        }
        Ok(all)
    }

    /// The number of a mailbox, which is new where there was none.
    pub(super) fn mailbox(&self, name: &MailboxName) -> Result<i64, IndexError> {
        let what = doing("note a mailbox");
        let name = name.to_string();
        let sql = "SELECT id FROM mailbox WHERE name = ?1";
        let known = self.db.query_row(sql, [&name], |row| row.get(0));
        match known.optional().map_err(what)? {
            Some(id) => Ok(id),
            None => {
                let sql = "INSERT INTO mailbox (name) VALUES (?1)";
                self.db.execute(sql, [&name]).map_err(what)?;
                Ok(self.db.last_insert_rowid())
            }
        }
    }

    /// Notes that all of a mailbox is indexed as it was listed at these times.
    pub(super) fn note_times(&self, mailbox: i64, times: DirectoryTimes) -> Result<(), IndexError> {
        let sql = "UPDATE mailbox SET cur = ?2, new = ?3 WHERE id = ?1";
        let done = self.db.execute(sql, params![mailbox, times.cur, times.new]);
        done.map(|_| ()).map_err(doing("note a mailbox"))
    }

    /// The messages of a mailbox.
    pub(super) fn known(
        &self,
        mailbox: i64,
    ) -> Result<BTreeMap<MaildirId, IndexedMessage>, IndexError> {
        let what = doing("list messages");
        let sql = "SELECT file, id, sub, name, stamp FROM message WHERE mailbox = ?1";
        let mut query = self.db.prepare_cached(sql).map_err(what)?;
        let rows = query.query_map([mailbox], |row| {
            let known = IndexedMessage {
                id: row.get(1)?,
                sub: sub_from(row.get(2)?),
                name: row.get(3)?,
                stamp: Stamp::from_number(row.get(4)?),
            };
            Ok((MaildirId::new(row.get_ref(0)?.as_blob()?), known))
        });
        rows.map_err(what)?.collect::<Result<_, _>>().map_err(what)
    }

    /// Adds a message.
    pub(super) fn add(
        &self,
        (mailbox, base): (i64, &MaildirId),
        filed: &FiledMessage,
        contents: &FileText,
        document: &Document,
    ) -> Result<(), IndexError> {
        let what = doing("add a message");
        let sql = "INSERT INTO message (mailbox, file, name, sub, flags, keywords, stamp, date,
                                        size, attachment)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let mut insert = self.db.prepare_cached(sql).map_err(what)?;
        let values = params![
            mailbox,
            base.as_bytes(),
            filed.name,
            sub_number(filed.sub),
            filed.flags.bits(),
            keyword_text(&filed.flags),
            contents.stamp.number(),
            contents.date,
            i64::try_from(contents.size).unwrap_or(i64::MAX),
            document.attachment,
        ];
        insert.execute(values).map_err(what)?;
        let id = self.db.last_insert_rowid();
        let sql = "INSERT INTO words (rowid, sender, recipient, copy, subject, body, names)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let mut insert = self.db.prepare_cached(sql).map_err(what)?;
        let [from, to, cc, subject, body, names] = document.fields().map(|(_, text)| {
            let mut words = String::with_capacity(text.len());
            super::words::spaced(text, &mut words);
            words
        });
        let values = params![id, from, to, cc, subject, body, names];
        insert.execute(values).map(|_| ()).map_err(what)
    }

    /// Adds a message that cannot be read, so that it is not tried again before it changes.
    pub(super) fn add_unread(
        &self,
        (mailbox, base): (i64, &MaildirId),
        filed: &FiledMessage,
        why: &str,
    ) -> Result<(), IndexError> {
        let sql = "INSERT INTO message (mailbox, file, name, sub, flags, keywords, stamp, date,
                                        size, attachment, problem)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0, 0, ?7)";
        let (sub, bits) = (sub_number(filed.sub), filed.flags.bits());
        let keywords = keyword_text(&filed.flags);
        let values = params![
            mailbox,
            base.as_bytes(),
            filed.name,
            sub,
            bits,
            keywords,
            why
        ];
        let done = self.db.execute(sql, values);
        done.map(|_| ()).map_err(doing("add a message"))
    }

    /// Notes another name of a message's file.
    pub(super) fn rename(&self, id: i64, filed: &FiledMessage) -> Result<(), IndexError> {
        let what = doing("note flags");
        let sql = "UPDATE message SET name = ?2, sub = ?3, flags = ?4, keywords = ?5
                   WHERE id = ?1";
        let mut update = self.db.prepare_cached(sql).map_err(what)?;
        let (sub, bits) = (sub_number(filed.sub), filed.flags.bits());
        let values = params![id, filed.name, sub, bits, keyword_text(&filed.flags)];
        update.execute(values).map(|_| ()).map_err(what)
    }

    /// Takes a message out.
    pub(super) fn take_out(&self, id: i64) -> Result<(), IndexError> {
        let what = doing("take a message out");
        for sql in [
            "DELETE FROM words WHERE rowid = ?1",
            "DELETE FROM message WHERE id = ?1",
        ] {
            let mut delete = self.db.prepare_cached(sql).map_err(what)?;
            delete.execute([id]).map_err(what)?;
        }
        Ok(())
    }
}

pub(super) fn sub_number(sub: CurOrNew) -> i64 {
    match sub {
        CurOrNew::Cur => 0,
        CurOrNew::New => 1,
    }
}

pub(super) fn sub_from(number: i64) -> CurOrNew {
    if number == 0 {
        CurOrNew::Cur
    } else {
        CurOrNew::New
    }
}

/// Keywords in lower case, a space before and after each.
pub(super) fn keyword_text(flags: &Flags) -> String {
    let all: Vec<&str> = flags.keywords().map(Keyword::as_str).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!(" {} ", all.join(" ").to_ascii_lowercase()),
    }
}
