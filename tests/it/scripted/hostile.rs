//! Servers that mean harm: sizes, lines, sets and nesting without end, answers that are not for us,
//! names and texts that would move the cursor. Memory stays within a budget, there is an answer
//! within seconds, nothing is written outside the Maildir, and the secret is nowhere.

use super::*;
use std::time::{Duration, Instant};

/// What a run may hold at the most, KiB.
const BUDGET: u64 = 96 * 1024;

/// A server that is ordinary but for one command, which it answers with this; `~` is the tag.
fn attack(verb: &'static str, answer: String) -> (Home, i32, String, u64) {
    let (port, _) = serve("* OK hi\r\n", move |tag, command| {
        let own = command.split(' ').next().unwrap_or("").to_ascii_uppercase();
        match own == verb {
            true => answer.replace('~', tag),
            false => match own.as_str() {
                "CAPABILITY" => {
                    let all = "IMAP4rev1 AUTH=PLAIN ENABLE CONDSTORE QRESYNC UIDPLUS ESEARCH MOVE";
                    format!("* CAPABILITY {all}\r\n{tag} OK done\r\n")
                }
                "ENABLE" => format!("* ENABLED QRESYNC\r\n{tag} OK done\r\n"),
                "SELECT" => format!(
                    "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 3] x\r\n\
                     * OK [HIGHESTMODSEQ 9]\r\n{tag} OK [READ-WRITE] done\r\n"
                ),
                _ => ordinary(tag, command),
            },
        }
    });
    let home = home(port, &format!("tls = \"none\"\npassword = \"{CANARY}\""));
    let began = Instant::now();
    let mut child = home
        .mailtide()
        .args(["-vvv", "sync"])
        .stdout(std::fs::File::create(home.dir.path().join("Mail.out")).unwrap())
        .stderr(std::fs::File::create(home.dir.path().join("Mail.err")).unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let code = loop {
        if let Some(done) = child.try_wait().unwrap() {
            break done.code().unwrap_or(-1);
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse().ok());
        most = most.max(now.unwrap_or(0));
        assert!(began.elapsed() < Duration::from_secs(60), "{verb}: no end");
        std::thread::sleep(Duration::from_millis(3));
    };
    let read = |name: &str| std::fs::read(home.dir.path().join(name)).unwrap();
    let text = [read("Mail.out"), read("Mail.err")].concat();
    (
        home,
        code,
        String::from_utf8_lossy(&text).into_owned(),
        most,
    )
}

fn big(line: &str, times: usize) -> String {
    line.repeat(times)
}

#[test]
fn sizes_without_end_are_refused_in_time_and_space() {
    let huge = "9".repeat(400_000);
    for (name, verb, answer) in [
        (
            "a body of 2 GiB",
            "UID",
            "* 1 FETCH (UID 1 FLAGS () BODY[] {2147483647}\r\nx".into(),
        ),
        (
            "a header of 2 GiB",
            "UID",
            "* 1 FETCH (UID 1 BODY[HEADER] {2147483647}\r\nx".into(),
        ),
        (
            "2^63",
            "UID",
            "* 1 FETCH (UID 1 BODY[] {9223372036854775808}\r\nx".to_owned(),
        ),
        (
            "a size below nothing",
            "UID",
            "* 1 FETCH (UID 1 BODY[] {-1}\r\nx)\r\n~ OK x\r\n".into(),
        ),
        (
            "a number without end",
            "UID",
            format!("* 1 FETCH (UID {huge} FLAGS ())\r\n~ OK\r\n"),
        ),
        (
            "a literal in LIST",
            "LIST",
            "* LIST () \"/\" {4000000000}\r\nx".into(),
        ),
        ("a line without end", "LIST", big("* LIST () x", 12_000_000)),
        ("a greeting's answer", "CAPABILITY", big("A", 40_000_000)),
        (
            "nesting",
            "UID",
            format!("* 1 FETCH (UID 1 X {}\r\n~ OK x\r\n", big("(", 200_000)),
        ),
        (
            "all UIDs vanished",
            "UID",
            "* VANISHED 1:4294967295\r\n~ OK x\r\n".into(),
        ),
        (
            "all UIDs found",
            "UID",
            "* ESEARCH UID ALL 1:4294967295\r\n~ OK x\r\n".into(),
        ),
        (
            "many ranges",
            "UID",
            format!("* VANISHED {}9\r\n~ OK x\r\n", big("1:4294967295,", 90_000)),
        ),
        (
            "many FETCHes",
            "UID",
            format!(
                "{}~ OK x\r\n",
                big("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n", 300_000)
            ),
        ),
        (
            "many keywords",
            "UID",
            format!(
                "* 1 FETCH (UID 1 FLAGS ({}))\r\n~ OK x\r\n",
                big("k ", 30_000)
            ),
        ),
        (
            "EXISTS without end",
            "SELECT",
            format!("* {huge} EXISTS\r\n~ OK x\r\n"),
        ),
        (
            "EXISTS of 4 billion",
            "SELECT",
            "* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n~ OK x\r\n".into(),
        ),
        (
            "many codes",
            "SELECT",
            format!("{}~ OK x\r\n", big("* OK [UIDVALIDITY 7] x\r\n", 300_000)),
        ),
        (
            "half a line, then nothing",
            "LIST",
            "* LIST () \"/\" IN".into(),
        ),
    ] {
        let (home, code, text, most) = attack(verb, answer);
        assert_ne!(code, 0, "{name}: {text:.300}");
        assert!(
            code == 1 || code == 2 || code == 75,
            "{name}: {code} {text:.300}"
        );
        assert!(most < BUDGET, "{name}: {most} KiB");
        assert!(!text.contains("panicked"), "{name}: {text:.600}");
        assert!(!text.contains(CANARY), "{name} tells the secret");
        for (place, all) in read_maildir(&home.mail()) {
            assert!(all.is_empty(), "{name}: {place} holds something");
        }
    }
}

#[test]
fn fifty_thousand_mailboxes_are_too_many_or_fit() {
    let names: String = (0..50_000)
        .map(|n| format!("* LIST () \"/\" m{n}\r\n"))
        .collect();
    let refused = format!("* LIST () \"/\" INBOX\r\n{names}~ BAD enough\r\n");
    let (_, code, text, most) = attack("LIST", refused);
    assert!(code == 75 && most < BUDGET, "{code} {most} {text:.300}");
}

#[test]
fn answers_for_others_are_not_taken_for_ours() {
    for (name, verb, answer) in [
        (
            "another tag",
            "LIST",
            "* LIST () \"/\" INBOX\r\nT99 OK done\r\n".to_owned(),
        ),
        (
            "its tag before it",
            "SELECT",
            "T9999 OK done\r\n~ OK done\r\n".into(),
        ),
        ("twice", "SELECT", "~ OK done\r\n~ OK done\r\n".into()),
        (
            "an invitation",
            "LIST",
            "+ go on\r\n+ go on\r\n~ NO no\r\n".into(),
        ),
        (
            "a tag of ours to come",
            "UID",
            "T12 OK done\r\nT13 OK done\r\nT14 OK done\r\n".into(),
        ),
    ] {
        let (home, code, text, _) = attack(verb, answer);
        assert_ne!(code, 0, "{name}: {text:.300}");
        assert!(
            !text.contains("panicked") && !text.contains(CANARY),
            "{name}: {text:.600}"
        );
        assert!(
            read_maildir(&home.mail()).values().all(Vec::is_empty),
            "{name}"
        );
    }
}

#[test]
fn nothing_that_a_server_says_moves_the_cursor() {
    let evil = "\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}[2J\u{9b}31m\u{202e}drow";
    let names = format!(
        "* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"a{evil}b\"\r\n* OK [ALERT] {evil}\r\n~ OK x\r\n"
    );
    let refusal = format!("~ NO [ALERT] {evil}\r\n");
    let bye = format!("* BYE {evil}\r\n");
    for (verb, answer) in [
        ("LIST", names),
        ("SELECT", refusal.clone()),
        ("LIST", refusal),
        ("LIST", bye),
    ] {
        let (home, _, text, _) = attack(verb, answer);
        for bad in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'] {
            assert!(!text.contains(bad), "{verb}: {}", text.escape_debug());
        }
        for path in walk(&home.mail()) {
            let name = path.to_string_lossy().into_owned();
            assert!(!name.contains('\u{1b}'), "{}", name.escape_debug());
        }
        let status = home.run(&["status"]);
        let shown = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(!shown.contains('\u{1b}'), "{}", shown.escape_debug());
    }
}

/// The secret is in no file that a run leaves behind, at the highest verbosity.
#[test]
fn the_secret_is_nowhere() {
    let (home, code, text, _) = attack("NONE", String::new());
    assert_ne!(code, 2, "{text:.300}");
    assert!(
        text.contains("send") && text.contains("LIST"),
        "the wire is told: {text:.300}"
    );
    assert!(!text.contains(CANARY));
    for path in walk(home.dir.path()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let told = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
        let config = path.ends_with("config.toml");
        assert!(config || !told, "{} tells the secret", path.display());
    }
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(walk(&path)),
            false => all.push(path.clone()),
        }
        all.push(path);
    }
    all
}

/// A STORE that names a UID could hit another message there (H05, H14).
#[test]
fn where_uids_do_not_last_nothing_is_changed() {
    for unstable in ["OK [UIDVALIDITY 0]", "NO [UIDNOTSTICKY]"] {
        let (port, said) = serve("* OK hi\r\n", move |tag, command| {
            let one = "* 1 FETCH (UID 1 FLAGS ()";
            match command.split(' ').next() {
                Some("SELECT") => format!(
                    "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* {unstable} x\r\n\
                     * OK [UIDNEXT 2] x\r\n{tag} OK done\r\n"
                ),
                Some("UID") if command.contains("BODY.PEEK[]") => format!(
                    "{one} RFC822.SIZE 14 BODY[] {{14}}\r\nSubject: a\r\n\r\n)\r\n{tag} OK done\r\n"
                ),
                Some("UID") => format!("{one})\r\n{tag} OK done\r\n"),
                _ => ordinary(tag, command),
            }
        });
        let home = home(port, "tls = \"none\"\npassword = \"x\"");
        let (code, text) = run(&home, &["sync", "-v"]);
        assert!(
            code == 0 && text.contains("no lasting UIDs"),
            "{code} {text}"
        );
        let new = home.mail().join("INBOX/new");
        let file = std::fs::read_dir(&new).unwrap().next().unwrap().unwrap();
        std::fs::remove_file(file.path()).unwrap();
        std::fs::write(new.join("mine"), "Subject: mine\r\n\r\nmine\r\n").unwrap();
        let (code, text) = run(&home, &["sync", "-v"]);
        assert!(
            code == 0 && text.contains("no lasting UIDs"),
            "{code} {text}"
        );
        assert!(new.join("mine").exists());
        let said = said.lock().unwrap().join("\n");
        for change in ["STORE", "EXPUNGE", "APPEND"] {
            assert!(!said.contains(change), "{unstable}: {said}");
        }
    }
}

/// What a server says of flags beside the question is no answer to it: an answer to CHANGEDSINCE
/// comes with a MODSEQ (RFC 7162, 3.1.4.1). Where it does not, all flags are asked for.
#[test]
fn flags_that_nobody_asked_for_are_not_believed() {
    let synced = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let later = synced.clone();
    let (port, said) = serve("* OK hi\r\n", move |tag, command| {
        let later = later.load(std::sync::atomic::Ordering::SeqCst);
        let modseq = if later { 6 } else { 5 };
        let verb = command.split(' ').next().unwrap_or("");
        match verb {
            "CAPABILITY" => {
                format!("* CAPABILITY IMAP4rev1 AUTH=PLAIN CONDSTORE\r\n{tag} OK done\r\n")
            }
            "STATUS" => format!(
                "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7 HIGHESTMODSEQ {modseq})\r\n\
                 {tag} OK done\r\n"
            ),
            "SELECT" => format!(
                "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n\
                 * OK [HIGHESTMODSEQ {modseq}] x\r\n{tag} OK [READ-WRITE] done\r\n"
            ),
            _ if command.starts_with("UID SEARCH") => {
                format!("* SEARCH 1\r\n{tag} OK done\r\n")
            }
            _ if command.contains("CHANGEDSINCE") => {
                format!("* 1 FETCH (UID 1 FLAGS (\\Flagged))\r\n{tag} OK done\r\n")
            }
            _ if command.contains("BODY.PEEK[]") => format!(
                "* 1 FETCH (UID 1 FLAGS () MODSEQ (5) RFC822.SIZE 14 BODY[] {{14}}\r\n\
                 Subject: a\r\n\r\n)\r\n{tag} OK done\r\n"
            ),
            "UID" => format!("* 1 FETCH (UID 1 FLAGS () MODSEQ (5))\r\n{tag} OK done\r\n"),
            _ => ordinary(tag, command),
        }
    });
    let home = home(port, "tls = \"none\"\npassword = \"x\"");
    let (code, text) = run(&home, &["sync"]);
    assert!(code == 0, "{code} {text}");
    synced.store(true, std::sync::atomic::Ordering::SeqCst);
    let (code, text) = run(&home, &["sync"]);
    assert!(code == 0, "{code} {text}");
    let said = said.lock().unwrap().join("\n");
    assert!(said.contains("CHANGEDSINCE 5"), "{said}");
    let names = |sub: &str| std::fs::read_dir(home.mail().join("INBOX").join(sub)).unwrap();
    let names = names("new").chain(names("cur")).flatten();
    let names: Vec<_> = names.map(|file| file.file_name()).collect();
    let flagged = |name: &std::ffi::OsString| name.to_string_lossy().ends_with('F');
    assert!(names.len() == 1 && !names.iter().any(flagged), "{names:?}");
}
