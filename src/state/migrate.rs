//! The schema and how a database gets to it.

use super::{StateError, doing};
use rusqlite::Connection;

/// "mtde": says that a file is ours.
const APPLICATION_ID: i64 = 0x6d74_6465;

/// One script per version; the first makes the schema of version 1, and so on.
const STEPS: &[&str] = &[include_str!("schema.sql")];

fn number(db: &Connection, pragma: &str) -> Result<i64, rusqlite::Error> {
    db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
}

/// Checks that this program can read the database; answers with its version.
pub fn check(db: &Connection, name: &str) -> Result<usize, StateError> {
    let damaged = |what: String| StateError::Damaged {
        path: name.to_owned(),
        what,
    };
    let found = number(db, "user_version").map_err(|e| damaged(e.to_string()))?;
    let application = number(db, "application_id").map_err(|e| damaged(e.to_string()))?;
    let known = STEPS.len() as i64;
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

/// Brings the database to the newest schema, in one transaction. An older one is copied first.
pub fn run(db: &mut Connection, name: &str) -> Result<(), StateError> {
    let version = check(db, name)?;
    if version == STEPS.len() {
        return Ok(());
    }
    if version > 0 && name != ":memory:" {
        db.execute("VACUUM INTO ?1", [format!("{name}.before-{}", STEPS.len())])
            .map_err(doing("copy it before the schema changes"))?;
    }
    let what = "bring the schema up to date";
    let tx = db.transaction().map_err(doing(what))?;
    for step in STEPS.iter().skip(version) {
        tx.execute_batch(step).map_err(doing(what))?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(doing(what))?;
    tx.pragma_update(None, "user_version", STEPS.len() as i64)
        .map_err(doing(what))?;
    tx.commit().map_err(doing(what))
}

#[cfg(test)]
mod tests {
    use super::*;

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
