//! What stands where a mailbox or a message was, and is none: unknown, never gone.

use super::*;
use crate::support::phone::Phone;
use std::os::unix::fs::symlink;

/// A mailbox `Box` of so many messages beside INBOX with five, in step.
fn in_step(messages: usize) -> (Dovecot, Home, Phone) {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    phone.run("CREATE Box");
    for n in 0..messages {
        phone.append("Box", "", DATE, &mail(n, 100));
    }
    for n in 0..5 {
        phone.append("INBOX", "", DATE, &mail(100 + n, 100));
    }
    home.sync_twice();
    (server, home, phone)
}

/// Moves the directory away and puts something in its place.
fn replace(at: &Path, away: &Path, put: impl Fn(&Path)) {
    std::fs::rename(at, away).unwrap();
    put(at);
}

/// Something else than the mailbox stands there: nothing is gone, in this run or the next, a file
/// that is deleted elsewhere waits, and the mailbox is whole when it is there again.
fn survives(messages: usize, word: &str, put: impl Fn(&Path)) {
    let (server, home, mut phone) = in_step(messages);
    let (at, away) = (home.mail().join("Box"), home.dir.path().join("away"));
    replace(&at, &away, put);
    let gone = std::fs::read_dir(home.mail().join("INBOX/new")).unwrap();
    let gone = gone.map(|entry| entry.unwrap().path()).next().unwrap();
    std::fs::remove_file(gone).unwrap();
    for run in 0..2 {
        let (code, text) = sync(&home);
        assert!(code == 1 && text.contains(word), "{run}: {code} {text}");
        assert_eq!(phone.read("Box").len(), messages, "{run}: {text}");
        assert_eq!(
            phone.read("INBOX").len(),
            5,
            "{run}: it may lie there: {text}"
        );
    }
    match std::fs::symlink_metadata(&at).unwrap().is_dir() {
        true => std::fs::remove_dir_all(&at).unwrap(),
        false => std::fs::remove_file(&at).unwrap(),
    }
    std::fs::rename(&away, &at).unwrap();
    home.sync_twice();
    assert_eq!(phone.read("Box").len(), messages);
    assert_eq!(phone.read("INBOX").len(), 4, "that was a deletion");
    assert_same(&server, "u1", &home);
}

#[test]
fn a_mailbox_that_is_a_dangling_link_is_not_gone() {
    survives(3, "symbolic link", |at| {
        symlink("/nowhere/Box", at).unwrap()
    });
    survives(12, "symbolic link", |at| {
        symlink("/nowhere/Box", at).unwrap()
    });
}

#[test]
fn a_mailbox_that_is_a_link_is_not_followed() {
    survives(3, "symbolic link", |at| {
        let away = at.parent().unwrap().parent().unwrap().join("away");
        symlink(away, at).unwrap();
    });
}

#[test]
fn an_empty_directory_is_no_deleted_mailbox() {
    survives(3, "mounted", |at| std::fs::create_dir(at).unwrap());
}

#[test]
fn a_file_or_half_a_mailbox_is_no_deleted_one() {
    survives(3, "no directory", |at| std::fs::write(at, "x").unwrap());
    survives(3, "has no cur", |at| {
        std::fs::create_dir_all(at.join("new")).unwrap()
    });
}

#[test]
fn a_new_mailbox_is_not_made_through_a_link() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    phone.run("CREATE Box");
    phone.append("Box", "", DATE, &mail(1, 100));
    let disk = home.dir.path().join("disk");
    for sub in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(disk.join(sub)).unwrap();
    }
    std::fs::create_dir_all(home.mail()).unwrap();
    symlink(&disk, home.mail().join("Box")).unwrap();
    for run in 0..2 {
        let (code, text) = sync(&home);
        assert!(code == 1 && text.contains("symbolic link"), "{run}: {text}");
        let written = std::fs::read_dir(disk.join("new")).unwrap().count();
        assert_eq!(written, 0, "{run}");
    }
}

#[test]
fn messages_filed_into_half_a_mailbox_stay_where_they_were() {
    let (server, home, mut phone) = in_step(1);
    std::fs::create_dir_all(home.mail().join("half/cur")).unwrap();
    for entry in std::fs::read_dir(home.mail().join("INBOX/new")).unwrap() {
        let entry = entry.unwrap();
        let mut name = entry.file_name();
        name.push(":2,S");
        std::fs::rename(entry.path(), home.mail().join("half/cur").join(name)).unwrap();
    }
    for _ in 0..2 {
        let (code, text) = sync(&home);
        assert!(code == 1 && text.contains("has no new"), "{text}");
        assert_eq!(phone.read("INBOX").len(), 5, "{text}");
    }
    std::fs::create_dir(home.mail().join("half/new")).unwrap();
    home.sync_twice();
    assert_eq!(
        (phone.read("INBOX").len(), phone.read("half").len()),
        (0, 5)
    );
    assert_same(&server, "u1", &home);
}

/// The copy lacks a message that came after it, has one that was deleted since, and has old flags.
#[test]
fn a_mailbox_put_back_from_an_old_copy_is_matched_anew() {
    let (server, home, mut phone) = in_step(3);
    let (at, copy) = (home.mail().join("Box"), home.dir.path().join("copy"));
    let done = Command::new("cp").arg("-a").args([&at, &copy]).status();
    assert!(done.unwrap().success());
    phone.append("Box", "", DATE, &mail(50, 100));
    phone.run("SELECT Box");
    phone.run("UID STORE 1:2 +FLAGS (\\Seen)");
    phone.run("UID STORE 3 +FLAGS (\\Deleted)");
    phone.run("UID EXPUNGE 3");
    home.sync_twice();
    replace(&at, &home.dir.path().join("away"), |at| {
        std::fs::rename(&copy, at).unwrap()
    });
    let (code, text) = sync(&home);
    assert!(code == 0 && text.contains("1 downloaded"), "{code} {text}");
    home.sync_twice();
    let all = phone.read("Box");
    assert_eq!(all.len(), 4, "3 that it knew and the one that it had");
    assert_same(&server, "u1", &home);
    phone.run("SELECT Box");
    let seen = phone.run("UID SEARCH SEEN");
    let seen = String::from_utf8_lossy(&seen.concat()).into_owned();
    assert!(seen.contains("1 2"), "{seen}");
    // What is deleted in it from now on is deleted.
    let gone = std::fs::read_dir(at.join("cur")).unwrap().next().unwrap();
    std::fs::remove_file(gone.unwrap().path()).unwrap();
    home.sync_twice();
    assert_eq!(phone.read("Box").len(), 3);
}

#[test]
fn a_mailbox_made_anew_or_mounted_is_matched_anew() {
    let (server, home, mut phone) = in_step(4);
    let at = home.mail().join("Box");
    replace(&at, &home.dir.path().join("away"), |at| {
        for sub in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(at.join(sub)).unwrap();
        }
    });
    // One of its messages was moved before: that is no loss.
    let away = std::fs::read_dir(home.dir.path().join("away/new")).unwrap();
    let moved = away.map(|entry| entry.unwrap()).next().unwrap();
    let to = home.mail().join("INBOX/new").join(moved.file_name());
    std::fs::rename(moved.path(), to).unwrap();
    home.sync_twice();
    assert_eq!((phone.read("Box").len(), phone.read("INBOX").len()), (3, 6));
    assert_same(&server, "u1", &home);
}

#[test]
fn a_message_replaced_by_something_else_is_not_gone() {
    let (server, home, mut phone) = in_step(3);
    let new = home.mail().join("Box/new");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&new)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for (n, file) in files.iter().enumerate() {
        let away = home.dir.path().join(format!("away{n}"));
        std::fs::rename(file, &away).unwrap();
        match n {
            0 => symlink("/nowhere", file).unwrap(),
            1 => symlink(&away, file).unwrap(),
            _ => std::fs::create_dir(file).unwrap(),
        }
    }
    for _ in 0..2 {
        let (code, text) = sync(&home);
        assert_eq!(code, 1, "{text}");
        assert_eq!(phone.read("Box").len(), 3, "{text}");
    }
    for (n, file) in files.iter().enumerate() {
        let _one_of_both = (std::fs::remove_file(file), std::fs::remove_dir(file));
        std::fs::rename(home.dir.path().join(format!("away{n}")), file).unwrap();
    }
    home.sync_twice();
    assert_same(&server, "u1", &home);
}
