//! The tree of parts, with the numbers that IMAP gives them (RFC 9051, 6.4.5).

use super::visible::line;
use crate::model::Part;
use mail_parser::{ContentType, Encoding, Message, MessagePart, MimeHeaders, PartType};

/// Parts within parts; deeper ones are left out.
const DEPTH: usize = 50;
/// Parts of one message; further ones are left out.
const MOST: usize = 10_000;

/// A part with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartContent {
    /// The part.
    pub part: Part,
    /// Its bytes, decoded.
    pub bytes: Vec<u8>,
}

/// All parts, each before those within it.
pub fn all(message: &Message<'_>) -> Vec<Part> {
    let mut walk = Walk::default();
    walk.message(message, "", 0);
    walk.parts
}

/// The part that has this number or file name, with its bytes.
pub fn content(message: &Message<'_>, which: &str) -> Option<PartContent> {
    let mut walk = Walk::default();
    walk.message(message, "", 0);
    let at = Part::find(&walk.parts, which)?;
    walk.wanted = Some(at);
    walk.parts.clear();
    walk.message(message, "", 0);
    let part = walk.parts.into_iter().nth(at)?;
    Some(PartContent {
        part,
        bytes: walk.bytes,
    })
}

#[derive(Default)]
struct Walk {
    parts: Vec<Part>,
    /// The index of the part of which the bytes are wanted.
    wanted: Option<usize>,
    bytes: Vec<u8>,
}

impl Walk {
    /// The parts of a message; `above` is the number of the part that holds it.
    fn message(&mut self, message: &Message<'_>, above: &str, depth: usize) {
        let Some(root) = message.parts.first() else {
            return;
        };
        let number = match root.body {
            // It has no number of its own: that of the message means all of it.
            PartType::Multipart(_) => String::new(),
            _ => below(above, 1),
        };
        self.part(message, root, (number, above), depth);
    }

    /// A part; those within a multipart are numbered below `above`.
    fn part(
        &mut self,
        message: &Message<'_>,
        part: &MessagePart<'_>,
        (number, above): (String, &str),
        depth: usize,
    ) {
        if depth > DEPTH || self.parts.len() >= MOST {
            return;
        }
        if self.wanted == Some(self.parts.len()) {
            self.bytes = bytes(part);
        }
        self.parts.push(described(part, number.clone(), depth));
        match &part.body {
            PartType::Multipart(inner) => {
                let above = if number.is_empty() { above } else { &number };
                for (index, id) in inner.iter().enumerate() {
                    let inner = usize::try_from(*id).ok();
                    let inner = inner.and_then(|id| message.parts.get(id));
                    if let Some(inner) = inner {
                        let number = below(above, index + 1);
                        self.part(message, inner, (number, above), depth + 1);
                    }
                }
            }
            PartType::Message(inner) => self.message(inner, &number, depth + 1),
            _ => {}
        }
    }
}

fn below(above: &str, number: usize) -> String {
    match above.is_empty() {
        true => number.to_string(),
        false => format!("{above}.{number}"),
    }
}

fn described(part: &MessagePart<'_>, number: String, depth: usize) -> Part {
    let kind = part.content_type();
    let own = kind.map(media_type);
    let usual = match &part.body {
        PartType::Text(_) => "text/plain",
        PartType::Html(_) => "text/html",
        PartType::Binary(_) | PartType::InlineBinary(_) => "application/octet-stream",
        PartType::Message(_) => "message/rfc822",
        PartType::Multipart(_) => "multipart/mixed",
    };
    let disposition = part.content_disposition();
    let size = u64::from(part.offset_end).saturating_sub(u64::from(part.offset_body));
    Part {
        number,
        depth,
        kind: own.unwrap_or_else(|| usual.to_owned()),
        charset: kind.and_then(|kind| kind.attribute("charset")).map(line),
        encoding: match part.encoding {
            Encoding::None => "8bit",
            Encoding::QuotedPrintable => "quoted-printable",
            Encoding::Base64 => "base64",
        }
        .to_owned(),
        name: part.attachment_name().map(line).filter(|n| !n.is_empty()),
        size,
        attached: disposition.is_some_and(|disposition| disposition.is_attachment()),
    }
}

/// A media type in lower case.
pub(super) fn media_type(kind: &ContentType<'_>) -> String {
    let sub = kind.subtype().unwrap_or("octet-stream");
    line(&format!("{}/{sub}", kind.ctype()).to_ascii_lowercase())
}

fn bytes(part: &MessagePart<'_>) -> Vec<u8> {
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.as_bytes().to_vec(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.to_vec(),
        PartType::Message(message) => message.raw_message().to_vec(),
        PartType::Multipart(_) => Vec::new(),
    }
}
