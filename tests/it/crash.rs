//! The real binary killed with SIGKILL at any moment, under a real server, with changes on both
//! sides; then run again. Judged by readers that know only IMAP and files.
//!
//! `MAILTIDE_KILLS=N` sets the number of kills.

use crate::support::server::*;
use std::collections::BTreeMap;
use std::time::Duration;

const DATE: &str = "17-Jul-2024 02:44:25 +0200";

fn mail(n: usize) -> String {
    let body = "line of text\n".repeat(n * 37 % 400 + 1);
    format!("From: a@example.org\nSubject: message {n}\nMessage-ID: <{n}@x>\n\n{body}")
}

fn number(seen: &Seen) -> usize {
    let text = String::from_utf8_lossy(&seen.body).into_owned();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("Subject: message "))
        .unwrap()
        .to_owned();
    line.parse().unwrap()
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_doubled() {
    let kills = std::env::var("MAILTIDE_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200);
    let server = Server::start();
    // How long a cut upload may still appear; on loopback it has by then, or never will.
    let home = Home::new(&server, "u1", "timeout = 2\nmax_delete_count = 1000");
    let mut phone = server.phone("u1");
    phone.on("CREATE", &["Work"]);
    home.sync_twice();
    let mut alive: BTreeMap<usize, ()> = BTreeMap::new();
    let mut next = 0;
    let mut chance = 0x2545_f491_u64;
    let mut below = |n: u64| {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695);
        (chance >> 33) % n
    };
    for round in 0..kills {
        for _ in 0..20 {
            let name = if below(2) == 0 { "INBOX" } else { "Work" };
            if below(2) == 0 {
                phone.append(name, "", DATE, mail(next).replace('\n', "\r\n").as_bytes());
            } else {
                home.deliver(
                    name,
                    &format!("new/17{next:08}.M1P1.me"),
                    mail(next).as_bytes(),
                );
            }
            alive.insert(next, ());
            next += 1;
        }
        let mut child = home.mailtide().arg("-q").arg("sync").spawn().unwrap();
        std::thread::sleep(Duration::from_micros(below(90_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        // Somebody deletes a message that both sides have, here or there.
        if round % 3 == 0 {
            let (code, report) = home.sync();
            assert_eq!(code, 0, "round {round}: {report:#}");
            let there = phone.read("INBOX");
            let doomed = number(&there[below(there.len() as u64) as usize]);
            phone.run("SELECT INBOX");
            let found = phone.run(&format!("UID SEARCH SUBJECT \"message {doomed}\""));
            let text = String::from_utf8_lossy(&found[0]).into_owned();
            let uids: Vec<&str> = text.trim().split(' ').skip(2).collect();
            if let [uid] = uids.as_slice() {
                phone.run(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
                phone.run(&format!("UID EXPUNGE {uid}"));
                alive.remove(&doomed);
            }
        }
    }
    let (code, report) = home.sync();
    assert_eq!(code, 0, "{report:#}");
    home.sync_twice();
    assert_same(&server, "u1", &home);
    let mut have: BTreeMap<usize, usize> = BTreeMap::new();
    for seen in read_maildir(&home.mail()).values().flatten() {
        *have.entry(number(seen)).or_default() += 1;
    }
    let once: BTreeMap<usize, usize> = alive.keys().map(|n| (*n, 1)).collect();
    assert_eq!(have, once, "each message exactly once after {kills} kills");
}
