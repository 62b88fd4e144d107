//! What happens to the machine: another network, sleep, limits of the system.

use super::*;
use crate::support::line::{Line, Way};
use std::process::{Command, Stdio};

#[test]
fn limits_of_inotify_are_told_and_got_along_with() {
    let (server, home) = world(FULL, "");
    home.sync_twice();
    // In a user namespace of its own the limit is ours to set.
    let mut probe = Command::new("unshare");
    probe.args(["-U", "--map-root-user", "sh", "-c"]);
    probe.arg("echo 3 >/proc/sys/user/max_inotify_watches");
    if !probe.output().is_ok_and(|out| out.status.success()) {
        eprintln!("no user namespaces here: skipped");
        return;
    }
    let mut command = Command::new("unshare");
    command
        .args(["-U", "--map-root-user", "sh", "-c"])
        .arg("echo 3 >/proc/sys/user/max_inotify_watches; exec \"$@\"")
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_mailtide"))
        .arg("--config")
        .arg(home.config())
        .env("XDG_RUNTIME_DIR", home.dir.path().join("run"));
    let watcher = Watcher::start(&home, command);
    watcher.wait("in step", |test| test["state"] == "synced");
    let disk = watcher.status()["disk"].to_string();
    assert!(
        disk.contains("max_user_watches") && disk.contains("of"),
        "{disk}"
    );
    // The disk is looked at every half minute then.
    set_letters(&home, "Work", 3, "F");
    let took = wait_for("the star is there", || {
        flagged_there(&server, "Work", "\\Flagged")
    });
    assert!(took < Duration::from_secs(45), "{took:?}");
}

/// Runs a test of this program in a namespace of its own, after this command. `false`: there are
/// none here.
pub fn in_own(namespace: &str, first: &str, test: &str) -> bool {
    let enter = |command: &str| {
        // The server of the test has users of its own, so it has to be root who enters.
        let mut unshare = Command::new("unshare");
        unshare.args([namespace, "sh", "-c"]);
        unshare.arg(format!("{first} && {command}"));
        unshare
    };
    if !enter("true").output().is_ok_and(|out| out.status.success()) {
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let out = enter("exec \"$0\" \"$@\"")
        .arg(own)
        .args(["--ignored", "--exact", test])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
    true
}

#[test]
fn a_network_that_comes_back_is_noticed_at_once() {
    let test = "watching::machine::inside_a_network_that_comes_back";
    if !in_own("--net", "ip link set lo up", test) {
        eprintln!("no network namespaces here: skipped");
    }
}

#[test]
#[ignore = "changes addresses; run in a namespace of its own by the test above"]
fn inside_a_network_that_comes_back() {
    let (server, home) = world(FULL, "");
    let line = Line::to(server.port);
    let watcher = waits_for_the_network(&server, &home, &line, home.mailtide());
    line.set(Way::Good);
    let mut ip = Command::new("ip");
    ip.args(["addr", "add", "198.51.100.7/32", "dev", "lo"]);
    assert!(ip.status().unwrap().success());
    let took = watcher.wait("in step", |test| test["state"] == "synced");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(watcher.log().contains("the network changed"));
}

/// A watcher that has failed so often that it waits for a while.
fn waits_for_the_network<'a>(
    server: &Dovecot,
    home: &'a Home,
    line: &Line,
    command: Command,
) -> Watcher<'a> {
    let text = std::fs::read_to_string(home.config()).unwrap();
    let port = format!("port = {}", server.port);
    home.write_config(&text.replace(&port, &format!("port = {}", line.port)));
    home.sync_twice();
    line.set(Way::Reset);
    let watcher = Watcher::start(home, command);
    watcher.wait("it waits for longer", |test| {
        let next = test["next_at"].as_i64().unwrap_or(0);
        test["state"] == "waiting" && next - mailtide::daemon::now() >= 7
    });
    watcher
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl FakeLogind {
    #[zbus(signal)]
    async fn prepare_for_sleep(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        start: bool,
    ) -> zbus::Result<()>;
}

struct FakeLogind;

/// A bus of our own, on which we are logind.
#[test]
fn logind_tells_that_a_sleep_is_over() {
    let (server, home) = world(FULL, "");
    let line = Line::to(server.port);
    let address = format!("unix:path={}", home.dir.path().join("bus").display());
    let bus = Command::new("dbus-daemon")
        .args([
            "--session",
            "--nofork",
            "--nopidfile",
            "--nosyslog",
            "--address",
            &address,
        ])
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut bus) = bus else {
        eprintln!("no dbus-daemon here: skipped");
        return;
    };
    // The socket is there before anybody listens on it.
    let socket = home.dir.path().join("bus");
    wait_for("the bus is there", || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let path = "/org/freedesktop/login1";
    let logind = runtime.block_on(async {
        zbus::connection::Builder::address(address.as_str())
            .unwrap()
            .name("org.freedesktop.login1")
            .unwrap()
            .serve_at(path, FakeLogind)
            .unwrap()
            .build()
            .await
            .unwrap()
    });
    let mut command = home.mailtide();
    command.env("DBUS_SYSTEM_BUS_ADDRESS", &address);
    let watcher = waits_for_the_network(&server, &home, &line, command);
    line.set(Way::Good);
    runtime.block_on(async {
        let object = logind
            .object_server()
            .interface::<_, FakeLogind>(path)
            .await
            .unwrap();
        for asleep in [true, false] {
            FakeLogind::prepare_for_sleep(object.signal_emitter(), asleep)
                .await
                .unwrap();
        }
    });
    let took = watcher.wait("in step", |test| test["state"] == "synced");
    drop(watcher);
    bus.kill().unwrap();
    bus.wait().unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
