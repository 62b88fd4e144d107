//! The report of a cycle: counts, held changes, errors, and progress.

use crate::model::{Flags, MailboxKey, MailboxName, MaildirId, Side, SystemFlag};
use crate::reconcile::guard::Held;
use crate::reconcile::{MailboxPlan, Plan};
use crate::state::StateError;
use crate::store::{RefusedKeyword, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// The result of a cycle. Counts are of executed changes.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Mailboxes that are synchronized or were read.
    pub mailboxes: usize,
    /// Messages downloaded.
    pub downloaded: usize,
    /// Messages uploaded.
    pub uploaded: usize,
    /// Messages with flags changed on disk.
    pub flags_local: usize,
    /// Messages with flags changed on the server.
    pub flags_remote: usize,
    /// Messages deleted on disk (they are in quarantine).
    pub deleted_local: usize,
    /// Messages deleted on the server.
    pub deleted_remote: usize,
    /// Messages moved on disk.
    pub moved_local: usize,
    /// Messages moved on the server.
    pub moved_remote: usize,
    /// Messages copied on disk, because they were copied on the server.
    pub copied_local: usize,
    /// Messages copied on the server, because they were copied on disk.
    pub copied_remote: usize,
    /// Mailboxes renamed on disk.
    pub mailboxes_renamed_local: usize,
    /// Mailboxes renamed on the server.
    pub mailboxes_renamed_remote: usize,
    /// Mailboxes created on disk.
    pub mailboxes_created_local: usize,
    /// Mailboxes created on the server.
    pub mailboxes_created_remote: usize,
    /// Mailboxes deleted on disk.
    pub mailboxes_deleted_local: usize,
    /// Mailboxes deleted on the server.
    pub mailboxes_deleted_remote: usize,
    /// Bytes of downloaded messages.
    pub bytes_down: u64,
    /// Bytes of uploaded messages.
    pub bytes_up: u64,
    /// Messages linked without a transfer.
    pub linked: usize,
    /// Held changes.
    pub held: Vec<Held>,
    /// Errors.
    pub errors: Vec<Trouble>,
    /// Notes for the user that are not errors.
    pub notes: Vec<String>,
    /// Of a dry run, the plan.
    pub plan: Option<Plan>,
    /// The error of a side that ended the run.
    pub halted: Option<StoreError>,
    /// Unread messages that were downloaded, in mailboxes that were known before.
    pub arrived: BTreeMap<MailboxName, usize>,
    /// Mailboxes that were changed, by side.
    pub touched: BTreeSet<(Side, MailboxName)>,
    /// Mailboxes compared message by message although the listings showed no change.
    pub compared: usize,
    /// Differences that these comparisons found. Must be 0.
    pub drift: usize,
    /// Mailboxes that this pass could not read completely.
    pub(crate) unsettled: BTreeSet<MailboxName>,
    /// Mailboxes that were not read and lack a file: the next pass compares them.
    pub(crate) incomplete: BTreeSet<MailboxName>,
    /// Mailboxes that this pass could not read, by side: missing messages may be in them.
    pub(crate) hidden: BTreeSet<(Side, MailboxName)>,
    /// Mailboxes unreadable for so long that deletions do not wait.
    pub(crate) long_unseen: BTreeSet<MailboxName>,
    /// Passes that waited for a disk that kept changing.
    pub(crate) restless: usize,
    /// Mailboxes that a side refused to rename.
    pub(crate) unnamed: BTreeSet<MailboxName>,
    /// Files of accepted uploads.
    pub(crate) sent: BTreeSet<(MailboxKey, MaildirId)>,
}

impl Report {
    /// Returns the number of changes on both sides.
    pub fn changes(&self) -> usize {
        self.downloaded
            + self.uploaded
            + self.flags_local
            + self.flags_remote
            + self.deleted_local
            + self.deleted_remote
            + self.moved_local
            + self.moved_remote
            + self.copied_local
            + self.copied_remote
            + self.mailboxes_renamed_local
            + self.mailboxes_renamed_remote
            + self.mailboxes_created_local
            + self.mailboxes_created_remote
            + self.mailboxes_deleted_local
            + self.mailboxes_deleted_remote
    }

    /// Whether there was no error and no held change.
    pub fn ok(&self) -> bool {
        self.errors.is_empty() && self.held.is_empty()
    }

    /// Records a mailbox that could not be read on these sides.
    pub(crate) fn hide(&mut self, mailbox: &MailboxName, sides: &[Side]) {
        let hidden = sides.iter().map(|side| (*side, mailbox.clone()));
        self.hidden.extend(hidden);
    }

    /// Whether a mailbox of this side could not be read.
    pub(crate) fn hides(&self, side: Side) -> bool {
        self.hidden.iter().any(|(on, _)| *on == side)
    }

    /// The same, only recently.
    pub(crate) fn hides_anew(&self, side: Side) -> bool {
        let mut hidden = self.hidden.iter();
        hidden.any(|(on, name)| *on == side && !self.long_unseen.contains(name))
    }

    /// Whether this mailbox could not be read.
    pub(crate) fn is_hidden(&self, mailbox: &MailboxName) -> bool {
        Side::BOTH
            .iter()
            .any(|side| self.hidden.contains(&(*side, mailbox.clone())))
    }

    /// Notes decisions that wait for unreadable mailboxes.
    pub(crate) fn note_waiting(&mut self, mailbox: &MailboxName) {
        let hidden: BTreeSet<&MailboxName> = self.hidden.iter().map(|(_, name)| name).collect();
        let names: Vec<String> = hidden.into_iter().map(MailboxName::to_string).collect();
        let names = names.join(", ");
        self.note(format!(
            "{mailbox}: what vanished may have moved to {names}, which cannot be looked into now, \
             so it waits"
        ));
    }

    /// Reports a keyword that the server refused.
    pub(crate) fn refused_keyword(&mut self, refused: &RefusedKeyword) {
        let RefusedKeyword {
            mailbox,
            keyword,
            why,
        } = refused;
        let what = format!(
            "the server does not take the keyword {} in {mailbox}, so it stays on this disk \
             only and is not sent again ({why})",
            keyword.as_str()
        );
        self.trouble(Some(mailbox), &StoreError::Mailbox(what));
    }

    pub(crate) fn trouble(&mut self, mailbox: Option<&MailboxName>, error: &StoreError) {
        let severity = severity(error);
        let text = error.to_string();
        let trouble = Trouble {
            mailbox: mailbox.cloned(),
            severity,
            text,
        };
        if !self.errors.contains(&trouble) {
            self.errors.push(trouble);
        }
    }

    /// Counts a downloaded message, if it is unread.
    pub(crate) fn arrived(&mut self, mailbox: &MailboxName, flags: &Flags) {
        if !flags.has(SystemFlag::Seen) {
            *self.arrived.entry(mailbox.clone()).or_default() += 1;
        }
    }

    /// Counts a comparison of a mailbox without a reported change.
    pub(crate) fn compared(&mut self, mailbox: &MailboxName, plan: &MailboxPlan) {
        let missed = plan.actions.iter().filter(|a| a.changes_a_side()).count();
        self.compared += 1;
        self.drift += missed;
        if missed > 0 {
            let what =
                "differences that had been missed were found by comparing message by message";
            self.note(format!("{mailbox}: {missed} {what}"));
        }
    }

    pub(crate) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

/// Classifies an error of a side.
pub fn severity(error: &StoreError) -> Severity {
    match error {
        StoreError::Retry(_) | StoreError::Busy { .. } => Severity::Temporary,
        StoreError::NeedsUser(_) | StoreError::LoginRefused(_) => Severity::Configuration,
        StoreError::Guard(_) => Severity::Guard,
        StoreError::Mailbox(_)
        | StoreError::Stale(_)
        | StoreError::Renumbered(_)
        | StoreError::Bug(_) => Severity::Partial,
    }
}

/// An error of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The mailbox; `None`: the account.
    pub mailbox: Option<MailboxName>,
    /// Its effect on the run.
    pub severity: Severity,
    /// What failed, on what, and what to do.
    pub text: String,
}

/// The effect of an error on the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The others were synchronized.
    Partial,
    /// The network or the server failed.
    Temporary,
    /// A guard refused the account.
    Guard,
    /// The user has to change something.
    Configuration,
}

/// Why a cycle ended early.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A side failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The user requested it.
    #[error("stopped on request; what was done is recorded, the rest comes with the next run")]
    Stopped,
}

/// Receives progress.
pub trait Observer {
    /// An event happened.
    fn event(&self, event: Event<'_>);
}

/// Events of a cycle.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A mailbox is being read.
    Looking(&'a MailboxName),
    /// The number of messages to copy in both directions, and of mailboxes concerned.
    Planned {
        /// Messages to copy.
        messages: usize,
        /// Mailboxes with actions.
        mailboxes: usize,
    },
    /// This many more bytes were copied.
    Bytes(u64),
    /// This many more messages were copied durably.
    Copied(usize),
}

/// Ignores all events.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// A request to stop after the current batch; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    notify: Arc<Notify>,
}

impl Stop {
    /// Uses a flag that a signal handler sets. It cannot be waited for.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Stop {
        let notify = Arc::default();
        Stop { flag, notify }
    }

    /// Makes the request.
    pub fn request(&self) {
        self.flag.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Whether it was made.
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Waits for the request. Cancel safe.
    pub async fn asked(&self) {
        let made = self.notify.notified();
        let mut made = std::pin::pin!(made);
        // Registered before the check, so that no request is missed.
        made.as_mut().enable();
        if !self.requested() {
            made.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flags, Id, Uid};
    use crate::reconcile::Action;
    use crate::reconcile::action::CopyWhy;

    #[test]
    fn every_change_counts() {
        let bit = |n: u32| 1_usize << n;
        let report = Report {
            downloaded: bit(0),
            uploaded: bit(1),
            flags_local: bit(2),
            flags_remote: bit(3),
            moved_local: bit(4),
            moved_remote: bit(5),
            copied_local: bit(6),
            copied_remote: bit(7),
            mailboxes_renamed_local: bit(8),
            mailboxes_renamed_remote: bit(9),
            mailboxes_created_local: bit(10),
            mailboxes_created_remote: bit(11),
            mailboxes_deleted_local: bit(12),
            mailboxes_deleted_remote: bit(13),
            deleted_local: bit(14),
            deleted_remote: bit(15),
            ..Report::default()
        };
        assert_eq!(report.changes(), bit(16) - 1);
    }

    #[test]
    fn what_cannot_be_seen_is_hidden_on_its_side() {
        let (mut report, inbox) = (Report::default(), MailboxName::inbox());
        assert!(!report.is_hidden(&inbox));
        report.hide(&inbox, &[Side::Local]);
        assert!(report.hides(Side::Local) && !report.hides(Side::Remote));
        assert!(report.is_hidden(&inbox));
    }

    #[test]
    fn a_signal_stops() {
        let flag = Arc::new(AtomicBool::new(false));
        let stop = Stop::from_flag(flag.clone());
        assert!(!stop.requested());
        flag.store(true, Ordering::SeqCst);
        assert!(stop.requested());
    }

    #[test]
    fn only_what_was_missed_is_told() {
        let copy = |n| Action::Copy {
            from: Uid::new(n).unwrap().any(),
            flags: Flags::default(),
            replaces: None,
            why: CopyWhy::New,
        };
        let plan = |n: u32| MailboxPlan {
            actions: (1..=n).map(copy).collect(),
            ..MailboxPlan::default()
        };
        let (mut report, inbox) = (Report::default(), MailboxName::inbox());
        report.compared(&inbox, &plan(0));
        assert_eq!((report.compared, report.drift), (1, 0));
        assert!(report.notes.is_empty(), "{:?}", report.notes);
        report.compared(&inbox, &plan(2));
        report.compared(&inbox, &plan(1));
        assert_eq!((report.compared, report.drift), (3, 3));
        let began = |n: usize, text: &str| report.notes[n].starts_with(text);
        assert!(began(0, "INBOX: 2 differences") && began(1, "INBOX: 1 "));
    }
}
