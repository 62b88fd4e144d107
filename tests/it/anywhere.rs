//! End to end: the binary, a real server, a real Maildir. On any server: these run on Dovecot, and
//! with tests/servers.sh on the others.

mod adopt;
mod identity;
pub mod moves;
mod repair;
mod safety;
mod takeover;
mod traits;
mod undo;
mod undo_moves;

use crate::support::server::*;
use std::path::{Path, PathBuf};

pub const DATE: &str = "17-Jul-2024 02:44:25 +0200";

pub fn mail(n: usize) -> Vec<u8> {
    let body = "line of text\r\n".repeat(n % 7 + 1);
    format!("From: a@example.org\r\nSubject: message {n}\r\nMessage-ID: <{n}@x>\r\n\r\n{body}")
        .into()
}

pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for sub in ["new", "cur"] {
        let entries = std::fs::read_dir(directory.join(sub)).unwrap();
        all.extend(entries.map(|entry| entry.unwrap().path()));
    }
    all.sort();
    all
}

pub fn holding(directory: &Path, text: &str) -> PathBuf {
    let has =
        |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text);
    files(directory)
        .into_iter()
        .find(has)
        .unwrap_or_else(|| panic!("no file with {text}"))
}

pub fn rename_flags(path: &Path, flags: &str) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    let base = name.rsplit_once(":2,").map_or(name, |(base, _)| base);
    let to = path
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join(format!("cur/{base}:2,{flags}"));
    std::fs::rename(path, &to).unwrap();
    to
}

/// A life in one test: first sync, changes on both sides, again and again.
pub fn two_ways(server: &Server, config: &str) {
    let home = Home::new(server, "u1", config);
    let mut phone = server.phone("u1");
    let below = server.below("Arbeit/Entw&APw-rfe");
    for name in ["Arbeit", &below, "A &- B", "&ZeVnLIqe-", "Trash"] {
        phone.on("CREATE", &[name]);
    }
    let boxes = ["INBOX", "Arbeit", &below, "A &- B"];
    for n in 0..60 {
        let flags = [
            "",
            "\\Seen",
            "\\Flagged work",
            "\\Seen \\Answered $Forwarded",
        ][n % 4];
        phone.append(boxes[n % 4], &server.flags(flags), DATE, &mail(n));
    }
    let first = home.sync_twice();
    assert_eq!(first["downloaded"], 60, "{first:#}");
    assert_same(server, "u1", &home);

    // On the phone.
    phone.run("SELECT INBOX");
    phone.run(&format!(
        "STORE 1:3 +FLAGS ({})",
        server.flags("\\Seen todo")
    ));
    phone.run("STORE 4 -FLAGS (\\Seen)");
    phone.run("STORE 5 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    phone.append("INBOX", "\\Draft", DATE, &mail(100));
    phone.on("CREATE", &["New there"]);
    phone.append("New there", "", DATE, &mail(101));
    phone.on("DELETE", &["&ZeVnLIqe-"]);
    // On disk.
    let inbox = home.mail().join("INBOX");
    rename_flags(&holding(&inbox, "Subject: message 4\n"), "FS");
    rename_flags(&holding(&inbox, "Subject: message 8\n"), "");
    let doomed = holding(&home.mail().join("Arbeit"), "Subject: message 1\n");
    std::fs::remove_file(doomed).unwrap();
    home.deliver(
        "INBOX",
        "new/1700000000.M1P1.me",
        b"Subject: from disk\n\nhello\n",
    );
    home.deliver(
        "Neu/Hier",
        "cur/1700000001.M1P1.me:2,FS",
        b"Subject: also\n\nhello\n",
    );
    let second = home.sync_twice();
    assert_eq!(
        (
            &second["downloaded"],
            &second["uploaded"],
            &second["deleted_local"]
        ),
        (&2.into(), &2.into(), &1.into()),
        "{second:#}"
    );
    assert_eq!(second["deleted_remote"], 1);
    assert_eq!(second["mailboxes_deleted_local"], 1, "{second:#}");
    if !phone.can("UIDPLUS") {
        // Without UIDPLUS the message is only marked there, and that is what is left of it.
        let marked = server.phone("u1").read("Arbeit");
        let with = |m: &&Seen| m.flags.contains("\\deleted");
        assert_eq!(marked.iter().filter(with).count(), 1);
        let mut phone = server.phone("u1");
        phone.on("SELECT", &["Arbeit"]);
        phone.run("EXPUNGE");
    }
    home.sync_twice();
    assert_same(server, "u1", &home);
}

#[test]
fn two_ways_with_all_that_the_server_can_do() {
    two_ways(&Server::start(), "");
}

pub fn trash_instead_of_expunge_on(server: &Server, trash: &str) {
    let home = Home::new(server, "u1", &format!("trash = \"{trash}\""));
    let mut phone = server.phone("u1");
    if phone.can("CREATE-SPECIAL-USE") {
        phone.run("CREATE Trash (USE (\\Trash))");
    } else {
        phone.on("CREATE", &["Trash"]);
    }
    for n in 0..3 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.sync_twice();
    let doomed = holding(&home.mail().join("INBOX"), "Subject: message 1\n");
    std::fs::remove_file(doomed).unwrap();
    home.sync_twice();
    assert_eq!(server.phone("u1").read("Trash").len(), 1);
    assert_eq!(read_maildir(&home.mail())["Trash"].len(), 1);
    let left = server.phone("u1").read("INBOX");
    let alive = left
        .iter()
        .filter(|m| !m.flags.contains("\\deleted"))
        .count();
    assert_eq!(alive, 2);
}

#[test]
fn trash_instead_of_expunge() {
    let server = Server::start();
    let special = server.phone("u1").can("SPECIAL-USE");
    trash_instead_of_expunge_on(&server, if special { "\\\\Trash" } else { "Trash" });
}

pub fn walk_files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(walk_files(&path)),
            false => all.push(path),
        }
    }
    all
}

#[test]
fn bytes_and_dates_survive_the_way_up_and_down() {
    let Some(server) = Server::with(&[Need::Dates]) else {
        return;
    };
    let (a, b) = (Home::new(&server, "u1", ""), Home::new(&server, "u1", ""));
    let long = format!("Subject: long\n\n{}\n", "y".repeat(9000));
    let mut bodies: Vec<&[u8]> = vec![b"Subject: plain\n\nhello\n", long.as_bytes()];
    let odd: [(Need, &[u8]); 4] = [
        (Need::EightBit, b"Subject: bytes\n\n\xff\xfe\x80\xe9\n"),
        (Need::LoneCr, b"Subject: lone cr\n\na\rb\n"),
        (Need::OpenEnd, b"Subject: no newline at the end\n\nhello"),
        (Need::NoHeader, b"no header at all\n"),
    ];
    let odd = odd.iter().filter(|(need, _)| server.traits.has(*need));
    bodies.extend(odd.map(|(_, body)| *body));
    for (n, body) in bodies.iter().enumerate() {
        let path = a.deliver("INBOX", &format!("cur/{n}.x.me:2,S"), body);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000 + n as u64);
        std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    a.sync_twice();
    assert_same(&server, "u1", &a);
    b.sync_twice();
    assert_eq!(read_maildir(&a.mail()), read_maildir(&b.mail()));
    let raw = |home: &Home| {
        let mut all: Vec<Vec<u8>> = files(&home.mail().join("INBOX"))
            .iter()
            .map(|f| std::fs::read(f).unwrap())
            .collect();
        all.sort();
        all
    };
    assert_eq!(raw(&a), raw(&b), "byte for byte");
}

#[test]
fn more_keywords_than_letters_are_kept() {
    let Some(server) = Server::with(&[Need::Keywords]) else {
        return;
    };
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    let keywords: Vec<String> = (0..30).map(|n| format!("key{n:02}")).collect();
    phone.append("INBOX", &keywords.join(" "), DATE, &mail(1));
    home.sync_twice();
    let file = holding(&home.mail().join("INBOX"), "Subject: message 1\n");
    let letters = file.to_str().unwrap().rsplit_once(":2,").unwrap().1.len();
    assert_eq!(letters, 26);
    let name = file.to_str().unwrap().replace(":2,", ":2,S");
    std::fs::rename(&file, &name).unwrap();
    home.sync_twice();
    let there = phone.read("INBOX").remove(0);
    assert_eq!(
        there.flags.len(),
        31,
        "all thirty and \\Seen: {:?}",
        there.flags
    );
    phone.run("SELECT INBOX");
    phone.run("STORE 1 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    assert_eq!(home.sync_twice()["deleted_local"], 1);
}

#[test]
fn pulling_takes_flags_and_mail_and_gives_nothing() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "direction = \"pull\"");
    let mut phone = server.phone("u1");
    phone.append("INBOX", "", DATE, &mail(1));
    phone.append("INBOX", "", DATE, &mail(2));
    home.sync_twice();
    phone.run("SELECT INBOX");
    let marked = server.flags("\\Seen work");
    phone.run(&format!("STORE 1 +FLAGS ({marked})"));
    let inbox = home.mail().join("INBOX");
    rename_flags(&holding(&inbox, "Subject: message 2\n"), "F");
    home.deliver("INBOX", "new/1.a.me", b"Subject: up\n\nx\n");
    let plan = home.run(&["sync", "--dry-run"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        text.matches("INBOX").count() == 1 && text.contains("flags here        1"),
        "{text}"
    );
    let report = home.sync_twice();
    assert_eq!(
        (&report["changes"], &report["flags_local"]),
        (&1.into(), &1.into()),
        "{report:#}"
    );
    let there = phone.read("INBOX");
    assert!(
        there.len() == 2 && there.iter().all(|m| !m.flags.contains("\\flagged")),
        "{there:?}"
    );
    let flags = &read_maildir(&home.mail())["INBOX"][0].flags;
    let marked = marked.to_ascii_lowercase();
    assert!(
        marked.split(' ').all(|flag| flags.contains(flag)),
        "{flags:?}"
    );
}

#[test]
fn patterns_choose_mailboxes() {
    let Some(server) = Server::with(&[Need::Nesting]) else {
        return;
    };
    let mut phone = server.phone("u1");
    for name in ["Spam", "Work", "Work/A"] {
        phone.on("CREATE", &[name]);
        phone.append(name, "", DATE, &mail(1));
    }
    let home = Home::new(&server, "u1", "mailboxes = [\"*\", \"!Spam\"]");
    let out = home.run(&["sync", "--mailbox", "Work*", "-q"]);
    assert!(out.status.success() && out.stdout.is_empty(), "{out:?}");
    let names = |view: View| view.into_keys().collect::<Vec<_>>();
    assert_eq!(names(read_maildir(&home.mail())), ["Work", "Work/A"]);
    home.sync_twice();
    assert_eq!(
        names(read_maildir(&home.mail())),
        ["INBOX", "Work", "Work/A"]
    );
}
