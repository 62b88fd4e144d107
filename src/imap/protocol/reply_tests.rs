use super::*;
use crate::imap::protocol::wire::Literal;
use crate::model::{Flags, Keyword, SystemFlag, Timestamp, Uid};

fn read_line(line: &str) -> Reply {
    parse(Frame {
        text: line.as_bytes().to_vec(),
        literals: Vec::new(),
    })
}

fn fetched(line: &str) -> Fetched {
    match read_line(line) {
        Reply::Fetch(fetched) => *fetched,
        other => panic!("{line}: {other:?}"),
    }
}

/// Traps T5, T6, T26 and known defects of servers.
#[test]
fn fetch_is_read_tolerantly_and_never_guessed() {
    let all = fetched(
        "* 5 FETCH (UID 4294967295 FLAGS (\\Seen  $Forwarded $Label[1]) \
         MODSEQ (9223372036854775807) RFC822.SIZE 5000000000 X-GM-LABELS (\\Inbox \"a b\") \
         INTERNALDATE \" 1-Feb-2024 10:00:00 +0100\")",
    );
    assert_eq!(all.uid.unwrap().get(), u32::MAX);
    assert_eq!(all.size, Some(5_000_000_000));
    assert_eq!(all.modseq, Some(i64::MAX as u64));
    assert_eq!(all.date, Some(Timestamp(1_706_778_000)));
    let flags = all.flags.unwrap();
    assert!(flags.has(SystemFlag::Seen) && flags.has_keyword(&Keyword::forwarded()));
    assert_eq!(
        fetched("* 1 FETCH (UID 1)").flags,
        None,
        "absent is unknown"
    );
    assert_eq!(fetched("* 1 FETCH (UID 1 FLAGS NIL)").flags, None);
    assert_eq!(fetched("* 1 FETCH (UID 1 MODSEQ (1 2))").modseq, None);
    assert_eq!(
        fetched("* 1 FETCH (UID 1 EMAILID (M1))").object.unwrap(),
        b"M1"
    );
    assert_eq!(
        fetched("* 1 FETCH (UID 1 FLAGS ())").flags,
        Some(Flags::default())
    );
    assert_eq!(
        fetched("* 1 FETCH (UID 1 FLAGS (\\Recent))").flags,
        Some(Flags::default())
    );
    assert_eq!(fetched("* 1 FETCH (UID 1 INTERNALDATE NIL)").date, None);
    let quoted = fetched("* 1 FETCH (UID 1 BODY[] \"ab\\\"c\")");
    assert_eq!(quoted.body, Some(Body::Bytes(b"ab\"c".to_vec())));
    assert_eq!(
        fetched("* 1 FETCH (UID 1 BODY[] NIL)").body,
        Some(Body::Nil)
    );
    assert_eq!(fetched("* 1 FETCH (UID 1 FLAGS () )").uid, Uid::new(1));
}

#[test]
fn literals_stand_where_they_stood() {
    let text = b"* 1 FETCH (BODY[HEADER] {3}\0 BODY[TEXT]<0> {2}\0 BODY[] {9}\0 UID 7)".to_vec();
    let literals = vec![
        Literal::Kept(b"abc".to_vec()),
        Literal::Kept(b"de".to_vec()),
        Literal::Passed(9),
    ];
    let Reply::Fetch(fetched) = parse(Frame { text, literals }) else {
        panic!()
    };
    assert_eq!(fetched.header.unwrap(), b"abc");
    assert_eq!(fetched.text.unwrap(), b"de");
    assert_eq!(fetched.body, Some(Body::Streamed(9)));
    assert_eq!(fetched.uid, Uid::new(7));
}

#[test]
fn what_cannot_be_read_is_unreadable_not_empty() {
    for line in [
        "* 1 FETCH (UID 0)",
        "* 1 FETCH UID 1",
        "* 1 FETCH (UID 1 FLAGS (\\Seen)",
        "* SEARCH 1 x 2",
        "* VANISHED (EARLIER) 1:a",
        "* LIST () \"/\"",
        "a1 WHAT",
        "",
        "* STATUS x",
        "* 1 FETCH (UID 1 BODY[] {3}\0)",
    ] {
        assert!(
            matches!(read_line(line), Reply::Unreadable(_)),
            "{line}: {:?}",
            read_line(line)
        );
    }
    let deep = format!("* 1 FETCH {}{}", "(".repeat(5000), ")".repeat(5000));
    assert!(matches!(read_line(&deep), Reply::Unreadable(_)));
}

#[test]
fn lists_keep_wire_names() {
    for (line, name, delimiter) in [
        (
            "* LIST (\\HasNoChildren) \"/\" \"we\\\"ird\"",
            "we\"ird",
            Some(b'/'),
        ),
        ("* LIST (\\Marked) \"\\\\\" a&AGE-b", "a&AGE-b", Some(b'\\')),
        ("* LIST () NIL INBOX", "INBOX", None),
        ("* LIST () \"/\" 50%", "50%", Some(b'/')),
        (
            "* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "a",
            Some(b'/'),
        ),
    ] {
        let Reply::List(listing) = read_line(line) else {
            panic!("{line}")
        };
        assert_eq!(
            (listing.name.as_slice(), listing.delimiter),
            (name.as_bytes(), delimiter)
        );
    }
    let Reply::Status(status) = read_line(
        "* STATUS \"a b\" (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 9999999999 HIGHESTMODSEQ 5 SIZE 9)",
    ) else {
        panic!()
    };
    assert_eq!(
        (status.messages, status.uid_validity),
        (Some(3), Some(9_999_999_999))
    );
}

#[test]
fn codes() {
    for (line, want) in [
        ("a OK [HIGHESTMODSEQ 7]", Code::HighestModSeq(7)),
        ("a OK [UIDVALIDITY 0] x", Code::UidValidity(0)),
        (
            "a OK [MODIFIED 7,9] x",
            Code::Modified(UidSet::parse(b"7,9").unwrap()),
        ),
        (
            "a OK [APPENDUID 38505 3955] x",
            Code::AppendUid(38505, UidSet::parse(b"3955").unwrap()),
        ),
        // Exchange: missing sets.
        ("a OK [COPYUID 14  ] x", Code::Other("COPYUID".into())),
        ("a OK [ALERT]\u{e9}", Code::Other("ALERT".into())),
        ("a NO [TRYCREATE] x", Code::Other("TRYCREATE".into())),
    ] {
        let Reply::Tagged(_, done) = read_line(line) else {
            panic!("{line}")
        };
        assert_eq!(done.code, Some(want), "{line}");
    }
    let Reply::Untagged(done) = read_line("* OK [PERMANENTFLAGS (\\Seen foo \\*)] x") else {
        panic!()
    };
    let Some(Code::PermanentFlags(flags, any)) = done.code else {
        panic!()
    };
    assert_eq!(
        (flags.to_string().as_str(), any),
        ("\\Seen foo", AnyKeyword::Yes)
    );
    assert!(matches!(read_line("* BYE"), Reply::Bye(_)));
    assert!(matches!(read_line("* X-UNKNOWN (a b"), Reply::Other));
    assert!(matches!(read_line("a1 BAD"), Reply::Tagged(..)));
    let Reply::Search(set) = read_line("* ESEARCH (TAG \"A1\") UID ALL 1:3,9 MODSEQ 5") else {
        panic!()
    };
    assert_eq!(set.to_string(), "1:3,9");
    let Reply::Namespace(prefix, delimiter) = read_line("* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL")
    else {
        panic!()
    };
    assert_eq!((prefix.as_slice(), delimiter), (&b"INBOX."[..], Some(b'.')));
}
