//! Servers that search in their own way, wrongly, or not at all.

use super::*;
use std::collections::HashMap;

const SUBJECTS: [&str; 3] = ["tax", "=?utf-8?Q?M=C3=BCller?=", "other"];

/// A server with INBOX and Work, three messages in each; `search` answers what is asked after the
/// tag, with lines and the end of the command.
fn searching(
    capabilities: &'static str,
    search: impl Fn(&str) -> (String, String) + Send + Sync + 'static,
) -> (Home, Said) {
    // The tag of a command whose literal follows, by session.
    let open: Mutex<HashMap<std::thread::ThreadId, (String, String)>> = Mutex::default();
    let (port, said) = serve("* OK hi\r\n", move |tag, command| {
        let mut open = open.lock().unwrap();
        let session = std::thread::current().id();
        if command.ends_with("+}") {
            open.insert(session, (tag.to_owned(), command.to_owned()));
            return "* OK wait\r\n".into();
        }
        if let Some((tag, command)) = open.remove(&session) {
            let (lines, end) = search(&command);
            return format!("{lines}{tag} {end}\r\n");
        }
        let upper = command.to_ascii_uppercase();
        if upper.starts_with("CAPABILITY") {
            return format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n{tag} OK done\r\n");
        }
        if upper.starts_with("LIST") {
            let work = "* LIST () \"/\" INBOX\r\n* LIST () \"/\" Work\r\n";
            return format!("{work}{tag} OK done\r\n");
        }
        if upper.starts_with("UID SEARCH") || upper.starts_with("ESEARCH") {
            let (lines, end) = search(command);
            return format!("{lines}{tag} {end}\r\n");
        }
        if upper.starts_with("UID FETCH") {
            let set = command.split(' ').nth(2).unwrap();
            let rows: String = (1..=3)
                .filter(|uid| within(set, *uid))
                .map(|uid| row(uid, upper.contains("HEADER")))
                .collect();
            return format!("{rows}{tag} OK done\r\n");
        }
        let lines = match upper.split(' ').next() {
            Some("SELECT" | "EXAMINE") => "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* FLAGS ()\r\n",
            _ => "",
        };
        format!("{lines}{tag} OK done\r\n")
    });
    (home(port, "password = \"x\"\ntls = \"none\""), said)
}

fn within(set: &str, uid: u32) -> bool {
    set.split(',').any(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        let number = |text: &str| text.parse().unwrap_or(u32::MAX);
        (number(from)..=number(to)).contains(&uid)
    })
}

fn row(uid: u32, header: bool) -> String {
    let subject = SUBJECTS[uid as usize - 1];
    let text = format!("Subject: {subject}\r\nMessage-ID: <{uid}@x>\r\n\r\n");
    let more = match header {
        true => format!(
            " RFC822.SIZE 90 BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 9 1) \
             BODY[HEADER.FIELDS (DATE FROM TO SUBJECT MESSAGE-ID CONTENT-TYPE \
             CONTENT-DISPOSITION)] {{{}}}\r\n{text}",
            text.len()
        ),
        false => String::new(),
    };
    let date = "INTERNALDATE \"17-Jul-2024 02:44:25 +0200\"";
    format!("* {uid} FETCH (UID {uid} FLAGS () {date}{more})\r\n")
}

/// What `search --server` prints: how many messages with each subject, and the complaints.
fn find(home: &Home, arguments: &[&str]) -> (Vec<String>, String) {
    let all = [&["search", "--server", "--json"], arguments].concat();
    let out = home.run(&all);
    let text = String::from_utf8_lossy(&out.stdout);
    let subject = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (mailbox, subject) = (row["mailbox"].as_str(), row["subject"].as_str());
        format!("{} {}", mailbox.unwrap(), subject.unwrap())
    };
    let mut found: Vec<String> = text.lines().map(subject).collect();
    found.sort();
    (found, String::from_utf8_lossy(&out.stderr).into_owned())
}

fn ok(numbers: &str) -> (String, String) {
    (format!("* SEARCH{numbers}\r\n"), "OK done".into())
}

fn asked(said: &Said) -> Vec<String> {
    let said = said.lock().unwrap();
    let searches = said.iter().filter(|line| line.contains("SEARCH"));
    let own = searches.map(|line| line.split_once(' ').unwrap().1.to_owned());
    own.collect()
}

#[test]
fn words_of_a_server_that_knows_ascii_only_are_looked_for_here() {
    for refusal in ["NO [BADCHARSET (US-ASCII)] no", "BAD what?"] {
        let (home, _) = searching("LITERAL+", move |command| {
            match command.contains("CHARSET") {
                true => (String::new(), refusal.into()),
                false => ok(" 1 2 3"),
            }
        });
        let (found, said) = find(&home, &["subject:müller"]);
        assert_eq!(found, ["INBOX Müller", "Work Müller"], "{refusal}: {said}");
    }
}

#[test]
fn a_refused_or_missing_answer_is_said() {
    for (answer, says) in [
        (
            (String::new(), "NO [CANNOT] searching is off".to_owned()),
            "searching is off",
        ),
        (
            (String::new(), "OK nothing said".to_owned()),
            "no answer to SEARCH",
        ),
        (
            ("* SEARCH 1 x\r\n".to_owned(), "OK done".to_owned()),
            "could not be read",
        ),
    ] {
        let (home, _) = searching("", move |_| answer.clone());
        let (found, said) = find(&home, &["tax"]);
        assert!(found.is_empty() && said.contains(says), "{found:?} {said}");
    }
}

#[test]
fn a_server_that_finds_everything_is_not_believed() {
    for (query, found) in [
        ("in:INBOX subject:tax", vec!["INBOX tax"]),
        ("in:INBOX since:2025 subject:tax", vec![]),
        (
            "in:INBOX body:tax",
            vec!["INBOX Müller", "INBOX other", "INBOX tax"],
        ),
    ] {
        let (home, _) = searching("", |_| ok(" 1 2 3"));
        let (rows, said) = find(&home, &[query]);
        assert_eq!(rows, found, "{query}: {said}");
        assert_eq!(
            said.contains("cannot be relied on"),
            found.len() < 3,
            "{query}: {said}"
        );
    }
}

#[test]
fn messages_that_are_not_there_are_not_found() {
    let (home, _) = searching("", |_| ok(" 1 77 4294967295"));
    let (found, said) = find(&home, &["in:INBOX tax"]);
    assert_eq!((found, said.as_str()), (vec!["INBOX tax".to_owned()], ""));
}

#[test]
fn several_mailboxes_are_asked_with_one_command_where_that_is_offered() {
    let (home, said) = searching("MULTISEARCH ESEARCH", |_| {
        let one = |name: &str, uids: &str| {
            format!("* ESEARCH (TAG \"x\" MAILBOX \"{name}\" UIDVALIDITY 7) UID ALL {uids}\r\n")
        };
        (one("INBOX", "1:2") + &one("Work", "1"), "OK done".into())
    });
    let (found, _) = find(&home, &["subject:tax or subject:m*"]);
    assert_eq!(found, ["INBOX Müller", "INBOX tax", "Work tax"]);
    assert_eq!(
        asked(&said),
        [
            "ESEARCH IN (mailboxes (\"INBOX\" \"Work\")) RETURN (ALL) OR SUBJECT \"tax\" SUBJECT \
          \"m\""
        ]
    );
    let (home, said) = searching("MULTISEARCH ESEARCH", |command| {
        match command.contains(" IN ") {
            true => (String::new(), "BAD never heard of it".into()),
            false => (
                "* ESEARCH (TAG \"x\") UID ALL 1\r\n".into(),
                "OK done".into(),
            ),
        }
    });
    let (found, _) = find(&home, &["subject:tax"]);
    assert_eq!(found, ["INBOX tax", "Work tax"]);
    assert_eq!(asked(&said).len(), 3);
}

#[test]
fn gmail_and_fuzzy_are_asked_in_their_own_words() {
    let (home, said) = searching("X-GM-EXT-1", |_| ok(" 1"));
    find(&home, &["has:attachment in:Work \"a b\""]);
    assert_eq!(
        asked(&said),
        ["UID SEARCH (X-GM-RAW \"has:attachment\" X-GM-RAW \"\\\"a b\\\"\")"]
    );
    let (home, said) = searching("SEARCH=FUZZY", |_| ok(" 1"));
    find(&home, &["--fuzzy", "in:Work subject:tax"]);
    assert_eq!(asked(&said), ["UID SEARCH FUZZY SUBJECT \"tax\""]);
    let (home, _) = searching("", |_| ok(" 1"));
    let (_, said) = find(&home, &["--fuzzy", "tax"]);
    assert!(said.contains("SEARCH=FUZZY"), "{said}");
}

#[test]
fn all_mailboxes_are_asked_before_the_first_answer() {
    let (home, said) = searching("", |_| ok(" 1"));
    find(&home, &["tax"]);
    let said = said.lock().unwrap();
    let at = |what: &str| said.iter().position(|line| line.contains(what)).unwrap();
    assert!(at("EXAMINE \"INBOX\"") < at("UID SEARCH"), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("SELECT")), "{said:?}");
}
