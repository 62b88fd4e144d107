//! A state or a Maildir that was put back from a copy, and `mailtide repair`.

use super::*;
use std::process::Command;

fn world() -> (Server, Home) {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for n in 0..40 {
        phone.append("INBOX", ["", "\\Seen"][n % 2], DATE, &mail(n));
    }
    home.sync_twice();
    (server, home)
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}

/// New mail, a deletion and a change of flags on both sides, in step.
fn life(server: &Server, home: &Home) {
    let mut phone = server.phone("u1");
    for n in 100..110 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    phone.run("SELECT INBOX");
    phone.run("STORE 3 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    let doomed = holding(&home.mail().join("INBOX"), "Subject: message 7\n");
    std::fs::remove_file(doomed).unwrap();
    home.sync_twice();
}

#[test]
fn an_old_state_deletes_nothing_and_doubles_nothing() {
    let (server, home) = world();
    let (state, old) = (home.dir.path().join("state"), home.dir.path().join("old"));
    copy(&state, &old);
    life(&server, &home);
    copy(&old, &state);
    let (code, report) = home.sync();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        (&report["changes"], &report["linked"]),
        (&0.into(), &48.into()),
        "{report:#}"
    );
    assert!(
        report["notes"]
            .to_string()
            .contains("older than the Maildir"),
        "{report:#}"
    );
    assert_same(&server, "u1", &home);
    home.sync_twice();
}

#[test]
fn an_old_maildir_deletes_nothing_on_the_server() {
    let (server, home) = world();
    let old = home.dir.path().join("old");
    copy(&home.mail(), &old);
    life(&server, &home);
    copy(&old, &home.mail());
    let plan = home.run(&["sync", "--dry-run"]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(!plan.contains("delete"), "{plan}");
    let (code, report) = home.sync();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["deleted_remote"], 0, "{report:#}");
    assert!(
        report["notes"].to_string().contains("older than the state"),
        "{report:#}"
    );
    assert_same(&server, "u1", &home);
    home.sync_twice();
}

fn repair(home: &Home, more: &[&str]) -> String {
    let out = home.run(&[&["repair"], more].concat());
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn repair_looks_at_every_pair() {
    let (server, home) = world();
    let text = repair(&home, &[]);
    assert!(text.contains("checked 40 messages: 40 ok"), "{text}");
    assert!(text.contains("no changes"), "{text}");
    // Two messages change places in what is remembered.
    let db = home.dir.path().join("state/test.db");
    let rows = rusqlite::Connection::open(&db).unwrap();
    let first: u32 = rows
        .query_row("SELECT min(uid) FROM pair", [], |row| row.get(0))
        .unwrap();
    let swap = [(1000, first), (first, first + 1), (first + 1, 1000)];
    for (to, from) in swap {
        rows.execute("UPDATE pair SET uid = ?1 WHERE uid = ?2", [to, from])
            .unwrap();
    }
    drop(rows);
    let text = repair(&home, &[]);
    assert!(text.contains("2 mismatched"), "{text}");
    assert!(text.contains("2 found on both sides"), "{text}");
    assert_same(&server, "u1", &home);
    let text = repair(&home, &["--rebuild"]);
    assert!(text.contains("40 found on both sides"), "{text}");
    // A database that is damaged is put aside.
    let bytes = std::fs::read(&db).unwrap();
    let broken: Vec<u8> = bytes
        .iter()
        .enumerate()
        .map(|(n, b)| if n > 4096 { 7 } else { *b })
        .collect();
    std::fs::write(&db, broken).unwrap();
    let text = repair(&home, &[]);
    assert!(
        text.contains("moved to") && text.contains("40 found on both sides"),
        "{text}"
    );
    assert_same(&server, "u1", &home);
    home.sync_twice();
}

/// A page of the database is overwritten, wherever it is.
#[test]
fn a_damaged_page_is_moved_aside_with_its_database() {
    use std::os::unix::fs::FileExt;
    for page in [1, 2, 3, 8] {
        let (server, home) = world();
        let state = home.dir.path().join("state").join("test.db");
        let file = std::fs::File::options().write(true).open(&state).unwrap();
        file.write_all_at(&[0xa5; 4096], 4096 * page).unwrap();
        drop(file);
        let repaired = home.run(&["repair"]);
        assert!(repaired.status.success(), "page {page}: {repaired:?}");
        let again = home.run(&["repair"]);
        assert!(again.status.success(), "page {page}: {again:?}");
        assert_same(&server, "u1", &home);
        home.sync_twice();
    }
}
