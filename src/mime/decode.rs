//! One part as a server hands it out: its header, and its bytes as they are in the message.

use super::message::parser;
use super::parts::media_type;
use super::visible::line;
use crate::model::Part;
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use mail_parser::{MimeHeaders, PartType};

/// Broken messages end in the middle of four letters, or have bits left over.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A part as its own header describes it; what that leaves out stays as it was told.
pub fn described(header: &[u8], told: &Part) -> Part {
    let message = parser().parse_headers(header);
    let Some(message) = message else {
        return told.clone();
    };
    let kind = message.content_type();
    let encoding = message.content_transfer_encoding().map(str::trim);
    Part {
        kind: kind.map_or_else(|| told.kind.clone(), media_type),
        charset: kind.and_then(|kind| kind.attribute("charset")).map(line),
        encoding: encoding.map_or_else(|| "7bit".into(), str::to_ascii_lowercase),
        ..told.clone()
    }
}

/// A header that describes a part.
pub fn header_of(part: &Part) -> Vec<u8> {
    let safe = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_graphic() && !"\";\\".contains(c))
    };
    let or = |text: &str, other: &str| {
        if safe(text) {
            text.to_owned()
        } else {
            other.to_owned()
        }
    };
    let charset = part.charset.as_deref().filter(|charset| safe(charset));
    let charset = charset.map(|charset| format!("; charset=\"{charset}\""));
    format!(
        "Content-Type: {}{}\r\nContent-Transfer-Encoding: {}\r\n\r\n",
        or(&part.kind, "application/octet-stream"),
        charset.unwrap_or_default(),
        or(&part.encoding, "8bit"),
    )
    .into_bytes()
}

/// The file name that parameters of Content-Type or Content-Disposition give (RFC 2231, 2047).
pub fn file_name(parameters: &[(String, String)]) -> Option<String> {
    let mut field = "Content-Disposition: attachment".to_owned();
    for start in ["filename", "name"] {
        let own = parameters.iter().filter(|(key, _)| {
            let rest = key.strip_prefix(start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('*'))
        });
        let mut found = false;
        for (key, value) in own {
            found = true;
            // `name` of Content-Type counts as well.
            let rest = key.strip_prefix(start).unwrap_or_default();
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            match rest.ends_with('*') {
                true => field.push_str(&format!(";\r\n filename{rest}={value}")),
                false => field.push_str(&format!(";\r\n filename{rest}=\"{quoted}\"")),
            }
        }
        if found {
            break;
        }
    }
    field.push_str("\r\n\r\n");
    let message = parser().parse(field.as_bytes())?;
    let name = message.attachment_name().map(line)?;
    Some(name).filter(|name| !name.is_empty())
}

/// Decodes a part while its bytes come. Files in base64 take no memory; texts are made UTF-8 at
/// the end.
pub struct TextPieces {
    part: Part,
    how: TransferEncoding,
}

enum TransferEncoding {
    /// Base64, with letters that are not four yet.
    Base64(Vec<u8>),
    /// As it is.
    Plain,
    /// All of it, decoded at the end.
    Whole(Vec<u8>),
}

impl TextPieces {
    /// Of this part.
    pub fn of(part: &Part) -> TextPieces {
        let how = match (part.kind.starts_with("text/"), part.encoding.as_str()) {
            (false, "base64") => TransferEncoding::Base64(Vec::new()),
            (false, "7bit" | "8bit" | "binary") => TransferEncoding::Plain,
            _ => TransferEncoding::Whole(Vec::new()),
        };
        let part = part.clone();
        TextPieces { part, how }
    }

    /// Takes the next bytes, and gives what they decode to.
    pub fn take<E>(
        &mut self,
        bytes: &[u8],
        give: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.how {
            TransferEncoding::Plain => give(bytes),
            TransferEncoding::Whole(whole) => {
                whole.extend_from_slice(bytes);
                Ok(())
            }
            TransferEncoding::Base64(open) => {
                let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
                open.extend(bytes.iter().copied().filter(letter));
                let rest = open.split_off(open.len() / 4 * 4);
                let decoded = decoded_base64(open);
                *open = rest;
                give(&decoded)
            }
        }
    }

    /// Gives what is left.
    pub fn end<E>(self, give: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match self.how {
            TransferEncoding::Plain => Ok(()),
            TransferEncoding::Base64(open) => give(&decoded_base64(&open)),
            TransferEncoding::Whole(whole) => give(&decoded(&self.part, &whole)),
        }
    }
}

/// Letters in fours; what pads one of several texts that were put together ends nothing.
fn decoded_base64(letters: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(letters.len() / 4 * 3);
    match LENIENT.decode_vec(letters, &mut out) {
        Ok(()) => out,
        Err(_) => {
            let each = letters.chunks(4).flat_map(|four| LENIENT.decode(four));
            each.flatten().collect()
        }
    }
}

/// The bytes of a part, decoded by its transfer encoding; a text is UTF-8 then.
fn decoded(part: &Part, bytes: &[u8]) -> Vec<u8> {
    // HTML stays as it is written; what is no text stays so whatever its type says.
    let kind = match part.kind.starts_with("text/") {
        true => "text/plain",
        false => "application/octet-stream",
    };
    let plain = Part {
        kind: kind.to_owned(),
        ..part.clone()
    };
    let whole = [&header_of(&plain), bytes].concat();
    let read = parser().parse(whole.as_slice());
    let part = read.as_ref().and_then(|message| message.parts.first());
    match part.map(|part| &part.body) {
        Some(PartType::Text(text) | PartType::Html(text)) => text.as_bytes().to_vec(),
        Some(PartType::Binary(bytes) | PartType::InlineBinary(bytes)) => bytes.to_vec(),
        _ => bytes.to_vec(),
    }
}
