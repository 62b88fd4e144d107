//! What is known of one mailbox before anything is decided: the base, and a look at each side.

use crate::model::{Id, MailboxBase, MailboxName, MaildirId, Pair, Side, Uid};
use crate::reconcile::messages::Known;
use crate::reconcile::sighting::Whereabouts;
use crate::reconcile::{Look, MailboxAction};
use crate::store::Place;
use std::collections::{BTreeMap, BTreeSet};

/// A mailbox as it was looked at.
pub(super) struct Scene {
    /// What both agreed on.
    pub base: MailboxBase,
    /// On the server.
    pub remote: Look<Uid>,
    /// On disk.
    pub local: Look<MaildirId>,
    /// Whether it was compared message by message.
    pub full: bool,
    /// Whether the cheap look had shown no change in it.
    pub quiet: bool,
    /// What becomes of the mailbox as a whole.
    pub fate: Fate,
    /// Pairs that go with a mailbox that is gone on one side and comes back: only whether they were
    /// moved out of it is asked. They are no part of the base.
    pub forgotten: Vec<Pair>,
}

/// What becomes of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, and its messages are brought in step.
    Stays,
    /// It goes: only what was moved out of it is looked after.
    Goes(MailboxAction),
}

/// All mailboxes that were looked at.
pub(super) type Scenes = BTreeMap<MailboxName, Scene>;

impl Scene {
    /// The mailbox in the UIDVALIDITY of the look.
    pub fn place(&self) -> Place {
        Place {
            mailbox: self.base.name.clone(),
            epoch: self.base.epoch,
        }
    }

    /// The pairs that are or were in it.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.base.pairs.iter().chain(&self.forgotten)
    }

    /// Messages on the server that the base does not know.
    pub fn new_uids(&self) -> Vec<Uid> {
        let known = Known::of(&self.base);
        let forgotten: BTreeSet<&Uid> = self.forgotten.iter().map(|pair| &pair.uid).collect();
        let seen = self.remote.seen.keys();
        let new = seen.filter(|uid| !known.uid(uid) && !forgotten.contains(uid));
        new.copied().collect()
    }

    /// Messages on disk that the base does not know.
    pub fn new_files(&self) -> Vec<MaildirId> {
        let known = Known::of(&self.base);
        let forgotten: BTreeSet<&MaildirId> = self.forgotten.iter().map(|p| &p.file).collect();
        let seen = self.local.seen.keys();
        let new = seen.filter(|file| !known.file(file) && !forgotten.contains(file));
        let whole = new.filter(|file| !self.local.broken.contains(*file));
        whole.cloned().collect()
    }
}

/// Whether a message is where the base has it.
pub(super) fn whereabouts<I: Id>(look: &Look<I>, id: &I) -> Whereabouts {
    if look.shows_gone(id) {
        Whereabouts::Gone
    } else if look.leaves_open(id) {
        Whereabouts::Unknown
    } else if I::SIDE == Side::Local && look.edited.contains(id) {
        Whereabouts::Edited
    } else if I::SIDE == Side::Local && look.broken.contains(id) {
        Whereabouts::Broken
    } else {
        Whereabouts::Here
    }
}
