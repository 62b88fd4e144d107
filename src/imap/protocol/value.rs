//! Parses values: atoms, numbers, strings, literals, lists.

use crate::imap::protocol::wire::{Frame, LITERAL, Literal};
use std::collections::VecDeque;

/// Deepest nesting of lists.
const DEPTH: usize = 64;
/// Most values of one response.
const MOST: usize = 50_000;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An atom or number.
    Atom(Vec<u8>),
    /// A quoted string or small literal, unescaped.
    Text(Vec<u8>),
    /// A streamed literal.
    Streamed(u64),
    /// A list.
    List(Vec<Value>),
    /// NIL.
    Nil,
}

impl Value {
    /// Returns it as a number.
    pub fn number(&self) -> Option<u64> {
        std::str::from_utf8(self.bytes()?).ok()?.parse().ok()
    }

    /// Returns it as a string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Atom(bytes) | Value::Text(bytes) => Some(bytes),
            Value::Streamed(_) | Value::List(_) | Value::Nil => None,
        }
    }

    /// Returns the elements of a list.
    pub fn only(&self) -> Option<&Value> {
        match self {
            Value::List(inner) => inner.as_slice().first().filter(|_| inner.len() == 1),
            _ => None,
        }
    }
}

/// Parses all values of a frame. `None`: invalid.
pub fn all(text: &[u8], frame: Frame) -> Option<Vec<Value>> {
    let mut reader = ValueReader::new(text, frame);
    let values = reader.sequence(0)?;
    reader.rest.is_empty().then_some(values)
}

/// A parser of values.
pub(in crate::imap) struct ValueReader<'a> {
    /// The remaining text.
    pub rest: &'a [u8],
    /// The remaining literals.
    pub literals: VecDeque<Literal>,
    /// The number of values that may follow.
    left: usize,
}

impl<'a> ValueReader<'a> {
    /// Makes a parser of a frame's text and literals.
    pub fn new(text: &'a [u8], frame: Frame) -> ValueReader<'a> {
        ValueReader {
            rest: text,
            literals: frame.literals.into(),
            left: MOST,
        }
    }

    /// Parses values up to `)` or the end, which remain.
    fn sequence(&mut self, depth: usize) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.rest.first() {
                None => return Some(values),
                Some(b')') if depth > 0 => return Some(values),
                Some(_) => values.push(self.value(depth)?),
            }
        }
    }

    /// Parses the first value. `depth`: the nesting.
    pub fn value(&mut self, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        match self.rest.first()? {
            b'(' if depth < DEPTH => {
                self.skip(1);
                let values = self.sequence(depth + 1)?;
                self.rest = self.rest.strip_prefix(b")")?;
                Some(Value::List(values))
            }
            b'"' => self.quoted(),
            b'{' | b'~' if literal_length(self.rest).is_some() => self.literal(),
            b'(' | b')' => None,
            _ => Some(self.atom()),
        }
    }

    fn quoted(&mut self) -> Option<Value> {
        self.skip(1);
        let mut text = Vec::new();
        loop {
            let (first, tail) = self.rest.split_first()?;
            self.rest = tail;
            match first {
                b'"' => return Some(Value::Text(text)),
                b'\\' => {
                    let (escaped, tail) = self.rest.split_first()?;
                    self.rest = tail;
                    text.push(*escaped);
                }
                other => text.push(*other),
            }
        }
    }

    fn literal(&mut self) -> Option<Value> {
        self.skip(literal_length(self.rest)?);
        Some(match self.literals.pop_front()? {
            Literal::Kept(bytes) => Value::Text(bytes),
            Literal::Passed(size) => Value::Streamed(size),
        })
    }

    fn atom(&mut self) -> Value {
        let end = atom_length(self.rest).max(1).min(self.rest.len());
        let (atom, rest) = self.rest.split_at(end);
        self.rest = rest;
        match atom.eq_ignore_ascii_case(b"NIL") {
            true => Value::Nil,
            false => Value::Atom(atom.to_vec()),
        }
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

/// Returns the length of a literal's announcement, such as `{5}`; `None`: there is none.
pub(in crate::imap) fn literal_length(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"~").unwrap_or(text).strip_prefix(b"{")?;
    let digits = inner.iter().take_while(|b| b.is_ascii_digit()).count();
    let after = inner.get(digits..)?;
    let close = after
        .strip_prefix(b"+")
        .unwrap_or(after)
        .strip_prefix(b"}")?;
    let rest = close.strip_prefix(&[LITERAL])?;
    Some(text.len() - rest.len())
}

/// Returns the length of an atom: up to a space, parenthesis or literal outside of brackets, as in
/// `BODY[HEADER.FIELDS (SUBJECT)]`.
pub(in crate::imap) fn atom_length(text: &[u8]) -> usize {
    let mut end = 0;
    while let Some(byte) = text.get(end) {
        match byte {
            b' ' | b'(' | b')' => break,
            b'{' if literal_length(text.get(end..).unwrap_or_default()).is_some() => break,
            b'[' => {
                let close = text.iter().skip(end).position(|b| *b == b']');
                end += close.unwrap_or(0) + 1;
            }
            _ => end += 1,
        }
    }
    end
}
