//! A message that is read. The crate mail-parser does the reading.

use super::parts::{self, PartContent};
use super::summary::Summary;
use super::text;
use crate::model::Part;
use mail_parser::{Message, MessageParser};
use std::sync::LazyLock;

/// What reads all messages: to make one takes longer than to read a header with it.
pub(super) fn parser() -> &'static MessageParser {
    static PARSER: LazyLock<MessageParser> = LazyLock::new(MessageParser::default);
    &PARSER
}

/// A message, or the beginning of one.
#[derive(Debug)]
pub struct Mail<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) message: Option<Message<'a>>,
}

impl<'a> Mail<'a> {
    /// Reads a message. One without a header field is all text.
    pub fn read(bytes: &'a [u8]) -> Mail<'a> {
        let message = parser().parse(bytes);
        Mail { bytes, message }
    }

    /// Reads only the header.
    pub fn header(bytes: &'a [u8]) -> Mail<'a> {
        let message = parser().parse_headers(bytes);
        Mail { bytes, message }
    }

    /// The header fields that a listing shows.
    pub fn summary(&self) -> Summary {
        self.message.as_ref().map(Summary::of).unwrap_or_default()
    }

    /// The text that a person reads: `text/plain` where there is some, else HTML as text.
    /// Lines end in `\n`; no character of it acts on a terminal.
    pub fn text(&self) -> String {
        match &self.message {
            Some(message) => text::of(message),
            None => super::visible::lines(&String::from_utf8_lossy(self.bytes)),
        }
    }

    /// All parts, each before those within it.
    pub fn parts(&self) -> Vec<Part> {
        self.message.as_ref().map(parts::all).unwrap_or_default()
    }

    /// The decoded bytes of the part that has this number or file name.
    pub fn part(&self, which: &str) -> Option<PartContent> {
        parts::content(self.message.as_ref()?, which)
    }
}
