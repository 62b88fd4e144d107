//! Maildirs that other programs filled are taken over as they are.

use super::*;
use std::collections::BTreeSet;
use std::process::Command;

/// Some servers need seconds for a thousand messages.
fn count() -> usize {
    match Traits::wanted().name {
        "dovecot" | "cyrus" | "courier" => 2000,
        _ => 200,
    }
}

/// INBOX, Work and Work/Sub with mail that was delivered, and some that was not.
fn server() -> Server {
    let server = Server::start();
    let mut phone = server.phone("u1");
    let below = server.below("Work/Sub");
    phone.on("CREATE", &["Work"]);
    phone.on("CREATE", &[&below]);
    for n in 0..count() {
        let name = ["INBOX", "INBOX", "Work", &below][n % 4];
        let flags = ["", "\\Seen", "\\Seen \\Answered", "\\Flagged"][n / 4 % 4];
        // Lists send the same Message-ID twice, and some mail is identical.
        let id = n - n % 20 / 19;
        let head = format!("From: a@example.org\r\nSubject: message {id}\r\nMessage-ID: <{id}@x>");
        let trace = ["", "\r\nReceived: by x; Mon, 1 Jan 2024 00:00:00 +0000"][n % 3 / 2];
        let body = "line of text\r\n".repeat(n % 50 + 1);
        phone.append(
            name,
            flags,
            DATE,
            format!("{head}{trace}\r\n\r\n{body}").as_bytes(),
        );
    }
    server
}

fn names(home: &Home) -> BTreeSet<String> {
    let files = walk_files(&home.mail()).into_iter();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .map(name)
        .filter(|name| name.contains('.') && name.contains("U="))
        .collect()
}

fn run(home: &Home, command: &str, arguments: &[&str]) {
    let out = Command::new(command)
        .args(arguments)
        .env("HOME", home.dir.path())
        .current_dir(home.dir.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{command}: {out:?}");
}

/// Imports, syncs, and shows that nothing was copied and no file renamed; then goes on.
fn take_over(server: &Server, home: &Home, program: &str, rc: &Path) {
    let before = names(home);
    assert_eq!(before.len(), count(), "{program} fetched them");
    std::fs::remove_file(home.config()).unwrap();
    let out = home.run(&["import", program, rc.to_str().unwrap()]);
    assert!(out.status.success(), "{out:?}");
    let text = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&format!(
        "state_dir = \"{}/state\"\n{text}",
        home.dir.path().display()
    ));
    let (code, report) = home.sync();
    assert_eq!(code, 0, "{report:#}\n{text}");
    let counts = ["linked", "downloaded", "uploaded"].map(|key| report[key].as_u64().unwrap());
    assert_eq!(counts, [count() as u64, 0, 0], "{report:#}");
    assert_eq!(report["changes"], 0, "{report:#}");
    if server.traits.has(Need::Pieces) {
        assert_eq!(report["bytes_down"], 0, "{report:#}");
    }
    assert_eq!(names(home), before, "files keep their names");
    home.sync_twice();
    // Both ways from then on.
    let mut phone = server.phone("u1");
    phone.append(&server.below("Work/Sub"), "", DATE, &mail(90_001));
    phone.run("SELECT INBOX");
    phone.run("STORE 1 +FLAGS (\\Flagged)");
    home.deliver("INBOX", "new/1800000000.M1P1.me", b"Subject: up\n\nx\n");
    let doomed = files(&home.mail().join("Work")).remove(0);
    std::fs::remove_file(doomed).unwrap();
    let report = home.sync_twice();
    let counts = ["downloaded", "uploaded", "deleted_remote", "flags_local"];
    for key in counts {
        assert_eq!(report[key], 1, "{key}: {report:#}");
    }
}

#[test]
fn from_mbsync() {
    let server = server();
    let home = Home::new(&server, "u1", "");
    let (dir, port, user) = (home.dir.path().display(), server.port, server.login("u1"));
    let rc = home.dir.path().join("mbsyncrc");
    let text = format!(
        "IMAPAccount work\nHost 127.0.0.1\nPort {port}\nUser {user}\nPass pass\nSSLType None\n\
         AuthMechs LOGIN\n\nIMAPStore work-remote\nAccount work\n\nMaildirStore work-local\n\
         Path {dir}/Mail/\nInbox {dir}/Mail/INBOX\nSubFolders Verbatim\n\nChannel work\n\
         Far :work-remote:\nNear :work-local:\nPatterns *\nCreate Both\nExpunge Both\n\
         Remove Both\nSyncState *\n"
    );
    std::fs::write(&rc, text).unwrap();
    std::fs::create_dir(home.mail()).unwrap();
    run(&home, "mbsync", &["-c", rc.to_str().unwrap(), "-a"]);
    take_over(&server, &home, "mbsyncrc", &rc);
}

#[test]
fn from_offlineimap() {
    // Offlineimap insists on a LOGIN.
    if !Traits::wanted().has(Need::Login) {
        return;
    }
    let server = server();
    let home = Home::new(&server, "u1", "");
    let (dir, port, user) = (home.dir.path().display(), server.port, server.login("u1"));
    let rc = home.dir.path().join("offlineimaprc");
    let text = format!(
        "[general]\naccounts = work\nmetadata = {dir}/offlineimap\n[Account work]\n\
         localrepository = l\nremoterepository = r\n[Repository l]\ntype = Maildir\n\
         localfolders = {dir}/Mail\nsep = /\n[Repository r]\ntype = IMAP\n\
         remotehost = 127.0.0.1\nremoteport = {port}\nremoteuser = {user}\nremotepass = pass\n\
         ssl = no\nstarttls = no\nauth_mechanisms = LOGIN\n"
    );
    std::fs::write(&rc, text).unwrap();
    run(
        &home,
        "offlineimap",
        &["-c", rc.to_str().unwrap(), "-o", "-u", "quiet"],
    );
    take_over(&server, &home, "offlineimaprc", &rc);
}

/// A Maildir++ that Dovecot kept, and one that a delivery agent filled.
#[test]
fn from_dovecot_and_from_plain_files() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "layout = \"maildir++\"");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Work"]);
    let mut uidlist = "3 V1700000000 N41 Gdeadbeef\n".to_owned();
    for n in 0..40 {
        let (there, here) = [("INBOX", "."), ("Work", ".Work")][n % 2];
        phone.append(there, "\\Seen", DATE, &mail(n));
        let text = String::from_utf8(mail(n)).unwrap().replace('\r', "");
        let name = match n % 2 {
            0 => format!("17000000{n:02}.M1P1.mx,S={},W=1:2,S", text.len()),
            _ => format!("17000000{n:02}.V1.mx:2,S"),
        };
        home.deliver(here, &format!("cur/{name}"), text.as_bytes());
        uidlist += &format!("{} W1 :17000000{n:02}.M1P1.mx\n", n + 1);
    }
    std::fs::write(home.mail().join("dovecot-uidlist"), uidlist).unwrap();
    let all = || -> BTreeSet<PathBuf> {
        let mail = walk_files(&home.mail()).into_iter();
        mail.filter(|path| path.to_str().unwrap().contains("/cur/"))
            .collect()
    };
    let before = all();
    let report = home.sync_twice();
    assert_eq!(
        (&report["linked"], &report["changes"]),
        (&40.into(), &0.into()),
        "{report:#}"
    );
    assert_eq!(all(), before, "files keep their names");
    assert_same_content(&server, &home);
}

fn assert_same_content(server: &Server, home: &Home) {
    let bodies = |all: Vec<Seen>| -> Vec<Vec<u8>> {
        let mut bodies: Vec<_> = all.into_iter().map(|m| m.body).collect();
        bodies.sort();
        bodies
    };
    for (name, directory) in [("INBOX", ""), ("Work", ".Work")] {
        let here: Vec<Vec<u8>> = {
            let mut all: Vec<_> = files(&home.mail().join(directory))
                .iter()
                .map(|file| canonical(&std::fs::read(file).unwrap()))
                .collect();
            all.sort();
            all
        };
        assert_eq!(bodies(server.phone("u1").read(name)), here, "{name}");
    }
}
