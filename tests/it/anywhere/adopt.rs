//! Two configurations, two states and two users at one Maildir: only its owner gets in, until
//! another one adopts it on purpose.

use super::*;
use std::process::Command;

/// A second configuration with a state directory of its own, for this Maildir.
fn second(server: &Server, user: &str, maildir: &Path, more: &str) -> Home {
    let home = Home::new(server, user, more);
    let text = std::fs::read_to_string(home.config()).unwrap();
    let own = home.mail().display().to_string();
    home.write_config(&text.replace(&own, &maildir.display().to_string()));
    home
}

fn first(server: &Server, count: usize) -> Home {
    let home = Home::new(server, "u1", "");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Work"]);
    for n in 0..count {
        phone.append("INBOX", "\\Seen", DATE, &mail(n));
    }
    home.sync_twice();
    home
}

/// Whose Maildir that of `first` is, as a refusal says it.
fn owner(server: &Server) -> String {
    format!("account test ({} at 127.0.0.1:", server.login("u1"))
}

/// Every command that looks at the Maildir says so, and ends with 3.
fn refused(home: &Home, expected: &str) {
    let commands: [&[&str]; 6] = [
        &["sync"],
        &["sync", "--dry-run"],
        &["check"],
        &["undo"],
        &["repair"],
        &["repair", "--rebuild"],
    ];
    for command in commands {
        let out = home.run(command);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(3), "{command:?}: {text}");
        assert!(text.contains(expected), "{command:?}: {text}");
        assert!(text.contains("mailtide adopt test"), "{command:?}: {text}");
    }
}

fn link(home: &Home, to: &Path, name: &str) -> PathBuf {
    let link = home.dir.path().join(name);
    std::os::unix::fs::symlink(to, &link).unwrap();
    link
}

#[test]
fn another_users_maildir_is_refused_by_any_path() {
    let Some(server) = Server::with(&[Need::Users]) else {
        return;
    };
    let home = first(&server, 5);
    server.phone("u2").append("INBOX", "", DATE, &mail(90));
    let before = (server.phone("u1").view(), server.phone("u2").view());
    let files = walk_files(&home.mail());
    let mail_ = home.mail();
    let paths = [
        mail_.clone(),
        link(&home, &mail_, "Link"),
        link(&home, home.dir.path(), "Above").join("Mail"),
        mail_.join("INBOX/../../Mail"),
    ];
    for path in &paths {
        for more in ["", "layout = \"maildir++\""] {
            let other = second(&server, "u2", path, more);
            refused(&other, &owner(&server));
        }
    }
    for path in [
        mail_.join("Work"),
        paths[1].join("not/yet"),
        mail_.join("INBOX/.hidden"),
    ] {
        refused(&second(&server, "u2", &path, ""), "lies in another one");
    }
    let outer = second(&server, "u2", home.dir.path(), "");
    refused(&outer, "holds another one");
    let after = (server.phone("u1").view(), server.phone("u2").view());
    assert_eq!(before, after, "nothing crossed");
    let litter = |path: &PathBuf| !files.contains(path) && !path.ends_with(".mailtide/lock");
    let new: Vec<PathBuf> = walk_files(&mail_).into_iter().filter(litter).collect();
    assert_eq!(new, Vec::<PathBuf>::new(), "nothing was written");
    home.sync_twice();
}

#[test]
fn another_state_is_refused_until_it_adopts() {
    let server = Server::start();
    let home = first(&server, 6);
    let other = second(&server, "u1", &home.mail(), "");
    refused(&other, "kept in step by another state database");
    home.deliver("INBOX", "new/1.a.me", b"Subject: up\n\nx\n");
    server.phone("u1").append("Work", "", DATE, &mail(91));
    let shown = other.run(&["adopt", "test"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    // Without pieces only what comes down shows that it lies here.
    let both = match server.traits.has(Need::Pieces) {
        true => "mailbox INBOX: 1 would go up, 6 on both sides",
        false => "mailbox INBOX: ",
    };
    for expected in [
        both,
        "mailbox Work: 1 would come down",
        "nothing was changed",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    refused(&other, "kept in step by another state database");
    let done = other.run(&["adopt", "test", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report = other.sync_twice();
    for (key, count) in [("linked", 6), ("uploaded", 1), ("downloaded", 1)] {
        assert_eq!(report[key], count, "{report:#}");
    }
    for key in ["deleted_local", "deleted_remote"] {
        assert_eq!(report[key], 0, "{report:#}");
    }
    refused(&home, "kept in step by another state database");
    assert_same(&server, "u1", &home);
    let again = other.run(&["adopt", "test", "--yes"]);
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(text.contains("nothing to adopt"), "{text}");
    other.sync_twice();
}

#[test]
fn another_user_adopts_and_nothing_is_deleted() {
    let Some(server) = Server::with(&[Need::Users]) else {
        return;
    };
    let home = first(&server, 3);
    server.phone("u2").append("INBOX", "", DATE, &mail(90));
    home.configure(&server, "u2", "");
    refused(&home, &owner(&server));
    assert_eq!(home.run(&["adopt", "test", "--yes"]).status.code(), Some(0));
    let (_, report) = home.sync();
    for key in ["deleted_local", "deleted_remote"] {
        assert_eq!(report[key], 0, "{report:#}");
    }
    assert_eq!(server.phone("u1").read("INBOX").len(), 3);
    assert!(!server.phone("u2").read("INBOX").is_empty());
}

#[test]
fn a_lost_state_a_moved_maildir_and_a_moved_state_go_on() {
    let server = Server::start();
    let home = first(&server, 4);
    std::fs::remove_dir_all(home.dir.path().join("state")).unwrap();
    let report = home.sync_twice();
    assert_eq!(
        (&report["linked"], &report["changes"]),
        (&4.into(), &0.into())
    );
    let text = std::fs::read_to_string(home.config()).unwrap();
    let place = home.dir.path().display();
    let moves = [("Mail", "Post"), ("state", "remembered")];
    let mut text = text;
    for (from, to) in moves {
        let (old, new) = (home.dir.path().join(from), home.dir.path().join(to));
        std::fs::rename(old, new).unwrap();
        text = text.replace(&format!("{place}/{from}"), &format!("{place}/{to}"));
        home.write_config(&text);
        let report = home.sync_twice();
        assert_eq!(report["linked"], 0, "{report:#}");
    }
}

#[test]
fn a_copy_of_maildir_or_state_is_refused() {
    let server = Server::start();
    let home = first(&server, 4);
    let text = std::fs::read_to_string(home.config()).unwrap();
    let place = home.dir.path().display();
    for (what, expected) in [
        ("Mail", "is a copy of the Maildir"),
        ("state", "is a copy of it"),
    ] {
        let from = home.dir.path().join(what);
        let copy = home.dir.path().join(format!("{what}2"));
        let done = Command::new("cp").arg("-a").arg(&from).arg(&copy).status();
        assert!(done.unwrap().success());
        let old = format!("{place}/{what}\"");
        home.write_config(&text.replace(&old, &format!("{place}/{what}2\"")));
        refused(&home, expected);
        home.write_config(&text);
        home.sync_twice();
    }
}

#[test]
fn a_marker_of_an_older_mailtide_is_written_anew_where_it_fits() {
    let server = Server::start();
    let home = first(&server, 4);
    let path = home.mail().join(".mailtide/account");
    let whole = std::fs::read_to_string(&path).unwrap();
    assert!(
        whole.contains(&format!("user {}\n", server.login("u1")))
            && whole.contains("host 127.0.0.1\n"),
        "{whole}"
    );
    let old: Vec<&str> = whole.lines().take(2).collect();
    let old = format!("{}\n", old.join("\n"));
    std::fs::write(&path, &old).unwrap();
    refused(
        &second(&server, "u1", &home.mail(), ""),
        "belongs to another account",
    );
    home.sync_twice();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
}

#[test]
fn the_lock_of_a_maildir_keeps_all_others_out() {
    let server = Server::start();
    let home = first(&server, 1);
    let path = home.mail().join(".mailtide/lock");
    let lock = mailtide::state::Lock::take(&path).unwrap();
    let me = format!("process {}", std::process::id());
    for command in [&["sync"][..], &["check"], &["repair"], &["adopt", "test"]] {
        let out = home.run(command);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(75), "{command:?}: {text}");
        assert!(text.contains(&me), "{command:?}: {text}");
    }
    drop(lock);
    home.sync_twice();
}

#[test]
fn two_accounts_of_one_configuration_share_no_maildir() {
    let Some(server) = Server::with(&[Need::Users]) else {
        return;
    };
    let home = Home::new(&server, "u1", "");
    let text = std::fs::read_to_string(home.config()).unwrap();
    std::fs::create_dir(home.mail()).unwrap();
    let link = link(&home, &home.mail(), "Link");
    let (_, account) = text.split_once("[accounts.test]").unwrap();
    let [first, second] = ["u1", "u2"].map(|user| format!("\"{}\"", server.login(user)));
    let other = account.replace(&first, &second);
    let mine = home.mail().display().to_string();
    let other = other.replace(&mine, &link.display().to_string());
    for (user, n) in [("u1", 1), ("u2", 2)] {
        server.phone(user).append("INBOX", "", DATE, &mail(n));
    }
    let before = (server.phone("u1").view(), server.phone("u2").view());
    home.write_config(&format!("{text}[accounts.other]{other}"));
    for _ in 0..3 {
        let out = home.run(&["sync"]);
        assert_eq!(out.status.code(), Some(3), "{out:?}");
    }
    let after = (server.phone("u1").view(), server.phone("u2").view());
    assert_eq!(before, after, "nothing went up");
    assert!(
        !home.mail().join(".mailtide").exists(),
        "neither of them has it"
    );
}

#[test]
fn two_first_runs_at_once_mix_nothing() {
    let Some(server) = Server::with(&[Need::Users]) else {
        return;
    };
    for (user, n) in [("u1", 1), ("u2", 2)] {
        server.phone(user).append("INBOX", "", DATE, &mail(n));
    }
    let views = || (server.phone("u1").view(), server.phone("u2").view());
    let before = views();
    for _ in 0..6 {
        let home = Home::new(&server, "u1", "");
        let other = second(&server, "u2", &home.mail(), "");
        let started = [&home, &other].map(|home| {
            let mut command = home.mailtide();
            command.arg("sync").stdout(std::process::Stdio::null());
            command.stderr(std::process::Stdio::null()).spawn().unwrap()
        });
        let ended = started.map(|mut one| one.wait().unwrap().code());
        let first = ended.iter().filter(|code| **code == Some(0)).count();
        assert_eq!(first, 1, "{ended:?}");
        let again = [&home, &other].map(|home| home.run(&["sync"]).status.code());
        let refused = again.iter().filter(|code| **code == Some(3)).count();
        assert_eq!(refused, 1, "{again:?}");
        assert_eq!(views(), before, "nothing went up");
    }
}

#[test]
fn check_says_how_much_would_go_each_way() {
    let server = Server::start();
    let home = first(&server, 3);
    home.deliver("Only here", "new/1.a.me", b"Subject: up\n\nx\n");
    home.deliver("INBOX", "new/2.a.me", b"Subject: up too\n\nx\n");
    server.phone("u1").on("CREATE", &["Only there"]);
    server.phone("u1").append("Only there", "", DATE, &mail(7));
    let out = home.run(&["check"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    for expected in [
        "mailbox INBOX: 1 would go up, 3 on both sides",
        "mailbox Only here: not on the server: would create mailbox Only here on remote, 1 would",
        "mailbox Only there: not here: would create mailbox Only there on local, 1 would come",
        "mailbox Work: synced",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let out = home.run(&["check", "--json"]);
    let object: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mailboxes = object["accounts"][0]["mailboxes"]
        .as_array()
        .unwrap()
        .iter();
    let inbox = mailboxes.clone().find(|m| m["name"] == "INBOX").unwrap();
    let would = (
        &inbox["would"]["up"],
        &inbox["would"]["down"],
        &inbox["would"]["both"],
    );
    assert_eq!(would, (&1.into(), &0.into(), &3.into()), "{inbox:#}");
}

/// A configuration that names no state directory, and one beside it.
fn unnamed(server: &Server) -> (Home, PathBuf) {
    let home = Home::new(server, "u1", "");
    let text = std::fs::read_to_string(home.config()).unwrap();
    let (_, account) = text.split_once('\n').unwrap();
    home.write_config(account);
    let other = home.dir.path().join("other.toml");
    std::fs::copy(home.config(), &other).unwrap();
    (home, other)
}

fn with(home: &Home, config: &Path, arguments: &[&str]) -> std::process::Output {
    let dir = home.dir.path();
    Command::new(env!("CARGO_BIN_EXE_mailtide"))
        .args(["--config", config.to_str().unwrap()])
        .args(arguments)
        .env("XDG_RUNTIME_DIR", dir.join("run"))
        .env("XDG_STATE_HOME", dir.join("states"))
        .env("XDG_CONFIG_HOME", dir.join("configs"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn each_configuration_has_a_state_of_its_own() {
    let server = Server::start();
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    let (home, other) = unnamed(&server);
    let first = with(&home, &home.config(), &["sync"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let second = with(&home, &other, &["sync"]);
    assert_eq!(second.status.code(), Some(3), "{second:?}");
    let usual = home.dir.path().join("configs/mailtide/config.toml");
    std::fs::create_dir_all(usual.parent().unwrap()).unwrap();
    std::fs::copy(home.config(), &usual).unwrap();
    let third = with(&home, &usual, &["sync"]);
    assert_eq!(third.status.code(), Some(3), "{third:?}");
    let states = home.dir.path().join("states/mailtide");
    assert!(
        states.join("test.db").exists(),
        "that of the usual configuration"
    );
    let again = with(&home, &home.config(), &["sync", "--json"]);
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(text.contains("\"changes\":0"), "{again:?}");
}

#[test]
fn a_state_in_the_usual_directory_goes_on_where_the_marker_fits() {
    let server = Server::start();
    server.phone("u1").append("INBOX", "", DATE, &mail(1));
    let (home, _) = unnamed(&server);
    let synced = || {
        let out = with(&home, &home.config(), &["sync", "--json"]);
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    synced();
    // As an older mailtide left it.
    let states = home.dir.path().join("states/mailtide");
    let mut own = std::fs::read_dir(&states).unwrap();
    let own = own.next().unwrap().unwrap().path();
    std::fs::rename(own.join("test.db"), states.join("test.db")).unwrap();
    std::fs::remove_dir_all(&own).unwrap();
    let marker = home.mail().join(".mailtide/account");
    let text = std::fs::read_to_string(&marker).unwrap();
    let lines: Vec<&str> = text.lines().take(2).collect();
    std::fs::write(&marker, lines.join("\n")).unwrap();
    for _ in 0..2 {
        let text = synced();
        assert!(
            text.contains("\"linked\":0") && text.contains("\"changes\":0"),
            "{text}"
        );
        assert!(!own.join("test.db").exists());
    }
}
