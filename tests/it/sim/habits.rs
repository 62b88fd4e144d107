//! Servers that do something else with messages than they say, and those whose connection breaks
//! at one message each time. Each goes with any profile.

/// What a server does not do as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Nothing.
    None,
    /// Of an APPEND it keeps a message with another header line and other line ends.
    Rebuilds,
    /// An APPEND of what the mailbox holds is OK, and stores nothing.
    Merges,
    /// An APPEND of some messages is OK, and stores nothing.
    Drops,
    /// APPEND stores neither flags nor date, and STORE no `\Draft`.
    Forgets,
    /// RFC822.SIZE counts line ends as one byte.
    Sizes,
    /// BODY[HEADER] is written anew.
    Headers,
    /// Pieces of messages come as the whole of them.
    Pieces,
    /// The connection breaks when one message is read.
    BreaksRead,
    /// The connection breaks when one message is changed, copied or moved, before or after that.
    BreaksChange,
    /// The connection breaks when one message is stored, before or after that.
    BreaksStored,
}

/// All of them.
pub const HABITS: &[Habit] = &[
    Habit::Rebuilds,
    Habit::Merges,
    Habit::Drops,
    Habit::Forgets,
    Habit::Sizes,
    Habit::Headers,
    Habit::Pieces,
    Habit::BreaksRead,
    Habit::BreaksChange,
    Habit::BreaksStored,
];

/// The message at which connections break.
pub const POISON: usize = 3;

const LINE: &[u8] = b"X-Rebuilt: yes\r\n";

impl Habit {
    /// What is kept of the bytes of an APPEND; `None`: nothing.
    pub fn keeps(self, body: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Habit::Drops if self.spares(number(&body)?) => None,
            Habit::Rebuilds if !body.starts_with(LINE) => Some(rebuilt(&body)),
            _ => Some(body),
        }
    }

    /// Whether some messages may stay on one side only, named by each run.
    pub fn is_named(self) -> bool {
        let exact = [
            Habit::None,
            Habit::Forgets,
            Habit::Sizes,
            Habit::Headers,
            Habit::Pieces,
        ];
        !exact.contains(&self)
    }

    /// Whether this message may stay on one side only.
    pub fn spares(self, n: usize) -> bool {
        match self {
            Habit::Drops => n % 4 == 1,
            Habit::BreaksRead | Habit::BreaksChange | Habit::BreaksStored => n == POISON,
            _ => false,
        }
    }

    /// Whether the connection breaks at this message, at one of these commands.
    pub fn breaks_at(self, at: Habit, body: &[u8]) -> bool {
        self == at && number(body) == Some(POISON)
    }

    /// What a FETCH is to do otherwise, for `words::fetch`.
    pub fn items(self) -> &'static str {
        match self {
            Habit::Sizes => " SHORTSIZE",
            Habit::Headers => " NEWHEADER",
            Habit::Pieces => " NOPIECES",
            _ => "",
        }
    }
}

/// A message with its line ends as LF, and without what servers here make of one.
pub fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut flat: Vec<u8> = bytes.iter().copied().filter(|b| *b != b'\r').collect();
    let line: Vec<u8> = LINE.iter().copied().filter(|b| *b != b'\r').collect();
    if flat.starts_with(&line) {
        flat.drain(..line.len());
    }
    let mut plain = Vec::with_capacity(flat.len());
    for byte in flat {
        if byte == b'\n' && plain.last() == Some(&b' ') {
            plain.pop();
        }
        plain.push(byte);
    }
    plain
}

fn rebuilt(body: &[u8]) -> Vec<u8> {
    let at = body.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, text) = body.split_at(at.map_or(0, |at| at + 4));
    let text = String::from_utf8_lossy(text).replace("\r\n", " \r\n");
    [LINE, head, text.as_bytes()].concat()
}

/// The number of a message.
pub fn number(body: &[u8]) -> Option<usize> {
    let plain = plain(body);
    let rest = plain.strip_prefix(b"Subject: c")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}
