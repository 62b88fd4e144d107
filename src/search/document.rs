//! What of a message is looked through: the fields of its header and its text, decoded.

use super::query::{Field, Query, Term, Text};
use super::words::{holds, words};
use crate::mime::{Mail, Person, Summary};
use std::cell::OnceCell;

/// Of a longer text only so many bytes are looked through.
const TEXT: usize = 1 << 20;

/// A message, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Names and addresses of From.
    pub from: String,
    /// Those of To.
    pub to: String,
    /// Those of Cc.
    pub cc: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
    /// The names of attachments.
    pub names: String,
    /// Whether it has attachments.
    pub attachment: bool,
}

impl Document {
    /// Reads a message, or the beginning of one.
    pub fn read(bytes: &[u8]) -> Document {
        let mail = Mail::read(bytes);
        let summary = mail.summary();
        let parts = mail.parts();
        let names = parts.iter().filter_map(|part| part.name.as_deref());
        let mut body = mail.text();
        let mut ends = (0..=TEXT.min(body.len())).rev();
        let end = ends.find(|end| body.is_char_boundary(*end));
        body.truncate(end.unwrap_or(0));
        Document {
            from: people(&summary.from),
            to: people(&summary.to),
            cc: people(&summary.cc),
            subject: summary.subject,
            body,
            names: names.collect::<Vec<_>>().join(" / "),
            attachment: parts.iter().any(crate::model::Part::is_attachment),
        }
    }

    /// Of a message of which only From, To and Subject are known.
    pub fn of_header(summary: &Summary) -> Document {
        Document {
            from: people(&summary.from),
            to: people(&summary.to),
            subject: summary.subject.clone(),
            ..Document::default()
        }
    }

    /// Whether words are in From, To and Subject; `None`: they may be elsewhere.
    pub fn decides(&self, term: &Term) -> Option<bool> {
        let found = Words::of(self).answer(&Query::Is(term.clone()));
        let told = [Field::From, Field::To, Field::Subject];
        match term {
            Term::Text(field, _) if told.contains(field) || found => Some(found),
            _ => None,
        }
    }

    /// Whether letters are in From, To and Subject, as a server looks for them; `None`: they may be
    /// elsewhere.
    pub fn shows(&self, field: Field, text: &Text) -> Option<bool> {
        let wanted = text.words().join(" ");
        let has = |text: &str| words(text).join(" ").contains(&wanted);
        match field {
            Field::From => Some(has(&self.from)),
            Field::To => Some(has(&self.to)),
            Field::Subject => Some(has(&self.subject)),
            Field::Any => {
                let told = [&self.from, &self.to, &self.subject];
                Some(true).filter(|_| told.into_iter().any(|text| has(text)))
            }
            Field::Cc | Field::Body => None,
        }
    }

    /// The fields in the order of the index.
    pub fn fields(&self) -> [(Field, &str); 6] {
        [
            (Field::From, &self.from),
            (Field::To, &self.to),
            (Field::Cc, &self.cc),
            (Field::Subject, &self.subject),
            (Field::Body, &self.body),
            (Field::Any, &self.names),
        ]
    }
}

/// Addresses, so that no phrase reaches from one into the next.
fn people(all: &[Person]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// A document as its words, made when they are asked for.
pub struct Words<'d> {
    document: &'d Document,
    fields: [OnceCell<Vec<String>>; 6],
}

impl<'d> Words<'d> {
    /// Of a document.
    pub fn of(document: &'d Document) -> Words<'d> {
        let fields = Default::default();
        Words { document, fields }
    }

    /// Whether the query holds, apart from what is known of the file.
    pub fn answer(&self, query: &Query) -> bool {
        query.holds(&mut |term| match term {
            Term::Text(field, text) => {
                let phrase = text.words();
                let fields = self.document.fields().into_iter().zip(&self.fields);
                let mut asked = fields.filter(|((own, _), _)| *field == Field::Any || own == field);
                asked.any(|((_, field), cell)| {
                    holds(cell.get_or_init(|| words(field)), &phrase, text.is_open())
                })
            }
            Term::Attachment => self.document.attachment,
            _ => false,
        })
    }
}
