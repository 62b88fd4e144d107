//! Mailbox names: decoded components, without the server's delimiter. `imap` and `maildir` encode
//! them.

use super::counted::counted;
use std::fmt;

/// A mailbox name: one or more components. Its text joins them by `/` and writes `/` and `%` in a
/// component as `%2F` and `%25`, so that it is unique.
#[derive(Clone, Debug)]
pub struct MailboxName(Vec<String>);

counted!(MailboxName);

/// The row of a mailbox in the state database.
#[derive(Clone, Copy, Debug)]
pub struct MailboxKey(pub i64);

counted!(MailboxKey);

impl MailboxName {
    /// Returns INBOX.
    pub fn inbox() -> MailboxName {
        MailboxName(vec!["INBOX".into()])
    }

    /// Makes a name of components; `None` if there are none or one is empty. The single component
    /// `inbox` in any case is INBOX (RFC 9051, 5.1).
    pub fn new(components: Vec<String>) -> Option<MailboxName> {
        if components.is_empty() || components.iter().any(String::is_empty) {
            return None;
        }
        match components.as_slice() {
            [one] if one.eq_ignore_ascii_case("INBOX") => Some(MailboxName::inbox()),
            _ => Some(MailboxName(components)),
        }
    }

    /// Parses the text that `Display` writes.
    pub fn parse(text: &str) -> Option<MailboxName> {
        let unescape = |c: &str| c.replace("%2F", "/").replace("%25", "%");
        MailboxName::new(text.split('/').map(unescape).collect())
    }

    /// Returns the components, outermost first.
    pub fn components(&self) -> &[String] {
        &self.0
    }

    /// Whether it is INBOX.
    pub fn is_inbox(&self) -> bool {
        matches!(self.0.as_slice(), [one] if one == "INBOX")
    }

    /// Returns the components below another name, if it is below that.
    pub fn below(&self, above: &MailboxName) -> Option<&[String]> {
        let rest = self.0.strip_prefix(above.0.as_slice())?;
        (!rest.is_empty()).then_some(rest)
    }

    /// Returns the number of components.
    pub fn depth(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, component) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            f.write_str(&component.replace('%', "%25").replace('/', "%2F"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_reversible() {
        for parts in [
            vec!["A", "B"],
            vec!["A/B"],
            vec!["50%", "%2F"],
            vec!["Entwürfe"],
        ] {
            let name = MailboxName::new(parts.iter().map(ToString::to_string).collect()).unwrap();
            assert_eq!(MailboxName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(MailboxName::parse("inBOX"), Some(MailboxName::inbox()));
        assert!(!MailboxName::parse("INBOX/inbox").unwrap().is_inbox());
        assert_eq!(MailboxName::parse("a//b"), None);
    }
}
