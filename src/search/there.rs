//! A query as the server is asked it. A condition that SEARCH has no key for is left open: the
//! answer then holds more than was asked, never less.

use super::query::{Field, Mark, Query, Term, Text};
use crate::imap::{In, Offers, SearchKey};
use crate::model::SystemFlag;

/// How to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryMethod {
    /// What the server offers.
    pub offers: Offers,
    /// Whether to ask for what is like the words, too.
    pub fuzzy: bool,
    /// Whether the server takes ASCII texts only.
    pub ascii: bool,
}

/// A query for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerQuery {
    /// What is sent.
    pub key: SearchKey,
    /// Whether what it finds is only what may answer the query.
    pub open: bool,
}

impl QueryMethod {
    /// The query as this server is asked it; conditions on mailboxes are known by now.
    pub fn ask(self, query: &Query) -> ServerQuery {
        let mut open = false;
        let key = self.key(query, true, &mut open);
        ServerQuery { key, open }
    }

    /// `more`: where a condition is left open, it counts as met; else as not met.
    fn key(self, query: &Query, more: bool, open: &mut bool) -> SearchKey {
        match query {
            Query::And(all) => {
                SearchKey::And(all.iter().map(|one| self.key(one, more, open)).collect())
            }
            Query::Or(all) => {
                SearchKey::Or(all.iter().map(|one| self.key(one, more, open)).collect())
            }
            Query::Not(inner) => SearchKey::Not(Box::new(self.key(inner, !more, open))),
            Query::Is(term) => self.term(term).unwrap_or_else(|| {
                *open = true;
                if more {
                    SearchKey::And(Vec::new())
                } else {
                    SearchKey::Or(Vec::new())
                }
            }),
        }
    }

    fn term(self, term: &Term) -> Option<SearchKey> {
        match term {
            Term::Text(field, text) => self.text(*field, text),
            Term::Since(day) => Some(SearchKey::Since(*day)),
            Term::Before(day) => Some(SearchKey::Before(*day)),
            Term::Larger(size) => Some(SearchKey::Larger(*size)),
            Term::Smaller(size) => Some(SearchKey::Smaller(*size)),
            Term::Flag(mark) => Some(flag(*mark)),
            Term::Tag(keyword) => Some(SearchKey::Keyword(keyword.clone())),
            Term::In(_) => None,
            Term::Attachment => self
                .offers
                .gmail
                .then(|| SearchKey::Gmail("has:attachment".into())),
        }
    }

    fn text(self, field: Field, text: &Text) -> Option<SearchKey> {
        if self.ascii && !text.as_str().is_ascii() {
            return None;
        }
        let words = text.as_str();
        let key = |part| SearchKey::Text(part, words.to_owned(), self.fuzzy && self.offers.fuzzy);
        let raw = |before: &str| {
            // Gmail takes what stands between quotation marks for words in this order.
            SearchKey::Gmail(format!("{before}\"{}\"", words.replace('"', " ")))
        };
        Some(match field {
            Field::Any if self.offers.gmail => raw(""),
            Field::From if self.offers.gmail => raw("from:"),
            Field::To if self.offers.gmail => raw("to:"),
            Field::Cc if self.offers.gmail => raw("cc:"),
            Field::Subject if self.offers.gmail => raw("subject:"),
            Field::Any => SearchKey::Or(
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

fn flag(mark: Mark) -> SearchKey {
    let (flag, set): (SystemFlag, bool) = mark.flag();
    SearchKey::Flag(flag, set)
}

#[cfg(test)]
#[path = "there_tests.rs"]
mod tests;
