//! New messages by content.

use crate::model::{ContentHash, MailboxName, MaildirId, Uid};
use crate::reconcile::sighting::Sighting;
use std::collections::{BTreeSet, HashMap};

/// New messages of the account with a known content.
pub(in crate::engine) type Sightings<'a> = (&'a [Sighting<Uid>], &'a [Sighting<MaildirId>]);

/// By content, the mailboxes with new messages on a side.
pub(in crate::engine) struct Contents<'a>(HashMap<ContentHash, BTreeSet<&'a MailboxName>>);

impl<'a> Contents<'a> {
    /// Of all new messages of a side.
    pub fn new<I>(sightings: &'a [Sighting<I>]) -> Contents<'a> {
        let mut all: HashMap<ContentHash, BTreeSet<&MailboxName>> = HashMap::new();
        for one in sightings {
            all.entry(one.hash).or_default().insert(&one.mailbox);
        }
        Contents(all)
    }

    /// Whether a new message has this content.
    pub fn has(&self, hash: &ContentHash) -> bool {
        self.0.contains_key(hash)
    }

    /// Whether a new message outside this mailbox has this content.
    pub fn has_outside(&self, hash: &ContentHash, mailbox: &MailboxName) -> bool {
        let places = self.0.get(hash);
        places.is_some_and(|places| places.iter().any(|place| *place != mailbox))
    }
}
