//! The deletions of the last day, as the limits of the guard count them.

use crate::model::{MailboxName, Side, Uid, UidValidity};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the user approved a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// No: it counts against the limits.
    Unasked,
    /// Yes: it does not count.
    Approved,
}

/// Messages of a mailbox that a run deleted on one side, or was about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The side.
    pub side: Side,
    /// The mailbox.
    pub mailbox: MailboxName,
    /// The UIDVALIDITY of the UIDs.
    pub uid_validity: Option<UidValidity>,
    /// The number of messages before.
    pub held: usize,
    /// Whether the mailbox itself was deleted.
    pub whole: bool,
    /// Whether the user approved it.
    pub consent: Consent,
    /// The messages.
    pub uids: Vec<Uid>,
}

/// The sum of all charges of a day.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    places: BTreeMap<(Side, MailboxName), Spent>,
}

/// A message or mailbox with its UIDVALIDITY.
type Key<T> = (Option<UidValidity>, T);

#[derive(Clone, Debug, Default)]
struct Spent {
    /// The number of messages before the first charge of the day.
    held: usize,
    unasked: BTreeSet<Key<Uid>>,
    approved: BTreeSet<Key<Uid>>,
    /// Deleted mailboxes of this name, and whether that was approved.
    deleted: BTreeMap<Option<UidValidity>, Consent>,
}

impl Budget {
    /// Sums up charges, the oldest first.
    pub fn of(charges: &[Charge]) -> Budget {
        let mut budget = Budget::default();
        for charge in charges {
            let place = (charge.side, charge.mailbox.clone());
            let spent = budget.places.entry(place).or_insert_with(|| Spent {
                held: charge.held,
                ..Spent::default()
            });
            let uids = charge.uids.iter().map(|uid| (charge.uid_validity, *uid));
            match charge.consent {
                Consent::Unasked => spent.unasked.extend(uids),
                Consent::Approved => spent.approved.extend(uids),
            }
            if charge.whole {
                spent.deleted.insert(charge.uid_validity, charge.consent);
            }
        }
        budget
    }

    fn spent(&self, side: Side, mailbox: &MailboxName) -> Option<&Spent> {
        self.places.get(&(side, mailbox.clone()))
    }

    /// Whether the message is charged already, by a cut run.
    pub fn has(&self, side: Side, mailbox: &MailboxName, message: Key<Uid>) -> bool {
        self.spent(side, mailbox)
            .is_some_and(|s| s.unasked.contains(&message) || s.approved.contains(&message))
    }

    /// Whether the mailbox is charged already.
    pub fn has_mailbox(
        &self,
        side: Side,
        mailbox: &MailboxName,
        uid_validity: Option<UidValidity>,
    ) -> bool {
        self.spent(side, mailbox)
            .is_some_and(|spent| spent.deleted.contains_key(&uid_validity))
    }

    /// Returns the unapproved deletions in a mailbox.
    pub fn messages(&self, side: Side, mailbox: &MailboxName) -> usize {
        self.spent(side, mailbox).map_or(0, |s| s.unasked.len())
    }

    /// Returns the messages of a mailbox before the first deletion of the day; `None`: there was
    /// none.
    pub fn held(&self, side: Side, mailbox: &MailboxName) -> Option<usize> {
        self.spent(side, mailbox).map(|spent| spent.held)
    }

    /// Returns the unapproved deletions in the account.
    pub fn in_account(&self, side: Side) -> usize {
        let places = self.places.iter().filter(|((on, _), _)| *on == side);
        places.map(|(_, spent)| spent.unasked.len()).sum()
    }

    /// Returns the unapproved deletions of mailboxes.
    pub fn mailboxes(&self, side: Side) -> usize {
        let places = self.places.iter().filter(|((on, _), _)| *on == side);
        let deleted = places.flat_map(|(_, spent)| spent.deleted.values());
        deleted
            .filter(|consent| **consent == Consent::Unasked)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(uids: &[u32], consent: Consent) -> Charge {
        Charge {
            side: Side::Remote,
            mailbox: MailboxName::inbox(),
            uid_validity: Some(UidValidity(1)),
            held: 40,
            whole: false,
            consent,
            uids: uids.iter().filter_map(|n| Uid::new(*n)).collect(),
        }
    }

    #[test]
    fn a_message_charged_twice_counts_once() {
        let (inbox, there) = (MailboxName::inbox(), Side::Remote);
        let charges = [
            charge(&[1, 2], Consent::Unasked),
            charge(&[2, 3], Consent::Unasked),
        ];
        let budget = Budget::of(&charges);
        assert_eq!(budget.messages(there, &inbox), 3);
        assert_eq!(budget.in_account(there), 3);
        assert_eq!(budget.messages(Side::Local, &inbox), 0);
        let has = |uid_validity, n| {
            budget.has(
                there,
                &inbox,
                (Some(UidValidity(uid_validity)), Uid::new(n).unwrap()),
            )
        };
        assert!(has(1, 3) && !has(1, 4) && !has(2, 3));
    }

    #[test]
    fn approved_messages_are_known_and_count_nowhere() {
        let (inbox, there) = (MailboxName::inbox(), Side::Remote);
        let gone = Charge {
            whole: true,
            ..charge(&[1, 2], Consent::Approved)
        };
        let budget = Budget::of(&[gone, charge(&[9], Consent::Unasked)]);
        assert_eq!((budget.in_account(there), budget.mailboxes(there)), (1, 0));
        assert!(budget.has_mailbox(there, &inbox, Some(UidValidity(1))));
        assert!(!budget.has_mailbox(there, &inbox, Some(UidValidity(2))));
        assert_eq!(budget.held(there, &inbox), Some(40));
    }
}
