use super::*;
use crate::imap::net::server_traits::ServerTrait;
use crate::imap::played::{OPENS, run, session};

/// A message of 5,000 bytes.
fn message() -> String {
    let line = |n: usize| format!("line {n:04} of a message that is long enough\r\n");
    let text: String = (0..200).map(line).collect();
    let text = format!("Subject: a\r\n\r\n{text}");
    text.chars().take(5000).collect()
}

/// The answer to a FETCH of pieces, each named by `name`.
fn pieces(command: &str, name: impl Fn(&str, &str) -> String) -> String {
    let text = message();
    let ranges = command.split("BODY.PEEK[]<").skip(1);
    let told = ranges.map(|range| {
        let range = range.split('>').next().unwrap_or("");
        let (at, length) = range.split_once('.').unwrap_or(("0", "0"));
        let (from, count): (usize, usize) = (at.parse().unwrap(), length.parse().unwrap());
        let to = (from + count).min(text.len());
        let piece = &text[from..to];
        format!(" {}{{{}}}\r\n{piece}", name(at, length), piece.len())
    });
    told.collect()
}

#[test]
fn pieces_of_a_message_come_in_any_spelling() {
    type Answer = fn(&str) -> String;
    let spellings: [(&str, Answer); 6] = [
        ("usual", |c| pieces(c, |at, _| format!("BODY[]<{at}> "))),
        ("tight", |c| pieces(c, |at, _| format!("BODY[]<{at}>"))),
        ("with the length", |c| {
            pieces(c, |at, length| format!("BODY[]<{at}.{length}> "))
        }),
        ("small", |c| pieces(c, |at, _| format!("body[]<{at}> "))),
        ("the whole instead", |_| {
            format!(" BODY[] {{5000}}\r\n{}", message())
        }),
        ("nothing", |_| String::new()),
    ];
    let size = message().len() as u64;
    let want = Excerpt::of_wire(message().as_bytes());
    for (name, spelling) in spellings {
        run(async {
            let (mut session, said) = session(move |tag, command| {
                let whole = command.ends_with("(UID BODY.PEEK[])");
                let told = match whole {
                    true => format!(" BODY[] {{5000}}\r\n{}", message()),
                    false => spelling(command),
                };
                format!("* 3 FETCH (UID 7{told})\r\n{tag} OK done\r\n")
            });
            let uid = Uid::new(7).unwrap();
            let told = excerpts(&mut session, &[(uid, Some(size))]).await.unwrap();
            assert!(told == [(uid, want)], "{name}: {:?}", said.borrow());
            let asked = if ["the whole instead", "nothing"].contains(&name) {
                2
            } else {
                1
            };
            assert_eq!(said.borrow().len(), asked, "{name}");
        });
    }
}

#[test]
fn a_message_of_another_length_is_not_told() {
    run(async {
        let (mut session, _) = session(|tag, _| {
            format!("* 3 FETCH (UID 7 BODY[] {{14}}\r\nSubject: b\r\n\r\n)\r\n{tag} OK x\r\n")
        });
        let uid = Uid::new(7).unwrap();
        let told = excerpts(&mut session, &[(uid, Some(5000))]).await.unwrap();
        assert!(told.is_empty());
    });
}

/// A mailbox with message 7 where MOVE is refused with this text; the commands that were sent, and
/// the result.
async fn moved_in_spite_of(
    refusal: &'static str,
    flags: &'static str,
) -> (Vec<String>, bool, bool) {
    let mut gone = false;
    let (session, said) = session(move |tag, command| {
        let verb = command
            .trim_start_matches("UID ")
            .split(' ')
            .next()
            .unwrap_or("");
        gone |= verb == "EXPUNGE";
        let (lines, end) = match verb {
            "SELECT" => {
                let flags = format!("* OK [PERMANENTFLAGS ({flags})] x\r\n");
                (format!("{OPENS}{flags}"), "OK [READ-WRITE] x")
            }
            "MOVE" => (String::new(), refusal),
            "COPY" => (String::new(), "OK [COPYUID 9 7 1] x"),
            "SEARCH" if gone => ("* SEARCH\r\n".into(), "OK x"),
            "SEARCH" => ("* SEARCH 7\r\n".into(), "OK x"),
            _ => (String::new(), "OK x"),
        };
        format!("{lines}{tag} {end}\r\n")
    });
    let mut session = session.with(&["MOVE", "UIDPLUS"]);
    let opened = session
        .select(b"A", Access::ReadWrite, Since::Nothing)
        .await;
    opened.unwrap();
    said.borrow_mut().clear();
    let uids = BTreeSet::from([Uid::new(7).unwrap()]);
    let moved = moved(&mut session, &uids, (b"B", None)).await;
    let moved = moved.is_ok_and(|pairs| pairs == [(Uid::new(7).unwrap(), Uid::new(1))]);
    let said = said.borrow().clone();
    (said, moved, session.learned.has(ServerTrait::NoMove))
}

#[test]
fn move_that_is_not_done_is_a_copy_and_an_expunge() {
    run(async {
        let all = "\\Seen \\Deleted \\*";
        for refusal in ["NO not supported", "BAD what?", "NO [CANNOT] x"] {
            let (said, moved, learned) = moved_in_spite_of(refusal, all).await;
            assert!(moved && learned, "{refusal}: {said:?}");
        }
        // A message that may not be deleted, or has no space, is not copied.
        for (refusal, flags) in [
            ("NO [NOPERM] no", all),
            ("NO [OVERQUOTA] full", all),
            ("NO [INUSE] later", all),
            ("NO [TRYCREATE] no such mailbox", all),
            ("NO [LIMIT] too many", all),
            ("NO no", "\\Seen"),
        ] {
            let (said, moved, learned) = moved_in_spite_of(refusal, flags).await;
            assert!(!moved && !learned, "{refusal}: {said:?}");
            assert!(
                !said.iter().any(|line| line.contains("COPY")),
                "{refusal}: {said:?}"
            );
        }
    });
}

/// Exchange and Proton answer a COPY with a COPYUID without its sets.
#[test]
fn a_garbled_copyuid_says_that_messages_were_copied() {
    let codes = [
        ("[COPYUID 11  ] ", true),
        ("[COPYUID 11 7 3] ", false),
        ("", false),
    ];
    for (code, garbled) in codes {
        run(async {
            let (mut session, _) = session(move |tag, _| format!("{tag} OK {code}done\r\n"));
            let uids = BTreeSet::from([Uid::new(7).unwrap()]);
            let epoch = Some(UidValidity(11));
            let done = copied(&mut session, &uids, b"A", epoch).await.unwrap();
            assert_eq!(done.garbled, garbled, "{code}");
            assert_eq!(done.pairs.len(), usize::from(code.contains('7')), "{code}");
        });
    }
}
