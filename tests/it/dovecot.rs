//! End to end with what only Dovecot lets us have: fewer capabilities, other namespaces, an
//! administrator's hand.

mod moves;
mod sessions;

use crate::anywhere::*;
use crate::support::dovecot::*;
use std::path::Path;

#[test]
fn two_ways_with_condstore_only() {
    two_ways(&Dovecot::start(NO_QRESYNC), "");
}

#[test]
fn two_ways_with_nothing() {
    two_ways(&Dovecot::start(PLAIN), "");
}

#[test]
fn two_ways_with_extensions_switched_off_and_compressed() {
    let off = "disable_extensions = [\"QRESYNC\", \"LIST-STATUS\", \"LITERAL+\", \"ESEARCH\"]";
    two_ways(
        &Dovecot::start(FULL),
        &format!("{off}\ncompress = true\nconnections = 1"),
    );
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
    // A name that is left out stands for nothing.
    let home = Home::new(&server, "u1", "mailboxes = [\"*\", \"!Also\"]");
    assert_eq!(home.sync_twice()["downloaded"], 6);
    assert_eq!(read_maildir(&home.mail())["Work"].len(), 6);
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
fn trash_instead_of_expunge_without_uidplus() {
    trash_instead_of_expunge_on(&Dovecot::start(PLAIN), "Trash");
}

#[test]
fn maildir_plus_plus() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "layout = \"maildir++\"");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["A/b.c"]);
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
