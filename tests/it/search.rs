//! Searching, by the program as a person uses it: here, on real and scripted servers, beside
//! notmuch and mu, and with an index that is cut.

use crate::support::dovecot::{Dovecot, FULL, PLAIN};
use crate::support::server::*;
use crate::support::watcher::Watcher;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DATE: &str = "01-Feb-2024 08:00:00 +0000";

fn mail(subject: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Bob <bob@example.org>\r\nTo: me@example.org\r\nSubject: {subject}\r\n\
         Message-ID: <{}@x>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n",
        blake3::hash(format!("{subject}{body}").as_bytes()).to_hex()
    )
    .into_bytes()
}

const ATTACHED: &str = "From: carol@example.org\r\nSubject: the plans\r\nMessage-ID: <a@x>\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
    Content-Type: text/plain\r\n\r\nsee below\r\n--b\r\nContent-Type: application/pdf\r\n\
    Content-Disposition: attachment; filename=\"roof.pdf\"\r\n\r\npdf\r\n--b--\r\n";

/// What a search prints: exit status, subjects with where they are, and what is complained about.
fn find(home: &Home, arguments: &[&str]) -> (i32, BTreeSet<String>, String) {
    let all = [&["search", "--json"], arguments].concat();
    let out = home.run(&all);
    let text = String::from_utf8_lossy(&out.stdout);
    let line = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (subject, place) = (row["subject"].as_str(), row["where"].as_str());
        format!("{} {}", subject.unwrap(), place.unwrap())
    };
    let found = text.lines().map(line).collect();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    (out.status.code().unwrap(), found, said)
}

fn found(home: &Home, arguments: &[&str]) -> BTreeSet<String> {
    let (code, found, said) = find(home, arguments);
    assert_eq!((code, said.as_str()), (0, ""), "{arguments:?}: {found:?}");
    found
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

/// A server with mail, some of which is not synced.
fn filled(capabilities: &[&str]) -> (Dovecot, Home) {
    let server = Dovecot::start(capabilities);
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Archive"]);
    for (mailbox, flags, subject, body) in [
        ("INBOX", "\\Seen", "tax report", "all is well"),
        ("INBOX", "", "=?utf-8?Q?M=C3=BCller?=", "about taxes"),
        ("Archive", "\\Flagged", "old tax", "Übergabe"),
        ("Archive", "\\Seen", "=?utf-8?B?6KuL5rGC5pu4?=", "nothing"),
    ] {
        phone.append(mailbox, flags, DATE, &mail(subject, body));
    }
    phone.append("Archive", "", DATE, ATTACHED.as_bytes());
    phone.append(
        "INBOX",
        "",
        DATE,
        ATTACHED.replace("plans", "bill").as_bytes(),
    );
    let home = Home::new(&server, "u1", "mailboxes = [\"*\", \"!Archive\"]");
    home.sync_twice();
    (server, home)
}

#[test]
fn both_sides_are_searched_and_joined() {
    for capabilities in [FULL, PLAIN] {
        let (server, home) = filled(capabilities);
        for index in [false, true] {
            if index {
                assert!(home.run(&["index"]).status.success());
            }
            let all = |arguments: &[&str]| found(&home, arguments);
            assert_eq!(
                all(&["subject:tax"]),
                set(&["tax report both", "old tax there"])
            );
            assert_eq!(all(&["--local", "subject:tax"]), set(&["tax report both"]));
            assert_eq!(
                all(&["--server", "subject:tax"]),
                set(&["tax report both", "old tax there"])
            );
            assert_eq!(all(&["is:flagged"]), set(&["old tax there"]));
            assert_eq!(all(&["subject:請求書"]), set(&["請求書 there"]));
            assert_eq!(all(&["body:übergabe"]), set(&["old tax there"]));
            assert_eq!(
                all(&["from:bob -is:read"]),
                set(&["Müller both", "old tax there"])
            );
            assert_eq!(
                all(&["has:attachment"]),
                set(&["the bill both", "the plans there"])
            );
            assert_eq!(
                all(&["--server", "has:attachment"]),
                set(&["the bill both", "the plans there"])
            );
            assert_eq!(
                all(&["in:Archive -has:attachment -subject:tax"]),
                set(&["請求書 there"])
            );
            assert_eq!(all(&["before:2024-02-01"]), set(&[]));
            assert_eq!(all(&["since:2024-01-30 larger:10k"]), set(&[]));
            assert_eq!(
                all(&["--limit", "1", "subject:tax or subject:plans"]).len(),
                1
            );
        }
        let out = home.run(&["search", "--files", "subject:tax"]);
        let text = String::from_utf8(out.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "only what is here: {text}");
        assert!(text.lines().all(|path| Path::new(path).is_file()), "{text}");
        let unread = |phone: &mut Phone| phone.view()["Archive"].len();
        assert_eq!(unread(&mut server.phone("u1")), 3);
        let seen = server.phone("u1").view()["Archive"]
            .iter()
            .filter(|m| m.flags.contains("\\seen"))
            .count();
        assert_eq!(seen, 1, "nothing became read");
    }
}

#[test]
fn without_a_server_what_is_here_is_searched() {
    let (server, home) = filled(FULL);
    drop(server);
    let (code, found, said) = find(&home, &["subject:tax"]);
    assert_eq!((code, found), (0, set(&["tax report both"])), "{said}");
    assert!(said.contains("only what is here was searched"), "{said}");
    let (code, found, _) = find(&home, &["--server", "subject:tax"]);
    assert_eq!((code, found), (75, set(&[])));
}

#[test]
fn a_query_that_cannot_be_read_is_pointed_at() {
    let (_, home) = filled(FULL);
    let (code, _, said) = find(&home, &["tax since:2024-13"]);
    assert_eq!(code, 2);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "tax since:2024-13");
    assert_eq!(lines[1], "          ^");
    assert!(lines[2].starts_with("a day is expected"), "{said}");
}

/// A Maildir without a server, with an account that has it.
fn offline(more: &str) -> Home {
    let home = Home {
        dir: tempfile::tempdir().unwrap(),
    };
    let dir = home.dir.path().display();
    home.write_config(&format!(
        "state_dir = \"{dir}/state\"\n[accounts.test]\nhost = \"127.0.0.1\"\nport = 1\n\
         tls = \"none\"\nuser = \"u\"\npassword = \"p\"\nmaildir = \"{dir}/Mail\"\n{more}\n"
    ));
    home
}

const WORDS: [&str; 12] = [
    "amber", "birch", "cobalt", "delta", "ember", "flint", "grove", "harbor", "indigo", "jasper",
    "kelp", "lunar",
];

/// Random mail, the same each time.
fn fill(home: &Home, messages: usize) {
    let mut dice = 7_u64;
    let mut below = |end: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) as usize % end
    };
    for n in 0..messages {
        let mut some = |most: usize| {
            let count = 1 + below(most);
            let words: Vec<&str> = (0..count).map(|_| WORDS[below(WORDS.len())]).collect();
            words.join(" ")
        };
        let text = format!(
            "From: {} <a@b.example>\nTo: {} <c@d.example>\nSubject: {}\nMessage-ID: <{n}@x>\n\
             Date: Thu, 01 Feb 2024 08:00:00 +0000\n\n{}\n",
            some(1),
            some(2),
            some(3),
            some(6)
        );
        let mailbox = ["INBOX", "Work"][n % 2];
        home.deliver(
            mailbox,
            &format!("cur/{}.M{n}.host:2,S", 1_700_000_000 + n),
            text.as_bytes(),
        );
    }
}

fn files(home: &Home, query: &str) -> BTreeSet<String> {
    let out = home.run(&["search", "--local", "--files", query]);
    assert!(out.status.success(), "{query}: {out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn notmuch(home: &Home, arguments: &[&str]) -> BTreeSet<String> {
    let config = home.dir.path().join("notmuch-config");
    let text = format!("[database]\npath={}\n[new]\ntags=\n", home.mail().display());
    std::fs::write(&config, text).unwrap();
    let out = Command::new("notmuch")
        .args(arguments)
        .env("NOTMUCH_CONFIG", config)
        .stdin(Stdio::null())
        .output()
        .expect("notmuch: tests/install.sh installs it");
    assert!(out.status.success(), "{arguments:?}: {out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_notmuch_finds_is_found() {
    let home = offline("");
    fill(&home, 150);
    notmuch(&home, &["new", "--quiet"]);
    let queries = [
        "amber",
        "subject:birch",
        "from:cobalt",
        "body:delta",
        "to:kelp",
        "\"ember flint\"",
        "subject:\"grove harbor\"",
        "amber birch",
        "amber or birch",
        "amber not birch",
        "(indigo or jasper) not (kelp or from:lunar)",
        "lun*",
        "since:2024-02-02",
    ];
    let outside = searching_with(&home, "notmuch");
    let asks = |query: &str| {
        let config = home.dir.path().join("notmuch-config");
        asked(&outside, query, "NOTMUCH_CONFIG", &config)
    };
    for index in [false, true] {
        if index {
            assert!(home.run(&["index"]).status.success());
        }
        // The time of arrival is that of the name, not of Date.
        for query in queries.iter().filter(|query| !query.starts_with("since")) {
            let theirs = notmuch(
                &home,
                &["search", "--output=files", "--exclude=false", query],
            );
            let ours = files(&home, query);
            assert_eq!(ours, theirs, "{query}, index {index}");
        }
    }
    for query in queries {
        let query_ = query.replace("since:2024-02-02", "date:2024-02-02..");
        let theirs = notmuch(
            &home,
            &["search", "--output=files", "--exclude=false", &query_],
        );
        assert_eq!(asks(query), theirs, "{query}: by notmuch itself");
    }
}

/// A home that searches the Maildir of another with a program.
fn searching_with(other: &Home, program: &str) -> Home {
    let home = offline(&format!("search_with = \"{program}\""));
    let config = std::fs::read_to_string(home.config()).unwrap();
    let maildir = |home: &Home| format!("{}/Mail", home.dir.path().display());
    home.write_config(&config.replace(&maildir(&home), &maildir(other)));
    home
}

/// The files that a search prints, with a variable for the program it asks.
fn asked(home: &Home, query: &str, variable: &str, value: &Path) -> BTreeSet<String> {
    let out = home
        .mailtide()
        .args(["search", "--local", "--files", query])
        .env(variable, value)
        .output()
        .unwrap();
    assert!(out.status.success(), "{query}: {out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_mu_finds_is_found() {
    let home = offline("");
    fill(&home, 150);
    let place = home.dir.path().join("mu");
    let mu = |arguments: &[&str]| {
        let out = Command::new("mu")
            .args(arguments)
            .env("MUHOME", &place)
            .stdin(Stdio::null())
            .output()
            .expect("mu: tests/install.sh installs it");
        assert!(out.status.success(), "{arguments:?}: {out:?}");
    };
    mu(&[
        "init",
        "--quiet",
        "--maildir",
        home.mail().to_str().unwrap(),
    ]);
    mu(&["index", "--quiet"]);
    let outside = searching_with(&home, "mu");
    for query in [
        "amber",
        "subject:birch",
        "from:cobalt",
        "body:delta",
        "to:kelp",
        "\"ember flint\"",
        "subject:\"grove harbor\"",
        "amber birch",
        "amber or birch",
        "amber not birch",
        "(indigo or jasper) not (kelp or from:lunar)",
        "subject:lun*",
        "is:read amber",
        "is:unread",
        "larger:200 amber",
        "in:Work amber",
        "nothinghasthisword",
    ] {
        let theirs = asked(&outside, query, "MUHOME", &place);
        assert_eq!(theirs, files(&home, query), "{query}");
    }
    let out = outside.run(&["search", "--local", "\"a b\"*"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
}

#[test]
fn an_index_killed_anywhere_is_finished_by_the_next() {
    let home = offline("");
    fill(&home, 1200);
    let wanted = files(&home, "amber or subject:birch");
    assert!(wanted.len() > 100);
    let mut whole = false;
    for round in 0..60 {
        let mut child = home
            .mailtide()
            .arg("index")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_millis(7 + 11 * round);
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let ended = child.try_wait().unwrap();
        let _gone = child.kill();
        child.wait().unwrap();
        if round % 4 == 0 {
            assert_eq!(
                files(&home, "amber or subject:birch"),
                wanted,
                "after kill {round}"
            );
        }
        if ended.is_some_and(|status| status.success()) {
            whole = true;
            break;
        }
    }
    assert!(whole || home.run(&["index"]).status.success());
    assert_eq!(files(&home, "amber or subject:birch"), wanted);
    let out = home.run(&["index"]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(
        said.contains("1200 messages in the index: 0 added, 0 removed, 0 with"),
        "{said}"
    );
}

fn indexed(home: &Home) -> i64 {
    let path = home.dir.path().join("state/test.index");
    let Ok(db) = rusqlite::Connection::open(path) else {
        return 0;
    };
    db.query_row("SELECT count(*) FROM message", [], |row| row.get(0))
        .unwrap_or(0)
}

#[test]
fn the_watcher_keeps_the_index_up() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "index = true\npoll_interval = 1");
    server
        .phone("u1")
        .append("INBOX", "", DATE, &mail("first", "tower"));
    let watcher = Watcher::in_step(&home);
    let until = |wanted: i64| {
        let end = Instant::now() + Duration::from_secs(30);
        while indexed(&home) != wanted {
            assert!(
                Instant::now() < end,
                "{} indexed, not {wanted}",
                indexed(&home)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until(1);
    server
        .phone("u1")
        .append("INBOX", "", DATE, &mail("second", "tower"));
    until(2);
    home.deliver("INBOX", "cur/1.here.host:2,", b"Subject: third\n\ntower\n");
    until(3);
    assert_eq!(files(&home, "tower").len(), 3);
    drop(watcher);
}
