//! A mailbox is deleted on the server: DELETE takes whatever is in it, so it is sent only for a
//! name that nobody puts mail into.

use super::{home, ordinary, run, serve};
use crate::support::dovecot::{Home, read_maildir};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// What happens while the mailbox is deleted.
#[derive(Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    /// Mail arrives right before RENAME.
    Mail,
    /// RENAME is refused.
    Refused,
    /// RENAME gives a new UIDVALIDITY.
    Renumbered,
    /// The same, and mail arrives.
    RenumberedMail,
    /// The connection breaks after RENAME, once.
    Broken,
    /// Another mailbox lies below.
    Below,
    /// DELETE is refused.
    Kept,
}

struct Server {
    meanwhile: Meanwhile,
    /// UIDVALIDITY and UIDs.
    boxes: BTreeMap<String, (u32, BTreeSet<u32>)>,
    open: String,
}

impl Server {
    fn answer(&mut self, tag: &str, command: &str) -> String {
        let words: Vec<&str> = command
            .split(' ')
            .map(|word| word.trim_matches('"'))
            .collect();
        let name = words.get(1).copied().unwrap_or_default().to_owned();
        let lines = match words[0] {
            "CAPABILITY" => "* CAPABILITY IMAP4rev1 AUTH=PLAIN UIDPLUS UNSELECT\r\n".into(),
            "LIST" => {
                let wanted = words[2];
                let fits = |name: &&String| wanted == "*" || wanted == **name;
                let names = self.boxes.keys().filter(fits);
                names
                    .map(|name| format!("* LIST () \"/\" {name}\r\n"))
                    .collect()
            }
            "SELECT" | "EXAMINE" => {
                let Some((uid_validity, uids)) = self.boxes.get(&name) else {
                    return format!("{tag} NO [NONEXISTENT] no such mailbox\r\n");
                };
                self.open = name;
                format!(
                    "* {} EXISTS\r\n* OK [UIDVALIDITY {uid_validity}] x\r\n* OK [UIDNEXT 9] x\r\n",
                    uids.len()
                )
            }
            "RENAME" => return self.rename(tag, &name, words[2]),
            "DELETE" if self.meanwhile == Meanwhile::Kept => {
                return format!("{tag} NO it stays\r\n");
            }
            "DELETE" => {
                self.boxes.remove(&name);
                String::new()
            }
            "UID" => self.on_messages(&words),
            _ => return ordinary(tag, command),
        };
        format!("{lines}{tag} OK done\r\n")
    }

    fn rename(&mut self, tag: &str, from: &str, to: &str) -> String {
        let leaves = to.starts_with("mailtide-deleting-");
        if self.meanwhile == Meanwhile::Refused {
            return format!("{tag} NO [NOPERM] not for you\r\n");
        }
        let Some((mut uid_validity, mut uids)) = self.boxes.remove(from) else {
            return format!("{tag} NO [NONEXISTENT] no such mailbox\r\n");
        };
        match self.meanwhile {
            Meanwhile::Mail | Meanwhile::RenumberedMail if leaves => drop(uids.insert(3)),
            _ => {}
        }
        if [Meanwhile::Renumbered, Meanwhile::RenumberedMail].contains(&self.meanwhile) {
            uid_validity += 1;
        }
        self.boxes.insert(to.to_owned(), (uid_validity, uids));
        match self.meanwhile {
            Meanwhile::Broken => {
                self.meanwhile = Meanwhile::Nothing;
                String::new()
            }
            _ => format!("{tag} OK renamed\r\n"),
        }
    }

    fn on_messages(&mut self, words: &[&str]) -> String {
        let Some((_, uids)) = self.boxes.get_mut(&self.open) else {
            return String::new();
        };
        let asked = set(words[2]);
        match words[1] {
            "SEARCH" => {
                let all: String = uids.iter().map(|uid| format!(" {uid}")).collect();
                format!("* SEARCH{all}\r\n")
            }
            "EXPUNGE" => {
                uids.retain(|uid| !asked.contains(uid));
                String::new()
            }
            "FETCH" => {
                let body = words.iter().any(|word| word.contains("BODY.PEEK[]"));
                let one = |(at, uid): (usize, &u32)| match body {
                    true => format!(
                        "* {} FETCH (UID {uid} FLAGS () RFC822.SIZE 14 BODY[] {{14}}\r\n\
                         Subject: {uid}\r\n\r\n)\r\n",
                        at + 1
                    ),
                    false => format!("* {} FETCH (UID {uid} FLAGS ())\r\n", at + 1),
                };
                let all = uids.iter().enumerate();
                all.filter(|(_, uid)| asked.contains(uid))
                    .map(one)
                    .collect()
            }
            _ => String::new(),
        }
    }
}

/// The UIDs of a set, up to 9.
fn set(text: &str) -> BTreeSet<u32> {
    let number = |text: &str| text.parse().unwrap_or(9).min(9);
    let range = |part: &str| {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        number(from)..=number(to)
    };
    text.split(',').flat_map(range).collect()
}

/// What `A` holds on disk after it was deleted there, `None` if it is gone, and what the server
/// was told to rename and delete, and what was printed.
fn deleted(meanwhile: Meanwhile, runs: usize) -> (Option<usize>, Vec<String>, String) {
    let mut boxes = BTreeMap::from([
        ("INBOX".to_owned(), (7, BTreeSet::new())),
        ("A".to_owned(), (8, BTreeSet::from([1, 2]))),
    ]);
    if meanwhile == Meanwhile::Below {
        boxes.insert("A/B".into(), (9, BTreeSet::new()));
    }
    let open = String::new();
    let server = Server {
        meanwhile,
        boxes,
        open,
    };
    let server = Arc::new(Mutex::new(server));
    let behind = server.clone();
    let (port, said) = serve("* OK hi\r\n", move |tag, command| {
        behind.lock().unwrap().answer(tag, command)
    });
    let home: Home = home(port, "tls = \"none\"\npassword = \"x\"");
    let (code, text) = run(&home, &["sync"]);
    assert_eq!(code, 0, "{text}");
    let a = home.mail().join("A");
    for sub in ["cur", "new", "tmp"] {
        std::fs::remove_dir_all(a.join(sub)).unwrap();
    }
    if meanwhile != Meanwhile::Below {
        std::fs::remove_dir(&a).unwrap();
    }
    let mut printed = String::new();
    for _ in 0..runs {
        printed += &run(&home, &["-v", "sync"]).1;
    }
    let there = server
        .lock()
        .unwrap()
        .boxes
        .get("A")
        .map(|(_, uids)| uids.len());
    let here = read_maildir(&home.mail()).get("A").map(Vec::len);
    assert_eq!(here, there, "{printed}");
    let said = said.lock().unwrap();
    let told = said
        .iter()
        .filter_map(|line| line.split_once(' ').map(|(_, rest)| rest));
    let told = told.filter(|line| ["RENAME", "DELETE"].contains(&line.split(' ').next().unwrap()));
    (here, told.map(str::to_owned).collect(), printed)
}

const AWAY: &str = r#"RENAME "A" "mailtide-deleting-1-A""#;
const BACK: &str = r#"RENAME "mailtide-deleting-1-A" "A""#;
const DELETE: &str = r#"DELETE "mailtide-deleting-1-A""#;

#[test]
fn it_is_deleted_under_another_name() {
    for meanwhile in [Meanwhile::Nothing, Meanwhile::Renumbered] {
        let (left, told, printed) = deleted(meanwhile, 1);
        assert_eq!(
            (left, &told[..]),
            (None, &[AWAY.to_owned(), DELETE.to_owned()][..]),
            "{printed}"
        );
    }
}

#[test]
fn mail_that_arrives_meanwhile_brings_it_back() {
    for meanwhile in [Meanwhile::Mail, Meanwhile::RenumberedMail] {
        let (left, told, printed) = deleted(meanwhile, 1);
        assert_eq!(
            (left, &told[..]),
            (Some(3), &[AWAY.to_owned(), BACK.to_owned()][..]),
            "{printed}"
        );
    }
}

#[test]
fn a_run_that_is_cut_is_finished_by_the_next() {
    let (left, told, printed) = deleted(Meanwhile::Broken, 2);
    let want = [AWAY, BACK, AWAY, DELETE].map(str::to_owned);
    assert_eq!((left, &told[..]), (None, &want[..]), "{printed}");
}

#[test]
fn one_that_cannot_be_deleted_is_emptied() {
    for (meanwhile, why) in [
        (Meanwhile::Refused, "not for you"),
        (Meanwhile::Below, "mailboxes lie below it"),
    ] {
        let (left, told, printed) = deleted(meanwhile, 1);
        assert_eq!(left, Some(0), "{told:?} {printed}");
        assert!(
            told.iter().all(|line| !line.starts_with("DELETE")),
            "{told:?}"
        );
        let want: &[&str] = match meanwhile {
            Meanwhile::Refused => &[AWAY],
            Meanwhile::Kept => &[AWAY, DELETE, BACK],
            _ => &[],
        };
        assert_eq!(told, want, "{printed}");
        assert!(printed.contains(why), "{printed}");
    }
}

/// Some servers call the name of a mailbox that is not there invalid, and others do not know
/// STATUS: only the first tells that it is gone.
#[test]
fn a_mailbox_whose_name_is_called_invalid_is_gone() {
    for knows_status in [true, false] {
        let gone = Arc::new(Mutex::new(false));
        let is_gone = gone.clone();
        let (port, _) = serve("* OK hi\r\n", move |tag, command| {
            let gone = *is_gone.lock().unwrap();
            let other = "* LIST () \"/\" INBOX\r\n* LIST () \"/\" A\r\n";
            match command {
                "LIST \"\" \"*\"" if !gone => format!("{other}{tag} OK done\r\n"),
                "LIST \"\" \"A\"" if gone => format!("{tag} OK done\r\n"),
                _ if command.starts_with("STATUS") => {
                    let there = knows_status && command.contains("INBOX");
                    let status = if there {
                        "OK done"
                    } else {
                        "BAD Invalid mailbox name"
                    };
                    format!("{tag} {status}\r\n")
                }
                _ => ordinary(tag, command),
            }
        });
        let home: Home = home(port, "tls = \"none\"\npassword = \"x\"");
        assert_eq!(run(&home, &["sync"]).0, 0);
        *gone.lock().unwrap() = true;
        let (code, text) = run(&home, &["sync"]);
        assert_eq!(code, i32::from(!knows_status), "{text}");
        assert_eq!(home.mail().join("A").exists(), !knows_status, "{text}");
    }
}
