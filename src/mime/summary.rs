//! The header fields that a listing shows.

use super::visible::line;
use crate::model::Timestamp;
use mail_parser::{Addr, Address, Message, MimeHeaders};

/// The header fields that a listing shows; all texts are fit to be shown on one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `Date`, s since 1970.
    pub date: Option<Timestamp>,
    /// `From`.
    pub from: Vec<Person>,
    /// `To`.
    pub to: Vec<Person>,
    /// `Cc`.
    pub cc: Vec<Person>,
    /// `Subject`, decoded.
    pub subject: String,
    /// `Message-ID`, without `<` and `>`.
    pub message_id: Option<String>,
    /// How many parts are attachments; `None`: not known from what was read.
    pub attachments: Option<usize>,
}

/// An address of a header field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The name, decoded; may be empty.
    pub name: String,
    /// The address; may be empty.
    pub address: String,
}

impl Person {
    /// The name, or the address of one without a name.
    pub fn short(&self) -> &str {
        match self.name.is_empty() {
            true => &self.address,
            false => &self.name,
        }
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Person { name, address } = self;
        match (name.is_empty(), address.is_empty()) {
            (true, _) => f.write_str(address),
            (false, true) => f.write_str(name),
            (false, false) => write!(f, "{name} <{address}>"),
        }
    }
}

impl Summary {
    pub(super) fn of(message: &Message<'_>) -> Summary {
        let text = |text: Option<&str>| text.map(line).unwrap_or_default();
        let date = message.date().filter(|date| date.is_valid());
        let id = text(message.message_id());
        Summary {
            date: date.map(|date| Timestamp(date.to_timestamp())),
            from: people(message.from()),
            to: people(message.to()),
            cc: people(message.cc()),
            subject: text(message.subject()),
            message_id: Some(id).filter(|id| !id.is_empty()),
            attachments: attachments(message),
        }
    }
}

/// How many parts are attachments. Of a multipart message of which only the header was read it is
/// not known.
fn attachments(message: &Message<'_>) -> Option<usize> {
    let parts = super::parts::all(message);
    let multipart = message
        .content_type()
        .is_some_and(|kind| kind.ctype().eq_ignore_ascii_case("multipart"));
    match multipart && parts.len() < 2 {
        true => None,
        false => Some(parts.iter().filter(|part| part.is_attachment()).count()),
    }
}

fn people(address: Option<&Address<'_>>) -> Vec<Person> {
    let all: Vec<&Addr<'_>> = match address {
        None => Vec::new(),
        Some(Address::List(all)) => all.iter().collect(),
        Some(Address::Group(groups)) => groups.iter().flat_map(|group| &group.addresses).collect(),
    };
    let shown = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(line);
    let person = |one: &Addr<'_>| Person {
        name: shown(&one.name).unwrap_or_default(),
        address: shown(&one.address).unwrap_or_default(),
    };
    all.into_iter().map(person).collect()
}
