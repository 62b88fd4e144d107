//! `mailboxes`, `list`, `show` and `part` on a real server: what both sides have is one row, a part
//! costs no more than the part, and nothing is changed by looking.

mod broken;
mod shown;

use crate::anywhere::{DATE, mail};
use crate::support::proxy::Proxy;
use crate::support::server::*;
use base64::Engine;
use serde_json::Value;

/// The objects that a command prints, one a line.
pub fn objects(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let out = home.run(arguments);
    assert!(out.status.success(), "{arguments:?}: {out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a command prints.
pub fn printed(home: &Home, arguments: &[&str]) -> String {
    let out = home.run(arguments);
    assert!(out.status.success(), "{arguments:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

fn places(rows: &[Value]) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let mut all: Vec<_> = rows
        .iter()
        .map(|row| (text(row, "subject"), text(row, "where")))
        .collect();
    all.sort();
    all
}

/// A note beside a picture of so many bytes.
pub fn picture(bytes: usize) -> Vec<u8> {
    let coded = base64::engine::general_purpose::STANDARD.encode(vec![0xa7; bytes]);
    let lines: Vec<&str> = coded
        .as_bytes()
        .chunks(76)
        .map(|c| std::str::from_utf8(c).unwrap())
        .collect();
    let note = "A note about the picture.\r\n".repeat(110);
    let text = format!(
        "From: Ann <ann@example.org>\r\nTo: me@example.org\r\nSubject: a picture\r\n\
         Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{note}--b\r\n\
         Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"cat.png\"\r\n\r\n{}\r\n--b--\r\n",
        lines.join("\r\n")
    );
    text.into_bytes()
}

#[test]
fn message_of_both_sides_is_one_row() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "mailboxes = [\"INBOX\"]");
    let mut phone = server.phone("u1");
    for n in 0..3 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    phone.run(&format!("CREATE \"{}\"", phone.name("Other")));
    phone.append("Other", "\\Seen", DATE, &mail(9));
    home.sync_twice();
    phone.append("INBOX", "", DATE, &mail(3));
    home.deliver(
        "INBOX",
        "new/1.local.me",
        b"From: x@y\nSubject: only here\n\nx\n",
    );
    let rows = objects(&home, &["list", "INBOX", "--json"]);
    let subject = |n: usize| format!("message {n}");
    assert_eq!(
        places(&rows),
        [
            (subject(0), "both".to_owned()),
            (subject(1), "both".into()),
            (subject(2), "both".into()),
            (subject(3), "there".into()),
            ("only here".into(), "here".into()),
        ]
    );
    let others = objects(&home, &["list", "Other", "--json"]);
    assert_eq!(places(&others), [(subject(9), "there".to_owned())]);
    assert_eq!(
        objects(&home, &["list", "INBOX", "--json", "--limit", "2"]).len(),
        2
    );
    let here = objects(&home, &["list", "INBOX", "--json", "--local"]);
    assert_eq!(here.len(), 4);
    // An id of each place names its message, by the same words before and after a flag changed.
    for row in rows.iter().chain(&others) {
        let id = row["id"].as_str().unwrap();
        let shown = printed(&home, &["show", id]);
        assert!(
            shown.contains(row["subject"].as_str().unwrap()),
            "{id}: {shown}"
        );
    }
    let all = objects(&home, &["mailboxes", "--json"]);
    let named = |name: &str| all.iter().find(|m| m["mailbox"] == name).unwrap().clone();
    assert_eq!(named("INBOX")["where"], "both");
    assert_eq!(
        (
            &named("Other")["where"],
            &named("Other")["there"]["messages"]
        ),
        (&"there".into(), &1.into())
    );
    home.sync_twice();
}

#[test]
fn part_costs_no_more_than_the_part() {
    let server = Server::start();
    let proxy = Proxy::before(server.port);
    let home = Home::new(&server, "u1", "compress = false\nmailboxes = [\"INBOX\"]");
    let mut phone = server.phone("u1");
    phone.run(&format!("CREATE \"{}\"", phone.name("Far")));
    let whole = picture(20_000_000);
    phone.append("Far", "", DATE, &whole);
    let text = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&text.replace(&server.port.to_string(), &proxy.port.to_string()));
    let id = objects(&home, &["list", "Far", "--json"])[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let listed = proxy.take();
    assert!(listed.bytes() < 10_000, "list: {listed:?}");
    let note = printed(&home, &["part", &id, "1"]);
    let part = proxy.take();
    assert!(
        note.starts_with("A note about the picture.") && note.len() > 2800,
        "{note}"
    );
    assert!(part.bytes() < 10_000, "part: {part:?}");
    let shown = printed(&home, &["show", &id]);
    let show = proxy.take();
    let named = server.traits.has(Need::FileNames);
    assert!(
        (shown.contains("cat.png") || !named) && show.bytes() < 12_000,
        "show: {show:?}"
    );
    let to = home.dir.path().join("cat.png");
    let which = if named { "cat.png" } else { "2" };
    printed(&home, &["part", &id, which, "--save", to.to_str().unwrap()]);
    assert_eq!(std::fs::read(&to).unwrap(), vec![0xa7; 20_000_000]);
    let raw = home.run(&["show", &id, "--raw"]);
    assert_eq!(canonical(&raw.stdout), canonical(&whole));
}

#[test]
fn search_on_the_server_costs_no_message() {
    let server = Server::start();
    let proxy = Proxy::before(server.port);
    let home = Home::new(&server, "u1", "compress = false\nmailboxes = [\"INBOX\"]");
    let mut phone = server.phone("u1");
    phone.run(&format!("CREATE \"{}\"", phone.name("Far")));
    for n in 0..3 {
        phone.append("Far", "", DATE, &mail(n));
    }
    phone.append("Far", "", DATE, &picture(2_000_000));
    let text = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&text.replace(&server.port.to_string(), &proxy.port.to_string()));
    for query in [
        "subject:picture",
        "from:ann since:2020",
        "from:ann subject:\"a picture\"",
    ] {
        let found = objects(&home, &["search", "--json", query]);
        let passed = proxy.take();
        let subjects: Vec<_> = found.iter().map(|row| row["subject"].clone()).collect();
        assert_eq!(subjects, ["a picture"], "{query}");
        assert!(passed.bytes() < 10_000, "{query}: {passed:?}");
    }
}

#[test]
fn looking_sets_no_flag() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "mailboxes = [\"INBOX\"]");
    let mut phone = server.phone("u1");
    phone.append("INBOX", "", DATE, &picture(500));
    phone.append("INBOX", "", DATE, &mail(1));
    let ids: Vec<String> = objects(&home, &["list", "INBOX", "--json", "--server"])
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    for id in &ids {
        for how in [
            &["show"][..],
            &["show", "--headers"],
            &["show", "--structure"],
        ] {
            let all: Vec<&str> = how
                .iter()
                .copied()
                .chain([id.as_str(), "--server"])
                .collect();
            printed(&home, &all);
        }
        home.run(&["show", "--raw", "--server", id]);
        printed(&home, &["part", id, "1", "--server"]);
    }
    home.run(&["mailboxes"]);
    for seen in phone.read("INBOX") {
        assert!(
            !seen.flags.iter().any(|flag| flag.contains("Seen")),
            "{:?}",
            seen.flags
        );
    }
    assert!(!home.mail().exists(), "nothing was made here");
}

#[test]
fn without_server_the_disk_is_shown_and_that_is_said() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    home.sync_twice();
    drop(server);
    for command in [&["list", "INBOX"][..], &["mailboxes"]] {
        let out = home.run(command);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            out.status.success() && said.contains("only what is here"),
            "{out:?}"
        );
        assert!(
            String::from_utf8_lossy(&out.stdout).contains("INBOX"),
            "{out:?}"
        );
    }
    let out = home.run(&["list", "INBOX", "--server"]);
    assert_eq!(out.status.code(), Some(75), "{out:?}");
    let out = home.run(&["list", "INBOX", "--local"]);
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
}
