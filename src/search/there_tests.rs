use super::super::parse;
use super::*;
use crate::imap::In;
use jiff::civil::date;

fn ask(way: Way, text: &str) -> Asked {
    way.ask(&parse(text, date(2024, 5, 17)).unwrap())
}

fn text(part: In, text: &str) -> Key {
    Key::Text(part, text.to_owned(), false)
}

#[test]
fn words_are_asked_for_where_the_index_has_them() {
    let anywhere = [In::Subject, In::From, In::To, In::Cc, In::Body].map(|part| text(part, "tax"));
    let asked = ask(Way::default(), "tax subject:\"a b\" -is:read");
    let not_read = Key::Not(Box::new(Key::Flag(SystemFlag::Seen, true)));
    let wanted = vec![Key::Or(anywhere.into()), text(In::Subject, "a b"), not_read];
    assert_eq!(
        asked,
        Asked {
            key: Key::And(wanted),
            open: false
        }
    );
}

#[test]
fn what_search_has_no_key_for_never_takes_an_answer_away() {
    let (all, none) = (Key::And(Vec::new()), Key::Or(Vec::new()));
    let asked = ask(Way::default(), "has:attachment");
    assert_eq!(
        asked,
        Asked {
            key: all.clone(),
            open: true
        }
    );
    let asked = ask(Way::default(), "-has:attachment");
    assert_eq!(
        asked,
        Asked {
            key: Key::Not(Box::new(none)),
            open: true
        }
    );
    let ascii = Way {
        ascii: true,
        ..Way::default()
    };
    let asked = ask(ascii, "subject:müller from:bob");
    assert_eq!(
        asked,
        Asked {
            key: Key::And(vec![all, text(In::From, "bob")]),
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
    let gmail = Way {
        offers,
        ..Way::default()
    };
    let asked = ask(gmail, "has:attachment subject:\"a b\" since:2024");
    let wanted = vec![
        Key::Gmail("has:attachment".into()),
        Key::Gmail("subject:\"a b\"".into()),
        Key::Since(date(2024, 1, 1)),
    ];
    assert_eq!(
        asked,
        Asked {
            key: Key::And(wanted),
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
        let way = Way {
            offers,
            fuzzy,
            ..Way::default()
        };
        let asked = ask(way, "body:tax");
        assert_eq!(asked.key, Key::Text(In::Body, "tax".into(), wanted));
    }
}
