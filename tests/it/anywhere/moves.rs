//! The same message in another place, against a real server and with real mail readers; a wire
//! between that counts shows that no body crosses.

use super::*;
use crate::support::proxy::{Passed, Proxy};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

pub struct World<S> {
    pub server: S,
    pub home: Home,
    proxy: Proxy,
}

impl<S: AsRef<Server>> World<S> {
    /// A mailbox of so many messages, in step; Archive is empty.
    pub fn new(server: S, count: usize, size: usize) -> World<S> {
        let port = server.as_ref().port;
        let home = Home::new(server.as_ref(), "u1", "");
        let proxy = Proxy::before(port);
        let config = std::fs::read_to_string(home.config()).unwrap();
        let (old, new) = (format!("port = {port}"), format!("port = {}", proxy.port));
        home.write_config(&config.replace(&old, &new));
        let mut phone = server.as_ref().phone("u1");
        for name in ["Work", "Archive"] {
            phone.on("CREATE", &[name]);
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
    pub fn sync(&self, of: u64) -> (serde_json::Value, Passed) {
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

    pub fn move_on_disk(&self) {
        for file in files(&self.home.mail().join("Work")) {
            let name = file.file_name().unwrap();
            std::fs::rename(&file, self.home.mail().join("Archive/cur").join(name)).unwrap();
        }
    }
}

/// Copies both ways, in one command.
#[test]
fn copies_are_made_where_they_are() {
    let Some(server) = Server::with(&[Need::Dates]) else {
        return;
    };
    let w = World::new(server, 300, 30_000);
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
    phone.on("CREATE", &["Third"]);
    phone.on("SELECT", &["Work"]);
    phone.on("COPY 1:*", &["Third"]);
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
    let Some(server) = Server::with(&[Need::Dates]) else {
        return;
    };
    let w = World::new(server, 20, 30_000);
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
    let moves = passed.count("UID MOVE") + passed.count("UID COPY");
    assert_eq!(moves, 1, "{:?}", passed.commands);
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
    phone.move_all("Archive", "Work");
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
    let Some(server) = Server::with(&[Need::Dates]) else {
        return;
    };
    let w = World::new(server, 20, 30_000);
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
    let Some(server) = Server::with(&[Need::Keywords]) else {
        return;
    };
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (name, keyword) in [("Work", "work"), ("Archive", "todo")] {
        phone.on("CREATE", &[name]);
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
    let (_, letters) = name.split_once(":2,").unwrap();
    assert!(letters == "a" || letters == "b", "{name}");
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

/// Mail readers copy a file with its letters, and give the copy another name.
#[test]
fn letters_under_another_name_keep_their_meaning() {
    let Some(server) = Server::with(&[Need::Keywords]) else {
        return;
    };
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (n, name, keyword) in [(1, "Work", "work"), (2, "Archive", "todo")] {
        phone.on("CREATE", &[name]);
        phone.append(name, keyword, DATE, &mail(n));
    }
    home.sync_twice();
    let file = files(&home.mail().join("Work")).remove(0);
    let name = file.file_name().unwrap().to_str().unwrap();
    let (_, letters) = name.split_once(":2,").unwrap();
    let other = format!("Archive/cur/another.name:2,{letters}");
    std::fs::rename(&file, home.mail().join(other)).unwrap();
    let report = home.sync_twice();
    assert_eq!(report["moved_remote"], 1, "{report:#}");
    let mut keywords: Vec<_> = phone.read("Archive").into_iter().map(|m| m.flags).collect();
    keywords.sort();
    let want = [&["todo"][..], &["work"]];
    let want = want.map(|all| all.iter().map(|keyword| keyword.to_string()).collect());
    assert_eq!(keywords, want);
    assert_same(&server, "u1", &home);
}
