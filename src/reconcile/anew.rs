//! Mailboxes whose directory is not the recorded one: restored from a copy, created anew, or on
//! another file system. Messages that it lacks were not deleted, so the mailbox is matched with the
//! server as after a lost state.

use super::look::{Coverage, Listed, Look, Presence};
use super::mailbox_identity::Home;
use super::outcome::Outcome;
use crate::model::{Flags, MailboxBase, MailboxName, MaildirId, PairId, Side, SystemFlag, Uid};
use crate::reconcile::mailbox_action::Rematch;
use std::collections::{BTreeMap, BTreeSet};

/// Returns such mailboxes with their new identity. A renamed directory is none, nor is any where
/// identities do not last.
pub fn others(homes: &[Home], local: &[Listed]) -> BTreeMap<MailboxName, String> {
    let identity = |one: &Listed| match (&one.presence, &one.identity) {
        (Presence::Mailbox, Some(identity)) => Some(identity.clone()),
        _ => None,
    };
    let now: BTreeMap<&MailboxName, _> = local
        .iter()
        .filter_map(|one| Some((&one.name, identity(one)?)))
        .collect();
    let listed: BTreeSet<&str> = now.values().map(|one| one.text.as_str()).collect();
    let known: BTreeSet<&str> = homes.iter().filter_map(|h| h.local.as_deref()).collect();
    let asked = homes.iter().filter_map(|home| {
        let (old, now) = (home.local.as_deref()?, now.get(&home.name)?);
        Some((home, old, now))
    });
    let asked: Vec<_> = asked.collect();
    let last = asked.len() == 1 || asked.iter().any(|(_, old, now)| *old == now.text);
    let other = asked.into_iter().filter(|(_, old, now)| {
        let renamed = listed.contains(old) || known.contains(now.text.as_str());
        *old != now.text && !renamed && (now.proves || last)
    });
    other
        .map(|(home, _, now)| (home.name.clone(), now.text.clone()))
        .collect()
}

impl Rematch {
    /// Returns the number of messages that the directory lacks.
    pub fn lost(&self) -> usize {
        let dropped = |outcome: &&Outcome| matches!(outcome, Outcome::Dropped { .. });
        self.outcomes.iter().filter(dropped).count()
    }
}

/// Removes pairs that the directory lacks from the base, unless they were moved, and sets the flags
/// of the others for a merge without a base.
pub fn match_anew(
    base: &mut MailboxBase,
    (remote, local): (&Look<Uid>, &Look<MaildirId>),
    moved: &BTreeSet<PairId>,
) -> Rematch {
    let mut rematch = Rematch {
        whole: local.coverage == Coverage::Complete,
        ..Rematch::default()
    };
    base.pairs.retain(|pair| {
        // A deletion in progress continues; a pair that both sides lack is dropped anyway.
        let ours = pair.tombstone == Some(Side::Remote) || remote.shows_gone(&pair.uid);
        let lost = local.shows_gone(&pair.file) && !ours;
        rematch.whole &= !(lost && moved.contains(&pair.id));
        let lost = lost && !moved.contains(&pair.id);
        if lost {
            rematch.outcomes.push(Outcome::Dropped { pair: pair.id });
        }
        !lost
    });
    for pair in &mut base.pairs {
        let here = local.seen.get(&pair.file).and_then(Option::as_ref);
        let there = remote.seen.get(&pair.uid).and_then(Option::as_ref);
        let Some(here) = here else { continue };
        let flags = meeting_point(there.unwrap_or(&pair.flags), here);
        if flags != pair.flags {
            pair.flags = flags.clone();
            let pair = pair.id;
            rematch.outcomes.push(Outcome::Agreed { pair, flags });
        }
    }
    rematch
}

/// Returns base flags for which a three-way merge equals a first match.
pub fn meeting_point(there: &Flags, here: &Flags) -> Flags {
    let deleted = Flags::of(&[SystemFlag::Deleted]);
    let either = there.union(here).intersection(&deleted);
    there.intersection(here).union(&either)
}

#[cfg(test)]
mod tests {
    use super::super::look::{Cursor, FlagMask, Identity, News};
    use super::super::three_way::{Opinion, first_meeting, merge};
    use super::*;
    use crate::model::{Canonical, MailboxKey, Pair, UidValidity};

    fn mb(name: &str) -> MailboxName {
        MailboxName::parse(name).unwrap()
    }

    fn named(homes: &[(&str, &str)], listed: &[(&str, &str)], proves: bool) -> Vec<String> {
        let home = |(name, text): &(&str, &str)| Home {
            key: MailboxKey(1),
            name: mb(name),
            remote: None,
            local: Some((*text).to_owned()),
        };
        let one = |(name, text): &(&str, &str)| Listed {
            name: mb(name),
            presence: Presence::Mailbox,
            view: false,
            news: News::None,
            special_use: None,
            identity: Some(Identity {
                text: (*text).to_owned(),
                proves,
            }),
            census: None,
        };
        let homes: Vec<Home> = homes.iter().map(home).collect();
        let listed: Vec<Listed> = listed.iter().map(one).collect();
        let all = others(&homes, &listed).into_keys();
        all.map(|name| name.to_string()).collect()
    }

    #[test]
    fn another_directory_under_the_same_name_is_named() {
        let homes = [("A", "1"), ("B", "2")];
        let none: [String; 0] = [];
        for proves in [true, false] {
            assert_eq!(named(&homes, &[("A", "1"), ("B", "2")], proves), none);
            assert_eq!(named(&homes, &[("A", "9"), ("B", "2")], proves), ["A"]);
            assert_eq!(named(&homes, &[("B", "2")], proves), none, "gone");
            assert_eq!(named(&homes[..1], &[("A", "9")], proves), ["A"]);
            let exchanged = [("A", "2"), ("B", "1")];
            assert_eq!(named(&homes, &exchanged, proves), none, "renamed");
            let renamed = [("A", "9"), ("B", "2"), ("C", "1")];
            assert_eq!(named(&homes, &renamed, proves), none, "A is called C");
        }
        let all = [("A", "8"), ("B", "9")];
        assert_eq!(named(&homes, &all, true), ["A", "B"]);
        assert_eq!(named(&homes, &all, false), none, "numbers do not last");
    }

    fn pair(n: u32, flags: &[SystemFlag]) -> Pair {
        Pair {
            id: PairId(i64::from(n)),
            uid: Uid::new(n).unwrap(),
            file: MaildirId::new(format!("f{n}").into_bytes()),
            flags: Flags::of(flags),
            hash: Canonical::of(b"x"),
            size: 1,
            stamp: None,
            kin: None,
            tombstone: None,
        }
    }

    fn base(pairs: Vec<Pair>) -> MailboxBase {
        MailboxBase {
            key: MailboxKey(1),
            name: mb("A"),
            tag: 1,
            uid_validity: Some(UidValidity(1)),
            pairs,
            others: BTreeSet::new(),
            aside: Vec::new(),
        }
    }

    fn complete<I: crate::model::Id>(seen: Vec<(I, Flags)>) -> Look<I> {
        Look {
            coverage: Coverage::Complete,
            seen: seen.into_iter().map(|(id, f)| (id, Some(f))).collect(),
            ..Look::unchanged(None, Cursor::default())
        }
    }

    #[test]
    fn messages_that_the_directory_lacks_are_lost_unless_moved() {
        let mut base = base((1..=5).map(|n| pair(n, &[])).collect());
        base.pairs[3].tombstone = Some(Side::Remote);
        let there = |n: u32| (Uid::new(n).unwrap(), Flags::default());
        let remote = complete([1, 2, 3, 4].map(there).into());
        let mut local = complete(vec![(base.pairs[0].file.clone(), Flags::default())]);
        let moved = BTreeSet::from([PairId(3)]);
        let dropped = |n| Outcome::Dropped { pair: PairId(n) };
        let rematch = match_anew(&mut base, (&remote, &local), &moved);
        assert_eq!((rematch.lost(), &*rematch.outcomes), (1, &[dropped(2)][..]));
        assert!(!rematch.whole, "one is on its way");
        let left: Vec<i64> = base.pairs.iter().map(|pair| pair.id.0).collect();
        assert_eq!(left, [1, 3, 4, 5]);
        let rematch = match_anew(&mut base, (&remote, &local), &BTreeSet::new());
        assert!(rematch.whole && rematch.outcomes == [dropped(3)]);
        local.coverage = Coverage::Partial;
        let rematch = match_anew(&mut base, (&remote, &local), &BTreeSet::new());
        assert_eq!(rematch, Rematch::default(), "not all of it was seen");
    }

    /// All 2^3 states of one flag end as in a first match.
    #[test]
    fn flags_meet_as_if_for_the_first_time() {
        for flag in [SystemFlag::Seen, SystemFlag::Deleted] {
            for state in 0..8 {
                let with = |bit: i32| match state & bit {
                    0 => Flags::default(),
                    _ => Flags::of(&[flag]),
                };
                let (there, here) = (with(1), with(2));
                let mut base = base(vec![pair(1, &[])]);
                base.pairs[0].flags = with(4);
                let remote = complete(vec![(base.pairs[0].uid, there.clone())]);
                let local = complete(vec![(base.pairs[0].file.clone(), here.clone())]);
                let rematch = match_anew(&mut base, (&remote, &local), &BTreeSet::new());
                let told = base.pairs[0].flags != with(4);
                assert_eq!(rematch.outcomes.len(), usize::from(told));
                let all = FlagMask::All;
                let side = |flags| Opinion {
                    flags,
                    sees: &all,
                    stores: &all,
                    follows: true,
                    vague: false,
                };
                let merged = merge(&base.pairs[0].flags, &side(&there), &side(&here)).merged;
                assert_eq!(merged, first_meeting(&there, &here), "{flag:?} {state}");
            }
        }
    }
}
