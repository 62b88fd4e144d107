//! The program of the server (RFC 2971). Used only where a program is known to announce wrong
//! capabilities.

use crate::imap::protocol::value::Value;

/// The answer of ID; empty if none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerProgram {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl ServerProgram {
    /// Parses pairs of field and value.
    pub fn read(values: &[Value]) -> ServerProgram {
        let Some(Value::List(pairs)) = values.first() else {
            return ServerProgram::default();
        };
        let value = |field: &[u8]| {
            let is = |name: &Value| name.bytes().is_some_and(|n| n.eq_ignore_ascii_case(field));
            let found = pairs.chunks_exact(2).find_map(|pair| match pair {
                [name, value] if is(name) => value.bytes(),
                _ => None,
            });
            String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
        };
        ServerProgram {
            name: value(b"name"),
            version: value(b"version"),
        }
    }

    /// Whether its MAILBOXIDs in STATUS are invalid: Cyrus 3.6 answers with freed memory.
    pub fn gives_wild_ids(&self) -> bool {
        let minor = self.version.strip_prefix("3.").and_then(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest.get(..end.unwrap_or(rest.len()))?.parse::<u32>().ok()
        });
        self.name.contains("Cyrus") && minor.is_some_and(|minor| minor < 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cyrus_is_known() {
        let of = |name: &str, version: &str| {
            ServerProgram {
                name: name.into(),
                version: version.into(),
            }
            .gives_wild_ids()
        };
        assert!(of("Cyrus IMAP", "3.6.1-Debian-3.6.1-4+deb12u5"));
        assert!(!of("Cyrus IMAP", "3.8.2") && !of("Cyrus IMAP", "3.10") && !of("Dovecot", "3.6"));
    }
}
