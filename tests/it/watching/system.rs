//! systemd: what it is told, and the units.

use super::*;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn systemd_is_told_of_readiness_progress_life_and_end() {
    let (_server, home) = world(FULL, "");
    let path = home.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let hear = |part: &str| {
        let mut seen = Vec::new();
        loop {
            let mut space = [0; 4096];
            let size = socket
                .recv(&mut space)
                .unwrap_or_else(|e| panic!("{part}: {e} {seen:?}"));
            let text = String::from_utf8_lossy(&space[..size]).into_owned();
            if text.contains(part) {
                return text;
            }
            seen.push(text);
        }
    };
    let mut command = home.mailtide();
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "2000000");
    let mut watcher = Watcher::start(&home, command);
    hear("READY=1");
    let status = hear("STATUS=1 synced");
    assert!(status.contains("30 messages"), "{status}");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    watcher.signal("HUP");
    let reloading = hear("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    hear("READY=1");
    watcher.signal("TERM");
    hear("STOPPING=1");
    assert!(watcher.end().0.success());
}

/// All units, each with the drop-in that hardens it.
#[test]
fn systemd_takes_the_units_and_finds_them_tight() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("systemd-analyze is not here: skipped");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("mailtide");
    std::fs::copy(env!("CARGO_BIN_EXE_mailtide"), &program).unwrap();
    let mut units = 0;
    for (kind, user) in [("", true), ("system", false)] {
        let place = dir.path().join("units").join(kind);
        std::fs::create_dir_all(&place).unwrap();
        for entry in std::fs::read_dir(root().join("systemd").join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let here = text.replace("/usr/bin/mailtide", program.to_str().unwrap());
            let instance = name.replace("@.", "@work.");
            let unit = place.join(&instance);
            std::fs::write(&unit, &here).unwrap();
            let mut verify = Command::new("systemd-analyze");
            if user {
                verify.arg("--user");
            }
            let out = verify
                .arg("verify")
                .arg("--man=no")
                .arg(&unit)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            let ours: Vec<&str> = said
                .lines()
                .filter(|line| line.contains("mailtide"))
                .collect();
            assert!(ours.is_empty(), "{name}: {said}");
            units += 1;
            if name.ends_with(".service") {
                exposure(&unit, &here, &path, user);
            }
        }
    }
    assert!(units >= 5, "{units}");
}

/// Prints the score of a service, with its drop-ins, and checks that it did not get worse.
fn exposure(unit: &Path, text: &str, from: &Path, user: bool) {
    let drop_ins =
        from.with_file_name(format!("{}.d", from.file_name().unwrap().to_str().unwrap()));
    let mut whole = text.to_owned();
    let mut hardened = false;
    if let Ok(entries) = std::fs::read_dir(&drop_ins) {
        for entry in entries {
            whole.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
            hardened = true;
        }
    }
    std::fs::write(unit, whole).unwrap();
    let out = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let score = said
        .lines()
        .find(|line| line.contains("exposure level"))
        .unwrap_or("");
    let number: Option<f64> = score
        .split_ascii_whitespace()
        .find_map(|word| word.parse().ok());
    println!("{}: {score}", unit.display());
    let most = match (user, hardened) {
        (true, true) => 4.0,
        (true, false) => 6.5,
        (false, _) => 2.0,
    };
    let number = number.unwrap_or_else(|| panic!("{said} {out:?}"));
    assert!(number <= most, "{}: {score}", unit.display());
}

#[test]
fn credentials_of_systemd_are_taken() {
    let (server, home) = world(FULL, "");
    let directory = home.dir.path().join("credentials");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("work"), "pass\n").unwrap();
    let text = std::fs::read_to_string(home.config()).unwrap();
    home.write_config(&text.replace("password = \"pass\"", "credential = \"work\""));
    let mut command = home.mailtide();
    command.env("CREDENTIALS_DIRECTORY", &directory);
    let watcher = Watcher::start(&home, command);
    watcher.wait("in step", |test| test["state"] == "synced");
    assert_same(&server, "u1", &home);
}

/// In a mount namespace of its own, where the journal's socket is ours.
#[test]
fn the_journal_is_told_with_fields() {
    let place = "/run/systemd/journal";
    let first = format!("mkdir -p {place} && mount -t tmpfs none {place}");
    if !machine::in_own(
        "--mount",
        &first,
        "watching::system::inside_where_the_journal_is_ours",
    ) {
        eprintln!("no mount namespaces here: skipped");
    }
}

#[test]
#[ignore = "listens in the journal's place; run in a namespace of its own by the test above"]
fn inside_where_the_journal_is_ours() {
    use std::os::unix::fs::MetadataExt;
    let journal = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
    journal
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let (_server, home) = world(FULL, "");
    let stderr = std::fs::File::create(home.dir.path().join("stderr")).unwrap();
    let meta = stderr.metadata().unwrap();
    let mut child = home
        .mailtide()
        .arg("watch")
        .env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()))
        .stderr(stderr)
        .spawn()
        .unwrap();
    let (mut space, mut said) = ([0; 1 << 16], String::new());
    while !said.contains("30 downloaded") {
        let size = journal.recv(&mut space).unwrap();
        said = String::from_utf8_lossy(&space[..size]).into_owned();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for part in [
        "SYSLOG_IDENTIFIER",
        "MAILTIDE_ACCOUNT",
        "MAILTIDE_MAILBOXES",
        "INBOX, Work",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let told = std::fs::read_to_string(home.dir.path().join("stderr")).unwrap();
    assert_eq!(told, "", "it is told once");
}
