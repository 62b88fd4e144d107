//! Mailboxes with another name: what one side renamed is renamed on the other, without touching a
//! message. Where both did, the server's name wins (F9-F13); where a name is in the way, or
//! mailboxes below have to stay where they are, nothing is renamed, and the messages move one by
//! one.
//!
//! INBOX is never renamed: to a server that means moving its messages (RFC 9051, 6.3.6).

use super::look::{Listed, Presence};
use super::mailbox_action::MailboxAction;
use super::policy::Policy;
use crate::model::{MailboxKey, MailboxName, Side};
use std::collections::{BTreeMap, BTreeSet};

/// How a name begins that a mailbox has only while names are exchanged.
const PASSING: &str = "mailtide-renaming-";

/// A mailbox of the base, and what each side calls it whatever its name.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its row.
    pub key: MailboxKey,
    /// Its name.
    pub name: MailboxName,
    /// See [`super::Identity`].
    pub remote: Option<String>,
    /// See [`super::Identity`].
    pub local: Option<String>,
}

impl Home {
    /// What a side calls it whatever its name.
    pub fn identity(&self, side: Side) -> Option<&String> {
        match side {
            Side::Remote => self.remote.as_ref(),
            Side::Local => self.local.as_ref(),
        }
    }
}

/// A mailbox that a side seems to list under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its name in the base.
    pub name: MailboxName,
    /// Its name there.
    pub now: MailboxName,
    /// Whether that is sure.
    pub proved: bool,
}

/// Mailboxes that a side seems to list under another name. An identity that several share says
/// nothing.
pub fn suspects(side: Side, homes: &[Home], listed: &[Listed]) -> Vec<Suspect> {
    let mut known: BTreeMap<&str, Vec<&MailboxName>> = BTreeMap::new();
    for home in homes {
        if let Some(text) = home.identity(side) {
            known.entry(text).or_default().push(&home.name);
        }
    }
    let mut there: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    for one in listed {
        let text = one.identity.as_ref().map(|identity| identity.text.as_str());
        if let (Some(text), Presence::Mailbox, false) = (text, &one.presence, one.view) {
            there.entry(text).or_default().push(one);
        }
    }
    let mut all = Vec::new();
    for (text, names) in known {
        let (Some([now]), [name]) = (there.get(text).map(Vec::as_slice), names.as_slice()) else {
            continue;
        };
        if now.name != **name && !now.name.is_inbox() && !name.is_inbox() {
            all.push(Suspect {
                name: (*name).clone(),
                now: now.name.clone(),
                proved: now
                    .identity
                    .as_ref()
                    .is_some_and(|identity| identity.proves),
            });
        }
    }
    all
}

/// What is known of the names of an account.
#[derive(Debug)]
pub struct Case<'a> {
    /// The mailboxes of the base.
    pub base: &'a BTreeSet<MailboxName>,
    /// Those with another name on the server, and that name.
    pub remote: &'a BTreeMap<MailboxName, MailboxName>,
    /// Those with another name on disk, and that name.
    pub local: &'a BTreeMap<MailboxName, MailboxName>,
    /// All names on the server.
    pub remote_names: &'a BTreeSet<MailboxName>,
    /// All names on disk.
    pub local_names: &'a BTreeSet<MailboxName>,
    /// Mailboxes of the base that a side refused to rename.
    pub refused: &'a BTreeSet<MailboxName>,
    /// What the user wants.
    pub policy: &'a Policy,
}

impl Case<'_> {
    fn names(&self, side: Side) -> &BTreeSet<MailboxName> {
        match side {
            Side::Remote => self.remote_names,
            Side::Local => self.local_names,
        }
    }

    /// What a side calls a mailbox of the base by now, if it has it.
    fn now(&self, side: Side, name: &MailboxName) -> Option<MailboxName> {
        let renamed = match side {
            Side::Remote => self.remote,
            Side::Local => self.local,
        };
        let taken = renamed.values().any(|now| now == name);
        let stays = (self.names(side).contains(name) && !taken).then(|| name.clone());
        renamed.get(name).cloned().or(stays)
    }
}

/// A mailbox of the base with its names now and then.
#[derive(Clone, Debug)]
struct Change {
    remote: MailboxName,
    local: MailboxName,
    to: MailboxName,
}

impl Change {
    fn now(&self, side: Side) -> &MailboxName {
        match side {
            Side::Remote => &self.remote,
            Side::Local => &self.local,
        }
    }
}

/// What is renamed on which side, in this order; then what is called so on both.
pub fn decide(case: &Case<'_>) -> Vec<MailboxAction> {
    let mut changes: BTreeMap<MailboxName, Change> = case
        .base
        .iter()
        .filter(|name| !name.is_inbox() && !case.refused.contains(*name))
        .filter_map(|name| Some((name.clone(), change(case, name)?)))
        .collect();
    loop {
        let mut actions = Vec::new();
        let blocked = [Side::Remote, Side::Local]
            .into_iter()
            .find_map(|side| order(case, side, &changes, &mut actions).err());
        let Some(blocked) = blocked else {
            let follow = changes
                .into_iter()
                .filter(|(name, change)| *name != change.to);
            let follow = follow.map(|(from, Change { to, .. })| MailboxAction::Follow { from, to });
            actions.extend(follow);
            return actions;
        };
        changes.remove(&blocked);
    }
}

fn change(case: &Case<'_>, name: &MailboxName) -> Option<Change> {
    let remote = case.now(Side::Remote, name)?;
    let local = case.now(Side::Local, name)?;
    let chosen = |now: &&MailboxName| **now != *name && !is_passing(now);
    let to = [&remote, &local].into_iter().find(chosen).unwrap_or(name);
    let to = to.clone();
    let sides = [(Side::Remote, &remote), (Side::Local, &local)];
    let may = sides
        .into_iter()
        .all(|(side, now)| *now == to || case.policy.flows_to(side));
    let same = remote == *name && local == *name;
    (!same && may && case.policy.chooses(&to)).then_some(Change { remote, local, to })
}

/// Puts the renames of a side in an order in which no name is in the way. The error is the mailbox
/// that stands in the way of that.
fn order(
    case: &Case<'_>,
    side: Side,
    changes: &BTreeMap<MailboxName, Change>,
    actions: &mut Vec<MailboxAction>,
) -> Result<(), MailboxName> {
    let mut order = Order {
        case,
        side,
        changes,
        taken: case.names(side).clone(),
        pending: Vec::new(),
    };
    for (name, change) in changes {
        let (from, to) = (change.now(side).clone(), change.to.clone());
        if from != to {
            order.pending.push((name.clone(), from, to));
        }
    }
    order
        .pending
        .sort_by_key(|(_, from, _)| (from.depth(), from.clone()));
    while !order.pending.is_empty() {
        actions.push(order.next()?);
    }
    Ok(())
}

struct Order<'a> {
    case: &'a Case<'a>,
    side: Side,
    changes: &'a BTreeMap<MailboxName, Change>,
    /// The names that the side has by then.
    taken: BTreeSet<MailboxName>,
    /// Name in the base, name now, name wanted.
    pending: Vec<(MailboxName, MailboxName, MailboxName)>,
}

impl Order<'_> {
    fn next(&mut self) -> Result<MailboxAction, MailboxName> {
        let free = self
            .pending
            .iter()
            .position(|(_, from, to)| !self.taken.contains(to) && self.follow(from, to));
        if let Some(at) = free {
            let (_, from, to) = self.pending.remove(at);
            return Ok(self.rename(from, to));
        }
        // All names that are wanted are taken: one makes room, if that helps.
        let leaves = |to: &MailboxName| self.pending.iter().any(|(_, from, _)| from == to);
        let alone = |from: &MailboxName| !self.taken.iter().any(|n| n.below(from).is_some());
        let fits = |(_, from, to): &&mut (MailboxName, MailboxName, MailboxName)| {
            leaves(to) && alone(from) && !is_passing(from)
        };
        let mut numbers = (1..).map(|n| format!("{PASSING}{n}"));
        let passing = numbers.find_map(|name| {
            let name = MailboxName::parse(&name)?;
            (!self.taken.contains(&name)).then_some(name)
        });
        let mut pending = self.pending.clone();
        let chosen = pending.iter_mut().find(fits).zip(passing);
        let Some(((_, from, _), passing)) = chosen else {
            let first = self.pending.first().map(|(name, ..)| name.clone());
            return Err(first.unwrap_or_else(MailboxName::inbox));
        };
        let old = std::mem::replace(from, passing.clone());
        self.pending = pending;
        Ok(self.rename(old, passing))
    }

    fn rename(&mut self, from: MailboxName, to: MailboxName) -> MailboxAction {
        self.taken.remove(&from);
        self.taken.insert(to.clone());
        let on = self.side;
        MailboxAction::Rename { on, from, to }
    }

    /// Whether the mailboxes of the base that lie below go where they are wanted.
    fn follow(&self, from: &MailboxName, to: &MailboxName) -> bool {
        self.case.base.iter().all(|name| {
            let change = self.changes.get(name);
            let now = match change {
                Some(change) => Some(change.now(self.side).clone()),
                None => self.case.now(self.side, name),
            };
            let now = now.filter(|now| self.taken.contains(now));
            let rest = now.as_ref().and_then(|now| now.below(from));
            rest.is_none() || change.is_some_and(|change| change.to.below(to) == rest)
        })
    }
}

/// Whether a mailbox has this name only while names are exchanged.
pub fn is_passing(name: &MailboxName) -> bool {
    let last = name.components().last();
    last.is_some_and(|last| last.starts_with(PASSING))
}

#[cfg(test)]
mod tests {
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

    /// Decides where the base has these names, and the sides have these changes.
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
        // A run was cut in the middle of it.
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
}
