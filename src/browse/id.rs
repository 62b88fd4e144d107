//! Names of messages on the command line.
//!
//! `ACCOUNT/MAILBOX/UID-CODE` names a message that the server has, where CODE is made of
//! UIDVALIDITY: a UID of another time names nothing. `ACCOUNT/MAILBOX/~HASH` names a file that the
//! server does not have yet, by the base name of the file. Neither changes with the flags.

use crate::model::{MailboxName, MaildirId, Uid, UidValidity};
use std::fmt;

/// The letters of a code: digits and letters that are not taken for each other.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The name of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    /// The account.
    pub account: String,
    /// The mailbox.
    pub mailbox: MailboxName,
    /// Which message of the mailbox.
    pub key: MessageKey,
}

/// Which message of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKey {
    /// That with this UID; with a code, only in the UIDVALIDITY of which that is made.
    Uid(Uid, Option<String>),
    /// That of which the base name of the file has this hash.
    File(String),
}

impl MessageKey {
    /// That of a message that the server has.
    pub fn of_uid(uid: Uid, uid_validity: UidValidity) -> MessageKey {
        MessageKey::Uid(uid, Some(code(uid_validity)))
    }

    /// That of a file.
    pub fn of_file(file: &MaildirId) -> MessageKey {
        MessageKey::File(file.digest())
    }

    /// Whether it may mean a UID of this UIDVALIDITY.
    pub fn fits(&self, uid_validity: UidValidity) -> bool {
        match self {
            MessageKey::Uid(_, Some(own)) => *own == code(uid_validity),
            MessageKey::Uid(_, None) => true,
            MessageKey::File(_) => false,
        }
    }
}

/// Four letters that are made of UIDVALIDITY.
fn code(uid_validity: UidValidity) -> String {
    let hash = blake3::hash(&uid_validity.0.to_be_bytes());
    let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'0');
    let letters = hash.as_bytes().iter().take(4).map(letter);
    letters.map(char::from).collect()
}

impl MessageId {
    /// What a text names; `None`: it is no name of a message.
    pub fn parse(text: &str) -> Option<MessageId> {
        let (place, key) = text.rsplit_once('/')?;
        let (account, mailbox) = place.split_once('/')?;
        let is_code = |c: char| c.is_ascii() && LETTERS.contains(&(c as u8));
        let key = match key.strip_prefix('~') {
            Some(hash) => {
                let hex = hash.len() == 10 && hash.chars().all(|c| c.is_ascii_hexdigit());
                MessageKey::File(Some(hash.to_owned()).filter(|_| hex)?)
            }
            None => {
                let (uid, code) = match key.split_once('-') {
                    Some((uid, code)) => (uid, Some(code.to_owned())),
                    None => (key, None),
                };
                let valid = |code: &String| code.len() == 4 && code.chars().all(is_code);
                let digits = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit());
                if !digits || !code.as_ref().is_none_or(valid) {
                    return None;
                }
                MessageKey::Uid(Uid::new(uid.parse().ok()?)?, code)
            }
        };
        Some(MessageId {
            account: Some(account).filter(|name| !name.is_empty())?.to_owned(),
            mailbox: MailboxName::parse(&decode(mailbox)?)?,
            key,
        })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mailbox = encode(&self.mailbox.to_string());
        write!(f, "{}/{mailbox}/", self.account)?;
        match &self.key {
            MessageKey::Uid(uid, Some(code)) => write!(f, "{}-{code}", uid.get()),
            MessageKey::Uid(uid, None) => write!(f, "{}", uid.get()),
            MessageKey::File(hash) => write!(f, "~{hash}"),
        }
    }
}

/// The name of a mailbox without characters that a shell or a terminal acts on, as `%XX`.
fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() || "/%._@+=:,-".contains(c) {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

/// The name again; `%2F` and `%25` are part of it.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| !matches!(byte, b'/' | b'%')) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(account: &str, mailbox: &str, key: MessageKey) -> MessageId {
        MessageId {
            account: account.to_owned(),
            mailbox: MailboxName::parse(mailbox).unwrap(),
            key,
        }
    }

    #[test]
    fn id_is_short_and_needs_no_quotes() {
        let uid = MessageKey::of_uid(Uid::new(1234).unwrap(), UidValidity(1_700_000_000));
        let text = id("work", "INBOX", uid).to_string();
        assert_eq!(text.len(), "work/INBOX/1234-xxxx".len(), "{text}");
        let file = MessageKey::of_file(&MaildirId::new("1764170000.M1P2.host"));
        let text = id("me@home", "Sent Items/2024 $(x);'", file).to_string();
        assert!(
            text.starts_with("me@home/Sent%20Items/2024%20%24%28x%29%3B%27/~"),
            "{text}"
        );
        for no in [
            "INBOX",
            "a/INBOX",
            "a/INBOX/x",
            "a/INBOX/0",
            "a/INBOX/1-xyz",
            "a/I/~12",
            "/I/1",
        ] {
            assert_eq!(MessageId::parse(no), None, "{no}");
        }
        assert!(MessageId::parse("a/INBOX/7").is_some());
    }

    #[test]
    fn code_of_another_uidvalidity_does_not_fit() {
        let key = MessageKey::of_uid(Uid::new(1).unwrap(), UidValidity(1));
        assert!(key.fits(UidValidity(1)) && !key.fits(UidValidity(2)));
        assert!(MessageKey::Uid(Uid::new(1).unwrap(), None).fits(UidValidity(2)));
    }

    proptest! {
        #[test]
        fn text_names_the_same_message(
            components in proptest::collection::vec("[^\u{0}]{1,12}", 1..4),
            uid in 1..=u32::MAX,
            uid_validity in 1..=u64::from(u32::MAX),
        ) {
            let key = MessageKey::of_uid(Uid::new(uid).unwrap(), UidValidity(uid_validity));
            let one = MessageId {
                account: "a.b@c".into(),
                mailbox: MailboxName::new(components).unwrap(),
                key,
            };
            let text = one.to_string();
            prop_assert_eq!(MessageId::parse(&text), Some(one));
            prop_assert!(!text.contains(' ') && !text.contains('\n'));
        }
    }
}
