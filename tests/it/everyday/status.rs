//! `status` without a watcher, and what is written for monitoring.

use crate::anywhere::{DATE, mail};
use crate::support::dovecot::*;
use crate::support::line::{Line, Way};
use crate::support::watcher::{Watcher, wait_for};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn status(home: &Home, arguments: &[&str]) -> (i32, String) {
    let out = home.run(&[&["status"], arguments].concat());
    let [text, said] = [&out.stdout, &out.stderr].map(|out| String::from_utf8_lossy(out));
    let text = format!("{text}{said}");
    (out.status.code().unwrap(), text)
}

fn record(home: &Home) -> PathBuf {
    home.dir.path().join("state/test.run")
}

fn recorded(home: &Home) -> Value {
    let text = std::fs::read(record(home)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Makes the last good run older.
fn age(home: &Home, seconds: i64) {
    let mut run = recorded(home);
    let at = run["good_at"].as_i64().unwrap();
    run["good_at"] = (at - seconds).into();
    std::fs::write(record(home), run.to_string()).unwrap();
}

fn led_by(line: &Line, server: &Server, more: &str) -> Home {
    let home = Home::new(server, "u1", more);
    let config = std::fs::read_to_string(home.config()).unwrap();
    let port = |port: u16| format!("port = {port}\n");
    home.write_config(&config.replace(&port(server.port), &port(line.port)));
    home
}

#[test]
fn failed_run_is_remembered_with_its_exit_status() {
    let server = Dovecot::start(FULL);
    let line = Line::to(server.port);
    let home = led_by(&line, &server, "");
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    let (code, text) = status(&home, &[]);
    assert!(code == 0 && text.contains("never synced"), "{text}");
    assert_eq!(
        status(&home, &["--max-age", "2h"]).0,
        1,
        "no run is not a good one"
    );
    home.sync_twice();
    let (code, text) = status(&home, &["--max-age", "2h"]);
    assert!(code == 0 && text.contains(" s ago, at 20"), "{text}");
    line.set(Way::Reset);
    let out = home.run(&["sync"]);
    assert_eq!(out.status.code(), Some(75));
    let (code, text) = status(&home, &["--max-age", "2h"]);
    assert_eq!(code, 75, "{text}");
    for part in [
        "the last run failed",
        "1 error",
        "last good run",
        "127.0.0.1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    line.set(Way::Good);
    home.sync_twice();
    assert_eq!(status(&home, &["--max-age", "2h"]).0, 0);
    age(&home, 3 * 3600);
    let (code, text) = status(&home, &["--max-age", "2h"]);
    assert!(
        code == 1 && text.contains("the last good run ended 3 h ago"),
        "{code} {text}"
    );
    assert_eq!(status(&home, &["--max-age", "4h"]).0, 0);
    assert_eq!(status(&home, &["--max-age", "soon"]).0, 2);
    // A refused login is an error of the configuration.
    let config = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&config.replace("\"pass\"", "\"wrong\""));
    let code = home.run(&["sync"]).status.code();
    assert_eq!(status(&home, &[]).0, code.unwrap());
    // A state database that is damaged is no reason to forget it.
    std::fs::write(home.dir.path().join("state/test.db"), "no database").unwrap();
    let code = home.run(&["sync"]).status.code();
    assert_ne!(code, Some(0));
    assert_ne!(status(&home, &[]).0, 0);
}

#[test]
fn first_sync_says_what_is_done_and_what_is_to_come() {
    let server = Dovecot::start(FULL);
    let line = Line::to(server.port);
    let home = led_by(&line, &server, "");
    let mut phone = server.phone("u1");
    for _ in 0..3 {
        phone.append("INBOX", "", DATE, &crate::looking::picture(4_000_000));
    }
    line.set(Way::Slow(40));
    let mut sync = home.mailtide();
    sync.arg("sync").stdout(Stdio::null()).stderr(Stdio::null());
    let mut sync = sync.spawn().unwrap();
    wait_for("progress", || recorded(&home)["progress"]["of"] == 3);
    let (code, text) = status(&home, &[]);
    assert!(
        code == 0 && text.contains("syncing") && text.contains(" of 3 messages, "),
        "{text}"
    );
    sync.kill().unwrap();
    sync.wait().unwrap();
    let (code, text) = status(&home, &[]);
    assert_eq!(code, 75, "{text}");
    for part in [
        "stopped before its end",
        " of 3 messages",
        "goes on from there",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The same facts while a watcher works, and in the end none of it is left.
    let watcher = Watcher::start(&home, home.mailtide());
    watcher.wait("progress", |test| test["progress"]["of"].as_u64() > Some(0));
    let (_, text) = status(&home, &[]);
    assert!(
        text.contains("under way: ") && text.contains(" messages, "),
        "{text}"
    );
    line.set(Way::Good);
    watcher.wait("in step", |test| {
        test["state"] == "synced" && test["progress"].is_null()
    });
    assert_eq!(status(&home, &["--max-age", "1h"]).0, 0);
}

#[test]
fn status_follows_until_nobody_reads() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    home.sync_twice();
    let mut follow = home.mailtide();
    follow
        .args(["status", "--follow", "--json"])
        .stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let out = follow.stdout.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(out));
    for _ in 0..2 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["accounts"][0]["account"], "test");
    }
    drop(lines);
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

const PARSE: &str = "import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as new
from prometheus_client.parser import text_string_to_metric_families as old
text = open(sys.argv[1]).read()
every = lambda parse: [s for family in parse(text) for s in family.samples]
assert len(every(new)) == len(every(old))
print(json.dumps([[s.name, s.labels, s.value] for s in every(new)]))
";

/// The samples of the metrics of the account `test`, as a parser reads them.
fn samples(home: &Home) -> Vec<(String, f64)> {
    let path = home.dir.path().join("metrics/mail.prom");
    let out = Command::new("/usr/bin/python3")
        .args(["-c", PARSE, path.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{out:?}: tests/install.sh installs prometheus-client"
    );
    let all: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap();
    let own = all.iter().filter(|sample| sample[1]["account"] == "test");
    own.map(|sample| {
        let way = sample[1]["direction"].as_str().unwrap_or_default();
        let name = format!("{}{way}", sample[0].as_str().unwrap());
        (name, sample[2].as_f64().unwrap())
    })
    .collect()
}

fn sample(home: &Home, name: &str) -> f64 {
    let all = samples(home);
    let found = all.iter().find(|(own, _)| own == name);
    found.unwrap_or_else(|| panic!("{name} in {all:?}")).1
}

#[test]
fn metrics_are_read_by_the_parsers_of_prometheus() {
    let server = Dovecot::start(FULL);
    let line = Line::to(server.port);
    let home = led_by(&line, &server, "");
    let config = std::fs::read_to_string(home.config()).unwrap();
    let path = home.dir.path().join("metrics/mail.prom");
    home.write_config(&format!("metrics_file = {path:?}\n{config}"));
    let mut phone = server.phone("u1");
    for n in 0..3 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.run(&["sync", "--dry-run"]);
    assert!(!path.exists());
    home.sync_twice();
    assert_eq!(sample(&home, "mailtide_copied_messages_totaldown"), 3.0);
    assert!(sample(&home, "mailtide_copied_bytes_totaldown") > 200.0);
    assert_eq!(sample(&home, "mailtide_synchronized_messages"), 3.0);
    let good = sample(&home, "mailtide_last_good_run_timestamp_seconds");
    assert!(good > 1_700_000_000.0);
    line.set(Way::Reset);
    home.run(&["sync"]);
    assert_eq!(sample(&home, "mailtide_current_errors"), 1.0);
    assert_eq!(sample(&home, "mailtide_errors_total"), 1.0);
    line.set(Way::Good);
    std::fs::remove_file(&path).unwrap();
    let watcher = Watcher::in_step(&home);
    phone.append("INBOX", "", DATE, &mail(7));
    wait_for("the metrics of a watcher", || {
        path.exists() && sample(&home, "mailtide_synchronized_messages") == 4.0
    });
    assert_eq!(sample(&home, "mailtide_current_errors"), 0.0);
    drop(watcher);
    let left = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(left.count(), 1, "no file is left over");
}
