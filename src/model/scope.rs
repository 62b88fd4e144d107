//! A set of mailboxes of an account, as a wake names them.

use super::MailboxName;
use std::collections::BTreeSet;

/// A set of mailboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// None.
    #[default]
    Nothing,
    /// Some.
    Some(BTreeSet<MailboxName>),
    /// All.
    Everywhere,
}

impl Scope {
    /// Makes a set of one mailbox.
    pub fn of(mailbox: MailboxName) -> Scope {
        Scope::Some(BTreeSet::from([mailbox]))
    }

    /// Whether it is empty.
    pub fn is_nothing(&self) -> bool {
        *self == Scope::Nothing
    }

    /// Whether it contains the mailbox.
    pub fn has(&self, mailbox: &MailboxName) -> bool {
        match self {
            Scope::Nothing => false,
            Scope::Some(these) => these.contains(mailbox),
            Scope::Everywhere => true,
        }
    }

    /// Adds another set.
    pub fn add(&mut self, other: Scope) {
        match (&mut *self, other) {
            (_, Scope::Nothing) | (Scope::Everywhere, _) => {}
            (Scope::Some(mine), Scope::Some(theirs)) => mine.extend(theirs),
            (mine, other) => *mine = other,
        }
    }

    /// Takes all elements out.
    pub fn take(&mut self) -> Scope {
        std::mem::take(self)
    }
}
