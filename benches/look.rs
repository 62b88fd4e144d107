//! How long it takes to look at a large mailbox on disk:
//!
//!     cargo bench --bench look [-- MESSAGES]      20,000 messages
//!
//! Prints the median of five runs of `list --local` for all of the messages, for the newest 50, and of
//! `mailboxes --local`. Ends with an error when listing all of them takes longer than a second.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A listing of all messages is to stay below this.
const LIMIT: Duration = Duration::from_secs(1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|a| a == "--bench");
    if flags.is_empty() {
        println!("the tests build this, and do not run it");
        return;
    }
    let messages = arguments.first().and_then(|text| text.parse().ok());
    let messages = messages.unwrap_or(20_000);
    let dir = tempfile::tempdir().unwrap();
    fill(&dir.path().join("Mail/INBOX"), messages);
    configure(dir.path());
    println!("{messages} messages on disk");
    let all = median(dir.path(), &["list", "INBOX", "--local"]);
    median(dir.path(), &["list", "INBOX", "--local", "--limit", "50"]);
    median(dir.path(), &["mailboxes", "--local"]);
    assert!(all < LIMIT, "listing all messages took {all:?}");
}

/// Every fifth message has an attachment, every third is unread.
fn fill(mailbox: &Path, messages: usize) {
    for sub in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(mailbox.join(sub)).unwrap();
    }
    let text = "A line of text such as people write, again and again.\n".repeat(60);
    let coded =
        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5\n".repeat(300);
    for n in 0..messages {
        let received = "Received: from a.example by b.example with ESMTPS id 1234567890;\n Mon, \
                        02 Nov 2026 10:00:00 +0000\n";
        let head = format!(
            "{}From: =?utf-8?Q?J=C3=B6rg?= Number {n} <n{n}@example.org>\nTo: me@example.org\n\
             Subject: message {n} about something\nMessage-ID: <{n}@example.org>\n\
             Date: Mon, 02 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\n",
            received.repeat(8)
        );
        let body = match n % 5 {
            0 => format!(
                "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n{text}\
                 --b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\
                 Content-Disposition: attachment; filename=\"a.pdf\"\n\n{coded}--b--\n"
            ),
            _ => format!("Content-Type: text/plain; charset=utf-8\n\n{text}"),
        };
        let info = if n % 3 == 0 { "" } else { "S" };
        let name = format!("{}.000000be_{n:08x}_1.host:2,{info}", 1_700_000_000 + n);
        std::fs::write(mailbox.join("cur").join(name), head + &body).unwrap();
    }
}

fn configure(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let shown = dir.display();
    let text = format!(
        "state_dir = \"{shown}/state\"\n[accounts.test]\nhost = \"127.0.0.1\"\nport = 1\n\
         tls = \"none\"\nuser = \"me\"\npassword = \"pass\"\nmaildir = \"{shown}/Mail\"\n"
    );
    let path = dir.join("config.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn median(dir: &Path, command: &[&str]) -> Duration {
    let run = || {
        let began = Instant::now();
        let status = Command::new(env!("CARGO_BIN_EXE_mailtide"))
            .arg("--config")
            .arg(dir.join("config.toml"))
            .args(command)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{command:?}");
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..5).map(|_| run()).collect();
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "{:>8.1} ms  mailtide {}",
        median.as_secs_f64() * 1000.0,
        command.join(" ")
    );
    median
}
