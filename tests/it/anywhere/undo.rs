//! `mailtide undo`: what runs deleted on either side, and the flags they changed, come back on
//! both.

use super::*;
use crate::support::line::{Line, Way};

const DATE: &str = "17-Jul-2024 02:44:25 +0200";

pub fn undo(home: &Home, arguments: &[&str]) -> String {
    let out = home.run(&[&["undo"], arguments].concat());
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{text} {error}");
    text
}

#[test]
fn what_was_deleted_on_either_side_comes_back_on_both() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (n, flags) in [(1, "$Later $Work"), (2, "\\Seen $Work"), (3, ""), (4, "")] {
        phone.append("INBOX", &server.flags(flags), DATE, &mail(n));
    }
    home.sync_twice();
    let before = read_maildir(&home.mail());
    // One is deleted here, one there, and one gets flags there.
    std::fs::remove_file(holding(&home.mail().join("INBOX"), "message 1")).unwrap();
    phone.run("SELECT INBOX");
    phone.run("STORE 3 +FLAGS (\\Flagged)");
    phone.run("STORE 2 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    home.sync_twice();
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 2);

    let list = undo(&home, &["--list"]);
    assert!(list.contains("2 deleted, 1 with other flags"), "{list}");
    let plan = undo(&home, &[]);
    assert_eq!(plan.matches("put back").count(), 2, "{plan}");
    assert!(
        plan.contains("-(\\Flagged)") && plan.contains("nothing was changed"),
        "{plan}"
    );
    assert_eq!(
        read_maildir(&home.mail())["INBOX"].len(),
        2,
        "it is only shown"
    );

    let done = undo(&home, &["--yes"]);
    assert!(done.contains("restored 3 locally"), "{done}");
    assert_eq!(read_maildir(&home.mail()), before);
    let other = Home::new(&server, "u1", "");
    other.sync_twice();
    assert_eq!(read_maildir(&other.mail()), before, "on the server too");
    home.sync_twice();
}

#[test]
fn mailboxes_that_were_deleted_come_back() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for name in ["Here", "There"] {
        phone.on("CREATE", &[name]);
        phone.append(name, &server.flags("$Work"), DATE, &mail(7));
        phone.append(name, "\\Seen", DATE, &mail(8));
    }
    home.sync_twice();
    let before = read_maildir(&home.mail());
    std::fs::remove_dir_all(home.mail().join("Here")).unwrap();
    phone.on("DELETE", &["There"]);
    home.sync_twice();
    assert_eq!(read_maildir(&home.mail()).len(), 1);
    let done = undo(&home, &["--since", "1h", "--yes"]);
    assert!(done.contains("restored 4 locally"), "{done}");
    assert_eq!(read_maildir(&home.mail()), before);
    let other = Home::new(&server, "u1", "");
    other.sync_twice();
    assert_eq!(read_maildir(&other.mail()), before, "on the server too");
}

/// The subjects in a mailbox on disk, in order.
pub fn subjects(home: &Home, mailbox: &str) -> Vec<usize> {
    let view = read_maildir(&home.mail());
    let number = |seen: &Seen| {
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix("Subject: message "));
        line.unwrap().parse().unwrap()
    };
    let mut all: Vec<usize> = view
        .get(mailbox)
        .into_iter()
        .flatten()
        .map(number)
        .collect();
    all.sort();
    all
}

/// The number of the last run.
pub fn last_run(home: &Home) -> String {
    let list = undo(home, &["--list", "--json"]);
    let newest: serde_json::Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    newest["run"].to_string()
}

#[test]
fn the_last_run_counts_though_it_deleted_a_mailbox_only() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["A"]);
    phone.on("CREATE", &["Empty"]);
    for (name, n) in [("INBOX", 1), ("INBOX", 2), ("A", 3), ("A", 4)] {
        phone.append(name, "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    phone.run("SELECT INBOX");
    phone.run("STORE 1 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    home.sync_twice();
    let first = last_run(&home);
    // Not every server can unselect.
    let mut phone = server.phone("u1");
    phone.on("DELETE", &["A"]);
    home.sync_twice();
    assert!(undo(&home, &["--list"]).contains("1 mailbox deleted"));
    undo(&home, &["--yes"]);
    assert_eq!(subjects(&home, "A"), [3, 4]);
    assert_eq!(subjects(&home, "INBOX"), [2], "that run is not meant");
    // What was taken back is no run to be taken back, and nothing of this one is left.
    assert!(undo(&home, &["--yes"]).contains("nothing to undo"));
    undo(&home, &["--run", &first, "--yes"]);
    assert_eq!(subjects(&home, "INBOX"), [1, 2]);
    phone.on("DELETE", &["Empty"]);
    home.sync_twice();
    assert!(undo(&home, &["--yes"]).contains("restored 1 locally"));
    assert!(home.mail().join("Empty/cur").is_dir());
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn of_a_mailbox_that_was_deleted_twice_the_right_mail_comes_back() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    let mut deleted = |numbers: std::ops::Range<usize>| {
        phone.on("CREATE", &["A"]);
        numbers.for_each(|n| phone.append("A", "\\Seen", DATE, &mail(n)));
        home.sync_twice();
        // Cyrus keeps what was deleted under the second, and cannot do so twice within one.
        let begin = std::time::Instant::now();
        let delete = format!("DELETE \"{}\"", phone.name("A"));
        while !phone.try_run(&delete).1.starts_with("OK") {
            assert!(begin.elapsed().as_secs() < 10, "A cannot be deleted");
        }
        home.sync_twice();
        last_run(&home)
    };
    let (first, second) = (deleted(1..4), deleted(7..9));
    undo(&home, &["--run", &first, "--yes"]);
    assert_eq!(subjects(&home, "A"), [1, 2, 3]);
    undo(&home, &["--run", &second, "--yes"]);
    assert_eq!(subjects(&home, "A"), [1, 2, 3, 7, 8]);
}

#[test]
fn a_mailbox_and_a_message_of_a_run_are_taken_back_alone() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for name in ["A", "B"] {
        phone.on("CREATE", &[name]);
    }
    for (name, n) in [("A", 1), ("A", 2), ("A", 3), ("B", 4), ("B", 5)] {
        phone.append(name, "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    phone.on("SELECT", &["B"]);
    let uids = String::from_utf8(phone.run("UID SEARCH ALL").concat()).unwrap();
    let uid = uids.split_whitespace().last().unwrap().to_owned();
    // One run: all of A goes there, all of B here.
    phone.on("DELETE", &["A"]);
    for file in files(&home.mail().join("B")) {
        std::fs::remove_file(file).unwrap();
    }
    home.sync_twice();
    assert!(subjects(&home, "B").is_empty());
    let run = last_run(&home);
    let plan = undo(&home, &["--mailbox", "B", "--message", &uid, "--json"]);
    let plan: serde_json::Value = serde_json::from_str(plan.trim()).unwrap();
    assert_eq!(plan["run"].to_string(), run);
    assert_eq!(plan["steps"].as_array().unwrap().len(), 1, "{plan:#}");
    assert!(
        plan["done"] == false && plan["steps"][0]["do"] == "put-back",
        "{plan:#}"
    );
    undo(&home, &["--mailbox", "B", "--message", &uid, "--yes"]);
    assert_eq!(
        (subjects(&home, "A"), subjects(&home, "B")),
        (vec![], vec![5])
    );
    let done = undo(&home, &["--run", &run, "--mailbox", "A", "--yes", "--json"]);
    let done: serde_json::Value = serde_json::from_str(done.trim()).unwrap();
    assert!(
        done["done"] == true && done["sync"]["ok"] == true,
        "{done:#}"
    );
    assert_eq!(
        (subjects(&home, "A"), subjects(&home, "B")),
        (vec![1, 2, 3], vec![5])
    );
    undo(&home, &["--run", &run, "--yes"]);
    assert_eq!(subjects(&home, "B"), [4, 5]);
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

#[test]
fn what_was_taken_back_is_history_and_can_be_taken_back() {
    let server = Server::start();
    let home = one_deleted(&server);
    undo(&home, &["--yes"]);
    assert_eq!(subjects(&home, "INBOX"), [1, 2, 3]);
    let out = home.run(&["history", "--json"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let restored = text.lines().find(|line| line.contains("\"restored\""));
    let restored: serde_json::Value = serde_json::from_str(restored.unwrap()).unwrap();
    let run = restored["run"].to_string();
    let plan = undo(&home, &["--run", &run]);
    assert!(plan.contains("goes into quarantine again"), "{plan}");
    undo(&home, &["--run", &run, "--yes"]);
    assert_eq!(subjects(&home, "INBOX"), [1, 3]);
    home.sync_twice();
    assert_same(&server, "u1", &home);
}

/// To delete it on the server under another name would take along what lies below it.
#[test]
fn a_mailbox_with_others_below_it_is_emptied_and_comes_back() {
    let Some(server) = Server::with(&[Need::Nesting]) else {
        return;
    };
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for (name, n) in [("Work", 7), ("Work/Old", 8)] {
        phone.on("CREATE", &[name]);
        phone.append(name, "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    let before = read_maildir(&home.mail());
    for sub in ["cur", "new", "tmp"] {
        std::fs::remove_dir_all(home.mail().join("Work").join(sub)).unwrap();
    }
    home.sync_twice();
    assert_same(&server, "u1", &home);
    let now = read_maildir(&home.mail());
    assert_eq!(now["Work"], [], "emptied, on both sides");
    assert_eq!(now["Work/Old"], before["Work/Old"]);
    let done = undo(&home, &["--since", "1h", "--yes"]);
    assert!(done.contains("restored 1 locally"), "{done}");
    assert_eq!(read_maildir(&home.mail()), before);
}

/// Whose three messages are in step; then one is deleted there, which is in step, too.
fn one_deleted(server: &Server) -> Home {
    one_deleted_in(server, Home::new(server, "u1", ""))
}

fn one_deleted_in(server: &Server, home: Home) -> Home {
    let mut phone = server.phone("u1");
    for n in 1..=3 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    home.sync_twice();
    phone.run("SELECT INBOX");
    phone.run("STORE 2 +FLAGS (\\Deleted)");
    phone.run("EXPUNGE");
    home.sync_twice();
    home
}

#[test]
fn it_is_shown_while_a_run_ends_beside_it() {
    let server = Server::start();
    let home = one_deleted(&server);
    // Between the two moments at which a run writes how many there were.
    let marker = home.mail().join(".mailtide/account");
    let text = std::fs::read_to_string(&marker).unwrap();
    let runs = text.lines().nth(1).unwrap();
    let next = runs.parse::<u64>().unwrap() + 1;
    let next = text.replacen(&format!("\n{runs}\n"), &format!("\n{next}\n"), 1);
    std::fs::write(&marker, next).unwrap();
    let plan = undo(&home, &[]);
    assert_eq!(plan.matches("put back").count(), 1, "{plan}");
}

#[test]
fn what_was_taken_back_is_said_though_the_server_is_down() {
    let server = Server::start();
    let (line, home) = (Line::to(server.port), Home::new(&server, "u1", ""));
    let config = std::fs::read_to_string(home.config()).unwrap();
    let (port, way) = (format!("port = {}", server.port), line.port);
    home.write_config(&config.replace(&port, &format!("port = {way}")));
    let home = one_deleted_in(&server, home);
    line.set(Way::Reset);
    let out = home.run(&["undo", "--yes"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(text.contains("restored 1 locally"), "{text}");
    assert!(
        out.status.code() == Some(75) && error.contains("127.0.0.1"),
        "{out:?}"
    );
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 3);
    // When it is up again, any run carries it there, and once.
    line.set(Way::Good);
    home.sync_twice();
    let other = Home::new(&server, "u1", "");
    other.sync_twice();
    assert_eq!(read_maildir(&other.mail()), read_maildir(&home.mail()));
}

#[test]
fn without_its_maildir_it_is_refused_and_the_list_is_shown() {
    let server = Server::start();
    let home = one_deleted(&server);
    std::fs::rename(home.mail(), home.dir.path().join("Unmounted")).unwrap();
    let out = home.run(&["undo"]);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && error.contains("is the disk mounted?"),
        "{error}"
    );
    assert!(undo(&home, &["--list"]).contains("1 deleted"));
}

/// The files that lie in quarantine.
fn kept(home: &Home) -> usize {
    let quarantine = home.mail().join(".mailtide/quarantine");
    walk_files(&quarantine).len()
}

#[test]
fn what_was_deleted_stays_whatever_the_clock_says() {
    let lib = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|machine| {
        std::path::PathBuf::from(format!("/usr/lib/{machine}/faketime/libfaketime.so.1"))
    });
    let Some(lib) = lib.into_iter().find(|lib| lib.exists()) else {
        eprintln!("no libfaketime here: skipped");
        return;
    };
    let Some(server) = Server::with(&[Need::Users]) else {
        return;
    };
    let at = |home: &Home, when: &str| {
        let mut sync = home.mailtide();
        sync.env("LD_PRELOAD", &lib).env("FAKETIME", when);
        sync.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let out = sync.arg("sync").output().unwrap();
        assert!(out.status.success(), "{when}: {out:?}");
    };
    // The clock is right when it is deleted, and then jumps; or the other way round.
    for (user, times) in [
        ("u1", ["+0", "+60d", "+61d", "+400d"]),
        ("u2", ["-16000d", "+0", "+1d", "+40d"]),
    ] {
        let home = Home::new(&server, user, "");
        let mut phone = server.phone(user);
        for n in 1..=3 {
            phone.append("INBOX", "", DATE, &mail(n));
        }
        home.sync_twice();
        phone.run("SELECT INBOX");
        phone.run("UID STORE 2 +FLAGS (\\Deleted)");
        phone.run("UID EXPUNGE 2");
        for when in times {
            at(&home, when);
            assert_eq!(kept(&home), 1, "{user} {when}");
        }
        home.sync_twice();
        undo(&home, &["--yes"]);
        assert_eq!(subjects(&home, "INBOX"), [1, 2, 3]);
    }
}

#[test]
fn what_was_kept_for_its_days_goes() {
    let server = Server::start();
    let home = one_deleted(&server);
    // Of another day, and noticed as such.
    let quarantine = home.mail().join(".mailtide/quarantine");
    let day = std::fs::read_dir(&quarantine)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    std::fs::rename(day.path(), quarantine.join("2020-01-01")).unwrap();
    home.sync_twice();
    let pass = |days: i64| {
        let db = rusqlite::Connection::open(home.dir.path().join("state/test.db")).unwrap();
        let sql = "UPDATE seen_day SET number = number + ?1";
        assert_eq!(db.execute(sql, [days]).unwrap(), 1, "one day was seen");
    };
    pass(30);
    home.sync_twice();
    assert_eq!(kept(&home), 1, "thirty days");
    pass(1);
    home.sync_twice();
    assert_eq!(kept(&home), 0);
    assert!(!quarantine.join("2020-01-01").exists());
    assert!(undo(&home, &[]).contains("no longer in quarantine"));
}

#[test]
fn what_is_no_time_or_no_run_is_said() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    home.sync_twice();
    let out = home.run(&["undo", "--since", "yesterday-ish"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(2) && text.contains("is no time"),
        "{text}"
    );
    let out = home.run(&["undo", "--run", "4711"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("the history has runs 1 to 1"), "{text}");
}

#[test]
fn history_tells_what_was_changed_and_why() {
    let server = Server::start();
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Work"]);
    phone.append("INBOX", "", DATE, &mail(1));
    phone.append("Work", "", DATE, &mail(2));
    let history = |arguments: &[&str]| {
        let out = home.run(&[&["history"], arguments].concat());
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(history(&[]).trim(), "test: nothing was changed");
    home.sync_twice();
    phone.run("SELECT INBOX");
    phone.run("STORE 1 +FLAGS (\\Flagged)");
    home.sync_twice();

    let all = history(&[]);
    let files = [holding(&home.mail().join("INBOX"), "message 1")];
    let named = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.split(":2,").next().unwrap().to_owned()
    };
    let name = named(&files[0]);
    assert!(
        all.contains(&format!("local: INBOX new {name} (from UID ")),
        "{all}"
    );
    let last = history(&["-n", "1"]);
    assert!(
        last.contains("flags") && last.contains(r"(+(\Flagged))") && last.lines().count() == 1,
        "{last}"
    );
    let none = home.run(&["history", "-n", "0"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    let work = history(&["--mailbox", "W*", "--json"]);
    let objects = work.lines().map(|line| serde_json::from_str(line).unwrap());
    let objects: Vec<serde_json::Value> = objects.collect();
    assert!(objects.iter().all(|one| one["mailbox"] == "Work"), "{work}");
    assert!(objects.iter().any(|one| one["what"] == "new"), "{work}");
    assert_eq!(
        history(&["--since", "2100-01-01"]).trim(),
        "test: nothing was changed"
    );
}
