//! A server that says that it takes any keyword, and refuses one.

use super::{home, ordinary, run, serve};
use std::sync::Mutex;

/// One message, and a server without extensions.
fn answer(flags: &mut Vec<String>, tag: &str, command: &str) -> String {
    let told = |flags: &[String]| format!("* 1 FETCH (UID 1 FLAGS ({})", flags.join(" "));
    let (lines, end) = match command.split(' ').next().unwrap_or("") {
        "LIST" => ("* LIST () \"/\" INBOX\r\n".into(), "OK done"),
        "SELECT" | "EXAMINE" => (
            "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 2] x\r\n\
             * OK [PERMANENTFLAGS (\\Seen \\Flagged \\*)] x\r\n"
                .into(),
            "OK [READ-WRITE] done",
        ),
        "UID" if command.starts_with("UID STORE") => {
            let wanted = command.split_once('(').map_or("", |(_, rest)| rest);
            let wanted = wanted.trim_end_matches(')').split(' ');
            let wanted: Vec<String> = wanted.map(str::to_owned).collect();
            match wanted.iter().any(|flag| flag == "work") {
                true => (String::new(), "NO invalid keyword"),
                false => {
                    flags.extend(wanted);
                    (String::new(), "OK done")
                }
            }
        }
        "UID" if command.starts_with("UID SEARCH") => ("* SEARCH 1\r\n".into(), "OK done"),
        "UID" if command.contains("BODY.PEEK[]") => (
            format!(
                "{} RFC822.SIZE 14 BODY[] {{14}}\r\nSubject: a\r\n\r\n)\r\n",
                told(flags)
            ),
            "OK done",
        ),
        "UID" if command.contains("MESSAGE-ID") => (
            format!(
                "{} INTERNALDATE \"17-Jul-2024 02:44:25 +0200\" RFC822.SIZE 14 \
                 BODY[HEADER.FIELDS (MESSAGE-ID)] {{2}}\r\n\r\n)\r\n",
                told(flags)
            ),
            "OK done",
        ),
        "UID" => (format!("{})\r\n", told(flags)), "OK done"),
        _ => return ordinary(tag, command),
    };
    format!("{lines}{tag} {end}\r\n")
}

#[test]
fn a_refused_keyword_does_not_block_other_flags() {
    let flags = Mutex::new(Vec::new());
    let (port, said) = serve("* OK hi\r\n", move |tag, command| {
        answer(&mut flags.lock().unwrap(), tag, command)
    });
    let home = home(port, "tls = \"none\"\npassword = \"x\"");
    assert_eq!(run(&home, &["sync"]).0, 0);
    let inbox = home.mail().join("INBOX");
    let file = std::fs::read_dir(inbox.join("new")).unwrap().next();
    let file = file.unwrap().unwrap();
    let name = file.file_name().into_string().unwrap();
    std::fs::write(inbox.join("dovecot-keywords"), "0 work\n1 todo\n").unwrap();
    let tagged = inbox.join("cur").join(format!("{name}:2,Sab"));
    std::fs::rename(file.path(), &tagged).unwrap();
    let (code, text) = run(&home, &["sync"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("keyword work in INBOX"), "{text}");
    assert!(tagged.exists());
    let stores = || {
        let said = said.lock().unwrap();
        let stores = said.iter().filter(|line| line.contains("UID STORE"));
        stores.cloned().collect::<Vec<String>>()
    };
    let sent = stores();
    for flag in ["(\\Seen)", "(todo)", "(work)"] {
        assert!(sent.iter().any(|line| line.ends_with(flag)), "{sent:?}");
    }
    let (code, text) = run(&home, &["sync"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(stores(), sent, "not sent again");
    assert!(tagged.exists());
}
