//! Parses responses from frames, tolerantly: those that mailtide needs, others are `Other`. Works
//! on bytes. An invalid response is `Unreadable` and makes the result of its command unknown, never
//! empty. An absent attribute is unknown, never "none".

use crate::imap::protocol::code::completion;
pub use crate::imap::protocol::code::{AnyKeyword, Code, Completion, CompletionStatus};
use crate::imap::protocol::fetch_reply::fetch;
pub use crate::imap::protocol::fetch_reply::{Body, Fetched};
use crate::imap::protocol::secret_mask::SecretMask;
use crate::imap::protocol::server_id::ServerProgram;
use crate::imap::protocol::uid_set::{RANGES, UidSet};
use crate::imap::protocol::value::{self, Value};
use crate::imap::protocol::wire::Frame;

/// Words of CAPABILITY or ENABLED that are parsed.
const WORDS: usize = 1000;

/// A response.
#[derive(Debug)]
pub enum Reply {
    /// The completion of a command.
    Tagged(String, Completion),
    /// `* OK`, `* NO`, `* BAD`.
    Untagged(Completion),
    /// `* BYE`.
    Bye(String),
    /// `+`.
    Continue,
    /// `* n EXISTS`.
    Exists(u32),
    /// `* n EXPUNGE`.
    Expunge,
    /// `* VANISHED`; `true`: EARLIER.
    Vanished(UidSet, VanishedEarlier),
    /// `* n FETCH`.
    Fetch(Box<Fetched>),
    /// `* LIST`.
    List(Listing),
    /// `* STATUS`.
    Status(StatusReply),
    /// `* SEARCH`, or ALL of `* ESEARCH`.
    Search(UidSet),
    /// `* ESEARCH` of one of several mailboxes (RFC 7377).
    SearchIn(SearchIn),
    /// `* CAPABILITY`.
    Capability(Vec<String>),
    /// `* ENABLED`.
    Enabled(Vec<String>),
    /// `* NAMESPACE`: prefix and delimiter of the first personal one.
    Namespace(Vec<u8>, Option<u8>),
    /// `* ID`.
    Id(ServerProgram),
    /// Another response.
    Other,
    /// An invalid response, with its kind if that shows.
    Unreadable(String),
}

/// The time of expunges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VanishedEarlier {
    /// Before SELECT: the answer of QRESYNC.
    Yes,
    /// Now.
    No,
}

impl Reply {
    /// Returns its approximate bytes of memory.
    pub fn weight(&self) -> usize {
        let texts = |all: &[String]| all.iter().map(|text| text.len() + 40).sum::<usize>();
        let more = match self {
            Reply::Vanished(set, _) | Reply::Search(set) => set.weight(),
            Reply::SearchIn(found) => found.mailbox.len() + found.uids.weight(),
            Reply::Fetch(fetched) => fetched.weight(),
            Reply::List(listing) => listing.name.len() + 16 + texts(&listing.attributes),
            Reply::Status(status) => status.name.len() + 16 + 64,
            Reply::Capability(names) | Reply::Enabled(names) => texts(names),
            Reply::Namespace(prefix, _) => prefix.len(),
            Reply::Id(program) => program.name.len() + program.version.len(),
            Reply::Unreadable(shown) | Reply::Bye(shown) => shown.len(),
            Reply::Untagged(done) | Reply::Tagged(_, done) => match &done.code {
                Some(Code::PermanentFlags(flags, _)) => {
                    flags.keywords().map(|k| k.as_str().len() + 40).sum()
                }
                Some(Code::CopyUid(_, from, to)) => from.weight() + to.weight(),
                Some(Code::Modified(set) | Code::AppendUid(_, set)) => set.weight(),
                _ => done.text.len(),
            },
            Reply::Continue | Reply::Exists(_) | Reply::Expunge | Reply::Other => 0,
        };
        size_of::<Reply>() + more
    }
}

/// The result of a search in one of several mailboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchIn {
    /// The wire name.
    pub mailbox: Vec<u8>,
    /// UIDVALIDITY.
    pub uid_validity: Option<u64>,
    /// The UIDs.
    pub uids: UidSet,
}

/// A LIST response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Attributes in lower case, with the backslash.
    pub attributes: Vec<String>,
    /// The delimiter.
    pub delimiter: Option<u8>,
    /// The wire name, unescaped.
    pub name: Vec<u8>,
}

/// A STATUS response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusReply {
    /// The wire name.
    pub name: Vec<u8>,
    /// MESSAGES.
    pub messages: Option<u64>,
    /// UNSEEN.
    pub unseen: Option<u64>,
    /// SIZE (RFC 8438).
    pub size: Option<u64>,
    /// UIDNEXT.
    pub uid_next: Option<u64>,
    /// UIDVALIDITY.
    pub uid_validity: Option<u64>,
    /// HIGHESTMODSEQ.
    pub highest_modseq: Option<u64>,
    /// MAILBOXID (RFC 8474).
    pub mailbox_id: Option<String>,
}

/// Bytes of an invalid response in an error.
const UNREADABLE: usize = 1000;

impl Reply {
    /// Masks the secret in the texts of a response.
    pub fn masked(mut self, hush: &SecretMask) -> Reply {
        match &mut self {
            Reply::Tagged(_, done) | Reply::Untagged(done) => {
                done.text = hush.mask(&done.text);
                if let Some(Code::Other(name)) = &mut done.code {
                    *name = hush.mask(name);
                }
            }
            Reply::Bye(text) | Reply::Unreadable(text) => *text = hush.mask(text),
            _ => {}
        }
        self
    }
}

/// Parses a frame.
pub fn parse(frame: Frame) -> Reply {
    let begin = frame.text.get(..UNREADABLE).unwrap_or(&frame.text);
    let shown = begin.escape_ascii().to_string();
    read(frame).unwrap_or(Reply::Unreadable(shown))
}

fn read(mut frame: Frame) -> Option<Reply> {
    let text = std::mem::take(&mut frame.text);
    if text.first() == Some(&b'+') {
        return Some(Reply::Continue);
    }
    let (tag, rest) = word(&text);
    if tag != b"*" {
        let done = completion(rest)?;
        return Some(Reply::Tagged(String::from_utf8(tag.to_vec()).ok()?, done));
    }
    let (first, rest) = word(rest);
    if let Some(number) = number(first) {
        let (what, rest) = word(rest);
        return Some(match upper(what).as_str() {
            "EXISTS" => Reply::Exists(u32::try_from(number).ok()?),
            "EXPUNGE" => Reply::Expunge,
            "FETCH" => Reply::Fetch(Box::new(fetch(number, rest, frame)?)),
            _ => Reply::Other,
        });
    }
    Some(match upper(first).as_str() {
        "OK" | "NO" | "BAD" => {
            let at = text.len() - rest.len() - first.len();
            Reply::Untagged(completion(
                text.get(at.saturating_sub(1)..)?.trim_ascii_start(),
            )?)
        }
        "BYE" => Reply::Bye(lossy(rest)),
        "VANISHED" => vanished(rest)?,
        "LIST" => list(value::all(rest, frame)?)?,
        "STATUS" => status(value::all(rest, frame)?)?,
        "SEARCH" => search(rest)?,
        "ESEARCH" => esearch(value::all(rest, frame)?)?,
        "CAPABILITY" => Reply::Capability(words(rest)),
        "ENABLED" => Reply::Enabled(words(rest)),
        "NAMESPACE" => namespace(&value::all(rest, frame)?),
        "ID" => {
            value::all(rest, frame).map_or(Reply::Other, |v| Reply::Id(ServerProgram::read(&v)))
        }
        _ => Reply::Other,
    })
}

fn vanished(rest: &[u8]) -> Option<Reply> {
    let (first, tail) = word(rest);
    let (set, earlier) = match upper(first).as_str() {
        "(EARLIER)" => (tail.trim_ascii(), VanishedEarlier::Yes),
        _ => (first, VanishedEarlier::No),
    };
    UidSet::parse(set).map(|set| Reply::Vanished(set, earlier))
}

fn list(values: Vec<Value>) -> Option<Reply> {
    let [Value::List(attributes), delimiter, name, ..] = values.as_slice() else {
        return None;
    };
    let attributes = attributes.iter().filter_map(|a| match a {
        Value::Atom(name) => Some(lossy(name).to_ascii_lowercase()),
        _ => None,
    });
    let delimiter = match delimiter {
        Value::Nil => None,
        other => other.bytes()?.first().copied(),
    };
    let name = match name {
        Value::Nil => b"NIL".to_vec(),
        other => other.bytes()?.to_vec(),
    };
    Some(Reply::List(Listing {
        attributes: attributes.collect(),
        delimiter,
        name,
    }))
}

fn status(values: Vec<Value>) -> Option<Reply> {
    let [name, Value::List(items), ..] = values.as_slice() else {
        return None;
    };
    let mut status = StatusReply {
        name: name.bytes()?.to_vec(),
        ..StatusReply::default()
    };
    for pair in items.chunks(2) {
        let [Value::Atom(item), value] = pair else {
            return None;
        };
        match upper(item).as_str() {
            "MESSAGES" => status.messages = value.number(),
            "UNSEEN" => status.unseen = value.number(),
            "SIZE" => status.size = value.number(),
            "UIDNEXT" => status.uid_next = value.number(),
            "UIDVALIDITY" => status.uid_validity = value.number(),
            "HIGHESTMODSEQ" => status.highest_modseq = value.number(),
            "MAILBOXID" => {
                if let Value::List(inner) = value
                    && let [id] = inner.as_slice()
                {
                    status.mailbox_id = id.bytes().map(lossy);
                }
            }
            _ => {}
        }
    }
    Some(Reply::Status(status))
}

fn search(rest: &[u8]) -> Option<Reply> {
    let upto = rest.iter().position(|b| *b == b'(').unwrap_or(rest.len());
    let (numbers, _modseq) = rest.split_at(upto);
    let mut all: Vec<(u32, u32)> = Vec::new();
    for text in numbers
        .split(|b| *b == b' ')
        .filter(|text| !text.is_empty())
    {
        let uid = u32::try_from(number(text)?).ok()?;
        let full = all.len() >= RANGES;
        match all.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ if full => return None,
            _ => all.push((uid, uid)),
        }
    }
    Some(Reply::Search(UidSet::from_ranges(all)))
}

fn esearch(values: Vec<Value>) -> Option<Reply> {
    let mut set = UidSet::default();
    for pair in values.windows(2) {
        if let [Value::Atom(name), Value::Atom(value)] = pair
            && upper(name) == "ALL"
        {
            set = UidSet::parse(value)?;
        }
    }
    match values.first() {
        Some(Value::List(about)) => Some(match mailbox_of(about) {
            Some(found) => Reply::SearchIn(SearchIn { uids: set, ..found }),
            None => Reply::Search(set),
        }),
        _ => Some(Reply::Search(set)),
    }
}

/// Returns the mailbox of a correlator: `(TAG "a" MAILBOX "b" UIDVALIDITY 1)`.
fn mailbox_of(about: &[Value]) -> Option<SearchIn> {
    let mut found = None;
    let mut uid_validity = None;
    for pair in about.chunks(2) {
        if let [Value::Atom(name), value] = pair {
            match upper(name).as_str() {
                "MAILBOX" => found = value.bytes().map(<[u8]>::to_vec),
                "UIDVALIDITY" => uid_validity = value.number(),
                _ => {}
            }
        }
    }
    Some(SearchIn {
        mailbox: found?,
        uid_validity,
        uids: UidSet::default(),
    })
}

fn namespace(values: &[Value]) -> Reply {
    if let Some(Value::List(personal)) = values.first()
        && let Some(Value::List(first)) = personal.first()
        && let [prefix, delimiter, ..] = first.as_slice()
    {
        let prefix = prefix.bytes().unwrap_or_default().to_vec();
        return Reply::Namespace(prefix, delimiter.bytes().and_then(|d| d.first().copied()));
    }
    Reply::Other
}

pub(in crate::imap) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    text.split_at(text.iter().position(|b| *b == b' ').unwrap_or(text.len()))
}

pub(in crate::imap) fn words(text: &[u8]) -> Vec<String> {
    text.split(|b| *b == b' ')
        .filter(|w| !w.is_empty())
        .take(WORDS)
        .map(upper)
        .collect()
}

pub(in crate::imap) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(in crate::imap) fn upper(text: &[u8]) -> String {
    lossy(text).to_ascii_uppercase()
}

pub(in crate::imap) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().to_owned()
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
