//! `mailtide undo`: messages that were moved and mailboxes that were renamed, and the names by
//! which a user chooses one message.

use super::undo::{last_run, subjects, undo};
use super::*;

/// A home with messages 1 to 4 in INBOX and an empty mailbox Box, in step.
fn world(server: &Server) -> Home {
    let home = Home::new(server, "u1", "");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Box"]);
    for n in 1..=4 {
        phone.append("INBOX", "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    home
}

/// The UID of a message on the server.
fn uid(server: &Server, mailbox: &str, n: usize) -> String {
    let mut phone = server.phone("u1");
    phone.on("SELECT", &[mailbox]);
    let found = phone.run("UID FETCH 1:* (BODY.PEEK[])");
    let subject = format!("Subject: message {n}\r");
    let text: Vec<String> = found
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    let row = text.iter().find(|text| text.contains(&subject)).unwrap();
    let after = row.split("UID ").nth(1).unwrap();
    let digits = after.chars().take_while(char::is_ascii_digit);
    digits.collect()
}

fn move_on_disk(home: &Home, n: usize, from: &str, to: &str) {
    let file = holding(&home.mail().join(from), &format!("Subject: message {n}\n"));
    let name = file.file_name().unwrap();
    std::fs::rename(&file, home.mail().join(to).join("cur").join(name)).unwrap();
}

/// The id of a message as `list` prints it.
fn listed(home: &Home, mailbox: &str, n: usize) -> String {
    let out = home.run(&["list", mailbox, "--json"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let rows: Vec<serde_json::Value> = rows.collect();
    let subject = format!("message {n}");
    let row = rows.iter().find(|row| row["subject"] == subject.as_str());
    row.unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn messages_moved_on_either_side_go_back() {
    let server = Server::start();
    let home = world(&server);
    let before = read_maildir(&home.mail());
    move_on_disk(&home, 1, "INBOX", "Box");
    let second = uid(&server, "INBOX", 2);
    let mut phone = server.phone("u1");
    phone.on("SELECT", &["INBOX"]);
    phone.move_to(&second, "Box");
    home.sync_twice();
    assert_eq!(subjects(&home, "Box"), [1, 2]);
    assert!(undo(&home, &["--list"]).contains("2 moved"));
    let plan = undo(&home, &[]);
    assert_eq!(plan.matches("move back to INBOX").count(), 2, "{plan}");
    assert!(undo(&home, &["--yes"]).contains("restored 2 locally"));
    assert_eq!(read_maildir(&home.mail()), before);
    home.sync_twice();
    assert_same(&server, "u1", &home);
    // The run that carried it to the server is no run of the user's.
    assert!(undo(&home, &["--yes"]).contains("nothing to undo"));
    assert_eq!(read_maildir(&home.mail()), before);
    // By its number an undo is taken back.
    let history = home.run(&["history", "--json"]);
    let text = String::from_utf8(history.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("taken back"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    undo(&home, &["--run", &line["run"].to_string(), "--yes"]);
    assert_eq!(subjects(&home, "Box"), [1, 2]);
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn mailboxes_renamed_on_either_side_are_named_back() {
    // Open: Cyrus, pymap and hoodiecrow end with an empty mailbox of the former name.
    let name = crate::support::traits::Traits::wanted().name;
    if !name.starts_with("dovecot") {
        crate::support::traits::note_skipped(name, "a rename on each side at once");
        return;
    }
    let Some(server) = Server::with(&[Need::Nesting]) else {
        return;
    };
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (name, n) in [("Here", 1), ("Here/In", 2), ("There", 3), ("There/In", 4)] {
        let name = server.below(name);
        phone.on("CREATE", &[&name]);
        phone.append(&name, "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    let before = read_maildir(&home.mail());
    std::fs::rename(home.mail().join("Here"), home.mail().join("Now here")).unwrap();
    phone.on("RENAME", &["There", "Now there"]);
    home.sync_twice();
    let after = read_maildir(&home.mail());
    assert!(after.contains_key("Now here/In") && after.contains_key("Now there/In"));
    assert!(!after.contains_key("Here") && !after.contains_key("There"));
    let plan = undo(&home, &["--since", "1h"]);
    assert!(plan.contains("Now here: rename back to Here"), "{plan}");
    undo(&home, &["--since", "1h", "--yes"]);
    assert_eq!(read_maildir(&home.mail()), before);
    home.sync_twice();
    assert_eq!(read_maildir(&home.mail()), before);
    assert_same(&server, "u1", &home);
    let names = server.phone("u1").mailboxes();
    assert!(!names.iter().any(|name| name.contains("Now")), "{names:?}");
}

#[test]
fn message_moved_and_deleted_returns_to_its_first_mailbox() {
    let server = Server::start();
    let home = world(&server);
    let before = read_maildir(&home.mail());
    move_on_disk(&home, 3, "INBOX", "Box");
    home.sync_twice();
    let third = uid(&server, "Box", 3);
    let mut phone = server.phone("u1");
    phone.on("SELECT", &["Box"]);
    phone.run(&format!("UID STORE {third} +FLAGS (\\Deleted)"));
    phone.run("EXPUNGE");
    home.sync_twice();
    assert_eq!(subjects(&home, "INBOX"), [1, 2, 4]);
    undo(&home, &["--message", "<3@x>", "--since", "1h", "--yes"]);
    assert_eq!(read_maildir(&home.mail()), before);
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn message_moved_on_since_stays_where_it_is() {
    let server = Server::start();
    let home = world(&server);
    server.phone("u1").on("CREATE", &["Third"]);
    home.sync_twice();
    move_on_disk(&home, 1, "INBOX", "Box");
    home.sync_twice();
    let run = last_run(&home);
    move_on_disk(&home, 1, "Box", "Third");
    home.sync_twice();
    let plan = undo(&home, &["--run", &run, "--yes"]);
    assert!(plan.contains("moved to Third since"), "{plan}");
    assert_eq!(subjects(&home, "Third"), [1]);
    undo(&home, &["--since", "1h", "--yes"]);
    assert_eq!(subjects(&home, "INBOX"), [1, 2, 3, 4]);
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn message_is_chosen_by_message_id_and_by_listed_id() {
    let server = Server::start();
    let home = world(&server);
    home.deliver("INBOX", "cur/1700000000.M9P9.me:2,S", &mail(9));
    home.sync_twice();
    let ids: Vec<String> = [1, 2, 3, 9]
        .iter()
        .map(|n| listed(&home, "INBOX", *n))
        .collect();
    // One run: 1 and 3 go here, 2 and 9 there, 4 gets a flag.
    for n in [1, 3] {
        let file = holding(
            &home.mail().join("INBOX"),
            &format!("Subject: message {n}\n"),
        );
        std::fs::remove_file(file).unwrap();
    }
    rename_flags(&holding(&home.mail().join("INBOX"), "message 4\n"), "FS");
    let gone = [2, 9].map(|n| uid(&server, "INBOX", n)).join(",");
    let mut phone = server.phone("u1");
    phone.on("SELECT", &["INBOX"]);
    phone.run(&format!("UID STORE {gone} +FLAGS (\\Deleted)"));
    phone.run("EXPUNGE");
    home.sync_twice();
    assert_eq!(subjects(&home, "INBOX"), [4]);
    let chosen = |text: &str| {
        let plan = undo(&home, &["--message", text, "--json"]);
        let plan: serde_json::Value = serde_json::from_str(plan.trim()).unwrap();
        let steps = plan["steps"].as_array().unwrap().len();
        assert_eq!(steps, 1, "{text}: {plan:#}");
        undo(&home, &["--message", text, "--yes"]);
    };
    chosen(&ids[0]);
    assert_eq!(subjects(&home, "INBOX"), [1, 4]);
    chosen(&ids[1]);
    assert_eq!(subjects(&home, "INBOX"), [1, 2, 4]);
    chosen("<3@x>");
    assert_eq!(subjects(&home, "INBOX"), [1, 2, 3, 4]);
    chosen(&ids[3]);
    assert_eq!(subjects(&home, "INBOX"), [1, 2, 3, 4, 9]);
    chosen("<4@x>");
    assert!(undo(&home, &["--message", "<4@x>", "--yes"]).contains("nothing to undo"));
    assert!(undo(&home, &["--message", "<none@x>"]).contains("nothing to undo"));
    home.sync_twice();
    assert_same(&server, "u1", &home);
    let out = home.run(&["undo", "--message", "other/INBOX/1"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
}
