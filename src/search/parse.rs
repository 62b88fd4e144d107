//! Reads a query. An error says at which place, and what was expected there.

use super::query::{Field, Mark, Query, Term, Text, single};
use super::words::columns;
use crate::model::Keyword;
use jiff::civil::{Date, date};
use jiff::{Span, ToSpan};
use std::fmt;

/// Bytes that a query may have.
const LONGEST: usize = 10_000;
/// So deep may parentheses and negations be nested.
const DEEPEST: usize = 100;
const NAMES: &str = "from: to: cc: subject: body: since: before: larger: smaller: is: tag: in: \
                     has:";

/// Why a query cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct QueryError {
    /// The query.
    pub query: String,
    /// How many characters stand before the place.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

impl QueryError {
    /// The query, a mark below the place, and what is wrong there.
    pub fn lines(&self) -> [String; 3] {
        let before = self.query.chars().take(self.at);
        let before: usize = before.map(columns).sum();
        [
            self.query.clone(),
            format!("{}^", " ".repeat(before)),
            self.what.clone(),
        ]
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the query at character {}: {}", self.at + 1, self.what)
    }
}

/// Reads a query; `today` is what relative dates count from.
pub fn parse(text: &str, today: Date) -> Result<Query, QueryError> {
    let mut reader = TokenReader {
        text,
        chars: text.chars().collect(),
        at: 0,
        depth: 0,
        today,
    };
    if text.len() > LONGEST {
        return Err(reader.wrong(0, format!("a query has at most {LONGEST} bytes")));
    }
    let query = reader.alternatives()?;
    reader.skip_spaces();
    match reader.peek() {
        None => Ok(query),
        Some(_) => Err(reader.wrong(reader.at, "no ( stands before this )".into())),
    }
}

struct TokenReader<'t> {
    text: &'t str,
    chars: Vec<char>,
    at: usize,
    depth: usize,
    today: Date,
}

/// A value, and how it was written.
struct QueryValue {
    at: usize,
    text: String,
    /// Whether a `*` stands behind it.
    open: bool,
}

impl TokenReader<'_> {
    fn wrong(&self, at: usize, what: String) -> QueryError {
        QueryError {
            query: self.text.to_owned(),
            at,
            what,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// The bare word that begins here, up to a space, a parenthesis or a quotation mark.
    fn bare(&self) -> String {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let ends = |c: &&char| !c.is_whitespace() && !"()\"".contains(**c);
        rest.iter().take_while(ends).collect()
    }

    /// Passes over an operator, if this one stands here.
    fn passes(&mut self, operator: &str) -> bool {
        self.skip_spaces();
        let next = self.chars.get(self.at + operator.len()).copied();
        let is_word = self.bare().eq_ignore_ascii_case(operator) && next != Some('"');
        if is_word {
            self.at += operator.len();
        }
        is_word
    }

    fn deeper(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        match self.depth > DEEPEST {
            true => Err(self.wrong(self.at, format!("nested deeper than {DEEPEST} times"))),
            false => Ok(()),
        }
    }

    fn alternatives(&mut self) -> Result<Query, QueryError> {
        let mut all = vec![self.together()?];
        while self.passes("or") {
            all.push(self.together()?);
        }
        Ok(single(all, Query::Or))
    }

    fn together(&mut self) -> Result<Query, QueryError> {
        let mut all = vec![self.one()?];
        loop {
            self.skip_spaces();
            let ends = matches!(self.peek(), None | Some(')'));
            let begin = self.at;
            if ends || self.passes("or") {
                self.at = begin;
                return Ok(single(all, Query::And));
            }
            self.passes("and");
            all.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Query, QueryError> {
        self.skip_spaces();
        let begin = self.at;
        let minus = self.peek() == Some('-');
        if minus || self.passes("not") {
            self.at += usize::from(minus);
            self.deeper()?;
            let inner = self.one()?;
            self.depth -= 1;
            return Ok(Query::Not(Box::new(inner)));
        }
        match self.peek() {
            Some('(') => {
                self.at += 1;
                self.deeper()?;
                let inner = self.alternatives()?;
                self.depth -= 1;
                self.skip_spaces();
                if self.peek() != Some(')') {
                    let what = "a ) is expected for the ( at character";
                    return Err(self.wrong(self.at, format!("{what} {}", begin + 1)));
                }
                self.at += 1;
                Ok(inner)
            }
            None | Some(')') => {
                let what = "a word, a \"phrase\", a field or ( is expected";
                Err(self.wrong(begin, what.into()))
            }
            Some(_) if self.stands("or") || self.stands("and") => {
                let what = "a word is expected; write \"or\" and \"and\" in quotation marks to \
                            look for them";
                Err(self.wrong(begin, what.into()))
            }
            Some(_) if self.stands("all") => {
                self.at += 3;
                Ok(Query::everything())
            }
            Some(_) => self.condition(),
        }
    }

    fn stands(&mut self, operator: &str) -> bool {
        let begin = self.at;
        let stands = self.passes(operator);
        self.at = begin;
        stands
    }

    fn condition(&mut self) -> Result<Query, QueryError> {
        let (begin, word) = (self.at, self.bare());
        let name = word.split_once(':').map(|(name, _)| name.to_owned());
        let is_name =
            |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
        let name = name.filter(is_name).filter(|_| !word.contains("://"));
        let Some(name) = name else {
            let value = self.value("")?;
            return self.text(Field::Any, &value);
        };
        self.at += name.chars().count() + 1;
        let lower = name.to_ascii_lowercase();
        let value = match self.peek() {
            None | Some(')') | Some('(') => None,
            Some(c) if c.is_whitespace() => None,
            Some(_) => Some(self.value(&name)?),
        };
        let Some(value) = value else {
            let what = match NAMES.contains(&format!("{lower}:")) {
                true => format!("a value is expected after {lower}:"),
                false => unknown_field(&lower),
            };
            let at = if NAMES.contains(&format!("{lower}:")) {
                self.at
            } else {
                begin
            };
            return Err(self.wrong(at, what));
        };
        let named = Field::NAMED.iter().find(|(_, name)| *name == lower);
        if let Some((field, _)) = named {
            return self.text(*field, &value);
        }
        let term = match lower.as_str() {
            "since" => Term::Since(self.day(&value)?),
            "before" => Term::Before(self.day(&value)?),
            "larger" => Term::Larger(self.size(&value)?),
            "smaller" => Term::Smaller(self.size(&value)?),
            "is" => Term::Flag(self.mark(&value)?),
            "tag" => Term::Tag(self.keyword(&value)?),
            "in" => Term::In(match value.open {
                true => format!("{}*", value.text),
                false => value.text,
            }),
            "has" if value.text.eq_ignore_ascii_case("attachment") => Term::Attachment,
            "has" => return Err(self.wrong(value.at, "attachment is expected after has:".into())),
            _ => return Err(self.wrong(begin, unknown_field(&lower))),
        };
        Ok(Query::Is(term))
    }

    /// A word or a phrase.
    fn value(&mut self, name: &str) -> Result<QueryValue, QueryError> {
        let at = self.at;
        if self.peek() != Some('"') {
            let word = self.bare();
            self.at += word.chars().count();
            let open = word.ends_with('*') && word.len() > 1;
            let text = word.strip_suffix('*').filter(|_| open).unwrap_or(&word);
            return Ok(QueryValue {
                at,
                text: text.to_owned(),
                open,
            });
        }
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    let name = if name.is_empty() { "phrase" } else { name };
                    let what = format!("the quotation mark of this {name} is not closed");
                    return Err(self.wrong(at, what));
                }
                Some('"') => break,
                Some('\\') => {
                    self.at += 1;
                    text.extend(self.peek());
                }
                Some(c) => text.push(c),
            }
            self.at += 1;
        }
        self.at += 1;
        let open = self.peek() == Some('*');
        self.at += usize::from(open);
        Ok(QueryValue { at, text, open })
    }

    fn text(&self, field: Field, value: &QueryValue) -> Result<Query, QueryError> {
        let none = || {
            let what = "a letter or a digit is expected in what is looked for";
            self.wrong(value.at, what.into())
        };
        let text = Text::new(&value.text, value.open).ok_or_else(none)?;
        Ok(Query::Is(Term::Text(field, text)))
    }

    fn mark(&self, value: &QueryValue) -> Result<Mark, QueryError> {
        let known = Mark::ALL
            .iter()
            .find(|(_, name)| value.text.eq_ignore_ascii_case(name));
        known.map(|(mark, _)| *mark).ok_or_else(|| {
            let what = "unread, read, flagged, answered or draft is expected after is:";
            self.wrong(value.at, what.into())
        })
    }

    fn keyword(&self, value: &QueryValue) -> Result<Keyword, QueryError> {
        Keyword::new(&value.text)
            .filter(|_| !value.open)
            .ok_or_else(|| {
                let what =
                    "a keyword is expected after tag: (ASCII, without spaces and ( ) { % * ] \\)";
                self.wrong(value.at, what.into())
            })
    }

    fn size(&self, value: &QueryValue) -> Result<u64, QueryError> {
        let text = value.text.to_ascii_lowercase();
        let text = text.strip_suffix('b').unwrap_or(&text);
        let digits = text.trim_end_matches(['k', 'm', 'g']);
        let factor = match text.strip_prefix(digits) {
            Some("") => Some(1),
            Some("k") => Some(1 << 10),
            Some("m") => Some(1 << 20),
            Some("g") => Some(1 << 30),
            _ => None,
        };
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|_| plain && !value.open);
        let size = number
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor));
        size.ok_or_else(|| {
            let what = "a size is expected: 20000, 500k, 10M or 1G (bytes)";
            self.wrong(value.at, what.into())
        })
    }

    fn day(&self, value: &QueryValue) -> Result<Date, QueryError> {
        let text = value.text.to_ascii_lowercase();
        let day = match text.as_str() {
            "today" => Some(self.today),
            "yesterday" => self.today.checked_sub(1.day()).ok(),
            other => self.ago(other).or_else(|| calendar(other)),
        };
        day.filter(|_| !value.open).ok_or_else(|| {
            let what = "a day is expected: 2024, 2024-05, 2024-05-17, today, yesterday, or so \
                        long ago: 10d, 2w, 6m, 1y";
            self.wrong(value.at, what.into())
        })
    }

    /// The day so long ago: a number and `d`, `w`, `m` or `y`.
    fn ago(&self, text: &str) -> Option<Date> {
        let (unit, number) = (
            text.chars().last()?,
            text.get(..text.len().checked_sub(1)?)?,
        );
        let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number: i64 = number.parse().ok().filter(|n| plain && *n <= 10_000)?;
        let span: Span = match unit {
            'd' => number.days(),
            'w' => number.weeks(),
            'm' => number.months(),
            'y' => Span::new().try_years(number).ok()?,
            _ => return None,
        };
        self.today
            .checked_sub(span)
            .ok()
            .filter(|day| day.year() >= 1)
    }
}

/// A day, or the first of a month or year.
fn calendar(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |text: &&str, length: usize| {
        let plain = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i16>().ok().filter(|_| plain)
    };
    let small = |text: &&str| number(text, 2).and_then(|n| i8::try_from(n).ok());
    let (year, month, day) = match parts.as_slice() {
        [year] => (number(year, 4)?, 1, 1),
        [year, month] => (number(year, 4)?, small(month)?, 1),
        [year, month, day] => (number(year, 4)?, small(month)?, small(day)?),
        _ => return None,
    };
    Date::new(year, month, day)
        .ok()
        .filter(|day| *day >= date(1, 1, 1))
}

fn unknown_field(name: &str) -> String {
    format!(
        "there is no field {name}:; fields are {NAMES}. To look for these characters, put them \
         in quotation marks"
    )
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
