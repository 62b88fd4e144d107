//! What is declared of the server (`support/traits.rs`) is true, so that no test is skipped for
//! nothing.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Whether a message comes back as it was stored; lines may end with LF.
fn keeps(phone: &mut Phone, mailbox: &str, body: &[u8]) -> bool {
    phone.on("CREATE", &[mailbox]);
    phone.append(mailbox, "", DATE, body);
    let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let lines = bytes.split(|byte| *byte == b'\n');
        lines
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
            .collect()
    };
    phone
        .bodies(mailbox)
        .iter()
        .map(|all| lines(all))
        .eq([lines(body)])
}

fn keeps_keywords(phone: &mut Phone) -> bool {
    phone.on("CREATE", &["Marked"]);
    phone.append("Marked", "$Work todo", DATE, &mail(1));
    let said = phone.on("SELECT", &["Marked"]).concat();
    let said = String::from_utf8(said).unwrap();
    // A server that says nothing about them keeps all flags (RFC 3501, 7.1).
    let any = said.contains("\\*") || !said.contains("PERMANENTFLAGS");
    any && phone.read("Marked").remove(0).flags.len() == 2
}

fn keeps_names(phone: &mut Phone) -> bool {
    let names = ["A &- B", "&ZeVnLIqe-"];
    for name in names {
        phone.on("CREATE", &[name]);
    }
    let listed = phone.mailboxes();
    names
        .iter()
        .all(|name| listed.iter().any(|one| one == name))
}

fn keeps_nesting(phone: &mut Phone) -> bool {
    let names = ["Above", "Above/below"];
    for name in names {
        phone.on("CREATE", &[name]);
        phone.append(name, "", DATE, &mail(1));
    }
    names.iter().all(|name| phone.read(name).len() == 1)
}

fn gives_pieces(phone: &mut Phone) -> bool {
    phone.on("CREATE", &["Pieces"]);
    for n in 0..2 {
        phone.append("Pieces", "", DATE, &mail(n));
    }
    phone.on("SELECT", &["Pieces"]);
    let said = phone.run("UID FETCH 1:* (UID BODY.PEEK[TEXT]<0.512>)");
    let said = String::from_utf8(said.concat()).unwrap();
    said.matches("line of text").count() == 3
}

fn tells_file_names(phone: &mut Phone) -> bool {
    phone.on("CREATE", &["Named"]);
    phone.append("Named", "", DATE, &crate::looking::picture(100));
    phone.on("SELECT", &["Named"]);
    let said = phone.run("UID FETCH 1:* (UID BODYSTRUCTURE)").concat();
    let said = String::from_utf8(said).unwrap().to_ascii_lowercase();
    said.contains("(\"attachment\" (\"filename\" \"cat.png\"))")
}

fn has(server: &Server, need: Need) -> bool {
    let phone = &mut server.phone("u1");
    match need {
        Need::Users => {
            phone.append("INBOX", "", DATE, &mail(1));
            server.phone("u2").read("INBOX").is_empty()
        }
        Need::Login => !phone.preauthenticated,
        Need::Keywords => keeps_keywords(phone),
        Need::Dates => {
            phone.dates = true;
            phone.on("CREATE", &["Dated"]);
            phone.append("Dated", "", DATE, &mail(1));
            phone.read("Dated").remove(0).date == 1_721_177_065
        }
        Need::LoneCr => keeps(phone, "Lone", b"Subject: lone cr\r\n\r\na\rb\r\n"),
        Need::OpenEnd => keeps(phone, "Open", b"Subject: no end\r\n\r\nhello"),
        Need::NoHeader => keeps(phone, "Bare", b"no header at all\r\n"),
        Need::EightBit => keeps(phone, "Bytes", b"Subject: b\r\n\r\n\xff\xfe\x80\xe9\r\n"),
        Need::Names => keeps_names(phone),
        Need::Nesting => keeps_nesting(phone),
        Need::Pieces => gives_pieces(phone),
        Need::FileNames => tells_file_names(phone),
    }
}

#[test]
fn a_server_lacks_just_what_is_declared() {
    let server = Server::start();
    let lacks = Need::ALL.iter().copied().filter(|need| {
        // A server that refuses it, or hangs up, cannot do it.
        !catch_unwind(AssertUnwindSafe(|| has(&server, *need))).unwrap_or(false)
    });
    assert_eq!(lacks.collect::<Vec<_>>(), Traits::wanted().lacks);
    // And for the table, the extensions that mailtide does without.
    let checked = Home::new(&server, "u1", "").run(&["check"]);
    let checked = String::from_utf8(checked.stdout).unwrap();
    let missing = checked.lines().filter_map(|line| {
        let (_, missing) = line.split_once("the server lacks ")?;
        Some(missing.split(':').next().unwrap_or(missing).to_owned())
    });
    missing.for_each(|words| note_skipped(Traits::wanted().name, &words));
}
