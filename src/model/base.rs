//! The base: what both sides last agreed on. Observations, never intentions.

use super::content::ContentHash;
use super::flags::Flags;
use super::id::{AnyId, MaildirId, PairId, Uid, UidValidity};
use super::kin::Kin;
use super::mailbox::{MailboxKey, MailboxName};
use super::side::Side;
use super::stamp::Stamp;
use std::collections::BTreeSet;

/// One message that both sides have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its row.
    pub id: PairId,
    /// Its name on the server.
    pub uid: Uid,
    /// Its name on disk.
    pub file: MaildirId,
    /// The flags last agreed on, those that one side cannot store included.
    pub flags: Flags,
    /// Its canonical content.
    pub hash: ContentHash,
    /// Its size on disk, bytes.
    pub size: u64,
    /// Its file when the content was last known; `None`: not known.
    pub stamp: Option<Stamp>,
    /// What its copies on the server have in common, as far as that is known.
    pub kin: Option<Kin>,
    /// Set when we ourselves have begun to take the message away from that side: its absence
    /// there is then our doing and no wish of a user's.
    pub tombstone: Option<Side>,
}

/// A message that only one side has, and why it is not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The message.
    pub id: AnyId,
    /// Why it stays alone.
    pub reason: AsideReason,
    /// How often the copy was tried.
    pub attempts: u32,
    /// When to try again, seconds since 1970; `None`: only when something changes.
    pub retry_at: Option<i64>,
    /// Its flags when last seen.
    pub flags: Flags,
    /// What was said when it was refused; empty otherwise.
    pub detail: String,
}

/// Why a message is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AsideReason {
    /// It is marked `\Deleted`: neither copied nor deleted until that changes (row 45).
    MarkedDeleted,
    /// We marked it `\Deleted` ourselves when we took it away, and the server cannot expunge single
    /// messages. Its bytes are in quarantine, or lie where it was moved to.
    MarkedByUs,
    /// The other side refused it, or its body cannot be had (row 46).
    Refused,
    /// The other side's copy was deleted, and by the user's settings that does not travel.
    Kept,
    /// It was in a mailbox whose UIDVALIDITY changed, and the new mailbox has no such message.
    Unmatched,
    /// The server said, twice or of another UID, that it stored the message, and does not list it.
    NotListed,
}

/// A mailbox in short: enough to ask the server what changed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its row.
    pub key: MailboxKey,
    /// Its name.
    pub name: MailboxName,
    /// The UIDVALIDITY in which its UIDs were learned.
    pub epoch: Option<UidValidity>,
    /// The lowest and the highest UID of what is known to be on the server.
    pub uids: Option<(Uid, Uid)>,
    /// The highest few of them: where a server gives UIDs a second time, these are among them.
    pub last: Vec<Uid>,
}

/// What both sides agreed on in one mailbox.
#[derive(Clone, Debug)]
pub struct MailboxBase {
    /// Its row.
    pub key: MailboxKey,
    /// Its name.
    pub name: MailboxName,
    /// A random number that names the mailbox in file names (see [`super::Origin`]).
    pub tag: u32,
    /// The UIDVALIDITY in which all UIDs here were learned.
    pub epoch: Option<UidValidity>,
    /// The messages both have: all of them, but for `others`.
    pub pairs: Vec<Pair>,
    /// Messages both have of which only this was read, as nothing happened to them on either side.
    pub others: BTreeSet<Uid>,
    /// The messages one has.
    pub aside: Vec<Aside>,
}

impl Aside {
    /// Its UID, if it is on the server.
    pub fn uid(&self) -> Option<Uid> {
        match &self.id {
            AnyId::Remote(uid) => Some(*uid),
            AnyId::Local(_) => None,
        }
    }

    /// Whether a deletion of its mailbox may take it.
    pub fn is_disposable(&self) -> bool {
        self.reason == AsideReason::MarkedByUs
    }

    /// Whether it stays set aside when its mailbox is created anew on the other side.
    pub fn outlives_mailbox(&self) -> bool {
        matches!(self.reason, AsideReason::Kept | AsideReason::Unmatched)
    }
}

/// The lowest and the highest of some UIDs.
pub fn span(uids: &BTreeSet<Uid>) -> Option<(Uid, Uid)> {
    uids.first().copied().zip(uids.last().copied())
}

/// The highest few of some UIDs.
pub fn last(uids: &BTreeSet<Uid>) -> Vec<Uid> {
    let mut last: Vec<Uid> = uids.iter().rev().take(Outline::LAST).copied().collect();
    last.reverse();
    last
}

impl Outline {
    /// So many of the highest UIDs.
    pub const LAST: usize = 3;
}

impl MailboxBase {
    /// It in short.
    pub fn outline(&self) -> Outline {
        let (key, name, epoch) = (self.key, self.name.clone(), self.epoch);
        let known = self.known_uids();
        Outline {
            key,
            name,
            epoch,
            uids: span(&known),
            last: last(&known),
        }
    }

    /// The UIDs of what is known to be on the server.
    pub fn known_uids(&self) -> BTreeSet<Uid> {
        let pairs = self.pairs.iter().map(|pair| pair.uid);
        let asides = self.aside.iter().filter_map(Aside::uid);
        pairs
            .chain(asides)
            .chain(self.others.iter().copied())
            .collect()
    }

    /// The UIDs of the messages that a deletion of the mailbox on the server may take: those of
    /// pairs, and of what we marked ourselves. All else lies nowhere but there.
    pub fn disposable_uids(&self) -> BTreeSet<Uid> {
        let pairs = self.pairs.iter().map(|pair| pair.uid);
        let marked = self.aside.iter().filter(|aside| aside.is_disposable());
        pairs
            .chain(marked.filter_map(Aside::uid))
            .chain(self.others.iter().copied())
            .collect()
    }
}
