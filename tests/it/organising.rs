//! `flag`, `move`, `copy`, `delete`, `append` and `mailbox` on a real server: both sides follow, a
//! sync after it writes nothing, no message is lost or doubled, and undo brings back.

use crate::anywhere::{DATE, mail};
use crate::looking::{objects, printed};
use crate::support::line::{Line, Way};
use crate::support::server::*;
use crate::support::watcher::Watcher;

/// Ids of the messages of a mailbox, by subject.
fn ids(home: &Home, mailbox: &str) -> Vec<(String, String)> {
    let rows = objects(home, &["list", mailbox, "--json"]);
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(row, "subject"), text(row, "id")))
        .collect()
}

fn id(home: &Home, mailbox: &str, n: usize) -> String {
    let all = ids(home, mailbox);
    let found = all
        .iter()
        .find(|(subject, _)| *subject == format!("message {n}"));
    found.unwrap_or_else(|| panic!("{n} in {all:?}")).1.clone()
}

/// A server and a home with three messages in INBOX and a mailbox Box on both sides, and one
/// message in Far, which only the server has.
fn world(more: &str) -> (Server, Home) {
    let server = Server::start();
    let home = Home::new(
        &server,
        "u1",
        &format!("mailboxes = [\"INBOX\", \"B*\"]\n{more}"),
    );
    let mut phone = server.phone("u1");
    for name in ["Box", "Far"] {
        phone.run(&format!("CREATE \"{}\"", phone.name(name)));
    }
    for n in 0..3 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    phone.append("Far", "", DATE, &mail(9));
    home.sync_twice();
    (server, home)
}

/// What is in the mailboxes that are kept in step is the same on both sides, and a sync has nothing
/// to do.
fn assert_settled(server: &Server, home: &Home) {
    let (code, report) = home.sync();
    assert_eq!(
        (code, report["changes"].as_u64()),
        (0, Some(0)),
        "{report:#}"
    );
    let here = read_maildir(&home.mail());
    let mut phone = server.phone("u1");
    for (name, all) in &here {
        let mut there: Vec<_> = phone
            .read(name)
            .into_iter()
            .map(|m| (m.body, m.flags))
            .collect();
        let mut here: Vec<_> = all
            .iter()
            .map(|m| (m.body.clone(), m.flags.clone()))
            .collect();
        there.sort();
        here.sort();
        assert_eq!(there, here, "{name}");
    }
}

fn count(server: &Server, mailbox: &str) -> usize {
    server.phone("u1").read(mailbox).len()
}

#[test]
fn flags_are_set_on_both_sides() {
    let (server, home) = world("");
    let (one, two) = (id(&home, "INBOX", 0), id(&home, "INBOX", 1));
    printed(&home, &["flag", &one, &two, "+seen", "+flagged"]);
    printed(&home, &["flag", &two, "-flagged"]);
    assert_eq!(
        id(&home, "INBOX", 0),
        one,
        "an id does not change with flags"
    );
    let mut flags: Vec<_> = server
        .phone("u1")
        .read("INBOX")
        .into_iter()
        .map(|m| m.flags.into_iter().collect::<Vec<_>>())
        .collect();
    flags.sort();
    assert_eq!(
        flags,
        [
            vec![],
            vec!["\\flagged".to_owned(), "\\seen".into()],
            vec!["\\seen".into()]
        ]
    );
    assert_settled(&server, &home);
    printed(&home, &["flag", &id(&home, "Far", 9), "+answered"]);
    let far = server.phone("u1").read("Far");
    assert!(far[0].flags.contains("\\answered"), "{:?}", far[0].flags);
    let out = home.run(&["flag", &one, "+no such"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
}

#[test]
fn moves_and_copies_arrive_once() {
    let (server, home) = world("");
    printed(&home, &["move", &id(&home, "INBOX", 0), "Box"]);
    printed(&home, &["copy", &id(&home, "INBOX", 1), "Box"]);
    assert_eq!((count(&server, "INBOX"), count(&server, "Box")), (2, 2));
    assert_settled(&server, &home);
    // To and from a mailbox that only the server has.
    printed(&home, &["move", &id(&home, "INBOX", 1), "Far"]);
    printed(&home, &["move", &id(&home, "Far", 9), "INBOX"]);
    assert_eq!((count(&server, "INBOX"), count(&server, "Far")), (2, 1));
    assert_settled(&server, &home);
    let out = home.run(&["move", &id(&home, "INBOX", 2), "Nowhere"]);
    assert!(!out.status.success(), "{out:?}");
    assert_settled(&server, &home);
}

#[test]
fn deletion_is_taken_back_once() {
    for trash in [false, true] {
        let more = if trash { "trash = \"Bin\"" } else { "" };
        let server = Server::start();
        let home = Home::new(&server, "u1", &format!("mailboxes = [\"INBOX\"]\n{more}"));
        let mut phone = server.phone("u1");
        for name in ["Bin", "Far"] {
            phone.run(&format!("CREATE \"{}\"", phone.name(name)));
        }
        phone.append("INBOX", "", DATE, &mail(0));
        phone.append("INBOX", "", DATE, &mail(1));
        phone.append("Far", "", DATE, &mail(9));
        home.sync_twice();
        printed(&home, &["delete", &id(&home, "INBOX", 0)]);
        assert_eq!(count(&server, "INBOX"), 1);
        assert_eq!(count(&server, "Bin"), usize::from(trash));
        assert_settled(&server, &home);
        let out = home.run(&["undo", "--since", "1h", "--yes"]);
        assert!(out.status.success(), "{out:?}");
        assert_eq!(count(&server, "INBOX"), 2, "trash {trash}: put back once");
        assert_settled(&server, &home);
        // A message that only the server has is kept before it goes.
        let said = printed(&home, &["delete", &id(&home, "Far", 9)]);
        assert_eq!(count(&server, "Far"), 0);
        assert_eq!(count(&server, "Bin"), 2 * usize::from(trash));
        match trash {
            true => assert!(said.contains("moved to the trash"), "{said}"),
            false => {
                let kept = crate::anywhere::walk_files(&home.mail().join(".mailtide/quarantine/"));
                let has = |path: &std::path::PathBuf| {
                    let bytes = std::fs::read(path).unwrap();
                    String::from_utf8_lossy(&bytes).contains("Subject: message 9\n")
                };
                assert!(kept.iter().any(has), "{kept:?}");
            }
        }
    }
}

#[test]
fn file_becomes_a_message_on_both_sides() {
    let (server, home) = world("");
    let file = home.dir.path().join("new.eml");
    std::fs::write(&file, "From: a@b\nSubject: message 5\n\nbody\n").unwrap();
    let file = file.to_str().unwrap();
    printed(
        &home,
        &["append", file, "--mailbox", "INBOX", "--flag", "seen"],
    );
    printed(&home, &["append", file, "--mailbox", "Far"]);
    assert_eq!((count(&server, "INBOX"), count(&server, "Far")), (4, 2));
    assert_settled(&server, &home);
    std::fs::write(file, "no message at all\n").unwrap();
    let out = home.run(&["append", file, "--mailbox", "INBOX"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    let left = std::fs::read_dir(home.dir.path().join("state")).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|n| n.to_string_lossy().starts_with("append")),
        "{names:?}"
    );
}

#[test]
fn mailboxes_are_made_renamed_and_deleted_on_both_sides() {
    let (server, home) = world("");
    printed(&home, &["mailbox", "create", "Bar"]);
    printed(&home, &["move", &id(&home, "INBOX", 0), "Bar"]);
    printed(&home, &["mailbox", "rename", "Bar", "Baz"]);
    assert_settled(&server, &home);
    let names = |server: &Server| server.phone("u1").mailboxes();
    assert!(names(&server).contains(&"Baz".into()) && !names(&server).contains(&"Bar".into()));
    printed(&home, &["mailbox", "delete", "Baz"]);
    assert!(
        !names(&server).contains(&"Baz".into()),
        "{:?}",
        names(&server)
    );
    assert_settled(&server, &home);
    let out = home.run(&["undo", "--since", "1h", "--yes"]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(
        count(&server, "Bar"),
        1,
        "put back once, under its first name"
    );
    assert!(!names(&server).contains(&"Baz".into()));
    // What only the server has goes only when it is empty.
    let out = home.run(&["mailbox", "delete", "Far"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && said.contains("there are messages in it"),
        "{said}"
    );
    assert_eq!(count(&server, "Far"), 1);
    printed(&home, &["mailbox", "create", "Other"]);
    printed(&home, &["mailbox", "subscribe", "Other"]);
    printed(&home, &["mailbox", "unsubscribe", "Other"]);
    printed(&home, &["mailbox", "delete", "Other"]);
    assert!(!names(&server).contains(&"Other".into()));
    let out = home.run(&["mailbox", "delete", "INBOX"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
}

#[test]
fn without_server_the_disk_is_arranged_and_the_server_follows() {
    let server = Server::start();
    let line = Line::to(server.port);
    let home = Home::new(&server, "u1", "mailboxes = [\"INBOX\", \"B*\"]");
    let text = std::fs::read_to_string(home.config()).unwrap();
    let port = |port: u16| format!("port = {port}\n");
    home.write_config(&text.replace(&port(server.port), &port(line.port)));
    let mut phone = server.phone("u1");
    phone.run(&format!("CREATE \"{}\"", phone.name("Box")));
    for n in 0..3 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.sync_twice();
    let ids: Vec<String> = (0..3).map(|n| id(&home, "INBOX", n)).collect();
    line.set(Way::Reset);
    for command in [
        vec!["flag", &ids[0], "+seen"],
        vec!["move", &ids[1], "Box"],
        vec!["delete", &ids[2]],
        vec!["mailbox", "create", "Bag"],
    ] {
        let out = home.run(&command);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let follows = said.contains("the server follows");
        assert!(out.status.success() && follows, "{command:?}: {out:?}");
    }
    assert_eq!((count(&server, "INBOX"), count(&server, "Box")), (3, 0));
    line.set(Way::Good);
    let (code, report) = home.sync();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!((count(&server, "INBOX"), count(&server, "Box")), (1, 1));
    assert!(server.phone("u1").mailboxes().contains(&"Bag".into()));
    assert_settled(&server, &home);
}

#[test]
fn watcher_arranges_at_once() {
    let (server, home) = world("");
    let ids: Vec<String> = (0..3).map(|n| id(&home, "INBOX", n)).collect();
    let watcher = Watcher::in_step(&home);
    let said = printed(&home, &["move", &ids[0], &ids[1], "Box"]);
    assert!(said.contains("moved to Box"), "{said}");
    assert_eq!((count(&server, "INBOX"), count(&server, "Box")), (1, 2));
    printed(&home, &["delete", &ids[2]]);
    printed(&home, &["flag", &id(&home, "Far", 9), "+seen"]);
    printed(&home, &["move", &id(&home, "Far", 9), "INBOX"]);
    assert_eq!((count(&server, "INBOX"), count(&server, "Far")), (1, 0));
    let rows = objects(&home, &["list", "INBOX", "--json", "--local"]);
    assert_eq!(
        rows.len(),
        1,
        "the disk follows before the command ends: {rows:?}"
    );
    drop(watcher);
    assert_settled(&server, &home);
}
