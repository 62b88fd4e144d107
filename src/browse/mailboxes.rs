//! The mailboxes of an account, as both sides have them.

use super::local::{Local, MailboxCounts};
use super::row::{Sides, Where};
use super::server::Remote;
use crate::config::{Account, Config};
use crate::imap::Folder;
use crate::model::MailboxName;
use std::collections::BTreeMap;

use super::Result;

/// A mailbox in a listing.
#[derive(Clone, Debug)]
pub struct MailboxRow {
    /// Its name.
    pub name: MailboxName,
    /// Where it is; without the server, as of the last sync.
    pub place: Where,
    /// What it is for, in lower case: `\trash`.
    pub special_use: Option<String>,
    /// What it holds on disk.
    pub here: Option<MailboxCounts>,
    /// What it holds on the server.
    pub there: Option<MailboxCounts>,
    /// Whether it can hold messages.
    pub selectable: bool,
}

impl MailboxRow {
    /// What it holds: on the server, if that was asked.
    pub fn counts(&self) -> Option<MailboxCounts> {
        let bytes = self.here.and_then(|counts| counts.bytes);
        match self.there {
            Some(there) => Some(MailboxCounts {
                bytes: there.bytes.or(bytes.filter(|_| self.place == Where::Both)),
                ..there
            }),
            None => self.here,
        }
    }
}

/// The mailboxes of an account by name, and sentences about what could not be asked.
pub async fn mailboxes(
    (config, account): (&Config, &Account),
    sides: Sides,
) -> Result<(Vec<MailboxRow>, Vec<String>)> {
    let (mut all, mut notes) = (BTreeMap::new(), Vec::new());
    if sides != Sides::There {
        let local = Local::open(config, account).await?;
        for name in local.mailboxes().keys() {
            let place = match local.is_synced(name)? {
                true => Where::Both,
                false => Where::Here,
            };
            let mailbox = MailboxRow {
                name: name.clone(),
                place,
                special_use: None,
                here: local.counts(name)?,
                there: None,
                selectable: true,
            };
            all.insert(name.clone(), mailbox);
        }
    }
    if sides != Sides::Here {
        match Remote::of(account, sides).folders().await {
            Ok(folders) => join(&mut all, folders),
            Err(error) if sides == Sides::Both && !all.is_empty() => {
                let name = &account.name;
                notes.push(format!("{name}: only what is here is listed: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((all.into_values().collect(), notes))
}

fn join(all: &mut BTreeMap<MailboxName, MailboxRow>, folders: Vec<Folder>) {
    for mailbox in all.values_mut() {
        mailbox.place = Where::Here;
    }
    for folder in folders {
        let there = folder.messages.map(|messages| MailboxCounts {
            messages,
            unread: folder.unseen.unwrap_or(0),
            bytes: folder.size,
        });
        let new = || MailboxRow {
            name: folder.name.clone(),
            place: Where::There,
            special_use: None,
            here: None,
            there: None,
            selectable: folder.selectable,
        };
        let mailbox = all.entry(folder.name.clone()).or_insert_with(new);
        if mailbox.here.is_some() {
            mailbox.place = Where::Both;
        }
        mailbox.special_use = folder.special_use;
        mailbox.there = there;
    }
}
