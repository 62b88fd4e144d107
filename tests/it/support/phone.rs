//! A second client that plays the phone, and readers of both sides that share no code with
//! mailtide.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// Another mail program on the same account.
pub struct Phone {
    stream: BufReader<TcpStream>,
    tags: u32,
    prefix: String,
    separator: char,
    capabilities: String,
    /// The server asked for no login.
    pub preauthenticated: bool,
    /// Dates are read; where they do not stay, all are 0.
    pub dates: bool,
}

impl Phone {
    pub fn connect(port: u16, user: &str) -> Phone {
        let stream = connect_apart(port).unwrap();
        stream.set_nodelay(true).unwrap();
        // A server that does not answer fails the test.
        let patience = std::time::Duration::from_secs(300);
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut phone = Phone {
            stream: BufReader::new(stream),
            tags: 0,
            prefix: String::new(),
            separator: '/',
            capabilities: String::new(),
            preauthenticated: false,
            dates: true,
        };
        phone.preauthenticated = phone.line().starts_with(b"* PREAUTH");
        if !phone.preauthenticated {
            phone.run(&format!("LOGIN {user} pass"));
        }
        phone.capabilities = String::from_utf8(phone.run("CAPABILITY").concat()).unwrap();
        if phone.can("NAMESPACE") {
            phone.learn_names();
        }
        phone
    }

    /// Whether the server announces it.
    pub fn can(&self, capability: &str) -> bool {
        let mut words = self.capabilities.split_ascii_whitespace();
        words.any(|word| word == capability)
    }

    /// How names are written on this server: `* NAMESPACE (("INBOX." ".")) NIL NIL`.
    fn learn_names(&mut self) {
        let lines = self.run("NAMESPACE");
        let text = String::from_utf8_lossy(&lines[0]).into_owned();
        let mut quoted = text.split('"').skip(1).step_by(2);
        if text.starts_with("* NAMESPACE ((") {
            self.prefix = quoted.next().unwrap().to_owned();
            self.separator = quoted.next().unwrap().chars().next().unwrap();
        }
    }

    /// The server's name for a mailbox that is named like its directory; its own names stay.
    pub fn name(&self, name: &str) -> String {
        if name == "INBOX" || (!self.prefix.is_empty() && name.starts_with(&self.prefix)) {
            return name.to_owned();
        }
        let name = name.replace('/', &self.separator.to_string());
        format!("{}{name}", self.prefix)
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        loop {
            let count = self.stream.read_until(b'\n', &mut line).unwrap();
            assert!(count > 0, "the server hung up on the phone");
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let Some(size) = text.rsplit_once('{').and_then(|(_, n)| n.strip_suffix('}')) else {
                return line;
            };
            let Ok(size) = size.parse::<usize>() else {
                return line;
            };
            let mut literal = vec![0; size];
            self.stream.read_exact(&mut literal).unwrap();
            line.extend(literal);
        }
    }

    /// A command about mailboxes, each named like its directory.
    pub fn on(&mut self, command: &str, mailboxes: &[&str]) -> Vec<Vec<u8>> {
        let names = mailboxes.iter().map(|name| {
            let name = self.name(name).replace('\\', "\\\\").replace('"', "\\\"");
            format!(" \"{name}\"")
        });
        let line = format!("{command}{}", names.collect::<String>());
        self.run(&line)
    }

    /// Moves UIDs of the mailbox that is open, as the server lets one.
    pub fn move_to(&mut self, uids: &str, to: &str) {
        if self.can("MOVE") {
            self.on(&format!("UID MOVE {uids}"), &[to]);
        } else {
            self.on(&format!("UID COPY {uids}"), &[to]);
            self.run(&format!("UID STORE {uids} +FLAGS.SILENT (\\Deleted)"));
            self.run("EXPUNGE");
        }
    }

    /// Moves all of a mailbox.
    pub fn move_all(&mut self, from: &str, to: &str) {
        self.on("SELECT", &[from]);
        self.move_to("1:*", to);
    }

    /// Runs a command that must succeed; answers with the lines before the last.
    pub fn run(&mut self, command: &str) -> Vec<Vec<u8>> {
        let (lines, last) = self.try_run(command);
        assert!(last.starts_with("OK"), "{command}: {last}");
        lines
    }

    pub fn try_run(&mut self, command: &str) -> (Vec<Vec<u8>>, String) {
        self.tags += 1;
        let tag = format!("p{} ", self.tags);
        self.stream
            .get_mut()
            .write_all(format!("{tag}{command}\r\n").as_bytes())
            .unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(tag.as_bytes()) {
                return (lines, String::from_utf8_lossy(rest).trim().to_owned());
            }
            lines.push(line);
        }
    }

    pub fn append(&mut self, mailbox: &str, flags: &str, date: &str, body: &[u8]) {
        self.tags += 1;
        let tag = format!("p{} ", self.tags);
        let date = if date.is_empty() {
            String::new()
        } else {
            format!("\"{date}\" ")
        };
        let head = format!(
            "{tag}APPEND \"{}\" ({flags}) {date}{{{}}}\r\n",
            self.name(mailbox),
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
        assert!(self.line().starts_with(b"+"));
        self.stream
            .get_mut()
            .write_all(&[body, b"\r\n"].concat())
            .unwrap();
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(tag.as_bytes()) {
                assert!(rest.starts_with(b"OK"), "{}", String::from_utf8_lossy(rest));
                return;
            }
        }
    }

    pub fn mailboxes(&mut self) -> Vec<String> {
        let lines = self.run("LIST \"\" \"*\"");
        let names = lines.iter().filter_map(|line| {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            let rest = text.strip_prefix("* LIST ")?;
            if rest.to_ascii_lowercase().contains("\\noselect") {
                return None;
            }
            // `(\NoInferiors) NIL INBOX` names no separator.
            let (_, name) = rest.split_once(") ")?.1.split_once(' ')?;
            let name = name
                .trim_matches('"')
                .replace("\\\"", "\"")
                .replace("\\\\", "\\");
            let name = name.strip_prefix(&self.prefix).unwrap_or(&name);
            Some(name.replace(self.separator, "/"))
        });
        names.collect()
    }

    /// The literal of one item of messages, with all else that their answers say.
    fn literals(&mut self, mailbox: &str, items: &str) -> Vec<(Vec<u8>, String)> {
        self.on("EXAMINE", &[mailbox]);
        let lines = self.run(&format!("UID FETCH 1:* ({items})"));
        let mut all = Vec::new();
        for line in lines {
            let start = line.windows(6).position(|w| w == b"BODY[]");
            let Some(start) = start.filter(|_| line.starts_with(b"* ")) else {
                continue;
            };
            let after = &line[start..];
            let open = after.iter().position(|b| *b == b'{').unwrap();
            let close = after.iter().position(|b| *b == b'\n').unwrap();
            let size: usize = String::from_utf8_lossy(&after[open + 1..close - 2])
                .parse()
                .unwrap();
            let (body, tail) = after[close + 1..].split_at(size);
            let rest = [&line[..start], tail].concat();
            all.push((body.to_vec(), String::from_utf8_lossy(&rest).into_owned()));
        }
        all
    }

    /// The bytes of all messages of a mailbox, as they come.
    pub fn bodies(&mut self, mailbox: &str) -> Vec<Vec<u8>> {
        let all = self.literals(mailbox, "UID BODY.PEEK[]");
        all.into_iter().map(|(body, _)| body).collect()
    }

    /// All of a mailbox: canonical body, flags, date.
    pub fn read(&mut self, mailbox: &str) -> Vec<Seen> {
        let all = self.literals(mailbox, "FLAGS INTERNALDATE BODY.PEEK[]");
        let dates = self.dates;
        let seen = all.into_iter().map(|(body, rest)| {
            // Servers may answer in any order.
            let between = |from: &str, to: char| {
                let (_, after) = rest.split_once(from).unwrap_or_else(|| panic!("{rest}"));
                after.split_once(to).unwrap().0
            };
            let flags = between("FLAGS (", ')').split(' ');
            let flags = flags.filter(|f| !f.is_empty() && *f != "\\Recent");
            let date = between("INTERNALDATE \"", '"').trim();
            let date = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", date).unwrap();
            Seen {
                body: canonical(&body),
                flags: flags.map(|f| f.to_ascii_lowercase()).collect(),
                date: i64::from(dates) * date.to_timestamp().unwrap().as_second(),
            }
        });
        let mut all: Vec<Seen> = seen.collect();
        all.sort();
        all
    }

    pub fn view(&mut self) -> View {
        let names = self.mailboxes();
        names
            .into_iter()
            .map(|name| (decode_utf7(&name), self.read(&name)))
            .collect()
    }
}

/// From another address than mailtide's, as servers count connections by user and address.
fn connect_apart(port: u16) -> std::io::Result<TcpStream> {
    static CONNECTED: AtomicU8 = AtomicU8::new(0);
    let address = |last, port| std::net::SocketAddr::from(([127, 0, 0, last], port));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let own = 2 + CONNECTED.fetch_add(1, Ordering::Relaxed) % 250;
    socket.bind(&address(own, 0).into())?;
    socket.connect(&address(1, port).into())?;
    Ok(socket.into())
}

/// One message as either side shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub body: Vec<u8>,
    pub flags: BTreeSet<String>,
    pub date: i64,
}

pub type View = BTreeMap<String, Vec<Seen>>;

/// Without CRs and newlines at the end.
pub fn canonical(body: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = body.iter().copied().filter(|b| *b != b'\r').collect();
    while body.last() == Some(&b'\n') {
        body.pop();
    }
    body
}

fn decode_utf7(name: &str) -> String {
    // Only what the tests use.
    name.replace("&APw-", "ü")
        .replace("&AOQ-", "ä")
        .replace("&ZeVnLIqe-", "日本語")
        .replace("&-", "&")
}

/// Reads a nested Maildir with nothing but the standard library.
pub fn read_maildir(root: &Path) -> View {
    try_read_maildir(root).unwrap()
}

/// Fails where somebody renames a file at the same moment.
pub fn try_read_maildir(root: &Path) -> std::io::Result<View> {
    let mut view = View::new();
    walk(root, "", &mut view)?;
    Ok(view)
}

fn walk(directory: &Path, name: &str, view: &mut View) -> std::io::Result<()> {
    if directory.join("cur").is_dir() && !name.is_empty() {
        view.insert(name.to_owned(), read_mailbox(directory)?);
    }
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let file = entry.file_name().into_string().unwrap();
        let inner = ["cur", "new", "tmp"].contains(&file.as_str()) || file.starts_with('.');
        if !inner && entry.file_type()?.is_dir() {
            let decoded = file
                .replace("%2E", ".")
                .replace("%2F", "/")
                .replace("%25", "%");
            let below = if name.is_empty() {
                decoded
            } else {
                format!("{name}/{decoded}")
            };
            walk(&entry.path(), &below, view)?;
        }
    }
    Ok(())
}

fn read_mailbox(directory: &Path) -> std::io::Result<Vec<Seen>> {
    use std::os::unix::fs::MetadataExt;
    let names = std::fs::read_to_string(directory.join("dovecot-keywords")).unwrap_or_default();
    let keywords: BTreeMap<char, String> = names
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(n, k)| {
            (
                (b'a' + n.parse::<u8>().unwrap()) as char,
                k.to_ascii_lowercase(),
            )
        })
        .collect();
    let mut all = Vec::new();
    for sub in ["cur", "new"] {
        for entry in std::fs::read_dir(directory.join(sub))? {
            let path = entry?.path();
            let meta = path.metadata()?;
            assert_eq!(meta.mode() & 0o077, 0, "{path:?} can be read by others");
            let name = path.file_name().unwrap().to_str().unwrap();
            let info = name.rsplit_once(":2,").map_or("", |(_, info)| info);
            assert!(sub == "cur" || info.is_empty(), "{path:?}: flags in new/");
            let flag = |letter: char| match letter {
                'D' => "\\draft".to_owned(),
                'F' => "\\flagged".to_owned(),
                'P' => "$forwarded".to_owned(),
                'R' => "\\answered".to_owned(),
                'S' => "\\seen".to_owned(),
                'T' => "\\deleted".to_owned(),
                other => keywords.get(&other).cloned().unwrap_or(format!("?{other}")),
            };
            all.push(Seen {
                body: canonical(&std::fs::read(&path)?),
                flags: info.chars().map(flag).collect(),
                date: meta.mtime(),
            });
        }
    }
    all.sort();
    Ok(all)
}

/// No mailbox below has anything left in tmp.
pub fn assert_no_litter(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == "tmp" {
            let left = std::fs::read_dir(entry.path()).unwrap().count();
            assert_eq!(left, 0, "litter in {:?}", entry.path());
        } else if entry.file_type().unwrap().is_dir() && entry.file_name() != ".mailtide" {
            assert_no_litter(&entry.path());
        }
    }
}
