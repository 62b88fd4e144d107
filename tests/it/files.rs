//! File systems that fail, with the real binary and a real Dovecot: full, read-only, gone, limited,
//! blind to case, full of odd files, and renamed in all the time. What needs a mount runs in a
//! mount namespace of its own.

mod absence;
mod others;
mod recovery;

use crate::support::dovecot::*;
use crate::watching::machine::in_own;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const DATE: &str = "17-Jul-2024 02:44:25 +0200";

fn mail(n: usize, size: usize) -> Vec<u8> {
    let line = "line of text\r\n";
    let head =
        format!("From: a@example.org\r\nSubject: message {n}\r\nMessage-ID: <{n}@x>\r\n\r\n");
    (head + &line.repeat(size / line.len() + 1)).into_bytes()
}

/// Exit status and all that was printed.
fn sync(home: &Home) -> (i32, String) {
    let out = home.run(&["sync"]);
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (out.status.code().unwrap_or(-1), text)
}

fn mount(arguments: &[&str]) {
    let out = Command::new("mount").args(arguments).output().unwrap();
    assert!(out.status.success(), "mount {arguments:?}: {out:?}");
}

fn umount(arguments: &[&str]) {
    let out = Command::new("umount").args(arguments).output().unwrap();
    assert!(out.status.success(), "umount {arguments:?}: {out:?}");
}

fn inside(test: &str) {
    let test = format!("files::{test}");
    if !in_own("--mount", "mount --make-rprivate /", &test) {
        eprintln!("no mount namespaces here: skipped");
    }
}

/// Complete messages on disk; nothing else may be in `cur` and `new`.
fn whole(home: &Home, want: &dyn Fn(usize) -> Vec<u8>) -> usize {
    let view = read_maildir(&home.mail());
    let all: Vec<&Seen> = view.values().flatten().collect();
    for seen in &all {
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix("Subject: message "));
        let n: usize = line.expect("a torn message").parse().unwrap();
        assert_eq!(seen.body, canonical(&want(n)), "message {n} is not whole");
    }
    all.len()
}

#[test]
fn a_full_disk() {
    inside("inside_a_full_disk");
}

#[test]
#[ignore = "mounts; run in a namespace of its own by the test above"]
fn inside_a_full_disk() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    let body = |n: usize| mail(n, 20_000);
    for n in 0..60 {
        phone.append("INBOX", "", DATE, &body(n));
    }
    std::fs::create_dir_all(home.mail()).unwrap();
    let root = home.mail().display().to_string();
    // Room for some of the 1.2 MB.
    mount(&["-t", "tmpfs", "-o", "size=600k", "tmpfs", &root]);
    let (code, text) = sync(&home);
    assert!(code == 75 || code == 1, "{code} {text}");
    assert!(text.contains("free some space"), "{text}");
    whole(&home, &body);
    assert_eq!(phone.read("INBOX").len(), 60, "nothing was deleted there");
    // With space again it goes on, and nothing is there twice.
    mount(&["-o", "remount,size=20m", &root]);
    let (code, text) = sync(&home);
    assert_eq!(code, 0, "{text}");
    assert_eq!(whole(&home, &body), 60);
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

/// Guard G17.
#[test]
fn a_disk_with_little_room_left_takes_no_mail_in() {
    inside("inside_little_room");
}

#[test]
#[ignore = "mounts; run in a namespace of its own by the test above"]
fn inside_little_room() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    std::fs::create_dir_all(home.mail()).unwrap();
    let root = home.mail().display().to_string();
    mount(&["-t", "tmpfs", "-o", "size=40m", "tmpfs", &root]);
    phone.append("INBOX", "", DATE, &mail(0, 100));
    home.sync_twice();
    // One MiB of 40 is left: enough for the message, and less than one in twenty.
    let filler = home.mail().join(".filler");
    std::fs::write(&filler, vec![0; 39 << 20]).unwrap();
    phone.append("INBOX", "", DATE, &mail(1, 100));
    let (code, text) = sync(&home);
    assert!(
        code == 75 && text.contains("no mail is taken in"),
        "{code} {text}"
    );
    assert_eq!(phone.read("INBOX").len(), 2, "nothing was deleted there");
    std::fs::remove_file(filler).unwrap();
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn a_message_larger_than_the_room_waits_alone() {
    inside("inside_too_large_a_message");
}

#[test]
#[ignore = "mounts; run in a namespace of its own by the test above"]
fn inside_too_large_a_message() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    std::fs::create_dir_all(home.mail()).unwrap();
    let root = home.mail().display().to_string();
    mount(&["-t", "tmpfs", "-o", "size=10m", "tmpfs", &root]);
    for (n, size) in [(0, 100), (1, 12 << 20), (2, 100)] {
        phone.append("INBOX", "", DATE, &mail(n, size));
    }
    let (code, text) = sync(&home);
    assert!(
        code == 1 && text.contains("UID 2") && text.contains("it has 1"),
        "{code} {text}"
    );
    let came = std::fs::read_dir(home.mail().join("INBOX/new")).unwrap();
    assert_eq!(came.count(), 2);
    assert_eq!(phone.read("INBOX").len(), 3, "nothing was deleted there");
}

#[test]
fn a_disk_for_the_state_that_is_full() {
    inside("inside_a_full_state");
}

#[test]
#[ignore = "mounts; run in a namespace of its own by the test above"]
fn inside_a_full_state() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    let state = home.dir.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let root = state.display().to_string();
    mount(&["-t", "tmpfs", "-o", "size=300k,mode=700", "tmpfs", &root]);
    for n in 0..1500 {
        phone.append("INBOX", "", DATE, &mail(n, 10));
    }
    let (code, text) = sync(&home);
    assert!(code != 0 && text.contains("full"), "{code} {text}");
    mount(&["-o", "remount,size=20m", &root]);
    let (code, text) = sync(&home);
    assert_eq!(code, 0, "{text}");
    assert_eq!(whole(&home, &|n| mail(n, 10)), 1500, "each once");
    assert_eq!(phone.read("INBOX").len(), 1500);
    home.sync_twice();
}

#[test]
fn files_may_not_grow_beyond_a_limit() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    let body = |n: usize| mail(n, if n == 1 { 900_000 } else { 2_000 });
    for n in 0..3 {
        phone.append("INBOX", "", DATE, &body(n));
    }
    // In blocks of 1,024 bytes. The signal that comes with it is ignored, as a service manager
    // would have it, so writes fail with EFBIG.
    let out = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 600; exec \"$0\" --config \"$1\" sync",
        ])
        .arg(env!("CARGO_BIN_EXE_mailtide"))
        .arg(home.config())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && text.contains("File too large"),
        "{text}"
    );
    whole(&home, &body);
    let (code, text) = sync(&home);
    assert_eq!(code, 0, "{text}");
    assert_eq!(whole(&home, &body), 3);
    home.sync_twice();
}

#[test]
fn a_disk_that_becomes_read_only_or_goes_away() {
    inside("inside_read_only_and_unmounted");
}

#[test]
#[ignore = "mounts; run in a namespace of its own by the test above"]
fn inside_read_only_and_unmounted() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    std::fs::create_dir_all(home.mail()).unwrap();
    let root = home.mail().display().to_string();
    mount(&["-t", "tmpfs", "-o", "size=20m", "tmpfs", &root]);
    for n in 0..20 {
        phone.append("INBOX", "", DATE, &mail(n, 100));
    }
    home.sync_twice();
    mount(&["-o", "remount,ro", &root]);
    phone.append("INBOX", "", DATE, &mail(20, 100));
    phone.run("SELECT INBOX");
    phone.run("UID STORE 1 +FLAGS (\\Deleted)");
    phone.run("UID EXPUNGE 1");
    let (code, text) = sync(&home);
    assert!(
        code != 0 && text.contains("Read-only file system"),
        "{code} {text}"
    );
    mount(&["-o", "remount,rw", &root]);
    home.sync_twice();
    assert_same(&server, "u1", &home);
    // Gone: the directory under the mount is empty, and means nothing.
    let kept = home.dir.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    mount(&["--move", &root, kept.to_str().unwrap()]);
    let (code, text) = sync(&home);
    assert!(
        code == 3 && text.contains("is the disk mounted?"),
        "{code} {text}"
    );
    assert_eq!(phone.read("INBOX").len(), 20, "nothing was deleted there");
    assert_eq!(
        std::fs::read_dir(home.mail()).unwrap().count(),
        0,
        "nothing was made there"
    );
    mount(&["--move", kept.to_str().unwrap(), &root]);
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn unmounted_in_the_middle_of_a_run() {
    inside("inside_unmounted_in_the_middle");
}

#[test]
#[ignore = "mounts; run in a namespace of its own by the test above"]
fn inside_unmounted_in_the_middle() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    std::fs::create_dir_all(home.mail()).unwrap();
    let root = home.mail().display().to_string();
    mount(&["-t", "tmpfs", "-o", "size=60m", "tmpfs", &root]);
    for n in 0..40 {
        phone.append("INBOX", "", DATE, &mail(n, 2_000));
    }
    home.sync_twice();
    let kept = home.dir.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    for wait in [1, 5, 10, 15, 20, 30, 40] {
        let n = 40 + wait;
        phone.append("INBOX", "", DATE, &mail(n, 2_000));
        let mut child = home.mailtide().arg("-q").arg("sync").spawn().unwrap();
        // Another moment each time; which one does not matter.
        std::thread::sleep(Duration::from_millis(wait as u64));
        mount(&["--move", &root, kept.to_str().unwrap()]);
        child.wait().unwrap();
        mount(&["--move", kept.to_str().unwrap(), &root]);
    }
    home.sync_twice();
    assert_same(&server, "u1", &home);
    assert_eq!(phone.read("INBOX").len(), 47, "nothing was deleted");
    umount(&["-l", &root]);
}

#[test]
fn a_directory_that_does_not_tell_case() {
    inside("inside_blind_to_case");
}

#[test]
#[ignore = "mounts; run in a namespace of its own by the test above"]
fn inside_blind_to_case() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    std::fs::create_dir_all(home.mail()).unwrap();
    let image = home.dir.path().join("image");
    let root = home.mail().display().to_string();
    let made = Command::new("sh")
        .args([
            "-c",
            "truncate -s 32M \"$0\" && mkfs.vfat \"$0\" >/dev/null",
        ])
        .arg(&image)
        .status();
    let mounted = made.is_ok_and(|status| status.success())
        && Command::new("mount")
            .args(["-o", "loop,utf8", image.to_str().unwrap(), &root])
            .output()
            .is_ok_and(|out| out.status.success());
    if !mounted {
        eprintln!("no vfat on a loop device here: skipped");
        return;
    }
    let mut phone = server.phone("u1");
    for name in ["CaSe", "case"] {
        phone.run(&format!("CREATE {name}"));
        phone.append(
            name,
            "",
            DATE,
            &mail(name.len() + usize::from(name == "case"), 10),
        );
    }
    let (code, text) = sync(&home);
    // Either both are kept apart, or it is said; nothing of the one becomes the other's.
    assert_eq!(
        phone.read("CaSe").len() + phone.read("case").len(),
        2,
        "{code} {text}"
    );
    sync(&home);
    assert_eq!(
        phone.read("CaSe").len() + phone.read("case").len(),
        2,
        "{text}"
    );
    umount(&["-l", &root]);
}
