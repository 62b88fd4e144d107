//! Whether a mailbox is as recorded.

use super::look::{Coverage, Look};
use crate::model::{Flags, Id, MailboxBase, MaildirId, Pair, Uid};
use std::collections::HashMap;
use std::hash::Hash;

/// Whether a snapshot of the disk equals the base, so that only our own changes happened.
pub fn agrees(base: &MailboxBase, look: &Look<MaildirId>) -> bool {
    // The files of the others are not loaded: they are unchanged.
    shows(base, |pair| &pair.file, (0, |_: &MaildirId| false), look)
}

/// The same for a snapshot of the server. Then the plan of the mailbox is empty if the disk agrees.
pub fn agrees_there(base: &MailboxBase, look: &Look<Uid>) -> bool {
    let same =
        look.uid_validity == base.uid_validity && !look.renumbered && look.why_frozen.is_none();
    let others = (base.others.len(), |uid: &Uid| base.others.contains(uid));
    same && shows(base, |pair| &pair.uid, others, look)
}

/// The number of messages beyond the pairs that are unchanged.
fn shows<I: Id + Hash>(
    base: &MailboxBase,
    id: fn(&Pair) -> &I,
    (more, others): (usize, impl Fn(&I) -> bool),
    look: &Look<I>,
) -> bool {
    let odd = !look.remarks.is_empty() || !look.broken.is_empty() || !look.edited.is_empty();
    if odd || !base.aside.is_empty() {
        return false;
    }
    let pairs: HashMap<&I, &Pair> = base.pairs.iter().map(|pair| (id(pair), pair)).collect();
    let as_agreed = |(id, flags): (&I, &Option<Flags>)| {
        let as_agreed = |pair: &&Pair| flags.as_ref().is_none_or(|flags| *flags == pair.flags);
        pairs.get(id).map_or_else(|| others(id), as_agreed)
    };
    let whole = match &look.coverage {
        // All seen messages are known, so these are all.
        Coverage::Complete => pairs.len() + more == look.seen.len(),
        Coverage::Delta { gone } => !pairs.keys().any(|id| gone.contains(*id)),
        Coverage::Partial => false,
    };
    let buried = base.pairs.iter().any(|pair| pair.tombstone.is_some());
    whole && !buried && look.seen.iter().all(as_agreed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::*;
    use crate::reconcile::Cursor;
    use std::collections::BTreeSet;

    fn file(name: &str) -> MaildirId {
        MaildirId::new(name)
    }

    fn base() -> MailboxBase {
        let pair = Pair {
            id: PairId(1),
            uid: Uid::new(1).unwrap(),
            file: file("a"),
            flags: Flags::of(&[SystemFlag::Seen]),
            hash: Canonical::of(b"x"),
            size: 1,
            stamp: None,
            tombstone: None,
            kin: None,
        };
        MailboxBase {
            key: MailboxKey(1),
            name: MailboxName::inbox(),
            tag: 1,
            uid_validity: Some(UidValidity(1)),
            pairs: vec![pair],
            others: BTreeSet::new(),
            aside: Vec::new(),
        }
    }

    fn listing(seen: &[(&str, &[SystemFlag])]) -> Look<MaildirId> {
        let seen = seen
            .iter()
            .map(|(name, f)| (file(name), Some(Flags::of(f))));
        Look {
            coverage: Coverage::Complete,
            seen: seen.collect(),
            ..Look::unchanged(None, Cursor::default())
        }
    }

    #[test]
    fn what_was_recorded_and_nothing_else() {
        const SEEN: &[SystemFlag] = &[SystemFlag::Seen];
        let agrees = |look: &Look<MaildirId>| agrees(&base(), look);
        assert!(agrees(&listing(&[("a", SEEN)])));
        assert!(agrees(&Look::unchanged(None, Cursor::default())));
        assert!(!agrees(&listing(&[("a", &[])])));
        assert!(!agrees(&listing(&[])));
        assert!(!agrees(&listing(&[("a", SEEN), ("b", SEEN)])));
        let with = |change: fn(&mut Look<MaildirId>)| {
            let mut look = listing(&[("a", SEEN)]);
            change(&mut look);
            agrees(&look)
        };
        assert!(with(|_| ()));
        assert!(!with(|look| look.coverage = Coverage::Partial));
        assert!(!with(|look| look.remarks.push("?".into())));
        assert!(!with(|look| look.broken.extend([file("a")])));
        assert!(!with(|look| look.edited.extend([file("a")])));
        let gone = |name: &str| {
            let gone = BTreeSet::from([file(name)]);
            let mut look = Look::unchanged(None, Cursor::default());
            look.coverage = Coverage::Delta { gone };
            look
        };
        assert!(agrees(&gone("b")));
        assert!(!agrees(&gone("a")));
    }

    #[test]
    fn the_server_agrees_in_the_uidvalidity_of_the_base() {
        let with = |change: fn(&mut Look<Uid>)| {
            let mut look = Look {
                coverage: Coverage::Complete,
                seen: [(Uid::new(1).unwrap(), Some(Flags::of(&[SystemFlag::Seen])))].into(),
                ..Look::unchanged(Some(UidValidity(1)), Cursor::default())
            };
            change(&mut look);
            agrees_there(&base(), &look)
        };
        assert!(with(|_| ()));
        assert!(!with(|look| look.uid_validity = Some(UidValidity(2))));
        assert!(!with(|look| look.renumbered = true));
        assert!(!with(|look| look.why_frozen = Some("its UIDs do not last")));
        assert!(!with(|look| drop(
            look.seen.insert(Uid::new(2).unwrap(), None)
        )));
        assert!(!with(|look| look.seen.clear()));
    }

    #[test]
    fn messages_that_were_not_read_agree_as_well() {
        let uid = |n| Uid::new(n).unwrap();
        let mut base = base();
        base.others = [uid(2), uid(3)].into();
        let look = |uids: &[u32]| {
            let seen = uids.iter().map(|n| (uid(*n), None));
            Look {
                coverage: Coverage::Complete,
                seen: seen.collect(),
                ..Look::unchanged(Some(UidValidity(1)), Cursor::default())
            }
        };
        assert!(agrees_there(&base, &look(&[1, 2, 3])));
        assert!(!agrees_there(&base, &look(&[1, 2])), "one is gone");
        assert!(!agrees_there(&base, &look(&[1, 2, 4])), "one is another");
        assert!(!agrees_there(&base, &look(&[1, 2, 3, 4])), "one is new");
    }

    #[test]
    fn what_is_not_settled_does_not_agree() {
        let look = listing(&[("a", &[SystemFlag::Seen])]);
        let mut aside = base();
        aside.aside.push(Aside {
            id: AnyId::Remote(Uid::new(7).unwrap()),
            reason: AsideReason::MarkedDeleted,
            attempts: 0,
            retry_at: None,
            flags: Flags::default(),
            detail: String::new(),
        });
        assert!(!agrees(&aside, &look));
        let mut buried = base();
        buried.pairs[0].tombstone = Some(Side::Remote);
        assert!(!agrees(&buried, &look));
    }
}
