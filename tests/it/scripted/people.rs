//! Other people: who may write what the program reads, what lies where it writes, and secrets and
//! control characters on every way out.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

const EVIL: &str = "\u{1b}]52;c;x\u{7}\u{9b}31m\u{202e}drow\u{2066}";

fn mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// All that a run printed, and all that it left behind.
fn traces(home: &Home, arguments: &[&str]) -> Vec<u8> {
    let out = home.run(arguments);
    let mut all = [out.stdout, out.stderr].concat();
    for directory in ["state", "Mail", "told"] {
        for path in files(&home.dir.path().join(directory)) {
            all.extend(std::fs::read(path).unwrap());
        }
    }
    all
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}

fn holds_secret(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let coded = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c));
    let mut decoded = coded.filter_map(|word| STANDARD.decode(word).ok());
    let told = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        text.contains(CANARY)
    };
    told(bytes) || decoded.any(|word| told(&word))
}

/// Refuses this command, and repeats what was said until then.
fn parrot(verb: &'static str, capabilities: &'static str, more: &str) -> Home {
    let heard = Mutex::new(Vec::<String>::new());
    let (port, _) = serve("* OK hi\r\n", move |tag, command| {
        let mut heard = heard.lock().unwrap();
        heard.push(format!("{tag} {command}"));
        let said = heard.join(" | ");
        match command.split(' ').next() {
            Some("CAPABILITY") => format!("* CAPABILITY {capabilities}\r\n{tag} OK done\r\n"),
            Some(own) if own == verb => {
                let plain = format!("{tag} BAD [{CANARY}] unknown command: {said} {EVIL}\r\n");
                format!("* NO {said}\r\n{plain}")
            }
            Some("AUTHENTICATE") => format!("{tag} OK in\r\n"),
            _ => ordinary(tag, command),
        }
    });
    home(
        port,
        &format!("tls = \"none\"\npassword = \"{CANARY}\"\n{more}"),
    )
}

#[test]
fn a_secret_that_a_server_repeats_is_shown_nowhere() {
    let (plain, initial) = ("IMAP4rev1", "IMAP4rev1 AUTH=PLAIN SASL-IR");
    let ways = [
        ("LOGIN", plain, ""),
        ("AUTHENTICATE", initial, ""),
        ("AUTHENTICATE", initial, "auth = \"xoauth2\""),
        ("AUTHENTICATE", initial, "auth = \"oauthbearer\""),
        ("LIST", plain, ""),
        ("SELECT", initial, ""),
    ];
    for (verb, capabilities, more) in ways {
        let home = parrot(verb, capabilities, more);
        for arguments in [
            &["-vvv", "sync"][..],
            &["sync", "--json"],
            &["-vvv", "--log-format", "json", "sync"],
            &["check", "--json"],
            &["status", "--json"],
            &["history", "--json"],
        ] {
            let all = traces(&home, arguments);
            let text = String::from_utf8_lossy(&all).into_owned();
            assert!(!holds_secret(&all), "{verb} {more} {arguments:?}: {text}");
        }
        let (_, text) = run(&home, &["sync"]);
        // Where PLAIN is refused, LOGIN follows.
        let goes_on = verb == "AUTHENTICATE" && more.is_empty();
        assert_eq!(
            !text.contains("unknown command"),
            goes_on,
            "{verb} {more}: {text}"
        );
    }
}

#[test]
fn hooks_and_the_watcher_tell_no_secret_and_no_escapes() {
    let home = parrot("LOGIN", "IMAP4rev1", "");
    let told = home.dir.path().join("told");
    std::fs::create_dir(&told).unwrap();
    let script = format!(
        "{{ env; cat; }} >{0}/part; mv {0}/part {0}/all",
        told.display()
    );
    let config = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&format!(
        "{config}on_error = [\"sh\", \"-c\", '{script}']\n"
    ));
    let mut watch = home.mailtide();
    let log = home.dir.path().join("told/log");
    let log = std::fs::File::create(log).unwrap();
    let mut child = watch.args(["-vvv", "watch"]).stderr(log).spawn().unwrap();
    let began = Instant::now();
    while !told.join("all").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no hook ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    let all = traces(&home, &["status", "--json"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let text = String::from_utf8_lossy(&all).into_owned();
    assert!(
        text.contains("MAILTIDE_ERROR=") && !holds_secret(&all),
        "{text}"
    );
    for path in files(&told) {
        let text = std::fs::read_to_string(&path).unwrap();
        let evil = text
            .chars()
            .any(|c| EVIL.contains(c) && !c.is_ascii_graphic());
        assert!(!evil, "{path:?}: {}", text.escape_debug());
    }
}

/// Decoded, too: what reads JSON prints the texts in it.
#[test]
fn no_text_in_json_moves_the_cursor_or_makes_a_line() {
    let (port, _) = serve("* OK hi\r\n", |tag, command| {
        match command.split(' ').next() {
            Some("LIST") => {
                format!("* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"a{EVIL}\"\r\n{tag} OK done\r\n")
            }
            Some("SELECT" | "EXAMINE") => format!("{tag} NO {EVIL}\r\n"),
            _ => ordinary(tag, command),
        }
    });
    let home = home(port, "tls = \"none\"\npassword = \"p4ssw0rd-x\"");
    let odd = home.mail().join("b\ntest: forged\u{1b}[2J/cur");
    for sub in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(odd.with_file_name(sub)).unwrap();
    }
    std::fs::write(odd.join("1.\u{1b}[2J\n.x:2,S"), "Subject: x\n\ny\n").unwrap();
    for arguments in [
        &["sync", "--json"][..],
        &["sync", "--dry-run", "--json"],
        &["check", "--json"],
        &["status", "--json"],
        &["history", "--json"],
    ] {
        let out = home.run(arguments);
        for line in String::from_utf8(out.stdout).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            every_text(&value, &mut |text| {
                let shown = text.chars().all(mailtide::model::text::is_printable);
                assert!(shown, "{arguments:?}: {}", text.escape_debug());
            });
        }
        let text = String::from_utf8(out.stderr).unwrap();
        let forged = |line: &str| line.starts_with("test: forged");
        assert!(
            !text.lines().any(forged) && !text.contains('\u{1b}'),
            "{text:?}"
        );
    }
    let (_, text) = run(&home, &["sync"]);
    assert!(text.contains("\\u{1b}"), "{text}");
}

fn every_text(value: &serde_json::Value, see: &mut dyn FnMut(&str)) {
    match value {
        serde_json::Value::String(text) => see(text),
        serde_json::Value::Array(all) => all.iter().for_each(|one| every_text(one, see)),
        serde_json::Value::Object(all) => {
            for (key, one) in all {
                see(key);
                every_text(one, see);
            }
        }
        _ => {}
    }
}

#[test]
fn a_configuration_that_others_can_change_is_refused() {
    let (port, said) = serve("* OK hi\r\n", ordinary);
    let home = home(
        port,
        "tls = \"none\"\npassword_command = [\"echo\", \"pass\"]",
    );
    let config = home.config();
    let refused = |what: &str| {
        let (code, text) = run(&home, &["sync"]);
        assert!(code == 2 && text.contains(what), "{what}: {code} {text}");
        assert!(said.lock().unwrap().is_empty(), "nothing was said");
    };
    for bits in [0o666, 0o620, 0o602] {
        mode(&config, bits);
        refused("chmod go-w");
    }
    mode(&config, 0o644);
    mode(home.dir.path(), 0o777);
    refused("chmod o-w");
    mode(home.dir.path(), 0o700);
    let script = home.dir.path().join("password.sh");
    std::fs::write(&script, "#!/bin/sh\necho pass\n").unwrap();
    mode(&script, 0o777);
    let text = std::fs::read_to_string(&config).unwrap();
    for argv in [
        format!("\"{}\"", script.display()),
        format!("\"sh\", \"{}\"", script.display()),
    ] {
        home.write_config(&text.replace("\"echo\", \"pass\"", &argv));
        refused("password_command");
    }
    let file = home.dir.path().join("password");
    std::fs::write(&file, "pass\n").unwrap();
    let named = format!("password_file = \"{}\"", file.display());
    home.write_config(&text.replace("password_command = [\"echo\", \"pass\"]", &named));
    mode(&file, 0o622);
    refused("chmod 600");
    mode(&file, 0o600);
    let state = home.dir.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    mode(&state, 0o770);
    refused("state_dir");
    mode(&state, 0o700);
    let (code, text) = run(&home, &["sync"]);
    assert!(code == 0 && text.is_empty(), "{code} {text}");
    mode(&home.mail(), 0o777);
    let (code, text) = run(&home, &["sync"]);
    assert!(code == 0 && text.contains("chmod go-w"), "{code} {text}");
}

#[test]
fn all_that_is_made_is_the_users_alone() {
    let (port, _) = serve("* OK hi\r\n", ordinary);
    let home = home(port, "tls = \"none\"\npassword = \"pass\"");
    let mut open = home.mailtide();
    let sync = "umask 0; exec \"$0\" \"$@\"";
    let program = open.get_program().to_owned();
    let arguments: Vec<_> = open.get_args().map(|one| one.to_owned()).collect();
    open = std::process::Command::new("sh");
    open.args(["-c", sync]).arg(program).args(arguments);
    assert!(open.arg("sync").status().unwrap().success());
    let mut above: Vec<_> = [home.dir.path().join("state"), home.mail()].into();
    above.extend(files(&home.mail().join(".mailtide")));
    above.extend(files(&home.dir.path().join("state")));
    above.extend(["", "/cur", "/new", "/tmp"].map(|sub| home.mail().join(format!("INBOX{sub}"))));
    above.push(home.mail().join(".mailtide"));
    for path in above {
        let bits = path.metadata().unwrap().mode() & 0o7777;
        let own = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(bits & !own, 0, "{path:?}: {bits:o}");
    }
}

#[test]
fn what_lies_where_the_socket_is_to_be_stays() {
    let (port, _) = serve("* OK hi\r\n", ordinary);
    let home = home(port, "tls = \"none\"\npassword = \"pass\"");
    let (notes, at) = (home.dir.path().join("notes"), home.dir.path().join("at"));
    std::fs::write(&notes, "years of notes").unwrap();
    let text = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&format!("control_socket = \"{}\"\n{text}", at.display()));
    let refused = |what: &str| {
        let (code, text) = run(&home, &["watch"]);
        assert!(code != 0 && text.contains(what), "{code} {text}");
        assert_eq!(std::fs::read(&notes).unwrap(), b"years of notes");
    };
    std::fs::hard_link(&notes, &at).unwrap();
    refused("is not a socket");
    std::fs::remove_file(&at).unwrap();
    symlink(&notes, &at).unwrap();
    refused("is not a socket");
    assert!(at.symlink_metadata().unwrap().is_symlink());
    std::fs::remove_file(&at).unwrap();
    std::fs::create_dir(&at).unwrap();
    refused("is not a socket");
    std::fs::remove_dir(&at).unwrap();
    // A socket that a watcher left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(&at).unwrap());
    let mut child = home.mailtide().arg("watch").spawn().unwrap();
    let began = Instant::now();
    let runs = || String::from_utf8_lossy(&home.run(&["status"]).stdout).contains("watch runs (");
    while !runs() {
        assert!(began.elapsed() < Duration::from_secs(60), "no watcher");
        std::thread::sleep(Duration::from_millis(20));
    }
    // What was put in its place meanwhile stays.
    std::fs::remove_file(&at).unwrap();
    std::fs::hard_link(&notes, &at).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    child.wait().unwrap();
    assert_eq!(std::fs::read(&at).unwrap(), b"years of notes");
}
