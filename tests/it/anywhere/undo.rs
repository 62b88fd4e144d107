//! `mailtide undo`: what runs deleted on either side, and the flags they changed, come back on
//! both.

use super::*;
use crate::support::line::{Line, Way};

const DATE: &str = "17-Jul-2024 02:44:25 +0200";

fn undo(home: &Home, arguments: &[&str]) -> String {
    let out = home.run(&[&["undo"], arguments].concat());
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{text} {error}");
    text
}

#[test]
fn what_was_deleted_on_either_side_comes_back_on_both() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (n, flags) in [(1, "$Later $Work"), (2, "\\Seen $Work"), (3, ""), (4, "")] {
        phone.append("INBOX", &server.flags(flags), DATE, &mail(n));
    }
    home.sync_twice();
    let before = read_maildir(&home.mail());
    // One is deleted here, one there, and one gets flags there.
    std::fs::remove_file(holding(&home.mail().join("INBOX"), "message 1")).unwrap();
    phone.run("SELECT INBOX");
    phone.run("STORE 3 +FLAGS (\\Flagged)");
    phone.run("STORE 2 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    home.sync_twice();
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 2);

    let list = undo(&home, &["--list"]);
    assert!(list.contains("2 deleted, 1 with other flags"), "{list}");
    let plan = undo(&home, &[]);
    assert_eq!(plan.matches("put back").count(), 2, "{plan}");
    assert!(
        plan.contains("-(\\Flagged)") && plan.contains("nothing was changed"),
        "{plan}"
    );
    assert_eq!(
        read_maildir(&home.mail())["INBOX"].len(),
        2,
        "it is only shown"
    );

    let done = undo(&home, &["--yes"]);
    assert!(done.contains("3 taken back here"), "{done}");
    assert_eq!(read_maildir(&home.mail()), before);
    let other = Home::new(&server, "u1", "");
    other.sync_twice();
    assert_eq!(read_maildir(&other.mail()), before, "on the server too");
    home.sync_twice();
}

#[test]
fn mailboxes_that_were_deleted_come_back() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for name in ["Here", "There"] {
        phone.on("CREATE", &[name]);
        phone.append(name, &server.flags("$Work"), DATE, &mail(7));
        phone.append(name, "\\Seen", DATE, &mail(8));
    }
    home.sync_twice();
    let before = read_maildir(&home.mail());
    std::fs::remove_dir_all(home.mail().join("Here")).unwrap();
    phone.on("DELETE", &["There"]);
    home.sync_twice();
    assert_eq!(read_maildir(&home.mail()).len(), 1);
    let done = undo(&home, &["--since", "1h", "--yes"]);
    assert!(done.contains("4 taken back here"), "{done}");
    assert_eq!(read_maildir(&home.mail()), before);
    let other = Home::new(&server, "u1", "");
    other.sync_twice();
    assert_eq!(read_maildir(&other.mail()), before, "on the server too");
}

/// To delete it on the server under another name would take along what lies below it.
#[test]
fn a_mailbox_with_others_below_it_is_emptied_and_comes_back() {
    let Some(server) = Server::with(&[Need::Nesting]) else {
        return;
    };
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (name, n) in [("Work", 7), ("Work/Old", 8)] {
        phone.on("CREATE", &[name]);
        phone.append(name, "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    let before = read_maildir(&home.mail());
    for sub in ["cur", "new", "tmp"] {
        std::fs::remove_dir_all(home.mail().join("Work").join(sub)).unwrap();
    }
    home.sync_twice();
    assert_same(&server, "u1", &home);
    let now = read_maildir(&home.mail());
    assert_eq!(now["Work"], [], "emptied, on both sides");
    assert_eq!(now["Work/Old"], before["Work/Old"]);
    let done = undo(&home, &["--since", "1h", "--yes"]);
    assert!(done.contains("1 taken back here"), "{done}");
    assert_eq!(read_maildir(&home.mail()), before);
}

/// Whose three messages are in step; then one is deleted there, which is in step, too.
fn one_deleted(server: &Server) -> Home {
    one_deleted_in(server, Home::new(server, "u1", ""))
}

fn one_deleted_in(server: &Server, home: Home) -> Home {
    let mut phone = server.phone("u1");
    for n in 1..=3 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.sync_twice();
    phone.run("SELECT INBOX");
    phone.run("STORE 2 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    home.sync_twice();
    home
}

#[test]
fn it_is_shown_while_a_run_ends_beside_it() {
    let server = Server::start();
    let home = one_deleted(&server);
    // Between the two moments at which a run writes how many there were.
    let marker = home.mail().join(".mailtide/account");
    let text = std::fs::read_to_string(&marker).unwrap();
    let runs = text.lines().nth(1).unwrap();
    let next = runs.parse::<u64>().unwrap() + 1;
    let next = text.replacen(&format!("\n{runs}\n"), &format!("\n{next}\n"), 1);
    std::fs::write(&marker, next).unwrap();
    let plan = undo(&home, &[]);
    assert_eq!(plan.matches("put back").count(), 1, "{plan}");
}

#[test]
fn what_was_taken_back_is_said_though_the_server_is_down() {
    let server = Server::start();
    let (line, home) = (Line::to(server.port), Home::new(&server, "u1", ""));
    let config = std::fs::read_to_string(home.config()).unwrap();
    let (port, way) = (format!("port = {}", server.port), line.port);
    home.write_config(&config.replace(&port, &format!("port = {way}")));
    let home = one_deleted_in(&server, home);
    line.set(Way::Reset);
    let out = home.run(&["undo", "--yes"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(text.contains("1 taken back here"), "{text}");
    assert!(
        out.status.code() == Some(75) && error.contains("127.0.0.1"),
        "{out:?}"
    );
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 3);
    // When it is up again, any run carries it there, and once.
    line.set(Way::Good);
    home.sync_twice();
    let other = Home::new(&server, "u1", "");
    other.sync_twice();
    assert_eq!(read_maildir(&other.mail()), read_maildir(&home.mail()));
}

#[test]
fn without_its_maildir_it_is_refused_and_the_list_is_shown() {
    let server = Server::start();
    let home = one_deleted(&server);
    std::fs::rename(home.mail(), home.dir.path().join("Unmounted")).unwrap();
    let out = home.run(&["undo"]);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && error.contains("is the disk mounted?"),
        "{error}"
    );
    assert!(undo(&home, &["--list"]).contains("1 deleted"));
}

#[test]
fn what_is_no_time_or_no_run_is_said() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    home.sync_twice();
    let out = home.run(&["undo", "--since", "yesterday-ish"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(2) && text.contains("is no time"),
        "{text}"
    );
    assert!(undo(&home, &["--run", "4711"]).contains("nothing to undo"));
}

#[test]
fn history_tells_what_was_changed_and_why() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Work"]);
    phone.append("INBOX", "", DATE, &mail(1));
    phone.append("Work", "", DATE, &mail(2));
    let history = |arguments: &[&str]| {
        let out = home.run(&[&["history"], arguments].concat());
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(history(&[]).trim(), "test: nothing was changed");
    home.sync_twice();
    phone.run("SELECT INBOX");
    phone.run("STORE 1 +FLAGS (\\Flagged)");
    home.sync_twice();

    let all = history(&[]);
    let files = [holding(&home.mail().join("INBOX"), "message 1")];
    let named = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.split(":2,").next().unwrap().to_owned()
    };
    let name = named(&files[0]);
    assert!(
        all.contains(&format!("local: INBOX new {name} (from UID ")),
        "{all}"
    );
    let last = history(&["-n", "1"]);
    assert!(
        last.contains("flags") && last.contains(r"(+(\Flagged))") && last.lines().count() == 1,
        "{last}"
    );
    let none = home.run(&["history", "-n", "0"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    let work = history(&["--mailbox", "W*", "--json"]);
    let objects = work.lines().map(|line| serde_json::from_str(line).unwrap());
    let objects: Vec<serde_json::Value> = objects.collect();
    assert!(objects.iter().all(|one| one["mailbox"] == "Work"), "{work}");
    assert!(objects.iter().any(|one| one["what"] == "new"), "{work}");
    assert_eq!(
        history(&["--since", "2100-01-01"]).trim(),
        "test: nothing was changed"
    );
}
