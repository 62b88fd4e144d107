//! The working state of a run: deferred decisions, and the results that become the report.

use crate::engine::pass_limits::GiveUp;
use crate::engine::report::{Counts, Ended, Report, Severity, Trouble};
use crate::model::{Flags, MailboxKey, MailboxName, MaildirId, Side, SystemFlag};
use crate::reconcile::guard::Held;
use crate::reconcile::{MailboxPlan, Plan};
use crate::store::{RefusedKeyword, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Why decisions about a mailbox wait for a later pass or run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// The mailbox could not be read on this side: missing messages may be in it.
    Unreadable(Side),
    /// A snapshot of it is incomplete, or some of its messages could not be identified.
    Incomplete,
    /// It changed while it was read.
    Unstable,
    /// The server accepted an upload that it does not list yet.
    UnlistedUpload,
    /// An interrupted upload was resolved in this pass.
    InterruptedUpload,
    /// An interrupted move was resolved in this pass.
    InterruptedMove,
}

/// The deferred decisions of a pass, by mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Deferred {
    reasons: BTreeSet<(MailboxName, Reason)>,
}

impl Deferred {
    /// Defers decisions about a mailbox.
    pub fn insert(&mut self, mailbox: &MailboxName, reason: Reason) {
        self.reasons.insert((mailbox.clone(), reason));
    }

    /// Returns unreadable mailboxes by side.
    pub fn unreadable(&self) -> impl Iterator<Item = (&MailboxName, Side)> {
        let side = |(name, reason)| match reason {
            Reason::Unreadable(side) => Some((name, side)),
            _ => None,
        };
        self.reasons
            .iter()
            .map(|(name, reason)| (name, *reason))
            .filter_map(side)
    }

    /// Returns mailboxes that another pass may decide.
    pub fn retried(&self) -> BTreeSet<&MailboxName> {
        let unreadable = |reason: &Reason| matches!(reason, Reason::Unreadable(_));
        let retried = self.reasons.iter().filter(|(_, r)| !unreadable(r));
        retried.map(|(name, _)| name).collect()
    }

    /// Whether a mailbox of this side could not be read.
    pub fn hides(&self, side: Side) -> bool {
        self.unreadable().any(|(_, on)| on == side)
    }

    /// Whether this mailbox could not be read.
    pub fn is_hidden(&self, mailbox: &MailboxName) -> bool {
        self.unreadable().any(|(name, _)| name == mailbox)
    }

    /// Whether any mailbox could not be read.
    pub fn hides_any(&self) -> bool {
        self.unreadable().next().is_some()
    }
}

/// The state that passes of a run share. It is not shown: [`PassState::into_report`] is.
#[derive(Clone, Debug, Default)]
pub(super) struct PassState {
    /// The deferred decisions of this pass.
    pub deferred: Deferred,
    /// Mailboxes unreadable for so long that deletions do not wait.
    pub long_unseen: BTreeSet<MailboxName>,
    /// Mailboxes that were not read and lack a file: the next pass compares them.
    pub incomplete: BTreeSet<MailboxName>,
    /// The number of passes that waited for a disk that kept changing.
    pub unstable_passes: usize,
    /// Mailboxes that a side refused to rename.
    pub not_renamed: BTreeSet<MailboxName>,
    /// Files of accepted uploads.
    pub uploaded: BTreeSet<(MailboxKey, MaildirId)>,
    /// Executed changes of all passes.
    pub counts: Counts,
    /// Whether this pass had an error, also one that an earlier pass reported.
    pub failed: bool,
    /// The held changes.
    pub held: Vec<Held>,
    /// Of a dry run, the plan.
    pub plan: Option<Plan>,
    errors: Vec<Trouble>,
    notes: Vec<String>,
    arrived: BTreeMap<MailboxName, usize>,
}

impl PassState {
    /// Begins a pass: its snapshots are new, so nothing is deferred.
    pub fn begin_pass(&mut self) {
        self.deferred = Deferred::default();
        self.failed = false;
    }

    /// Returns the report of a run that ended like this and changed these mailboxes.
    pub fn into_report(
        mut self,
        ended: Result<(), Ended>,
        touched: BTreeSet<(Side, MailboxName)>,
    ) -> Report {
        let mut halted = None;
        match ended {
            Ok(()) => {}
            Err(Ended::Store(error)) => {
                self.trouble(None, &error);
                halted = Some(error);
            }
            Err(ended @ (Ended::State(_) | Ended::Stopped)) => self.errors.push(Trouble {
                mailbox: None,
                severity: Severity::Partial,
                text: ended.to_string(),
            }),
        }
        Report {
            counts: self.counts,
            held: self.held,
            errors: self.errors,
            notes: self.notes,
            plan: self.plan,
            halted,
            arrived: self.arrived,
            touched,
        }
    }

    /// Defers decisions about a mailbox to another pass.
    pub fn defer(&mut self, mailbox: &MailboxName, reason: Reason) {
        self.deferred.insert(mailbox, reason);
    }

    /// Defers decisions about mailboxes to another pass.
    pub fn defer_all<'a>(
        &mut self,
        mailboxes: impl IntoIterator<Item = &'a MailboxName>,
        reason: Reason,
    ) {
        for mailbox in mailboxes {
            self.defer(mailbox, reason);
        }
    }

    /// Records a mailbox that could not be read on these sides.
    pub fn hide(&mut self, mailbox: &MailboxName, sides: &[Side]) {
        for side in sides {
            self.defer(mailbox, Reason::Unreadable(*side));
        }
    }

    /// Whether a mailbox of this side could not be read.
    pub fn hides(&self, side: Side) -> bool {
        self.deferred.hides(side)
    }

    /// Whether a mailbox of this side could not be read, and could a day ago.
    pub fn hides_anew(&self, side: Side) -> bool {
        let mut unreadable = self.deferred.unreadable();
        unreadable.any(|(name, on)| on == side && !self.long_unseen.contains(name))
    }

    /// Whether this mailbox could not be read.
    pub fn is_hidden(&self, mailbox: &MailboxName) -> bool {
        self.deferred.is_hidden(mailbox)
    }

    /// Notes decisions that wait for unreadable mailboxes.
    pub fn note_waiting(&mut self, mailbox: &MailboxName) {
        let names: BTreeSet<&MailboxName> = self.deferred.unreadable().map(|(n, _)| n).collect();
        let names: Vec<String> = names.into_iter().map(MailboxName::to_string).collect();
        let names = names.join(", ");
        self.note(format!(
            "{mailbox}: deletions postponed: messages may have moved to {names}, which cannot be \
             read now"
        ));
    }

    /// Reports a keyword that the server refused.
    pub fn refused_keyword(&mut self, refused: &RefusedKeyword) {
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

    /// Reports an error, once.
    pub fn trouble(&mut self, mailbox: Option<&MailboxName>, error: &StoreError) {
        self.failed = true;
        let trouble = Trouble::new(mailbox, error);
        if !self.errors.contains(&trouble) {
            self.errors.push(trouble);
        }
    }

    /// Counts a downloaded message, if it is unread.
    pub fn arrived(&mut self, mailbox: &MailboxName, flags: &Flags) {
        if !flags.has(SystemFlag::Seen) {
            *self.arrived.entry(mailbox.clone()).or_default() += 1;
        }
    }

    /// Counts a comparison of a mailbox without a reported change.
    pub fn compared(&mut self, mailbox: &MailboxName, plan: &MailboxPlan) {
        let missed = plan.actions.iter().filter(|a| a.changes_a_side()).count();
        self.counts.compared += 1;
        self.counts.drift += missed;
        if missed > 0 {
            let what =
                "differences that had been missed were found by comparing message by message";
            self.note(format!("{mailbox}: {missed} {what}"));
        }
    }

    /// Whether another pass may decide what this one deferred: unreadable mailboxes are left to
    /// the next run.
    pub fn can_retry(&self) -> bool {
        !self.deferred.retried().is_empty() && !self.deferred.hides_any()
    }

    /// Reports why the run ends with something undone.
    pub fn give_up(&mut self, why: GiveUp) {
        match why {
            GiveUp::UploadsInDoubt => {
                let what = "uploads are still in doubt: the server neither lists them nor says \
                            that it has none; the next run goes on";
                self.trouble(None, &StoreError::Mailbox(what.into()));
            }
            GiveUp::NoEffect => {
                self.note("what is left to do could not be done; the next run tries again".into());
            }
            GiveUp::Unstable => {
                let retried = self.deferred.retried().into_iter().cloned();
                for name in retried.collect::<Vec<_>>() {
                    let what = format!(
                        "{name}: changed during the sync; deletions postponed to the next run"
                    );
                    self.trouble(Some(&name), &StoreError::Mailbox(what));
                }
                self.note("the mailboxes keep changing; the next run continues".into());
            }
        }
    }

    /// Reports a note, once.
    pub fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, Uid};
    use crate::reconcile::Action;
    use crate::reconcile::action::CopyWhy;

    #[test]
    fn unreadable_mailbox_is_hidden_on_its_side() {
        let (mut pass, inbox) = (PassState::default(), MailboxName::inbox());
        assert!(!pass.is_hidden(&inbox));
        pass.hide(&inbox, &[Side::Local]);
        assert!(pass.hides(Side::Local) && !pass.hides(Side::Remote));
        assert!(pass.is_hidden(&inbox));
        assert!(pass.deferred.retried().is_empty());
    }

    #[test]
    fn unstable_mailbox_is_retried_and_not_hidden() {
        let (mut pass, inbox) = (PassState::default(), MailboxName::inbox());
        pass.defer(&inbox, Reason::Unstable);
        assert_eq!(pass.deferred.retried(), [&inbox].into());
        assert!(!pass.deferred.hides_any());
        pass.begin_pass();
        assert!(pass.deferred.retried().is_empty());
    }

    #[test]
    fn repeated_error_is_reported_once_and_fails_each_pass() {
        let mut pass = PassState::default();
        for _ in 0..2 {
            pass.begin_pass();
            pass.trouble(None, &StoreError::Mailbox("x".into()));
            assert!(pass.failed);
        }
        let report = pass.into_report(Ok(()), BTreeSet::new());
        assert_eq!(report.errors.len(), 1);
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
        let (mut pass, inbox) = (PassState::default(), MailboxName::inbox());
        pass.compared(&inbox, &plan(0));
        assert_eq!((pass.counts.compared, pass.counts.drift), (1, 0));
        assert!(pass.notes.is_empty(), "{:?}", pass.notes);
        pass.compared(&inbox, &plan(2));
        pass.compared(&inbox, &plan(1));
        assert_eq!((pass.counts.compared, pass.counts.drift), (3, 3));
        let began = |n: usize, text: &str| pass.notes[n].starts_with(text);
        assert!(began(0, "INBOX: 2 differences") && began(1, "INBOX: 1 "));
    }
}
