//! The execution state of a mailbox.

use crate::engine::identify::letter_notes::Notes;
use crate::model::{
    AnyId, FlagChange, Flags, MailboxBase, MailboxName, MaildirId, PairId, Side, Uid,
};
use crate::reconcile::{Cursor, FlagMask, Listed, MailboxAction, MailboxPlan, Outcome};
use crate::state::HistoryChange;
use crate::store::Place;
use std::collections::{BTreeMap, BTreeSet};

/// A mailbox with its plan.
#[derive(Debug)]
pub(in crate::engine) struct Work {
    /// The plan; the guard takes it and returns it.
    pub plan: MailboxPlan,
    /// The number of planned actions before the guard.
    pub planned: usize,
    /// The base.
    pub base: MailboxBase,
    /// The cursor of the server.
    pub remote_cursor: Cursor,
    /// The cursor of the disk.
    pub local_cursor: Cursor,
    /// The highest seen UID.
    pub top: u32,
    /// The flags that the server can store.
    pub stores: FlagMask,
    /// Whether the mailbox was synchronized before, so that downloads are new mail.
    pub known: bool,
    /// Pairs that survive the creation of the mailbox, as their message was moved out of it.
    pub kept: BTreeSet<PairId>,
    /// Links by cheap evidence.
    pub unproven: BTreeSet<Uid>,
    /// New files whose letters do not match their keywords: the changes.
    pub relabels: BTreeMap<MaildirId, FlagChange>,
    /// The letters to record.
    pub letters: Notes,
    /// Whether new files could not be identified.
    pub dim: bool,
    /// Whether an upload may still appear.
    pub in_doubt: bool,
    /// Whether both snapshots were complete.
    pub complete: bool,
    /// Whether the mailbox was compared message by message.
    pub full: bool,
    /// Whether all messages on the server were listed.
    pub listed: bool,
    /// Cleared after a failure.
    pub sound: bool,
    /// Its uploads and new files.
    pub uploads: Uploads,
}

impl Work {
    /// Returns the mailbox with the UIDVALIDITY of the plan.
    pub fn place(&self) -> Place {
        Place {
            mailbox: self.base.name.clone(),
            uid_validity: self.base.uid_validity,
        }
    }

    /// Returns the cursor of this side.
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

    /// Makes a history row.
    pub fn change(&self, side: Side, what: &'static str, id: AnyId, why: String) -> HistoryChange {
        HistoryChange {
            mailbox: self.base.name.clone(),
            side,
            what,
            message: Some(id),
            why,
            kept: None,
            flags: None,
            trail: None,
        }
    }
}

/// All of them.
pub(in crate::engine) type Works = BTreeMap<MailboxName, Work>;

/// The result of planning.
pub(in crate::engine) struct Survey {
    /// Actions on mailboxes.
    pub mailboxes: Vec<MailboxAction>,
    /// Actions on messages.
    pub works: Works,
    /// The server's listing.
    pub listed: Vec<Listed>,
    /// Whether everything was read: only then absence and held changes are certain.
    pub whole: bool,
}

impl Survey {
    /// Executes these first, then reads again.
    pub fn first(mailboxes: Vec<MailboxAction>) -> Self {
        Self {
            mailboxes,
            works: Works::new(),
            listed: Vec::new(),
            whole: false,
        }
    }
}

/// The uploads and new files of a mailbox.
#[derive(Debug, Default)]
pub(in crate::engine) struct Uploads {
    /// Uploads that this snapshot lists first.
    pub listed_now: Vec<Outcome>,
    /// New files without a match on the server, with their flags.
    pub strangers: BTreeMap<MaildirId, Flags>,
    /// Uploaded files that links of the plan find on the server.
    pub sent: BTreeSet<MaildirId>,
}
