//! The table of mailboxes: for each combination of base, server and disk, what is done with the
//! mailbox as a whole. The row names are those of `docs/sync.md`.

use super::look::{Coverage, Listed, Look, Presence};
use super::mailbox_action::{Forget, MailboxAction};
use super::messages::Known;
use super::policy::Policy;
use crate::model::{MailboxBase, MailboxName, MaildirId, Side, Uid};
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
    /// Neither side has it (F8).
    Forget(MailboxName),
    /// It cannot be told, or nothing may be done: left alone, with the reason if the user should
    /// know.
    Leave(MailboxName, Option<String>),
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
            | Step::Forget(name)
            | Step::Leave(name, _) => name,
        }
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
    for listed in [remote, local].into_iter().flatten() {
        if let Presence::Unknown(why) = &listed.presence {
            return Some(Step::Leave(name.clone(), Some(why.clone())));
        }
    }
    let holds = |side: Option<&Listed>| side.is_some_and(|l| l.presence == Presence::Mailbox);
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

fn new(policy: &Policy, on: Side, name: MailboxName) -> Step {
    match policy.flows_to(on) {
        true => Step::Create(on, name),
        false => Step::Leave(name, None),
    }
}

/// F4 to F7, F21: INBOX always comes back.
fn gone(policy: &Policy, from: Side, name: MailboxName) -> Step {
    if !name.is_inbox() && policy.deletes_mailboxes_on(from.other()) {
        Step::Missing(from, name)
    } else if policy.flows_to(from) {
        Step::Recreate(from, name)
    } else {
        Step::Leave(name, None)
    }
}

/// F4 and F5: the mailbox is gone from disk. It is deleted on the server when every message there
/// is known, and comes back otherwise.
pub fn gone_from_disk(base: &MailboxBase, remote: &Look<Uid>) -> MailboxAction {
    let known = Known::of(base);
    let unknown = remote.seen.keys().any(|uid| !known.uid(uid));
    verdict(
        Side::Local,
        base,
        unknown || remote.coverage == Coverage::Partial,
    )
}

/// F6 and F7: the mailbox is gone from the server.
pub fn gone_from_server(base: &MailboxBase, local: &Look<MaildirId>) -> MailboxAction {
    let known = Known::of(base);
    let unknown = local.seen.keys().any(|file| !known.file(file));
    verdict(
        Side::Remote,
        base,
        unknown || local.coverage == Coverage::Partial,
    )
}

fn verdict(from: Side, base: &MailboxBase, unknown: bool) -> MailboxAction {
    let name = base.name.clone();
    match unknown {
        true => MailboxAction::Create {
            on: from,
            name,
            forget: Forget::Messages,
        },
        false => MailboxAction::Delete {
            on: from.other(),
            name,
            messages: base.pairs.len(),
        },
    }
}
