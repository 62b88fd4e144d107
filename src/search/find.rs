//! Answers a query from the index: the tree becomes one SQL expression, words become questions to
//! the full-text table.

use super::files::{CurOrNew, FiledMessage};
use super::index::{IndexError, MailIndex, doing, keyword_text, sub_from, sub_number};
use super::query::{Field, Mark, Query, Term, Text};
use crate::model::{Flags, Keyword, MailboxName};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

/// A message that answers the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// Where its file lies.
    pub sub: CurOrNew,
    /// The name of its file.
    pub name: Vec<u8>,
    /// Its flags.
    pub flags: Flags,
    /// When it arrived, s since 1970.
    pub date: i64,
}

/// A message of the index whose file has another name by now, or is gone.
#[derive(Clone, Debug)]
pub(super) enum Changed {
    Renamed(i64, FiledMessage),
    Gone(i64),
}

impl MailIndex {
    /// Takes what has changed since into account in this session, without writing to the index.
    pub(super) fn note_changed(&self, changed: &[Changed]) -> Result<(), IndexError> {
        let what = doing("note changes");
        let tables = "CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY);
                      CREATE TEMP TABLE IF NOT EXISTS renamed (id INTEGER PRIMARY KEY, name BLOB,
                                              sub INTEGER, flags INTEGER, keywords TEXT);
                      DELETE FROM gone; DELETE FROM renamed;";
        self.db.execute_batch(tables).map_err(what)?;
        for one in changed {
            match one {
                Changed::Gone(id) => {
                    let sql = "INSERT INTO gone (id) VALUES (?1)";
                    let mut insert = self.db.prepare_cached(sql).map_err(what)?;
                    insert.execute([id]).map_err(what)?;
                }
                Changed::Renamed(id, filed) => {
                    let sql = "INSERT INTO renamed (id, name, sub, flags, keywords)
                               VALUES (?1, ?2, ?3, ?4, ?5)";
                    let mut insert = self.db.prepare_cached(sql).map_err(what)?;
                    let (sub, bits) = (sub_number(filed.sub), filed.flags.bits());
                    let keywords = keyword_text(&filed.flags);
                    let values = rusqlite::params![id, filed.name, sub, bits, keywords];
                    insert.execute(values).map_err(what)?;
                }
            }
        }
        Ok(())
    }

    /// The messages that answer a query, newest first, at most so many. [`Self::note_changed`]
    /// comes before.
    pub(super) fn find(
        &self,
        query: &Query,
        limit: Option<usize>,
    ) -> Result<Vec<SearchHit>, IndexError> {
        let what = doing("search");
        let names: Vec<MailboxName> = self.mailboxes()?.into_keys().collect();
        let mut sql = Sql {
            names: &names,
            text: String::new(),
            values: Vec::new(),
        };
        sql.query(query);
        let limit = limit
            .and_then(|limit| i64::try_from(limit).ok())
            .unwrap_or(-1);
        sql.values.push(Value::Integer(limit));
        let whole = format!(
            "SELECT b.name, coalesce(r.sub, m.sub), coalesce(r.name, m.name),
                    coalesce(r.flags, m.flags), coalesce(r.keywords, m.keywords),
                    m.date
             FROM message m JOIN mailbox b ON b.id = m.mailbox
             LEFT JOIN temp.renamed r ON r.id = m.id
             WHERE {} AND m.problem IS NULL AND m.id NOT IN (SELECT id FROM temp.gone)
             ORDER BY m.date DESC, m.id DESC LIMIT ?{}",
            sql.text,
            sql.values.len()
        );
        let mut select = self.db.prepare(&whole).map_err(what)?;
        let rows = select.query_map(params_from_iter(sql.values), found);
        rows.map_err(what)?.collect::<Result<_, _>>().map_err(what)
    }
}

fn found(row: &Row<'_>) -> rusqlite::Result<SearchHit> {
    let name: String = row.get(0)?;
    let keywords: String = row.get(4)?;
    let bits = u8::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
    let mailbox = MailboxName::parse(&name).ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(SearchHit {
        mailbox,
        sub: sub_from(row.get(1)?),
        name: row.get(2)?,
        flags: Flags::from_parts(bits, keywords.split(' ').filter_map(Keyword::new)),
        date: row.get(5)?,
    })
}

/// An expression and its values.
struct Sql<'n> {
    names: &'n [MailboxName],
    text: String,
    values: Vec<Value>,
}

impl Sql<'_> {
    fn query(&mut self, query: &Query) {
        match query {
            Query::And(all) => self.list(all, " AND ", "1"),
            Query::Or(all) => self.list(all, " OR ", "0"),
            Query::Not(inner) => {
                self.text.push_str("(NOT ");
                self.query(inner);
                self.text.push(')');
            }
            Query::Is(term) => self.term(term),
        }
    }

    /// By halves: SQLite does not take an expression that is nested as deep as a list is long.
    fn list(&mut self, all: &[Query], between: &str, none: &str) {
        match all {
            [] => self.text.push_str(none),
            [one] => self.query(one),
            more => {
                let (left, right) = more.split_at(more.len() / 2);
                self.text.push('(');
                self.list(left, between, none);
                self.text.push_str(between);
                self.list(right, between, none);
                self.text.push(')');
            }
        }
    }

    fn with(&mut self, before: &str, value: Value, after: &str) {
        self.values.push(value);
        let number = self.values.len();
        self.text.push_str(&format!("({before} ?{number}{after})"));
    }

    fn term(&mut self, term: &Term) {
        let flags = "coalesce(r.flags, m.flags)";
        match term {
            Term::Text(field, text) => {
                let inner = "m.id IN (SELECT rowid FROM words WHERE words MATCH";
                self.with(inner, Value::Text(phrase(*field, text)), ")");
            }
            Term::Since(day) => self.with("m.date >=", Value::Integer(begin(*day)), ""),
            Term::Before(day) => self.with("m.date <", Value::Integer(begin(*day)), ""),
            Term::Larger(size) => self.with("m.size >", Value::Integer(whole(*size)), ""),
            Term::Smaller(size) => self.with("m.size <", Value::Integer(whole(*size)), ""),
            Term::Flag(mark) => {
                let (flag, set) = mark.flag();
                let is = if set { "<>" } else { "=" };
                let bit = flag as u8;
                self.text.push_str(&format!("({flags} & {bit} {is} 0)"));
            }
            Term::Tag(keyword) => {
                let value = format!(" {} ", keyword.as_str().to_ascii_lowercase());
                let inner = "0 < instr(coalesce(r.keywords, m.keywords),";
                self.with(inner, Value::Text(value), ")");
            }
            Term::In(pattern) => {
                let chosen = self.names.iter().filter(|name| lies_in(name, pattern));
                let chosen: Vec<String> = chosen.map(ToString::to_string).collect();
                self.text.push_str("(b.name IN (");
                for (n, name) in chosen.into_iter().enumerate() {
                    self.values.push(Value::Text(name));
                    let comma = if n == 0 { "" } else { ", " };
                    self.text
                        .push_str(&format!("{comma}?{}", self.values.len()));
                }
                self.text.push_str("))");
            }
            Term::Attachment => self.text.push_str("(m.attachment = 1)"),
        }
    }
}

impl Mark {
    /// The flag, and whether it has to be set.
    pub fn flag(self) -> (crate::model::SystemFlag, bool) {
        use crate::model::SystemFlag;
        match self {
            Mark::Unread => (SystemFlag::Seen, false),
            Mark::Read => (SystemFlag::Seen, true),
            Mark::Flagged => (SystemFlag::Flagged, true),
            Mark::Answered => (SystemFlag::Answered, true),
            Mark::Draft => (SystemFlag::Draft, true),
        }
    }
}

/// Words as FTS5 takes them. They hold letters and digits only.
fn phrase(field: Field, text: &Text) -> String {
    let column = match field {
        Field::Any => "",
        Field::From => "sender : ",
        Field::To => "recipient : ",
        Field::Cc => "copy : ",
        Field::Subject => "subject : ",
        Field::Body => "body : ",
    };
    let star = if text.is_open() { " *" } else { "" };
    format!("{column}\"{}\"{star}", text.words().join(" "))
}

/// Whether a mailbox has this name, in any case, or matches the pattern.
pub fn lies_in(mailbox: &MailboxName, pattern: &str) -> bool {
    let (name, pattern) = (mailbox.to_string().to_lowercase(), pattern.to_lowercase());
    name == pattern || crate::reconcile::matches(&pattern, &name)
}

/// When a day begins here, s since 1970.
pub fn begin(day: Date) -> i64 {
    let zone = TimeZone::system();
    let begin = day.to_zoned(zone).map(|day| day.timestamp().as_second());
    begin.unwrap_or(if day.year() < 1970 {
        i64::MIN
    } else {
        i64::MAX
    })
}

fn whole(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
