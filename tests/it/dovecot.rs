//! End to end: the binary, a real Dovecot, a real Maildir, in the three tiers of looking.

use crate::support::dovecot::*;
use std::path::{Path, PathBuf};

const DATE: &str = "17-Jul-2024 02:44:25 +0200";

fn mail(n: usize) -> Vec<u8> {
    let body = "line of text\r\n".repeat(n % 7 + 1);
    format!("From: a@example.org\r\nSubject: message {n}\r\nMessage-ID: <{n}@x>\r\n\r\n{body}")
        .into()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for sub in ["new", "cur"] {
        let entries = std::fs::read_dir(directory.join(sub)).unwrap();
        all.extend(entries.map(|entry| entry.unwrap().path()));
    }
    all.sort();
    all
}

fn holding(directory: &Path, text: &str) -> PathBuf {
    let has =
        |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text);
    files(directory)
        .into_iter()
        .find(has)
        .unwrap_or_else(|| panic!("no file with {text}"))
}

fn rename_flags(path: &Path, flags: &str) -> PathBuf {
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
fn two_ways(capabilities: &[&str], config: &str) {
    let server = Dovecot::start(capabilities);
    let home = Home::new(&server, "u1", config);
    let mut phone = server.phone("u1");
    for name in [
        "Arbeit",
        "Arbeit/Entw&APw-rfe",
        "A &- B",
        "&ZeVnLIqe-",
        "Trash",
    ] {
        phone.run(&format!("CREATE \"{name}\""));
    }
    let boxes = ["INBOX", "Arbeit", "Arbeit/Entw&APw-rfe", "A &- B"];
    for n in 0..60 {
        let flags = [
            "",
            "\\Seen",
            "\\Flagged work",
            "\\Seen \\Answered $Forwarded",
        ][n % 4];
        phone.append(boxes[n % 4], flags, DATE, &mail(n));
    }
    let first = home.sync_twice();
    assert_eq!(first["downloaded"], 60, "{first:#}");
    assert_same(&server, "u1", &home);

    // On the phone.
    phone.run("SELECT INBOX");
    phone.run("UID STORE 1:3 +FLAGS (\\Seen todo)");
    phone.run("UID STORE 4 -FLAGS (\\Seen)");
    phone.run("UID STORE 5 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    phone.append("INBOX", "\\Draft", DATE, &mail(100));
    phone.run("CREATE \"New there\"");
    phone.append("New there", "", DATE, &mail(101));
    phone.run("DELETE \"&ZeVnLIqe-\"");
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
    if capabilities == PLAIN {
        // Without UIDPLUS the message is only marked there, and that is what is left of it.
        let marked = server.phone("u1").read("Arbeit");
        let with = |m: &&Seen| m.flags.contains("\\deleted");
        assert_eq!(marked.iter().filter(with).count(), 1);
        let mut phone = server.phone("u1");
        phone.run("SELECT Arbeit");
        phone.run("EXPUNGE");
    }
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn two_ways_with_qresync() {
    two_ways(FULL, "");
}

#[test]
fn two_ways_with_condstore_only() {
    two_ways(NO_QRESYNC, "");
}

#[test]
fn two_ways_with_nothing() {
    two_ways(PLAIN, "");
}

#[test]
fn two_ways_with_extensions_switched_off_and_compressed() {
    let off = "disable_extensions = [\"QRESYNC\", \"LIST-STATUS\", \"LITERAL+\", \"ESEARCH\"]";
    two_ways(FULL, &format!("{off}\ncompress = true\nconnections = 1"));
}

#[test]
fn a_full_maildir_meets_a_full_server() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for n in 0..40 {
        phone.append("INBOX", "\\Seen", DATE, &mail(n));
    }
    // Received mail carries a trace; two of a kind; one that only the disk has; flags differ.
    for n in 0..40 {
        let text = String::from_utf8(mail(n)).unwrap().replace('\r', "");
        home.deliver(
            "INBOX",
            &format!("cur/17000000{n:02}.M1P1.old,U={n}:2,F"),
            text.as_bytes(),
        );
    }
    phone.append("INBOX", "", DATE, &mail(0));
    home.deliver(
        "INBOX",
        "new/1800000000.M1P1.me",
        b"Subject: only here\n\nx\n",
    );
    let before = files(&home.mail().join("INBOX")).len();
    let (code, report) = home.sync();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        (&report["linked"], &report["uploaded"]),
        (&40.into(), &1.into()),
        "{report:#}"
    );
    assert_eq!(report["downloaded"], 1, "the second copy of message 0");
    let after = files(&home.mail().join("INBOX"));
    assert_eq!(after.len(), before + 1);
    let kept = |path: &&PathBuf| path.to_str().unwrap().contains(".old,U=");
    assert_eq!(
        after.iter().filter(kept).count(),
        40,
        "files keep their names"
    );
    home.sync_twice();
    let same_bodies = |view: &View| {
        view["INBOX"]
            .iter()
            .map(|m| m.body.clone())
            .collect::<Vec<_>>()
    };
    let (there, here) = (server.phone("u1").view(), read_maildir(&home.mail()));
    assert_eq!(same_bodies(&there), same_bodies(&here));
    let both = |m: &&Seen| m.flags.contains("\\seen") && m.flags.contains("\\flagged");
    assert_eq!(
        here["INBOX"].iter().filter(both).count(),
        40,
        "flags are united"
    );
}

#[test]
fn a_lost_state_database_doubles_nothing() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for n in 0..30 {
        phone.append("INBOX", "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    std::fs::remove_dir_all(home.dir.path().join("state")).unwrap();
    let (code, report) = home.sync();
    assert_eq!(
        (code, &report["linked"], &report["changes"]),
        (0, &30.into(), &0.into()),
        "{report:#}"
    );
    assert_same(&server, "u1", &home);
}

#[test]
fn uidvalidity_changes_and_nothing_is_copied() {
    for capabilities in [FULL, PLAIN] {
        let server = Dovecot::start(capabilities);
        let home = Home::new(&server, "u1", "");
        let mut phone = server.phone("u1");
        for n in 0..30 {
            phone.append("INBOX", "", DATE, &mail(n));
        }
        home.sync_twice();
        drop(phone);
        server.doveadm(&[
            "mailbox",
            "update",
            "-u",
            "u1",
            "--uid-validity",
            "77",
            "INBOX",
        ]);
        let file = holding(&home.mail().join("INBOX"), "Subject: message 7\n");
        rename_flags(&file, "S");
        let (code, report) = home.sync();
        assert_eq!(
            (code, &report["changes"], &report["flags_remote"]),
            (0, &1.into(), &1.into())
        );
        home.sync_twice();
        assert_same(&server, "u1", &home);
    }
}

#[test]
fn the_index_of_the_server_is_lost_and_modseq_goes_back() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for n in 0..20 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    phone.run("SELECT INBOX");
    for n in 1..15 {
        phone.run(&format!("UID STORE {n} +FLAGS (\\Seen)"));
    }
    home.sync_twice();
    phone.run("LOGOUT");
    server.doveadm(&["force-resync", "-u", "u1", "INBOX"]);
    let mut phone = server.phone("u1");
    phone.run("SELECT INBOX");
    phone.run("UID STORE 18 +FLAGS (\\Flagged)");
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn trash_instead_of_expunge() {
    for capabilities in [FULL, PLAIN] {
        let server = Dovecot::start(capabilities);
        let trash = if capabilities == FULL {
            "\\\\Trash"
        } else {
            "Trash"
        };
        let home = Home::new(&server, "u1", &format!("trash = \"{trash}\""));
        let mut phone = server.phone("u1");
        phone.run("CREATE Trash");
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
}

#[test]
fn a_held_plan_is_shown_and_runs_once_when_approved() {
    let server = Dovecot::start(FULL);
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

fn walk_files(directory: &Path) -> Vec<PathBuf> {
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
fn a_missing_or_foreign_maildir_stops_everything() {
    let server = Dovecot::start(FULL);
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
fn what_the_server_refuses_stops_nothing_else() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    home.sync_twice();
    home.deliver("INBOX", "new/1.a.me", b"Subject: good\n\nx\n");
    home.deliver("INBOX", "new/2.b.me", b"");
    home.deliver(
        "INBOX",
        "new/3.c.me",
        b"Subject: bare\r\nmixed\n\nline ends\n",
    );
    std::os::unix::fs::symlink("/etc/hostname", home.mail().join("INBOX/cur/4.d.me:2,")).unwrap();
    let (code, report) = home.sync();
    assert_eq!((code, &report["uploaded"]), (1, &2.into()), "{report:#}");
    let errors = report["errors"].to_string();
    assert!(errors.contains("no regular file"), "{errors}");
    assert!(
        report["notes"].to_string().contains("empty or unreadable"),
        "{report:#}"
    );
    assert_eq!(server.phone("u1").read("INBOX").len(), 2);
}

#[test]
fn bytes_and_dates_survive_the_way_up_and_down() {
    let server = Dovecot::start(FULL);
    let (a, b) = (Home::new(&server, "u1", ""), Home::new(&server, "u1", ""));
    let long = format!("Subject: long\n\n{}\n", "y".repeat(9000));
    let bodies: [&[u8]; 6] = [
        b"Subject: plain\n\nhello\n",
        b"Subject: no newline at the end\n\nhello",
        b"Subject: bytes\n\n\xff\xfe\x80\xe9\n",
        b"Subject: lone cr\n\na\rb\n",
        b"no header at all\n",
        long.as_bytes(),
    ];
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
    let server = Dovecot::start(FULL);
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
    phone.run("UID STORE 1 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    assert_eq!(home.sync_twice()["deleted_local"], 1);
}

#[test]
fn dry_run_writes_nothing() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    let plan = home.run(&["sync", "--dry-run"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        text.contains("would create mailbox INBOX on local"),
        "{text}"
    );
    assert!(text.contains("would INBOX: copy UID 1 to local"), "{text}");
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
fn pulling_takes_flags_and_mail_and_gives_nothing() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "direction = \"pull\"");
    let mut phone = server.phone("u1");
    phone.append("INBOX", "", DATE, &mail(1));
    phone.append("INBOX", "", DATE, &mail(2));
    home.sync_twice();
    phone.run("SELECT INBOX");
    phone.run("UID STORE 1 +FLAGS (\\Seen work)");
    let inbox = home.mail().join("INBOX");
    rename_flags(&holding(&inbox, "Subject: message 2\n"), "F");
    home.deliver("INBOX", "new/1.a.me", b"Subject: up\n\nx\n");
    let plan = home.run(&["sync", "--dry-run"]);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        text.contains("local +(\\Seen work)") && !text.contains("remote"),
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
    assert!(
        read_maildir(&home.mail())["INBOX"][0]
            .flags
            .contains("work")
    );
}

#[test]
fn patterns_choose_mailboxes() {
    let server = Dovecot::start(FULL);
    let mut phone = server.phone("u1");
    for name in ["Spam", "Work", "Work/A"] {
        phone.run(&format!("CREATE {name}"));
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

#[test]
fn maildir_plus_plus() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "layout = \"maildir++\"");
    let mut phone = server.phone("u1");
    phone.run("CREATE A/b.c");
    phone.append("A/b.c", "", DATE, &mail(1));
    phone.append("INBOX", "", DATE, &mail(2));
    home.sync_twice();
    assert_eq!(files(&home.mail()).len(), 1);
    assert_eq!(files(&home.mail().join(".A.b%2Ec")).len(), 1);
    home.deliver(".Neu.hier", "new/1.a.me", b"Subject: x\n\nx\n");
    home.sync_twice();
    assert_eq!(phone.read("Neu/hier").len(), 1);
    // The maildir crate, which shares no code with ours, sees the same.
    let reader = maildir::Maildir::from(home.mail());
    assert_eq!(
        (
            reader.count_new() + reader.count_cur(),
            reader.list_subdirs().count()
        ),
        (1, 2)
    );
}

#[test]
fn two_processes_do_not_meet() {
    let server = Dovecot::start(FULL);
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
fn a_prefix_another_delimiter_and_names_at_the_limit() {
    let server = Dovecot::start_with(FULL, Some(("INBOX.", ".")));
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    let long = "x".repeat(220);
    for name in ["INBOX.Sent.2024", &format!("INBOX.{long}")] {
        phone.run(&format!("CREATE \"{name}\""));
        phone.append(name, "", DATE, &mail(1));
    }
    home.sync_twice();
    home.deliver("Neu/Hier", "new/1.a.me", b"Subject: x\n\nx\n");
    home.deliver("with.dot", "new/1.a.me", b"Subject: x\n\nx\n");
    let (code, report) = home.sync();
    assert_eq!((code, &report["uploaded"]), (1, &1.into()), "{report:#}");
    assert!(
        report["errors"]
            .to_string()
            .contains("separates mailboxes by"),
        "{report:#}"
    );
    assert_eq!(phone.read("INBOX.Neu.Hier").len(), 1);
    let names: Vec<String> = read_maildir(&home.mail()).into_keys().collect();
    assert!(names.contains(&"Sent/2024".into()), "{names:?}");
    assert!(
        names
            .iter()
            .any(|name| name.len() > 150 && name.contains("%~")),
        "{names:?}"
    );
}

#[test]
fn a_server_restored_from_a_backup_deletes_nothing() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for n in 0..12 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.sync_twice();
    drop(phone);
    let mail_dir = server.dir.path().join("mail/u1");
    let backup = server.dir.path().join("backup");
    let copy = |from: &Path, to: &Path| {
        let done = std::process::Command::new("cp")
            .arg("-a")
            .args([from, to])
            .status()
            .unwrap();
        assert!(done.success());
    };
    copy(&mail_dir, &backup);
    let mut phone = server.phone("u1");
    for n in 12..15 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.sync_twice();
    drop(phone);
    std::fs::remove_dir_all(&mail_dir).unwrap();
    copy(&backup, &mail_dir);
    // UIDs 13 to 15 are free again, and go to other mail.
    server.phone("u1").append("INBOX", "", DATE, &mail(99));
    let (code, report) = home.sync();
    assert_eq!((code, &report["downloaded"]), (3, &1.into()), "{report:#}");
    let held = &report["held"][0];
    assert_eq!(
        (&held["kind"], &held["count"]),
        (&"unmatched-after-uidvalidity".into(), &3.into())
    );
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 16);
    assert!(
        home.run(&["approve", held["id"].as_str().unwrap()])
            .status
            .success()
    );
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn a_mailbox_that_others_rename_in_all_the_time_loses_nothing() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let server = Dovecot::start(FULL);
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
    let server = Dovecot::start(PLAIN);
    let home = Home::new(&server, "u1", "mailboxes = [\"*\", \"!Spam\"]");
    server.phone("u1").run("CREATE Spam");
    let out = home.run(&["check", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let object: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let account = &object["accounts"][0];
    assert!(
        account["tier"].as_str().unwrap().starts_with("plain"),
        "{object:#}"
    );
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
        text.contains("mailbox INBOX: in step") && text.contains("UIDPLUS"),
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
