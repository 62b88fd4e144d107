//! The text of a message for a terminal.

use super::flowed::paragraphs;
use super::visible::lines;
use mail_parser::decoders::html::html_to_text;
use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

/// Text of one message, at the most; the rest is left out, and that is said.
const MOST: usize = 16 << 20;

/// The text of a message: of all parts that are meant to be read, one after another.
pub fn of(message: &Message<'_>) -> String {
    let mut out = String::new();
    for id in &message.text_body {
        let Some(text) = part(message, *id) else {
            continue;
        };
        if !out.is_empty() && !text.is_empty() {
            out.push('\n');
        }
        out.push_str(&text);
        if out.len() > MOST {
            let end = (0..=MOST).rev().find(|end| out.is_char_boundary(*end));
            out.truncate(end.unwrap_or(0));
            out.push_str("\n[the text goes on]\n");
            break;
        }
    }
    out
}

fn part(message: &Message<'_>, id: mail_parser::MessagePartId) -> Option<String> {
    let part = message.parts.get(usize::try_from(id).ok()?)?;
    match &part.body {
        PartType::Text(text) => Some(plain(part, text)),
        PartType::Html(html) => Some(html_lines(html)),
        _ => None,
    }
}

fn plain(part: &MessagePart<'_>, text: &str) -> String {
    let kind = part.content_type();
    let says = |key: &str, value: &str| {
        let said = kind.and_then(|kind| kind.attribute(key));
        said.is_some_and(|said| said.eq_ignore_ascii_case(value))
    };
    match says("format", "flowed") {
        true => lines(&paragraphs(text, says("delsp", "yes"))),
        false => lines(text),
    }
}

/// HTML as text, without the blank lines of its layout.
fn html_lines(html: &str) -> String {
    let text = lines(&html_to_text(html));
    let mut out = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.lines().map(str::trim_end) {
        blank = if line.is_empty() { blank + 1 } else { 0 };
        if blank < 2 && !(line.is_empty() && out.is_empty()) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
