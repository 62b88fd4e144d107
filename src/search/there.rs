//! A query as the server is asked it. A condition that SEARCH has no key for is left open: the
//! answer then holds more than was asked, never less.

use super::query::{Field, Mark, Query, Term, Text};
use crate::imap::{In, Key, Offers};
use crate::model::SystemFlag;

/// How to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// What the server offers.
    pub offers: Offers,
    /// Whether to ask for what is like the words, too.
    pub fuzzy: bool,
    /// Whether the server takes ASCII texts only.
    pub ascii: bool,
}

/// A query for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is sent.
    pub key: Key,
    /// Whether what it finds is only what may answer the query.
    pub open: bool,
}

impl Way {
    /// The query as this server is asked it; conditions on mailboxes are known by now.
    pub fn ask(self, query: &Query) -> Asked {
        let mut open = false;
        let key = self.key(query, true, &mut open);
        Asked { key, open }
    }

    /// `more`: where a condition is left open, it counts as met; else as not met.
    fn key(self, query: &Query, more: bool, open: &mut bool) -> Key {
        match query {
            Query::And(all) => Key::And(all.iter().map(|one| self.key(one, more, open)).collect()),
            Query::Or(all) => Key::Or(all.iter().map(|one| self.key(one, more, open)).collect()),
            Query::Not(inner) => Key::Not(Box::new(self.key(inner, !more, open))),
            Query::Is(term) => self.term(term).unwrap_or_else(|| {
                *open = true;
                if more {
                    Key::And(Vec::new())
                } else {
                    Key::Or(Vec::new())
                }
            }),
        }
    }

    fn term(self, term: &Term) -> Option<Key> {
        match term {
            Term::Text(field, text) => self.text(*field, text),
            Term::Since(day) => Some(Key::Since(*day)),
            Term::Before(day) => Some(Key::Before(*day)),
            Term::Larger(size) => Some(Key::Larger(*size)),
            Term::Smaller(size) => Some(Key::Smaller(*size)),
            Term::Flag(mark) => Some(flag(*mark)),
            Term::Tag(keyword) => Some(Key::Keyword(keyword.clone())),
            Term::In(_) => None,
            Term::Attachment => self
                .offers
                .gmail
                .then(|| Key::Gmail("has:attachment".into())),
        }
    }

    fn text(self, field: Field, text: &Text) -> Option<Key> {
        if self.ascii && !text.as_str().is_ascii() {
            return None;
        }
        let words = text.as_str();
        let key = |part| Key::Text(part, words.to_owned(), self.fuzzy && self.offers.fuzzy);
        let raw = |before: &str| {
            // Gmail takes what stands between quotation marks for words in this order.
            Key::Gmail(format!("{before}\"{}\"", words.replace('"', " ")))
        };
        Some(match field {
            Field::Any if self.offers.gmail => raw(""),
            Field::From if self.offers.gmail => raw("from:"),
            Field::To if self.offers.gmail => raw("to:"),
            Field::Cc if self.offers.gmail => raw("cc:"),
            Field::Subject if self.offers.gmail => raw("subject:"),
            Field::Any => Key::Or(
                [In::Subject, In::From, In::To, In::Cc, In::Body]
                    .map(key)
                    .into(),
            ),
            Field::From => key(In::From),
            Field::To => key(In::To),
            Field::Cc => key(In::Cc),
            Field::Subject => key(In::Subject),
            Field::Body => key(In::Body),
        })
    }
}

fn flag(mark: Mark) -> Key {
    let (flag, set): (SystemFlag, bool) = mark.flag();
    Key::Flag(flag, set)
}

#[cfg(test)]
#[path = "there_tests.rs"]
mod tests;
