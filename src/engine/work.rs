//! A mailbox in the works: what is known of it, and what is to be done and recorded.

use super::letter_notes::Notes;
use super::unlisted::Uploads;
use crate::model::{AnyId, FlagChange, MailboxBase, MailboxName, MaildirId, PairId, Side, Uid};
use crate::reconcile::{Cursor, FlagMask, Listed, MailboxAction, MailboxPlan};
use crate::state::Change;
use crate::store::Place;
use std::collections::{BTreeMap, BTreeSet};

/// See the module's head.
#[derive(Debug)]
pub(super) struct Work {
    /// What is to be done; taken out for the guard and given back by it.
    pub plan: MailboxPlan,
    /// How many actions were planned before the guard.
    pub planned: usize,
    /// What is known.
    pub base: MailboxBase,
    /// Where the looks ended.
    pub remote_cursor: Cursor,
    /// Where the looks ended.
    pub local_cursor: Cursor,
    /// The highest UID that was seen.
    pub top: u32,
    /// The flags the server can store.
    pub stores: FlagMask,
    /// Whether the mailbox was in step before, so that what comes is new.
    pub known: bool,
    /// Pairs that stay when the mailbox is created anew, because their message was moved out of it.
    pub kept: BTreeSet<PairId>,
    /// Messages that were found to be those of files by cheap evidence.
    pub unproven: BTreeSet<Uid>,
    /// New files whose letters do not say their keywords here: what to change.
    pub relabels: BTreeMap<MaildirId, FlagChange>,
    /// What is to be noted of the letters of files.
    pub letters: Notes,
    /// Whether there are new files of which it cannot be told what they are.
    pub dim: bool,
    /// Whether an upload may yet appear.
    pub in_doubt: bool,
    /// Whether both looks were complete.
    pub complete: bool,
    /// Whether the mailbox was compared message by message.
    pub full: bool,
    /// Whether all messages on the server were listed.
    pub listed: bool,
    /// Cleared when something could not be done.
    pub sound: bool,
    /// What is known of its uploads and new files.
    pub uploads: Uploads,
}

impl Work {
    /// The mailbox in the UIDVALIDITY of the plan.
    pub fn place(&self) -> Place {
        Place {
            mailbox: self.base.name.clone(),
            epoch: self.base.epoch,
        }
    }

    /// Where the look at this side ended.
    pub fn cursor(&self, side: Side) -> &Cursor {
        match side {
            Side::Remote => &self.remote_cursor,
            Side::Local => &self.local_cursor,
        }
    }

    /// Whether everything is known, planned and done.
    pub fn is_done(&self) -> bool {
        let whole = self.planned == self.plan.actions.len();
        self.sound && self.complete && whole && !self.in_doubt
    }

    /// A line of history.
    pub fn change(&self, side: Side, what: &'static str, id: AnyId, why: String) -> Change {
        Change {
            mailbox: self.base.name.clone(),
            side,
            what,
            message: Some(id),
            why,
            kept: None,
            flags: None,
        }
    }
}

/// All of them.
pub(super) type Works = BTreeMap<MailboxName, Work>;

/// What a survey came to.
pub(super) struct Survey {
    /// What is to be done with mailboxes.
    pub mailboxes: Vec<MailboxAction>,
    /// What is to be done in them.
    pub works: Works,
    /// What the server listed.
    pub listed: Vec<Listed>,
    /// Whether all was looked at: only then it is known what is gone, and what waits for a word.
    pub whole: bool,
}

impl Survey {
    /// These first; then it is looked again.
    pub fn first(mailboxes: Vec<MailboxAction>) -> Self {
        Self {
            mailboxes,
            works: Works::new(),
            listed: Vec::new(),
            whole: false,
        }
    }
}
