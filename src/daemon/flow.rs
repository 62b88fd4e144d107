//! Counts what a sync would carry each way, by mailbox, from the plan of a dry run.

use crate::engine::Report;
use crate::model::{MailboxName, Side};
use crate::reconcile::{Action, MailboxAction};
use crate::state::{State, StateError};
use serde::Serialize;
use std::collections::BTreeMap;

/// The counts of one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MailboxFlow {
    /// Messages to upload.
    pub up: usize,
    /// Messages to download.
    pub down: usize,
    /// Messages that are on both sides.
    pub both: usize,
    /// Messages to change on disk: flags, moves, copies.
    pub changed_here: usize,
    /// Messages to change on the server: flags, moves, copies.
    pub changed_there: usize,
    /// Messages to delete on disk.
    pub deleted_here: usize,
    /// Messages to delete on the server.
    pub deleted_there: usize,
    /// The action on the mailbox itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
}

impl MailboxFlow {
    /// Whether the mailbox is synchronized.
    pub fn is_in_step(&self) -> bool {
        let both = self.both;
        *self
            == MailboxFlow {
                both,
                ..MailboxFlow::default()
            }
    }

    fn add(&mut self, action: &Action) {
        let count = match action {
            Action::Copy { from, .. } => match from.side() {
                Side::Local => &mut self.up,
                Side::Remote => &mut self.down,
            },
            Action::Recall(_) => &mut self.down,
            Action::Link(_) => &mut self.both,
            Action::Delete { on, .. } => match on {
                Side::Local => &mut self.deleted_here,
                Side::Remote => &mut self.deleted_there,
            },
            Action::Move(step) => self.changed(step.id.side()),
            Action::Duplicate(copy) => self.changed(copy.id.side()),
            Action::Flags(set) if !set.remote.is_empty() => &mut self.changed_there,
            Action::Flags(set) if !set.local.is_empty() => &mut self.changed_here,
            Action::Discard { .. } | Action::Split { .. } => &mut self.changed_here,
            Action::Unmark { .. } => &mut self.changed_there,
            Action::Flags(_)
            | Action::Rekey(_)
            | Action::Forget { .. }
            | Action::Detach { .. }
            | Action::SetAside(_)
            | Action::Unaside(_) => return,
        };
        *count += 1;
    }

    fn changed(&mut self, on: Side) -> &mut usize {
        match on {
            Side::Local => &mut self.changed_here,
            Side::Remote => &mut self.changed_there,
        }
    }
}

/// Counts the plan of a dry run with this state, by mailbox.
pub fn flows(
    report: &Report,
    state: &State,
) -> Result<BTreeMap<MailboxName, MailboxFlow>, StateError> {
    let mut all: BTreeMap<MailboxName, MailboxFlow> = BTreeMap::new();
    for (name, key) in state.mailboxes()? {
        all.entry(name).or_default().both = state.count(key)?;
    }
    let Some(plan) = &report.plan else {
        return Ok(all);
    };
    for action in &plan.mailboxes {
        if !matches!(action, MailboxAction::Adopt(_) | MailboxAction::Forget(_)) {
            let flow = all.entry(action.name().clone()).or_default();
            flow.mailbox = Some(action.to_string());
        }
    }
    for (name, plan) in &plan.messages {
        let flow = all.entry(name.clone()).or_default();
        plan.actions.iter().for_each(|action| flow.add(action));
    }
    Ok(all)
}
