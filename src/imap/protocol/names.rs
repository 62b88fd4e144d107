//! Encodes and decodes mailbox names: modified UTF-7 (RFC 3501, 5.1.3) or UTF-8 (RFC 6855), split
//! by the server's delimiter, below the personal namespace (RFC 2342).
//!
//! The wire name is the identity towards the server; decoded names are for people and paths. A name
//! that does not decode is kept unchanged.

use crate::model::MailboxName;
use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

const SIXTY_FOUR: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The naming rules of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// The delimiter; `None`: no hierarchy.
    pub delimiter: Option<u8>,
    /// The prefix of all personal mailboxes but INBOX, such as `INBOX.`.
    pub prefix: Vec<u8>,
    /// Whether names are UTF-8 instead of modified UTF-7.
    pub utf8: bool,
}

impl NameRules {
    /// Corrects `utf8` by the listed names: after ENABLE UTF8=ACCEPT a name in modified UTF-7, and
    /// none in UTF-8, shows that the server did not comply.
    pub fn check<'a>(&mut self, mut names: impl Iterator<Item = &'a [u8]> + Clone) {
        let shifted = |name: &[u8]| {
            name.contains(&b'&') && decode_utf7(name).is_some_and(|text| !text.is_ascii())
        };
        if self.utf8 && names.clone().all(<[u8]>::is_ascii) && names.any(shifted) {
            tracing::warn!("the server says UTF8=ACCEPT and sends names in modified UTF-7");
            self.utf8 = false;
        }
    }

    /// Decodes a wire name. `None`: it has an empty component.
    pub fn decode(&self, wire: &[u8]) -> Option<MailboxName> {
        let stripped = wire
            .strip_prefix(self.prefix.as_slice())
            .filter(|rest| !rest.is_empty());
        let components = |bytes: &[u8]| -> Vec<String> {
            match self.delimiter {
                Some(d) => bytes
                    .split(|b| *b == d)
                    .map(|c| self.component(c))
                    .collect(),
                None => vec![self.component(bytes)],
            }
        };
        match stripped {
            // `INBOX.INBOX` with the prefix `INBOX.` is not INBOX (F23).
            Some(rest) if !self.prefix.is_empty() => {
                let inner = MailboxName::new(components(rest))?;
                match inner.is_inbox() {
                    true => MailboxName::new(components(wire)),
                    false => Some(inner),
                }
            }
            _ => MailboxName::new(components(wire)),
        }
    }

    /// Encodes the name of a mailbox that the server does not have yet.
    pub fn encode(&self, name: &MailboxName) -> Result<Vec<u8>, String> {
        if name.is_inbox() {
            return Ok(b"INBOX".to_vec());
        }
        let mut wire = self.prefix.clone();
        for (i, component) in name.components().iter().enumerate() {
            if i > 0 {
                let none = || format!("{name}: the server knows no mailboxes within mailboxes");
                wire.push(self.delimiter.ok_or_else(none)?);
            }
            let encoded = match self.utf8 {
                true => component.clone().into_bytes(),
                false => encode_utf7(component),
            };
            if self.delimiter.is_some_and(|d| encoded.contains(&d)) {
                let d = self.delimiter.map(char::from).unwrap_or_default();
                return Err(format!(
                    "{name}: the server separates mailboxes by \"{d}\", so a name must not hold \
                     one; rename the directory"
                ));
            }
            if component.chars().any(char::is_control) {
                return Err(format!("{name:?}: the name holds a control character"));
            }
            wire.extend(encoded);
        }
        Ok(wire)
    }

    fn component(&self, wire: &[u8]) -> String {
        let decoded = match self.utf8 || !wire.is_ascii() {
            true => String::from_utf8(wire.to_vec()).ok(),
            false => decode_utf7(wire),
        };
        decoded.unwrap_or_else(|| wire.escape_ascii().to_string())
    }
}

/// Encodes modified UTF-7.
pub fn encode_utf7(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut shifted: Vec<u8> = Vec::new();
    let flush = |shifted: &mut Vec<u8>, out: &mut Vec<u8>| {
        if !shifted.is_empty() {
            out.push(b'&');
            out.extend(SIXTY_FOUR.encode(&*shifted).bytes());
            out.push(b'-');
            shifted.clear();
        }
    };
    for c in text.chars() {
        if (' '..='~').contains(&c) {
            flush(&mut shifted, &mut out);
            match c {
                '&' => out.extend(b"&-"),
                _ => out.push(c as u8),
            }
        } else {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units);
            shifted.extend(units.iter().flat_map(|u| u.to_be_bytes()));
        }
    }
    flush(&mut shifted, &mut out);
    out
}

/// Decodes modified UTF-7; `None` unless encoding restores the same bytes, so that names stay
/// unique.
pub fn decode_utf7(wire: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut rest = wire;
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'&' {
            text.push(char::from(*first));
            rest = tail;
            continue;
        }
        let end = tail.iter().position(|b| *b == b'-')?;
        let (code, after) = tail.split_at(end);
        match code {
            [] => text.push('&'),
            _ => {
                let bytes = SIXTY_FOUR.decode(code).ok()?;
                let units = bytes.chunks_exact(2).map(|pair| match pair {
                    [a, b] => u16::from_be_bytes([*a, *b]),
                    _ => 0,
                });
                text.extend(
                    char::decode_utf16(units)
                        .collect::<Result<Vec<_>, _>>()
                        .ok()?,
                );
            }
        }
        rest = after.get(1..)?;
    }
    (encode_utf7(&text) == wire).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf7() {
        for (text, wire) in [
            ("INBOX", "INBOX"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("A&B", "A&-B"),
            ("台北", "&U,BTFw-"),
            ("日本語", "&ZeVnLIqe-"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(encode_utf7(text), wire.as_bytes());
            assert_eq!(decode_utf7(wire.as_bytes()).as_deref(), Some(text));
        }
        // Invalid, or not the canonical form.
        for bad in ["&!!!-", "&AGE-", "&", "&AP", "&2D0-", "&APw-&APw-"] {
            assert_eq!(decode_utf7(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn names_show_whether_the_server_does_utf8() {
        for (listed, utf8) in [
            (&["INBOX", "Entw&APw-rfe"][..], false),
            (&["INBOX", "Entwürfe"], true),
            (&["INBOX", "Entwürfe", "A&APw-B"], true),
            (&["INBOX", "A&B", "A&-B"], true),
            (&["INBOX"], true),
        ] {
            let mut naming = NameRules {
                utf8: true,
                ..NameRules::default()
            };
            naming.check(listed.iter().map(|name| name.as_bytes()));
            assert_eq!(naming.utf8, utf8, "{listed:?}");
        }
    }

    #[test]
    fn hierarchy_and_prefix() {
        let plain = NameRules {
            delimiter: Some(b'/'),
            ..NameRules::default()
        };
        let dotted = NameRules {
            delimiter: Some(b'.'),
            prefix: b"INBOX.".to_vec(),
            utf8: false,
        };
        for (naming, wire, text) in [
            (&plain, "A/B", "A/B"),
            (&plain, "inbox", "INBOX"),
            (&plain, "a.b", "a.b"),
            (&dotted, "INBOX.Sent.2024", "Sent/2024"),
            (&dotted, "INBOX", "INBOX"),
            (&dotted, "INBOX.INBOX", "INBOX/INBOX"),
            (&dotted, "INBOX.a/b", "a%2Fb"),
            (&dotted, "Shared.x", "Shared/x"),
        ] {
            assert_eq!(
                naming.decode(wire.as_bytes()).unwrap().to_string(),
                text,
                "{wire}"
            );
        }
        let sent = MailboxName::parse("Sent/2024").unwrap();
        assert_eq!(dotted.encode(&sent).unwrap(), b"INBOX.Sent.2024");
        let bad = MailboxName::parse("a.b").unwrap();
        assert!(
            dotted
                .encode(&bad)
                .unwrap_err()
                .contains("separates mailboxes by \".\"")
        );
        assert_eq!(plain.decode(b"a//b"), None);
    }
}
