//! A second, very small mail program on the same account: it plays the phone in the demo, and
//! reads both sides with code of its own to compare them.
//!
//! phone PORT USER PASSWORD seed | change | table MAILDIR | compare MAILDIR
//!     | star MAILBOX UID | answered MAILBOX COUNT | has MAILBOX SUBJECT
//!
//! The last two end well when so many are answered, or when there is such a message.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// By mailbox: messages, read ones, starred ones, and the sum of all bodies' line-end-free bytes.
type Table = BTreeMap<String, [u64; 4]>;

struct Phone {
    stream: BufReader<TcpStream>,
}

impl Phone {
    fn connect(port: &str, user: &str, password: &str) -> Result<Phone> {
        let stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        let mut phone = Phone {
            stream: BufReader::new(stream),
        };
        phone.line()?;
        phone.run(&format!("LOGIN {user} {password}"))?;
        Ok(phone)
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            if self.stream.read_until(b'\n', &mut line)? == 0 {
                return Err("the server hung up".into());
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let size = text
                .rsplit_once('{')
                .and_then(|(_, n)| n.strip_suffix('}')?.parse().ok());
            let Some(size) = size else { return Ok(line) };
            let mut literal = vec![0; size];
            self.stream.read_exact(&mut literal)?;
            line.extend(literal);
        }
    }

    fn run(&mut self, command: &str) -> Result<Vec<Vec<u8>>> {
        write!(self.stream.get_mut(), "x {command}\r\n")?;
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            match line.strip_prefix(b"x ") {
                Some(rest) if rest.starts_with(b"OK") => return Ok(lines),
                Some(rest) => {
                    return Err(format!("{command}: {}", String::from_utf8_lossy(rest)).into());
                }
                None => lines.push(line),
            }
        }
    }

    fn append(&mut self, mailbox: &str, flags: &str, body: &str) -> Result<()> {
        let body = body.replace('\n', "\r\n");
        let size = body.len();
        write!(
            self.stream.get_mut(),
            "x APPEND \"{mailbox}\" ({flags}) {{{size}+}}\r\n{body}\r\n"
        )?;
        while !self.line()?.starts_with(b"x OK") {}
        Ok(())
    }

    fn seed(&mut self) -> Result<()> {
        let boxes = [
            "Arbeit",
            "Arbeit/Entw&APw-rfe",
            "Lists/Rust &- friends",
            "Archive",
        ];
        for name in boxes {
            self.run(&format!("CREATE \"{name}\""))?;
        }
        let flags = [
            "\\Seen",
            "",
            "\\Seen \\Flagged",
            "\\Seen \\Answered invoice",
            "$Forwarded",
        ];
        for n in 0..300_usize {
            let name = boxes.get(n % 6).copied().unwrap_or("INBOX");
            let flags = flags.get(n % 5).copied().unwrap_or_default();
            let attachment = match n % 11 {
                0 => format!(
                    "\n--b\nContent-Transfer-Encoding: base64\n\n{}\n--b--",
                    "QUJD\n".repeat(2000)
                ),
                _ => String::new(),
            };
            let text = format!("Grüße, line of text number {n}\n").repeat(n % 9 + 1);
            let body = format!(
                "From: Ann <ann@example.org>\nTo: me@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= {n}\n\
                 Message-ID: <{n}@example.org>\n\n{text}{attachment}\n"
            );
            self.append(name, flags, &body)?;
        }
        Ok(())
    }

    fn star(&mut self, mailbox: &str, uid: &str) -> Result<()> {
        self.run(&format!("SELECT \"{mailbox}\""))?;
        self.run(&format!("UID STORE {uid} +FLAGS (\\Flagged)"))?;
        Ok(())
    }

    /// How many messages a search finds.
    fn search(&mut self, mailbox: &str, what: &str) -> Result<usize> {
        self.run(&format!("EXAMINE \"{mailbox}\""))?;
        let lines = self.run(&format!("UID SEARCH {what}"))?;
        let text = lines.concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let found = text.lines().find_map(|line| line.strip_prefix("* SEARCH"));
        Ok(found.unwrap_or_default().split_ascii_whitespace().count())
    }

    fn change(&mut self) -> Result<()> {
        self.run("SELECT INBOX")?;
        self.run("UID STORE 1:10 +FLAGS (\\Seen)")?;
        self.run("UID STORE 11 +FLAGS (\\Flagged holiday)")?;
        self.run("UID STORE 20:22 +FLAGS (\\Deleted)")?;
        self.run("UID EXPUNGE 20:22")?;
        self.run("CREATE \"Filed there\"")?;
        self.append(
            "Filed there",
            "\\Seen",
            "Subject: filed\n\nfrom the phone\n",
        )
    }

    fn table(&mut self) -> Result<Table> {
        let mut table = Table::new();
        let mut names = Vec::new();
        for line in self.run("LIST \"\" \"*\"")? {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if text.to_lowercase().contains("\\noselect") {
                continue;
            }
            let name = text
                .rsplit_once(" \"/\" ")
                .map(|(_, name)| name.trim_matches('"').to_owned());
            names.extend(name);
        }
        for name in names {
            self.run(&format!("EXAMINE \"{name}\""))?;
            let mut row = [0; 4];
            for line in self
                .run("UID FETCH 1:* (FLAGS BODY.PEEK[])")
                .unwrap_or_default()
            {
                let at = line.windows(6).position(|w| w == b"BODY[]");
                let Some(at) = at.filter(|_| line.starts_with(b"* ")) else {
                    continue;
                };
                let (head, tail) = line.split_at(at);
                let head = String::from_utf8_lossy(head);
                let end = tail.iter().position(|b| *b == b'\n').unwrap_or(0) + 1;
                let body = tail
                    .get(end..tail.len().saturating_sub(3))
                    .unwrap_or_default();
                count(
                    &mut row,
                    (head.contains("\\Seen"), head.contains("\\Flagged")),
                    body,
                );
            }
            let shown = name
                .replace("&APw-", "ü")
                .replace("&AOQ-", "ä")
                .replace("&-", "&");
            table.insert(shown, row);
        }
        Ok(table)
    }
}

fn count(row: &mut [u64; 4], (seen, flagged): (bool, bool), body: &[u8]) {
    let sum: u64 = body
        .iter()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| u64::from(*b))
        .sum();
    let [messages, read, starred, bytes] = row;
    *messages += 1;
    *read += u64::from(seen);
    *starred += u64::from(flagged);
    *bytes += sum;
}

fn disk(directory: &Path, name: &str, table: &mut Table) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    if directory.join("cur").is_dir() {
        let mut row = [0; 4];
        for sub in ["new", "cur"] {
            for entry in std::fs::read_dir(directory.join(sub))? {
                let path = entry?.path();
                let file = path
                    .file_name()
                    .and_then(|n| n.to_str())
                    .unwrap_or_default();
                let info = file.rsplit_once(":2,").map_or("", |(_, info)| info);
                count(
                    &mut row,
                    (info.contains('S'), info.contains('F')),
                    &std::fs::read(&path)?,
                );
            }
        }
        table.insert(name.to_owned(), row);
    }
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let file = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        if path.is_dir() && !file.starts_with('.') && !["cur", "new", "tmp"].contains(&&*file) {
            let below = if name.is_empty() {
                file
            } else {
                format!("{name}/{file}")
            };
            disk(&path, &below, table)?;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let [port, user, password, command, more @ ..] = words.as_slice() else {
        return Err("phone PORT USER PASSWORD seed|change|table MAILDIR|compare MAILDIR".into());
    };
    let mut phone = Phone::connect(port, user, password)?;
    match (*command, more) {
        ("seed", []) => phone.seed(),
        ("change", []) => phone.change(),
        ("star", [mailbox, uid]) => phone.star(mailbox, uid),
        ("answered", [mailbox, count]) => {
            let found = phone.search(mailbox, "ANSWERED")?;
            (found >= count.parse()?)
                .then_some(())
                .ok_or("not yet".into())
        }
        ("has", [mailbox, subject]) => {
            let found = phone.search(mailbox, &format!("SUBJECT \"{subject}\""))?;
            (found > 0).then_some(()).ok_or("not yet".into())
        }
        ("table" | "compare", [maildir]) => {
            let (there, mut here) = (phone.table()?, Table::new());
            disk(Path::new(maildir), "", &mut here)?;
            if *command == "compare" {
                if there != here {
                    return Err(format!("the sides differ: {there:?} {here:?}").into());
                }
                println!("Both sides hold the same: messages, flags, bytes.\n");
                return Ok(());
            }
            print(&there, &here);
            Ok(())
        }
        _ => Err("unknown command".into()),
    }
}

fn print(there: &Table, here: &Table) {
    let cell = |row: Option<&[u64; 4]>| match row {
        Some([messages, read, starred, _]) => format!("{messages:>6} {read:>6} {starred:>8}"),
        None => format!("{:>22}", "-"),
    };
    println!("{:<24} {:^22}   {:^22}", "", "server", "Maildir");
    let head = format!("{:>6} {:>6} {:>8}", "mails", "read", "starred");
    println!("{:<24} {head}   {head}", "mailbox");
    let names: std::collections::BTreeSet<&String> = there.keys().chain(here.keys()).collect();
    for name in names {
        println!(
            "{name:<24} {}   {}",
            cell(there.get(name)),
            cell(here.get(name))
        );
    }
}
