//! docs/schemas describe what `--json` prints: real output is validated.

use crate::anywhere::{DATE, mail};
use crate::support::dovecot::*;
use crate::support::watcher::Watcher;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

const VALIDATE: &str = "import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
check = jsonschema.Draft202012Validator(schema)
for line in sys.stdin:
    for error in check.iter_errors(json.loads(line)):
        print(list(error.absolute_path), error.message)
";

/// Runs a command and validates each line that it prints; answers with the objects.
fn valid(home: &Home, name: &str, arguments: &[&str]) -> Vec<Value> {
    let out = home.run(&[arguments, &["--json"]].concat());
    let schema = format!("{}/docs/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", VALIDATE, &schema])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&out.stdout).unwrap();
    let checked = child.wait_with_output().unwrap();
    assert!(
        checked.status.success(),
        "{checked:?}: tests/install.sh installs python3-jsonschema"
    );
    let wrong = String::from_utf8(checked.stdout).unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(wrong, "", "{arguments:?}: {text}");
    let all = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let all: Vec<Value> = all.collect();
    assert!(
        !all.is_empty(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    all
}

#[test]
fn schemas_describe_what_is_printed() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "max_delete_count = 3");
    let mut phone = server.phone("u1");
    for n in 0..40 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    valid(&home, "status", &["status"]);
    valid(&home, "check", &["check"]);
    valid(&home, "sync", &["sync", "--dry-run"]);
    let all = valid(&home, "sync", &["sync"]);
    assert_eq!(all[0]["accounts"][0]["downloaded"], 40);
    valid(&home, "check", &["check"]);
    phone.run("SELECT INBOX");
    phone.run("UID STORE 1:2 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    valid(&home, "sync", &["sync"]);
    valid(&home, "history", &["history"]);
    assert_eq!(valid(&home, "undo", &["undo"])[0]["done"], false);
    let undone = valid(&home, "undo", &["undo", "--yes"]);
    assert_eq!(undone[0]["sync"]["ok"], true, "{undone:?}");
    phone.run("UID STORE 1:* +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    let all = valid(&home, "sync", &["sync"]);
    let held = &all[0]["accounts"][0]["held"][0];
    assert!(held["since_time"].is_string(), "{all:#?}");
    let status = valid(&home, "status", &["status"]);
    assert_eq!(status[0]["accounts"][0]["held"][0]["id"], held["id"]);
    let watcher = Watcher::start(&home, home.mailtide());
    watcher.wait("held", |test| test["state"] == "approval-needed");
    valid(&home, "status", &["status"]);
    drop((watcher, phone, server));
    valid(&home, "sync", &["sync"]);
    valid(&home, "status", &["status"]);
    valid(&home, "check", &["check"]);
}
