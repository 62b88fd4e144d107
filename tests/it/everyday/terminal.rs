//! The output on closed pipes and on terminals.

use crate::anywhere::{DATE, mail};
use crate::support::dovecot::*;
use std::process::{Command, Stdio};

/// A home with two messages on the server, which were not synced.
fn home() -> (Dovecot, Home) {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let mut phone = server.phone("u1");
    for n in 0..2 {
        phone.append("INBOX", "", DATE, &mail(n));
    }
    (server, home)
}

/// A pipe whose reader is gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn closed_pipe_leaves_the_exit_status_of_the_work() {
    let (server, home) = home();
    let code = |arguments: &[&str], deaf: bool| {
        let mut command = home.mailtide();
        command.args(arguments).stdout(closed());
        command.stderr(if deaf { closed() } else { Stdio::null() });
        command.status().unwrap().code()
    };
    let all: [&[&str]; 9] = [
        &["check"],
        &["sync", "--dry-run"],
        &["sync"],
        &["sync", "-vv", "--full"],
        &["history"],
        &["status", "-v"],
        &["undo"],
        &["list", "INBOX"],
        &["--help"],
    ];
    for arguments in all {
        assert_eq!(code(arguments, false), Some(0), "{arguments:?}");
        assert_eq!(code(arguments, true), Some(0), "{arguments:?}");
    }
    drop(server);
    for arguments in [&["check"][..], &["sync"], &["sync", "-vv"]] {
        assert_eq!(code(arguments, true), Some(75), "{arguments:?}");
    }
    assert_eq!(code(&["sync", "nobody"], true), Some(2));
}

#[test]
fn full_device_is_not_success() {
    let (_server, home) = home();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let out = home.mailtide().arg("check").stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("standard output").count(), 1, "{said}");
}

/// What a terminal of so many columns shows while a sync of the home runs.
fn on_terminal(home: &Home, columns: u16, variables: &[(&str, &str)], options: &str) -> String {
    let run = home.mailtide();
    let words = run.get_args().map(|word| word.to_str().unwrap());
    let words: Vec<&str> = std::iter::once(run.get_program().to_str().unwrap())
        .chain(words)
        .collect();
    let command = format!(
        "stty rows 24 cols {columns}; '{}' sync {options}",
        words.join("' '")
    );
    let out = Command::new("timeout")
        .args(["60", "script", "-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied())
        .env("XDG_RUNTIME_DIR", home.dir.path().join("run"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}");
    text
}

/// The texts between two movements of the cursor, without them.
fn texts(shown: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut chars = shown.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            continue;
        }
        match c {
            '\r' | '\n' => all.push(String::new()),
            c => all.last_mut().unwrap().push(c),
        }
    }
    all
}

#[test]
fn bar_fits_the_terminal_and_the_locale() {
    for (columns, options, variables) in [
        (40, "", &[("LANG", "C.UTF-8"), ("LC_ALL", "")][..]),
        (80, "", &[("LC_ALL", "C")]),
        (120, "", &[("LANG", "C.UTF-8"), ("NO_COLOR", "1")]),
        (80, "", &[("TERM", "dumb")]),
        (80, "--no-progress", &[]),
    ] {
        let (_server, home) = home();
        let shown = on_terminal(&home, columns, variables, options);
        let case = format!("{columns} {options} {variables:?}: {shown:?}");
        let wide = texts(&shown);
        let bars = wide
            .iter()
            .filter(|text| text.contains("of 2 messages"))
            .count();
        let hidden = !options.is_empty() || variables.contains(&("TERM", "dumb"));
        assert_eq!(bars == 0, hidden, "{case}");
        assert!(
            !shown.contains(" 0s ") && !shown.contains(" 0 s left"),
            "{case}"
        );
        for text in wide.iter().filter(|text| text.contains("messages,")) {
            assert!(
                text.chars().count() <= usize::from(columns),
                "{text:?} in {case}"
            );
        }
        if variables.contains(&("LC_ALL", "C")) {
            assert!(shown.is_ascii(), "{case}");
        }
        if variables.contains(&("NO_COLOR", "1")) {
            assert!(!shown.contains("\u{1b}[1m"), "{case}");
        }
        assert!(shown.contains("test: 2 downloaded"), "{case}");
    }
}

#[test]
fn log_has_the_time_with_its_zone() {
    let (_server, home) = home();
    let mut command = home.mailtide();
    command.args(["-v", "sync"]).env("TZ", "Asia/Kolkata");
    let out = command.output().unwrap();
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    let line = log.lines().next().unwrap();
    let time = line.split(' ').next().unwrap();
    assert!(time.ends_with("+05:30"), "{line}");
    let time: jiff::Timestamp = time.parse().unwrap();
    assert!(
        time.duration_until(jiff::Timestamp::now()).as_secs() < 60,
        "{line}"
    );
}
