//! Renames of mailboxes: a rename on one side is repeated on the other without touching messages.
//! If both sides renamed, the server's name wins (F9-F13). If a name is taken, or mailboxes below
//! have to stay, the messages are moved instead.
//!
//! INBOX is never renamed: a server would move its messages (RFC 9051, 6.3.6).

use super::look::{Listed, Presence};
use super::mailbox_action::MailboxAction;
use super::policy::Policy;
use crate::model::{MailboxName, Side};
use crate::reconcile::mailbox_identity::Home;
use std::collections::{BTreeMap, BTreeSet};

/// The prefix of temporary names while names are exchanged.
const PASSING: &str = "mailtide-renaming-";

impl Home {
    /// Returns its identity on a side.
    pub fn identity(&self, side: Side) -> Option<&String> {
        match side {
            Side::Remote => self.remote.as_ref(),
            Side::Local => self.local.as_ref(),
        }
    }
}

/// A mailbox that seems to have another name on a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its name in the base.
    pub name: MailboxName,
    /// Its name there.
    pub now: MailboxName,
    /// Whether that is certain.
    pub proved: bool,
}

/// Returns mailboxes that seem renamed on a side. An identity that several share is ignored.
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

/// Returns the listing in which a directory without its parts, which another name has, is a plain
/// directory: the mailbox was renamed, not unmounted.
pub fn without_shells(homes: &[Home], mut local: Vec<Listed>) -> Vec<Listed> {
    let text = |one: &Listed| one.identity.as_ref().map(|identity| identity.text.clone());
    let mailboxes = local.iter().filter(|one| one.presence == Presence::Mailbox);
    let mailboxes: BTreeSet<String> = mailboxes.filter_map(text).collect();
    let renamed = |home: &&Home| home.local.as_ref().is_some_and(|at| mailboxes.contains(at));
    let renamed: BTreeSet<&MailboxName> = homes
        .iter()
        .filter(renamed)
        .map(|home| &home.name)
        .collect();
    for one in &mut local {
        if matches!(one.presence, Presence::Vacant(_)) && renamed.contains(&one.name) {
            one.presence = Presence::Container;
        }
    }
    local
}

/// The inputs about names.
#[derive(Debug)]
pub struct Case<'a> {
    /// The mailboxes of the base.
    pub base: &'a BTreeSet<MailboxName>,
    /// Those with a new name on the server.
    pub remote: &'a BTreeMap<MailboxName, MailboxName>,
    /// Those with a new name on disk.
    pub local: &'a BTreeMap<MailboxName, MailboxName>,
    /// All names on the server.
    pub remote_names: &'a BTreeSet<MailboxName>,
    /// All names on disk.
    pub local_names: &'a BTreeSet<MailboxName>,
    /// Mailboxes that a side refused to rename.
    pub refused: &'a BTreeSet<MailboxName>,
    /// The policy.
    pub policy: &'a Policy,
}

impl Case<'_> {
    fn names(&self, side: Side) -> &BTreeSet<MailboxName> {
        match side {
            Side::Remote => self.remote_names,
            Side::Local => self.local_names,
        }
    }

    /// Returns the current name of a mailbox on a side, if it has it.
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

/// A mailbox with its former and final names.
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

/// Returns the renames in order, and the names that both sides have then.
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

/// Orders the renames of a side so that no name is taken, and no mailbox is moved along with its
/// parent to a wrong name. The error is the mailbox in the way.
fn order(
    case: &Case<'_>,
    side: Side,
    changes: &BTreeMap<MailboxName, Change>,
    actions: &mut Vec<MailboxAction>,
) -> Result<(), MailboxName> {
    let now = |name: &MailboxName| match changes.get(name) {
        Some(change) => Some((name.clone(), change.now(side).clone())),
        None => Some((name.clone(), case.now(side, name)?)),
    };
    let mut order = Order {
        side,
        changes,
        taken: case.names(side).clone(),
        now: case.base.iter().filter_map(now).collect(),
        pending: Vec::new(),
        actions,
    };
    let pending = changes.iter().filter(|(_, c)| *c.now(side) != c.to);
    order.pending = pending.map(|(name, _)| name.clone()).collect();
    let sort = |name: &MailboxName| order.now.get(name).map(|now| (now.depth(), now.clone()));
    order.pending.sort_by_key(sort);
    while !order.pending.is_empty() {
        order.next()?;
    }
    Ok(())
}

struct Order<'a> {
    side: Side,
    changes: &'a BTreeMap<MailboxName, Change>,
    /// The names of the side at this point.
    taken: BTreeSet<MailboxName>,
    /// The current names of the mailboxes.
    now: BTreeMap<MailboxName, MailboxName>,
    /// Mailboxes without their final name.
    pending: Vec<MailboxName>,
    actions: &'a mut Vec<MailboxAction>,
}

impl Order<'_> {
    fn next(&mut self) -> Result<(), MailboxName> {
        if let Some(name) = self.free(|to| self.is_clear(to)) {
            self.finish(&name);
        } else if let Some((name, passing)) = self.room() {
            self.rename(&name, passing);
        } else if let Some(name) = self.free(|_| true) {
            // Mailboxes below it stay, which some stores refuse (Maildir++).
            self.finish(&name);
        } else {
            let first = self.pending.first().cloned();
            return Err(first.unwrap_or_else(MailboxName::inbox));
        }
        Ok(())
    }

    /// Returns a mailbox that can get its final name now.
    fn free(&self, may: impl Fn(&MailboxName) -> bool) -> Option<MailboxName> {
        let free = |to: &MailboxName| !self.is_taken(to) && !self.leads_away(to) && may(to);
        let fits = |name: &&MailboxName| {
            let to = self.wanted(name);
            to.is_some_and(|to| free(to) && self.follow(name, to))
        };
        self.pending.iter().find(fits).cloned()
    }

    /// If all final names are taken, returns a mailbox to rename temporarily, with that name.
    fn room(&self) -> Option<(MailboxName, MailboxName)> {
        let alone = |name: &&MailboxName| {
            let now = self.now.get(*name).filter(|now| !is_passing(now));
            now.is_some_and(|now| !self.taken.iter().any(|n| n.below(now).is_some()))
        };
        // It has the wanted name, or is below it.
        let leaves = |to: &MailboxName| {
            let mut pending = self.pending_names();
            pending.any(|now| now == to || now.below(to).is_some())
        };
        let waits_for = |leaves: &dyn Fn(&MailboxName) -> bool| {
            let fits = |name: &&MailboxName| alone(name) && self.wanted(name).is_some_and(leaves);
            self.pending.iter().find(fits).cloned()
        };
        let chosen = waits_for(&leaves).or_else(|| waits_for(&|to| self.leads_away(to)))?;
        let mut numbers = (1..).map(|n| format!("{PASSING}{n}"));
        let passing = numbers.find_map(|name| {
            let name = MailboxName::parse(&name)?;
            (!self.is_taken(&name)).then_some(name)
        });
        Some((chosen, passing?))
    }

    fn wanted(&self, name: &MailboxName) -> Option<&MailboxName> {
        self.changes.get(name).map(|change| &change.to)
    }

    fn is_taken(&self, name: &MailboxName) -> bool {
        self.taken.contains(name)
    }

    /// Returns the final names.
    fn pending_names(&self) -> impl Iterator<Item = &MailboxName> {
        self.pending.iter().filter_map(|name| self.now.get(name))
    }

    /// Whether a name has no mailboxes below it, and no parent that is still to be renamed: few
    /// stores accept others.
    fn is_clear(&self, name: &MailboxName) -> bool {
        let mut wanted = self.pending.iter().filter_map(|name| self.wanted(name));
        wanted.all(|upper| name.below(upper).is_none())
            && !self.taken.iter().any(|taken| taken.below(name).is_some())
    }

    /// Whether a name is below one that will be renamed: its mailbox would move along.
    fn leads_away(&self, name: &MailboxName) -> bool {
        self.pending_names().any(|now| name.below(now).is_some())
    }

    /// Returns the mailboxes below this one, parents first, with the remainder of their names.
    fn below(&self, name: &MailboxName) -> Vec<(&MailboxName, &[String])> {
        let Some(above) = self.now.get(name) else {
            return Vec::new();
        };
        let all = self.now.iter().filter(|(_, now)| self.is_taken(now));
        let below = all.filter_map(|(name, now)| Some((name, now.below(above)?)));
        let mut all: Vec<_> = below.collect();
        all.sort_by_key(|(_, rest)| rest.len());
        all
    }

    /// Whether the mailboxes below may move along to their final names.
    fn follow(&self, name: &MailboxName, to: &MailboxName) -> bool {
        let mut below = self.below(name).into_iter();
        below.all(|(name, rest)| {
            let wanted = self.wanted(name).filter(|wanted| !self.is_taken(wanted));
            wanted.is_some_and(|wanted| wanted.below(to) == Some(rest))
        })
    }

    /// Renames a mailbox with those below it, except in Maildir++, where names are independent.
    fn finish(&mut self, name: &MailboxName) {
        let below = self.below(name).into_iter();
        let all: Vec<MailboxName> = below.map(|(name, _)| name.clone()).collect();
        for name in [name.clone()].into_iter().chain(all) {
            if let Some(to) = self.wanted(&name).cloned() {
                self.rename(&name, to);
            }
            self.pending.retain(|pending| *pending != name);
        }
    }

    fn rename(&mut self, name: &MailboxName, to: MailboxName) {
        let Some(from) = self.now.insert(name.clone(), to.clone()) else {
            return;
        };
        self.taken.remove(&from);
        self.taken.insert(to.clone());
        let on = self.side;
        self.actions.push(MailboxAction::Rename { on, from, to });
    }
}

/// Whether a name is temporary.
pub fn is_passing(name: &MailboxName) -> bool {
    let last = name.components().last();
    last.is_some_and(|last| last.starts_with(PASSING))
}

#[cfg(test)]
#[path = "renames_tests.rs"]
mod tests;
