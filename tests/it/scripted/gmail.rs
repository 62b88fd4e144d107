//! A server like Gmail: labels are mailboxes, a message lies under several, X-GM-MSGID says which
//! are one, and leaving a label is an EXPUNGE that deletes nothing.

use super::*;
use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;

const CAPABILITIES: &str = "IMAP4rev1 UNSELECT IDLE NAMESPACE ID X-GM-EXT-1 UIDPLUS MOVE \
                            SPECIAL-USE AUTH=PLAIN";
const LABELS: [(&str, &str); 8] = [
    ("INBOX", "\\HasNoChildren"),
    ("Work", "\\HasNoChildren"),
    ("[Gmail]", "\\HasChildren \\Noselect"),
    ("[Gmail]/All Mail", "\\All \\HasNoChildren"),
    ("[Gmail]/Important", "\\HasNoChildren \\Important"),
    ("[Gmail]/Starred", "\\Flagged \\HasNoChildren"),
    ("[Gmail]/Sent Mail", "\\HasNoChildren \\Sent"),
    ("[Gmail]/Papierkorb", "\\HasNoChildren \\Trash"),
];

/// A message under a label: X-GM-MSGID and whether it is marked \Deleted.
type Label = BTreeMap<u32, (u64, bool)>;

#[derive(Default)]
struct Gmail {
    labels: BTreeMap<String, Label>,
    next: u32,
    /// What was fetched in full.
    fetched: Vec<u64>,
}

impl Gmail {
    fn add(&mut self, label: &str, message: u64) -> u32 {
        self.next += 1;
        let all = self.labels.entry(label.to_owned()).or_default();
        all.insert(self.next, (message, false));
        self.next
    }
}

fn body(message: u64) -> String {
    format!("Subject: message {message}\r\nMessage-ID: <{message}@x>\r\n\r\ntext {message}\r\n")
}

fn quoted(text: &str) -> &str {
    let text = text.rsplit_once(" \"").map_or(text, |(_, name)| name);
    text.trim_start_matches('"')
        .split('"')
        .next()
        .unwrap_or(text)
}

fn within(set: &str, uid: u32) -> bool {
    set.split(',').any(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        let number = |text: &str| text.parse().unwrap_or(u32::MAX);
        (number(from)..=number(to)).contains(&uid)
    })
}

/// One line of a session; `at` is the selected mailbox.
fn answer(gmail: &mut Gmail, at: &mut String, tag: &str, command: &str) -> String {
    let upper = command.to_ascii_uppercase();
    let words: Vec<&str> = command.split(' ').collect();
    let mut out = String::new();
    let mut code = String::new();
    if upper.starts_with("CAPABILITY") {
        out = format!("* CAPABILITY {CAPABILITIES}\r\n");
    } else if upper.starts_with("NAMESPACE") {
        out = "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n".into();
    } else if upper.starts_with("AUTHENTICATE") && words.len() == 2 {
        return "+ \r\n".into();
    } else if upper.starts_with("LIST") {
        for (name, uses) in LABELS {
            let wanted = upper.ends_with("\"*\"") || quoted(command) == name;
            if wanted || upper.contains("\"*\" RETURN") {
                out += &format!("* LIST ({uses}) \"/\" \"{name}\"\r\n");
            }
        }
    } else if upper.starts_with("SELECT") || upper.starts_with("EXAMINE") {
        *at = quoted(&command.replacen(' ', " \"", 1).replace("\"\"", "\"")).to_owned();
        let count = gmail.labels.get(at).map_or(0, BTreeMap::len);
        let next = gmail.next + 1;
        out = format!(
            "* FLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen)\r\n\
             * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen \\*)] x\r\n\
             * {count} EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT {next}] x\r\n"
        );
        code = "[READ-WRITE] ".into();
    } else if upper.starts_with("UID") {
        uid_command(gmail, at, &words, (&mut out, &mut code));
    }
    format!("{out}{tag} OK {code}done\r\n")
}

fn uid_command(
    gmail: &mut Gmail,
    at: &str,
    words: &[&str],
    (out, code): (&mut String, &mut String),
) {
    let (verb, set) = (words[1].to_ascii_uppercase(), words[2]);
    let label = gmail.labels.entry(at.to_owned()).or_default();
    let chosen: Vec<(usize, u32, u64)> = label
        .iter()
        .enumerate()
        .filter(|(_, (uid, _))| within(set, **uid))
        .map(|(n, (uid, (message, _)))| (n + 1, *uid, *message))
        .collect();
    let items = words.get(3..).unwrap_or_default().join(" ");
    match verb.as_str() {
        "FETCH" => {
            for (n, uid, message) in chosen {
                let text = body(message);
                let size = text.len();
                let mark = if label[&uid].1 { "\\Deleted" } else { "\\Seen" };
                *out += &format!("* {n} FETCH (UID {uid} X-GM-MSGID {message} FLAGS ({mark})");
                *out += " INTERNALDATE \"17-Jul-2024 02:44:25 +0200\"";
                *out += &format!(" RFC822.SIZE {size}");
                if items.contains("BODY.PEEK[] ") || items.contains("BODY.PEEK[])") {
                    gmail.fetched.push(message);
                    *out += &format!(" BODY[] {{{size}}}\r\n{text}");
                }
                *out += ")\r\n";
            }
        }
        "STORE" => {
            for (_, uid, _) in chosen {
                label.get_mut(&uid).unwrap().1 |= items.contains("\\Deleted");
            }
        }
        "EXPUNGE" => label.retain(|uid, (_, marked)| !(*marked && within(set, *uid))),
        "SEARCH" => {
            let uids: Vec<String> = label.keys().map(u32::to_string).collect();
            *out = format!("* SEARCH {}\r\n", uids.join(" "));
        }
        "COPY" | "MOVE" => {
            if verb == "MOVE" {
                label.retain(|uid, _| !within(set, *uid));
            }
            let to = quoted(&items.replacen('"', " \"", 1)).to_owned();
            let (mut from, mut new) = (Vec::new(), Vec::new());
            for (_, uid, message) in chosen {
                from.push(uid.to_string());
                new.push(gmail.add(&to, message).to_string());
            }
            let told = format!("[COPYUID 7 {} {}]", from.join(","), new.join(","));
            match verb.as_str() {
                "MOVE" => *out = format!("* OK {told} moved\r\n"),
                _ => *code = format!("{told} "),
            }
        }
        _ => {}
    }
}

/// The server as it runs: its port, what it holds, and what was said.
fn gmail() -> (u16, Arc<Mutex<Gmail>>, Said) {
    let mut gmail = Gmail::default();
    for (message, labels) in [
        (11, &["INBOX", "Work"][..]),
        (12, &["INBOX", "Work", "[Gmail]/Sent Mail"]),
        (13, &["Work"]),
    ] {
        for label in labels
            .iter()
            .chain(&["[Gmail]/All Mail", "[Gmail]/Important"])
        {
            gmail.add(label, message);
        }
    }
    let gmail = Arc::new(Mutex::new(gmail));
    let shared = gmail.clone();
    let sessions: Mutex<HashMap<std::thread::ThreadId, String>> = Mutex::default();
    let (port, said) = serve("* OK Gimap ready\r\n", move |tag, command| {
        let mut sessions = sessions.lock().unwrap();
        let at = sessions.entry(std::thread::current().id()).or_default();
        if tag.is_empty() {
            // The response to AUTHENTICATE, whose tag was kept.
            return format!("{at} OK done\r\n");
        }
        if command.starts_with("AUTHENTICATE") {
            *at = tag.to_owned();
        }
        answer(&mut shared.lock().unwrap(), at, tag, command)
    });
    (port, gmail, said)
}

fn under(gmail: &Mutex<Gmail>, label: &str) -> Vec<u64> {
    let gmail = gmail.lock().unwrap();
    let all = gmail.labels.get(label).into_iter().flatten();
    all.map(|(_, (message, _))| *message).collect()
}

fn file(home: &Home, label: &str, message: u64) -> std::path::PathBuf {
    let subject = format!("Subject: message {message}\n");
    let in_sub = |sub: &str| std::fs::read_dir(home.mail().join(label).join(sub)).unwrap();
    let all = in_sub("cur")
        .chain(in_sub("new"))
        .map(|entry| entry.unwrap().path());
    let mut all = all.filter(|path| std::fs::read_to_string(path).unwrap().starts_with(&subject));
    all.next().unwrap()
}

#[test]
fn one_copy_of_a_message_under_many_labels() {
    let (port, gmail, said) = gmail();
    let home = home(port, "password = \"x\"\ntls = \"none\"");
    let (code, report) = home.sync();
    assert_eq!(code, 0, "{report:#}\n{:?}", said.lock().unwrap());
    assert_eq!(
        (&report["downloaded"], &report["copied_local"]),
        (&3.into(), &3.into()),
        "{report:#}"
    );
    let mut fetched = gmail.lock().unwrap().fetched.clone();
    fetched.sort_unstable();
    assert_eq!(fetched, [11, 12, 13], "each body once");
    let links = |message| file(&home, "Work", message).metadata().unwrap().nlink();
    assert_eq!(
        [11, 12, 13].map(links),
        [2, 3, 1],
        "one file under several names"
    );
    for view in ["All Mail", "Important", "Starred"] {
        assert!(
            !home.mail().join("[Gmail]").join(view).exists(),
            "{view} is a view"
        );
    }
    assert_eq!(home.sync().1["changes"], 0);
    // Leaving a label.
    std::fs::remove_file(file(&home, "Work", 11)).unwrap();
    // Deleting for good: that was its last label.
    std::fs::remove_file(file(&home, "Work", 13)).unwrap();
    let (code, report) = home.sync();
    assert_eq!(
        (code, &report["deleted_remote"]),
        (0, &2.into()),
        "{report:#}"
    );
    assert_eq!(under(&gmail, "Work"), [12]);
    assert_eq!(under(&gmail, "INBOX"), [11, 12], "still in the inbox");
    assert_eq!(
        under(&gmail, "[Gmail]/Papierkorb"),
        [13],
        "only what has no label left"
    );
    // Another label, and out of the inbox: a move here, a move there.
    let old = file(&home, "INBOX", 12);
    std::fs::rename(&old, home.mail().join("Work/cur/1700000000.moved.me:2,S")).unwrap();
    std::fs::remove_file(file(&home, "[Gmail]/Sent Mail", 12)).unwrap();
    let (code, report) = home.sync();
    assert_eq!((code, &report["uploaded"]), (0, &0.into()), "{report:#}");
    assert_eq!(under(&gmail, "INBOX"), [11]);
    assert!(under(&gmail, "Work").contains(&12));
    let (code, _) = run(&home, &["check"]);
    let out = home.run(&["check"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(code == 0 && text.contains("Auto-Expunge"), "{text}");
}
