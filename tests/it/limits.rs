//! Memory stays flat, whatever the mailbox and whatever the message.

use crate::support::dovecot::*;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

const DATE: &str = "17-Jul-2024 02:44:25 +0200";

/// Runs a sync and answers with its exit status and the most memory it ever held, KiB.
fn peak(home: &Home) -> (i32, u64) {
    let mut child = home.mailtide().arg("-q").arg("sync").spawn().unwrap();
    let path = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code().unwrap(), most);
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse().ok());
        most = most.max(now.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Appends many messages without waiting for each answer.
fn fill(server: &Dovecot, count: usize) {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
    let mut writer = std::io::BufWriter::with_capacity(1 << 16, stream);
    writer.write_all(b"a LOGIN u1 pass\r\n").unwrap();
    writer.flush().unwrap();
    let mut line = String::new();
    while !line.starts_with("a OK") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut reader, &mut line).unwrap() > 0);
    }
    let done = std::thread::spawn(move || {
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut reader, &mut line).unwrap() > 0 {
            if line.starts_with("end ") {
                return line;
            }
            line.clear();
        }
        line
    });
    for n in 0..count {
        let body = format!(
            "From: a@x\r\nSubject: message {n}\r\n\r\n{}\r\n",
            "word ".repeat(20 + n % 200)
        );
        let head = format!(
            "b{n} APPEND INBOX (\\Seen) \"{DATE}\" {{{}+}}\r\n",
            body.len()
        );
        writer.write_all(head.as_bytes()).unwrap();
        writer.write_all(body.as_bytes()).unwrap();
        writer.write_all(b"\r\n").unwrap();
    }
    writer.write_all(b"end NOOP\r\n").unwrap();
    writer.flush().unwrap();
    assert!(done.join().unwrap().starts_with("end OK"));
}

#[test]
fn a_first_sync_of_20_000_messages_takes_less_than_64_mib() {
    let server = Dovecot::start(FULL);
    fill(&server, 20_000);
    let home = Home::new(&server, "u1", "");
    let began = std::time::Instant::now();
    let (code, kib) = peak(&home);
    eprintln!(
        "first sync of 20,000 messages: {kib} KiB, {:?}",
        began.elapsed()
    );
    assert_eq!(code, 0);
    assert!(kib < 64 * 1024, "{kib} KiB");
    let began = std::time::Instant::now();
    let (code, kib) = peak(&home);
    eprintln!("nothing changed: {kib} KiB, {:?}", began.elapsed());
    assert_eq!(code, 0);
    home.sync_twice();
    assert_eq!(read_maildir(&home.mail())["INBOX"].len(), 20_000);
}

#[test]
fn a_message_of_50_mib_goes_both_ways_without_being_held_in_memory() {
    let server = Dovecot::start(FULL);
    let (a, b) = (Home::new(&server, "u1", ""), Home::new(&server, "u1", ""));
    a.sync_twice();
    let line = "x".repeat(70) + "\n";
    let body = format!("Subject: large\n\n{}", line.repeat((50 << 20) / line.len()));
    a.deliver("INBOX", "new/1.a.me", body.as_bytes());
    for (home, what) in [(&a, "up"), (&b, "down")] {
        let (code, kib) = peak(home);
        eprintln!("50 MiB {what}: {kib} KiB");
        assert_eq!(code, 0);
        assert!(kib < 64 * 1024, "{what}: {kib} KiB");
    }
    let got = read_maildir(&b.mail()).remove("INBOX").unwrap();
    assert!(got.len() == 1 && got[0].body == canonical(body.as_bytes()));
}
