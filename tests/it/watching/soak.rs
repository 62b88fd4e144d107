//! The watcher for minutes, with a second client and a mail reader that both edit at random while
//! lines, server and process fail: in the end both sides are equal, nothing is lost, nothing is
//! doubled, no change was missed, and it holds no more memory and files than at the beginning.
//!
//! `MAILTIDE_SOAK=N` sets the seconds, `MAILTIDE_SEED=N` repeats a run as far as it goes.

use super::*;
use crate::convergence::users::Chance;
use crate::support::line::{Line, Way};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const MAILBOXES: [&str; 4] = ["INBOX", "Work", "Lists", "Lists/Rust"];
const DATE: &str = " 1-Jan-2024 10:00:00 +0000";

/// What must come out: each message is moved and deleted by one of the two only, and flagged by
/// both.
#[derive(Default)]
struct Ledger {
    next: usize,
    /// Messages that nobody deleted, and where their owner put them last.
    alive: BTreeMap<usize, &'static str>,
    deleted: BTreeSet<usize>,
    edits: usize,
}

struct Shared {
    ledger: Mutex<Ledger>,
    /// Whether messages are moved. Where the server has no MOVE, a line that is cut between COPY
    /// and its answer may leave a message twice if it is moved on before the next look (decision
    /// 0013), and here lines are cut all the time.
    moves: bool,
    over: AtomicBool,
}

fn body(n: usize) -> String {
    format!("Message-ID: <s{n}@soak>\r\nSubject: soak {n} end\r\n\r\nbody of {n}\r\n")
}

fn number(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body).into_owned();
    let found = text.split_once("Subject: soak ");
    let number = found.and_then(|(_, after)| after.split_once(" end")?.0.parse().ok());
    number.unwrap_or_else(|| panic!("nobody wrote {text:?}"))
}

/// The client on the server's side. Its messages have even numbers.
fn phone(server: u16, shared: &Shared, mut chance: Chance) {
    let mut phone = Phone::connect(server, "u1");
    while !shared.over.load(Ordering::SeqCst) {
        let mailbox = MAILBOXES[chance.below(4)];
        phone.try_run("UNSELECT");
        if chance.one_in(3) {
            let n = shared.new_message(0, mailbox);
            phone.append(mailbox, "", DATE, body(n).as_bytes());
        }
        phone.on("SELECT", &[mailbox]);
        let lines = phone.run("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        let text = lines.concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let all: Vec<(u32, usize)> = text
            .split("* ")
            .filter_map(|part| {
                let uid = part
                    .split_once("UID ")?
                    .1
                    .split([' ', ')'])
                    .next()?
                    .parse()
                    .ok()?;
                let n = part
                    .split_once("soak ")?
                    .1
                    .split_once(" end")?
                    .0
                    .parse()
                    .ok()?;
                Some((uid, n))
            })
            .collect();
        let Some((uid, n)) = all.get(chance.below(all.len().max(1))).copied() else {
            continue;
        };
        let own = n % 2 == 0;
        match chance.below(10) {
            0 if own && shared.delete(n, mailbox) => {
                phone.run(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
                phone.run(&format!("UID EXPUNGE {uid}"));
            }
            1 | 2 if own => {
                let to = MAILBOXES[chance.below(4)];
                if shared.moves && to != mailbox && shared.move_to(n, mailbox, to) {
                    phone.move_to(&uid.to_string(), to);
                }
            }
            _ => {
                let sign = if chance.one_in(2) { '+' } else { '-' };
                let flag = ["\\Seen", "\\Flagged", "\\Answered", "$Label"][chance.below(4)];
                phone.run(&format!("UID STORE {uid} {sign}FLAGS.SILENT ({flag})"));
                shared.ledger.lock().unwrap().edits += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(chance.below(60) as u64));
    }
}

/// The mail reader on disk. Its messages have odd numbers. Where mailtide was faster, it looks
/// again, as mail readers do.
fn reader(home: &Home, shared: &Shared, mut chance: Chance) {
    while !shared.over.load(Ordering::SeqCst) {
        let mailbox = MAILBOXES[chance.below(4)];
        if chance.one_in(3) {
            let n = shared.new_message(1, mailbox);
            let name = format!("tmp/18{n:08}.M1P1.soak");
            let tmp = home.deliver(mailbox, &name, body(n).replace('\r', "").as_bytes());
            let to = home.mail().join(mailbox).join(name.replace("tmp/", "new/"));
            std::fs::rename(tmp, to).unwrap();
        }
        let all = files(home, mailbox);
        let Some(path) = all.get(chance.below(all.len().max(1))) else {
            continue;
        };
        let Ok(bytes) = std::fs::read(path) else {
            continue;
        };
        let (n, name) = (number(&bytes), path.file_name().unwrap().to_str().unwrap());
        let (base, info) = name.split_once(":2,").unwrap_or((name, ""));
        // What it deleted and the phone flagged at the same moment comes back, and is nobody's.
        let own = n % 2 == 1 && !shared.ledger.lock().unwrap().deleted.contains(&n);
        let at = |mailbox: &str, letters: &str| {
            home.mail()
                .join(mailbox)
                .join("cur")
                .join(format!("{base}:2,{letters}"))
        };
        match chance.below(10) {
            // What is taken out of the ledger and is gone under this name is looked for again.
            0 if own && std::fs::rename(path, home.dir.path().join("bin")).is_ok() => {
                assert!(
                    shared.delete(n, mailbox),
                    "{n}, {name}, was not in {mailbox}"
                );
            }
            1 | 2 if own => {
                let to = MAILBOXES[chance.below(4)];
                // Letters of keywords mean something in their mailbox only.
                let system: String = info.chars().filter(char::is_ascii_uppercase).collect();
                let plain = system == info;
                if shared.moves
                    && to != mailbox
                    && plain
                    && std::fs::rename(path, at(to, info)).is_ok()
                {
                    assert!(
                        shared.move_to(n, mailbox, to),
                        "{n}, {name}, was not in {mailbox}"
                    );
                }
            }
            _ => {
                let letter = ['S', 'F', 'R'][chance.below(3)];
                let mut letters: BTreeSet<char> = info.chars().collect();
                if !letters.remove(&letter) {
                    letters.insert(letter);
                }
                let letters: String = letters.into_iter().collect();
                if std::fs::rename(path, at(mailbox, &letters)).is_ok() {
                    shared.ledger.lock().unwrap().edits += 1;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(chance.below(60) as u64));
    }
}

impl Shared {
    fn new_message(&self, odd: usize, mailbox: &'static str) -> usize {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.next += 1;
        let n = ledger.next * 2 + odd;
        ledger.alive.insert(n, mailbox);
        ledger.edits += 1;
        n
    }

    fn delete(&self, n: usize, mailbox: &str) -> bool {
        let mut ledger = self.ledger.lock().unwrap();
        if ledger.alive.get(&n) != Some(&mailbox) {
            return false;
        }
        ledger.alive.remove(&n);
        ledger.edits += 1;
        ledger.deleted.insert(n)
    }

    fn move_to(&self, n: usize, from: &str, to: &'static str) -> bool {
        let mut ledger = self.ledger.lock().unwrap();
        if ledger.alive.get(&n) != Some(&from) {
            return false;
        }
        ledger.edits += 1;
        ledger.alive.insert(n, to);
        true
    }
}

/// Lines, server and process fail, each for a moment.
fn fail(watcher: &Watcher<'_>, line: &Line, chance: &mut Chance) {
    let moment = Duration::from_millis(200 + chance.below(1500) as u64);
    match chance.below(8) {
        0 => {
            line.set(Way::Reset);
            std::thread::sleep(moment);
        }
        1 => {
            line.set(Way::Silent);
            std::thread::sleep(moment);
            line.cut();
        }
        2 => {
            line.set(Way::Slow(20));
            std::thread::sleep(2 * moment);
        }
        3 => {
            line.set(Way::Drips);
            std::thread::sleep(2 * moment);
        }
        4 => line.cut(),
        5 => {
            watcher.signal("STOP");
            std::thread::sleep(moment);
            watcher.signal("CONT");
        }
        6 => watcher.signal("USR1"),
        _ => {
            line.set(Way::Reset);
            line.set(Way::Good);
        }
    }
    line.set(Way::Good);
}

fn resources(watcher: &Watcher<'_>) -> (usize, f64) {
    let proc = PathBuf::from(format!("/proc/{}", watcher.id()));
    let files = std::fs::read_dir(proc.join("fd")).unwrap().count();
    let status = std::fs::read_to_string(proc.join("status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kib: f64 = line
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    (files, kib / 1024.0)
}

#[test]
fn for_minutes_with_everybody_at_work_and_everything_failing() {
    let number_of = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let seconds: u64 = number_of("MAILTIDE_SOAK").unwrap_or(180);
    let seed: u64 = number_of("MAILTIDE_SEED").unwrap_or(4);
    let server = Server::start();
    let mut setup = server.phone("u1");
    for mailbox in &MAILBOXES[1..] {
        setup.on("CREATE", &[mailbox]);
    }
    let line = Line::to(server.port);
    let home = Home::new(&server, "u1", "");
    let dir = home.dir.path().display();
    home.write_config(&format!(
        "state_dir = \"{dir}/state\"\n[accounts.test]\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"none\"\nuser = \"u1\"\npassword = \"pass\"\nmaildir = \"{dir}/Mail\"\n\
         timeout = 3\nidle_renew = 2\npoll_interval = 5\nmax_delete_count = 1000\n",
        line.port
    ));
    let watcher = Watcher::in_step(&home);
    let shared = Arc::new(Shared {
        ledger: Mutex::default(),
        moves: setup.can("MOVE"),
        over: AtomicBool::new(false),
    });
    let (mut chance, began) = (Chance::new(seed), Instant::now());
    let mut early = None;
    std::thread::scope(|threads| {
        let port = server.port;
        let phone = threads.spawn({
            let shared = shared.clone();
            move || phone(port, &shared, Chance::new(seed + 1))
        });
        let reader = threads.spawn(|| reader(&home, &shared, Chance::new(seed + 2)));
        while began.elapsed() < Duration::from_secs(seconds) {
            if reader.is_finished() || phone.is_finished() {
                break;
            }
            fail(&watcher, &line, &mut chance);
            std::thread::sleep(Duration::from_millis(500 + chance.below(2500) as u64));
            if began.elapsed() > Duration::from_secs(seconds / 3) && early.is_none() {
                early = Some(resources(&watcher));
            }
        }
        shared.over.store(true, Ordering::SeqCst);
        assert!(
            phone.join().is_ok() && reader.join().is_ok(),
            "somebody fell over"
        );
    });
    line.set(Way::Good);
    wait_for("both sides are the same", || {
        let here = try_read_maildir(&home.mail());
        here.is_ok_and(|here| server.phone("u1").view() == here)
    });
    watcher.wait("in step", |test| {
        test["state"] == "synced" && test["lag"] == 0.0
    });
    assert_same(&server, "u1", &home);
    judge(&server, &shared.ledger.lock().unwrap());
    // Without CONDSTORE every look compares all, and none is counted as one more; nor is one of
    // which a server tells only now that something had changed in it.
    let compared = if setup.can("CONDSTORE") { 4 } else { 0 };
    wait_for("all are compared", || {
        let out = home.run(&["sync", "--full", "--json"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let object: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        let test = &object["accounts"][0];
        let found = (&test["drift"], &test["changes"]);
        assert_eq!(found, (&0.into(), &0.into()), "{test:#}");
        test["compared"] == compared
    });
    let ((files, memory), (files_end, memory_end)) = (early.unwrap(), resources(&watcher));
    let edits = shared.ledger.lock().unwrap().edits;
    println!(
        "{seconds} s, {edits} edits, {} connections, {} cycles; files {files} -> {files_end}, \
         memory {memory:.1} -> {memory_end:.1} MiB",
        line.connections(),
        watcher.status()["cycles"]
    );
    assert!(files_end <= files + 3, "{files} -> {files_end} files");
    assert!(memory_end <= memory + 8.0, "{memory} -> {memory_end} MiB");
    assert!(memory_end < 40.0, "{memory_end} MiB");
}

/// Nothing that nobody deleted is lost, nothing is doubled, and all lies where it was put last.
fn judge(server: &Server, ledger: &Ledger) {
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (mailbox, all) in server.phone("u1").view() {
        for message in all {
            let n = number(&message.body);
            found.entry(n).or_default().push(mailbox.clone());
        }
    }
    for (n, mailbox) in &ledger.alive {
        let places = found.get(n).cloned().unwrap_or_default();
        assert_eq!(places, [mailbox.to_owned()], "message {n}");
    }
    for (n, places) in &found {
        assert!(places.len() == 1, "message {n} is in {places:?}");
        assert!(
            ledger.alive.contains_key(n) || ledger.deleted.contains(n),
            "{n} is nobody's"
        );
    }
    assert!(
        ledger.alive.len() > 10 && ledger.deleted.len() > 1,
        "too little was tried"
    );
}
