//! Mailbox names as people read them: components, decoded, without any server's delimiter.
//!
//! How a name is written on the wire or on disk is the business of `imap` and `maildir`.

use super::counted::counted;
use std::fmt;

/// A mailbox name: one or more components. As text the components are joined by `/`; a `/` or `%`
/// inside a component is written `%2F` or `%25`, so that the text names one mailbox only.
#[derive(Clone, Debug)]
pub struct MailboxName(Vec<String>);

counted!(MailboxName);

/// A mailbox's row in the state database.
#[derive(Clone, Copy, Debug)]
pub struct MailboxKey(pub i64);

counted!(MailboxKey);

impl MailboxName {
    /// The mailbox every account has.
    pub fn inbox() -> MailboxName {
        MailboxName(vec!["INBOX".into()])
    }

    /// From components; `None` when there are none or one is empty. The single component `inbox`
    /// in any case is INBOX (RFC 9051, 5.1).
    pub fn new(components: Vec<String>) -> Option<MailboxName> {
        if components.is_empty() || components.iter().any(String::is_empty) {
            return None;
        }
        match components.as_slice() {
            [one] if one.eq_ignore_ascii_case("INBOX") => Some(MailboxName::inbox()),
            _ => Some(MailboxName(components)),
        }
    }

    /// From the text form made by `Display`.
    pub fn parse(text: &str) -> Option<MailboxName> {
        let unescape = |c: &str| c.replace("%2F", "/").replace("%25", "%");
        MailboxName::new(text.split('/').map(unescape).collect())
    }

    /// The components, outermost first.
    pub fn components(&self) -> &[String] {
        &self.0
    }

    /// Whether this is INBOX.
    pub fn is_inbox(&self) -> bool {
        matches!(self.0.as_slice(), [one] if one == "INBOX")
    }

    /// What is left of the name below another, if it lies below that.
    pub fn below(&self, above: &MailboxName) -> Option<&[String]> {
        let rest = self.0.strip_prefix(above.0.as_slice())?;
        (!rest.is_empty()).then_some(rest)
    }

    /// How deep it lies: 1 at the top.
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
