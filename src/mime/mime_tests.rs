//! Messages as people and broken programs write them.

use super::*;

const NESTED: &str = "From: =?utf-8?Q?J=C3=B6rg?= <j@x.org>\r\nTo: a@b, \"C, D\" <c@d>\r\n\
Subject: =?utf-8?B?5pel5pys6Kqe?=\r\nMessage-ID: <1@x>\r\n\
Date: Mon, 02 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\
Content-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n--i\r\n\
Content-Type: text/html\r\n\r\n<p>html</p>\r\n--i--\r\n--o\r\n\
Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\
Content-Type: multipart/mixed; boundary=n\r\n\r\n--n\r\n\
Content-Type: text/plain\r\n\r\ndeep\r\n--n\r\n\
Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\n\
Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--n--\r\n--o\r\n\
Content-Type: message/rfc822\r\n\r\nSubject: single\r\n\r\none\r\n--o--\r\n";

#[test]
fn parts_are_numbered_as_imap_does() {
    let mail = Mail::read(NESTED.as_bytes());
    let parts = mail.parts();
    let shown: Vec<String> = parts
        .iter()
        .map(|p| format!("{} {}", p.number, p.kind))
        .collect();
    assert_eq!(
        shown,
        [
            " multipart/mixed",
            "1 multipart/alternative",
            "1.1 text/plain",
            "1.2 text/html",
            "2 message/rfc822",
            " multipart/mixed",
            "2.1 text/plain",
            "2.2 application/pdf",
            "3 message/rfc822",
            "3.1 text/plain",
        ]
    );
    assert_eq!(mail.part("2.2").unwrap().bytes, b"hello");
    assert_eq!(mail.part("a.pdf").unwrap().bytes, b"hello");
    assert_eq!(mail.part("2.1").unwrap().bytes, b"deep");
    assert_eq!(mail.part("3.1").unwrap().bytes.trim_ascii(), b"one");
    let inner = String::from_utf8(mail.part("3").unwrap().bytes).unwrap();
    assert!(inner.starts_with("Subject: single\r\n\r\none"), "{inner:?}");
    assert_eq!(mail.part("4"), None);
    let single = Mail::read(b"Subject: x\r\n\r\nbody\r\n");
    assert_eq!(single.parts()[0].number, "1");
}

#[test]
fn summary_is_decoded_and_counts_attachments() {
    let summary = Mail::read(NESTED.as_bytes()).summary();
    assert_eq!(summary.from[0].to_string(), "J\u{f6}rg <j@x.org>");
    assert_eq!(summary.to[1].short(), "C, D");
    assert_eq!(summary.subject, "\u{65e5}\u{672c}\u{8a9e}");
    assert_eq!(summary.message_id.as_deref(), Some("1@x"));
    assert_eq!(summary.date.unwrap().0, 1_793_610_000);
    assert_eq!(summary.attachments, Some(1));
    let header = NESTED.split("\r\n\r\n").next().unwrap().to_owned() + "\r\n\r\n";
    let of_header = Mail::header(header.as_bytes()).summary();
    assert_eq!(of_header.attachments, None, "not known from the header");
    assert_eq!(of_header.subject, summary.subject);
    let plain = Mail::header(b"Subject: x\r\nContent-Type: text/plain\r\n\r\n").summary();
    assert_eq!(plain.attachments, Some(0));
}

#[test]
fn text_prefers_plain_and_reads_html_without_it() {
    let text = Mail::read(NESTED.as_bytes()).text();
    assert!(text.starts_with("plain\n"), "{text}");
    assert!(!text.contains("html"), "{text}");
    let html = b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n<p>Gr\xfc\xdfe</p><p>&amp;</p>";
    let text = Mail::read(html).text();
    assert!(
        text.contains("Gr\u{fc}\u{df}e\n") && text.contains('&'),
        "{text}"
    );
    let japanese =
        b"Subject: x\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$BF|K\\\x1b(B\r\n";
    assert_eq!(Mail::read(japanese).text(), "\u{65e5}\u{672c}\n");
}

#[test]
fn flowed_lines_are_paragraphs_and_quotes_stay_apart() {
    let mail = "Content-Type: text/plain; format=flowed; delsp=no\r\n\r\n\
                > quoted \r\n> text\r\nThis is \r\none line.\r\n\r\n-- \r\nme \r\nhere\r\n";
    assert_eq!(
        Mail::read(mail.as_bytes()).text(),
        "> quoted text\nThis is one line.\n\n-- \nme here\n"
    );
}

#[test]
fn no_character_acts_on_a_terminal() {
    let evil = "Subject: a\x1b]0;x\x07b\u{202e}c\r\n d\r\nFrom: \"\x1b[2J\u{2066}x\" <a@b>\r\n\r\n\
                one\x1b[31m\r\n\ttab\u{202e}\u{200f}\u{feff}x\x08\u{9b}\r\n";
    let mail = Mail::read(evil.as_bytes());
    let summary = mail.summary();
    let shown = [mail.text(), summary.subject, summary.from[0].to_string()];
    for text in shown {
        let acts = |c: char| c != '\n' && !crate::model::text::is_printable(c);
        assert!(!text.contains(acts), "{text:?}");
    }
    assert_eq!(lines("a\tb\r\n\tc"), "a       b\n        c\n");
    assert_eq!(line(" a \n\t b\u{7} "), "a b\u{fffd}");
}

#[test]
fn pieces_decode_as_the_whole_does() {
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(76)
        .map(|c| std::str::from_utf8(c).unwrap())
        .collect();
    let wire = lines.join("\r\n");
    let header = b"Content-Type: image/png\r\nContent-Transfer-Encoding: BASE64\r\n\r\n";
    let part = described(header, &crate::model::Part::default());
    for size in [1, 7, 76, 100_000] {
        let (mut pieces, mut out) = (TextPieces::of(&part), Vec::new());
        let mut give = |piece: &[u8]| -> Result<(), ()> {
            out.extend_from_slice(piece);
            Ok(())
        };
        for piece in wire.as_bytes().chunks(size) {
            pieces.take(piece, &mut give).unwrap();
        }
        pieces.end(&mut give).unwrap();
        assert_eq!(out, bytes, "pieces of {size}");
    }
    let header = b"Content-Type: text/plain; charset=latin1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    let mut pieces = TextPieces::of(&described(header, &crate::model::Part::default()));
    let mut out = Vec::new();
    let mut give = |piece: &[u8]| -> Result<(), ()> {
        out.extend_from_slice(piece);
        Ok(())
    };
    pieces.take(b"Gr=FC=\r\n=DFe", &mut give).unwrap();
    pieces.end(&mut give).unwrap();
    assert_eq!(out, "Gr\u{fc}\u{df}e".as_bytes());
}

#[test]
fn file_names_are_read_in_every_form() {
    let name = |all: &[(&str, &str)]| {
        let all: Vec<_> = all
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        file_name(&all)
    };
    assert_eq!(name(&[("filename", "a b.pdf")]).as_deref(), Some("a b.pdf"));
    assert_eq!(
        name(&[("name", "=?utf-8?Q?=C3=BC.txt?=")]).as_deref(),
        Some("\u{fc}.txt")
    );
    let split = [
        ("filename*0*", "utf-8''%C3%BC"),
        ("filename*1", ".txt"),
        ("name", "other"),
    ];
    assert_eq!(name(&split).as_deref(), Some("\u{fc}.txt"));
    assert_eq!(name(&[("charset", "utf-8")]), None);
    assert_eq!(name(&[("filename", "\x1b[0m")]).as_deref(), Some("[0m"));
}

#[test]
fn broken_messages_give_what_they_have() {
    let whole = NESTED.as_bytes();
    for end in 0..whole.len() {
        let mail = Mail::read(&whole[..end]);
        let (parts, _) = (mail.parts(), (mail.text(), mail.summary()));
        for part in parts {
            let _content = mail.part(&part.number);
        }
    }
    for bytes in [
        &b""[..],
        b"\n",
        b"\xff\xfe",
        b"no header at all",
        b":\n\nx",
        b"a:b",
    ] {
        let mail = Mail::read(bytes);
        let _all = (mail.text(), mail.summary(), mail.parts(), mail.part("1"));
    }
    let deep = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n".repeat(5000);
    assert!(Mail::read(deep.as_bytes()).parts().len() < 20_000);
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(5000);
    assert!(Mail::read(nested.as_bytes()).parts().len() < 20_000);
}
