//! The same message in another place, against a real server and with real mail readers; a wire
//! between that counts shows that no body crosses.

use super::*;
use crate::support::proxy::{Passed, Proxy};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

const MANY: usize = 5000;
/// Bytes of a message: somewhat less than mail has on average.
const SIZE: usize = 30_000;

struct World {
    server: Dovecot,
    home: Home,
    proxy: Proxy,
}

impl World {
    /// A mailbox of so many messages, in step; Archive is empty.
    fn new(capabilities: &[&str], count: usize, size: usize) -> World {
        let server = Dovecot::start(capabilities);
        let home = Home::new(&server, "u1", "");
        let proxy = Proxy::before(server.port);
        let config = std::fs::read_to_string(home.config()).unwrap();
        let (old, new) = (
            format!("port = {}", server.port),
            format!("port = {}", proxy.port),
        );
        home.write_config(&config.replace(&old, &new));
        let mut phone = server.phone("u1");
        for name in ["Work", "Archive"] {
            phone.run(&format!("CREATE {name}"));
        }
        let pad = format!("{}\r\n", "x".repeat(70)).repeat(size / 72);
        for n in 0..count {
            let head = format!("From: a@example.org\r\nSubject: message {n}\r\n");
            let body = format!("{head}Message-ID: <{n}@x>\r\n\r\n{pad}{n}\r\n");
            phone.append("Work", ["", "\\Seen"][n % 2], DATE, body.as_bytes());
        }
        home.sync_twice();
        proxy.take();
        World {
            server,
            home,
            proxy,
        }
    }

    /// A sync that moves no body, and what it passed.
    fn sync(&self, of: u64) -> (serde_json::Value, Passed) {
        self.proxy.take();
        let (code, report) = self.home.sync();
        let passed = self.proxy.take();
        let short: BTreeSet<&String> = passed.commands.iter().take(60).collect();
        eprintln!(
            "{} bytes up, {} down, {} commands: {short:?}",
            passed.up,
            passed.down,
            passed.commands.len()
        );
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(
            (&report["downloaded"], &report["uploaded"]),
            (&0.into(), &0.into()),
            "{report:#}"
        );
        assert!(
            passed.bytes() * 100 < of,
            "{} bytes of {of} passed: {short:?}",
            passed.bytes()
        );
        let (_, again) = self.home.sync();
        assert_eq!(again["changes"], 0, "second run: {again:#}");
        (report, passed)
    }

    fn move_on_disk(&self) {
        for file in files(&self.home.mail().join("Work")) {
            let name = file.file_name().unwrap();
            std::fs::rename(&file, self.home.mail().join("Archive/cur").join(name)).unwrap();
        }
    }
}

#[test]
fn thousands_moved_cost_less_than_a_hundredth() {
    let w = World::new(FULL, MANY, SIZE);
    let bytes = (MANY * SIZE) as u64;
    w.move_on_disk();
    let (report, passed) = w.sync(bytes);
    assert_eq!(report["moved_remote"], MANY, "{report:#}");
    assert_eq!(passed.count("UID MOVE"), 1, "{:?}", passed.commands);
    assert!(passed.commands.len() < 30, "{:?}", passed.commands);
    let mut phone = w.server.phone("u1");
    phone.run("SELECT Archive");
    phone.run("UID MOVE 1:* Work");
    let (report, passed) = w.sync(bytes);
    assert_eq!(report["moved_local"], MANY, "{report:#}");
    assert!(passed.commands.len() < 30, "{:?}", passed.commands);
    assert_same(&w.server, "u1", &w.home);
    // A mailbox that is renamed, here and there.
    std::fs::rename(w.home.mail().join("Work"), w.home.mail().join("2024")).unwrap();
    let (report, passed) = w.sync(bytes / 100);
    assert_eq!(report["mailboxes_renamed_remote"], 1, "{report:#}");
    assert_eq!(
        passed.count("UID FETCH") + passed.count("UID MOVE"),
        0,
        "{:?}",
        passed.commands
    );
    phone.run("UNSELECT");
    phone.run("RENAME 2024 Old/2024");
    let (report, passed) = w.sync(bytes / 100);
    assert_eq!(report["mailboxes_renamed_local"], 1, "{report:#}");
    assert_eq!(passed.count("UID MOVE"), 0, "{:?}", passed.commands);
    assert!(w.home.mail().join("Old/2024/cur").is_dir());
    // The server gives all messages new UIDs.
    let config = [
        "mailbox",
        "update",
        "-u",
        "u1",
        "--uid-validity",
        "2000000000",
        "Old/2024",
    ];
    w.server.doveadm(&config);
    let (report, passed) = w.sync(bytes);
    assert_eq!(report["deleted_local"], 0, "{report:#}");
    assert_eq!(passed.count("UID MOVE"), 0);
    assert_same(&w.server, "u1", &w.home);
}

/// Servers with less: by COPY and UID EXPUNGE of just these, and without UIDPLUS.
#[test]
fn moves_on_servers_with_less() {
    for capabilities in [
        NO_QRESYNC,
        PLAIN,
        &["UIDPLUS", "UNSELECT"][..],
        &["MOVE", "UNSELECT"][..],
    ] {
        let w = World::new(capabilities, 40, 30_000);
        w.move_on_disk();
        let (report, _) = w.sync(u64::MAX / 100);
        assert_eq!(report["moved_remote"], 40, "{capabilities:?}: {report:#}");
        let mut phone = w.server.phone("u1");
        if !capabilities.contains(&"UIDPLUS") && !capabilities.contains(&"MOVE") {
            phone.run("SELECT Work");
            phone.run("EXPUNGE");
        }
        phone.run("SELECT Archive");
        phone.run("COPY 1:* Work");
        phone.run("STORE 1:* +FLAGS (\\Deleted)");
        phone.run("EXPUNGE");
        let (report, _) = w.sync(u64::MAX / 100);
        assert_eq!(report["moved_local"], 40, "{capabilities:?}: {report:#}");
        assert_same(&w.server, "u1", &w.home);
    }
}

/// Copies both ways, in one command.
#[test]
fn copies_are_made_where_they_are() {
    let w = World::new(FULL, 300, 30_000);
    for file in files(&w.home.mail().join("Work")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let to = w
            .home
            .mail()
            .join("Archive/cur")
            .join(format!("copy{name}"));
        let copied = Command::new("cp").arg("-p").arg(&file).arg(to).status();
        assert!(copied.unwrap().success());
    }
    let (report, passed) = w.sync(300 * 30_000);
    assert_eq!(report["copied_remote"], 300, "{report:#}");
    assert_eq!(passed.count("UID COPY"), 1, "{:?}", passed.commands);
    let mut phone = w.server.phone("u1");
    phone.run("CREATE Third");
    phone.run("SELECT Work");
    phone.run("COPY 1:* Third");
    let (report, _) = w.sync(u64::MAX / 100);
    assert_eq!(report["copied_local"], 300, "{report:#}");
    assert_same(&w.server, "u1", &w.home);
}

/// Runs a mail reader that wants a terminal.
fn on_a_terminal(home: &Home, command: &str) {
    let status = Command::new("timeout")
        .args(["60", "script", "-qec", command, "/dev/null"])
        .current_dir(home.dir.path())
        .env("TERM", "xterm")
        .env("HOME", home.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command}: {status}");
}

/// Mutt and neomutt write a copy with a name of their own and delete the original.
fn saved_by(reader: &str) {
    let w = World::new(FULL, 20, 30_000);
    let keys = "<tag-pattern>~A<enter><tag-prefix><save-message>=Archive<enter><quit>";
    let rc = format!(
        "set folder=\"{}\" mbox_type=Maildir spoolfile=+Work record=\"\" postponed=\"\"\n\
         set confirmappend=no confirmcreate=no delete=yes quit=yes move=no wait_key=no\n\
         set header_cache=\"\" mark_old=no\npush \"{keys}\"\n",
        w.home.mail().display()
    );
    std::fs::write(w.home.dir.path().join("rc"), rc).unwrap();
    on_a_terminal(&w.home, &format!("{reader} -n -F rc"));
    assert_eq!(
        files(&w.home.mail().join("Archive")).len(),
        20,
        "{reader} moved them"
    );
    assert_eq!(
        files(&w.home.mail().join("Work")).len(),
        0,
        "{reader} moved them"
    );
    let (report, passed) = w.sync(u64::MAX / 100);
    assert_eq!(report["moved_remote"], 20, "{report:#}");
    assert_eq!(passed.count("UID MOVE"), 1);
    let (there, here) = (
        w.server.phone("u1").read("Archive"),
        read_maildir(&w.home.mail()),
    );
    for (there, here) in there.iter().zip(&here["Archive"]) {
        let here = String::from_utf8(here.body.clone()).unwrap();
        let mut lines: Vec<&str> = here.split_inclusive('\n').collect();
        let before = lines.len();
        lines.retain(|line| !line.starts_with("Content-Length: "));
        assert_eq!(lines.len(), before - 1, "{reader} adds a line");
        assert_eq!(lines.concat().as_bytes(), there.body, "{reader}");
    }
    // And back, on the phone: the files that the reader wrote go along.
    let mut phone = w.server.phone("u1");
    phone.run("SELECT Archive");
    phone.run("UID MOVE 1:* Work");
    let (report, _) = w.sync(u64::MAX / 100);
    assert_eq!(report["moved_local"], 20, "{report:#}");
}

#[test]
fn saved_by_mutt() {
    saved_by("mutt");
}

#[test]
fn saved_by_neomutt() {
    saved_by("neomutt");
}

/// Notmuch writes its tags into file names; who files mail by them moves files with their names.
#[test]
fn filed_with_notmuch() {
    let w = World::new(FULL, 20, 30_000);
    let config = w.home.dir.path().join("notmuch-config");
    let text = format!(
        "[database]\npath={}\n[new]\ntags=inbox;unread\n[maildir]\nsynchronize_flags=true\n",
        w.home.mail().display()
    );
    std::fs::write(&config, text).unwrap();
    let notmuch = |arguments: &[&str]| {
        let out = Command::new("notmuch")
            .env("NOTMUCH_CONFIG", &config)
            .env("HOME", w.home.dir.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(out.status.success(), "{arguments:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    notmuch(&["new"]);
    notmuch(&[
        "tag", "+flagged", "-unread", "+filed", "--", "id:3@x", "or", "id:4@x",
    ]);
    for file in notmuch(&["search", "--output=files", "tag:filed"]).lines() {
        let to = w.home.mail().join("Archive/cur");
        let moved = Command::new("mv").arg(file).arg(to).status();
        assert!(moved.unwrap().success());
    }
    notmuch(&["new"]);
    let (report, _) = w.sync(u64::MAX / 100);
    assert_eq!(report["moved_remote"], 2, "{report:#}");
    assert_same(&w.server, "u1", &w.home);
    let there = w.server.phone("u1").read("Archive");
    let flagged = there.iter().filter(|m| m.flags.contains("\\flagged"));
    assert_eq!(flagged.count(), 2, "{there:?}");
}

/// The letters of keywords mean something in their mailbox only; `mv` knows nothing of that.
#[test]
fn keywords_keep_their_meaning() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (name, keyword) in [("Work", "work"), ("Archive", "todo")] {
        phone.run(&format!("CREATE {name}"));
        phone.append(
            name,
            keyword,
            DATE,
            &mail(keyword.len() + keyword.as_bytes()[0] as usize),
        );
    }
    home.sync_twice();
    let file = files(&home.mail().join("Work")).remove(0);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with(":2,a"), "{name}");
    std::fs::rename(&file, home.mail().join("Archive/cur").join(name)).unwrap();
    let report = home.sync_twice();
    assert_eq!(
        (&report["moved_remote"], &report["changes"]),
        (&1.into(), &1.into()),
        "{report:#}"
    );
    let mut keywords: Vec<_> = phone.read("Archive").into_iter().map(|m| m.flags).collect();
    keywords.sort();
    let want = ["todo", "work"].map(|keyword| BTreeSet::from([keyword.to_owned()]));
    assert_eq!(keywords, want);
    assert_same(&server, "u1", &home);
}
