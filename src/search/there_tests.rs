use super::super::parse;
use super::*;
use crate::imap::In;
use jiff::civil::date;

fn ask(way: QueryMethod, text: &str) -> ServerQuery {
    way.ask(&parse(text, date(2024, 5, 17)).unwrap())
}

fn text(part: In, text: &str) -> SearchKey {
    SearchKey::Text(part, text.to_owned(), false)
}

#[test]
fn words_are_asked_for_where_the_index_has_them() {
    let anywhere = [In::Subject, In::From, In::To, In::Cc, In::Body].map(|part| text(part, "tax"));
    let asked = ask(QueryMethod::default(), "tax subject:\"a b\" -is:read");
    let not_read = SearchKey::Not(Box::new(SearchKey::Flag(SystemFlag::Seen, true)));
    let wanted = vec![
        SearchKey::Or(anywhere.into()),
        text(In::Subject, "a b"),
        not_read,
    ];
    assert_eq!(
        asked,
        ServerQuery {
            key: SearchKey::And(wanted),
            open: false
        }
    );
}

#[test]
fn what_search_has_no_key_for_never_takes_an_answer_away() {
    let (all, none) = (SearchKey::And(Vec::new()), SearchKey::Or(Vec::new()));
    let asked = ask(QueryMethod::default(), "has:attachment");
    assert_eq!(
        asked,
        ServerQuery {
            key: all.clone(),
            open: true
        }
    );
    let asked = ask(QueryMethod::default(), "-has:attachment");
    assert_eq!(
        asked,
        ServerQuery {
            key: SearchKey::Not(Box::new(none)),
            open: true
        }
    );
    let ascii = QueryMethod {
        ascii: true,
        ..QueryMethod::default()
    };
    let asked = ask(ascii, "subject:müller from:bob");
    assert_eq!(
        asked,
        ServerQuery {
            key: SearchKey::And(vec![all, text(In::From, "bob")]),
            open: true
        }
    );
}

#[test]
fn gmail_is_asked_in_its_language() {
    let offers = Offers {
        gmail: true,
        ..Offers::default()
    };
    let gmail = QueryMethod {
        offers,
        ..QueryMethod::default()
    };
    let asked = ask(gmail, "has:attachment subject:\"a b\" since:2024");
    let wanted = vec![
        SearchKey::Gmail("has:attachment".into()),
        SearchKey::Gmail("subject:\"a b\"".into()),
        SearchKey::Since(date(2024, 1, 1)),
    ];
    assert_eq!(
        asked,
        ServerQuery {
            key: SearchKey::And(wanted),
            open: false
        }
    );
}

#[test]
fn fuzzy_only_where_it_is_asked_for_and_offered() {
    let offers = Offers {
        fuzzy: true,
        ..Offers::default()
    };
    for (offers, fuzzy, wanted) in [
        (offers, true, true),
        (offers, false, false),
        (Offers::default(), true, false),
    ] {
        let way = QueryMethod {
            offers,
            fuzzy,
            ..QueryMethod::default()
        };
        let asked = ask(way, "body:tax");
        assert_eq!(asked.key, SearchKey::Text(In::Body, "tax".into(), wanted));
    }
}
