//! Servers that send 256 MiB of something: it costs little more memory than an ordinary run.

use super::{home, ordinary};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Bytes that a server sends.
const SENT: usize = 256 << 20;
/// Memory beyond that of an ordinary run, KiB.
const MORE: u64 = 32 << 10;

/// One message in INBOX and in Far.
fn one_message(tag: &str, command: &str) -> String {
    match command.split(' ').next().unwrap_or("") {
        "CAPABILITY" => {
            let all = "IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS ESEARCH MOVE ID NAMESPACE";
            format!("* CAPABILITY {all}\r\n{tag} OK done\r\n")
        }
        "ENABLE" => format!("* ENABLED QRESYNC\r\n{tag} OK done\r\n"),
        "LIST" => format!("* LIST () \"/\" INBOX\r\n* LIST () \"/\" Far\r\n{tag} OK done\r\n"),
        "SELECT" | "EXAMINE" => format!(
            "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n\
             * OK [HIGHESTMODSEQ 9] x\r\n{tag} OK done\r\n"
        ),
        "UID" | "FETCH" if command.contains("FETCH") => {
            let body = match command.contains("BODY.PEEK[]") {
                true => " BODY[] {14}\r\nSubject: a\r\n\r\n",
                false => "",
            };
            let one = "UID 1 MODSEQ (5) FLAGS (\\Seen) RFC822.SIZE 14";
            format!("* 1 FETCH ({one}{body})\r\n{tag} OK done\r\n")
        }
        _ => ordinary(tag, command),
    }
}

fn talk(mut stream: TcpStream, verb: &str, start: &str, more: &str) {
    let reader = BufReader::new(stream.try_clone().unwrap());
    let flood = |stream: &mut TcpStream| {
        let mut sent = stream.write_all(start.as_bytes());
        for _ in 0..SENT.div_ceil(more.len()) {
            if sent.is_err() {
                return;
            }
            sent = stream.write_all(more.as_bytes());
        }
    };
    if verb == "greeting" {
        return flood(&mut stream);
    }
    if stream.write_all(b"* OK hi\r\n").is_err() {
        return;
    }
    for line in reader.lines().map_while(Result::ok) {
        let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
        if !verb.is_empty() && command.contains(verb) {
            return flood(&mut stream);
        }
        if stream
            .write_all(one_message(tag, command).as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// The peak of memory of a command against such a server, KiB.
fn peak(command: &[&str], verb: &'static str, start: &str, more: &str) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (start, more) = (start.to_owned(), more.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (start, more) = (start.clone(), more.clone());
            std::thread::spawn(move || talk(stream, verb, &start, &more));
        }
    });
    let home = home(
        port,
        "tls = \"none\"\npassword = \"x\"\nmailboxes = [\"INBOX\"]",
    );
    let began = Instant::now();
    let mut child = home
        .mailtide()
        .args(command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse().ok());
        most = most.max(now.unwrap_or(0));
        assert!(began.elapsed() < Duration::from_secs(120), "{verb}: no end");
        std::thread::sleep(Duration::from_millis(3));
    }
    most
}

#[test]
fn hostile_data_costs_little_memory() {
    let words: String = (0..100_000).map(|n| format!("keyword{n} ")).collect();
    let rows = |row: &dyn Fn(usize) -> String| (0..20_000).map(row).collect::<String>();
    let flags = rows(&|n| format!("* {n} FETCH (UID {} FLAGS (key{n} word{n}))\r\n", n + 1));
    let literal = format!("{{1000000}}\r\n{} ", "x".repeat(1_000_000));
    let filler = "x".repeat(1 << 20);
    let numbers: String = (0..100_000).map(|n| format!("{} ", 2 * n + 1)).collect();
    let (sync, list) = (&["sync"][..], &["list", "Far"][..]);
    let ordinary = peak(sync, "", "", "");
    let cases: &[(&[&str], &'static str, &str, &str)] = &[
        (sync, "greeting", "* OK ", &filler),
        (sync, "greeting", "* OK [CAPABILITY ", &words),
        (sync, "greeting", "", "* OK still here\r\n"),
        (sync, "CAPABILITY", "* CAPABILITY ", &words),
        (sync, "LOGIN", "", "* OK still here\r\n"),
        (sync, "LIST", "* LIST () \"/\" ", &literal),
        (sync, "LIST", "* LIST (", &words),
        (sync, "NAMESPACE", "* NAMESPACE ((", "(\"a\" \"b\") "),
        (sync, "SELECT", "* FLAGS (", &words),
        (sync, "SELECT", "* OK [PERMANENTFLAGS (", &words),
        (sync, "SELECT", "", &flags),
        (sync, "FETCH", "* 1 FETCH (UID 1 FLAGS (", &words),
        (sync, "FETCH", "", &flags),
        (sync, "FETCH", "* 1 FETCH (UID 1 BODY[HEADER] ", &literal),
        (
            sync,
            "FETCH",
            "* 1 FETCH (UID 1 BODY[HEADER] {268435456}\r\n",
            &filler,
        ),
        (sync, "FETCH", "* 1 FETCH (UID 1 ENVELOPE (", &literal),
        (
            sync,
            "FETCH",
            "* 1 FETCH (UID 1 BODYSTRUCTURE (",
            "(\"a\" \"b\" NIL) ",
        ),
        (sync, "FETCH", "* 1 FETCH (UID 1 BODYSTRUCTURE ", "("),
        (sync, "FETCH", "* VANISHED (EARLIER) ", "1:2,"),
        (sync, "FETCH", "* ESEARCH (TAG \"a\") UID ALL ", &numbers),
        (list, "FETCH", "* 1 FETCH (UID 1 FLAGS (", &words),
        (list, "FETCH", "", &flags),
        (
            list,
            "FETCH",
            "* 1 FETCH (UID 1 BODYSTRUCTURE (",
            "(\"a\" \"b\" NIL) ",
        ),
        (
            list,
            "FETCH",
            "* 1 FETCH (UID 1 BODY[HEADER] {268435456}\r\n",
            &filler,
        ),
        (list, "FETCH", "* 1 FETCH (UID 1 BODY[HEADER] ", &literal),
    ];
    let mut over = Vec::new();
    for (command, verb, start, more) in cases {
        let shown: String = more.chars().take(20).collect();
        let took = peak(command, verb, start, more).saturating_sub(ordinary);
        eprintln!("{took:8} KiB {command:?} {verb} {start}{shown:?}");
        if took > MORE {
            over.push(format!("{took} KiB: {command:?} {verb} {start}{shown:?}"));
        }
    }
    assert!(over.is_empty(), "beyond {ordinary} KiB: {over:#?}");
}
