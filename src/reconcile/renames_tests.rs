//! The order of renames, and the final names.

use super::*;

fn mb(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

fn names(text: &str) -> BTreeSet<MailboxName> {
    text.split(' ').map(mb).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<MailboxName, MailboxName> {
    pairs.iter().map(|(a, b)| (mb(a), mb(b))).collect()
}

/// Decides with these names in the base and these changes on the sides.
fn decided(base: &str, remote: &[(&str, &str)], local: &[(&str, &str)]) -> String {
    let base = names(base);
    let (remote, local) = (map(remote), map(local));
    let side = |renamed: &BTreeMap<MailboxName, MailboxName>| -> BTreeSet<MailboxName> {
        let now = |name: &MailboxName| renamed.get(name).unwrap_or(name).clone();
        base.iter().map(now).collect()
    };
    let case = Case {
        base: &base,
        remote: &remote,
        local: &local,
        remote_names: &side(&remote),
        local_names: &side(&local),
        refused: &BTreeSet::new(),
        policy: &Policy::default(),
    };
    let lines: Vec<String> = decide(&case).iter().map(ToString::to_string).collect();
    lines.join("; ")
}

#[test]
fn one_side_follows_the_other() {
    let here = decided("INBOX A", &[], &[("A", "B")]);
    assert_eq!(
        here,
        "rename mailbox A to B on remote; note that mailbox A is called B"
    );
    let there = decided("INBOX A", &[("A", "B")], &[]);
    assert_eq!(
        there,
        "rename mailbox A to B on local; note that mailbox A is called B"
    );
    let both = decided("INBOX A", &[("A", "B")], &[("A", "B")]);
    assert_eq!(both, "note that mailbox A is called B");
    let apart = decided("INBOX A", &[("A", "B")], &[("A", "C")]);
    assert_eq!(
        apart,
        "rename mailbox C to B on local; note that mailbox A is called B"
    );
}

#[test]
fn what_is_below_comes_along_or_nothing_does() {
    let all = decided("INBOX A A/x", &[], &[("A", "B"), ("A/x", "B/x")]);
    let want = "rename mailbox A to B on remote; rename mailbox A/x to B/x on remote; \
                note that mailbox A is called B; note that mailbox A/x is called B/x";
    assert_eq!(all, want);
    assert_eq!(decided("INBOX A A/x", &[], &[("A", "B")]), "");
}

#[test]
fn names_are_exchanged() {
    let swapped = decided("INBOX A B", &[("A", "B"), ("B", "A")], &[]);
    let want = "rename mailbox A to mailtide-renaming-1 on local; \
                rename mailbox B to A on local; \
                rename mailbox mailtide-renaming-1 to B on local; \
                note that mailbox A is called B; note that mailbox B is called A";
    assert_eq!(swapped, want);
    // A run was cut in the middle.
    let passing = "mailtide-renaming-1";
    let cut = decided("INBOX A B", &[("A", "B"), ("B", "A")], &[("A", passing)]);
    let want = "rename mailbox B to A on local; \
                rename mailbox mailtide-renaming-1 to B on local; \
                note that mailbox A is called B; note that mailbox B is called A";
    assert_eq!(cut, want);
}

#[test]
fn a_name_in_the_way_stays() {
    let base = names("INBOX A B");
    let case = Case {
        base: &base,
        remote: &map(&[]),
        local: &map(&[("A", "B")]),
        remote_names: &base,
        local_names: &names("INBOX B"),
        refused: &BTreeSet::new(),
        policy: &Policy::default(),
    };
    assert!(decide(&case).is_empty());
}

#[test]
fn the_upper_name_is_given_first() {
    let there = [("1", "A/x"), ("B", "A")];
    let want = "rename mailbox B to A on local; rename mailbox 1 to A/x on local; \
                note that mailbox 1 is called A/x; note that mailbox B is called A";
    assert_eq!(decided("INBOX 1 B", &there, &[]), want);
}

#[test]
fn what_a_side_does_not_have_is_not_renamed_there() {
    let case = Case {
        base: &names("INBOX A"),
        remote: &map(&[]),
        local: &map(&[("A", "B")]),
        remote_names: &names("INBOX"),
        local_names: &names("INBOX B"),
        refused: &BTreeSet::new(),
        policy: &Policy::default(),
    };
    assert!(decide(&case).is_empty());
}

#[test]
fn only_what_stands_in_the_way_of_another_makes_room() {
    let there = [("1", "A/x"), ("A", "B"), ("B", "A")];
    let want = "rename mailbox A to mailtide-renaming-1 on local; \
                rename mailbox B to A on local; rename mailbox 1 to A/x on local; \
                rename mailbox mailtide-renaming-1 to B on local; \
                note that mailbox 1 is called A/x; note that mailbox A is called B; \
                note that mailbox B is called A";
    assert_eq!(decided("INBOX 1 A B", &there, &[]), want);
}

/// The mailboxes of a side by their names in the base.
#[derive(Clone, Debug)]
struct Tree {
    now: BTreeMap<MailboxName, MailboxName>,
    /// Whether mailboxes below move along, as on servers and in directories, or not (Maildir++).
    carries: bool,
}

impl Tree {
    fn has(&self, name: &MailboxName) -> bool {
        self.now.values().any(|now| now == name)
    }

    fn names(&self) -> BTreeSet<MailboxName> {
        self.now.values().cloned().collect()
    }

    fn changed(&self) -> BTreeMap<MailboxName, MailboxName> {
        let all = self.now.iter().filter(|(name, now)| name != now);
        all.map(|(name, now)| (name.clone(), now.clone())).collect()
    }

    fn rename(&mut self, from: &MailboxName, to: &MailboxName) {
        for now in self.now.values_mut() {
            if *now == *from {
                *now = to.clone();
            } else if let Some(rest) = now.below(from).filter(|_| self.carries) {
                let all = [to.components(), rest].concat();
                *now = MailboxName::new(all).unwrap();
            }
        }
    }

    /// Renames as a user does, where the names permit it.
    fn rename_by_user(&mut self, from: &MailboxName, to: &MailboxName) {
        let in_the_way = |now: &MailboxName| now == to || now.below(to).is_some();
        let taken = self.now.values().any(in_the_way);
        if self.has(from) && !taken && to.below(from).is_none() {
            self.rename(from, to);
        }
    }

    /// Renames as a store does: a name that a parent's rename gave is no error; a name with
    /// mailboxes below it is taken.
    fn rename_by_store(&mut self, from: &MailboxName, to: &MailboxName) -> bool {
        let (old, new) = (self.has(from), self.has(to));
        if old && !new {
            let mut all = self.now.values();
            if self.carries && all.any(|now| now.below(to).is_some()) {
                return false;
            }
            self.rename(from, to);
        }
        old != new
    }
}

/// Executes the renames; the error is a refused one.
fn carry_out(actions: &[MailboxAction], sides: &mut [Tree; 2]) -> Result<(), (usize, MailboxName)> {
    for action in actions {
        match action {
            MailboxAction::Rename { on, from, to } => {
                let at = usize::from(*on == Side::Local);
                if !sides[at].rename_by_store(from, to) {
                    return Err((at, to.clone()));
                }
            }
            MailboxAction::Follow { .. } => {}
            other => panic!("{other}"),
        }
    }
    Ok(())
}

/// Returns the mailboxes with other names than wanted.
fn follows(actions: &[MailboxAction]) -> BTreeMap<MailboxName, MailboxName> {
    let follow = actions.iter().filter_map(|action| match action {
        MailboxAction::Follow { from, to } => Some((from.clone(), to.clone())),
        _ => None,
    });
    follow.collect()
}

#[test]
fn mailboxes_end_where_they_were_renamed_to() {
    let pool = ["A", "A/x", "A/x/y", "B", "B/x", "C", "C/x", "D"].map(mb);
    let mut random = 1u64;
    let mut pick = |below: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (random >> 33) as usize % below
    };
    let (mut renamed, mut ordered, mut refused) = (0, 0, 0);
    for _ in 0..20_000 {
        let mut base = BTreeSet::from([MailboxName::inbox()]);
        base.extend((0..=pick(6)).map(|_| pool[pick(pool.len())].clone()));
        let now: BTreeMap<_, _> = base.iter().map(|n| (n.clone(), n.clone())).collect();
        let mut sides = [true, pick(2) == 0].map(|carries| Tree {
            now: now.clone(),
            carries,
        });
        for _ in 0..=pick(4) {
            let (from, to) = (&pool[pick(pool.len())], &pool[pick(pool.len())]);
            sides[pick(5) / 4].rename_by_user(from, to);
        }
        let actions = decide(&Case {
            base: &base,
            remote: &sides[0].changed(),
            local: &sides[1].changed(),
            remote_names: &sides[0].names(),
            local_names: &sides[1].names(),
            refused: &BTreeSet::new(),
            policy: &Policy::default(),
        });
        let before = sides.clone();
        let told: Vec<String> = actions.iter().map(ToString::to_string).collect();
        let wanted = follows(&actions);
        if let Err((at, to)) = carry_out(&actions, &mut sides) {
            // A mailbox that is below that name now stays below it: no order satisfies that, and
            // messages are moved.
            let mut all = before[at].now.iter();
            let stays = |(name, now): (&MailboxName, &MailboxName)| {
                let end = wanted.get(name).unwrap_or(now);
                now.below(&to).is_some() && end.below(&to).is_some()
            };
            assert!(all.any(stays), "{to} of {told:?} where it was {before:?}");
            refused += 1;
            continue;
        }
        for (side, old) in sides.iter().zip(&before) {
            for (name, now) in &side.now {
                let want = wanted.get(name).unwrap_or(&old.now[name]);
                assert_eq!(now, want, "{told:?} where it was {before:?}");
            }
        }
        renamed += wanted.len();
        ordered += actions.len() - wanted.len();
    }
    assert!(renamed > 5_000 && ordered > 5_000, "{renamed} {ordered}");
    assert!(refused < 100, "{refused}");
}
