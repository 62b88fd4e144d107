use super::*;
use crate::imap::protocol::command::{Command, LiteralKind};
use crate::model::Keyword;
use jiff::civil::date;

fn show(key: &SearchKey, mailboxes: &[&[u8]], charset: bool, kind: LiteralKind) -> Vec<String> {
    let pieces = Command::search(key, mailboxes, &["RETURN (ALL) "], charset, kind).unwrap();
    let first = pieces.first.bytes().to_vec();
    let all = std::iter::once(first).chain(pieces.rest);
    all.map(|piece| String::from_utf8(piece).unwrap()).collect()
}

fn text(part: In, text: &str) -> SearchKey {
    SearchKey::Text(part, text.to_owned(), false)
}

#[test]
fn search_as_the_rfc_writes_it() {
    let key = SearchKey::And(vec![
        SearchKey::Or(vec![
            text(In::From, "a\"b\\"),
            text(In::Body, "x"),
            text(In::Cc, "y"),
        ]),
        SearchKey::Not(Box::new(SearchKey::And(vec![
            SearchKey::Flag(SystemFlag::Seen, false),
            SearchKey::Keyword(Keyword::new("$Work").unwrap()),
        ]))),
        SearchKey::Since(date(2024, 2, 1)),
        SearchKey::Larger(u64::MAX),
    ]);
    assert_eq!(
        show(&key, &[], false, LiteralKind::Waiting),
        [
            "UID SEARCH RETURN (ALL) (OR FROM \"a\\\"b\\\\\" OR BODY \"x\" CC \"y\" NOT (UNSEEN \
          KEYWORD $Work) SINCE 1-Feb-2024 LARGER 4294967295)"
        ]
    );
    assert_eq!(
        show(
            &SearchKey::And(Vec::new()),
            &[],
            false,
            LiteralKind::Waiting
        ),
        ["UID SEARCH RETURN (ALL) ALL"]
    );
    assert_eq!(
        show(
            &SearchKey::Or(Vec::new()),
            &[b"A", b"B \"c"],
            false,
            LiteralKind::Waiting
        ),
        ["ESEARCH IN (mailboxes (\"A\" \"B \\\"c\")) RETURN (ALL) NOT ALL"]
    );
}

#[test]
fn texts_that_are_not_ascii_are_literals() {
    let key = SearchKey::Or(vec![
        text(In::Subject, "é"),
        SearchKey::Text(In::Body, "a\r\nb".into(), true),
    ]);
    assert_eq!(
        show(&key, &[], true, LiteralKind::AtOnce),
        ["UID SEARCH RETURN (ALL) CHARSET UTF-8 OR SUBJECT {2+}\r\né FUZZY BODY {4+}\r\na\r\nb"]
    );
    assert_eq!(
        show(&key, &[], true, LiteralKind::Waiting),
        [
            "UID SEARCH RETURN (ALL) CHARSET UTF-8 OR SUBJECT {2}",
            "é FUZZY BODY {4}",
            "a\r\nb"
        ]
    );
}
