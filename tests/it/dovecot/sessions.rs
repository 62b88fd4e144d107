//! Random sessions of editing on both sides of a real server: files are filed by `mv`, under their
//! name or a new one, by copy and deletion, by link; tagged on either side; moved there; under
//! policies; in mailboxes with tables of their own. After each round no keyword was gained or lost
//! that nobody touched, and no message.
//!
//! `MAILTIDE_SESSIONS=N` sets the number of sessions, `MAILTIDE_SEED=S` repeats one;
//! `MAILTIDE_PROGRAM` is the program, where it is not to be the one that may be built meanwhile.

use crate::anywhere::{DATE, mail};
use crate::convergence::users::Chance;
use crate::support::dovecot::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const KEYWORDS: [&str; 5] = ["work", "todo", "later", "xyz", "private"];
const BOXES: [&str; 3] = ["A", "B", "C"];
const POLICIES: [&str; 6] = [
    "",
    "",
    "",
    "delete = \"none\"",
    "direction = \"pull\"",
    "direction = \"push\"",
];

/// Mailboxes with the contents and flags in them.
type Shown = BTreeMap<String, Vec<(Vec<u8>, BTreeSet<String>)>>;

/// Both sides.
#[derive(Clone, Debug)]
struct Sides {
    there: Shown,
    here: Shown,
}

struct Session {
    seed: u64,
    chance: Chance,
    home: Home,
    phone: Phone,
    policy: &'static str,
    names: usize,
    /// Contents that were filed or tagged on disk in this round: neither is done twice.
    handled: BTreeSet<Vec<u8>>,
    /// Contents that were moved on the server in this round.
    moved: BTreeSet<Vec<u8>>,
    /// Keywords that somebody set or took away in this round.
    touched: BTreeMap<Vec<u8>, BTreeSet<String>>,
    /// The acts of this round.
    told: Vec<String>,
}

fn shown(view: View) -> Shown {
    let plain = |seen: Vec<Seen>| {
        let mut all: Vec<_> = seen.into_iter().map(|m| (m.body, m.flags)).collect();
        all.sort();
        all
    };
    let each = view.into_iter();
    each.map(|(name, seen)| (name, plain(seen))).collect()
}

/// The keywords among flags; a letter that means nothing is `?` and the letter.
fn keywords(flags: &BTreeSet<String>) -> BTreeSet<String> {
    let own = |flag: &&String| !flag.starts_with('\\') && *flag != "$forwarded";
    flags.iter().filter(own).cloned().collect()
}

/// The keywords of a content, at each place where it lies.
fn places(side: &Shown, body: &[u8]) -> Vec<BTreeSet<String>> {
    let all = side.values().flatten().filter(|(own, _)| own == body);
    all.map(|(_, flags)| keywords(flags)).collect()
}

impl Session {
    fn new(server: &Dovecot, seed: u64) -> Session {
        let user = format!("s{seed}");
        let mut chance = Chance::new(seed);
        let policy = POLICIES[chance.below(POLICIES.len())];
        let mut session = Session {
            seed,
            chance,
            home: Home::new(server, &user, policy),
            phone: server.phone(&user),
            policy,
            names: 0,
            handled: BTreeSet::new(),
            moved: BTreeSet::new(),
            touched: BTreeMap::new(),
            told: Vec::new(),
        };
        session.settle();
        session
    }

    fn word(&mut self) -> &'static str {
        KEYWORDS[self.chance.below(KEYWORDS.len())]
    }

    /// Mailboxes with mail, and in half of the sessions tables that differ.
    fn settle(&mut self) {
        let mut n = 0;
        for name in ["INBOX", "A", "B", "C"] {
            if name != "INBOX" {
                self.phone.run(&format!("CREATE {name}"));
            }
            for _ in 0..1 + self.chance.below(3) {
                n += 1;
                let flags = match self.chance.below(4) {
                    0 => String::new(),
                    1 | 2 => self.word().to_owned(),
                    _ => format!("{} {}", self.word(), self.word()),
                };
                self.phone.append(name, &flags, DATE, &mail(n));
            }
        }
        if self.chance.one_in(2) {
            for name in BOXES {
                let first = self.chance.below(5);
                let words = (0..1 + self.chance.below(4)).map(|n| KEYWORDS[(first + n) % 5]);
                let lines = words.enumerate().map(|(at, word)| format!("{at} {word}\n"));
                let lines: String = lines.collect();
                self.make(name);
                std::fs::write(self.home.mail().join(name).join("dovecot-keywords"), lines)
                    .unwrap();
            }
        }
        self.home.sync();
    }

    fn make(&self, name: &str) {
        for sub in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(self.home.mail().join(name).join(sub)).unwrap();
        }
    }

    fn sides(&mut self) -> Sides {
        Sides {
            there: shown(self.phone.view()),
            here: shown(read_maildir(&self.home.mail())),
        }
    }

    /// A file: its mailbox, its path and its content.
    fn file(&mut self) -> Option<(String, PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        for name in read_maildir(&self.home.mail()).into_keys() {
            let files = crate::anywhere::files(&self.home.mail().join(&name));
            all.extend(files.into_iter().map(|path| (name.clone(), path)));
        }
        let at = self.chance.below(all.len().max(1));
        let (name, path) = all.get(at)?.clone();
        let body = canonical(&std::fs::read(&path).unwrap());
        Some((name, path, body))
    }

    fn touch(&mut self, body: &[u8], keyword: String) {
        let words = self.touched.entry(body.to_vec()).or_default();
        words.insert(keyword);
    }

    fn act(&mut self) {
        match self.chance.below(14) {
            at @ 0..=5 => self.file_away(at),
            6 => self.flag(),
            7 | 8 => self.tag(),
            9 => self.untag(),
            10 | 11 => self.tag_there(),
            12 => self.move_there(),
            _ if self.policy.contains("pull") => {}
            _ => {
                self.names += 1;
                let name = format!("N{}", self.names);
                self.make(&name);
                self.told.push(format!("new mailbox {name}"));
            }
        }
    }

    /// A mail reader moves, copies or links a file with its letters.
    fn file_away(&mut self, how: usize) {
        let Some((name, path, body)) = self.file() else {
            return;
        };
        let names: Vec<String> = read_maildir(&self.home.mail()).into_keys().collect();
        let to = names[self.chance.below(names.len())].clone();
        let several = places(&shown(read_maildir(&self.home.mail())), &body).len() > 1;
        if to == name || several || !self.handled.insert(body) {
            return;
        }
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (base, letters) = file.split_once(":2,").unwrap_or((&file, ""));
        self.names += 1;
        let base = match how {
            0 | 2 => base.to_owned(),
            _ => format!("1700000000.R{}.reader", self.names),
        };
        let new = format!("cur/{base}:2,{letters}");
        let new = self.home.mail().join(&to).join(new);
        match how {
            0 | 1 => std::fs::rename(&path, &new).unwrap(),
            2 | 3 => {
                std::fs::copy(&path, &new).unwrap();
                std::fs::remove_file(&path).unwrap();
            }
            4 => drop(std::fs::copy(&path, &new).unwrap()),
            _ => std::fs::hard_link(&path, &new).unwrap(),
        }
        self.told.push(format!("{how}: {file} of {name} to {to}"));
    }

    fn letters(path: &Path) -> (String, String) {
        let file = path.file_name().unwrap().to_str().unwrap();
        let (base, letters) = file.split_once(":2,").unwrap_or((file, ""));
        (base.to_owned(), letters.to_owned())
    }

    fn set_letters(&mut self, path: &Path, letters: &BTreeSet<char>) {
        let (base, _) = Session::letters(path);
        let mailbox = path.parent().and_then(Path::parent).unwrap();
        let letters: String = letters.iter().collect();
        let new = mailbox.join("cur").join(format!("{base}:2,{letters}"));
        std::fs::rename(path, new).unwrap();
    }

    fn flag(&mut self) {
        let Some((name, path, _)) = self.file() else {
            return;
        };
        let mut letters: BTreeSet<char> = Session::letters(&path).1.chars().collect();
        letters.insert(['F', 'R', 'S'][self.chance.below(3)]);
        self.set_letters(&path, &letters);
        self.told.push(format!("flag {name} {}", path.display()));
    }

    fn table(&self, name: &str) -> Vec<(char, String)> {
        let path = self.home.mail().join(name).join("dovecot-keywords");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let letter = |n: &str| char::from(b'a' + n.parse::<u8>().unwrap());
        lines.map(|(n, word)| (letter(n), word.into())).collect()
    }

    /// A mail reader that knows the table of the mailbox.
    fn tag(&mut self) {
        let Some((name, path, body)) = self.file() else {
            return;
        };
        let table = self.table(&name);
        if table.is_empty() || !self.handled.insert(body.clone()) {
            return;
        }
        let (letter, word) = table[self.chance.below(table.len())].clone();
        let mut letters: BTreeSet<char> = Session::letters(&path).1.chars().collect();
        letters.insert(letter);
        self.set_letters(&path, &letters);
        self.touch(&body, word.clone());
        self.told
            .push(format!("tag {name} {} {word}", path.display()));
    }

    fn untag(&mut self) {
        let Some((name, path, body)) = self.file() else {
            return;
        };
        let mut letters: BTreeSet<char> = Session::letters(&path).1.chars().collect();
        let table = self.table(&name);
        let Some((letter, word)) = table.into_iter().find(|(l, _)| letters.contains(l)) else {
            return;
        };
        if self.handled.insert(body.clone()) {
            letters.remove(&letter);
            self.set_letters(&path, &letters);
            self.touch(&body, word.clone());
            self.told
                .push(format!("untag {name} {} {word}", path.display()));
        }
    }

    /// A message there: its mailbox, UID and content.
    fn message(&mut self) -> Option<(String, String, Vec<u8>)> {
        let view = shown(self.phone.view());
        let all = view.into_iter();
        let all = all.flat_map(|(name, all)| all.into_iter().map(move |m| (name.clone(), m.0)));
        let all: Vec<(String, Vec<u8>)> = all.collect();
        let (name, body) = all.get(self.chance.below(all.len().max(1)))?.clone();
        let text = String::from_utf8_lossy(&body).into_owned();
        let id = text
            .split_once("Message-ID: ")?
            .1
            .lines()
            .next()?
            .to_owned();
        self.phone.on("SELECT", &[&name]);
        let found = self
            .phone
            .run(&format!("UID SEARCH HEADER Message-ID {id}"));
        let found = String::from_utf8_lossy(&found.concat()).into_owned();
        let uid = found.trim().split(' ').nth(2)?.to_owned();
        Some((name, uid, body))
    }

    fn tag_there(&mut self) {
        let Some((name, uid, body)) = self.message() else {
            return;
        };
        let (word, sign) = (self.word(), ["+", "-"][self.chance.below(2)]);
        self.phone
            .run(&format!("UID STORE {uid} {sign}FLAGS ({word})"));
        self.touch(&body, word.to_owned());
        self.told.push(format!("there: {sign}{word} {name} {uid}"));
    }

    fn move_there(&mut self) {
        let Some((name, uid, body)) = self.message() else {
            return;
        };
        let names = self.phone.mailboxes();
        let to = names[self.chance.below(names.len())].clone();
        if to != name {
            self.phone.on(&format!("UID MOVE {uid}"), &[&to]);
            self.moved.insert(body);
            self.told.push(format!("there: move {name} {uid} to {to}"));
        }
    }

    fn round(&mut self) {
        let before = self.sides();
        self.handled.clear();
        self.moved.clear();
        self.touched.clear();
        self.told.clear();
        for _ in 0..1 + self.chance.below(5) {
            self.act();
        }
        let edited = self.sides();
        self.home.sync();
        self.home.sync();
        let (code, last) = self.home.sync();
        let (seed, told) = (self.seed, &self.told);
        let context = format!("seed {seed} {} {told:#?}", self.policy);
        assert_eq!(code, 0, "{context} {last:#}");
        assert_eq!(last["changes"], 0, "{context} {last:#}");
        let now = self.sides();
        self.judge(&before, &edited, &now, &context);
    }

    fn judge(&self, before: &Sides, edited: &Sides, now: &Sides, context: &str) {
        if self.policy.is_empty() {
            assert_eq!(now.there, now.here, "{context}");
        } else if self.policy.contains("pull") {
            assert_eq!(edited.there, now.there, "{context}");
        }
        let bodies = |side: &Shown| -> BTreeSet<Vec<u8>> {
            side.values().flatten().map(|m| m.0.clone()).collect()
        };
        for body in bodies(&before.there) {
            let title = String::from_utf8_lossy(&body).into_owned();
            let title = title.lines().nth(1).unwrap_or_default().to_owned();
            let (old_there, old_here) = (places(&before.there, &body), places(&before.here, &body));
            let known: BTreeSet<String> = old_there
                .iter()
                .chain(&old_here)
                .flatten()
                .cloned()
                .collect();
            let touched = self.touched.get(&body).cloned().unwrap_or_default();
            let all = [
                ("the server", &old_there, places(&now.there, &body)),
                ("the disk", &old_here, places(&now.here, &body)),
            ];
            for (side, old, new) in all.into_iter().filter(|(_, old, _)| !old.is_empty()) {
                assert!(!new.is_empty(), "{title} is gone on {side}: {context}");
                // Under a policy a message that moved there arrives with the keywords it has
                // there, beside a file that keeps its own.
                let moved = self.moved.contains(&body);
                let other = [&old_there, &old_here].into_iter().flatten();
                let origins: Vec<_> = other.filter(|_| moved).chain(old).collect();
                for words in new {
                    let gained = &(&words - &known) - &touched;
                    let keeps = |old: &&BTreeSet<String>| (*old - &touched).is_subset(&words);
                    assert!(
                        gained.is_empty(),
                        "{title} on {side} has {gained:?}: {context}"
                    );
                    assert!(
                        origins.iter().any(keeps),
                        "{title} on {side} has {words:?} of {origins:?}: {context}"
                    );
                }
            }
        }
    }
}

#[test]
fn sessions_of_both_sides_gain_and_lose_no_keyword() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seeds = match number("MAILTIDE_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("MAILTIDE_SESSIONS").unwrap_or(6),
    };
    let server = Dovecot::start(FULL);
    let mut failed = Vec::new();
    for seed in seeds {
        let played = std::panic::catch_unwind(|| {
            let mut session = Session::new(&server, seed);
            for _ in 0..5 {
                session.round();
            }
        });
        failed.extend(played.err().map(|_| seed));
    }
    assert!(failed.is_empty(), "repeat with MAILTIDE_SEED: {failed:?}");
}
