//! The mail on disk, with what the state knows of it. No lock is needed: a watcher may go on with
//! its work meanwhile.

use super::id::{MessageId, MessageKey};
use super::row::{Choice, MessageRow, Where};
use super::server::another_epoch;
use crate::config::{Account, Config};
use crate::daemon::{local_beside, state_path};
use crate::maildir::{Beginning, Glance, MaildirStore, beginning};
use crate::mime::{Mail, Summary};
use crate::model::{MailboxName, MaildirId, Side, Timestamp, Uid, UidValidity};
use crate::search::MailboxDirectory;
use crate::state::State;
use crate::store::MailStore;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::Result;

/// Of each message so much is read for a listing, bytes.
const BEGINNING: usize = 16 << 10;
/// And so much to count its attachments.
const ATTACHMENTS: usize = 256 << 10;
/// Threads that read.
const READERS: usize = 4;

/// The Maildir of an account.
pub struct Local {
    account: String,
    state: Option<State>,
    store: MaildirStore,
    paths: BTreeMap<MailboxName, PathBuf>,
}

/// What a mailbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxCounts {
    /// Messages.
    pub messages: u64,
    /// Of these, without `\Seen`.
    pub unread: u64,
    /// Bytes; `None`: not told.
    pub bytes: Option<u64>,
}

/// The UIDs of the messages of a mailbox, by file.
#[derive(Debug, Default)]
pub struct KnownUids {
    /// The UIDVALIDITY of the UIDs; `None`: none is known.
    pub uid_validity: Option<UidValidity>,
    /// By the base name of the file.
    pub uids: HashMap<MaildirId, Uid>,
}

impl Local {
    /// Reads which mailboxes there are.
    pub async fn open(config: &Config, account: &Account) -> Result<Local> {
        let path = state_path(config.state_dir_of(&account.name), &account.name);
        let state = match path.exists() {
            true => Some(State::open_beside(&path)?),
            false => None,
        };
        let state_dir = config.state_dir_of(&account.name);
        let mut store = local_beside(state_dir, account, state.as_ref())?;
        let left = match &state {
            Some(state) => state.cursors(Side::Local)?,
            None => BTreeMap::new(),
        };
        let paths = match account.maildir.exists() {
            true => {
                store.list(&left).await?;
                store.mailbox_paths()
            }
            false => BTreeMap::new(),
        };
        Ok(Local {
            account: account.name.clone(),
            state,
            store,
            paths,
        })
    }

    /// The mailboxes, with their directories.
    pub fn mailboxes(&self) -> &BTreeMap<MailboxName, PathBuf> {
        &self.paths
    }

    /// The same, as a search takes them.
    pub fn places(&self) -> Vec<MailboxDirectory> {
        let place = |(mailbox, directory): (&MailboxName, &PathBuf)| MailboxDirectory {
            mailbox: mailbox.clone(),
            directory: directory.clone(),
        };
        self.paths.iter().map(place).collect()
    }

    /// What a mailbox holds; `None`: there is none of this name.
    pub fn counts(&self, name: &MailboxName) -> Result<Option<MailboxCounts>> {
        let Some(path) = self.paths.get(name) else {
            return Ok(None);
        };
        let counted = self.store.counted(path)?;
        Ok(Some(MailboxCounts {
            messages: counted.messages,
            unread: counted.unread,
            bytes: Some(counted.bytes),
        }))
    }

    /// The messages of a mailbox, the newest first; none: there is no mailbox of this name.
    pub fn rows(&self, name: &MailboxName, choice: &Choice) -> Result<Vec<MessageRow>> {
        let known = self.known(name)?;
        let mut chosen = self.chosen(name, choice)?;
        chosen.sort_by(|(a, one), (b, other)| (b, &other.id).cmp(&(a, &one.id)));
        chosen.truncate(choice.limit.unwrap_or(usize::MAX));
        Ok(self.read(name, &known, chosen))
    }

    fn chosen(&self, name: &MailboxName, choice: &Choice) -> Result<Vec<(Timestamp, Glance)>> {
        let glances = self.glances(name)?.into_iter();
        let dated = glances.filter_map(|glance| Some((glance.arrived()?, glance)));
        let chosen = dated.filter(|(at, glance)| choice.takes(*at, &glance.flags));
        Ok(chosen.collect())
    }

    /// The files of a mailbox; none: there is no mailbox of this name.
    pub fn glances(&self, name: &MailboxName) -> Result<Vec<Glance>> {
        match self.paths.get(name) {
            Some(path) => Ok(self.store.glances(path)?),
            None => Ok(Vec::new()),
        }
    }

    /// What the state knows of the messages of a mailbox.
    pub fn known(&self, name: &MailboxName) -> Result<KnownUids> {
        let Some(state) = &self.state else {
            return Ok(KnownUids::default());
        };
        let Some(key) = state.mailbox_key(name)? else {
            return Ok(KnownUids::default());
        };
        let uid_validity = state.uid_validity(key)?;
        let uids = match uid_validity {
            Some(_) => state.uids_by_file(key)?.into_iter().collect(),
            None => HashMap::new(),
        };
        Ok(KnownUids { uid_validity, uids })
    }

    /// Whether this mailbox is kept in step.
    pub fn is_synced(&self, name: &MailboxName) -> Result<bool> {
        match &self.state {
            Some(state) => Ok(state.mailbox_key(name)?.is_some()),
            None => Ok(false),
        }
    }

    /// Rows of these files, in their order. A file that is gone meanwhile has none.
    fn read(
        &self,
        name: &MailboxName,
        known: &KnownUids,
        all: Vec<(Timestamp, Glance)>,
    ) -> Vec<MessageRow> {
        let share = all.len().div_ceil(READERS).max(1);
        let row = |(at, glance): &(Timestamp, Glance)| self.row(name, known, *at, glance);
        if all.len() < 64 {
            return all.iter().filter_map(row).collect();
        }
        let heads: Vec<Option<Head>> = std::thread::scope(|threads| {
            let read = |share: &[(Timestamp, Glance)]| -> Vec<Option<Head>> {
                share
                    .iter()
                    .map(|(_, glance)| Head::of(&glance.path))
                    .collect()
            };
            let started: Vec<_> = all
                .chunks(share)
                .map(|share| threads.spawn(move || read(share)))
                .collect();
            let joined = started
                .into_iter()
                .map(|thread| thread.join().unwrap_or_default());
            joined.flatten().collect()
        });
        let with = all.iter().zip(heads);
        let row = |((at, glance), head): (&(Timestamp, Glance), Option<Head>)| {
            Some(self.row_of(name, known, (*at, glance), head?))
        };
        with.filter_map(row).collect()
    }

    /// The row of one file; `None`: it cannot be read.
    pub fn row(
        &self,
        name: &MailboxName,
        known: &KnownUids,
        at: Timestamp,
        glance: &Glance,
    ) -> Option<MessageRow> {
        let head = Head::of(&glance.path)?;
        Some(self.row_of(name, known, (at, glance), head))
    }

    fn row_of(
        &self,
        name: &MailboxName,
        known: &KnownUids,
        (at, glance): (Timestamp, &Glance),
        head: Head,
    ) -> MessageRow {
        let uid = known.uid_validity.zip(known.uids.get(&glance.id));
        let (key, place) = match uid {
            Some((uid_validity, uid)) => (MessageKey::of_uid(*uid, uid_validity), Where::Both),
            None => (MessageKey::of_file(&glance.id), Where::Here),
        };
        MessageRow {
            id: MessageId {
                account: self.account.clone(),
                mailbox: name.clone(),
                key,
            },
            at,
            flags: glance.flags.clone(),
            size: head.size,
            summary: head.summary,
            place,
            path: Some(glance.path.clone()),
        }
    }

    /// The file that a key names; `None`: none does.
    pub fn find(&self, name: &MailboxName, key: &MessageKey) -> Result<Option<Glance>> {
        let glances = self.glances(name)?;
        let wanted = match key {
            MessageKey::File(_) => {
                return Ok(glances
                    .into_iter()
                    .find(|g| MessageKey::of_file(&g.id) == *key));
            }
            MessageKey::Uid(uid, _) => *uid,
        };
        let known = self.known(name)?;
        let Some(uid_validity) = known.uid_validity else {
            return Ok(None);
        };
        if !key.fits(uid_validity) {
            return Err(another_epoch(name).into());
        }
        let is_it = |glance: &Glance| known.uids.get(&glance.id) == Some(&wanted);
        Ok(glances.into_iter().find(is_it))
    }

    /// The mailbox in which a file lies; `None`: in none of this account.
    pub fn mailbox_of(&self, file: &Path) -> Option<MailboxName> {
        let directory = file.parent()?.parent()?;
        let mut all = self.paths.iter();
        let same =
            |path: &Path| path == directory || path.canonicalize().is_ok_and(|p| p == directory);
        all.find(|(_, path)| same(path))
            .map(|(name, _)| name.clone())
    }
}

/// What is read of a file for a listing.
struct Head {
    size: u64,
    summary: Summary,
}

impl Head {
    fn of(path: &Path) -> Option<Head> {
        let mut read = beginning(path, BEGINNING).ok()?;
        let mut summary = Mail::header(&read.bytes).summary();
        if summary.attachments.is_none() {
            if read.size > read.bytes.len() as u64 {
                read = beginning(path, ATTACHMENTS).ok()?;
            }
            let Beginning { bytes, .. } = &read;
            summary = Mail::read(bytes).summary();
        }
        Some(Head {
            size: read.size,
            summary,
        })
    }
}
