//! Parses FETCH responses item by item. An invalid item invalidates only itself; flags are parsed
//! in every syntax that servers were seen to send. Responses about one message are merged by its
//! number.

use crate::imap::protocol::reply::upper;
use crate::imap::protocol::value::{Value, ValueReader, atom_length, literal_length};
use crate::imap::protocol::wire::{Frame, LITERAL, Literal};
use crate::model::{Flags, Keyword, SystemFlag, Timestamp, Uid};
use std::collections::{BTreeMap, VecDeque};

/// Places that are tried as the end of a flag list.
const ENDS: usize = 64;
/// Keywords of a message; with more its flags are unknown.
const KEYWORDS: usize = 2000;
/// Bytes of responses that wait for more lines.
const WAITING: usize = 8 << 20;

/// A FETCH response; `None`: the item is absent.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The message number.
    pub number: u32,
    /// The UID.
    pub uid: Option<Uid>,
    /// The flags, without `\Recent` and invalid keywords.
    pub flags: Option<Flags>,
    /// Whether FLAGS are present but invalid.
    pub hides_flags: bool,
    /// MODSEQ (RFC 7162).
    pub modseq: Option<u64>,
    /// INTERNALDATE.
    pub date: Option<Timestamp>,
    /// RFC822.SIZE.
    pub size: Option<u64>,
    /// `BODY[]`.
    pub body: Option<Body>,
    /// `BODY[HEADER]`.
    pub header: Option<Vec<u8>>,
    /// `BODY[TEXT]<0>`.
    pub text: Option<Vec<u8>>,
    /// `BODY[HEADER.FIELDS (MESSAGE-ID)]`.
    pub message_id: Option<Vec<u8>>,
    /// `BODY[]<n>`: offsets and bytes.
    pub pieces: Vec<(u64, Vec<u8>)>,
    /// EMAILID (RFC 8474) or X-GM-MSGID.
    pub object: Option<Vec<u8>>,
}

/// The form of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// A literal of this many bytes, streamed.
    Streamed(u64),
    /// A quoted string.
    Bytes(Vec<u8>),
    /// NIL.
    Nil,
}

impl Body {
    /// Returns its bytes.
    pub fn length(&self) -> u64 {
        match self {
            Body::Streamed(length) => *length,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Nil => 0,
        }
    }
}

impl Fetched {
    /// Adds the items of a later response about the same message.
    pub fn absorb(&mut self, later: Fetched) {
        self.hides_flags |= later.hides_flags;
        self.uid = later.uid.or(self.uid);
        self.flags = later.flags.or(self.flags.take());
        self.modseq = later.modseq.or(self.modseq);
        self.date = later.date.or(self.date);
        self.size = later.size.or(self.size);
        self.body = later.body.or(self.body.take());
        self.header = later.header.or(self.header.take());
        self.text = later.text.or(self.text.take());
        self.message_id = later.message_id.or(self.message_id.take());
        self.pieces.extend(later.pieces);
        self.object = later.object.or(self.object.take());
    }

    /// Whether no item is in both, as in two lines about one message.
    pub fn completes(&self, other: &Fetched) -> bool {
        let twice = [
            self.uid.is_some() && other.uid.is_some(),
            self.flags.is_some() && other.flags.is_some(),
            self.modseq.is_some() && other.modseq.is_some(),
            self.date.is_some() && other.date.is_some(),
            self.size.is_some() && other.size.is_some(),
            self.body.is_some() && other.body.is_some(),
            self.header.is_some() && other.header.is_some(),
            self.message_id.is_some() && other.message_id.is_some(),
            self.object.is_some() && other.object.is_some(),
        ];
        self.number == other.number && !twice.contains(&true)
    }

    /// Whether it has UID and flags of a message.
    pub fn is_message(&self) -> bool {
        let flags = self.flags.is_some() || self.hides_flags;
        self.uid.is_some() && self.body.is_some() && flags
    }

    /// Whether it has all of these items; an invalid one does not count.
    pub fn tells(&self, items: &str) -> bool {
        let asked = |item: &str| items.contains(item);
        let missing = [
            self.uid.is_none(),
            self.size.is_none() && asked("RFC822.SIZE"),
            self.date.is_none() && asked("INTERNALDATE"),
            self.header.is_none() && asked("[HEADER]"),
            self.text.is_none() && asked("[TEXT]"),
            self.message_id.is_none() && asked("MESSAGE-ID"),
            self.object.is_none() && (asked("EMAILID") || asked("MSGID")),
        ];
        !missing.contains(&true)
    }

    /// Returns its approximate bytes of memory.
    pub fn weight(&self) -> usize {
        let flags = self.flags.as_ref().map_or(0, |flags| {
            flags.keywords().map(|k| k.as_str().len() + 40).sum()
        });
        let body = match &self.body {
            Some(Body::Bytes(bytes)) => bytes.len(),
            _ => 0,
        };
        let texts = [&self.header, &self.text, &self.message_id, &self.object];
        let texts: usize = texts.into_iter().flatten().map(Vec::len).sum();
        let pieces: usize = self.pieces.iter().map(|(_, piece)| piece.len() + 40).sum();
        size_of::<Fetched>() + flags + body + texts + pieces
    }
}

/// Incomplete responses by message number.
#[derive(Debug, Default)]
pub struct PartialReplies {
    open: BTreeMap<u32, Fetched>,
    /// Message numbers have changed their meaning.
    moved: Vec<Fetched>,
    weight: usize,
}

impl PartialReplies {
    /// Merges a response with earlier ones; returns it if it is complete.
    pub fn add(
        &mut self,
        fetched: Fetched,
        is_whole: impl Fn(&Fetched) -> bool,
    ) -> Option<Fetched> {
        let told = match self.take(fetched.number) {
            Some(mut first) => {
                first.absorb(fetched);
                first
            }
            None => fetched,
        };
        if is_whole(&told) {
            return Some(told);
        }
        self.keep(told);
        None
    }

    /// Returns the earlier items of this message number.
    pub fn take(&mut self, number: u32) -> Option<Fetched> {
        let told = self.open.remove(&number)?;
        self.weight = self.weight.saturating_sub(told.weight());
        Some(told)
    }

    /// Stores an incomplete response, within the limit.
    pub fn keep(&mut self, told: Fetched) {
        let weight = told.weight();
        if self.weight + weight <= WAITING {
            self.weight += weight;
            self.open.insert(told.number, told);
        }
    }

    /// A message was expunged: higher numbers shift.
    pub fn renumber(&mut self) {
        let open = std::mem::take(&mut self.open).into_values();
        self.moved.extend(open.filter(|told| told.uid.is_some()));
    }

    /// Returns the responses that stayed incomplete.
    pub fn rest(self) -> impl Iterator<Item = Fetched> {
        self.moved.into_iter().chain(self.open.into_values())
    }
}

/// Parses the items of a FETCH response. `None`: their end or their message cannot be determined.
pub fn fetch(number: u64, rest: &[u8], frame: Frame) -> Option<Fetched> {
    let mut reader = ValueReader::new(rest.trim_ascii(), frame);
    reader.rest = reader.rest.strip_prefix(b"(")?;
    let mut fetched = Fetched {
        number: u32::try_from(number).ok()?,
        ..Fetched::default()
    };
    loop {
        reader.rest = reader.rest.trim_ascii_start();
        if let Some(after) = reader.rest.strip_prefix(b")") {
            return after.is_empty().then_some(fetched);
        }
        match reader.value(1)? {
            Value::Atom(name) if is_item(&name) => item(&mut fetched, &name, &mut reader)?,
            // The remainder of a value with too many words.
            _ => {}
        }
    }
}

fn item(fetched: &mut Fetched, name: &[u8], reader: &mut ValueReader<'_>) -> Option<()> {
    let name = upper(name);
    if name == "FLAGS" {
        match told_flags(reader) {
            FlagsValue::Names(names) if names.len() <= KEYWORDS => {
                fetched.flags = Some(flags_of(&names));
            }
            FlagsValue::Names(_) | FlagsValue::Nothing => fetched.hides_flags = true,
            FlagsValue::Endless => return None,
        }
        return Some(());
    }
    reader.rest = reader.rest.trim_ascii_start();
    let value = match begins_item(reader.rest) || reader.rest.starts_with(b")") {
        true => Value::Nil,
        false => reader.value(1)?,
    };
    let bytes = || value.bytes().map(<[u8]>::to_vec);
    match name.as_str() {
        "UID" => fetched.uid = Some(Uid::new(value.number()?.try_into().ok()?)?),
        "RFC822.SIZE" => fetched.size = value.number(),
        "INTERNALDATE" => fetched.date = value.bytes().and_then(crate::imap::protocol::date::parse),
        "BODY[]" | "RFC822" => {
            fetched.body = Some(match &value {
                Value::Streamed(size) => Body::Streamed(*size),
                Value::Nil => Body::Nil,
                other => Body::Bytes(other.bytes()?.to_vec()),
            });
        }
        "BODY[HEADER]" => fetched.header = bytes(),
        "X-GM-MSGID" => fetched.object = bytes(),
        "EMAILID" => {
            let id = value.only().and_then(Value::bytes);
            fetched.object = id.map(<[u8]>::to_vec);
        }
        "MODSEQ" => fetched.modseq = value.only().unwrap_or(&value).number(),
        name if name.starts_with("BODY[HEADER.FIELDS") => fetched.message_id = bytes(),
        name if name.starts_with("BODY[]<") => {
            let offset = name.trim_start_matches("BODY[]<").trim_end_matches('>');
            // Some servers repeat the requested length.
            let offset = offset.split('.').next().unwrap_or_default();
            let bytes = match &value {
                Value::Nil => &[][..],
                other => other.bytes()?,
            };
            fetched.pieces.push((offset.parse().ok()?, bytes.to_vec()));
        }
        name if name.starts_with("BODY[TEXT]") => fetched.text = bytes(),
        _ => {}
    }
    Some(())
}

/// Whether a word is the name of a FETCH item.
fn is_item(word: &[u8]) -> bool {
    let names = [
        "UID",
        "FLAGS",
        "MODSEQ",
        "INTERNALDATE",
        "ENVELOPE",
        "BODYSTRUCTURE",
        "BODY",
        "EMAILID",
        "THREADID",
        "SAVEDATE",
        "PREVIEW",
        "SNIPPET",
        "ANNOTATION",
    ];
    let name = upper(word.get(..word.len().min(80)).unwrap_or(word));
    let families = ["BODY[", "BINARY", "RFC822", "X-"];
    names.contains(&name.as_str()) || families.iter().any(|family| name.starts_with(family))
}

fn begins_item(text: &[u8]) -> bool {
    is_item(text.get(..atom_length(text)).unwrap_or_default())
}

/// The value of FLAGS.
enum FlagsValue {
    /// These names.
    Names(Vec<Vec<u8>>),
    /// NIL or nothing.
    Nothing,
    /// Its end cannot be determined.
    Endless,
}

/// Parses the value of FLAGS. The list ends at the first `)` that is followed by items up to the
/// end, as its content need not be balanced.
fn told_flags(reader: &mut ValueReader<'_>) -> FlagsValue {
    reader.rest = reader.rest.trim_ascii_start();
    let Some(inside) = reader.rest.strip_prefix(b"(") else {
        return bare_flags(reader);
    };
    for at in memchr::memchr_iter(b')', inside).take(ENDS) {
        let (list, after) = inside.split_at(at);
        let after = after.get(1..).unwrap_or_default();
        if items_follow(after) {
            reader.rest = after;
            return FlagsValue::Names(flag_names(list, &mut reader.literals));
        }
    }
    FlagsValue::Endless
}

/// Parses flags without parentheses, or in one string.
fn bare_flags(reader: &mut ValueReader<'_>) -> FlagsValue {
    let mut names = Vec::new();
    loop {
        reader.rest = reader.rest.trim_ascii_start();
        if reader.rest.is_empty() || reader.rest.starts_with(b")") || begins_item(reader.rest) {
            return match names.is_empty() {
                true => FlagsValue::Nothing,
                false => FlagsValue::Names(names),
            };
        }
        match reader.value(1) {
            Some(Value::Atom(name)) => names.push(name),
            Some(Value::Text(text)) => {
                let all = text.split(|b| *b == b' ').filter(|name| !name.is_empty());
                names.extend(all.map(<[u8]>::to_vec));
            }
            Some(_) => {}
            None => return FlagsValue::Endless,
        }
    }
}

/// Whether the text is ` ITEM value ... )`. Values may have extra words; the first word is an item.
fn items_follow(text: &[u8]) -> bool {
    let mut rest = text.trim_ascii_start();
    if !rest.starts_with(b")") && !begins_item(rest) {
        return false;
    }
    loop {
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(b")") {
            return after.trim_ascii().is_empty();
        }
        match skip_value(rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

/// Returns the text after its first value.
fn skip_value(text: &[u8]) -> Option<&[u8]> {
    match text.first()? {
        b'"' => skip_quoted(text),
        b'(' => {
            let (mut rest, mut depth) = (text, 0_usize);
            loop {
                rest = match rest.first()? {
                    b'"' => skip_quoted(rest)?,
                    b'(' => {
                        depth += 1;
                        rest.get(1..)?
                    }
                    b')' => {
                        depth -= 1;
                        rest.get(1..)?
                    }
                    _ => rest.get(1..)?,
                };
                if depth == 0 {
                    return Some(rest);
                }
            }
        }
        _ => match literal_length(text) {
            Some(length) => text.get(length..),
            None => text.get(atom_length(text).max(1)..),
        },
    }
}

fn skip_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return text.get(at + 1..),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Returns the names in a flag list: atoms, quoted strings and literals. Parentheses around names
/// are skipped, those within a name belong to it. A backslash begins a name.
pub(in crate::imap) fn flag_names(list: &[u8], literals: &mut VecDeque<Literal>) -> Vec<Vec<u8>> {
    let (mut names, mut rest, mut depth) = (Vec::new(), list, 0_usize);
    loop {
        rest = rest.trim_ascii_start();
        let Some(first) = rest.first() else {
            return names;
        };
        if let Some(length) = literal_length(rest) {
            if let Some(Literal::Kept(name)) = literals.pop_front() {
                names.push(name);
            }
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        match first {
            b'(' => {
                depth += 1;
                rest = rest.get(1..).unwrap_or_default();
            }
            b')' => {
                depth = depth.saturating_sub(1);
                rest = rest.get(1..).unwrap_or_default();
            }
            b'"' if quoted_length(rest).is_some() => {
                let end = quoted_length(rest).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                names.push(unquoted(name));
                rest = after;
            }
            _ => {
                let (name, after) = rest.split_at(name_length(rest, depth > 0));
                names.push(name.iter().copied().filter(|b| *b != LITERAL).collect());
                rest = after;
            }
        }
    }
}

/// Returns the length of a quoted name; `None`: the quote belongs to a name.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let end = text.len() - skip_quoted(text)?.len();
    let after = text.get(end);
    let ends = after.is_none_or(|b| b" ()\"\\".contains(b));
    ends.then_some(end)
}

/// Removes quotes, and makes two backslashes one.
fn unquoted(name: &[u8]) -> Vec<u8> {
    let inner = name.strip_prefix(b"\"").unwrap_or(name);
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let mut plain = Vec::with_capacity(inner.len());
    for byte in inner {
        if *byte != b'\\' || plain.last() != Some(&b'\\') {
            plain.push(*byte);
        }
    }
    plain
}

/// Returns the length of a name, at least 1. `inner`: an unmatched `)` ends it.
fn name_length(text: &[u8], inner: bool) -> usize {
    let mut open = 0_usize;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            b' ' | b'\\' => return at,
            b'(' => open += 1,
            b')' if open > 0 => open -= 1,
            b')' if inner => return at,
            _ => {}
        }
    }
    text.len()
}

/// Returns the flags of these names. `\Recent`, flags of extensions and names that cannot be sent
/// are not touched on the server.
pub(in crate::imap) fn flags_of(names: &[Vec<u8>]) -> Flags {
    let (mut bits, mut keywords) = (0, Vec::new());
    for name in names {
        let Ok(text) = std::str::from_utf8(name) else {
            continue;
        };
        let is = |flag: &SystemFlag| flag.name().eq_ignore_ascii_case(text);
        match SystemFlag::ALL.into_iter().find(is) {
            Some(flag) => bits |= flag as u8,
            None if text.starts_with('\\') => {}
            None => keywords.extend(Keyword::new(text)),
        }
    }
    Flags::from_parts(bits, keywords)
}

#[cfg(test)]
#[path = "fetch_reply_tests.rs"]
mod tests;
