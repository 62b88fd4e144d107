//! Signals, the control socket, and the commands that talk to it.

use super::*;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

fn socket(home: &Home) -> PathBuf {
    let directory = home.dir.path().join("run/mailtide");
    let mut entries = std::fs::read_dir(directory).unwrap();
    entries.next().unwrap().unwrap().path()
}

fn say(path: &Path, line: &str) -> Value {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn signals_stop_reload_and_look() {
    let (server, home) = world(FULL, "full_interval = 3600");
    let mut watcher = Watcher::in_step(&home);
    let socket = socket(&home);
    let cycles = |watcher: &Watcher<'_>| watcher.status()["cycles"].as_u64().unwrap();
    let before = cycles(&watcher);
    watcher.signal("USR1");
    watcher.wait("it looked", |test| {
        test["cycles"].as_u64().unwrap() > before
    });
    // A second account is added, the first goes on undisturbed.
    let old = std::fs::read_to_string(home.config()).unwrap();
    let dir = home.dir.path().display();
    let second = format!(
        "[accounts.second]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"u2\"\n\
         password = \"pass\"\nmaildir = \"{dir}/Second\"\n",
        server.port
    );
    home.write_config(&format!("{old}{second}"));
    let (id, before) = (watcher.id(), cycles(&watcher));
    watcher.signal("HUP");
    wait_for("the second runs", || {
        watcher.account("second")["state"] == "synced"
    });
    assert!(cycles(&watcher) >= before, "the first was started anew");
    // A mistake changes nothing, and is told.
    home.write_config(&format!("{old}{second}nonsense = 1\n"));
    watcher.signal("HUP");
    wait_for("the mistake is told", || watcher.log().contains("nonsense"));
    home.write_config(&old);
    let asked = home.run(&["status"]);
    assert!(asked.status.success(), "{asked:?}");
    watcher.signal("HUP");
    wait_for("the second ended", || watcher.account("second").is_null());
    assert_eq!(watcher.all().unwrap()["watcher"], id);
    watcher.signal("TERM");
    let (status, took) = watcher.end();
    assert!(
        status.success() && took < Duration::from_secs(5),
        "{status} {took:?}"
    );
    assert!(!socket.exists());
    assert_eq!(home.run(&["poke"]).status.code(), Some(2));
}

#[test]
fn a_first_sync_under_way_stops_within_five_seconds_and_goes_on_later() {
    let (server, home) = world(FULL, "");
    let mut phone = server.phone("u1");
    let body = format!("Subject: large\r\n\r\n{}\r\n", "x".repeat(200_000));
    for _ in 0..60 {
        phone.append("Work", "", " 1-Jan-2024 10:00:00 +0000", body.as_bytes());
    }
    let mut watcher = Watcher::start(&home, home.mailtide());
    wait_for("it begins", || !files(&home, "INBOX").is_empty());
    watcher.signal("TERM");
    let (status, took) = watcher.end();
    assert!(
        status.success() && took < Duration::from_secs(5),
        "{status} {took:?}"
    );
    let _again = Watcher::in_step(&home);
    assert_same(&server, "u1", &home);
}

#[test]
fn the_socket_is_private_and_answers_only_what_it_knows() {
    let (_server, home) = world(FULL, "");
    let watcher = Watcher::in_step(&home);
    let path = socket(&home);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let answer = say(&path, "{\"do\":\"status\"}\n");
    assert_eq!(
        (&answer["ok"], &answer["pid"]),
        (&true.into(), &watcher.id().into())
    );
    for (line, part) in [
        ("nonsense\n", "invalid request"),
        ("{\"do\":\"explode\"}\n", "unknown variant"),
        (
            "{\"do\":\"status\",\"accounts\":[\"nobody\"]}\n",
            "nobody is not an account of the watcher",
        ),
        (
            "{\"do\":\"approve\",\"id\":\"x\"}\n",
            "no held change with id x",
        ),
    ] {
        let answer = say(&path, line);
        assert_eq!(answer["ok"], false, "{line}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{answer}");
    }
    let endless = "x".repeat(70_000);
    assert!(
        say(&path, &endless)["error"]
            .as_str()
            .unwrap()
            .contains("64 KiB")
    );
    // A second watcher is refused, and says why.
    let second = home.run(&["watch"]);
    assert_eq!(second.status.code(), Some(2));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains("runs already"), "{text}");
    assert_eq!(watcher.status()["state"], "synced");
}

#[test]
fn sync_beside_a_watcher_is_done_by_it() {
    let (server, home) = world(FULL, "");
    let watcher = Watcher::in_step(&home);
    assert!(home.run(&["pause", "test"]).status.success());
    watcher.wait("it pauses", |test| test["state"] == "paused");
    set_letters(&home, "INBOX", 3, "S");
    let mut phone = server.phone("u1");
    phone.append(
        "Work",
        "",
        " 1-Jan-2024 10:00:00 +0000",
        b"Subject: n\r\n\r\nn\r\n",
    );
    let (code, object) = home.sync();
    assert_eq!(
        (code, &object["flags_remote"], &object["downloaded"]),
        (0, &1.into(), &1.into())
    );
    assert_same(&server, "u1", &home);
    // To look does no harm, and is not kept from anybody.
    for command in [&["check"][..], &["sync", "--dry-run"]] {
        let out = home.run(command);
        assert!(out.status.success(), "{out:?}");
    }
    let text = home.run(&["sync"]);
    let line = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(line.contains("test: synced, no changes"), "{line}");
    assert_eq!(watcher.status()["state"], "paused");
    assert!(home.run(&["resume"]).status.success());
    watcher.wait("it goes on", |test| test["state"] == "synced");
}

#[test]
fn a_watcher_takes_back_what_it_did() {
    let (server, home) = world(FULL, "");
    let watcher = Watcher::in_step(&home);
    let before = read_maildir(&home.mail());
    let mut phone = server.phone("u1");
    phone.run("SELECT INBOX");
    phone.run("UID STORE 2:4 +FLAGS (\\Deleted)");
    phone.run("UID EXPUNGE 2:4");
    wait_for("they are gone", || files(&home, "INBOX").len() == 17);
    watcher.wait("it has told", |test| test["state"] == "synced");
    let undo = |arguments: &[&str]| {
        let out = home.run(&[&["undo", "--since", "1h"], arguments].concat());
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{text} {out:?}");
        text
    };
    let shown = undo(&[]);
    assert_eq!(shown.matches("put back").count(), 3, "{shown}");
    assert_eq!(files(&home, "INBOX").len(), 17, "it is only shown");
    let done = undo(&["--yes"]);
    assert!(
        done.contains("restored 3 locally") && done.contains("3 uploaded"),
        "{done}"
    );
    assert_eq!(read_maildir(&home.mail()), before);
    assert_same(&server, "u1", &home);
    assert!(undo(&["--yes"]).contains("nothing to undo"));
    assert_eq!(watcher.status()["state"], "synced");
}

#[test]
fn what_is_held_is_shown_and_decided() {
    let (server, home) = world(FULL, "");
    let watcher = Watcher::in_step(&home);
    for verdict in ["reject", "approve"] {
        for path in files(&home, "INBOX") {
            std::fs::remove_file(path).unwrap();
        }
        watcher.wait("it is held", |test| test["state"] == "approval-needed");
        let shown = home.run(&["status"]);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert_eq!(shown.status.code(), Some(3), "{text}");
        assert!(
            text.contains("emptied-mailbox") && text.contains("mailtide reject"),
            "{text}"
        );
        assert_eq!(server.phone("u1").read("INBOX").len(), 20);
        let id = watcher.status()["held"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let done = home.run(&[verdict, &id]);
        assert!(done.status.success(), "{done:?}");
        let left = if verdict == "reject" { 20 } else { 0 };
        watcher.wait("it is decided", |test| test["state"] == "synced");
        wait_for("both sides agree", || {
            let there = server.phone("u1").read("INBOX").len();
            (there, files(&home, "INBOX").len()) == (left, left)
        });
        assert_same(&server, "u1", &home);
    }
}

#[test]
fn status_without_a_watcher_tells_what_is_remembered() {
    let (_server, home) = world(FULL, "");
    let never = home.run(&["status"]);
    let text = String::from_utf8_lossy(&never.stdout).into_owned();
    assert!(text.contains("never synced"), "{text}");
    home.sync_twice();
    let out = home.run(&["status", "--json"]);
    let object: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(object["watcher"].is_null());
    let test = &object["accounts"][0];
    assert_eq!(test["state"], "not-running");
    let counts: Vec<u64> = test["mailboxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mailbox| mailbox["messages"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [20, 10]);
    assert!(test["last_at"].as_i64().unwrap() > 1_700_000_000);
}

#[test]
fn hooks_are_told_of_mail_and_of_trouble() {
    let script = "on_new_mail = [\"sh\", \"-c\", \"cat >>$0.new\", \"OUT\"]\n\
                  on_change = [\"sh\", \"-c\", \"echo $MAILTIDE_MAILBOXES >>$0.change\", \"OUT\"]\n\
                  on_error = [\"sh\", \"-c\", \"echo $MAILTIDE_ERROR >>$0.error\", \"OUT\"]\n";
    let (mut server, home) = world(FULL, "");
    let out = home.dir.path().join("hook");
    home.configure(&server, "u1", &script.replace("OUT", out.to_str().unwrap()));
    let read = |end: &str| std::fs::read_to_string(out.with_extension(end)).unwrap_or_default();
    let watcher = Watcher::in_step(&home);
    wait_for("the first sync is told", || {
        read("change").contains("INBOX")
    });
    assert_eq!(read("new"), "", "what was there before is no news");
    let mut phone = server.phone("u1");
    phone.append(
        "Work",
        "",
        " 1-Jan-2024 10:00:00 +0000",
        b"Subject: n\r\n\r\nn\r\n",
    );
    wait_for("the mail is told", || read("new").ends_with('\n'));
    let object: Value = serde_json::from_str(read("new").lines().next().unwrap()).unwrap();
    assert_eq!(
        (&object["new"]["Work"], &object["event"]),
        (&1.into(), &"new-mail".into())
    );
    assert!(!read("new").contains("Subject"), "no content is told");
    drop(phone);
    server.restart(FULL);
    wait_for("the trouble is told", || {
        read("error").contains("127.0.0.1")
    });
    drop(watcher);
}

#[test]
fn a_watcher_of_another_configuration_is_not_asked() {
    let (_server, home) = world(FULL, "");
    let watcher = Watcher::in_step(&home);
    let socket = socket(&home);
    let text = std::fs::read_to_string(home.config()).unwrap();
    let other = home.dir.path().join("other.toml");
    let run = |text: &str, arguments: &[&str]| {
        std::fs::write(&other, text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&other, mode).unwrap();
        let mut command = home.mailtide();
        let program = command.get_program().to_owned();
        command = std::process::Command::new(program);
        command.arg("--config").arg(&other).args(arguments);
        command.env("XDG_RUNTIME_DIR", home.dir.path().join("run"));
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let cycles = || watcher.status()["cycles"].as_u64().unwrap();
    let before = cycles();
    let named = format!("control_socket = {socket:?}\n{text}");
    for arguments in [
        &["sync"][..],
        &["status"],
        &["poke"],
        &["pause"],
        &["approve", "x"],
    ] {
        let out = run(&named, arguments);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(3), "{arguments:?}: {text}");
        assert!(text.contains("works with the configuration"), "{text}");
        assert!(
            text.contains("config.toml") && text.contains("other.toml"),
            "{text}"
        );
    }
    assert_eq!(cycles(), before, "it did nothing for them");
    // Without a socket of that name both keep apart, and the state is locked.
    let out = run(&text, &["sync"]);
    assert_eq!(out.status.code(), Some(75), "{out:?}");
    let answer = say(&socket, "{\"do\":\"hello\"}\n");
    let config = home.config().canonicalize().unwrap();
    assert_eq!(answer["config"], config.to_str().unwrap());
}

#[test]
fn a_stopped_watcher_is_named_and_not_waited_for() {
    let (_server, home) = world(FULL, "");
    let watcher = Watcher::in_step(&home);
    watcher.signal("STOP");
    let commands: &[&[&str]] = &[
        &["status"],
        &["poke"],
        &["pause"],
        &["resume"],
        &["sync"],
        &["approve", "1"],
    ];
    for command in commands {
        let began = std::time::Instant::now();
        let out = home.run(command);
        let took = began.elapsed();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(took < Duration::from_secs(20), "{command:?}: {took:?}");
        assert_eq!(out.status.code(), Some(75), "{command:?}: {out:?}");
        assert!(text.contains("has not answered"), "{command:?}: {text}");
    }
    watcher.signal("CONT");
    watcher.wait("in step again", |test| test["state"] == "synced");
}
