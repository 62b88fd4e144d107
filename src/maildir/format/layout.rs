//! Maps mailbox names to paths below the root and back: UTF-8, with unsafe characters as `%XX`.

use crate::model::MailboxName;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The layout of mailboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// INBOX and `A/B` as directories below the root.
    #[default]
    Nested,
    /// Maildir++ (Courier, Dovecot): the root is INBOX, and `.A.B` in it is `A/B`.
    MaildirPlusPlus,
}

/// Longer components are cut and end in a hash (NAME_MAX is 255).
const LONGEST: usize = 200;

/// The same limit for a directory name of several components.
const LONGEST_FLAT: usize = 240;

impl Layout {
    /// Returns the directory of a mailbox relative to the root.
    pub fn path(self, name: &MailboxName) -> PathBuf {
        let encoded = name
            .components()
            .iter()
            .map(|component| self.encode(component));
        match self {
            Layout::Nested => encoded.collect(),
            Layout::MaildirPlusPlus if name.is_inbox() => PathBuf::new(),
            Layout::MaildirPlusPlus => {
                let whole: String = encoded.map(|component| format!(".{component}")).collect();
                match whole.len() > LONGEST_FLAT {
                    true => PathBuf::from(shortened(&whole, &name.to_string())),
                    false => PathBuf::from(whole),
                }
            }
        }
    }

    /// Returns the directory with marker and quarantine. Mail programs do not take it for a
    /// mailbox.
    pub fn own(self) -> &'static str {
        match self {
            Layout::Nested => ".mailtide",
            Layout::MaildirPlusPlus => "mailtide",
        }
    }

    /// Decodes a directory name as one component. `None`: it is not UTF-8, or a cut name.
    pub fn decode(self, directory: &OsStr) -> Option<String> {
        let text = std::str::from_utf8(directory.as_bytes()).ok()?;
        if text.contains("%~") {
            return None;
        }
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let code = tail.get(..2).filter(|_| *first == b'%').and_then(hex);
            match code {
                Some(byte) => {
                    bytes.push(byte);
                    rest = tail.get(2..).unwrap_or_default();
                }
                None => {
                    bytes.push(*first);
                    rest = tail;
                }
            }
        }
        String::from_utf8(bytes).ok()
    }

    /// Escapes the unsafe characters of a component, without a limit.
    pub fn escape(self, component: &str) -> String {
        let mut out = String::new();
        let reserved = ["cur", "new", "tmp"].contains(&component);
        for (i, c) in component.chars().enumerate() {
            let dot = c == '.' && (i == 0 || self == Layout::MaildirPlusPlus);
            if dot || unsafe_char(c) || (reserved && i == 0) {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("%{byte:02X}"));
                }
            } else {
                out.push(c);
            }
        }
        out
    }

    /// Encodes a component as part of a path.
    pub fn encode(self, component: &str) -> String {
        let out = self.escape(component);
        match out.len() > LONGEST {
            true => shortened(&out, component),
            false => out,
        }
    }
}

/// Cuts an encoded name and appends a hash of the whole name.
fn shortened(encoded: &str, name: &str) -> String {
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let mut end = LONGEST - 20;
    while !encoded.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = encoded.get(..end).unwrap_or_default().to_owned();
    out.push_str("%~");
    out.extend(hash.chars().take(16));
    out
}

/// Control and direction characters, and those with a meaning in paths or escapes.
fn unsafe_char(c: char) -> bool {
    let direction = matches!(
        c,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    );
    c.is_control() || direction || matches!(c, '/' | '%')
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Joins a directory and a file name of any bytes.
pub fn join(directory: &Path, name: &[u8]) -> PathBuf {
    directory.join(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn readable_and_safe() {
        for (layout, name, path) in [
            (Layout::Nested, "INBOX", "INBOX"),
            (Layout::Nested, "Entwürfe/2024 Q1.x", "Entwürfe/2024 Q1.x"),
            (Layout::Nested, "A/..", "A/%2E."),
            (Layout::Nested, "../x", "%2E./x"),
            (Layout::Nested, ".hid", "%2Ehid"),
            (Layout::Nested, "A/cur", "A/%63ur"),
            (Layout::Nested, "50%25", "50%25"),
            (Layout::Nested, "a%2Fb", "a%2Fb"),
            (Layout::Nested, "a\u{1b}[31m", "a%1B[31m"),
            (Layout::MaildirPlusPlus, "INBOX", ""),
            (Layout::MaildirPlusPlus, "A/b.c", ".A.b%2Ec"),
        ] {
            let name = MailboxName::parse(name).unwrap();
            assert_eq!(layout.path(&name), PathBuf::from(path), "{name}");
        }
    }

    #[test]
    fn names_of_several_long_parts_fit_into_one_directory_name() {
        let name = |end: &str| {
            let text = format!("{}/{}{end}", "A".repeat(140), "ä".repeat(70));
            Layout::MaildirPlusPlus.path(&MailboxName::parse(&text).unwrap())
        };
        let (one, other) = (name("1"), name("2"));
        assert_ne!(one, other);
        assert!(one.as_os_str().len() <= 255, "{}", one.display());
        let text = one.to_str().unwrap();
        assert!(text.starts_with(".AAA") && text.contains("%~"), "{text}");
        assert_eq!(Layout::MaildirPlusPlus.decode(one.as_os_str()), None);
    }

    proptest! {
        #[test]
        fn any_component_comes_back(text in "\\PC{1,40}|[./%a-cnurtmp \u{0}-\u{1f}]{1,12}") {
            for layout in [Layout::Nested, Layout::MaildirPlusPlus] {
                let encoded = layout.encode(&text);
                prop_assert!(!encoded.contains('/') && !encoded.starts_with('.'));
                prop_assert!(!["cur", "new", "tmp", ""].contains(&encoded.as_str()));
                if !encoded.contains("%~") {
                    prop_assert_eq!(layout.decode(OsStr::new(&encoded)), Some(text.clone()));
                }
            }
        }
    }
}
