//! Encodes SEARCH commands; no other module makes their text.

use super::{Command, LiteralKind, quoted};
use crate::imap::display::search::SearchKey;
use crate::imap::protocol::date::day;
use crate::store::StoreError;

/// The largest number of IMAP (RFC 9051, 9: number).
const NUMBER: u64 = u32::MAX as u64;

/// A command with synchronizing literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandPieces {
    /// The text up to the first literal, or all of it.
    pub first: Command,
    /// Each literal with the text up to the next.
    pub rest: Vec<Vec<u8>>,
}

impl Command {
    /// Encodes UID SEARCH in the selected mailbox, or ESEARCH in these (RFC 7377).
    pub fn search(
        key: &SearchKey,
        mailboxes: &[&[u8]],
        compact: &[&str],
        charset: bool,
        kind: LiteralKind,
    ) -> Result<CommandPieces, StoreError> {
        let mut text = match mailboxes.is_empty() {
            true => format!("UID SEARCH {}", compact.concat()).into_bytes(),
            false => {
                let mut text = b"ESEARCH IN (mailboxes".to_vec();
                text.extend_from_slice(if mailboxes.len() > 1 { b" (" } else { b" " });
                for (n, name) in mailboxes.iter().enumerate() {
                    text.extend_from_slice(if n > 0 { b" " } else { b"" });
                    text.extend(quoted(name)?);
                }
                text.extend_from_slice(if mailboxes.len() > 1 { b"))" } else { b")" });
                text.extend_from_slice(b" RETURN (ALL) ");
                text
            }
        };
        if charset {
            text.extend_from_slice(b"CHARSET UTF-8 ");
        }
        let mut writer = Writer {
            kind,
            pieces: vec![text],
        };
        writer.key(key);
        let mut pieces = writer.pieces.into_iter();
        let text = pieces.next().unwrap_or_default();
        Ok(CommandPieces {
            first: Command { text, opens: None },
            rest: pieces.collect(),
        })
    }
}

/// Whether a text can be sent as a quoted string.
pub fn is_quotable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..0x7f).contains(&byte))
}

/// Writes search keys, split at synchronizing literals.
struct Writer {
    kind: LiteralKind,
    pieces: Vec<Vec<u8>>,
}

impl Writer {
    fn write(&mut self, text: &str) {
        if let Some(last) = self.pieces.last_mut() {
            last.extend_from_slice(text.as_bytes());
        }
    }

    fn string(&mut self, text: &str) {
        if is_quotable(text) {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            return self.write(&format!("\"{escaped}\""));
        }
        // A string of IMAP cannot contain NUL (RFC 9051, 9: CHAR8).
        let text = text.replace('\0', " ");
        match self.kind {
            LiteralKind::AtOnce => self.write(&format!("{{{}+}}\r\n{text}", text.len())),
            LiteralKind::Waiting => {
                self.write(&format!("{{{}}}", text.len()));
                self.pieces.push(text.into_bytes());
            }
        }
    }

    fn key(&mut self, key: &SearchKey) {
        match key {
            SearchKey::And(all) if all.is_empty() => self.write("ALL"),
            SearchKey::And(all) => {
                for (n, one) in all.iter().enumerate() {
                    self.write(if n == 0 { "(" } else { " " });
                    self.key(one);
                }
                self.write(")");
            }
            SearchKey::Or(all) => self.any(all),
            SearchKey::Not(inner) => {
                self.write("NOT ");
                self.key(inner);
            }
            SearchKey::Text(part, text, fuzzy) => {
                self.write(if *fuzzy { "FUZZY " } else { "" });
                self.write(&format!("{} ", part.name()));
                self.string(text);
            }
            SearchKey::Gmail(text) => {
                self.write("X-GM-RAW ");
                self.string(text);
            }
            SearchKey::Since(at) => self.write(&format!("SINCE {}", day(*at))),
            SearchKey::Before(at) => self.write(&format!("BEFORE {}", day(*at))),
            SearchKey::Larger(size) => self.write(&format!("LARGER {}", size.min(&NUMBER))),
            SearchKey::Smaller(size) => self.write(&format!("SMALLER {}", size.min(&NUMBER))),
            SearchKey::Flag(flag, set) => {
                let name = flag.name().trim_start_matches('\\').to_ascii_uppercase();
                self.write(if *set { "" } else { "UN" });
                self.write(&name);
            }
            SearchKey::Keyword(keyword) => self.write(&format!("KEYWORD {}", keyword.as_str())),
        }
    }

    /// OR is binary: halves keep the nesting shallow.
    fn any(&mut self, all: &[SearchKey]) {
        match all {
            [] => self.write("NOT ALL"),
            [one] => self.key(one),
            more => {
                let (left, right) = more.split_at(more.len() / 2);
                self.write("OR ");
                self.any(left);
                self.write(" ");
                self.any(right);
            }
        }
    }
}
