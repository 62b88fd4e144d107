//! What is looked for: a query as a tree, and how it is written. [`super::parse()`] reads it.
//!
//! ```text
//! from:bob subject:"annual report" (is:unread or is:flagged) -in:Spam since:2024-05
//! ```

use super::words::words;
use crate::model::Keyword;
use jiff::civil::Date;
use std::fmt;

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// All of these hold; of none: every message.
    And(Vec<Query>),
    /// One of these holds; of none: no message.
    Or(Vec<Query>),
    /// This does not hold.
    Not(Box<Query>),
    /// A condition.
    Is(Term),
}

/// A condition on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// Words in one field, or in any.
    Text(Field, Text),
    /// Arrived on that day or later.
    Since(Date),
    /// Arrived before that day.
    Before(Date),
    /// Of more bytes (with CRLF line ends).
    Larger(u64),
    /// Of fewer bytes.
    Smaller(u64),
    /// Has a flag, or lacks it.
    Flag(Mark),
    /// Has a keyword.
    Tag(Keyword),
    /// Lies in a mailbox of this name or pattern (`*` anything, `%` anything but `/`).
    In(String),
    /// Has an attachment.
    Attachment,
}

/// Where words are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Anywhere: in all of the fields below, and the names of attachments.
    Any,
    /// The header From.
    From,
    /// The header To.
    To,
    /// The header Cc.
    Cc,
    /// The header Subject.
    Subject,
    /// The text.
    Body,
}

/// What `is:` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Without `\Seen`.
    Unread,
    /// With `\Seen`.
    Read,
    /// With `\Flagged`.
    Flagged,
    /// With `\Answered`.
    Answered,
    /// With `\Draft`.
    Draft,
}

/// Words as they were written; at least one letter or digit is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    text: String,
    open: bool,
}

impl Field {
    /// Those with a name, and their names.
    pub const NAMED: [(Field, &'static str); 5] = [
        (Field::From, "from"),
        (Field::To, "to"),
        (Field::Cc, "cc"),
        (Field::Subject, "subject"),
        (Field::Body, "body"),
    ];
}

impl Mark {
    /// All, with their words.
    pub const ALL: [(Mark, &'static str); 5] = [
        (Mark::Unread, "unread"),
        (Mark::Read, "read"),
        (Mark::Flagged, "flagged"),
        (Mark::Answered, "answered"),
        (Mark::Draft, "draft"),
    ];

    fn name(self) -> &'static str {
        let own = Mark::ALL.iter().find(|(mark, _)| *mark == self);
        own.map_or("", |(_, name)| name)
    }
}

impl Text {
    /// `None`: there is no letter or digit in it. `open`: the last word may be the beginning of a
    /// longer one.
    pub fn new(text: &str, open: bool) -> Option<Text> {
        let text = text.to_owned();
        (!words(&text).is_empty()).then_some(Text { text, open })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the last word may be the beginning of a longer one.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Its words.
    pub fn words(&self) -> Vec<String> {
        words(&self.text)
    }
}

impl Query {
    /// Every message.
    pub fn everything() -> Query {
        Query::And(Vec::new())
    }

    /// No message.
    pub fn nothing() -> Query {
        Query::Or(Vec::new())
    }

    /// Whether some condition in it is of this kind.
    pub fn any(&self, is: &impl Fn(&Term) -> bool) -> bool {
        match self {
            Query::And(all) | Query::Or(all) => all.iter().any(|one| one.any(is)),
            Query::Not(inner) => inner.any(is),
            Query::Is(term) => is(term),
        }
    }

    /// The same query where some conditions are known to hold (`Some(true)`) or not; what follows
    /// from them is left out.
    pub fn given(&self, known: &impl Fn(&Term) -> Option<bool>) -> Query {
        match self {
            Query::And(all) => {
                let all: Vec<Query> = all.iter().map(|one| one.given(known)).collect();
                if all.contains(&Query::nothing()) {
                    return Query::nothing();
                }
                let mut left: Vec<Query> = all;
                left.retain(|one| *one != Query::everything());
                single(left, Query::And)
            }
            Query::Or(all) => {
                let all: Vec<Query> = all.iter().map(|one| one.given(known)).collect();
                if all.contains(&Query::everything()) {
                    return Query::everything();
                }
                let mut left: Vec<Query> = all;
                left.retain(|one| *one != Query::nothing());
                single(left, Query::Or)
            }
            Query::Not(inner) => match inner.given(known) {
                sure if sure == Query::everything() => Query::nothing(),
                never if never == Query::nothing() => Query::everything(),
                other => Query::Not(Box::new(other)),
            },
            Query::Is(term) => match known(term) {
                Some(true) => Query::everything(),
                Some(false) => Query::nothing(),
                None => self.clone(),
            },
        }
    }

    /// Whether it holds where each condition is answered.
    pub fn holds(&self, answer: &mut impl FnMut(&Term) -> bool) -> bool {
        match self {
            Query::And(all) => all.iter().all(|one| one.holds(answer)),
            Query::Or(all) => all.iter().any(|one| one.holds(answer)),
            Query::Not(inner) => !inner.holds(answer),
            Query::Is(term) => answer(term),
        }
    }
}

/// One of several is itself.
pub(super) fn single(mut all: Vec<Query>, join: fn(Vec<Query>) -> Query) -> Query {
    match (all.len(), all.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            all.extend(last);
            join(all)
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::And(all) if all.is_empty() => f.write_str("all"),
            Query::Or(all) if all.is_empty() => f.write_str("not all"),
            Query::And(all) => list(f, all, " "),
            Query::Or(all) => list(f, all, " or "),
            Query::Not(inner) => match &**inner {
                Query::Is(term) => write!(f, "not {term}"),
                Query::Not(_) => write!(f, "not {inner}"),
                other => write!(f, "not ({other})"),
            },
            Query::Is(term) => write!(f, "{term}"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, all: &[Query], between: &str) -> fmt::Result {
    for (n, one) in all.iter().enumerate() {
        if n > 0 {
            f.write_str(between)?;
        }
        match one {
            Query::And(_) | Query::Or(_) => write!(f, "({one})")?,
            other => write!(f, "{other}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Text(field, text) => {
                let named = Field::NAMED.iter().find(|(named, _)| named == field);
                if let Some((_, name)) = named {
                    write!(f, "{name}:")?;
                }
                let star = if text.open { "*" } else { "" };
                write!(f, "{}{star}", quoted(&text.text))
            }
            Term::Since(day) => write!(f, "since:{day}"),
            Term::Before(day) => write!(f, "before:{day}"),
            Term::Larger(size) => write!(f, "larger:{size}"),
            Term::Smaller(size) => write!(f, "smaller:{size}"),
            Term::Flag(mark) => write!(f, "is:{}", mark.name()),
            Term::Tag(keyword) => write!(f, "tag:{}", quoted(keyword.as_str())),
            Term::In(name) => write!(f, "in:{}", quoted(name)),
            Term::Attachment => f.write_str("has:attachment"),
        }
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}
