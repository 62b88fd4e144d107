//! Decisions for the whole account, which the tables of mailboxes skip.

use super::action::{Action, Duplicate};
use crate::model::{AnyId, ContentHash, MailboxName, MaildirId, PairId, Uid};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// These decisions.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// The actions, by target mailbox.
    pub actions: BTreeMap<MailboxName, Vec<Action>>,
    /// Equal new messages of both sides.
    pub links: BTreeMap<MailboxName, Vec<(Uid, MaildirId)>>,
    /// Pairs that the tables skip.
    pub pairs: BTreeSet<PairId>,
    /// New messages on the server that they skip.
    pub uids: BTreeSet<(MailboxName, Uid)>,
    /// New messages on disk that they skip.
    pub files: BTreeSet<(MailboxName, MaildirId)>,
    /// New messages that can be copied on disk after another arrived; skipped until then.
    pub waiting: BTreeSet<(MailboxName, Uid)>,
    /// Copies on disk: linked if a new message on the server is equal, otherwise copied there.
    pub copies: BTreeMap<MailboxName, Vec<Duplicate>>,
    /// Files in this mailbox that may have been uploaded from another one, or may still be moved
    /// here on the server.
    pub astray: BTreeMap<MaildirId, MailboxName>,
    /// Cut moves on the server whose files are in the target.
    pub cut: Vec<CutMove>,
    /// Files that were moved from the first mailbox to the second, which is read-only on the
    /// server: the message stays in the first.
    pub stuck: Vec<(MailboxName, MailboxName, MaildirId)>,
    /// New messages whose content was deleted on the other side and did not reappear there.
    pub lost: BTreeSet<(MailboxName, AnyId)>,
    /// Contents that are deferred.
    pub waits: BTreeSet<ContentHash>,
}

/// The decisions about one mailbox, which its table skips.
#[derive(Clone, Debug, Default)]
pub struct Settled<'a> {
    /// Pairs of all mailboxes.
    pub pairs: Cow<'a, BTreeSet<PairId>>,
    /// New messages on the server.
    pub uids: BTreeSet<Uid>,
    /// New messages on disk.
    pub files: BTreeSet<MaildirId>,
    /// New messages whose content the other side lost.
    pub lost: BTreeSet<AnyId>,
}

impl Moves {
    /// Adds decisions.
    pub fn pass_over(&mut self, others: Moves) {
        self.pairs.extend(others.pairs);
        self.uids.extend(others.uids);
        self.files.extend(others.files);
        self.astray.extend(others.astray);
    }

    /// Returns the decisions about one mailbox.
    pub fn settled(&self, name: &MailboxName) -> Settled<'_> {
        Settled {
            pairs: Cow::Borrowed(&self.pairs),
            uids: of_mailbox(&self.uids, name, Uid::FIRST),
            files: of_mailbox(&self.files, name, MaildirId::new("")),
            lost: of_mailbox(&self.lost, name, AnyId::Remote(Uid::FIRST)),
        }
    }
}

/// Returns the messages of one mailbox; `least` is the lowest id.
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
    /// Resolves the remainder after links: a message that can be copied here later waits, a copy
    /// here is copied there, and deferred ones are skipped. Returns these copies, and whether
    /// messages wait.
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

/// A cut move on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutMove {
    /// The pair.
    pub pair: PairId,
    /// The source.
    pub from: (MailboxName, Uid),
    /// The target and its file.
    pub to: (MailboxName, MaildirId),
    /// The highest UID of the target before.
    pub above: u32,
    /// Whether the server may still execute it.
    pub may_come: bool,
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
