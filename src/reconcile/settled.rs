//! What was settled for the whole account, for the tables of the mailboxes to pass over.

use super::action::{Action, Duplicate};
use super::cut_moves::CutMove;
use crate::model::{AnyId, ContentHash, MailboxName, MaildirId, PairId, Uid};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What was settled.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// What is to be done, by the mailbox in which it ends.
    pub actions: BTreeMap<MailboxName, Vec<Action>>,
    /// New messages on both sides that are one and the same.
    pub links: BTreeMap<MailboxName, Vec<(Uid, MaildirId)>>,
    /// Pairs that the tables pass over.
    pub pairs: BTreeSet<PairId>,
    /// New messages that they pass over.
    pub uids: BTreeSet<(MailboxName, Uid)>,
    /// New messages that they pass over.
    pub files: BTreeSet<(MailboxName, MaildirId)>,
    /// New messages that can be copied on disk once another has come: those that are not here
    /// already are passed over, too.
    pub waiting: BTreeSet<(MailboxName, Uid)>,
    /// Copies that appeared here: where a new message on the server is the same, they are linked;
    /// else they are copied there, too.
    pub copies: BTreeMap<MailboxName, Vec<Duplicate>>,
    /// Files that lie in this mailbox and may have been uploaded from another one, or be moved to
    /// this one on the server yet.
    pub astray: BTreeMap<MaildirId, MailboxName>,
    /// Moves on the server that were cut, and whose files are where they had been moved to.
    pub cut: Vec<CutMove>,
    /// Files that were moved from the first mailbox to the second, where the server lets nobody
    /// change anything: there they stay where they are.
    pub stuck: Vec<(MailboxName, MailboxName, MaildirId)>,
    /// New messages of which the other side has lost one of the same content: had it moved them
    /// meanwhile, it would show them by now.
    pub lost: BTreeSet<(MailboxName, AnyId)>,
    /// Contents of which nothing is decided now.
    pub waits: BTreeSet<ContentHash>,
}

/// What was settled of one mailbox, for its table to pass over.
#[derive(Clone, Debug, Default)]
pub struct Settled<'a> {
    /// Pairs, of all mailboxes.
    pub pairs: Cow<'a, BTreeSet<PairId>>,
    /// New messages.
    pub uids: BTreeSet<Uid>,
    /// New messages.
    pub files: BTreeSet<MaildirId>,
    /// New messages of which the other side has lost one of the same content.
    pub lost: BTreeSet<AnyId>,
}

impl Moves {
    /// Passes over what others have settled, too.
    pub fn pass_over(&mut self, others: Moves) {
        self.pairs.extend(others.pairs);
        self.uids.extend(others.uids);
        self.files.extend(others.files);
        self.astray.extend(others.astray);
    }

    /// What concerns the table of one mailbox.
    pub fn settled(&self, name: &MailboxName) -> Settled<'_> {
        Settled {
            pairs: Cow::Borrowed(&self.pairs),
            uids: of_mailbox(&self.uids, name, Uid::FIRST),
            files: of_mailbox(&self.files, name, MaildirId::new("")),
            lost: of_mailbox(&self.lost, name, AnyId::Remote(Uid::FIRST)),
        }
    }
}

/// The messages of one mailbox, of those of all; `least` is the first that there can be.
fn of_mailbox<I: Ord + Clone>(
    all: &BTreeSet<(MailboxName, I)>,
    name: &MailboxName,
    least: I,
) -> BTreeSet<I> {
    let from = all.range((name.clone(), least)..);
    let own = from.take_while(|(place, _)| place == name);
    own.map(|(_, id)| id.clone()).collect()
}

impl Settled<'_> {
    /// What is left when links were found: messages that can be copied here once another has come
    /// wait for that, what is a copy here is copied there, and what could not be looked at is
    /// passed over. Answers with these copies, and whether messages wait.
    pub fn rest(
        &mut self,
        name: &MailboxName,
        moves: &Moves,
        (links, dim): (&[(Uid, MaildirId)], &[MaildirId]),
    ) -> (Vec<Action>, bool) {
        let linked: BTreeSet<&Uid> = links.iter().map(|(uid, _)| uid).collect();
        let mut waiting = of_mailbox(&moves.waiting, name, Uid::FIRST);
        waiting.retain(|uid| !linked.contains(uid));
        let before = self.uids.len();
        self.uids.extend(waiting);
        let linked: BTreeSet<&MaildirId> = links.iter().map(|(_, file)| file).collect();
        let dim = dim.iter().filter(|file| !linked.contains(file));
        self.files.extend(dim.cloned());
        let mut actions = Vec::new();
        for copy in moves.copies.get(name).into_iter().flatten() {
            if let AnyId::Local(file) = &copy.partner
                && !linked.contains(file)
            {
                self.files.insert(file.clone());
                actions.push(Action::Duplicate(Box::new(copy.clone())));
            }
        }
        (actions, self.uids.len() > before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Id;

    #[test]
    fn what_waits_in_a_mailbox_waits_there_only_and_not_where_it_is_linked() {
        let (a, b) = (MailboxName::inbox(), MailboxName::parse("B").unwrap());
        let uid = |n| Uid::new(n).unwrap();
        let moves = Moves {
            waiting: [(a.clone(), uid(1)), (a.clone(), uid(2))].into(),
            lost: [(a.clone(), uid(3).any())].into(),
            ..Moves::default()
        };
        let links = [(uid(2), MaildirId::new("x"))];
        let mut settled = moves.settled(&a);
        assert!(settled.rest(&a, &moves, (&links, &[])).1, "one waits");
        assert_eq!(settled.uids, [uid(1)].into());
        let mut settled = moves.settled(&b);
        assert!(!settled.rest(&b, &moves, (&[], &[])).1, "none waits");
        assert!(settled.uids.is_empty());
        assert_eq!(moves.settled(&a).lost, [uid(3).any()].into());
        assert!(moves.settled(&b).lost.is_empty());
    }
}
