//! Many accounts in one run, against a private Dovecot on loopback:
//!
//!     cargo bench --bench accounts [-- ACCOUNTS [MESSAGES]]      50 accounts of 1,000 messages
//!
//! Prints how long a sync of all of them takes where nothing changed (the median of nine), and how
//! large their state is. Ends with an error when that takes longer than a second.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/it/support"]
mod support {
    pub mod dovecot;
    pub mod phone;
    pub mod server;
    pub mod traits;
}

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::dovecot::{Dovecot, FULL};
use support::server::Home;

/// A sync of all accounts is to stay below this.
const LIMIT: Duration = Duration::from_secs(1);
const MAILBOXES: usize = 10;
const DATE: &str = "01-Feb-2024 08:00:00 +0000";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|a| a == "--bench");
    if flags.is_empty() {
        println!("the tests build this, and do not run it");
        return;
    }
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse().ok());
    let (accounts, messages) = (number(0).unwrap_or(50), number(1).unwrap_or(1000));
    let server = Dovecot::start(FULL);
    fill(&server, accounts, messages);
    let home = Home::new(&server, "u1", "");
    configure(&home, server.port, accounts);
    sync(&home);
    let size = size(&home.dir.path().join("state")) / (accounts * messages) as u64;
    let mut times: Vec<Duration> = (0..9).map(|_| sync(&home)).collect();
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{accounts} accounts of {messages} messages in {MAILBOXES} mailboxes, nothing changed: \
         {:.0} ms ({:.0} to {:.0})",
        ms(times[4]),
        ms(times[0]),
        ms(times[8])
    );
    println!("state after the first sync: {size} bytes a message");
    assert!(times[4] < LIMIT, "longer than {LIMIT:?}");
}

/// The mail of one user, and copies of it for the others.
fn fill(server: &Dovecot, accounts: usize, messages: usize) {
    let mut phone = server.phone("u1");
    for n in 0..MAILBOXES {
        phone.on("CREATE", &[&format!("list {n}")]);
    }
    for m in 0..messages {
        let body = format!(
            "From: a@example.org\r\nSubject: {m}\r\nMessage-ID: <{m}@x>\r\n\r\n{}",
            "a line of text\r\n".repeat(20)
        );
        phone.append(
            &format!("list {}", m % MAILBOXES),
            "",
            DATE,
            body.as_bytes(),
        );
    }
    let mail = server.dir.path().join("mail");
    for n in 2..=accounts {
        let copied = Command::new("cp")
            .arg("-a")
            .args([mail.join("u1"), mail.join(format!("u{n}"))])
            .status()
            .unwrap();
        assert!(copied.success());
    }
}

fn configure(home: &Home, port: u16, accounts: usize) {
    let dir = home.dir.path().display();
    let mut config = format!("state_dir = \"{dir}/state\"\n");
    for n in 1..=accounts {
        writeln!(
            config,
            "[accounts.u{n}]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             user = \"u{n}\"\npassword = \"pass\"\nmaildir = \"{dir}/Mail/u{n}\""
        )
        .unwrap();
    }
    home.write_config(&config);
}

/// How long a sync of all accounts took.
fn sync(home: &Home) -> Duration {
    let began = Instant::now();
    let out = home.run(&["-q", "sync"]);
    let took = began.elapsed();
    assert!(out.status.success(), "{out:?}");
    took
}

fn size(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap();
    let one = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        match about.is_dir() {
            true => size(&entry.path()),
            false => about.len(),
        }
    };
    entries.map(one).sum()
}
