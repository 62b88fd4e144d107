//! The table of mailboxes: for each combination of base, server and disk, what is done with the
//! mailbox as a whole. The row names are those of `docs/sync.md`.

use super::look::{Coverage, Listed, Look, Presence};
use super::mailbox_action::MailboxAction;
use super::messages::Known;
use super::policy::Policy;
use crate::model::{Aside, MailboxBase, MailboxName, MaildirId, Side, SystemFlag, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the mailboxes of an account.
#[derive(Debug)]
pub struct Case<'a> {
    /// Those that were kept in step before.
    pub base: &'a BTreeSet<MailboxName>,
    /// As the server lists them; complete.
    pub remote: &'a [Listed],
    /// As the disk lists them; complete.
    pub local: &'a [Listed],
    /// What the user wants.
    pub policy: &'a Policy,
}

/// What is to be done with one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Both sides have it and the base knows it.
    Live(MailboxName),
    /// Both sides have it and the base does not know it (F3).
    Adopt(MailboxName),
    /// One side lacks it, and it is created there (F1, F2).
    Create(Side, MailboxName),
    /// It was there and is no longer: deleted across, if nothing unknown lies in it (F4-F7).
    Missing(Side, MailboxName),
    /// It was there and is no longer, and by the user's settings (or for INBOX) it comes back.
    Recreate(Side, MailboxName),
    /// It was there and is no longer, and by the user's settings it stays on the other side only.
    Keep(Side, MailboxName),
    /// Neither side has it (F8).
    Forget(MailboxName),
    /// Nothing may be done: left alone.
    Leave(MailboxName),
    /// A side cannot tell what is there: left alone, for this reason. Messages that vanished from
    /// other mailboxes on these sides may lie in it.
    Unseen(MailboxName, String, &'static [Side]),
}

impl Step {
    /// The mailbox.
    pub fn name(&self) -> &MailboxName {
        match self {
            Step::Live(name)
            | Step::Adopt(name)
            | Step::Create(_, name)
            | Step::Missing(_, name)
            | Step::Recreate(_, name)
            | Step::Keep(_, name)
            | Step::Forget(name)
            | Step::Leave(name)
            | Step::Unseen(name, ..) => name,
        }
    }

    /// Whether the mailbox is not synced in this pass.
    pub fn is_passive(&self) -> bool {
        matches!(self, Step::Leave(_) | Step::Keep(..) | Step::Unseen(..))
    }
}

/// Why nothing at all may be done in an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// F19: a server that lists nothing is in trouble.
    #[error(
        "the server lists no INBOX ({listed} mailboxes in all), although {known} mailboxes are \
         kept in step; nothing was changed. If the server was replaced, check host and user"
    )]
    NoInbox {
        /// How many it lists.
        listed: usize,
        /// How many the base knows.
        known: usize,
    },
}

/// Decides about all mailboxes that the policy chooses.
pub fn decide(case: &Case<'_>) -> Result<Vec<Step>, Halt> {
    let remote: BTreeMap<&MailboxName, &Listed> =
        case.remote.iter().map(|l| (&l.name, l)).collect();
    let local: BTreeMap<&MailboxName, &Listed> = case.local.iter().map(|l| (&l.name, l)).collect();
    if !remote.contains_key(&MailboxName::inbox()) {
        return Err(Halt::NoInbox {
            listed: remote.len(),
            known: case.base.len(),
        });
    }
    let mut names: BTreeSet<&MailboxName> = case.base.iter().collect();
    names.extend(remote.keys());
    names.extend(local.keys());
    let chosen = names.into_iter().filter(|name| case.policy.chooses(name));
    let visible = chosen.filter(|name| {
        let view = remote.get(name).is_some_and(|listed| listed.view);
        !view || case.policy.names(name)
    });
    let steps = visible.filter_map(|name| {
        let known = case.base.contains(name);
        let above = || closed_above(name, &local);
        if let Some(why) = above().filter(|_| !local.contains_key(name)) {
            let there = remote
                .get(name)
                .is_some_and(|l| l.presence == Presence::Mailbox);
            return Some(unseen(name, why, (there, true)));
        }
        one(
            case.policy,
            name,
            known,
            (remote.get(name).copied(), local.get(name).copied()),
        )
    });
    Ok(steps.collect())
}

fn one(
    policy: &Policy,
    name: &MailboxName,
    known: bool,
    (remote, local): (Option<&Listed>, Option<&Listed>),
) -> Option<Step> {
    let holds = |side: Option<&Listed>| side.is_some_and(|l| l.presence == Presence::Mailbox);
    for (side, listed) in [(Side::Remote, remote), (Side::Local, local)] {
        let there = holds(remote) || side == Side::Remote;
        let here = holds(local) || side == Side::Local;
        match listed.map(|listed| &listed.presence) {
            Some(Presence::Unknown(why) | Presence::Closed(why)) => {
                return Some(unseen(name, why, (there, here)));
            }
            Some(Presence::Vacant(why)) if known && holds(remote) => {
                return Some(unseen(name, why, (there, here)));
            }
            _ => {}
        }
    }
    let name = name.clone();
    Some(match (known, holds(remote), holds(local)) {
        (true, true, true) => Step::Live(name),
        (false, true, true) => Step::Adopt(name),
        (true, false, false) => Step::Forget(name),
        (false, false, false) => return None,
        (true, false, true) => gone(policy, Side::Remote, name),
        (true, true, false) => gone(policy, Side::Local, name),
        (false, false, true) => new(policy, Side::Remote, name),
        (false, true, false) => new(policy, Side::Local, name),
    })
}

/// The reason for which nothing below a name can be looked into, if a name above is such.
fn closed_above<'a>(
    name: &MailboxName,
    local: &BTreeMap<&MailboxName, &'a Listed>,
) -> Option<&'a str> {
    let depths = 1..name.depth();
    let mut above = depths.filter_map(|depth| {
        let above = MailboxName::new(name.components().get(..depth)?.to_vec())?;
        match &local.get(&above)?.presence {
            Presence::Closed(why) => Some(why.as_str()),
            _ => None,
        }
    });
    above.next()
}

fn unseen(name: &MailboxName, why: &str, (there, here): (bool, bool)) -> Step {
    let sides: &[Side] = match (there, here) {
        (true, true) => &Side::BOTH,
        (true, false) => &[Side::Remote],
        _ => &[Side::Local],
    };
    Step::Unseen(name.clone(), why.to_owned(), sides)
}

fn new(policy: &Policy, on: Side, name: MailboxName) -> Step {
    match policy.flows_to(on) {
        true => Step::Create(on, name),
        false => Step::Leave(name),
    }
}

/// F4 to F7, F21: INBOX always comes back.
fn gone(policy: &Policy, from: Side, name: MailboxName) -> Step {
    if !name.is_inbox() && policy.deletes_mailboxes_on(from.other()) {
        Step::Missing(from, name)
    } else if policy.flows_to(from) {
        Step::Recreate(from, name)
    } else {
        Step::Keep(from, name)
    }
}

/// What becomes of a mailbox that is gone on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is deleted on the other side (F4, F6).
    Goes(MailboxAction),
    /// It is created again, as messages lie in it that the base does not pair (F5, F7).
    Returns,
    /// The same, but nothing may be changed where it is gone: it stays where it is.
    Stays,
}

/// F4 and F5: the mailbox is gone from disk. It is deleted on the server when every message there
/// is one of a pair, and comes back otherwise.
pub fn gone_from_disk(policy: &Policy, base: &MailboxBase, remote: &Look<Uid>) -> Missing {
    let known = Known::disposable(base);
    let same = base.epoch == remote.epoch && !remote.renumbered;
    let unmarked: BTreeSet<Uid> = base
        .aside
        .iter()
        .filter_map(Aside::uid)
        .filter(|uid| is_unmarked(remote, uid))
        .collect();
    let lone = |uid: &Uid| !known.uid(uid) || unmarked.contains(uid);
    let whole = same && remote.coverage == Coverage::Complete && !remote.seen.keys().any(lone);
    verdict(policy, Side::Local, (base, remote.seen.len()), whole)
}

/// F6 and F7: the mailbox is gone from the server. A file that was edited is no half of a pair.
pub fn gone_from_server(policy: &Policy, base: &MailboxBase, local: &Look<MaildirId>) -> Missing {
    let known = Known::disposable(base);
    let lone = |file: &MaildirId| !known.file(file) || local.edited.contains(file);
    let whole = local.coverage == Coverage::Complete && !local.seen.keys().any(lone);
    verdict(policy, Side::Remote, (base, local.seen.len()), whole)
}

/// Whether a message is shown without a `\Deleted`.
fn is_unmarked(remote: &Look<Uid>, uid: &Uid) -> bool {
    let flags = remote.seen.get(uid).and_then(Option::as_ref);
    flags.is_some_and(|flags| !flags.has(SystemFlag::Deleted))
}

fn verdict(
    policy: &Policy,
    from: Side,
    (base, messages): (&MailboxBase, usize),
    whole: bool,
) -> Missing {
    let (on, name) = (from.other(), base.name.clone());
    if whole {
        Missing::Goes(MailboxAction::Delete { on, name, messages })
    } else if policy.flows_to(from) {
        Missing::Returns
    } else {
        Missing::Stays
    }
}

#[cfg(test)]
#[path = "mailboxes_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "unseen_tests.rs"]
mod unseen_tests;
