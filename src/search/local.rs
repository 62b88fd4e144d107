//! Answers a query by what is on disk: from the index, and what is not in it yet, or without one
//! everything, by reading the files.

use super::document::{Document, Words};
use super::files::{DirectoryTimes, FileText, FiledMessage, MailboxDirectory, read};
use super::find::{Changed, SearchHit, begin, lies_in};
use super::index::{IndexError, MailIndex};
use super::query::{Query, Term};
use crate::model::{MailboxName, MaildirId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What was found on disk.
#[derive(Debug, Default)]
pub struct Here {
    /// Newest first.
    pub found: Vec<SearchHit>,
    /// How many files were read for it.
    pub read: usize,
    /// What could not be looked through, for people.
    pub problems: Vec<String>,
}

/// Searches the mailboxes of an account; at most so many of the newest are wanted.
pub fn search(
    query: &Query,
    places: &[MailboxDirectory],
    index: Option<&MailIndex>,
    limit: Option<usize>,
) -> Result<Here, IndexError> {
    let mut here = Here::default();
    let query = query.given(&|_| None);
    let known = match index {
        Some(index) => index.mailboxes()?,
        None => BTreeMap::new(),
    };
    let mut changed = Vec::new();
    for place in places {
        let inside = within(&query, &place.mailbox);
        if inside == Query::nothing() {
            continue;
        }
        let listed = known.get(&place.mailbox);
        let still = |listed: &DirectoryTimes| place.times().is_ok_and(|now| now.still(*listed));
        if listed.is_some_and(|(_, times)| still(times)) {
            continue;
        }
        let before = match (index, listed) {
            (Some(index), Some((id, _))) => index.known(*id)?,
            _ => BTreeMap::new(),
        };
        let listing = match place.list() {
            Ok(listing) => listing,
            Err(error) => {
                let path = place.directory.display();
                here.problems
                    .push(format!("{}: {path}: {error}", place.mailbox));
                continue;
            }
        };
        for (base, known) in &before {
            match listing.files.get(base) {
                None => changed.push(Changed::Gone(known.id)),
                Some(now) if (now.sub, &now.name) != (known.sub, &known.name) => {
                    changed.push(Changed::Renamed(known.id, now.clone()));
                }
                Some(_) => {}
            }
        }
        let new = listing.files.iter();
        let new = new.filter(|(base, _)| !before.contains_key(*base));
        for (base, filed) in new {
            read_one(&inside, place, (base, filed), &mut here);
        }
    }
    if let Some(index) = index {
        index.note_changed(&changed)?;
        let there = |found: &SearchHit| places.iter().any(|place| place.mailbox == found.mailbox);
        let found = index.find(&query, limit)?;
        here.found.extend(found.into_iter().filter(there));
    }
    here.found
        .sort_by_key(|found| Reverse((found.date, found.mailbox.clone(), found.name.clone())));
    here.found.truncate(limit.unwrap_or(usize::MAX));
    Ok(here)
}

/// What is left of a query in a mailbox.
pub fn within(query: &Query, mailbox: &MailboxName) -> Query {
    query.given(&|term| match term {
        Term::In(pattern) => Some(lies_in(mailbox, pattern)),
        _ => None,
    })
}

/// Reads a file and keeps it if it answers what is left of the query in its mailbox.
fn read_one(
    query: &Query,
    place: &MailboxDirectory,
    (base, filed): (&MaildirId, &FiledMessage),
    here: &mut Here,
) {
    let flags = &filed.flags;
    let query = query.given(&|term| match term {
        Term::Flag(mark) => {
            let (flag, set) = mark.flag();
            Some(flags.has(flag) == set)
        }
        Term::Tag(keyword) => Some(flags.has_keyword(keyword)),
        _ => None,
    });
    if query == Query::nothing() {
        return;
    }
    let path = place.path(filed.sub, &filed.name);
    here.read += 1;
    let contents = match read(&path, base) {
        Ok(contents) => contents,
        // It was renamed or removed meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            let shown = path.display();
            here.problems
                .push(format!("{shown}: not looked through: {error}"));
            return;
        }
    };
    here.found.extend(judge(&query, place, filed, &contents));
}

/// A message that was read, if it answers the query.
fn judge(
    query: &Query,
    place: &MailboxDirectory,
    filed: &FiledMessage,
    contents: &FileText,
) -> Option<SearchHit> {
    let query = query.given(&|term| match term {
        Term::Since(day) => Some(contents.date >= begin(*day)),
        Term::Before(day) => Some(contents.date < begin(*day)),
        Term::Larger(size) => Some(contents.size > *size),
        Term::Smaller(size) => Some(contents.size < *size),
        _ => None,
    });
    if query == Query::nothing() {
        return None;
    }
    let document = Document::read(&contents.bytes);
    Words::of(&document).answer(&query).then(|| SearchHit {
        mailbox: place.mailbox.clone(),
        sub: filed.sub,
        name: filed.name.clone(),
        flags: filed.flags.clone(),
        date: contents.date,
    })
}
