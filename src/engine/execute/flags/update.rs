//! Flag changes of a batch.

use crate::engine::execute::job::Work;
use crate::model::{FlagChange, Flags, MailboxName, Side, SystemFlag, Uid};
use crate::reconcile::{Action, Outcome, PairRef};
use crate::state::{FlagsMade, HistoryChange, MailboxOutcomes};
use std::collections::{BTreeMap, BTreeSet};

/// Flags to set on a message that both sides have.
pub(in crate::engine) struct Setting<'a> {
    pub pair: &'a PairRef,
    /// The flags of the base afterwards.
    pub merged: &'a Flags,
    pub remote: FlagChange,
    pub local: FlagChange,
    /// Whether more may remain to be done with the message.
    pub first: bool,
}

impl Setting<'_> {
    pub fn of(action: &Action) -> Option<Setting<'_>> {
        match action {
            Action::Flags(set) => Some(Setting {
                pair: &set.pair,
                merged: &set.merged,
                remote: set.remote.clone(),
                local: set.local.clone(),
                first: false,
            }),
            Action::Unmark { pair, agreed } => Some(Setting {
                pair,
                merged: agreed,
                remote: FlagChange {
                    add: Flags::default(),
                    remove: Flags::of(&[SystemFlag::Deleted]),
                },
                local: FlagChange::default(),
                first: true,
            }),
            _ => None,
        }
    }

    /// Whether all changes are on the server, and are recorded with it.
    pub fn is_there_only(&self) -> bool {
        self.local.is_empty() && !self.remote.is_empty()
    }

    /// Records the flags that both sides have.
    pub fn record(&self, work: &Work, done: &mut MailboxOutcomes) {
        done.outcomes.push(Outcome::Agreed {
            pair: self.pair.id,
            flags: self.merged.clone(),
        });
        for (side, change) in [(Side::Remote, &self.remote), (Side::Local, &self.local)] {
            if !change.is_empty() {
                let made = FlagsMade {
                    pair: Some(self.pair.id),
                    hash: None,
                    change: change.clone(),
                };
                let why = change.to_string();
                done.changes.push(HistoryChange {
                    flags: Some(made),
                    ..work.change(side, "flags", self.pair.on(side), why)
                });
            }
        }
    }
}

/// The result of setting flags on the server.
#[derive(Default)]
pub(in crate::engine) struct There {
    pub set: BTreeMap<MailboxName, BTreeSet<Uid>>,
    /// Mailboxes with failures.
    pub failed: BTreeSet<MailboxName>,
}

impl There {
    /// Whether the server has the flags of this message.
    pub fn has(&self, work: &Work, setting: &Setting<'_>) -> bool {
        let set = self.set.get(&work.base.name);
        set.is_some_and(|set| set.contains(&setting.pair.uid))
    }
}
