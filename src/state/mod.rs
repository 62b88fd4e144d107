//! Remembers the base: what both sides of an account last agreed on, in one SQLite database.
//!
//! Reading order: [`db`] (the file, its schema and locks), [`pairs`] (the base: pairs, how they
//! change, how they are found), [`mailboxes`] (their names, checkpoints, the proof of their UIDs),
//! [`runs`] (history, intents, held changes, limits).
//!
//! Calls block; an account lives on a thread of its own (decision 0003). Every public method that
//! writes is one transaction.

mod db;

mod pairs;

mod mailboxes;

mod runs;

pub use db::filesystem_check::network_drive;
pub use db::lock::Lock;
pub use mailboxes::checkpoint::Checkpoint;
pub use mailboxes::uid_proof::{ComparedHalves, Proof, UidDoubt};
pub use pairs::base::AccountRecord;
pub use pairs::identity_index::{Equal, QuarantinedRow, RelatedPair};
pub use pairs::letters::{Lettered, LetteredContent};
pub use pairs::outcome::{MailboxOutcomes, Moved};
pub use pairs::refused_changes::RefusedChange;
pub use runs::accepted_uploads::AcceptedUpload;
pub use runs::held::HeldRow;
pub use runs::history::{FlagsMade, HistoryChange, HistoryRow, QuarantineRef, RunRow};
pub use runs::intents::{MoveSource, Upload};
pub use runs::suspects::Suspects;
pub use runs::trail::Trail;

use crate::model::{MailboxName, Side};
use db::{migrate, private_files};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Why the state failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite failed.
    #[error(
        "the state database failed while it was to {doing}: {source}{}",
        hint(source)
    )]
    Database {
        /// The operation.
        doing: &'static str,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// A file of the state failed.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
    /// A newer version of mailtide wrote it.
    #[error(
        "{path} was written by a newer mailtide (schema {found}, this program knows {known}); \
         update mailtide, nothing was changed"
    )]
    Newer {
        /// Its path.
        path: String,
        /// Its schema version.
        found: i64,
        /// The newest known version.
        known: i64,
    },
    /// It is damaged, or is not a database of mailtide.
    #[error(
        "{path} is not usable as a mailtide state database: {what}. `mailtide repair` moves it \
         aside and starts over from the Maildir and the server; nothing is deleted then"
    )]
    Damaged {
        /// Its path.
        path: String,
        /// The damage.
        what: String,
    },
    /// Another process uses it.
    #[error("another mailtide works on this account: {holder} (lock file {path})")]
    Locked {
        /// The holder, if the lock file names one.
        holder: String,
        /// The lock file.
        path: PathBuf,
    },
}

impl StateError {
    /// Whether the file is damaged or not a database.
    pub fn is_damage(&self) -> bool {
        match self {
            StateError::Damaged { .. } => true,
            StateError::Database { source, .. } => is_corrupt(source),
            _ => false,
        }
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    let damage = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
    match error {
        // A value that no column can have.
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::FromSqlConversionFailure(..) => true,
        other => other
            .sqlite_error_code()
            .is_some_and(|code| damage.contains(&code)),
    }
}

fn hint(error: &rusqlite::Error) -> &'static str {
    match is_corrupt(error) {
        true => {
            "; it is damaged: `mailtide repair` moves it aside and starts over from the Maildir \
             and the server, and nothing is deleted then"
        }
        false => "",
    }
}

/// The state of one account.
#[derive(Debug)]
pub struct State {
    db: Connection,
    /// The row of this run, after its first change.
    run: Option<i64>,
    /// The start of this run, seconds since 1970; `None`: by the clock.
    began: Option<i64>,
    /// Whether this run is an undo.
    undoes: bool,
    /// The changes of this run.
    touched: BTreeSet<(Side, MailboxName)>,
    /// Whether the previous run was cut.
    cut: bool,
}

impl State {
    /// Opens the database; creates it if it does not exist.
    pub fn open(path: &Path) -> Result<State, StateError> {
        let unclean = path.with_extension("db-wal").exists();
        private_files::file(path)?;
        let db = Connection::open(path).map_err(doing("open it"))?;
        restrict(path)?;
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                       PRAGMA journal_size_limit = 4194304;";
        db.execute_batch(pragmas).map_err(|e| damaged(path, &e))?;
        if unclean {
            let check = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
            match check {
                Ok(verdict) if verdict == "ok" => {}
                Ok(verdict) => return Err(damaged(path, &verdict)),
                Err(error) => return Err(damaged(path, &error)),
            }
        }
        let mut state = State::prepare(db, &path.display().to_string())?;
        state.cut = unclean;
        Ok(state)
    }

    /// Whether the previous process was killed, or could not sync its changes on disk: a power
    /// failure may take back what is on disk.
    pub fn was_cut(&self) -> Result<bool, StateError> {
        let (own, settled) = self.generation()?;
        Ok(self.cut || settled < own)
    }

    /// Sets what [`State::was_cut`] returns.
    pub fn set_cut(&mut self, cut: bool) {
        self.cut = cut;
    }

    /// Makes a state in memory, for tests and for dry runs of accounts that were never synced.
    pub fn in_memory() -> Result<State, StateError> {
        State::prepare(
            Connection::open_in_memory().map_err(doing("open it"))?,
            ":memory:",
        )
    }

    /// Opens an existing database read only (dry run). The caller holds the lock.
    pub fn open_read_only(path: &Path) -> Result<State, StateError> {
        let wal = path.with_extension("db-wal");
        let leftover = wal.metadata().is_ok_and(|meta| meta.len() > 0);
        let db = if leftover {
            // SQLite would have to write to read the journal of a cut run, so read a copy.
            let copy = private_files::Copy::of(path, &wal)?;
            let from = Connection::open(copy.database()).map_err(doing("open a copy"))?;
            let mut memory = Connection::open_in_memory().map_err(doing("open a copy"))?;
            copy_into(&from, &mut memory)?;
            memory
        } else {
            let name = path
                .display()
                .to_string()
                .replace('%', "%25")
                .replace('?', "%3f");
            let uri = format!("file:{}?immutable=1", name.replace('#', "%23"));
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri, flags).map_err(doing("open it"))?
        };
        Ok(State {
            db: migrate::newest(db, &path.display().to_string())?,
            run: None,
            began: None,
            undoes: false,
            touched: BTreeSet::new(),
            cut: false,
        })
    }

    /// Opens an existing database for reading while another process may write.
    pub fn open_beside(path: &Path) -> Result<State, StateError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let db = Connection::open_with_flags(path, flags).map_err(doing("open it"))?;
        db.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000;")
            .map_err(doing("open it"))?;
        Ok(State {
            db: migrate::newest(db, &path.display().to_string())?,
            run: None,
            began: None,
            undoes: false,
            touched: BTreeSet::new(),
            cut: false,
        })
    }

    fn prepare(mut db: Connection, name: &str) -> Result<State, StateError> {
        // 6 MB of cache, and 16 MB of log between checkpoints: a thousand deletions change most
        // pages, which less memory would write several times.
        let pragmas = "PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;
                       PRAGMA cache_size = -6144; PRAGMA wal_autocheckpoint = 4096;";
        db.execute_batch(pragmas).map_err(doing("set it up"))?;
        db.set_prepared_statement_cache_capacity(64);
        // Cache prepared statements: no query plan depends on bound values.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(doing("set it up"))?;
        migrate::run(&mut db, name)?;
        Ok(State {
            db,
            run: None,
            began: None,
            undoes: false,
            touched: BTreeSet::new(),
            cut: false,
        })
    }

    /// Returns SQLite's integrity errors and violated foreign keys.
    pub fn integrity(&self) -> Result<Vec<String>, StateError> {
        let what = doing("check it");
        let mut wrong = Vec::new();
        for pragma in ["integrity_check", "foreign_key_check"] {
            let mut query = self
                .db
                .prepare(&format!("PRAGMA {pragma}"))
                .map_err(&what)?;
            let rows = query.query_map([], |row| row.get::<_, String>(0));
            for row in rows.map_err(&what)? {
                let row = row.map_err(&what)?;
                if row != "ok" {
                    wrong.push(row);
                }
            }
        }
        Ok(wrong)
    }

    /// Begins a run at this time, seconds since 1970.
    pub fn begin_run(&mut self, now: i64) {
        self.began = Some(now);
    }

    /// Ends the run. Returns the mailboxes that it changed, by side.
    pub fn end_run(&mut self) -> BTreeSet<(Side, MailboxName)> {
        (self.run, self.began, self.undoes) = (None, None, false);
        std::mem::take(&mut self.touched)
    }

    /// Returns the number of rows written since the database was opened.
    pub fn writes(&self) -> u64 {
        self.db.total_changes()
    }

    /// Copies it into memory, for tests of old copies.
    #[doc(hidden)]
    pub fn copy(&self) -> Result<State, StateError> {
        let mut db = Connection::open_in_memory().map_err(doing("copy it"))?;
        copy_into(&self.db, &mut db)?;
        State::prepare(db, ":memory:")
    }

    /// Makes transactions fail when the function returns an error, for tests.
    #[doc(hidden)]
    pub fn fail_commits(&mut self, fails: impl FnMut() -> bool + Send + 'static) {
        let hooked = self.db.commit_hook(Some(fails));
        debug_assert!(hooked.is_ok());
    }
}

fn copy_into(from: &Connection, to: &mut Connection) -> Result<(), StateError> {
    let backup = rusqlite::backup::Backup::new(from, to).map_err(doing("copy it"))?;
    let pause = std::time::Duration::ZERO;
    backup
        .run_to_completion(1000, pause, None)
        .map_err(doing("copy it"))
}

fn restrict(path: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).map_err(|source| StateError::File {
        path: path.to_owned(),
        source,
    })
}

fn damaged(path: &Path, what: &impl ToString) -> StateError {
    StateError::Damaged {
        path: path.display().to_string(),
        what: what.to_string(),
    }
}

/// Makes a [`StateError`] of SQLite's error.
fn doing(doing: &'static str) -> impl Fn(rusqlite::Error) -> StateError {
    move |source| StateError::Database { doing, source }
}
