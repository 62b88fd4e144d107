//! A mailbox that the listing shows as it was left is changed without a look into it. What could be
//! changed there then may be forbidden by now.

use super::{home, ordinary, run, serve};
use std::sync::{Arc, Mutex};

/// One message, and a server that tells of changes.
fn answer(now: &str, flags: &mut String, tag: &str, command: &str) -> String {
    let modseq = if flags.is_empty() { 5 } else { 6 };
    let status =
        format!("* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7 HIGHESTMODSEQ {modseq})\r\n");
    let told = format!("* 1 FETCH (UID 1 FLAGS ({flags}) MODSEQ ({modseq})");
    let opened = format!(
        "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n\
         * OK [HIGHESTMODSEQ {modseq}] x\r\n"
    );
    let all = "* OK [PERMANENTFLAGS (\\Seen \\Flagged \\*)] x\r\n";
    let (lines, code) = match command.split(' ').next().unwrap_or("") {
        "CAPABILITY" => (
            "* CAPABILITY IMAP4rev1 AUTH=PLAIN CONDSTORE UIDPLUS LIST-STATUS\r\n".into(),
            "",
        ),
        "LIST" => (format!("* LIST () \"/\" INBOX\r\n{status}"), ""),
        "SELECT" => match now {
            "READ-ONLY" => (opened + all, "[READ-ONLY] "),
            "few flags" => {
                let few = "* OK [PERMANENTFLAGS (\\Seen)] x\r\n";
                (opened + few, "[READ-WRITE] ")
            }
            "UIDs do not last" => {
                let lost = "* NO [UIDNOTSTICKY] x\r\n";
                (opened + all + lost, "[READ-WRITE] ")
            }
            _ => (opened + all, "[READ-WRITE] "),
        },
        "UID" if command.starts_with("UID STORE") => {
            *flags = "\\Flagged".into();
            ("* 1 FETCH (UID 1 MODSEQ (6))\r\n".into(), "")
        }
        "UID" if command.starts_with("UID SEARCH") => ("* SEARCH 1\r\n".into(), ""),
        "UID" if command.contains("BODY.PEEK[]") => (
            format!("{told} RFC822.SIZE 14 BODY[] {{14}}\r\nSubject: a\r\n\r\n)\r\n"),
            "",
        ),
        "UID" if command.contains("MESSAGE-ID") => (
            format!(
                "{told} INTERNALDATE \"17-Jul-2024 02:44:25 +0200\" RFC822.SIZE 14 \
                 BODY[HEADER.FIELDS (MESSAGE-ID)] {{2}}\r\n\r\n)\r\n"
            ),
            "",
        ),
        "UID" if command.contains("CHANGEDSINCE 6") => (String::new(), ""),
        "UID" => (format!("{told})\r\n"), ""),
        _ => return ordinary(tag, command),
    };
    format!("{lines}{tag} OK {code}done\r\n")
}

/// What was said when the message got a flag here, and how often the mailbox was opened, in the run
/// after that and the one after it.
fn flagged_here_while(now: &'static str) -> (String, [usize; 2]) {
    let (state, flags) = (Arc::new(Mutex::new("")), Mutex::new(String::new()));
    let switch = state.clone();
    let (port, said) = serve("* OK hi\r\n", move |tag, command| {
        let now = *state.lock().unwrap();
        answer(now, &mut flags.lock().unwrap(), tag, command)
    });
    let home = home(port, "tls = \"none\"\npassword = \"x\"");
    let (code, text) = run(&home, &["sync"]);
    assert_eq!(code, 0, "{text}");
    let inbox = home.mail().join("INBOX");
    let file = std::fs::read_dir(inbox.join("new")).unwrap().next();
    let file = file.unwrap().unwrap();
    let name = file.file_name().into_string().unwrap();
    let flagged = inbox.join("cur").join(format!("{name}:2,F"));
    std::fs::rename(file.path(), &flagged).unwrap();
    *switch.lock().unwrap() = now;
    said.lock().unwrap().clear();
    let mut opened = [0; 2];
    for count in &mut opened {
        let before = said.lock().unwrap().len();
        let (code, text) = run(&home, &["sync"]);
        assert_eq!(code, 0, "{now}: {text}");
        assert!(flagged.exists(), "{now}: the flag stays");
        let said = said.lock().unwrap();
        *count = said[before..]
            .iter()
            .filter(|line| line.contains("SELECT"))
            .count();
    }
    let said = said.lock().unwrap().join("\n");
    (said, opened)
}

#[test]
fn what_may_be_changed_by_now_is_seen_when_it_is_opened() {
    let (said, opened) = flagged_here_while("all");
    assert!(
        said.contains("UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Flagged)"),
        "{said}"
    );
    assert_eq!(opened, [1, 0], "{said}");
    for now in ["READ-ONLY", "few flags", "UIDs do not last"] {
        let (said, opened) = flagged_here_while(now);
        assert!(!said.contains("UID STORE"), "{now}: {said}");
        // To change it, to look what can be changed, and to prove the pairs; that is known from
        // then on.
        assert_eq!(opened[0], 3, "{now}: {said}");
        assert!(opened[1] <= 1, "{now}: {said}");
    }
}
