//! The schema and its migrations.

use crate::state::pairs::name_codec::pack_all;
use crate::state::pairs::outcome::unaside_paired;
use crate::state::runs::history::fill_flags;
use crate::state::{StateError, copy_into, doing};
use rusqlite::Connection;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// "mtde": the application id of the database.
const APPLICATION_ID: i64 = 0x6d74_6465;

/// The current schema.
const SCHEMA: &str = include_str!("schema.sql");

/// SQL, and a function for what SQL cannot do.
type Migration = (&'static str, fn(&Connection) -> rusqlite::Result<()>);

/// The migration of each version to the next; the first from 1 to 2.
const STEPS: &[Migration] = &[
    (
        "
    ALTER TABLE account ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE mailbox ADD COLUMN remote_id TEXT;
    ALTER TABLE mailbox ADD COLUMN local_id TEXT;
    ALTER TABLE upload ADD COLUMN above INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE pair ADD COLUMN kin INTEGER;
    CREATE INDEX pair_nameless ON pair (mailbox) WHERE kin IS NULL;
    CREATE INDEX pair_kin ON pair (kin) WHERE kin IS NOT NULL;
    CREATE INDEX pair_size ON pair (size);
    CREATE TABLE buried (
        kin      INTEGER NOT NULL,
        hash     BLOB NOT NULL CHECK (length(hash) = 32),
        flags    INTEGER NOT NULL,
        keywords TEXT NOT NULL,
        flags_here    INTEGER NOT NULL,
        keywords_here TEXT NOT NULL,
        path     BLOB NOT NULL PRIMARY KEY,
        at       INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX buried_kin ON buried (kin);
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE history ADD COLUMN kept BLOB;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE origin (
        id    INTEGER PRIMARY KEY,
        tag   INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        host  TEXT NOT NULL,
        UNIQUE (tag, epoch, host)
    ) STRICT;
",
        pack_all,
    ),
    (
        "
    ALTER TABLE history ADD COLUMN keywords TEXT;
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE upload ADD COLUMN pair INTEGER REFERENCES pair (id) ON DELETE SET NULL;
    ALTER TABLE upload ADD COLUMN source INTEGER;
    ALTER TABLE upload ADD COLUMN uid INTEGER;
    CREATE INDEX upload_pair ON upload (pair);
",
        |_| Ok(()),
    ),
    ("", unaside_paired),
    (
        "
    CREATE INDEX pair_tombstone ON pair (mailbox) WHERE tombstone IS NOT NULL;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE refused_keyword (
        mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
        keyword TEXT NOT NULL COLLATE NOCASE,
        PRIMARY KEY (mailbox, keyword)
    ) STRICT, WITHOUT ROWID;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE charge (
        id       INTEGER PRIMARY KEY,
        run      INTEGER NOT NULL,
        side     INTEGER NOT NULL,
        mailbox  TEXT NOT NULL,
        epoch    INTEGER,
        held     INTEGER NOT NULL,
        whole    INTEGER NOT NULL,
        approved INTEGER NOT NULL,
        uids     BLOB NOT NULL
    ) STRICT;
    CREATE TABLE unseen (
        mailbox TEXT PRIMARY KEY,
        since   INTEGER NOT NULL
    ) STRICT;
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE mailbox ADD COLUMN doubted INTEGER NOT NULL DEFAULT 0;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE suspect (
        mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
        side    INTEGER NOT NULL,
        message BLOB NOT NULL,
        breaks  INTEGER NOT NULL,
        PRIMARY KEY (mailbox, side, message)
    ) STRICT, WITHOUT ROWID;
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE pair ADD COLUMN stamp INTEGER;
    ALTER TABLE pair ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX pair_unproven ON pair (mailbox) WHERE unproven = 1;
    UPDATE pair SET unproven = 1 WHERE file IN (SELECT message FROM history WHERE what = 'linked');
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE held ADD COLUMN mailboxes INTEGER NOT NULL DEFAULT 0;
    DELETE FROM held WHERE lines LIKE 'delete mailbox %' AND approved = 0;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE lettered (
        mailbox  INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
        file     BLOB NOT NULL,
        keywords TEXT NOT NULL,
        PRIMARY KEY (mailbox, file)
    ) STRICT, WITHOUT ROWID;
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE run ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN undo INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE flag_change (
        id      INTEGER PRIMARY KEY REFERENCES history (id),
        pair    INTEGER,
        hash    BLOB,
        added   INTEGER NOT NULL,
        added_keywords   TEXT NOT NULL,
        removed INTEGER NOT NULL,
        removed_keywords TEXT NOT NULL
    ) STRICT;
    CREATE TEMP TABLE began AS SELECT run, min(id) AS first FROM history GROUP BY run;
    UPDATE run SET first = began.first FROM began WHERE began.run = run.id;
    DROP TABLE began;
",
        fill_flags,
    ),
    (
        "
    CREATE TABLE seen_day (
        date   INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        boot   TEXT NOT NULL,
        uptime INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE kept_day (
        name  TEXT PRIMARY KEY,
        since INTEGER NOT NULL
    ) STRICT;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE refused_change (
        pair     INTEGER PRIMARY KEY REFERENCES pair (id) ON DELETE CASCADE,
        attempts INTEGER NOT NULL,
        retry_at INTEGER NOT NULL,
        detail   TEXT NOT NULL
    ) STRICT;
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE pair ADD COLUMN sent INTEGER;
    ALTER TABLE upload ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE upload ADD COLUMN told INTEGER;
    ALTER TABLE upload ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
    CREATE TRIGGER pair_gone AFTER DELETE ON pair BEGIN
        DELETE FROM upload WHERE mailbox = OLD.mailbox AND told = OLD.uid;
    END;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE learned (
        name TEXT PRIMARY KEY,
        at   INTEGER NOT NULL
    ) STRICT;
",
        |_| Ok(()),
    ),
    (
        "
    ALTER TABLE lettered ADD COLUMN hash BLOB CHECK (length(hash) = 32);
    ALTER TABLE lettered ADD COLUMN size INTEGER;
",
        |_| Ok(()),
    ),
    (
        "
    CREATE TABLE trail (
        id     INTEGER PRIMARY KEY REFERENCES history (id),
        source TEXT,
        uid    INTEGER,
        pair   INTEGER,
        hash   BLOB
    ) STRICT;
",
        |_| Ok(()),
    ),
];

/// The version of [`SCHEMA`].
const VERSION: usize = STEPS.len() + 1;

fn number(db: &Connection, pragma: &str) -> Result<i64, rusqlite::Error> {
    db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
}

/// Checks that this program can read the database; returns its version.
pub fn check(db: &Connection, name: &str) -> Result<usize, StateError> {
    let damaged = |what: String| StateError::Damaged {
        path: name.to_owned(),
        what,
    };
    let found = number(db, "user_version").map_err(|e| damaged(e.to_string()))?;
    let application = number(db, "application_id").map_err(|e| damaged(e.to_string()))?;
    let known = VERSION as i64;
    let foreign = application != APPLICATION_ID && application != 0;
    if foreign || (application == 0 && found != 0) {
        return Err(damaged("it belongs to another program".into()));
    }
    match usize::try_from(found) {
        Ok(version) if found <= known => Ok(version),
        _ => Err(StateError::Newer {
            path: name.to_owned(),
            found,
            known,
        }),
    }
}

/// Returns the database; if it is older and read only, a migrated copy in memory.
pub fn newest(db: Connection, name: &str) -> Result<Connection, StateError> {
    if check(&db, name)? == VERSION {
        return Ok(db);
    }
    let mut memory = Connection::open_in_memory().map_err(doing("open a copy"))?;
    copy_into(&db, &mut memory)?;
    run(&mut memory, ":memory:")?;
    Ok(memory)
}

/// Migrates the database in one transaction, after it copied an older one.
pub fn run(db: &mut Connection, name: &str) -> Result<(), StateError> {
    let version = check(db, name)?;
    if version == VERSION {
        return Ok(());
    }
    if version > 0 && name != ":memory:" {
        copy_first(db, name)?;
    }
    let what = "bring the schema up to date";
    let tx = db.transaction().map_err(doing(what))?;
    match version.checked_sub(1) {
        None => tx.execute_batch(SCHEMA).map_err(doing(what))?,
        Some(done) => {
            for (sql, and) in STEPS.iter().skip(done) {
                tx.execute_batch(sql).map_err(doing(what))?;
                and(&tx).map_err(doing(what))?;
            }
        }
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(doing(what))?;
    tx.pragma_update(None, "user_version", VERSION as i64)
        .map_err(doing(what))?;
    tx.commit().map_err(doing(what))
}

/// Copies the database beside itself. Replaces the copy of an earlier start that was cut; the
/// database has not changed since.
fn copy_first(db: &Connection, name: &str) -> Result<(), StateError> {
    let copy = PathBuf::from(format!("{name}.before-{VERSION}"));
    let part = PathBuf::from(format!("{name}.before-{VERSION}.part"));
    let file = |source| StateError::File {
        path: part.clone(),
        source,
    };
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
        _ => {}
    }
    // SQLite may write to an empty file.
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part);
    made.map_err(file)?;
    db.execute("VACUUM INTO ?1", [part.display().to_string()])
        .map_err(doing("copy it before the schema changes"))?;
    let written = std::fs::File::open(&part).and_then(|part| part.sync_all());
    written
        .and_then(|()| std::fs::rename(&part, &copy))
        .map_err(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MailboxKey;
    use crate::state::State;
    use crate::state::pairs::name_codec::NameCodec;

    /// Returns tables, columns with types, and indexes, sorted.
    fn shape(db: &Connection) -> Vec<String> {
        let sql = "SELECT m.name || '.' || c.name || ' ' || c.type || c.\"notnull\" || c.pk
                   FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'
                   UNION SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL
                   ORDER BY 1";
        let mut query = db.prepare(sql).unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// The name of a downloaded file.
    const NAME: &str = "1764170000.000000be_00000001_1.laptop";

    /// A database of version 1 with one message.
    fn first_version(db: &Connection) {
        db.execute_batch(include_str!("../../../tests/it/old/state-v1.sql"))
            .unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        let sql = "INSERT INTO mailbox (id, name, tag) VALUES (1, 'INBOX', 190)";
        db.execute(sql, []).unwrap();
        let sql = "INSERT INTO pair (mailbox, uid, file, flags, keywords, hash, size)
                   VALUES (1, 1, ?1, 0, '', zeroblob(32), 7)";
        db.execute(sql, [NAME.as_bytes()]).unwrap();
    }

    /// Skips the message with this UID, and a file: of the pair for UID 1, else another.
    fn set_aside(db: &Connection, uid: u32) {
        let file = match uid {
            1 => NAME.as_bytes().to_vec(),
            _ => format!("{uid}.x").into_bytes(),
        };
        let sql = "INSERT INTO aside (mailbox, side, message, reason, attempts, flags, keywords,
                                      detail)
                   VALUES (1, ?1, ?2, 'refused', 1, 0, '', '')";
        for (side, message) in [(0, uid.to_be_bytes().to_vec()), (1, file)] {
            db.execute(sql, rusqlite::params![side, message]).unwrap();
        }
    }

    #[test]
    fn an_old_database_is_read_as_it_is_and_copied_before_it_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let old = Connection::open(&path).unwrap();
        first_version(&old);
        old.close().unwrap();
        let before = std::fs::read(&path).unwrap();
        let holds_it = |state: &State| {
            let base = state.base(MailboxKey(1)).unwrap();
            base.pairs[0].file.as_bytes() == NAME.as_bytes()
        };
        assert!(holds_it(&State::open_read_only(&path).unwrap()));
        assert!(holds_it(&State::open_beside(&path).unwrap()));
        assert_eq!(std::fs::read(&path).unwrap(), before, "not changed");
        assert!(holds_it(&State::open(&path).unwrap()));
        let copy = format!("{}.before-{VERSION}", path.display());
        assert!(holds_it(&State::open_read_only(copy.as_ref()).unwrap()));
        let copy = Connection::open(copy).unwrap();
        assert_eq!(number(&copy, "user_version").unwrap(), 1);
    }

    #[test]
    fn a_migration_that_was_cut_goes_on() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let beside = |end: &str| format!("{}.before-{VERSION}{end}", path.display());
        let whole = |path: &str| State::open_read_only(path.as_ref()).is_ok();
        // Cut after the copy, in the middle of it, and with a complete partial file.
        for left in [&["", ".part"][..], &[".part"], &[""], &[]] {
            let _gone = std::fs::remove_dir_all(directory.path());
            std::fs::create_dir(directory.path()).unwrap();
            let old = Connection::open(&path).unwrap();
            first_version(&old);
            old.close().unwrap();
            for end in left {
                std::fs::write(beside(end), b"SQLite for").unwrap();
            }
            assert!(State::open(&path).is_ok(), "{left:?}");
            assert!(whole(&beside("")), "{left:?}");
            let mode = std::fs::metadata(beside("")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{left:?}");
            assert!(!std::path::Path::new(&beside(".part")).exists());
        }
    }

    #[test]
    fn an_old_database_becomes_what_a_new_one_is() {
        let mut old = Connection::open_in_memory().unwrap();
        first_version(&old);
        set_aside(&old, 1);
        set_aside(&old, 2);
        run(&mut old, ":memory:").unwrap();
        let alone = "SELECT group_concat(hex(message))
                     FROM (SELECT message FROM aside ORDER BY side)";
        let alone: String = old.query_row(alone, [], |row| row.get(0)).unwrap();
        assert_eq!(alone, "00000002,322E78", "not what is one of the pair");
        let stored = old.query_row("SELECT file FROM pair", [], |row| row.get(0));
        let stored: Vec<u8> = stored.unwrap();
        assert_ne!(stored, NAME.as_bytes(), "in fewer bytes");
        let file = NameCodec::of(&old).unpack(&stored).unwrap();
        assert_eq!(file.as_bytes(), NAME.as_bytes());
        let mut new = Connection::open_in_memory().unwrap();
        run(&mut new, ":memory:").unwrap();
        assert_eq!(shape(&old), shape(&new));
    }

    #[test]
    fn newer_and_foreign_databases_are_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        run(&mut db, ":memory:").unwrap();
        run(&mut db, ":memory:").unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        let error = run(&mut db, "x.db").unwrap_err().to_string();
        assert!(error.contains("newer mailtide (schema 99"), "{error}");
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "application_id", 7).unwrap();
        assert!(matches!(
            run(&mut db, "x.db"),
            Err(StateError::Damaged { .. })
        ));
    }
}
