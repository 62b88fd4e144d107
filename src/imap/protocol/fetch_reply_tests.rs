use super::*;
use crate::imap::protocol::reply::{Reply, parse};

fn frame(line: &[u8], literals: &[&[u8]]) -> Frame {
    Frame {
        text: line.to_vec(),
        literals: literals.iter().map(|l| Literal::Kept(l.to_vec())).collect(),
    }
}

fn read(line: &[u8], literals: &[&[u8]]) -> Fetched {
    match parse(frame(line, literals)) {
        Reply::Fetch(fetched) => *fetched,
        other => panic!("{}: {other:?}", line.escape_ascii()),
    }
}

/// Flags as servers were seen to send them, and the parsed result.
const ODD: &[(&[u8], &str)] = &[
    (b"", ""),
    (b"\\Seen", "\\Seen"),
    (b"  \\seen   \\FLAGGED ", "\\Flagged \\Seen"),
    (b"\"\\\\Deleted\"", "\\Deleted"),
    (b"\"\\\\Deleted\"\\Seen", "\\Deleted \\Seen"),
    (b"\"\\Deleted\" \\Seen", "\\Deleted \\Seen"),
    (b"\\\\Seen", "\\Seen"),
    (b"\"work\" \\Seen", "\\Seen work"),
    (b"\"two words\" \\Seen", "\\Seen"),
    (b"\"\" \\Seen", "\\Seen"),
    (b"a\"b \\Seen", "\\Seen"),
    (b"\"ab \\Seen", "\\Seen"),
    (b"\"a) b\" \\Seen", "\\Seen"),
    (b"a(b)", ""),
    (b"a(b)\\Seen", "\\Seen"),
    (b"a(b) \\Seen work", "\\Seen work"),
    (b"a(b \\Seen", "\\Seen"),
    (b":) \\Seen", "\\Seen"),
    (b":( \\Seen", "\\Seen"),
    (b":) :) \\Seen", "\\Seen"),
    (b"(\\Seen work) \\Flagged", "\\Flagged \\Seen work"),
    (b"(\\Seen)", "\\Seen"),
    (b"() \\Seen", "\\Seen"),
    (b"NIL", "NIL"),
    (b"NIL \\Seen", "\\Seen NIL"),
    (b"[x \\Seen", "\\Seen [x"),
    (b"x] \\Seen", "\\Seen"),
    (b"[x] \\Seen", "\\Seen"),
    (b"$Label[1] \\Seen", "\\Seen"),
    (b"Caf\xe9 \\Seen", "\\Seen"),
    (b"Caf\xc3\xa9 \\Seen", "\\Seen"),
    (b"\\* \\Seen", "\\Seen"),
    (b"* \\Seen", "\\Seen"),
    (b"*x \\Seen", "\\Seen"),
    (b"\\Recent \\X-Own \\Seen", "\\Seen"),
    (b"{5} \\Seen", "\\Seen"),
    (b"% \\Seen \x01\x7f", "\\Seen"),
    (b"UID \\Seen", "\\Seen UID"),
];

#[test]
fn an_odd_flag_costs_itself_only() {
    for (list, want) in ODD {
        let around: [(&[u8], &[u8]); 3] = [
            (b"* 3 FETCH (UID 7 FLAGS (", b"))"),
            (b"* 3 FETCH (FLAGS (", b") UID 7)"),
            (b"* 3 FETCH (FLAGS (", b") MODSEQ (9) RFC822.SIZE 4 UID 7)"),
        ];
        for (before, after) in around {
            let line = [before, list, after].concat();
            let shown = line.escape_ascii().to_string();
            let told = read(&line, &[]);
            assert_eq!(told.uid, Uid::new(7), "{shown}");
            assert_eq!(told.flags.unwrap().to_string(), *want, "{shown}");
        }
        let line = [b"* OK [PERMANENTFLAGS (", *list, b")] ok"].concat();
        assert!(
            matches!(parse(frame(&line, &[])), Reply::Untagged(done) if done.text == "ok"),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn flags_without_a_list_are_read_or_unknown() {
    for (value, want) in [
        ("NIL", None),
        ("\\Seen", Some("\\Seen")),
        ("\\Seen work", Some("\\Seen work")),
        ("\"\\\\Seen work\"", Some("\\Seen work")),
        ("", None),
    ] {
        let told = read(format!("* 3 FETCH (FLAGS {value} UID 7)").as_bytes(), &[]);
        let flags = told.flags.map(|flags| flags.to_string());
        assert_eq!((told.uid, flags.as_deref()), (Uid::new(7), want), "{value}");
        assert_eq!(told.hides_flags, want.is_none(), "{value}");
    }
    let told = read(b"* 3 FETCH (FLAGS ({5}\0 work) UID 7)", &[b"\\Seen"]);
    assert_eq!(told.flags.unwrap().to_string(), "\\Seen work");
}

#[test]
fn a_date_that_cannot_be_read_costs_the_date_only() {
    for date in [
        "NIL",
        "\"\"",
        "\"soon\"",
        "\"17-Jul-1996 02:44:25\"",
        "\"17 Jul 1996 02:44:25 +0000\"",
        "17-Jul-1996 02:44:25 -0700",
        "17-Jul-1996",
        "",
        "(1 2)",
        "\"99-Foo-99999 99:99:99 +9999\"",
    ] {
        let line = format!("* 3 FETCH (INTERNALDATE {date} RFC822.SIZE 5 UID 7 FLAGS (\\Seen))");
        let told = read(line.as_bytes(), &[]);
        let rest = (told.uid, told.size, told.date);
        assert_eq!(rest, (Uid::new(7), Some(5), None), "{date}");
        assert_eq!(told.flags.unwrap().to_string(), "\\Seen", "{date}");
    }
}

#[test]
fn pieces_are_read_however_they_are_spaced() {
    for name in [
        "BODY[]<0> ",
        "BODY[]<0>",
        "body[]<0.5> ",
        "BODY[]<0.5>",
        "BODY[]<0>  ",
    ] {
        let line = format!("* 3 FETCH ({name}{{5}}\0 UID 7 BODY[]<9> {{2}}\0)");
        let told = read(line.as_bytes(), &[b"Subje", b"ct"]);
        assert_eq!(told.uid, Uid::new(7), "{name}");
        let want = vec![(0, b"Subje".to_vec()), (9, b"ct".to_vec())];
        assert_eq!(told.pieces, want, "{name}");
    }
}

#[test]
fn lines_about_one_message_are_put_together() {
    let whole = |told: &Fetched| told.uid.is_some() && told.flags.is_some();
    let mut parts = PartialReplies::default();
    let mut add = |line: &str| parts.add(read(line.as_bytes(), &[]), whole);
    assert!(add("* 1 FETCH (FLAGS (\\Seen))").is_none());
    assert!(add("* 2 FETCH (UID 9)").is_none());
    let told = add("* 1 FETCH (UID 7)").unwrap();
    assert_eq!(
        (told.uid, told.flags),
        (Uid::new(7), Some(Flags::of(&[SystemFlag::Seen])))
    );
    assert!(add("* 3 FETCH (FLAGS ())").is_none());
    parts.renumber();
    // The number 2 means another message now.
    assert!(
        parts
            .add(read(b"* 2 FETCH (FLAGS ())", &[]), whole)
            .is_none()
    );
    let left: Vec<_> = parts
        .rest()
        .map(|told| (told.uid, told.flags.is_some()))
        .collect();
    assert_eq!(left, [(Uid::new(9), false), (None, true)]);
}

#[test]
fn no_line_makes_the_reader_run_away() {
    let many = ") ".repeat(20_000);
    let deep = "(".repeat(20_000);
    let keywords: String = (0..50_000).map(|n| format!("k{n} ")).collect();
    for list in [&many, &deep, &keywords] {
        let line = format!("* 3 FETCH (FLAGS ({list}) UID 7)");
        drop(parse(frame(line.as_bytes(), &[])));
    }
    let told = read(
        format!("* 3 FETCH (FLAGS ({keywords}) UID 7)").as_bytes(),
        &[],
    );
    assert!(told.flags.is_none() && told.hides_flags);
}
