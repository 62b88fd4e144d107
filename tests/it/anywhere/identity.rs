//! The same message, when the base does not say so: adoption, lost state, new UIDVALIDITY.

use super::*;

#[test]
fn a_full_maildir_meets_a_full_server() {
    let server = Server::start();
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
    let count = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(
        count("downloaded") + count("copied_local"),
        1,
        "the second copy of message 0"
    );
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
    let server = Server::start();
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
