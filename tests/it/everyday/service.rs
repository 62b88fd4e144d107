//! The watcher as a service, closed terminals, and hooks of single syncs.

use crate::anywhere::{DATE, mail};
use crate::support::dovecot::*;
use crate::support::watcher::wait_for;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory with programs that write down how they are called.
fn programs(home: &Home) -> PathBuf {
    let directory = home.dir.path().join("bin");
    std::fs::create_dir(&directory).unwrap();
    for name in ["systemctl", "loginctl"] {
        let path = directory.join(name);
        let script = "#!/bin/sh\necho \"$(basename \"$0\") $*\" >>\"$(dirname \"$0\")/called\"\n\
                      case $* in *is-active*) echo active;; *is-enabled*) echo enabled;; esac\n";
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

fn service(home: &Home, directory: &Path, words: &[&str]) -> (i32, String) {
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let mut command = home.mailtide();
    command.arg("service").args(words).env("PATH", path);
    let out = command
        .env("XDG_CONFIG_HOME", home.dir.path().join("xdg"))
        .output()
        .unwrap();
    let [text, said] = [&out.stdout, &out.stderr].map(|out| String::from_utf8_lossy(out));
    (out.status.code().unwrap(), format!("{text}{said}"))
}

#[test]
fn service_is_installed_shown_and_removed() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let directory = programs(&home);
    let unit = home
        .dir
        .path()
        .join("xdg/systemd/user/mailtide-config.service");
    let called = || std::fs::read_to_string(directory.join("called")).unwrap();
    assert_eq!(service(&home, &directory, &["status"]).0, 1);
    let (code, text) = service(&home, &directory, &["install"]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "written",
        "enabled and started, for test",
        "loginctl enable-linger",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let written = std::fs::read_to_string(&unit).unwrap();
    assert!(written.contains(&format!("--config \"{}\" watch\n", home.config().display())));
    let checked = Command::new("systemd-analyze")
        .args(["--user", "verify", "--man=no"])
        .arg(&unit)
        .env("XDG_RUNTIME_DIR", home.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!said.contains("mailtide"), "{said}");
    let user = "--user";
    let name = "mailtide-config.service";
    for call in [
        format!("systemctl {user} daemon-reload"),
        format!("systemctl {user} enable {name}"),
        format!("systemctl {user} restart {name}"),
    ] {
        assert!(called().contains(&call), "{call}: {}", called());
    }
    assert!(!called().contains("enable-linger"), "{}", called());
    let (code, text) = service(&home, &directory, &["status"]);
    assert!(code == 0 && text.contains("enabled, active"), "{text}");
    let (code, text) = service(&home, &directory, &["install", "--linger"]);
    assert!(code == 0 && text.contains("is as it should be"), "{text}");
    assert!(called().contains("loginctl enable-linger"), "{}", called());
    let (code, text) = service(&home, &directory, &["uninstall"]);
    assert!(code == 0 && !unit.exists(), "{text}");
    assert!(called().contains(&format!("systemctl {user} disable --now {name}")));
    // A unit of the user's own is left as it is.
    std::fs::write(&unit, "[Service]\n").unwrap();
    for what in ["install", "uninstall"] {
        let (code, text) = service(&home, &directory, &[what]);
        assert!(code == 2 && text.contains("is left as it is"), "{text}");
    }
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), "[Service]\n");
}

#[test]
fn watcher_ends_with_its_terminal() {
    let server = Dovecot::start(FULL);
    let home = Home::new(&server, "u1", "");
    let run = home.mailtide();
    let words: Vec<_> = run.get_args().map(|word| word.to_str().unwrap()).collect();
    let program = run.get_program().to_str().unwrap();
    let command = format!("exec '{program}' '{}' watch", words.join("' '"));
    let mut script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("XDG_RUNTIME_DIR", home.dir.path().join("run"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let watcher = || {
        let out = home.run(&["status", "--json"]).stdout;
        let all: serde_json::Value = serde_json::from_slice(&out).unwrap_or_default();
        all["watcher"].as_u64()
    };
    wait_for("the watcher", || watcher().is_some());
    let id = watcher().unwrap().to_string();
    // With the terminal still there it is a word to the watcher.
    assert!(
        Command::new("kill")
            .args(["-s", "HUP", &id])
            .status()
            .unwrap()
            .success()
    );
    home.run(&["sync"]);
    assert_eq!(watcher().unwrap().to_string(), id);
    script.kill().unwrap();
    script.wait().unwrap();
    wait_for("its end", || watcher().is_none());
    wait_for("its process to end", || {
        !Path::new(&format!("/proc/{id}/exe")).exists()
    });
}

#[test]
fn hooks_run_in_single_syncs_before_and_after() {
    let server = Dovecot::start(FULL);
    let hook = |key: &str, what: &str| {
        format!("{key} = [\"sh\", \"-c\", '{what} >>\"$0\"; test ! -e \"$0.no\"', \"OUT\"]\n")
    };
    let home = Home::new(&server, "u1", "");
    let out = home.dir.path().join("told");
    let all = [
        hook("before_sync", "echo $MAILTIDE_EVENT"),
        hook("on_change", "echo $MAILTIDE_EVENT $MAILTIDE_MAILBOXES"),
        hook("on_new_mail", "echo $MAILTIDE_EVENT $MAILTIDE_NEW"),
        hook("on_error", "echo $MAILTIDE_EVENT"),
    ]
    .concat();
    home.configure(&server, "u1", &all.replace("OUT", out.to_str().unwrap()));
    let told = || {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        std::fs::write(&out, "").unwrap();
        text
    };
    let mut phone = server.phone("u1");
    phone.append("INBOX", "", DATE, &mail(1));
    home.run(&["sync", "--dry-run"]);
    assert_eq!(told(), "");
    assert_eq!(home.sync().0, 0);
    assert_eq!(told(), "before-sync\nchange INBOX\n");
    phone.append("INBOX", "", DATE, &mail(2));
    assert_eq!(home.sync().0, 0);
    assert_eq!(told(), "before-sync\nnew-mail 1\nchange INBOX\n");
    // One that fails keeps the run from beginning.
    std::fs::write(out.with_extension("no"), "").unwrap();
    phone.append("INBOX", "", DATE, &mail(3));
    let (code, report) = home.sync();
    let said = report["errors"][0]["text"].as_str().unwrap().to_owned();
    assert!(
        code == 75 && said.contains("before_sync \"sh\" failed"),
        "{said}"
    );
    assert_eq!(told(), "before-sync\nerror\n");
    home.sync();
    assert_eq!(told(), "before-sync\n", "an error is told once");
    std::fs::remove_file(out.with_extension("no")).unwrap();
    assert_eq!(home.sync().0, 0);
    assert_eq!(told(), "before-sync\nnew-mail 1\nchange INBOX\n");
}
