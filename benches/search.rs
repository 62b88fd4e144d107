//! The search index, and notmuch beside it where that is installed:
//!
//!     cargo bench --bench search [-- MESSAGES]                                20,000 messages
//!
//! Prints how long it takes to index a Maildir from nothing and again, how much memory that takes,
//! how large the index is, and how long a search for a word takes, a whole process each. Ends with
//! an error when 20,000 messages take longer than a minute, a word longer than 50 ms, or more than
//! 40 MiB are used.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WORD: &str = "w1200";
const RARE: &str = "zwischenbericht";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|a| a == "--bench");
    if flags.is_empty() {
        println!("the tests build this, and do not run it");
        return;
    }
    let messages = arguments.first().and_then(|text| text.parse().ok());
    let messages: usize = messages.unwrap_or(20_000);
    let dir = tempfile::tempdir().unwrap();
    let bytes = fill(&dir.path().join("Mail"), messages);
    configure(dir.path());
    println!("{messages} messages of {} MB in 10 mailboxes", bytes >> 20);
    let (first, peak) = timed(&mut mailtide(dir.path(), &["index"]));
    let (again, _) = timed(&mut mailtide(dir.path(), &["index"]));
    let index = size(&dir.path().join("state"));
    println!(
        "mailtide index: {:.1} s, {} MiB of memory, {} MB on disk; again: {:.2} s",
        first.as_secs_f64(),
        peak >> 10,
        index >> 20,
        again.as_secs_f64()
    );
    let mut slowest = Duration::ZERO;
    for word in [WORD, RARE] {
        let search = median(&["search", "--local", "--files", word], |all| {
            mailtide(dir.path(), all)
        });
        println!(
            "mailtide search {word}: {:.1} ms",
            search.as_secs_f64() * 1000.0
        );
        slowest = slowest.max(search);
    }
    beside(dir.path());
    if messages <= 20_000 {
        assert!(
            first < Duration::from_secs(60),
            "indexing took longer than a minute"
        );
        assert!(
            slowest < Duration::from_millis(50),
            "a word took longer than 50 ms"
        );
        assert!(peak < 40 << 10, "more than 40 MiB");
    }
}

/// The same by notmuch.
fn beside(dir: &Path) {
    let config = dir.join("notmuch-config");
    let mail = dir.join("Mail");
    let text = format!("[database]\npath={}\n[new]\ntags=\n", mail.display());
    std::fs::write(&config, text).unwrap();
    let notmuch = |arguments: &[&str]| {
        let mut command = Command::new("notmuch");
        command.args(arguments).env("NOTMUCH_CONFIG", &config);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    if notmuch(&["--version"]).status().is_err() {
        println!("no notmuch here");
        return;
    }
    let (first, peak) = timed(&mut notmuch(&["new", "--quiet"]));
    let index = size(&mail.join(".notmuch"));
    println!(
        "notmuch new: {:.1} s, {} MiB of memory, {} MB on disk",
        first.as_secs_f64(),
        peak >> 10,
        index >> 20
    );
    for word in [WORD, RARE] {
        let search = median(&["search", "--output=files", word], |all| notmuch(all));
        println!(
            "notmuch search {word}: {:.1} ms",
            search.as_secs_f64() * 1000.0
        );
    }
}

fn mailtide(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailtide"));
    command.arg("--config").arg(dir.join("config.toml"));
    command.args(arguments).stdout(Stdio::null());
    command
}

/// How long a command takes, and the most memory that it had, KiB.
fn timed(command: &mut Command) -> (Duration, u64) {
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{command:?}");
            return (began.elapsed(), peak);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn median(arguments: &[&str], command: impl Fn(&[&str]) -> Command) -> Duration {
    let one = |_| {
        let began = Instant::now();
        assert!(command(arguments).status().unwrap().success());
        began.elapsed()
    };
    let mut all: Vec<Duration> = (0..11).map(one).collect();
    all.sort();
    all[5]
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }

    /// A word: some are frequent and most are not, as in a language.
    fn word(&mut self) -> String {
        let room = [50, 500, 5000, 50_000][usize::try_from(self.below(4)).unwrap()];
        format!("w{}", self.below(room))
    }
}

fn fill(mail: &Path, messages: usize) -> u64 {
    let mut dice = Dice(7);
    let mut bytes = 0;
    for n in 0..10 {
        for sub in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(mail.join(format!("list {n}")).join(sub)).unwrap();
        }
    }
    for n in 0..messages {
        let mut text = format!(
            "From: {} <{}@example.org>\nTo: me@example.org\nSubject: {} {}\n\
             Message-ID: <{n}@x>\nDate: Thu, 01 Feb 2024 08:00:00 +0000\n",
            dice.word(),
            dice.word(),
            dice.word(),
            dice.word()
        );
        let attached = n % 10 == 0;
        if attached {
            text += "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
                     Content-Type: text/plain; charset=utf-8\n";
        }
        for m in 0..dice.below(1500) {
            let end = if m % 12 == 11 { "\n" } else { " " };
            write!(
                text,
                "{}{end}",
                if m == 0 { "\n".into() } else { dice.word() }
            )
            .unwrap();
        }
        if n % 5000 == 17 {
            text += RARE;
        }
        if attached {
            text += "\n--b\nContent-Type: image/jpeg; name=\"a.jpg\"\n\
                     Content-Transfer-Encoding: base64\n\n";
            for _ in 0..500 {
                let low = dice.below(9);
                writeln!(text, "{0:016x}{low:016x}{0:016x}", dice.0).unwrap();
            }
            text += "--b--\n";
        }
        bytes += text.len() as u64;
        let path = mail.join(format!(
            "list {}/cur/{}.M{n}.bench:2,S",
            n % 10,
            1_700_000_000 + n
        ));
        std::fs::write(path, text).unwrap();
    }
    bytes
}

fn configure(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("config.toml");
    let at = dir.display();
    std::fs::create_dir(dir.join("state")).unwrap();
    std::fs::set_permissions(dir.join("state"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let text = format!(
        "state_dir = \"{at}/state\"\n[accounts.a]\nhost = \"127.0.0.1\"\nuser = \"u\"\n\
         password = \"p\"\nmaildir = \"{at}/Mail\"\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn size(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
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
