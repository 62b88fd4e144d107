//! What is to be done. A plan is advice made from what was seen; it is never stored.

use super::action::Action;
use super::mailbox_action::MailboxAction;
use crate::model::{AnyId, MailboxBase, MailboxName, PairId};
use std::collections::BTreeSet;

/// What is to be done in one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxPlan {
    /// In the order of the table; carried out in the order of [`Plan`].
    pub actions: Vec<Action>,
    /// What the user should know.
    pub notes: Vec<Note>,
}

impl MailboxPlan {
    /// An empty one. Where nothing is known there will be an action for each of these messages, and
    /// a list that has grown takes half as much again.
    pub fn with_room(base: &MailboxBase, messages: usize) -> MailboxPlan {
        let first = base.pairs.is_empty() && base.others.is_empty();
        let room = if first { messages } else { 0 };
        MailboxPlan {
            actions: Vec::with_capacity(room),
            notes: Vec::new(),
        }
    }
}

/// Something the user should know about a message that was treated in an unusual way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The message.
    pub id: AnyId,
    /// What happened.
    pub text: &'static str,
}

/// What is to be done in an account. Mailboxes are created first and deleted last; within a
/// mailbox copies come first, then flags, then deletions.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Whole mailboxes.
    pub mailboxes: Vec<MailboxAction>,
    /// Messages, by mailbox.
    pub messages: Vec<(MailboxName, MailboxPlan)>,
}

impl Plan {
    /// The mailboxes in which messages are to be destroyed, or that are to be deleted, on either
    /// side.
    pub fn doomed(&self) -> BTreeSet<MailboxName> {
        let dooms = |plan: &MailboxPlan| plan.actions.iter().any(|a| a.destroys_on().is_some());
        let doomed = self.messages.iter().filter(|(_, plan)| dooms(plan));
        let whole = self.mailboxes.iter().filter_map(|action| match action {
            MailboxAction::Delete { name, .. } => Some(name),
            _ => None,
        });
        let doomed = doomed.map(|(name, _)| name).chain(whole);
        doomed.cloned().collect()
    }

    /// The pairs whose message is to be destroyed, on either side.
    pub fn destroyed(&self) -> BTreeSet<PairId> {
        let actions = self.messages.iter().flat_map(|(_, plan)| &plan.actions);
        let pairs = actions.filter_map(Action::destroyed);
        pairs.map(|pair| pair.id).collect()
    }
}
