//! The same message, when the base does not say so: adoption, lost state, new UIDVALIDITY.

use super::*;

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

/// F31: a mailbox that the server lists under two names.
#[test]
fn an_alias_is_synced_once() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    phone.run("CREATE Work");
    for n in 0..5 {
        phone.append("Work", "", DATE, &mail(n));
    }
    let mailboxes = server.dir.path().join("mail/u1/sdbox/mailboxes");
    std::os::unix::fs::symlink("Work", mailboxes.join("Also")).unwrap();
    assert_eq!(phone.read("Also").len(), 5, "the server lists it");
    let report = home.sync_twice();
    assert_eq!(report["downloaded"], 5, "{report:#}");
    let text = report["notes"].to_string();
    assert!(
        text.contains("Work is Also under another name"),
        "{report:#}"
    );
    let names: Vec<String> = read_maildir(&home.mail()).into_keys().collect();
    assert_eq!(names, ["Also", "INBOX"]);
    // It stays with the name that it has.
    phone.append("Work", "", DATE, &mail(9));
    assert_eq!(home.sync_twice()["downloaded"], 1);
}
