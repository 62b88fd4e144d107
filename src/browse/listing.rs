//! The messages of a mailbox, as both sides have them.

use super::id::{MessageId, MessageKey};
use super::local::{KnownUids, Local};
use super::row::{Choice, MessageRow, Sides, Where};
use super::server::Remote;
use crate::config::{Account, Config};
use crate::imap::{Envelope, Items, Range, ReadError};
use crate::mime::Mail;
use crate::model::{MailboxName, Part, Timestamp, Uid, UidValidity};
use crate::store::StoreError;
use std::collections::BTreeSet;

use super::Result;

/// A listing of a mailbox.
#[derive(Debug, Default)]
pub struct MessageListing {
    /// The newest first.
    pub rows: Vec<MessageRow>,
    /// Sentences about what could not be asked or read.
    pub notes: Vec<String>,
}

/// Lists a mailbox.
pub async fn list(
    (config, account): (&Config, &Account),
    name: &MailboxName,
    choice: &Choice,
    sides: Sides,
) -> Result<MessageListing> {
    let mut listing = MessageListing::default();
    let local = Local::open(config, account).await?;
    let known = local.known(name)?;
    let exists = local.mailboxes().contains_key(name);
    let mut here = match sides {
        Sides::There => Vec::new(),
        Sides::Both | Sides::Here => local.rows(name, choice)?,
    };
    if sides == Sides::Here {
        must_exist(exists, account, name)?;
        listing.rows = here;
        return Ok(listing);
    }
    let mut there = ServerMailbox {
        account,
        name,
        known: &known,
        sides,
        remote: Remote::of(account, sides),
        notes: Vec::new(),
    };
    let rows = there.rows(choice).await;
    listing.notes.append(&mut there.notes);
    there.remote.end().await;
    match rows {
        Ok(found) => {
            for row in &mut here {
                row.place = found.place(row);
            }
            listing.rows = here;
            listing.rows.extend(found.rows);
            listing
                .rows
                .sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
            listing.rows.truncate(choice.limit.unwrap_or(usize::MAX));
        }
        Err(error) if sides == Sides::Both && exists => {
            let name = &account.name;
            listing
                .notes
                .push(format!("{name}: only what is here is listed: {error}"));
            listing.rows = here;
        }
        Err(error) => return Err(error),
    }
    Ok(listing)
}

fn must_exist(exists: bool, account: &Account, name: &MailboxName) -> Result<()> {
    let account = &account.name;
    match exists {
        true => Ok(()),
        false => Err(StoreError::Stale(format!(
            "{account} has no mailbox {name} here; see mailtide mailboxes"
        ))
        .into()),
    }
}

/// What was found on the server.
struct ServerFound {
    /// Rows of messages that the disk does not list.
    rows: Vec<MessageRow>,
    /// All UIDs of the mailbox; `None`: not all were asked for.
    all: Option<BTreeSet<Uid>>,
    /// The UIDVALIDITY of the state is that of the server.
    same: bool,
}

impl ServerFound {
    /// Where a message is that the disk has.
    fn place(&self, row: &MessageRow) -> Where {
        let uid = match &row.id.key {
            MessageKey::Uid(uid, _) if self.same => *uid,
            MessageKey::Uid(..) | MessageKey::File(_) => return Where::Here,
        };
        match &self.all {
            Some(all) if !all.contains(&uid) => Where::Here,
            _ => Where::Both,
        }
    }
}

/// A mailbox of the server that is listed.
struct ServerMailbox<'a> {
    account: &'a Account,
    name: &'a MailboxName,
    known: &'a KnownUids,
    sides: Sides,
    remote: Remote,
    notes: Vec<String>,
}

impl ServerMailbox<'_> {
    async fn rows(&mut self, choice: &Choice) -> Result<ServerFound> {
        let (reader, examined) = self.remote.examine(self.name).await?;
        let whole = choice.filters() || choice.limit.is_none();
        let range = match choice.limit.filter(|_| !whole) {
            Some(limit) => Range::Last(u32::try_from(limit).unwrap_or(u32::MAX)),
            None => Range::All,
        };
        let marks = reader.fetch_range(range, Items::Marks).await;
        let marks = marks.map_err(ReadError::of_store)?;
        let same =
            self.known.uid_validity.is_none() || self.known.uid_validity == examined.uid_validity;
        if !same {
            self.notes.push(format!(
                "{}: UIDVALIDITY of {} changed since the last sync: which messages are on both \
                 sides is not known before the next",
                self.account.name, self.name
            ));
        }
        let paired: BTreeSet<Uid> = match same && self.sides == Sides::Both {
            true => self.known.uids.values().copied().collect(),
            false => BTreeSet::new(),
        };
        let at = |one: &Envelope| one.at.unwrap_or(Timestamp(0));
        let mut chosen: Vec<(Timestamp, Uid)> = marks
            .iter()
            .filter(|one| choice.takes(at(one), &one.flags.clone().unwrap_or_default()))
            .filter_map(|one| Some((at(one), one.uid?)))
            .filter(|(_, uid)| !paired.contains(uid))
            .collect();
        chosen.sort_by(|one, other| other.cmp(one));
        chosen.truncate(choice.limit.unwrap_or(usize::MAX));
        let uids: Vec<Uid> = chosen.into_iter().map(|(_, uid)| uid).collect();
        let envelopes = self.envelopes(&uids).await?;
        let rows = envelopes.into_iter();
        let rows = rows.filter_map(|one| self.row(one, examined.uid_validity));
        let all = marks.iter().filter_map(|one| one.uid).collect();
        Ok(ServerFound {
            rows: rows.collect(),
            all: whole.then_some(all),
            same,
        })
    }

    /// What a listing shows of these messages; without BODYSTRUCTURE where that cannot be read.
    async fn envelopes(&mut self, uids: &[Uid]) -> Result<Vec<Envelope>> {
        let (reader, _) = self.remote.examine(self.name).await?;
        let read = match reader.fetch_uids(uids, Items::Row).await {
            Err(ReadError::Unreadable(what) | ReadError::Refused(what)) => what,
            read => return Ok(read.map_err(ReadError::of_store)?),
        };
        self.notes.push(format!(
            "{}: what the server tells of the structure of messages in {} cannot be read ({read}): \
             attachments are not counted",
            self.account.name, self.name
        ));
        self.remote.begin_anew();
        let (reader, _) = self.remote.examine(self.name).await?;
        let again = reader.fetch_uids(uids, Items::PlainRow).await;
        Ok(again.map_err(ReadError::of_store)?)
    }

    fn row(&self, one: Envelope, uid_validity: Option<UidValidity>) -> Option<MessageRow> {
        let place = (self.account.name.as_str(), self.name);
        row_there(place, self.known, self.sides, one, uid_validity)
    }
}

/// The row of a message as the server tells it; `None`: without a UID.
pub(super) fn row_there(
    (account, mailbox): (&str, &MailboxName),
    known: &KnownUids,
    sides: Sides,
    one: Envelope,
    uid_validity: Option<UidValidity>,
) -> Option<MessageRow> {
    let uid = one.uid?;
    let header = one.header.unwrap_or_default();
    let mut summary = Mail::header(&header).summary();
    if let Some(parts) = &one.parts {
        let attached = parts.iter().filter(|(part, more)| is_attached(part, more));
        summary.attachments = Some(attached.count());
    }
    let key = match uid_validity {
        Some(uid_validity) => MessageKey::of_uid(uid, uid_validity),
        None => MessageKey::Uid(uid, None),
    };
    let paired = || known.uids.values().any(|own| *own == uid);
    let both = sides == Sides::There && uid_validity == known.uid_validity && paired();
    Some(MessageRow {
        id: MessageId {
            account: account.to_owned(),
            mailbox: mailbox.clone(),
            key,
        },
        at: one.at.or(summary.date).unwrap_or(Timestamp(0)),
        flags: one.flags.unwrap_or_default(),
        size: one.size.unwrap_or(0),
        summary,
        place: if both { Where::Both } else { Where::There },
        path: None,
    })
}

/// Whether a part counts as an attachment, by its parameters too.
pub(super) fn is_attached(part: &Part, more: &[(String, String)]) -> bool {
    let name = crate::mime::file_name(more);
    !part.is_multipart() && (part.attached || name.is_some())
}
