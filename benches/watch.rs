//! What the watcher feels like and costs, against a private Dovecot on loopback:
//!
//!     cargo bench --bench watch                    both parts
//!     cargo bench --bench watch -- latency [N]     how long a change takes to come across
//!     cargo bench --bench watch -- idle [N]        memory, CPU, wake-ups with 3 accounts of N mails
//!
//! `MAILTIDE_IDLE=N` sets for how many seconds nothing is done. Ends with an error when a change takes longer than 200 ms (95th percentile), the settle window
//! included. What the server itself waits before it tells of a change is shown apart: Dovecot 2.3
//! gathers changes for half a second.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/it/support"]
mod support {
    pub mod dovecot;
    pub mod phone;
    pub mod server;
    pub mod traits;
    pub mod watcher;
}

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::dovecot::{Dovecot, FULL};
use support::phone::Phone;
use support::server::Home;
use support::watcher::{Watcher, wait_for};

/// The 95th percentile is to stay below this.
const LIMIT: Duration = Duration::from_millis(200);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|a| a == "--bench");
    if flags.is_empty() {
        println!("the tests build this, and do not run it");
        return;
    }
    let part = arguments.first().map(String::as_str);
    let count = arguments.get(1).and_then(|n| n.parse().ok());
    let mut good = true;
    if part.is_none_or(|part| part == "latency") {
        good &= latency(count.unwrap_or(100));
    }
    if part.is_none_or(|part| part == "idle") {
        good &= idle(count.unwrap_or(20_000));
    }
    assert!(good, "a limit was passed");
}

/// Times in order.
struct Times(Vec<Duration>);

impl Times {
    fn of(mut all: Vec<Duration>) -> Times {
        all.sort();
        Times(all)
    }

    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    fn print(&self, what: &str) {
        let ms = |at: Duration| format!("{:6.1}", at.as_secs_f64() * 1000.0);
        let (min, half, most) = (ms(self.at(0)), ms(self.at(50)), ms(self.at(95)));
        println!("{what:52} {min} {half} {most} {} ms", ms(self.at(100)));
    }
}

/// Looks as often as it can until it is so.
fn until(mut is: impl FnMut() -> bool) -> Instant {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_micros(200));
    }
    Instant::now()
}

/// When the watcher last heard of the server, going by its log (µs since 1970).
fn last_wake(watcher: &Watcher<'_>) -> Option<i64> {
    let log = watcher.log();
    let line = log.lines().rev().find(|line| {
        line.contains("\"message\":\"wake\"") && line.contains("\"side\":\"remote\"")
    })?;
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let at: jiff::Timestamp = value["timestamp"].as_str()?.parse().ok()?;
    Some(at.as_microsecond())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn message(n: usize) -> String {
    format!(
        "Message-ID: <{n}@bench>\r\nSubject: m{n}\r\n\r\n{}\r\n",
        "body ".repeat(100)
    )
}

const DATE: &str = " 1-Jan-2024 10:00:00 +0000";

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

fn latency(samples: usize) -> bool {
    let server = Dovecot::start(FULL);
    let mut phone = server.phone("u1");
    for n in 0..200 {
        phone.append("INBOX", "\\Seen", DATE, message(n).as_bytes());
    }
    let home = Home::new(&server, "u1", "");
    let watcher = Watcher::in_step(&home);
    let cur = home.mail().join("INBOX/cur");
    println!(
        "{samples} samples each; {:37} least median  95 %   most",
        ""
    );
    let mut good = true;
    let mut there = Incoming::default();
    phone.run("SELECT INBOX");
    let files = names(&cur);
    for n in 0..samples {
        let file = files[n % files.len()].to_str().unwrap().to_owned();
        let uid = u32::from_str_radix(file.split('_').nth(1).unwrap(), 16).unwrap();
        let base = file.split(':').next().unwrap();
        let (sign, letters) = if (n / files.len()).is_multiple_of(2) {
            ('+', "FS")
        } else {
            ('-', "S")
        };
        let wanted = PathBuf::from(format!("{base}:2,{letters}"));
        let store = format!("UID STORE {uid} {sign}FLAGS.SILENT (\\Flagged)");
        there.measure(&watcher, || drop(phone.run(&store)), || wanted.exists());
    }
    good &= there.print("a flag set on the phone shows on disk");
    phone.run("UNSELECT");
    let (mut mail, new) = (Incoming::default(), home.mail().join("INBOX/new"));
    for n in 0..samples {
        let before = names(&new).len();
        let body = message(1000 + n);
        let send = || phone.append("INBOX", "", DATE, body.as_bytes());
        mail.measure(&watcher, send, || names(&new).len() > before);
    }
    good &= mail.print("new mail shows on disk");
    good &= outgoing(&home, &mut phone, &cur, samples);
    good & burst(&home, &watcher, &cur)
}

/// Changes that come from the server.
#[derive(Default)]
struct Incoming {
    server: Vec<Duration>,
    ours: Vec<Duration>,
}

impl Incoming {
    fn measure(&mut self, watcher: &Watcher<'_>, change: impl FnOnce(), is: impl FnMut() -> bool) {
        quiet(watcher);
        change();
        let changed = now();
        until(is);
        let seen = now();
        let told = last_wake(watcher).filter(|at| *at >= changed - 5000 && *at <= seen);
        let told = told.unwrap_or_else(|| panic!("no wake was logged: {}", watcher.log()));
        let span = |from: i64, to: i64| Duration::from_micros((to - from).max(0).unsigned_abs());
        self.server.push(span(changed, told));
        self.ours.push(span(told, seen));
    }

    fn print(self, what: &str) -> bool {
        let (server, ours) = (Times::of(self.server), Times::of(self.ours));
        ours.print(&format!("{what}, after the server told"));
        server.print("    before that: what the server waits by itself");
        ours.at(95) <= LIMIT
    }
}

/// Waits until what was done last has come back to us and nothing is under way.
fn quiet(watcher: &Watcher<'_>) {
    let size = || watcher.log().len();
    let mut before = (size(), Instant::now());
    while before.1.elapsed() < Duration::from_millis(700) {
        std::thread::sleep(Duration::from_millis(20));
        let now = size();
        if now != before.0 {
            before = (now, Instant::now());
        }
    }
}

/// Changes that come from the disk; the phone looks as often as it can.
fn outgoing(home: &Home, phone: &mut Phone, cur: &Path, samples: usize) -> bool {
    phone.run("SELECT INBOX");
    let mut flags = Vec::new();
    for n in 0..samples {
        let files = names(cur);
        let file = &files[n % files.len()];
        let text = file.to_str().unwrap();
        let uid = u32::from_str_radix(text.split('_').nth(1).unwrap(), 16).unwrap();
        let base = text.split(':').next().unwrap();
        let answered = text.contains('R');
        let letters = if answered { "S" } else { "RS" };
        let began = Instant::now();
        std::fs::rename(file, format!("{base}:2,{letters}")).unwrap();
        let fetch = format!("UID FETCH {uid} FLAGS");
        let seen = until(|| {
            phone.run("NOOP");
            let lines = phone.run(&fetch);
            let has = |line: &Vec<u8>| String::from_utf8_lossy(line).contains("\\Answered");
            lines.iter().any(has) != answered
        });
        flags.push(seen - began);
        std::thread::sleep(Duration::from_millis(700));
    }
    let mut mail = Vec::new();
    for n in 0..samples {
        let name = format!("new/17000{n:05}.M1P1.bench");
        let tmp = home.deliver(
            "INBOX",
            &name.replace("new/", "tmp/"),
            message(5000 + n).as_bytes(),
        );
        let search = format!("UID SEARCH HEADER Message-ID {}@bench", 5000 + n);
        let began = Instant::now();
        std::fs::rename(tmp, home.mail().join("INBOX").join(&name)).unwrap();
        let seen = until(|| {
            phone.run("NOOP");
            let lines = phone.run(&search);
            lines
                .iter()
                .any(|line| line.starts_with(b"* SEARCH") && line.len() > 12)
        });
        mail.push(seen - began);
        std::thread::sleep(Duration::from_millis(700));
    }
    let (flags, mail) = (Times::of(flags), Times::of(mail));
    flags.print("a file renamed on disk shows on the server");
    mail.print("mail put on disk shows on the server");
    flags.at(95) <= LIMIT && mail.at(95) <= LIMIT
}

fn burst(home: &Home, watcher: &Watcher<'_>, cur: &Path) -> bool {
    for n in 0..1000 {
        let name = format!("cur/18000{n:05}.M1P1.bench:2,");
        home.deliver("INBOX", &name, message(9000 + n).as_bytes());
    }
    quiet(watcher);
    let before = watcher.status()["cycles"].as_u64().unwrap();
    let changes = watcher.status()["changes"].as_u64().unwrap();
    let began = Instant::now();
    for file in names(cur) {
        let text = file.to_str().unwrap();
        if let Some(base) = text.strip_suffix(":2,") {
            std::fs::rename(&file, format!("{base}:2,S")).unwrap();
        }
    }
    let renamed = began.elapsed();
    watcher.wait("all are there", |test| {
        test["changes"].as_u64() >= Some(changes + 1000) && test["state"] == "synced"
    });
    let took = began.elapsed();
    quiet(watcher);
    let cycles = watcher.status()["cycles"].as_u64().unwrap() - before;
    println!(
        "1,000 renames in {:.0} ms: on the server after {:.0} ms, {cycles} cycles (one of them only \
         hears our own changes told back)",
        renamed.as_secs_f64() * 1000.0,
        took.as_secs_f64() * 1000.0
    );
    cycles <= 4
}

/// Three accounts that have nothing to do.
fn idle(mails: usize) -> bool {
    let seconds = std::env::var("MAILTIDE_IDLE").ok();
    let seconds = seconds.and_then(|n| n.parse().ok()).unwrap_or(120);
    let server = Dovecot::start(FULL);
    let mut accounts = String::new();
    let home = Home::new(&server, "u1", "");
    let dir = home.dir.path().display();
    for n in 1..=3 {
        let user = format!("u{n}");
        let mut phone = server.phone(&user);
        for mailbox in 0..20 {
            phone.run(&format!("CREATE box{mailbox}"));
        }
        for m in 0..mails {
            let mailbox = format!("box{}", m % 20);
            phone.append(&mailbox, "\\Seen", DATE, message(m).as_bytes());
        }
        accounts += &format!(
            "[accounts.{}]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"{user}\"\n\
             password = \"pass\"\nmaildir = \"{dir}/{user}\"\n",
            if n == 1 {
                "test".to_owned()
            } else {
                user.clone()
            },
            server.port
        );
    }
    home.write_config(&format!("state_dir = \"{dir}/state\"\n{accounts}"));
    let watcher = Watcher::start(&home, home.mailtide());
    let began = Instant::now();
    for name in ["test", "u2", "u3"] {
        let in_step = || watcher.account(name)["state"] == "synced";
        while !in_step() {
            assert!(
                began.elapsed() < Duration::from_secs(600),
                "{name} is never in step"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    println!(
        "3 accounts of {mails} mails: first sync {:.1} s",
        began.elapsed().as_secs_f64()
    );
    quiet(&watcher);
    let (memory, peak) = (field(&watcher, "VmRSS"), field(&watcher, "VmHWM"));
    let (cpu, wakes, from) = (cpu(&watcher), wakes(&watcher), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let seconds = from.elapsed().as_secs_f64();
    let busy = (self::cpu(&watcher) - cpu) / seconds * 100.0;
    let woken = self::wakes(&watcher) - wakes;
    println!("idle for {seconds:.0} s: {busy:.3} % CPU, woken {woken} times");
    println!(
        "memory: {:.1} MiB resident, {:.1} MiB at most",
        memory / 1024.0,
        peak / 1024.0
    );
    // A second run, as after a restart, has not the peak of the first sync behind it.
    drop(watcher);
    let watcher = Watcher::start(&home, home.mailtide());
    for name in ["test", "u2", "u3"] {
        wait_for("in step", || watcher.account(name)["state"] == "synced");
    }
    quiet(&watcher);
    let again = field(&watcher, "VmRSS");
    println!("memory after a restart: {:.1} MiB resident", again / 1024.0);
    busy < 0.1 && memory < 40.0 * 1024.0 && again < 40.0 * 1024.0
}

/// A line of /proc/PID/status, kB.
fn field(watcher: &Watcher<'_>, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", watcher.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Seconds of CPU so far.
fn cpu(watcher: &Watcher<'_>) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", watcher.id())).unwrap();
    let after = text.rsplit_once(')').unwrap().1;
    let numbers: Vec<&str> = after.split_ascii_whitespace().collect();
    let ticks: f64 = numbers[11].parse::<f64>().unwrap() + numbers[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// How often any thread was woken so far.
fn wakes(watcher: &Watcher<'_>) -> u64 {
    let tasks = format!("/proc/{}/task", watcher.id());
    let mut all = 0;
    for task in std::fs::read_dir(tasks).unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt"))
            .unwrap();
        all += line
            .split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap();
    }
    all
}
