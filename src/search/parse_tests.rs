use super::*;
use proptest::prelude::*;

fn today() -> Date {
    date(2024, 5, 17)
}

fn read(text: &str) -> Query {
    parse(text, today()).unwrap()
}

fn text(field: Field, text: &str) -> Query {
    Query::Is(Term::Text(field, Text::new(text, false).unwrap()))
}

#[test]
fn conditions_are_read_with_their_values() {
    for (written, term) in [
        ("since:2024", Term::Since(date(2024, 1, 1))),
        ("since:2024-02", Term::Since(date(2024, 2, 1))),
        ("before:2024-02-29", Term::Before(date(2024, 2, 29))),
        ("since:today", Term::Since(today())),
        ("since:2w", Term::Since(date(2024, 5, 3))),
        ("since:3m", Term::Since(date(2024, 2, 17))),
        ("before:1Y", Term::Before(date(2023, 5, 17))),
        ("larger:10M", Term::Larger(10 << 20)),
        ("smaller:500kB", Term::Smaller(500 << 10)),
        ("IS:Unread", Term::Flag(Mark::Unread)),
        ("tag:work", Term::Tag(Keyword::new("work").unwrap())),
        ("in:\"Sent Items\"", Term::In("Sent Items".into())),
        ("in:Work/*", Term::In("Work/*".into())),
        ("has:attachment", Term::Attachment),
    ] {
        assert_eq!(read(written), Query::Is(term), "{written}");
    }
    let open = Term::Text(Field::Subject, Text::new("inv", true).unwrap());
    assert_eq!(read("subject:inv*"), Query::Is(open));
    assert_eq!(read("12:30"), text(Field::Any, "12:30"));
    assert_eq!(
        read("https://a.example"),
        text(Field::Any, "https://a.example")
    );
    assert_eq!(read("\"to:x\""), text(Field::Any, "to:x"));
}

#[test]
fn words_bind_closer_than_or() {
    let (a, b, c) = (
        text(Field::Any, "a"),
        text(Field::From, "b"),
        text(Field::Any, "c d"),
    );
    let both = Query::And(vec![a.clone(), b.clone()]);
    assert_eq!(
        read("a from:b or \"c d\""),
        Query::Or(vec![both.clone(), c.clone()])
    );
    assert_eq!(read("a AND from:b"), both);
    let not = Query::Not(Box::new(Query::Or(vec![a.clone(), b.clone()])));
    assert_eq!(read("-(a or from:b) \"c d\""), Query::And(vec![not, c]));
    assert_eq!(read("not a"), Query::Not(Box::new(a.clone())));
    assert_eq!(read("\"or\""), text(Field::Any, "or"));
    assert_eq!(read("a-b"), text(Field::Any, "a-b"));
}

#[test]
fn an_error_points_at_its_place() {
    for (written, at, what) in [
        ("", 0, "a word"),
        ("a or", 4, "a word"),
        ("or a", 0, "a word"),
        ("(a b", 4, "a )"),
        ("a )", 2, "no ("),
        ("form:bob", 0, "no field form:"),
        ("a from:", 7, "after from:"),
        ("form: bob", 0, "no field form:"),
        ("x since:2024-13", 8, "a day"),
        ("since:2023-02-29", 6, "a day"),
        ("larger:big", 7, "a size"),
        ("larger:99999999999G", 7, "a size"),
        ("is:new", 3, "unread"),
        ("has:wings", 4, "attachment"),
        ("tag:ä", 4, "a keyword"),
        ("a \"b c", 2, "not closed"),
        ("subject:\"!\"", 8, "a letter"),
        ("請求書 !!", 4, "a letter"),
    ] {
        let error = parse(written, today()).unwrap_err();
        assert_eq!(error.at, at, "{written}: {error}");
        assert!(error.what.contains(what), "{written}: {error}");
    }
    let lines = parse("請求書 !!", today()).unwrap_err().lines();
    assert_eq!(lines[1], "       ^", "characters of two columns");
    let deep = format!("{}a", "-(".repeat(60));
    assert!(parse(&deep, today()).unwrap_err().what.contains("deeper"));
    let long = "a ".repeat(6000);
    assert!(parse(&long, today()).unwrap_err().what.contains("at most"));
}

fn terms() -> impl Strategy<Value = Term> {
    let field = prop_oneof![
        Just(Field::Any),
        Just(Field::From),
        Just(Field::To),
        Just(Field::Cc),
        Just(Field::Subject),
        Just(Field::Body)
    ];
    let words = ("[a-z東é:*()\\\\\" -]{0,6}", "[a-z0-9]", any::<bool>());
    let day = (1i16..9999, 1i8..13, 1i8..29).prop_map(|(y, m, d)| date(y, m, d));
    let mark = (0usize..5).prop_map(|n| Mark::ALL[n].0);
    prop_oneof![
        (field, words).prop_map(|(field, (a, b, open))| {
            Term::Text(field, Text::new(&format!("{a}{b}"), open).unwrap())
        }),
        day.clone().prop_map(Term::Since),
        day.prop_map(Term::Before),
        any::<u64>().prop_map(Term::Larger),
        any::<u64>().prop_map(Term::Smaller),
        mark.prop_map(Term::Flag),
        "[$a-zA-Z0-9:-]{1,8}".prop_map(|k| Term::Tag(Keyword::new(&k).unwrap())),
        "\\PC{0,8}".prop_map(Term::In),
        Just(Term::Attachment),
    ]
}

fn queries() -> impl Strategy<Value = Query> {
    terms()
        .prop_map(Query::Is)
        .prop_recursive(4, 24, 4, |inner| {
            let some = proptest::collection::vec(inner.clone(), 0..4);
            prop_oneof![
                some.clone().prop_map(|all| single(all, Query::And)),
                some.prop_map(|all| single(all, Query::Or)),
                inner.prop_map(|one| Query::Not(Box::new(one))),
            ]
        })
}

proptest! {
    #[test]
    fn a_query_that_is_written_is_read_again(query in queries()) {
        let written = query.to_string();
        // "not all" is the query that no message answers.
        let again = parse(&written, today()).unwrap().given(&|_| None);
        prop_assert_eq!(again, query.given(&|_| None), "{}", written);
    }

    #[test]
    fn reading_ends_for_any_text(text in "\\PC{0,40}", ops in "[()\"*:a-z \\\\-]{0,30}") {
        for text in [text, ops] {
            if let Err(error) = parse(&text, today()) {
                prop_assert!(error.at <= text.chars().count());
                error.lines();
            }
        }
    }
}
