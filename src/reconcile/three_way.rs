//! Three-way merge of flags. A flag is a boolean with a base, so two sides that both changed it
//! agree: there are no conflicts.

use super::look::FlagMask;
use crate::model::{FlagChange, Flags, SystemFlag};

/// The flags of a side.
#[derive(Clone, Copy, Debug)]
pub struct Opinion<'a> {
    /// As seen.
    pub flags: &'a Flags,
    /// Flags whose absence is meaningful; the side has no opinion on others.
    pub sees: &'a FlagMask,
    /// Flags that it can store.
    pub stores: &'a FlagMask,
    /// Whether it may be changed.
    pub follows: bool,
    /// Whether an unseen keyword may be present.
    pub vague: bool,
}

impl Opinion<'_> {
    /// Returns the change of the side since the base.
    fn since(&self, base: &Flags) -> FlagChange {
        let mut held = self.flags.union(&self.sees.hide(base));
        if self.vague {
            held = held.union(&Flags::from_parts(0, base.keywords().cloned()));
        }
        FlagChange::between(base, &held)
    }

    /// Returns the change that makes the side have `goal`, as far as it can.
    fn toward(&self, goal: &Flags) -> FlagChange {
        let storable = self.stores.keep(goal);
        FlagChange {
            add: storable.difference(self.flags),
            remove: self.flags.difference(goal),
        }
    }
}

/// The result of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// The flags of the base.
    pub merged: Flags,
    /// The change on the server.
    pub remote: FlagChange,
    /// The change on disk.
    pub local: FlagChange,
}

/// Merges the changes of both sides.
pub fn merge(base: &Flags, remote: &Opinion<'_>, local: &Opinion<'_>) -> Merge {
    let (from_remote, from_local) = (remote.since(base), local.since(base));
    match (remote.follows, local.follows) {
        (true, true) => {
            let merged = from_local.apply(&from_remote.apply(base));
            let (remote, local) = (remote.toward(&merged), local.toward(&merged));
            Merge {
                merged,
                remote,
                local,
            }
        }
        // One direction: the follower takes changes of the leader and keeps its own; the base
        // follows the leader, so that the follower's changes stay known.
        (false, true) => one_way(base, &from_remote, local, |merged, local| Merge {
            merged,
            local,
            remote: FlagChange::default(),
        }),
        (true, false) => one_way(base, &from_local, remote, |merged, remote| Merge {
            merged,
            remote,
            local: FlagChange::default(),
        }),
        (false, false) => Merge {
            merged: base.clone(),
            ..Merge::default()
        },
    }
}

fn one_way(
    base: &Flags,
    led: &FlagChange,
    follower: &Opinion<'_>,
    make: impl Fn(Flags, FlagChange) -> Merge,
) -> Merge {
    let goal = led.apply(follower.flags);
    make(led.apply(base), follower.toward(&goal))
}

/// Makes the flags of both sides equal without a base. A read-only side keeps its flags, and the
/// base has them, or the next merge would take the difference for a change.
pub fn agree(goal: &Flags, remote: &Opinion<'_>, local: &Opinion<'_>) -> Merge {
    let toward = |side: &Opinion<'_>| match side.follows {
        true => side.toward(goal),
        false => FlagChange::default(),
    };
    let shown = |side: &Opinion<'_>| side.flags.union(&side.sees.hide(goal));
    let merged = match (remote.follows, local.follows) {
        (true, true) => goal.clone(),
        (false, true) => shown(remote),
        (true, false) => shown(local),
        (false, false) => remote.flags.intersection(local.flags),
    };
    Merge {
        merged,
        remote: toward(remote),
        local: toward(local),
    }
}

/// Returns the flags of a first match: the union, but `\Deleted` only if both have it.
pub fn first_meeting(remote: &Flags, local: &Flags) -> Flags {
    let both = remote.intersection(local);
    let union = remote.union(local);
    if both.has(SystemFlag::Deleted) {
        union
    } else {
        union.without(SystemFlag::Deleted)
    }
}

/// Whether a change of flags since the base shows interest in the message: flagged, undeleted, or a
/// new keyword.
pub fn shows_interest(base: &Flags, now: &Flags) -> bool {
    let change = FlagChange::between(base, now);
    change.add.has(SystemFlag::Flagged)
        || change.remove.has(SystemFlag::Deleted)
        || change.add.keywords().next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Keyword;

    fn sides(follows: (bool, bool), seen: (&Flags, &Flags), base: &Flags) -> Merge {
        let all = FlagMask::All;
        let side = |flags, follows| Opinion {
            flags,
            sees: &all,
            stores: &all,
            follows,
            vague: false,
        };
        merge(base, &side(seen.0, follows.0), &side(seen.1, follows.1))
    }

    #[test]
    fn flags_of_a_first_meeting_stay_where_one_side_may_not_change() {
        let all = FlagMask::All;
        let (there, here) = (
            Flags::of(&[SystemFlag::Answered]),
            Flags::of(&[SystemFlag::Seen]),
        );
        let goal = first_meeting(&there, &here);
        for (remote_follows, local_follows) in [(false, true), (true, false), (false, false)] {
            let side = |flags, follows| Opinion {
                flags,
                sees: &all,
                stores: &all,
                follows,
                vague: false,
            };
            let (remote, local) = (side(&there, remote_follows), side(&here, local_follows));
            let met = agree(&goal, &remote, &local);
            let (there, here) = (met.remote.apply(&there), met.local.apply(&here));
            let (remote, local) = (side(&there, remote_follows), side(&here, local_follows));
            let again = merge(&met.merged, &remote, &local);
            let quiet = again.remote.is_empty() && again.local.is_empty();
            assert!(quiet && again.merged == met.merged, "{again:?}");
            // Once both may be changed, nothing is removed.
            let (remote, local) = (side(&there, true), side(&here, true));
            assert_eq!(merge(&met.merged, &remote, &local).merged, goal);
        }
    }

    /// All 2^3 states of one flag: the merge is exact.
    #[test]
    fn one_flag_all_states() {
        let (on, off) = (Flags::of(&[SystemFlag::Seen]), Flags::default());
        for (b, r, l, want) in [
            (0, 0, 0, 0),
            (0, 0, 1, 1),
            (0, 1, 0, 1),
            (0, 1, 1, 1),
            (1, 1, 1, 1),
            (1, 1, 0, 0),
            (1, 0, 1, 0),
            (1, 0, 0, 0),
        ] {
            let pick = |bit: i32| if bit == 1 { &on } else { &off };
            let out = sides((true, true), (pick(r), pick(l)), pick(b));
            assert_eq!(out.merged, *pick(want), "{b}{r}{l}");
            assert_eq!(out.remote.apply(pick(r)), *pick(want), "{b}{r}{l}");
            assert_eq!(out.local.apply(pick(l)), *pick(want), "{b}{r}{l}");
        }
    }

    #[test]
    fn what_a_side_cannot_hold_is_not_removed() {
        let mut base = Flags::of(&[SystemFlag::Seen]);
        base.insert_keyword(Keyword::new("work").unwrap());
        let seen = Flags::of(&[SystemFlag::Seen]);
        let (all, system) = (FlagMask::All, FlagMask::Only(Flags::system()));
        let remote = Opinion {
            flags: &seen,
            sees: &system,
            stores: &system,
            follows: true,
            vague: false,
        };
        let local = Opinion {
            flags: &base,
            sees: &all,
            stores: &all,
            follows: true,
            vague: false,
        };
        let out = merge(&base, &remote, &local);
        assert_eq!(
            out,
            Merge {
                merged: base.clone(),
                ..Merge::default()
            }
        );
    }

    /// If letters in the name have no meaning, an unseen keyword was not removed.
    #[test]
    fn a_vague_side_removes_no_keyword_and_gets_it_again() {
        let mut base = Flags::of(&[SystemFlag::Seen]);
        base.insert_keyword(Keyword::new("work").unwrap());
        let (none, all) = (Flags::default(), FlagMask::All);
        let side = |flags, vague| Opinion {
            flags,
            sees: &all,
            stores: &all,
            follows: true,
            vague,
        };
        let out = merge(&base, &side(&base, false), &side(&none, true));
        let work = Flags::from_parts(0, Keyword::new("work"));
        assert_eq!((&out.merged, &out.local.add), (&work, &work));
        assert_eq!(out.remote.remove, Flags::of(&[SystemFlag::Seen]));
        let out = merge(&base, &side(&base, false), &side(&none, false));
        assert!(out.merged.is_empty() && out.local.is_empty());
    }

    #[test]
    fn interest_is_a_star_a_keyword_or_a_mark_taken_back() {
        let flags = |all: &[SystemFlag]| Flags::of(all);
        let (seen, starred) = (flags(&[SystemFlag::Seen]), flags(&[SystemFlag::Flagged]));
        let (none, marked) = (Flags::default(), flags(&[SystemFlag::Deleted]));
        let mut labelled = Flags::default();
        labelled.insert_keyword(Keyword::new("$Work").unwrap());
        for (base, now) in [(&none, &starred), (&none, &labelled), (&marked, &none)] {
            assert!(shows_interest(base, now), "{base} and then {now}");
            assert!(!shows_interest(now, base), "{now} and then {base}");
        }
        assert!(!shows_interest(&none, &seen) && !shows_interest(&seen, &none));
    }

    #[test]
    fn where_no_side_follows_the_base_stays() {
        let base = Flags::of(&[SystemFlag::Seen]);
        let none = Flags::default();
        let out = sides((false, false), (&none, &none), &base);
        assert_eq!(out.merged, base);
        assert!(out.remote.is_empty() && out.local.is_empty());
    }

    #[test]
    fn pulling_keeps_local_changes_and_does_not_push_them() {
        let base = Flags::default();
        let (remote, local) = (
            Flags::of(&[SystemFlag::Seen]),
            Flags::of(&[SystemFlag::Flagged]),
        );
        let out = sides((false, true), (&remote, &local), &base);
        assert!(out.remote.is_empty());
        assert_eq!(out.local.add, Flags::of(&[SystemFlag::Seen]));
        assert_eq!(out.merged, Flags::of(&[SystemFlag::Seen]));
        let again = sides((false, true), (&remote, &local.union(&remote)), &out.merged);
        assert!(again.local.is_empty() && again.merged == out.merged);
    }
}
