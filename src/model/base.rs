//! The base: the state that both sides last agreed on. It contains observations, not intentions.

use super::content::ContentHash;
use super::flags::Flags;
use super::id::{AnyId, MaildirId, PairId, Uid, UidValidity};
use super::kin::Kin;
use super::mailbox::{MailboxKey, MailboxName};
use super::side::Side;
use super::stamp::Stamp;
use std::collections::BTreeSet;

/// A message that both sides have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its row.
    pub id: PairId,
    /// Its UID on the server.
    pub uid: Uid,
    /// Its file on disk.
    pub file: MaildirId,
    /// The flags last agreed on, including those that one side cannot store.
    pub flags: Flags,
    /// The hash of its normalized content.
    pub hash: ContentHash,
    /// Bytes of its file.
    pub size: u64,
    /// The stamp of its file when the content was last known; `None`: unknown.
    pub stamp: Option<Stamp>,
    /// The id that its copies on the server share, if known.
    pub kin: Option<Kin>,
    /// The side on which we began to remove the message: its absence there is not a deletion by the
    /// user.
    pub tombstone: Option<Side>,
}

/// A message that only one side has, with the reason why it is not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The message.
    pub id: AnyId,
    /// The reason.
    pub reason: AsideReason,
    /// The number of attempts to copy it.
    pub attempts: u32,
    /// The time of the next attempt, seconds since 1970; `None`: after its next change.
    pub retry_at: Option<i64>,
    /// Its flags when last seen.
    pub flags: Flags,
    /// The text of the refusal, or empty.
    pub detail: String,
}

/// Why a message is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AsideReason {
    /// It is marked `\Deleted`: neither copied nor deleted until that changes (row 45).
    MarkedDeleted,
    /// We marked it `\Deleted` because the server cannot expunge single messages. Its bytes are in
    /// quarantine or where it was moved to.
    MarkedByUs,
    /// The other side refused it, or its body cannot be read (row 46).
    Refused,
    /// The copy on the other side was deleted, and the settings do not propagate that.
    Kept,
    /// The UIDVALIDITY of its mailbox changed, and the new mailbox has no equal message.
    Unmatched,
    /// The server answered OK to its APPEND, twice or with the UID of another message, but does not
    /// list it.
    NotListed,
}

/// The part of a mailbox's base that a request to the server needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its row.
    pub key: MailboxKey,
    /// Its name.
    pub name: MailboxName,
    /// The UIDVALIDITY of its UIDs.
    pub uid_validity: Option<UidValidity>,
    /// The lowest and the highest known UID.
    pub uids: Option<(Uid, Uid)>,
    /// The highest few UIDs: a server that assigns UIDs twice assigns one of these.
    pub last: Vec<Uid>,
}

/// The base of a mailbox.
#[derive(Clone, Debug)]
pub struct MailboxBase {
    /// Its row.
    pub key: MailboxKey,
    /// Its name.
    pub name: MailboxName,
    /// A random number that identifies the mailbox in file names (see [`super::Origin`]).
    pub tag: u32,
    /// The UIDVALIDITY of all its UIDs.
    pub uid_validity: Option<UidValidity>,
    /// All pairs, except `others`.
    pub pairs: Vec<Pair>,
    /// Pairs without changes, of which only this was loaded.
    pub others: BTreeSet<Uid>,
    /// Messages that only one side has.
    pub aside: Vec<Aside>,
}

impl Aside {
    /// Its UID; `None`: it is on disk.
    pub fn uid(&self) -> Option<Uid> {
        match &self.id {
            AnyId::Remote(uid) => Some(*uid),
            AnyId::Local(_) => None,
        }
    }

    /// Whether the deletion of its mailbox may delete it.
    pub fn is_disposable(&self) -> bool {
        self.reason == AsideReason::MarkedByUs
    }

    /// Whether it stays skipped after its mailbox is created anew on the other side.
    pub fn outlives_mailbox(&self) -> bool {
        matches!(self.reason, AsideReason::Kept | AsideReason::Unmatched)
    }
}

/// Returns the lowest and the highest UID.
pub fn span(uids: &BTreeSet<Uid>) -> Option<(Uid, Uid)> {
    uids.first().copied().zip(uids.last().copied())
}

/// Returns the highest few UIDs.
pub fn last(uids: &BTreeSet<Uid>) -> Vec<Uid> {
    let mut last: Vec<Uid> = uids.iter().rev().take(Outline::LAST).copied().collect();
    last.reverse();
    last
}

impl Outline {
    /// The number of those.
    pub const LAST: usize = 3;
}

impl MailboxBase {
    /// Returns the summary.
    pub fn outline(&self) -> Outline {
        let (key, name, uid_validity) = (self.key, self.name.clone(), self.uid_validity);
        let known = self.known_uids();
        Outline {
            key,
            name,
            uid_validity,
            uids: span(&known),
            last: last(&known),
        }
    }

    /// Returns the UIDs of all known messages on the server.
    pub fn known_uids(&self) -> BTreeSet<Uid> {
        let pairs = self.pairs.iter().map(|pair| pair.uid);
        let asides = self.aside.iter().filter_map(Aside::uid);
        pairs
            .chain(asides)
            .chain(self.others.iter().copied())
            .collect()
    }

    /// Returns the UIDs that a deletion of the mailbox on the server may delete: those of pairs and
    /// of messages that we marked. All others exist only there.
    pub fn disposable_uids(&self) -> BTreeSet<Uid> {
        let pairs = self.pairs.iter().map(|pair| pair.uid);
        let marked = self.aside.iter().filter(|aside| aside.is_disposable());
        pairs
            .chain(marked.filter_map(Aside::uid))
            .chain(self.others.iter().copied())
            .collect()
    }
}
