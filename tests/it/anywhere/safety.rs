//! What is held, refused, locked, or only looked at.

use super::*;

#[test]
fn a_held_plan_is_shown_and_runs_once_when_approved() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for n in 0..50 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.sync_twice();
    for file in files(&home.mail().join("INBOX")) {
        std::fs::remove_file(file).unwrap();
    }
    phone.append("INBOX", "", DATE, &mail(99));
    let (code, report) = home.sync();
    assert_eq!((code, &report["downloaded"]), (3, &1.into()), "{report:#}");
    assert_eq!(phone.read("INBOX").len(), 51, "nothing was deleted");
    let id = report["held"][0]["id"].as_str().unwrap().to_owned();
    let shown = home.run(&["sync"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains(&format!("mailtide approve {id}")));
    assert_eq!(home.run(&["approve", "nonsense"]).status.code(), Some(2));
    assert_eq!(home.run(&["approve", &id]).status.code(), Some(0));
    let (code, report) = home.sync();
    assert_eq!(
        (code, &report["deleted_remote"]),
        (0, &50.into()),
        "{report:#}"
    );
    assert_same(&server, "u1", &home);
    // The bytes of what was expunged are in quarantine.
    let kept = walk_files(&home.mail().join(".mailtide/quarantine"));
    assert_eq!(kept.len(), 50);
}

#[test]
fn a_missing_or_foreign_maildir_stops_everything() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    home.sync_twice();
    let (mail_, away) = (home.mail(), home.dir.path().join("away"));
    std::fs::rename(&mail_, &away).unwrap();
    let refused = |expected: &str| {
        let out = home.run(&["sync"]);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(3), "{text}");
        assert!(text.contains(expected), "{text}");
    };
    refused("is the disk mounted?");
    assert!(!mail_.exists(), "a missing Maildir is not made anew");
    std::fs::create_dir_all(mail_.join("INBOX/cur")).unwrap();
    refused("is the disk mounted?");
    std::fs::create_dir_all(mail_.join(".mailtide")).unwrap();
    std::fs::write(mail_.join(".mailtide/account"), "somebody else\n").unwrap();
    refused("belongs to another account");
    assert_eq!(server.phone("u1").read("INBOX").len(), 1);
    std::fs::remove_dir_all(&mail_).unwrap();
    std::fs::rename(&away, &mail_).unwrap();
    home.sync_twice();
}

#[test]
fn dry_run_writes_nothing() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    let plan = home.run(&["sync", "--dry-run", "-v"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        text.contains("would create mailbox INBOX on local"),
        "{text}"
    );
    assert!(text.contains("would INBOX: copy UID "), "{text}");
    assert!(
        text.contains("message 1)"),
        "date, sender and subject: {text}"
    );
    let table = |line: &str| line.starts_with("test: INBOX  download        1  ");
    assert!(
        text.lines().any(table) && text.contains(" are free"),
        "{text}"
    );
    let short = home.run(&["sync", "--dry-run"]);
    let short = String::from_utf8_lossy(&short.stdout).into_owned();
    assert!(
        short.lines().any(table) && !short.contains("copy UID"),
        "{short}"
    );
    assert!(!home.mail().exists() && !home.dir.path().join("state").exists());
    home.sync_twice();
    server
        .phone("u1")
        .append("INBOX", "\\Flagged", DATE, &mail(2));
    let old = holding(&home.mail().join("INBOX"), "Subject: message 1\n");
    rename_flags(&old, "R");
    home.deliver("INBOX", "new/1.a.me", b"Subject: up\n\nx\n");
    let snapshot = || -> Vec<(PathBuf, std::time::SystemTime)> {
        let all = walk_files(home.dir.path());
        all.into_iter()
            .map(|p| (p.clone(), p.metadata().unwrap().modified().unwrap()))
            .collect()
    };
    let before = (snapshot(), server.phone("u1").view());
    let plan = home.run(&["sync", "--dry-run", "--json"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    let object: serde_json::Value = serde_json::from_str(
        String::from_utf8_lossy(&plan.stdout)
            .lines()
            .last()
            .unwrap(),
    )
    .unwrap();
    let lines = object["accounts"][0]["plan"].as_array().unwrap().len();
    assert_eq!(
        (before, lines),
        ((snapshot(), server.phone("u1").view()), 3),
        "{object:#}"
    );
    let flags = object.to_string().contains("remote +(\\\\Answered)");
    assert!(flags, "the plan that would run: {object:#}");
}

#[test]
fn two_processes_do_not_meet() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    home.sync_twice();
    let path = home.dir.path().join("state/test.lock");
    let lock = mailtide::state::Lock::take(&path).unwrap();
    let out = home.run(&["sync"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(75), "{text}");
    let me = format!("process {}", std::process::id());
    assert!(
        text.contains("another mailtide works on this account") && text.contains(&me),
        "{text}"
    );
    drop(lock);
    home.sync_twice();
}

#[test]
fn a_mailbox_that_others_rename_in_all_the_time_loses_nothing() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let server = Server::start();
    let home = Home::new(&server, "u1", "max_delete_count = 100000");
    let mut phone = server.phone("u1");
    for n in 0..400 {
        phone.append("INBOX", "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    let (stop, inbox) = (AtomicBool::new(false), home.mail().join("INBOX"));
    std::thread::scope(|threads| {
        let renamer = threads.spawn(|| {
            let mut renames = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                for file in files(&inbox) {
                    let name = file.to_str().unwrap();
                    let flags = if name.ends_with(":2,S") { "FS" } else { "S" };
                    let base = name.rsplit_once(":2,").unwrap().0;
                    renames +=
                        u32::from(std::fs::rename(&file, format!("{base}:2,{flags}")).is_ok());
                }
            }
            renames
        });
        for _ in 0..15 {
            let (_, report) = home.sync();
            assert_eq!(
                (&report["deleted_remote"], &report["deleted_local"]),
                (&0.into(), &0.into())
            );
        }
        stop.store(true, Ordering::Relaxed);
        assert!(renamer.join().unwrap() > 1000);
    });
    home.sync_twice();
    assert_same(&server, "u1", &home);
    assert_eq!(phone.read("INBOX").len(), 400);
}

#[test]
fn check_looks_at_everything_and_changes_nothing() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "mailboxes = [\"*\", \"!Spam\"]");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Spam"]);
    let out = home.run(&["check", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let object: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let account = &object["accounts"][0];
    let plain = account["tier"].as_str().unwrap().starts_with("plain");
    assert_eq!(plain, !phone.can("CONDSTORE"), "{object:#}");
    let spam = account["mailboxes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["name"] == "Spam");
    assert_eq!(spam.unwrap()["synced"], "left out by `mailboxes`");
    assert!(!home.mail().exists() && !home.dir.path().join("state").exists());
    home.sync_twice();
    let text = String::from_utf8_lossy(&home.run(&["check"]).stdout).into_owned();
    assert!(
        text.contains("mailbox INBOX: synced") && text.contains("UIDPLUS") != phone.can("UIDPLUS"),
        "{text}"
    );
    let log = home.run(&["-v", "--log-format", "json", "sync"]);
    assert!(log.status.success());
    home.deliver("INBOX", "new/1.a.me", b"Subject: secret words\n\nbody\n");
    let log = String::from_utf8_lossy(&home.run(&["-vvv", "--log-format", "json", "sync"]).stderr)
        .into_owned();
    assert!(
        log.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{log}"
    );
    assert!(
        log.contains("\"what\":\"new\"") && !log.contains("secret words"),
        "{log}"
    );
}
