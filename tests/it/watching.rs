//! `mailtide watch` against a real Dovecot: what people leave running.

mod control;
mod faults;
pub mod machine;
mod soak;
mod system;

use crate::support::dovecot::*;
use crate::support::watcher::{Watcher, wait_for};
use std::path::PathBuf;
use std::time::Duration;

/// The server without NOTIFY: all but that.
pub const IDLE_ONLY: &[&str] = &[
    "LITERAL+",
    "ID",
    "ENABLE",
    "IDLE",
    "CONDSTORE",
    "QRESYNC",
    "UIDPLUS",
    "MOVE",
    "ESEARCH",
    "NAMESPACE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "UNSELECT",
];

/// A server that tells nothing.
pub const POLLED: &[&str] = &["NAMESPACE", "UNSELECT", "UIDPLUS", "MOVE", "LITERAL+"];

/// A server with some mail, and a home for its first user.
pub fn world(capabilities: &[&str], more: &str) -> (Dovecot, Home) {
    let server = Dovecot::start(capabilities);
    let home = peopled(&server, more);
    (server, home)
}

fn peopled(server: &Server, more: &str) -> Home {
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Work"]);
    for n in 0..30 {
        let body = format!("Message-ID: <{n}@x>\r\nSubject: m{n}\r\n\r\nbody {n}\r\n");
        let mailbox = if n % 3 == 0 { "Work" } else { "INBOX" };
        phone.append(mailbox, "", " 1-Jan-2024 10:00:00 +0000", body.as_bytes());
    }
    Home::new(server, "u1", more)
}

pub fn files(home: &Home, mailbox: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for sub in ["new", "cur"] {
        if let Ok(entries) = std::fs::read_dir(home.mail().join(mailbox).join(sub)) {
            all.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

/// Renames the n-th file as a mail reader that sets flags.
pub fn set_letters(home: &Home, mailbox: &str, n: usize, letters: &str) {
    let from = files(home, mailbox)[n].clone();
    let name = from.file_name().unwrap().to_str().unwrap();
    let base = name.split(':').next().unwrap();
    let to = home
        .mail()
        .join(mailbox)
        .join("cur")
        .join(format!("{base}:2,{letters}"));
    std::fs::rename(from, to).unwrap();
}

pub fn has_letters(home: &Home, mailbox: &str, letters: &str) -> bool {
    let end = format!(":2,{letters}");
    let named = |path: &PathBuf| path.to_str().unwrap().ends_with(&end);
    files(home, mailbox).iter().any(named)
}

fn flagged_there(server: &Server, mailbox: &str, flag: &str) -> bool {
    let all = server.phone("u1").read(mailbox);
    let flag = flag.to_ascii_lowercase();
    all.iter().any(|message| message.flags.contains(&flag))
}

/// Changes on both sides, each waited for.
fn live(server: &Server, home: &Home, watcher: &Watcher<'_>) {
    let mut phone = server.phone("u1");
    phone.run("SELECT INBOX");
    phone.run("UID STORE 2 +FLAGS (\\Flagged)");
    wait_for("the flag is here", || has_letters(home, "INBOX", "F"));
    set_letters(home, "INBOX", 5, "RS");
    wait_for("the answer is there", || {
        flagged_there(server, "INBOX", "\\Answered")
    });
    phone.append(
        "INBOX",
        "",
        " 2-Jan-2024 10:00:00 +0000",
        b"Subject: new\r\n\r\nnew\r\n",
    );
    wait_for("the mail is here", || files(home, "INBOX").len() == 21);
    home.deliver(
        "Drafts",
        "cur/1700000000.M1P1.desk:2,DS",
        b"Subject: d\n\nd\n",
    );
    wait_for("the draft is there", || {
        phone.mailboxes().contains(&"Drafts".to_owned()) && phone.read("Drafts").len() == 1
    });
    // A mailbox that appeared while it was watched is watched.
    home.deliver("Drafts", "new/1700000001.M1P1.desk", b"Subject: e\n\ne\n");
    wait_for("the second is there", || phone.read("Drafts").len() == 2);
    let from = files(home, "INBOX")[7].clone();
    let to = home.mail().join("Work/cur").join(from.file_name().unwrap());
    std::fs::rename(&from, to).unwrap();
    wait_for("it moved there", || phone.read("Work").len() == 11);
    watcher.wait("in step again", |test| {
        test["state"] == "synced" && test["lag"] == 0.0
    });
    assert_same(server, "u1", home);
    assert_eq!(watcher.status()["drift"], 0);
}

#[test]
fn changes_come_across_with_notify_idle_and_without() {
    for (capabilities, how, tier) in [
        (FULL, Some("NOTIFY, all mailboxes"), "QRESYNC"),
        (IDLE_ONLY, Some("IDLE, INBOX"), "QRESYNC"),
        (POLLED, None, "plain"),
    ] {
        let (server, home) = world(capabilities, "poll_interval = 1");
        let watcher = Watcher::in_step(&home);
        live(&server, &home, &watcher);
        let status = watcher.status();
        let push = &status["push"][0];
        assert_eq!(push["listening"], how.is_some(), "{status:#}");
        if let Some(how) = how {
            assert_eq!(push["how"], how);
        }
        assert_eq!(
            (&status["tier"], &status["disk"]),
            (&tier.into(), &"watched".into())
        );
    }
}

/// On any server (tests/servers.sh): whatever way it has of telling.
#[test]
fn changes_come_across_on_any_server() {
    let server = Server::start();
    let home = peopled(&server, "poll_interval = 2");
    let watcher = Watcher::in_step(&home);
    live(&server, &home, &watcher);
    assert_eq!(watcher.status()["push"][0]["listening"], true);
}

#[test]
fn mailboxes_that_the_user_names_are_listened_to_within_the_budget() {
    let more = "connections = 3\nidle_mailboxes = [\"Work\", \"INBOX\", \"Other\"]";
    let (server, home) = world(IDLE_ONLY, more);
    let watcher = Watcher::in_step(&home);
    watcher.wait("both listen", |test| {
        let push = test["push"].as_array().unwrap();
        push.len() == 2 && push.iter().all(|one| one["listening"] == true)
    });
    let mut phone = server.phone("u1");
    phone.run("SELECT Work");
    phone.run("UID STORE 1 +FLAGS (\\Flagged)");
    // The poll comes after five minutes only.
    let took = wait_for("the flag is here", || has_letters(&home, "Work", "F"));
    assert!(took < Duration::from_secs(20));
    assert_eq!(watcher.status()["connections"], 3);
}

#[test]
fn a_burst_of_a_thousand_renames_is_a_cycle_or_two() {
    let (server, home) = world(FULL, "");
    let mut phone = server.phone("u1");
    for n in 0..1000 {
        let body = format!("Subject: b{n}\r\n\r\nb\r\n");
        phone.append("Work", "", " 1-Jan-2024 10:00:00 +0000", body.as_bytes());
    }
    let watcher = Watcher::in_step(&home);
    let before = watcher.status()["cycles"].as_u64().unwrap();
    for path in files(&home, "Work") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let base = name.split(':').next().unwrap();
        let to = home.mail().join("Work/cur").join(format!("{base}:2,S"));
        std::fs::rename(&path, to).unwrap();
    }
    watcher.wait("all are read there", |test| {
        test["changes"].as_u64() >= Some(2000)
    });
    watcher.wait("in step", |test| {
        test["state"] == "synced" && test["lag"] == 0.0
    });
    assert_same(&server, "u1", &home);
    // What we changed there is told back to us: a look that finds nothing is a cycle too.
    let cycles = watcher.status()["cycles"].as_u64().unwrap() - before;
    assert!((1..=5).contains(&cycles), "{cycles} cycles");
}
