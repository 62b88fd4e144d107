//! The words of IMAP, for the server that is played: written apart from the program's own.

use super::mail::Letter;

/// A word of a command.
#[derive(Clone, Debug)]
pub enum Word {
    Atom(String),
    Quoted(String),
    Literal(Vec<u8>),
    List(Vec<Word>, String),
}

impl Word {
    pub fn text(&self) -> String {
        match self {
            Word::Atom(text) | Word::Quoted(text) => text.clone(),
            Word::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Word::List(..) => String::new(),
        }
    }

    pub fn words(&self) -> Vec<Word> {
        match self {
            Word::List(words, _) => words.clone(),
            _ => Vec::new(),
        }
    }

    pub fn raw(&self) -> String {
        match self {
            Word::List(_, raw) => raw.clone(),
            other => other.text(),
        }
    }

    pub fn list(&self) -> Option<Vec<String>> {
        match self {
            Word::List(words, _) => Some(words.iter().map(Word::text).collect()),
            _ => None,
        }
    }

    pub fn quoted(&self) -> Option<String> {
        match self {
            Word::Quoted(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn literal(&self) -> Option<Vec<u8>> {
        match self {
            Word::Literal(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

/// How far a command has come.
pub enum Scan {
    /// It is whole, with so many bytes.
    Whole(usize),
    /// A literal that begins here is not whole.
    Literal { at: usize, waits: bool },
    /// The line is not whole.
    More,
}

/// Looks for the end of the first command.
pub fn scan(input: &[u8]) -> Scan {
    let mut from = 0;
    loop {
        let Some(end) = input[from..].windows(2).position(|two| two == b"\r\n") else {
            return Scan::More;
        };
        let end = from + end;
        match announced(&input[from..end]) {
            None => return Scan::Whole(end + 2),
            Some((size, waits)) if input.len() < end + 2 + size => {
                return Scan::Literal { at: end + 2, waits };
            }
            Some((size, _)) => from = end + 2 + size,
        }
    }
}

/// The literal that a line announces at its end, and whether the client waits to be invited.
fn announced(line: &[u8]) -> Option<(usize, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|byte| *byte == b'{')?;
    let number = std::str::from_utf8(&inner[open + 1..]).ok()?;
    let waits = !number.ends_with('+');
    Some((number.trim_end_matches('+').parse().ok()?, waits))
}

/// Takes a command apart.
pub fn parse(command: &[u8]) -> Vec<Word> {
    let mut at = 0;
    words(command, &mut at)
}

fn words(bytes: &[u8], at: &mut usize) -> Vec<Word> {
    let mut all = Vec::new();
    while let Some(byte) = bytes.get(*at).copied() {
        match byte {
            b' ' | b'\r' | b'\n' => *at += 1,
            b')' => return all,
            b'(' => {
                let from = *at;
                *at += 1;
                let inner = words(bytes, at);
                *at += 1;
                let raw = String::from_utf8_lossy(&bytes[from..*at]).into_owned();
                all.push(Word::List(inner, raw));
            }
            b'"' => {
                let mut text = Vec::new();
                *at += 1;
                while let Some(byte) = bytes.get(*at).copied().filter(|b| *b != b'"') {
                    *at += usize::from(byte == b'\\');
                    text.push(bytes[*at]);
                    *at += 1;
                }
                *at += 1;
                all.push(Word::Quoted(String::from_utf8_lossy(&text).into_owned()));
            }
            b'{' => {
                let end = *at + bytes[*at..].iter().position(|b| *b == b'\r').unwrap();
                let (size, _) = announced(&bytes[*at..end]).unwrap();
                *at = end + 2 + size;
                all.push(Word::Literal(bytes[end + 2..*at].to_vec()));
            }
            _ => {
                let (from, mut depth) = (*at, 0);
                while let Some(byte) = bytes.get(*at).copied() {
                    match byte {
                        b'[' => depth += 1,
                        b']' => depth -= 1,
                        b' ' | b'(' | b')' | b'\r' if depth == 0 => break,
                        _ => {}
                    }
                    *at += 1;
                }
                let text = String::from_utf8_lossy(&bytes[from..*at]).into_owned();
                all.push(Word::Atom(text));
            }
        }
    }
    all
}

/// A set of UIDs.
pub struct Set(Vec<(u64, u64)>);

impl Set {
    pub fn parse(text: &str) -> Set {
        let number = |text: &str| text.parse().unwrap_or(u64::MAX);
        let ranges = text.split(',').map(|part| match part.split_once(':') {
            Some((a, b)) => (number(a), number(b)),
            None => (number(part), number(part)),
        });
        Set(ranges.collect())
    }

    pub fn has(&self, uid: u32, highest: u32) -> bool {
        let end = |number: u64| match number {
            u64::MAX => u64::from(highest),
            number => number,
        };
        let within = |(a, b): &(u64, u64)| {
            let (a, b) = (end(*a), end(*b));
            (a.min(b)..=a.max(b)).contains(&u64::from(uid))
        };
        self.0.iter().any(within)
    }
}

/// `17-Jul-1996 02:44:25 +0000` in seconds.
pub fn date(text: &str) -> i64 {
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim());
    let at = parsed.and_then(|broken| broken.to_timestamp());
    at.map_or(0, |at| at.as_second())
}

/// A FETCH response.
pub fn fetch(number: usize, letter: &Letter, items: &str) -> Vec<u8> {
    let mut out = format!("* {number} FETCH (UID {}", letter.uid).into_bytes();
    let mut say = |text: String| out.extend_from_slice(text.as_bytes());
    let header = letter.body.windows(4).position(|w| w == b"\r\n\r\n");
    let header = header.map_or(letter.body.len(), |at| at + 4);
    let (head, text) = letter.body.split_at(header);
    if items.contains("FLAGS") {
        let flags: Vec<&str> = letter.flags.iter().map(String::as_str).collect();
        say(format!(" FLAGS ({})", flags.join(" ")));
    }
    if items.contains("INTERNALDATE") {
        let at = jiff::Timestamp::from_second(letter.date).unwrap();
        say(format!(
            " INTERNALDATE \"{}\"",
            at.strftime("%d-%b-%Y %H:%M:%S +0000")
        ));
    }
    if items.contains("RFC822.SIZE") {
        let sloppy = items.contains("SLOPPY") && letter.uid.is_multiple_of(3);
        let line_ends = letter.body.iter().filter(|byte| **byte == b'\r').count();
        let size = match items {
            _ if sloppy => 0,
            _ if items.contains("SHORTSIZE") => letter.body.len() - line_ends,
            _ => letter.body.len(),
        };
        say(format!(" RFC822.SIZE {size}"));
    }
    if items.contains("EMAILID") {
        say(format!(" EMAILID (M{})", letter.object));
    }
    if items.contains("X-GM-MSGID") {
        say(format!(" X-GM-MSGID {}", 1_000_000 + letter.object));
    }
    if items.contains("MODSEQ") {
        say(format!(" MODSEQ ({})", letter.modseq));
    }
    let mut literal = |name: &str, bytes: &[u8]| {
        out.extend_from_slice(format!(" {name} {{{}}}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
    };
    if items.contains("BODY.PEEK[HEADER]") {
        let anew = items.contains("NEWHEADER");
        let written = if anew {
            head.to_ascii_uppercase()
        } else {
            head.to_vec()
        };
        literal("BODY[HEADER]", &written);
    }
    if items.contains("BODY.PEEK[HEADER.FIELDS") {
        let lines = head.split_inclusive(|byte| *byte == b'\n');
        let lines = lines.filter(|line| line.starts_with(b"Message-ID"));
        let fields = [lines.collect::<Vec<_>>().concat(), b"\r\n".to_vec()].concat();
        literal("BODY[HEADER.FIELDS (MESSAGE-ID)]", &fields);
    }
    if items.contains("BODY.PEEK[TEXT]") {
        literal("BODY[TEXT]<0>", &text[..text.len().min(512)]);
    }
    for piece in items.split("BODY.PEEK[]").skip(1) {
        let range = piece
            .strip_prefix('<')
            .and_then(|rest| rest.split_once('>'));
        let range = range.and_then(|(range, _)| range.split_once('.'));
        match range.filter(|_| !items.contains("NOPIECES")) {
            Some((from, length)) => {
                let from = from.parse::<usize>().unwrap().min(letter.body.len());
                let end = (from + length.parse::<usize>().unwrap()).min(letter.body.len());
                literal(&format!("BODY[]<{from}>"), &letter.body[from..end]);
            }
            None => literal("BODY[]", &letter.body),
        }
    }
    out.extend_from_slice(b")\r\n");
    out
}
