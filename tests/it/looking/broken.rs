//! Servers that tell wrong structures, or none: the slow way, or a clear answer.

use super::{objects, picture, printed};
use crate::support::server::Home;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How a server answers a FETCH of its only message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// As it should.
    Not,
    /// BODYSTRUCTURE cannot be parsed.
    Garbage,
    /// BODYSTRUCTURE is NIL.
    Nil,
    /// BODYSTRUCTURE is left out.
    Absent,
    /// BAD for BODYSTRUCTURE.
    Refused,
    /// BODY[n] is NIL.
    NoPart,
    /// BODY[n] is empty.
    EmptyPart,
    /// BODYSTRUCTURE says that the picture is in quoted-printable text.
    WrongEncoding,
    /// BODY[n]<offset> gives all of it, without an offset.
    NoPieces,
    /// No MIME headers of parts.
    NoMime,
}

const ALL: [Broken; 10] = [
    Broken::Not,
    Broken::Garbage,
    Broken::Nil,
    Broken::Absent,
    Broken::Refused,
    Broken::NoPart,
    Broken::EmptyPart,
    Broken::WrongEncoding,
    Broken::NoPieces,
    Broken::NoMime,
];

const SIZE: usize = 300_000;

/// Starts a server; answers with its port, and what was said to it.
fn serve(broken: Broken) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = Arc::new(Mutex::new(Vec::new()));
    let noted = said.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let noted = noted.clone();
            std::thread::spawn(move || talk(stream, broken, &noted));
        }
    });
    (port, said)
}

fn talk(mut stream: TcpStream, broken: Broken, said: &Mutex<Vec<String>>) {
    let reader = BufReader::new(stream.try_clone().unwrap());
    let _ = stream.write_all(b"* OK hi\r\n");
    for line in reader.lines() {
        let Ok(line) = line else { return };
        said.lock().unwrap().push(line.clone());
        let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
        let upper = command.to_ascii_uppercase();
        let fetch = upper.split_once("FETCH 1").map(|(_, rest)| rest.to_owned());
        let answer = match fetch {
            Some(_) if broken == Broken::Refused && upper.contains("BODYSTRUCTURE") => {
                format!("{tag} BAD no such item\r\n").into_bytes()
            }
            Some(items) => {
                let mut bytes = b"* 1 FETCH (UID 1 FLAGS () ".to_vec();
                bytes.extend(b"INTERNALDATE \"02-Nov-2026 10:00:00 +0000\" RFC822.SIZE 1000");
                if items.contains("BODYSTRUCTURE") {
                    bytes.extend(structure(broken));
                }
                bytes.extend(body(&items, broken));
                bytes.extend(format!(")\r\n{tag} OK done\r\n").bytes());
                bytes
            }
            None => ordinary(tag, &upper).into_bytes(),
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn ordinary(tag: &str, upper: &str) -> String {
    let lines = match upper.split(' ').next().unwrap_or("") {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1\r\n",
        "LIST" => "* LIST () \"/\" INBOX\r\n",
        "EXAMINE" => "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* FLAGS ()\r\n",
        "SELECT" | "STORE" => "* BYE nobody may change anything here\r\n",
        _ => "",
    };
    format!("{lines}{tag} OK done\r\n")
}

fn structure(broken: Broken) -> Vec<u8> {
    let encoding = match broken {
        Broken::WrongEncoding => {
            "\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"quoted-printable\" 9 1"
        }
        _ => "\"image\" \"png\" NIL NIL NIL \"base64\" 410528",
    };
    let text = match broken {
        Broken::Garbage => " BODYSTRUCTURE ((\"text\" \"plain\" ((NIL \"x) 7".to_owned(),
        Broken::Nil => " BODYSTRUCTURE NIL".to_owned(),
        Broken::Absent => String::new(),
        _ => format!(
            " BODYSTRUCTURE ((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 2970 110 \
             NIL NIL NIL NIL)({encoding} NIL (\"attachment\" (\"filename\" \"cat.png\")) NIL NIL) \
             \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)"
        ),
    };
    text.into_bytes()
}

/// The section that is asked for.
fn body(items: &str, broken: Broken) -> Vec<u8> {
    let whole = picture(SIZE);
    let Some((_, rest)) = items.split_once("BODY.PEEK[") else {
        return Vec::new();
    };
    let (section, rest) = rest.split_once(']').unwrap();
    let piece = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let piece = piece.and_then(|(piece, _)| piece.split_once('.'));
    let text = String::from_utf8(whole.clone()).unwrap();
    let blank = |text: &str| text.find("\r\n\r\n").unwrap() + 4;
    let header = text[..blank(&text)].to_owned();
    let parts: Vec<&str> = text.split("--b\r\n").skip(1).collect();
    let part = |n: usize| {
        let (head, body) = parts[n].split_at(blank(parts[n]));
        (
            head.to_owned(),
            body.trim_end_matches("\r\n--b--\r\n").to_owned(),
        )
    };
    let is_part = ["1", "2"].contains(&section);
    let bytes = match section {
        "" => whole,
        "1.MIME" | "2.MIME" if broken == Broken::NoMime => return b" BODY[1.MIME] NIL".to_vec(),
        "1" => part(0).1.into_bytes(),
        "2" => part(1).1.into_bytes(),
        "1.MIME" => part(0).0.into_bytes(),
        "2.MIME" => part(1).0.into_bytes(),
        _ => header.into_bytes(),
    };
    if is_part && broken == Broken::NoPart {
        return format!(" BODY[{section}]<0> NIL").into_bytes();
    }
    let bytes = if is_part && broken == Broken::EmptyPart {
        Vec::new()
    } else {
        bytes
    };
    let (bytes, place) = match piece {
        Some((at, count)) if broken != Broken::NoPieces => {
            let (at, count): (usize, usize) = (at.parse().unwrap(), count.parse().unwrap());
            let end = (at + count).min(bytes.len());
            (
                bytes.get(at..end).unwrap_or_default().to_vec(),
                format!("<{at}>"),
            )
        }
        _ => (bytes, String::new()),
    };
    let mut out = format!(" BODY[{section}]{place} {{{}}}\r\n", bytes.len()).into_bytes();
    out.extend(bytes);
    out
}

#[test]
fn wrong_structure_gives_the_right_part_the_slow_way() {
    for broken in ALL {
        let (port, said) = serve(broken);
        let home = home(port);
        let rows = objects(&home, &["list", "INBOX", "--json"]);
        assert_eq!(rows.len(), 1, "{broken:?}");
        assert_eq!(rows[0]["subject"], "a picture", "{broken:?}");
        let id = rows[0]["id"].as_str().unwrap().to_owned();
        let note = printed(&home, &["part", &id, "1"]);
        assert!(note.starts_with("A note about"), "{broken:?}: {note}");
        let to = home.dir.path().join("saved");
        printed(&home, &["part", &id, "2", "--save", to.to_str().unwrap()]);
        let saved = std::fs::read(&to).unwrap();
        assert!(
            saved == vec![0xa7; SIZE],
            "{broken:?}: {} bytes",
            saved.len()
        );
        let shown = printed(&home, &["show", &id]);
        assert!(
            shown.contains("A note about") && shown.contains("cat.png"),
            "{broken:?}: {shown}"
        );
        let slow = [
            Broken::Garbage,
            Broken::Nil,
            Broken::Absent,
            Broken::Refused,
        ];
        let out = home.run(&["show", &id]);
        let told = String::from_utf8_lossy(&out.stderr).contains("all of it is fetched");
        assert_eq!(told, slow.contains(&broken), "{broken:?}: {out:?}");
        let said = said.lock().unwrap().join("\n");
        let changes = ["SELECT", "STORE", "BODY[", "RFC822 ", "EXPUNGE"];
        assert!(
            !changes.iter().any(|word| said.contains(word)),
            "{broken:?}: {said}"
        );
    }
}

#[test]
fn part_that_is_not_there_is_named_with_those_that_are() {
    let (port, _) = serve(Broken::Not);
    let home = home(port);
    let out = home.run(&["part", "test/INBOX/1", "7"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(2) && said.contains("2 (image/png cat.png)"),
        "{out:?}"
    );
    let out = home.run(&["show", "test/INBOX/1-zzzz"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && said.contains("another UIDVALIDITY"),
        "{said}"
    );
}

fn home(port: u16) -> Home {
    let home = Home {
        dir: tempfile::tempdir().unwrap(),
    };
    let dir = home.dir.path().display();
    home.write_config(&format!(
        "state_dir = \"{dir}/state\"\n[accounts.test]\nhost = \"127.0.0.1\"\nport = {port}\n\
         tls = \"none\"\nuser = \"me\"\npassword = \"pass\"\nmaildir = \"{dir}/Mail\"\n\
         timeout = 20\n"
    ));
    home
}
