//! Thousands moved, and moves on servers that can do less.

use crate::anywhere::moves::World;
use crate::support::dovecot::*;

const MANY: usize = 5000;
/// Bytes of a message: somewhat less than mail has on average.
const SIZE: usize = 30_000;

#[test]
fn thousands_moved_cost_less_than_a_hundredth() {
    let w = World::new(Dovecot::start(FULL), MANY, SIZE);
    let bytes = (MANY * SIZE) as u64;
    w.move_on_disk();
    let (report, passed) = w.sync(bytes);
    assert_eq!(report["moved_remote"], MANY, "{report:#}");
    assert_eq!(passed.count("UID MOVE"), 1, "{:?}", passed.commands);
    assert!(passed.commands.len() < 30, "{:?}", passed.commands);
    let mut phone = w.server.phone("u1");
    phone.run("SELECT Archive");
    phone.run("UID MOVE 1:* Work");
    let (report, passed) = w.sync(bytes);
    assert_eq!(report["moved_local"], MANY, "{report:#}");
    assert!(passed.commands.len() < 30, "{:?}", passed.commands);
    assert_same(&w.server, "u1", &w.home);
    // A mailbox that is renamed, here and there.
    std::fs::rename(w.home.mail().join("Work"), w.home.mail().join("2024")).unwrap();
    let (report, passed) = w.sync(bytes / 100);
    assert_eq!(report["mailboxes_renamed_remote"], 1, "{report:#}");
    assert_eq!(
        passed.count("UID FETCH") + passed.count("UID MOVE"),
        0,
        "{:?}",
        passed.commands
    );
    phone.run("UNSELECT");
    phone.run("RENAME 2024 Old/2024");
    let (report, passed) = w.sync(bytes / 100);
    assert_eq!(report["mailboxes_renamed_local"], 1, "{report:#}");
    assert_eq!(passed.count("UID MOVE"), 0, "{:?}", passed.commands);
    assert!(w.home.mail().join("Old/2024/cur").is_dir());
    // The server gives all messages new UIDs.
    let config = [
        "mailbox",
        "update",
        "-u",
        "u1",
        "--uid-validity",
        "2000000000",
        "Old/2024",
    ];
    w.server.doveadm(&config);
    let (report, passed) = w.sync(bytes);
    assert_eq!(report["deleted_local"], 0, "{report:#}");
    assert_eq!(passed.count("UID MOVE"), 0);
    assert_same(&w.server, "u1", &w.home);
}

/// Servers with less: by COPY and UID EXPUNGE of just these, and without UIDPLUS.
#[test]
fn moves_on_servers_with_less() {
    for capabilities in [
        NO_QRESYNC,
        PLAIN,
        &["UIDPLUS", "UNSELECT"][..],
        &["MOVE", "UNSELECT"][..],
    ] {
        let w = World::new(Dovecot::start(capabilities), 40, 30_000);
        w.move_on_disk();
        let (report, _) = w.sync(u64::MAX / 100);
        assert_eq!(report["moved_remote"], 40, "{capabilities:?}: {report:#}");
        let mut phone = w.server.phone("u1");
        if !capabilities.contains(&"UIDPLUS") && !capabilities.contains(&"MOVE") {
            phone.run("SELECT Work");
            phone.run("EXPUNGE");
        }
        phone.run("SELECT Archive");
        phone.run("COPY 1:* Work");
        phone.run("STORE 1:* +FLAGS (\\Deleted)");
        phone.run("EXPUNGE");
        let (report, _) = w.sync(u64::MAX / 100);
        assert_eq!(report["moved_local"], 40, "{capabilities:?}: {report:#}");
        assert_same(&w.server, "u1", &w.home);
    }
}

/// A directory that is not empty cannot be the end of a rename, and Dovecot says ALREADYEXISTS to a
/// name that has others below it: so the upper of two new names is given first.
#[test]
fn renamed_to_below_a_name_that_is_new_too() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (n, name) in ["Alpha", "Work", "First", "Second"].iter().enumerate() {
        phone.on("CREATE", &[name]);
        phone.append(
            name,
            "",
            "",
            format!("Subject: {n}\r\n\r\n{n}\r\n").as_bytes(),
        );
    }
    home.sync_twice();
    phone.on("RENAME", &["Work", "Archive"]);
    phone.on("RENAME", &["Alpha", "Archive/Alpha"]);
    let report = home.sync_twice();
    assert_eq!(report["mailboxes_renamed_local"], 2, "{report:#}");
    assert_eq!(report["changes"], 2, "{report:#}");
    let mail = home.mail();
    std::fs::rename(mail.join("Second"), mail.join("Top")).unwrap();
    std::fs::rename(mail.join("First"), mail.join("Top/First")).unwrap();
    let report = home.sync_twice();
    assert_eq!(report["mailboxes_renamed_remote"], 2, "{report:#}");
    assert_eq!(report["changes"], 2, "{report:#}");
    assert_same(&server, "u1", &home);
}
