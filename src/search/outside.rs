//! Answers a query by a program of the user's that indexes the same files: notmuch or mu. It is
//! given arguments, never a line for a shell.

use super::files::{CurOrNew, MailboxDirectory};
use super::local::within;
use super::query::{Field, Mark, Query, Term, Text};
use crate::model::MailboxName;
use jiff::ToSpan;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexProgram {
    /// notmuch.
    Notmuch,
    /// mu.
    Mu,
}

/// Why a program did not search.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// A condition that it does not know.
    #[error("{program} cannot look for {what}; leave it out, or unset search_with")]
    Unknown {
        /// The program.
        program: &'static str,
        /// The condition.
        what: String,
    },
    /// It cannot be run.
    #[error("search_with: {program} cannot be run: {source}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It failed.
    #[error("search_with: {program} failed: {what}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it says.
        what: String,
    },
}

/// A file that the program names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Its mailbox.
    pub mailbox: MailboxName,
    /// Where it lies.
    pub sub: CurOrNew,
    /// Its name.
    pub name: Vec<u8>,
}

impl IndexProgram {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            IndexProgram::Notmuch => "notmuch",
            IndexProgram::Mu => "mu",
        }
    }

    /// Searches these mailboxes. Each question that is left of the query in some of them is asked
    /// once.
    pub fn search(
        self,
        query: &Query,
        places: &[MailboxDirectory],
    ) -> Result<Vec<NamedFile>, OutsideError> {
        let mut questions: BTreeMap<String, Vec<&MailboxDirectory>> = BTreeMap::new();
        for place in places {
            let left = within(query, &place.mailbox);
            if left != Query::nothing() {
                let written = Written { program: self }.query(&left)?;
                questions.entry(written).or_default().push(place);
            }
        }
        let mut found = Vec::new();
        for (written, places) in questions {
            let by_path = by_path(&places);
            for path in self.ask(&written)? {
                found.extend(named(&path, &by_path));
            }
        }
        found.sort_by(|a, b| (&a.mailbox, &a.name).cmp(&(&b.mailbox, &b.name)));
        found.dedup();
        Ok(found)
    }

    fn ask(self, query: &str) -> Result<Vec<PathBuf>, OutsideError> {
        let program = self.name();
        let mut command = Command::new(program);
        match self {
            IndexProgram::Notmuch => {
                let options = [
                    "search",
                    "--exclude=false",
                    "--output=files",
                    "--format=text0",
                ];
                command.args(options).arg("--").arg(query)
            }
            IndexProgram::Mu => command
                .args(["find", "--nocolor", "--fields=l", "--"])
                .arg(query),
        };
        command.stdin(std::process::Stdio::null());
        let out = command
            .output()
            .map_err(|source| OutsideError::Run { program, source })?;
        // mu ends with 2, older ones with 4, where it finds nothing.
        let none = self == IndexProgram::Mu && matches!(out.status.code(), Some(2 | 4));
        if !out.status.success() && !none {
            let said = String::from_utf8_lossy(&out.stderr);
            let what = said
                .lines()
                .next()
                .unwrap_or("it does not say why")
                .to_owned();
            return Err(OutsideError::Failed { program, what });
        }
        let end = if self == IndexProgram::Notmuch {
            0
        } else {
            b'\n'
        };
        let paths = out.stdout.split(|byte| *byte == end);
        let paths = paths.filter(|path| !path.is_empty());
        Ok(paths
            .map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
            .collect())
    }
}

/// Directories, as they are named and without links, with their mailboxes.
fn by_path(places: &[&MailboxDirectory]) -> BTreeMap<PathBuf, MailboxName> {
    let mut all = BTreeMap::new();
    for place in places {
        let real = place.directory.canonicalize();
        for path in [Some(place.directory.clone()), real.ok()]
            .into_iter()
            .flatten()
        {
            all.insert(path, place.mailbox.clone());
        }
    }
    all
}

/// The message of a path, if it lies in one of these directories.
fn named(path: &Path, places: &BTreeMap<PathBuf, MailboxName>) -> Option<NamedFile> {
    let (name, inner) = (path.file_name()?, path.parent()?);
    let sub = [CurOrNew::Cur, CurOrNew::New]
        .into_iter()
        .find(|sub| inner.ends_with(sub.name()))?;
    let directory = inner.parent()?;
    let real = || places.get(&directory.canonicalize().ok()?);
    Some(NamedFile {
        mailbox: places.get(directory).or_else(real)?.clone(),
        sub,
        name: name.as_bytes().to_vec(),
    })
}

/// A query in the language of a program.
struct Written {
    program: IndexProgram,
}

impl Written {
    fn query(&self, query: &Query) -> Result<String, OutsideError> {
        match query {
            Query::And(all) if all.is_empty() => Ok(match self.program {
                IndexProgram::Notmuch => "*".to_owned(),
                IndexProgram::Mu => "\"\"".to_owned(),
            }),
            Query::And(all) => self.list(all, " and "),
            Query::Or(all) => self.list(all, " or "),
            Query::Not(inner) => Ok(format!("(not {})", self.query(inner)?)),
            Query::Is(term) => self.term(term),
        }
    }

    fn list(&self, all: &[Query], between: &str) -> Result<String, OutsideError> {
        let all: Vec<String> = all
            .iter()
            .map(|one| self.query(one))
            .collect::<Result<_, _>>()?;
        Ok(format!("({})", all.join(between)))
    }

    fn term(&self, term: &Term) -> Result<String, OutsideError> {
        let unknown = || OutsideError::Unknown {
            program: self.program.name(),
            what: term.to_string(),
        };
        let notmuch = self.program == IndexProgram::Notmuch;
        Ok(match term {
            Term::Text(Field::Cc, _) if notmuch => return Err(unknown()),
            Term::Text(field, text) => words(*field, text).ok_or_else(unknown)?,
            Term::Since(day) if notmuch => format!("date:{day}.."),
            Term::Since(day) => format!("date:{}..", day.strftime("%Y%m%d")),
            Term::Before(day) => {
                let last = day.checked_sub(1.day()).map_err(|_| unknown())?;
                match notmuch {
                    true => format!("date:..{last}"),
                    false => format!("date:..{}", last.strftime("%Y%m%d")),
                }
            }
            Term::Larger(_) | Term::Smaller(_) if notmuch => return Err(unknown()),
            Term::Larger(size) => format!("size:{}..", size.saturating_add(1)),
            Term::Smaller(size) => format!("size:..{}", size.saturating_sub(1)),
            Term::Flag(mark) => flag(*mark, notmuch).to_owned(),
            Term::Tag(keyword) => format!("tag:\"{}\"", keyword.as_str().replace('"', "")),
            Term::In(_) => return Err(unknown()),
            Term::Attachment if notmuch => "tag:attachment".to_owned(),
            Term::Attachment => "flag:attach".to_owned(),
        })
    }
}

fn flag(mark: Mark, notmuch: bool) -> &'static str {
    match (mark, notmuch) {
        (Mark::Unread, true) => "tag:unread",
        (Mark::Read, true) => "(not tag:unread)",
        (Mark::Flagged, true) => "tag:flagged",
        (Mark::Answered, true) => "tag:replied",
        (Mark::Draft, true) => "tag:draft",
        (Mark::Unread, false) => "(not flag:seen)",
        (Mark::Read, false) => "flag:seen",
        (Mark::Flagged, false) => "flag:flagged",
        (Mark::Answered, false) => "flag:replied",
        (Mark::Draft, false) => "flag:draft",
    }
}

/// Words as both write them; `None`: an open end of several.
fn words(field: Field, text: &Text) -> Option<String> {
    let before = match field {
        Field::Any => "",
        Field::From => "from:",
        Field::To => "to:",
        Field::Cc => "cc:",
        Field::Subject => "subject:",
        Field::Body => "body:",
    };
    if text.is_open() {
        let words = text.words();
        let [one] = words.as_slice() else { return None };
        return Some(format!("{before}{one}*"));
    }
    Some(format!("{before}\"{}\"", text.as_str().replace('"', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn written(program: IndexProgram, text: &str) -> Result<String, OutsideError> {
        let query = super::super::parse(text, date(2024, 5, 17)).unwrap();
        Written { program }.query(&query)
    }

    #[test]
    fn queries_as_the_programs_write_them() {
        let text = "subject:\"a b\" (from:bob or tax*) -is:read before:2024-03";
        assert_eq!(
            written(IndexProgram::Notmuch, text).unwrap(),
            "(subject:\"a b\" and (from:\"bob\" or tax*) and (not (not tag:unread)) and \
             date:..2024-02-29)"
        );
        assert_eq!(
            written(IndexProgram::Mu, "larger:10 has:attachment since:2024").unwrap(),
            "(size:11.. and flag:attach and date:20240101..)"
        );
        for unknown in ["larger:10", "cc:bob", "\"a b\"*"] {
            let error = written(IndexProgram::Notmuch, unknown).unwrap_err();
            assert!(error.to_string().contains("search_with"), "{error}");
        }
    }
}
