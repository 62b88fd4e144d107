//! Holds changes for the user's approval. Checks a complete plan before its first operation and
//! removes what destroys too much; the remainder is executed.
//!
//! The id of a held change is made from its content, so an approval permits exactly that change.
//! Approved changes count against no limit; others count with all unapproved deletions of the last
//! day ([`Budget`]). A deletion whose content exists elsewhere on that side does not count.

use super::action::{Action, CopyWhy};
use super::budget::{Budget, Consent};
use super::mailbox_action::MailboxAction;
use super::plan::{MailboxPlan, Plan};
use super::policy::Limits;
use super::reject::{instead, mailbox_instead};
use crate::model::{AnyId, MailboxName, PairId, Side, Uid, UidValidity};
use std::collections::{BTreeMap, BTreeSet};

pub use super::held::{Held, HeldKind};

/// A mailbox of the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The number of its messages.
    pub messages: usize,
    /// The UIDVALIDITY of their UIDs.
    pub uid_validity: Option<UidValidity>,
}

/// The counts of the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountBefore {
    /// Pairs.
    pub messages: usize,
    /// Pairs that the server certainly still has.
    pub there: usize,
}

/// The inputs of the guard besides the plan.
#[derive(Clone, Debug)]
pub struct GuardInput<'a> {
    /// The limits.
    pub limits: Limits,
    /// The number of mailboxes.
    pub mailboxes: usize,
    /// The mailboxes in which the plan may destroy messages.
    pub before: &'a BTreeMap<MailboxName, Before>,
    /// The account; `None`: it was not counted, as the plan is small.
    pub account: Option<AccountBefore>,
    /// The deletions of the last day.
    pub budget: &'a Budget,
    /// Pairs whose content is in another mailbox, too.
    pub elsewhere: &'a BTreeSet<PairId>,
    /// By mailbox to be deleted, its messages that are in others, too.
    pub spared: &'a BTreeMap<MailboxName, usize>,
    /// Approved ids.
    pub approved: &'a BTreeSet<String>,
    /// Rejected ids.
    pub rejected: &'a BTreeSet<String>,
    /// The settings whose change can look like deletions (G6).
    pub config: &'a str,
    /// Whether they changed since the last run.
    pub config_changed: bool,
    /// Whether an earlier run held uploads.
    pub held_uploads: bool,
}

/// The result of the guard.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The plan to execute.
    pub plan: Plan,
    /// The held changes.
    pub held: Vec<Held>,
    /// The approvals that this plan uses.
    pub used: Vec<String>,
    /// Those of them that stay valid until all approved changes are done.
    pub lasting: BTreeSet<String>,
    /// Whether the user approved the deletions of this plan, by pair; without those that do not
    /// count.
    pub messages: BTreeMap<PairId, Consent>,
    /// The same by mailbox.
    pub mailboxes: BTreeMap<MailboxName, Consent>,
    /// Mailboxes that are not created on the server, as their uploads are held.
    pub uncreated: BTreeSet<MailboxName>,
    /// Mailboxes with reverted actions: they are read completely, as restored messages are not new
    /// on the side that has them.
    pub turned: BTreeSet<MailboxName>,
}

/// Removes what has to be held from a plan.
pub fn check(plan: Plan, context: &GuardInput<'_>) -> Verdict {
    let mut guard = Guard {
        context,
        verdict: Verdict {
            plan,
            ..Verdict::default()
        },
    };
    guard.mailboxes();
    guard.messages();
    guard.unmatched();
    guard.account();
    guard.uploads();
    guard.verdict
}

struct Guard<'a> {
    context: &'a GuardInput<'a>,
    verdict: Verdict,
}

impl Guard<'_> {
    fn mailboxes(&mut self) {
        for side in [Side::Remote, Side::Local] {
            let all = std::mem::take(&mut self.verdict.plan.mailboxes);
            let deletes =
                |a: &MailboxAction| matches!(a, MailboxAction::Delete { on, .. } if *on == side);
            let (deletions, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(deletes);
            self.verdict.plan.mailboxes = rest;
            let (begun, new): (Vec<_>, Vec<_>) = deletions
                .into_iter()
                .partition(|action| self.is_begun(action, side));
            self.verdict.plan.mailboxes.extend(begun);
            let before = self.context.budget.mailboxes(side);
            let (gone, known) = (before + new.len(), before + self.context.mailboxes);
            if self.context.config_changed {
                self.hold_mailboxes(HeldKind::Configuration, side, new);
            } else if gone > 3 && gone * 4 > known {
                self.hold_mailboxes(HeldKind::Mailboxes, side, new);
            } else {
                self.hold_full(side, new);
            }
        }
    }

    /// Whether a cut run began to delete this mailbox.
    fn is_begun(&self, action: &MailboxAction, side: Side) -> bool {
        let (name, budget) = (action.name(), self.context.budget);
        let uid_validity = self.before(name).uid_validity;
        !self.context.config_changed && budget.has_mailbox(side, name, uid_validity)
    }

    fn before(&self, mailbox: &MailboxName) -> Before {
        self.context
            .before
            .get(mailbox)
            .copied()
            .unwrap_or_default()
    }

    /// Holds deletions of mailboxes with many messages, one by one.
    fn hold_full(&mut self, side: Side, deletions: Vec<MailboxAction>) {
        for action in deletions {
            match &action {
                MailboxAction::Delete { name, messages, .. }
                    if self.empties(side, name, self.destroys(name, *messages)) =>
                {
                    self.hold_mailboxes(HeldKind::Emptied, side, vec![action]);
                }
                _ => {
                    self.note(&action, Consent::Unasked);
                    self.verdict.plan.mailboxes.push(action);
                }
            }
        }
    }

    /// Returns the number of messages of a mailbox that are nowhere else.
    fn destroys(&self, mailbox: &MailboxName, messages: usize) -> usize {
        let spared = self.context.spared.get(mailbox).copied().unwrap_or(0);
        messages.saturating_sub(spared)
    }

    /// Whether the deletion of the last messages empties a mailbox that had many.
    fn empties(&self, side: Side, mailbox: &MailboxName, last: usize) -> bool {
        let budget = self.context.budget;
        let many = |messages| messages > self.context.limits.empty;
        many(last)
            || last > 0
                && many(last + budget.messages(side, mailbox))
                && budget.held(side, mailbox).is_some_and(many)
    }

    fn note(&mut self, action: &MailboxAction, consent: Consent) {
        let name = action.name().clone();
        self.verdict.mailboxes.insert(name, consent);
    }

    fn hold_mailboxes(&mut self, kind: HeldKind, side: Side, actions: Vec<MailboxAction>) {
        if actions.is_empty() {
            return;
        }
        let lines: Vec<String> = actions.iter().map(ToString::to_string).collect();
        let mailbox = match actions.as_slice() {
            [MailboxAction::Delete { name, .. }] => Some(name.clone()),
            _ => None,
        };
        let held = Held {
            id: id_of(kind, &lines),
            kind,
            side,
            mailbox,
            count: actions.iter().map(MailboxAction::messages).sum(),
            mailboxes: actions.len(),
            lines,
        };
        match self.word(held) {
            Word::Wait => {}
            Word::Yes => {
                for action in &actions {
                    self.note(action, Consent::Approved);
                }
                self.verdict.plan.mailboxes.extend(actions);
            }
            Word::No => {
                let instead = actions.into_iter().map(mailbox_instead);
                self.verdict.plan.mailboxes.extend(instead);
            }
        }
    }

    fn messages(&mut self) {
        for index in 0..self.verdict.plan.messages.len() {
            for side in [Side::Remote, Side::Local] {
                self.messages_on(side, index);
            }
        }
    }

    fn messages_on(&mut self, side: Side, index: usize) {
        let Some((name, plan)) = self.verdict.plan.messages.get(index) else {
            return;
        };
        let destroys = |action: &&Action| action.destroys_on() == Some(side);
        let (kind, pairs) = match self.context.config_changed {
            true => {
                let pairs = plan.actions.iter().filter(destroys);
                let pairs = pairs.filter_map(Action::destroyed);
                let pairs = pairs.map(|pair| (pair.id, pair.uid)).collect();
                (
                    Some(HeldKind::Configuration),
                    self.not_begun(name, side, pairs),
                )
            }
            false => {
                let pairs = self.counted(name, plan, side);
                (self.verdict_on(side, name, pairs.len()), pairs)
            }
        };
        if let Some(kind) = kind {
            let (name, chosen) = (name.clone(), |a: &Action| pairs.contains(&pair_of(a)));
            self.hold(kind, side, Some(&name), chosen);
        }
    }

    /// Excludes deletions that a cut run began.
    fn not_begun(
        &self,
        mailbox: &MailboxName,
        side: Side,
        pairs: BTreeMap<PairId, Uid>,
    ) -> BTreeSet<PairId> {
        let (budget, uid_validity) = (self.context.budget, self.before(mailbox).uid_validity);
        let new = pairs
            .into_iter()
            .filter(|(_, uid)| !budget.has(side, mailbox, (uid_validity, *uid)));
        new.map(|(pair, _)| pair).collect()
    }

    /// Returns the messages that the plan removes from a side, without deletions that a cut run
    /// began.
    fn counted(&self, mailbox: &MailboxName, plan: &MailboxPlan, side: Side) -> BTreeSet<PairId> {
        let destroyed = plan
            .actions
            .iter()
            .filter(|a| a.destroys_on() == Some(side));
        let gone = destroyed.filter(|action| !self.lies_elsewhere(action));
        let pairs = gone.filter_map(Action::destroyed);
        self.not_begun(
            mailbox,
            side,
            pairs.map(|pair| (pair.id, pair.uid)).collect(),
        )
    }

    /// Returns the same for all mailboxes.
    fn counted_in_account(&self, side: Side) -> BTreeSet<PairId> {
        let plans = self.verdict.plan.messages.iter();
        plans
            .flat_map(|(name, plan)| self.counted(name, plan, side))
            .collect()
    }

    /// Whether a removed message has its content elsewhere on that side. A mark removes only the
    /// marked message.
    fn lies_elsewhere(&self, action: &Action) -> bool {
        matches!(action, Action::Delete { .. }) && self.context.elsewhere.contains(&pair_of(action))
    }

    fn verdict_on(&self, side: Side, name: &MailboxName, count: usize) -> Option<HeldKind> {
        let limits = &self.context.limits;
        let now = self.before(name).messages;
        let spent = self.context.budget.messages(side, name);
        if count == 0 {
            None
        } else if count >= now && self.empties(side, name, now) {
            Some(HeldKind::Emptied)
        } else if count + spent > limits.count
            && (count + spent) * 100 > limits.percent * (now + spent)
        {
            Some(HeldKind::MassDeletion)
        } else {
            None
        }
    }

    fn unmatched(&mut self) {
        let waits = |a: &Action| {
            let unmatched = CopyWhy::Unmatched;
            matches!(a, Action::Copy { why, .. } if *why == unmatched)
        };
        // Holding one changes the sums of all mailboxes.
        let plans = self.verdict.plan.messages.iter();
        let concerned = plans.filter(|(_, plan)| plan.actions.iter().any(waits));
        let names: Vec<MailboxName> = concerned.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.hold(HeldKind::Unmatched, Side::Remote, Some(&name), waits);
        }
    }

    /// The account's limit counts all deletions of the day that were neither held nor approved.
    fn account(&mut self) {
        for side in [Side::Remote, Side::Local] {
            let mut counted = self.counted_in_account(side);
            counted.retain(|pair| !self.verdict.messages.contains_key(pair));
            let whole = self.unasked_mailboxes(side);
            let count = counted.len() + whole.iter().map(|(_, messages)| messages).sum::<usize>();
            if count > 0 && self.exceeds_account(side, count) {
                let names: BTreeSet<MailboxName> =
                    whole.into_iter().map(|(name, _)| name).collect();
                let all = std::mem::take(&mut self.verdict.plan.mailboxes);
                let (held, rest) = all.into_iter().partition(|a: &MailboxAction| {
                    matches!(a, MailboxAction::Delete { on, name, .. }
                        if *on == side && names.contains(name))
                });
                self.verdict.plan.mailboxes = rest;
                self.verdict
                    .mailboxes
                    .retain(|name, _| !names.contains(name));
                self.hold_mailboxes(HeldKind::MassDeletionAccount, side, held);
                let counts = |a: &Action| counted.contains(&pair_of(a));
                self.hold(HeldKind::MassDeletionAccount, side, None, counts);
            }
            self.note_unasked(side);
        }
    }

    /// Returns the mailboxes with unapproved deletions in the plan, and their number.
    fn unasked_mailboxes(&self, side: Side) -> Vec<(MailboxName, usize)> {
        let deletions = self.verdict.plan.mailboxes.iter();
        let deletions = deletions.filter_map(|action| match action {
            MailboxAction::Delete { on, name, messages } if *on == side => {
                Some((name.clone(), self.destroys(name, *messages)))
            }
            _ => None,
        });
        let deletions = deletions.filter(|(_, messages)| *messages > 0);
        let unasked = Some(&Consent::Unasked);
        let words = &self.verdict.mailboxes;
        deletions
            .filter(|(name, _)| words.get(name) == unasked)
            .collect()
    }

    fn exceeds_account(&self, side: Side, count: usize) -> bool {
        let (limits, spent) = (&self.context.limits, self.context.budget.in_account(side));
        let sum = count + spent;
        let most = |account: AccountBefore| sum * 2 > account.messages + spent;
        sum > limits.account || sum > limits.count && self.context.account.is_some_and(most)
    }

    /// Charges the deletions that are executed without approval.
    fn note_unasked(&mut self, side: Side) {
        for pair in self.counted_in_account(side) {
            let entry = self.verdict.messages.entry(pair);
            entry.or_insert(Consent::Unasked);
        }
    }

    /// Holds the upload of an account's mail to a server that has none of it.
    fn uploads(&mut self) {
        let uploads = |a: &Action| {
            let unmatched = CopyWhy::Unmatched;
            matches!(a, Action::Copy { from: AnyId::Local(_), why, .. } if *why != unmatched)
        };
        let (mut lines, mut count, mut linked) = (Vec::new(), 0, 0);
        for (name, plan) in &self.verdict.plan.messages {
            let own = plan.actions.iter().filter(|a| uploads(a)).count();
            let links = plan.actions.iter().filter(|a| matches!(a, Action::Link(_)));
            (count, linked) = (count + own, linked + links.count());
            if own > 0 {
                lines.push(format!("{name}: upload {own} messages"));
            }
        }
        let known = self.context.account.unwrap_or_default();
        let common = known.there + linked;
        // A server that has the messages of the base is the same one.
        let sure = known.there > 0 && known.there * 2 >= known.messages;
        let sure = sure && !self.context.held_uploads;
        if count <= self.context.limits.upload || common * 10 > count || sure {
            return;
        }
        let held = Held {
            id: id_of(HeldKind::MassUpload, &[self.context.config.to_owned()]),
            kind: HeldKind::MassUpload,
            side: Side::Remote,
            mailbox: None,
            count,
            mailboxes: 0,
            lines,
        };
        let id = held.id.clone();
        if self.word(held) == Word::Yes {
            self.verdict.lasting.insert(id);
            return;
        }
        let created = self.verdict.plan.mailboxes.extract_if(.., |action| {
            matches!(
                action,
                MailboxAction::Create {
                    on: Side::Remote,
                    ..
                }
            )
        });
        self.verdict.uncreated = created.map(|action| action.name().clone()).collect();
        let uncreated = &self.verdict.uncreated;
        self.verdict
            .plan
            .messages
            .retain(|(name, _)| !uncreated.contains(name));
        for (_, plan) in &mut self.verdict.plan.messages {
            plan.actions.retain(|action| !uploads(action));
        }
    }

    /// Removes the actions that `which` selects from the plan of a mailbox (or of all), unless the
    /// user approved exactly these.
    fn hold(
        &mut self,
        kind: HeldKind,
        side: Side,
        mailbox: Option<&MailboxName>,
        which: impl Fn(&Action) -> bool,
    ) {
        let (mut lines, mut pairs) = (Vec::new(), Vec::new());
        for (name, plan) in &self.verdict.plan.messages {
            if mailbox.is_none_or(|only| only == name) {
                for action in plan.actions.iter().filter(|action| which(action)) {
                    lines.push(format!("{name}: {action}"));
                    pairs.extend(action.destroyed().map(|pair| pair.id));
                }
            }
        }
        if lines.is_empty() {
            return;
        }
        let (id, count) = (id_of(kind, &lines), lines.len());
        let mailbox = mailbox.cloned();
        let held = Held {
            id,
            kind,
            side,
            mailbox: mailbox.clone(),
            count,
            mailboxes: 0,
            lines,
        };
        let word = self.word(held);
        if word == Word::Yes {
            let approved = pairs.into_iter().map(|pair| (pair, Consent::Approved));
            return self.verdict.messages.extend(approved);
        }
        for (name, plan) in &mut self.verdict.plan.messages {
            if mailbox.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            let (chosen, rest) = std::mem::take(&mut plan.actions)
                .into_iter()
                .partition(&which);
            plan.actions = rest;
            if word == Word::No {
                let chosen: Vec<Action> = chosen;
                if !chosen.is_empty() {
                    self.verdict.turned.insert(name.clone());
                }
                plan.actions.extend(chosen.into_iter().map(instead));
            }
        }
    }

    /// Returns the user's verdict on a change. Uploads cannot be reverted, so they stay held.
    fn word(&mut self, held: Held) -> Word {
        if self.context.rejected.contains(&held.id) && !held.kind.uploads() {
            self.verdict.used.push(held.id);
            Word::No
        } else if self.context.approved.contains(&held.id) {
            self.verdict.used.push(held.id);
            Word::Yes
        } else {
            self.verdict.held.push(held);
            Word::Wait
        }
    }
}

/// Returns the pair that an action destroys; for others an id that no pair has.
fn pair_of(action: &Action) -> PairId {
    action.destroyed().map_or(PairId(-1), |pair| pair.id)
}

/// The user's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// None yet.
    Wait,
    /// Approved.
    Yes,
    /// Rejected.
    No,
}

fn id_of(kind: HeldKind, lines: &[String]) -> String {
    let mut sorted: Vec<&String> = lines.iter().collect();
    sorted.sort();
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind.name().as_bytes());
    for line in sorted {
        hasher.update(b"\n").update(line.as_bytes());
    }
    let hex = hasher.finalize().to_hex();
    hex.chars().take(8).collect()
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
