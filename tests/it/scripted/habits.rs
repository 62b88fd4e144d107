//! Servers that do something else with messages than they say, and those whose connection breaks at
//! one message: the program keeps an account in step with them, and then its state is lost.

use super::{home, run};
use crate::anywhere::{files, rename_flags};
use crate::sim::habits::{HABITS, Habit, number};
use crate::sim::profile::Profile;
use crate::sim::serve::serve;
use crate::sim::stage::Shared;
use crate::support::dovecot::Home;
use std::collections::{BTreeMap, BTreeSet};

fn wire(n: usize) -> Vec<u8> {
    let text = "0123456789\r\n".repeat(n * 40);
    format!("Subject: c{n}\r\nMessage-ID: <c{n}@x>\r\n\r\nbody of {n}\r\n{text}").into()
}

/// How often messages lie on each side: there, here.
type Counts = BTreeMap<usize, [usize; 2]>;

fn counts(server: &Shared, home: &Home) -> Counts {
    let mut all = Counts::new();
    for (_, letter) in server.lock().mail.letters() {
        all.entry(number(&letter.body).unwrap()).or_default()[0] += 1;
    }
    for mailbox in ["INBOX", "A"] {
        for file in files(&home.mail().join(mailbox)) {
            let bytes = std::fs::read(file).unwrap();
            all.entry(number(&bytes).unwrap()).or_default()[1] += 1;
        }
    }
    all
}

/// Runs until two runs are alike; answers with how the last one ended.
fn settle(home: &Home, server: &Shared, how: &str) -> (i32, String) {
    let mut before = (Counts::new(), String::new());
    for _ in 0..7 {
        let (code, text) = run(home, &["sync"]);
        let now = (counts(server, home), text.clone());
        if now == before {
            return (code, text);
        }
        before = now;
    }
    panic!("{how} does not come to rest: {before:?}");
}

fn file_of(home: &Home, mailbox: &str, n: usize) -> std::path::PathBuf {
    let is = |file: &std::path::PathBuf| number(&std::fs::read(file).unwrap()) == Some(n);
    let mut all = files(&home.mail().join(mailbox)).into_iter();
    all.find(is).unwrap_or_else(|| panic!("no file of c{n}"))
}

fn put(server: &Shared, mailbox: &str, n: usize) {
    let mut stage = server.lock();
    let flags = BTreeSet::from(["\\Seen".to_owned()]);
    let letter = stage.mail.letter(wire(n), flags, 1_700_000_000);
    stage.mail.boxes.get_mut(mailbox).unwrap().put(letter);
}

fn flat(n: usize) -> Vec<u8> {
    wire(n).into_iter().filter(|byte| *byte != b'\r').collect()
}

/// Each message is where it has to be, once; those that the server does not take are named.
fn check(habit: Habit, ended: &(i32, String), all: &Counts, how: &str) {
    let (code, text) = ended;
    for n in [0, 2, 3, 4, 5, 6, 7] {
        let [there, here] = all.get(&n).copied().unwrap_or_default();
        match habit.spares(n) {
            true => assert!(there.max(here) == 1, "{how}: c{n} {there} {here} {text}"),
            false => assert_eq!([there, here], [1, 1], "{how}: c{n} {all:?} {text}"),
        }
    }
    let named = all.iter().any(|(_, [there, here])| there != here);
    assert!(
        !named || *code == 1 && !text.is_empty(),
        "{how}: {code} {text}"
    );
    assert!(*code == 0 || *code == 1, "{how}: {code} {text}");
    assert!(*code == 0 || habit.is_named(), "{how}: {code} {text}");
}

#[test]
fn odd_servers_are_kept_in_step_and_taken_over() {
    for (habit, profile) in HABITS
        .iter()
        .flat_map(|h| ["plain", "qresync"].map(|p| (*h, p)))
    {
        let how = format!("{profile} {habit:?}");
        let profile = Profile {
            habit,
            ..Profile::named(profile)
        };
        let (port, server) = serve(profile);
        server.lock().mail.create("A", 1_700_000_000);
        let home = home(port, "tls = \"none\"\npassword = \"x\"");
        // Both sides have messages, some of them the same.
        (0..5).for_each(|n| put(&server, "INBOX", n));
        for n in [2, 4, 5, 6] {
            home.deliver("INBOX", &format!("cur/{n}.x.me:2,FS"), &flat(n));
        }
        settle(&home, &server, &how);
        // A deletion, flags, a move and an upload to another mailbox.
        let gone = std::fs::remove_file(file_of(&home, "INBOX", 1));
        assert!(gone.is_ok() || habit.spares(1), "{how}");
        rename_flags(&file_of(&home, "INBOX", 0), "RS");
        let moved = file_of(&home, "INBOX", 4);
        let name = moved.file_name().unwrap();
        std::fs::rename(&moved, home.mail().join("A/cur").join(name)).unwrap();
        home.deliver("A", "cur/7.x.me:2,S", &flat(7));
        let ended = settle(&home, &server, &how);
        let all = counts(&server, &home);
        check(habit, &ended, &all, &how);
        let [there, here] = all.get(&1).copied().unwrap_or_default();
        assert!(
            habit.spares(1) || [there, here] == [0, 0],
            "{how}: c1 came back"
        );
        if !habit.is_named() {
            let stage = server.lock();
            let letter = |n| {
                stage
                    .mail
                    .letters()
                    .find(|(_, l)| number(&l.body) == Some(n))
            };
            for (n, want) in [(0, "\\Answered"), (6, "\\Flagged"), (7, "\\Seen")] {
                let flags = &letter(n).unwrap().1.flags;
                assert!(flags.contains(want), "{how}: c{n} {flags:?}");
            }
        }
        // The state is lost. What was rebuilt is another message then (row 41).
        if habit == Habit::Rebuilds {
            continue;
        }
        std::fs::remove_dir_all(home.dir.path().join("state")).unwrap();
        let ended = settle(&home, &server, &how);
        check(
            habit,
            &ended,
            &counts(&server, &home),
            &format!("{how}, state lost"),
        );
    }
}
