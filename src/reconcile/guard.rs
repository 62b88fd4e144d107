//! What has to wait for the user's word. Looks at a whole plan after planning and before the
//! first operation, and takes out what destroys too much; the rest goes on.
//!
//! A held part is named by its content: approving it lets exactly that run, nothing else.

use super::action::{Action, CopyWhy};
use super::mailbox_action::MailboxAction;
use super::plan::Plan;
use super::policy::Limits;
use super::reject::{instead, mailbox_instead};
use crate::model::{MailboxName, Side};
use std::collections::{BTreeMap, BTreeSet};

/// Why something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldKind {
    /// Too many deletions in one mailbox.
    MassDeletion,
    /// Too many deletions in the account.
    MassDeletionAccount,
    /// A mailbox that held messages would be empty or gone.
    Emptied,
    /// Too many mailboxes are gone at once.
    Mailboxes,
    /// The configuration changed since the last run, and this would delete.
    Configuration,
    /// Messages that lost their UIDs, and that the server does not have.
    Unmatched,
}

impl HeldKind {
    /// As in `--json` and the database.
    pub fn name(self) -> &'static str {
        match self {
            HeldKind::MassDeletion => "mass-deletion",
            HeldKind::MassDeletionAccount => "mass-deletion-account",
            HeldKind::Emptied => "emptied-mailbox",
            HeldKind::Mailboxes => "many-mailboxes-gone",
            HeldKind::Configuration => "configuration-changed",
            HeldKind::Unmatched => "unmatched-after-uidvalidity",
        }
    }
}

/// A part of a plan that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Names it, and exactly it.
    pub id: String,
    /// Why it waits.
    pub kind: HeldKind,
    /// Where it would act.
    pub side: Side,
    /// In which mailbox; `None`: in several.
    pub mailbox: Option<MailboxName>,
    /// How many messages (or mailboxes).
    pub count: usize,
    /// What it would do, a line each.
    pub lines: Vec<String>,
}

/// What the guard goes by besides the plan.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// How much may be deleted unasked.
    pub limits: Limits,
    /// How many mailboxes are known.
    pub mailboxes: usize,
    /// How many messages each mailbox held in the base of which the plan may destroy some.
    pub held_before: &'a BTreeMap<MailboxName, usize>,
    /// What the user approved, by id.
    pub approved: &'a BTreeSet<String>,
    /// What the user rejected, by id.
    pub rejected: &'a BTreeSet<String>,
    /// Whether the configuration changed in a way that can make things look deleted (G6).
    pub config_changed: bool,
    /// Messages deleted earlier in this same run, by direction.
    pub already: BTreeMap<Side, usize>,
}

/// What may go on, and what waits.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What may be carried out.
    pub plan: Plan,
    /// What waits.
    pub held: Vec<Held>,
    /// Approvals that this plan uses up.
    pub used: Vec<String>,
    /// Mailboxes in which the plan was turned round: they are to be looked at as a whole, for what
    /// comes back is nothing new on the side that has it.
    pub turned: BTreeSet<MailboxName>,
}

/// Takes out of the plan what has to wait.
pub fn check(plan: Plan, context: &Context<'_>) -> Verdict {
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
    guard.verdict
}

struct Guard<'a> {
    context: &'a Context<'a>,
    verdict: Verdict,
}

impl Guard<'_> {
    fn mailboxes(&mut self) {
        let known = self.context.mailboxes;
        for side in [Side::Remote, Side::Local] {
            let all = std::mem::take(&mut self.verdict.plan.mailboxes);
            let (deletions, rest): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|a| matches!(a, MailboxAction::Delete { on, .. } if *on == side));
            self.verdict.plan.mailboxes = rest;
            let many = deletions.len() > 3 && deletions.len() * 4 > known;
            if self.context.config_changed || many {
                let kind = match self.context.config_changed {
                    true => HeldKind::Configuration,
                    false => HeldKind::Mailboxes,
                };
                self.hold_mailboxes(kind, side, deletions);
                continue;
            }
            for action in deletions {
                match &action {
                    MailboxAction::Delete { messages, .. } if self.too_full(*messages) => {
                        self.hold_mailboxes(HeldKind::Emptied, side, vec![action]);
                    }
                    _ => self.verdict.plan.mailboxes.push(action),
                }
            }
        }
    }

    fn too_full(&self, messages: usize) -> bool {
        messages > self.context.limits.empty
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
            count: lines.len(),
            lines,
        };
        match self.word(held) {
            Word::Wait => {}
            Word::Yes => self.verdict.plan.mailboxes.extend(actions),
            Word::No => {
                let instead = actions.into_iter().map(mailbox_instead);
                self.verdict.plan.mailboxes.extend(instead);
            }
        }
    }

    fn messages(&mut self) {
        for index in 0..self.verdict.plan.messages.len() {
            for side in [Side::Remote, Side::Local] {
                let Some((name, plan)) = self.verdict.plan.messages.get(index) else {
                    continue;
                };
                let count = plan
                    .actions
                    .iter()
                    .filter(|a| a.destroys_on() == Some(side))
                    .count();
                let Some(kind) = self.verdict_on(name, count) else {
                    continue;
                };
                let name = name.clone();
                self.hold(kind, side, Some(&name), |a| a.destroys_on() == Some(side));
            }
        }
    }

    fn verdict_on(&self, name: &MailboxName, count: usize) -> Option<HeldKind> {
        let limits = &self.context.limits;
        let before = self.context.held_before.get(name).copied().unwrap_or(0);
        if count == 0 {
            None
        } else if self.context.config_changed {
            Some(HeldKind::Configuration)
        } else if count >= before && self.too_full(before) {
            Some(HeldKind::Emptied)
        } else if count > limits.count && count * 100 > limits.percent * before {
            Some(HeldKind::MassDeletion)
        } else {
            None
        }
    }

    fn unmatched(&mut self) {
        let waits = |a: &Action| {
            matches!(
                a,
                Action::Copy {
                    why: CopyWhy::Unmatched,
                    ..
                }
            )
        };
        // To hold takes a look at the plans of all mailboxes.
        let plans = self.verdict.plan.messages.iter();
        let concerned = plans.filter(|(_, plan)| plan.actions.iter().any(waits));
        let names: Vec<MailboxName> = concerned.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.hold(HeldKind::Unmatched, Side::Remote, Some(&name), waits);
        }
    }

    /// The limit of the account counts what was neither held nor approved mailbox by mailbox.
    fn account(&mut self) {
        for side in [Side::Remote, Side::Local] {
            let destroys = |a: &Action| a.destroys_on() == Some(side);
            let plans = self.verdict.plan.messages.iter();
            let count: usize = plans
                .map(|(_, p)| p.actions.iter().filter(|a| destroys(a)).count())
                .sum();
            let already = self.context.already.get(&side).copied().unwrap_or(0);
            if self.verdict.used.is_empty() && count + already > self.context.limits.account {
                self.hold(HeldKind::MassDeletionAccount, side, None, destroys);
            }
        }
    }

    /// Takes the actions that `which` chooses out of the plan of a mailbox (or of all), unless the
    /// user approved exactly these.
    fn hold(
        &mut self,
        kind: HeldKind,
        side: Side,
        mailbox: Option<&MailboxName>,
        which: impl Fn(&Action) -> bool,
    ) {
        let mut lines = Vec::new();
        for (name, plan) in &self.verdict.plan.messages {
            if mailbox.is_none_or(|only| only == name) {
                let chosen = plan.actions.iter().filter(|action| which(action));
                lines.extend(chosen.map(|action| format!("{name}: {action}")));
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
            lines,
        };
        let word = self.word(held);
        if word == Word::Yes {
            return;
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

    /// What the user said of this, if anything.
    fn word(&mut self, held: Held) -> Word {
        if self.context.rejected.contains(&held.id) {
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

/// The user's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// Not given yet.
    Wait,
    /// It may run.
    Yes,
    /// It shall not.
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
