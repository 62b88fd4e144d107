//! Some mailboxes of an account, or all: what a wake is about.

use super::MailboxName;
use std::collections::BTreeSet;

/// A set of mailboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// None.
    #[default]
    Nothing,
    /// These.
    Some(BTreeSet<MailboxName>),
    /// All there are.
    Everywhere,
}

impl Scope {
    /// This mailbox alone.
    pub fn of(mailbox: MailboxName) -> Scope {
        Scope::Some(BTreeSet::from([mailbox]))
    }

    /// Whether there is nothing in it.
    pub fn is_nothing(&self) -> bool {
        *self == Scope::Nothing
    }

    /// Whether the mailbox is in it.
    pub fn has(&self, mailbox: &MailboxName) -> bool {
        match self {
            Scope::Nothing => false,
            Scope::Some(these) => these.contains(mailbox),
            Scope::Everywhere => true,
        }
    }

    /// Takes another set in.
    pub fn add(&mut self, other: Scope) {
        match (&mut *self, other) {
            (_, Scope::Nothing) | (Scope::Everywhere, _) => {}
            (Scope::Some(mine), Scope::Some(theirs)) => mine.extend(theirs),
            (mine, other) => *mine = other,
        }
    }

    /// Takes all out.
    pub fn take(&mut self) -> Scope {
        std::mem::take(self)
    }
}
