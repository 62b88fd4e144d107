//! Deletions of the last day, as far as the limits of the guard count them.

use crate::model::{MailboxName, Side, Uid, UidValidity};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the user approved a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nobody was asked: it counts against the limits.
    Unasked,
    /// The user approved it: it counts against no limit.
    Approved,
}

/// Messages of a mailbox that one run deleted on one side, or was about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Where.
    pub side: Side,
    /// In which mailbox.
    pub mailbox: MailboxName,
    /// The UIDVALIDITY of the UIDs.
    pub epoch: Option<UidValidity>,
    /// Messages that the mailbox held before.
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

/// A message or mailbox of one UIDVALIDITY.
type Key<T> = (Option<UidValidity>, T);

#[derive(Clone, Debug, Default)]
struct Spent {
    /// Messages that the mailbox held before the first charge of the day.
    held: usize,
    unasked: BTreeSet<Key<Uid>>,
    approved: BTreeSet<Key<Uid>>,
    /// Deleted mailboxes of this name, and whether the user approved that.
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
            let uids = charge.uids.iter().map(|uid| (charge.epoch, *uid));
            match charge.consent {
                Consent::Unasked => spent.unasked.extend(uids),
                Consent::Approved => spent.approved.extend(uids),
            }
            if charge.whole {
                spent.deleted.insert(charge.epoch, charge.consent);
            }
        }
        budget
    }

    fn spent(&self, side: Side, mailbox: &MailboxName) -> Option<&Spent> {
        self.places.get(&(side, mailbox.clone()))
    }

    /// Whether this message is charged already: its deletion was begun by a run that was cut.
    pub fn has(&self, side: Side, mailbox: &MailboxName, message: Key<Uid>) -> bool {
        self.spent(side, mailbox)
            .is_some_and(|s| s.unasked.contains(&message) || s.approved.contains(&message))
    }

    /// Whether this mailbox is charged already.
    pub fn has_mailbox(
        &self,
        side: Side,
        mailbox: &MailboxName,
        epoch: Option<UidValidity>,
    ) -> bool {
        self.spent(side, mailbox)
            .is_some_and(|spent| spent.deleted.contains_key(&epoch))
    }

    /// Messages of a mailbox deleted unasked.
    pub fn messages(&self, side: Side, mailbox: &MailboxName) -> usize {
        self.spent(side, mailbox).map_or(0, |s| s.unasked.len())
    }

    /// Messages that a mailbox held before the first deletion of the day; `None`: there was none.
    pub fn held(&self, side: Side, mailbox: &MailboxName) -> Option<usize> {
        self.spent(side, mailbox).map(|spent| spent.held)
    }

    /// Messages of the account deleted unasked.
    pub fn in_account(&self, side: Side) -> usize {
        let places = self.places.iter().filter(|((on, _), _)| *on == side);
        places.map(|(_, spent)| spent.unasked.len()).sum()
    }

    /// Mailboxes deleted unasked.
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
            epoch: Some(UidValidity(1)),
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
        let has = |epoch, n| {
            budget.has(
                there,
                &inbox,
                (Some(UidValidity(epoch)), Uid::new(n).unwrap()),
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
