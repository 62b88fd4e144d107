//! The table of mailboxes: the action for each combination of base, server and disk. `docs/sync.md`
//! has the row names.

use super::look::{Coverage, Listed, Look, Presence};
use super::mailbox_action::MailboxAction;
use super::messages::Known;
use super::policy::Policy;
use crate::model::{Aside, MailboxBase, MailboxName, MaildirId, Side, SystemFlag, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// The inputs about the mailboxes of an account.
#[derive(Debug)]
pub struct Case<'a> {
    /// The mailboxes of the base.
    pub base: &'a BTreeSet<MailboxName>,
    /// The complete listing of the server.
    pub remote: &'a [Listed],
    /// The complete listing of the disk.
    pub local: &'a [Listed],
    /// The policy.
    pub policy: &'a Policy,
}

/// The decision about a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Both sides and the base have it.
    Live(MailboxName),
    /// Both sides have it, the base does not (F3).
    Adopt(MailboxName),
    /// One side lacks it and gets it (F1, F2).
    Create(Side, MailboxName),
    /// It is gone on one side: deleted on the other if that has only known messages (F4-F7).
    Missing(Side, MailboxName),
    /// It is gone, and the settings (or INBOX) require that it comes back.
    Recreate(Side, MailboxName),
    /// It is gone, and the settings keep it on the other side only.
    Keep(Side, MailboxName),
    /// Neither side has it (F8).
    Forget(MailboxName),
    /// The settings permit no action.
    Leave(MailboxName),
    /// A side cannot read it, for this reason. Messages that vanished from other mailboxes of these
    /// sides may be in it.
    Unseen(MailboxName, String, &'static [Side]),
}

impl Step {
    /// Returns the mailbox.
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

/// Why an account must not be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// F19: the server lists no mailbox, which indicates a failure.
    #[error(
        "the server lists no INBOX ({listed} mailboxes in all), although {known} mailboxes are \
         kept in step; nothing was changed. If the server was replaced, check host and user"
    )]
    NoInbox {
        /// The number of listed mailboxes.
        listed: usize,
        /// The number of mailboxes in the base.
        known: usize,
    },
}

/// Decides about all selected mailboxes.
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
        let above = || closed_above(name, case.base, (&remote, &local));
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

/// Returns the reason if a parent of a name is unreadable, or may not be mounted: a mailbox that is
/// made below an empty mount point would let its parent look deleted.
fn closed_above<'a>(
    name: &MailboxName,
    base: &BTreeSet<MailboxName>,
    (remote, local): (&Listing<'_>, &Listing<'a>),
) -> Option<&'a str> {
    let depths = 1..name.depth();
    let mut above = depths.filter_map(|depth| {
        let above = MailboxName::new(name.components().get(..depth)?.to_vec())?;
        let there = remote.get(&above).map(|listed| &listed.presence);
        match &local.get(&above)?.presence {
            Presence::Closed(why) => Some(why.as_str()),
            Presence::Vacant(why) if base.contains(&above) => {
                (there == Some(&Presence::Mailbox)).then_some(why.as_str())
            }
            _ => None,
        }
    });
    above.next()
}

/// The mailboxes of a side by name.
type Listing<'a> = BTreeMap<&'a MailboxName, &'a Listed>;

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

/// The decision about a mailbox that is gone on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Delete it on the other side (F4, F6).
    Goes(MailboxAction),
    /// Create it again, as it has messages that are not pairs (F5, F7).
    Returns,
    /// The same, but the side where it is gone must not be changed.
    Stays,
}

/// F4 and F5: the mailbox is gone on disk. It is deleted on the server if all its messages are
/// halves of pairs, and otherwise created again.
pub fn gone_from_disk(policy: &Policy, base: &MailboxBase, remote: &Look<Uid>) -> Missing {
    let known = Known::disposable(base);
    let same = base.uid_validity == remote.uid_validity && !remote.renumbered;
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

/// F6 and F7: the mailbox is gone on the server. An edited file is not half of a pair.
pub fn gone_from_server(policy: &Policy, base: &MailboxBase, local: &Look<MaildirId>) -> Missing {
    let known = Known::disposable(base);
    let lone = |file: &MaildirId| !known.file(file) || local.edited.contains(file);
    let whole = local.coverage == Coverage::Complete && !local.seen.keys().any(lone);
    verdict(policy, Side::Remote, (base, local.seen.len()), whole)
}

/// Whether a message is present without `\Deleted`.
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
