//! The plan of a pass; never stored.

use super::action::Action;
use super::mailbox_action::MailboxAction;
use crate::model::{AnyId, MailboxBase, MailboxName, PairId};
use std::collections::BTreeSet;

/// The plan of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxPlan {
    /// Actions in the order of the table; executed in the order of [`Plan`].
    pub actions: Vec<Action>,
    /// Notes for the user.
    pub notes: Vec<Note>,
}

impl MailboxPlan {
    /// Makes an empty plan with capacity: a first run has an action for each message, and a list
    /// that grows takes half as much memory again.
    pub fn with_room(base: &MailboxBase, messages: usize) -> MailboxPlan {
        let first = base.pairs.is_empty() && base.others.is_empty();
        let room = if first { messages } else { 0 };
        MailboxPlan {
            actions: Vec::with_capacity(room),
            notes: Vec::new(),
        }
    }
}

/// A note about an unusual decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The message.
    pub id: AnyId,
    /// The text.
    pub text: &'static str,
}

/// The plan of an account. Mailboxes are created first and deleted last; within a mailbox copies
/// come first, then flags, then deletions.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Actions on mailboxes.
    pub mailboxes: Vec<MailboxAction>,
    /// Actions on messages, by mailbox.
    pub messages: Vec<(MailboxName, MailboxPlan)>,
}

impl Plan {
    /// Returns the mailboxes in which the plan removes messages, or that it deletes, on either
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

    /// Returns the pairs whose message the plan removes, on either side.
    pub fn destroyed(&self) -> BTreeSet<PairId> {
        let actions = self.messages.iter().flat_map(|(_, plan)| &plan.actions);
        let pairs = actions.filter_map(Action::destroyed);
        pairs.map(|pair| pair.id).collect()
    }
}
