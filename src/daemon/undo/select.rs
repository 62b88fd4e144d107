//! Selects the changes to undo.

use super::plan::looked;
use super::{SelectedMessage, UndoSelection};
use crate::daemon::arrange::{MAILBOX_BY_USER, uid_by};
use crate::daemon::open::OpenError;
use crate::maildir::{MaildirStore, QuarantinedMessage, origin};
use crate::model::{FlagChange, Flags, MailboxName, MaildirId, Side, kin::message_id};
use crate::reconcile::Policy;
use crate::state::{HistoryRow, State};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most bytes of a header.
const HEADER: usize = 256 << 10;

/// The files of a mailbox, with their flags.
type FlagsByFile = BTreeMap<MaildirId, (PathBuf, Flags)>;

/// Tells which changes are selected.
pub(super) struct Selector<'a> {
    what: &'a UndoSelection,
    policy: Policy,
    state: &'a State,
    local: &'a MaildirStore,
    /// Changes that undos made to messages and mailboxes that stayed.
    undone: Vec<HistoryRow>,
    files: RefCell<BTreeMap<MailboxName, FlagsByFile>>,
}

impl<'a> Selector<'a> {
    /// Reads the undos of the history.
    pub fn new(
        what: &'a UndoSelection,
        state: &'a State,
        local: &'a MaildirStore,
    ) -> Result<Selector<'a>, OpenError> {
        let stayed = |row: &HistoryRow| row.undo && row.side == Side::Local && is_mirrored(row);
        let undone = state.history(i64::MIN, u32::MAX, stayed)?;
        Ok(Selector {
            what,
            policy: Policy {
                mailboxes: what.mailboxes.clone(),
                ..Policy::default()
            },
            state,
            local,
            undone,
            files: RefCell::default(),
        })
    }

    /// Whether whole mailboxes are selected.
    pub fn is_whole(&self) -> bool {
        self.what.message.is_none()
    }

    /// Whether a message is selected, whatever its mailbox.
    pub fn is_of_one_message(&self) -> bool {
        self.what.message.is_some() && self.what.mailboxes.is_empty()
    }

    /// Whether a row of history is selected and is to be undone. A deleted mailbox is, as it may
    /// contain the message.
    pub fn means(&self, row: &HistoryRow) -> Result<bool, OpenError> {
        let name = MailboxName::parse(&row.mailbox);
        let chosen = |name: &MailboxName| self.policy.chooses(name);
        let here = self.what.mailboxes.is_empty()
            || name.as_ref().is_some_and(chosen)
            || row.source().is_some_and(chosen);
        let fits = here && !self.carries_undo(row) && self.means_message(row, name.as_ref())?;
        Ok(fits && !self.carried(row))
    }

    fn means_message(
        &self,
        row: &HistoryRow,
        name: Option<&MailboxName>,
    ) -> Result<bool, OpenError> {
        let Some(message) = &self.what.message else {
            return Ok(true);
        };
        if row.what == "mailbox-deleted" {
            return Ok(row.kept.is_some());
        }
        if row.message.is_empty() {
            return Ok(false);
        }
        let local = row.side == Side::Local;
        Ok(match message {
            SelectedMessage::Named(named) => {
                let uid = row.trail.as_ref().and_then(|trail| trail.uid);
                *named == row.message || uid.is_some_and(|uid| *named == uid.get().to_string())
            }
            SelectedMessage::File { mailbox, digest } => {
                local && *mailbox == row.mailbox && row.file.digest() == *digest
            }
            SelectedMessage::Uid {
                mailbox,
                uid,
                uid_validity,
            } => {
                let trail = row.trail.as_ref().and_then(|trail| trail.uid);
                let named = match local {
                    false => row.message == uid.to_string(),
                    true => {
                        trail.is_some_and(|trail| trail.get() == *uid)
                            || is_from(&row.file, *uid, *uid_validity)
                    }
                };
                (*mailbox == row.mailbox && named) || self.is_now(row, mailbox, *uid)?
            }
            SelectedMessage::MessageId(id) => {
                self.message_id(row, name)?.as_deref() == Some(id.as_bytes())
            }
        })
    }

    /// Whether a message of a deleted mailbox is selected.
    pub fn means_kept(
        &self,
        mailbox: &MailboxName,
        kept: &QuarantinedMessage,
    ) -> Result<bool, OpenError> {
        let own = kept.path.rsplit(|byte| *byte == b'/').next();
        let own = own.unwrap_or_default();
        let end = memchr::memmem::find(own, b":2,").unwrap_or(own.len());
        let base = MaildirId::new(own.get(..end).unwrap_or(own));
        let here = |name: &String| *name == mailbox.to_string();
        Ok(match &self.what.message {
            None => true,
            Some(SelectedMessage::Named(named)) => {
                base.as_bytes().escape_ascii().to_string() == *named
            }
            Some(SelectedMessage::File {
                mailbox: name,
                digest,
            }) => here(name) && base.digest() == *digest,
            Some(SelectedMessage::Uid {
                mailbox: name,
                uid,
                uid_validity,
            }) => here(name) && is_from(&base, *uid, *uid_validity),
            Some(SelectedMessage::MessageId(id)) => {
                let header = looked(mailbox, self.local.kept_beginning(&kept.path, HEADER))?;
                header.is_some_and(|header| id_in(&header) == id.as_bytes())
            }
        })
    }

    /// Returns the part of a change of flags that the file does not have yet.
    pub fn missing(
        &self,
        mailbox: &MailboxName,
        file: &MaildirId,
        change: FlagChange,
    ) -> Result<FlagChange, OpenError> {
        Ok(match self.file(mailbox, file)? {
            None => change,
            Some((_, flags)) => FlagChange {
                add: change.add.difference(&flags),
                remove: change.remove.intersection(&flags),
            },
        })
    }

    /// Whether the message of a change has this UID in this mailbox now.
    fn is_now(&self, row: &HistoryRow, mailbox: &str, uid: u32) -> Result<bool, OpenError> {
        let Some((name, file)) = self.state.place_of(row)? else {
            return Ok(false);
        };
        if name.to_string() != mailbox {
            return Ok(false);
        }
        let key = self.state.mailbox_key(&name)?;
        let now = key.map(|key| self.state.uid_of_file(key, &file));
        let now = now.transpose()?.flatten();
        Ok(now.is_some_and(|now| now.get() == uid))
    }

    /// Returns the Message-ID of the message of a change; `None`: its bytes are not at hand.
    fn message_id(
        &self,
        row: &HistoryRow,
        name: Option<&MailboxName>,
    ) -> Result<Option<Vec<u8>>, OpenError> {
        let Some(name) = name else { return Ok(None) };
        if let Some(kept) = &row.kept {
            let header = looked(name, self.local.kept_beginning(&kept.file, HEADER))?;
            return Ok(header.map(|header| id_in(&header)));
        }
        let place = match row.what.as_str() {
            "restored" => Some((name.clone(), row.file.clone())),
            _ => self.state.place_of(row)?,
        };
        let Some((name, file)) = place else {
            return Ok(None);
        };
        let found = self.file(&name, &file)?;
        Ok(found.and_then(|(path, _)| id_of(&path)))
    }

    /// Returns a file of a mailbox with its flags. Lists the mailbox once.
    fn file(
        &self,
        mailbox: &MailboxName,
        file: &MaildirId,
    ) -> Result<Option<(PathBuf, Flags)>, OpenError> {
        let mut all = self.files.borrow_mut();
        if !all.contains_key(mailbox) {
            let found = match self.local.directory(mailbox) {
                Ok(directory) => self.local.glances(&directory)?,
                Err(_) => Vec::new(),
            };
            let files = found.into_iter().map(|one| (one.id, (one.path, one.flags)));
            all.insert(mailbox.clone(), files.collect());
        }
        Ok(all.get(mailbox).and_then(|files| files.get(file).cloned()))
    }

    /// Whether the row only carries to the server what an undo changed on disk.
    fn carries_undo(&self, row: &HistoryRow) -> bool {
        if row.side != Side::Remote || !is_mirrored(row) {
            return false;
        }
        self.undone.iter().any(|done| {
            let made = |row: &HistoryRow| {
                let made = row.flags.as_ref()?;
                Some((made.pair?, made.hash?, made.change.clone()))
            };
            let same = match row.what.as_str() {
                "flags" => made(row).is_some() && made(row) == made(done),
                "moved" => {
                    let both = row.trail.as_ref().zip(done.trail.as_ref());
                    both.is_some_and(|(one, other)| one.is_of(other))
                }
                _ => true,
            };
            let place = done.mailbox == row.mailbox && done.source() == row.source();
            place && same && done.what == row.what && done.run < row.run
        })
    }

    /// Whether what the user deleted here was deleted on the server since, and its bytes were kept
    /// then, too: that line of history is the one that is undone.
    fn carried(&self, row: &HistoryRow) -> bool {
        let uid = match (row.side, row.what.as_str()) {
            (Side::Local, "deleted") => match uid_by(&row.why) {
                Some(uid) => Some(uid),
                None => return false,
            },
            (Side::Local, "mailbox-deleted") if row.why == MAILBOX_BY_USER => None,
            _ => return false,
        };
        let same = |other: &HistoryRow| {
            let there = other.side == Side::Remote && other.what == "deleted";
            let own = other.mailbox == row.mailbox && uid.is_none_or(|uid| other.message == uid);
            there && own && other.run >= row.run && other.kept.is_some()
        };
        let found = self.state.history(row.at, 1, same);
        // Where that cannot be read nothing is put back twice.
        found.map_or(true, |found| !found.is_empty())
    }
}

/// Whether the next run may carry a change to the server as a change of the same kind.
fn is_mirrored(row: &HistoryRow) -> bool {
    matches!(row.what.as_str(), "flags" | "moved" | "mailbox-renamed")
}

/// Whether the name of a file tells that it was downloaded from this UID.
fn is_from(file: &MaildirId, uid: u32, uid_validity: Option<u64>) -> bool {
    origin(file).is_some_and(|origin| {
        origin.uid.get() == uid
            && uid_validity.is_none_or(|uid_validity| origin.uid_validity.0 == uid_validity)
    })
}

/// Returns the Message-ID of a file; `None`: it cannot be read.
fn id_of(path: &Path) -> Option<Vec<u8>> {
    let read = crate::maildir::beginning(path, HEADER).ok()?;
    Some(id_in(&read.bytes))
}

/// Returns the Message-ID in the header of a message.
fn id_in(bytes: &[u8]) -> Vec<u8> {
    let ends = [&b"\n\n"[..], b"\r\n\r\n"];
    let ends = ends
        .iter()
        .filter_map(|end| memchr::memmem::find(bytes, end));
    let end = ends.min().unwrap_or(bytes.len());
    message_id(bytes.get(..end).unwrap_or(bytes))
}
