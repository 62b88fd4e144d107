//! Which program the server says it is (RFC 2971). Asked only where the program is known to be
//! wrong in what it announces.

use super::value::Value;

/// What ID answered; empty where nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Program {
    /// From pairs of field and value.
    pub fn read(values: &[Value]) -> Program {
        let Some(Value::List(pairs)) = values.first() else {
            return Program::default();
        };
        let value = |field: &[u8]| {
            let is = |name: &Value| name.bytes().is_some_and(|n| n.eq_ignore_ascii_case(field));
            let found = pairs.chunks_exact(2).find_map(|pair| match pair {
                [name, value] if is(name) => value.bytes(),
                _ => None,
            });
            String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
        };
        Program {
            name: value(b"name"),
            version: value(b"version"),
        }
    }

    /// Whether its MAILBOXID in STATUS is wild: Cyrus 3.6 answers with memory that it has freed.
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
            Program {
                name: name.into(),
                version: version.into(),
            }
            .gives_wild_ids()
        };
        assert!(of("Cyrus IMAP", "3.6.1-Debian-3.6.1-4+deb12u5"));
        assert!(!of("Cyrus IMAP", "3.8.2") && !of("Cyrus IMAP", "3.10") && !of("Dovecot", "3.6"));
    }
}
