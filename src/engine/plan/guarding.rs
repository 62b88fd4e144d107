//! Calls the guard with the counts of the account, and charges executed deletions.

use crate::engine::context::Context;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{MailboxKey, MailboxName, PairId, Side, Uid};
use crate::reconcile::budget::{Budget, Charge, Consent};
use crate::reconcile::guard::{AccountBefore, Before, GuardInput, HeldKind, Verdict};
use crate::reconcile::mailbox_action::Forget;
use crate::reconcile::{Action, MailboxAction, Plan};
use crate::store::{LocalStore, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// A verdict with its inputs.
pub(in crate::engine) struct Guarded {
    pub verdict: Verdict,
    budget: Budget,
    before: BTreeMap<MailboxName, Before>,
    keys: BTreeMap<MailboxName, MailboxKey>,
}

/// Messages that are in another mailbox, too.
#[derive(Default)]
struct Elsewhere {
    pairs: BTreeSet<PairId>,
    /// Their number by mailbox to be deleted.
    spared: BTreeMap<MailboxName, usize>,
}

/// Removes changes that wait for approval from the plan.
pub(in crate::engine) fn guard<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    plan: Plan,
    pass: &PassState,
) -> Result<Guarded, Ended> {
    let keys = ctx.state.mailboxes()?;
    let doomed = plan.doomed();
    let budget = match doomed.is_empty() {
        true => Budget::default(),
        false => Budget::of(&ctx.state.charges((ctx.world.now)())?),
    };
    let mut before = BTreeMap::new();
    for (name, key) in doomed
        .iter()
        .filter_map(|name| Some((name, *keys.get(name)?)))
    {
        let (messages, uid_validity) = (ctx.state.count(key)?, ctx.state.uid_validity(key)?);
        before.insert(
            name.clone(),
            Before {
                messages,
                uid_validity,
            },
        );
    }
    let close = is_close(ctx, &plan, &budget, &before);
    let elsewhere = match doomed.is_empty() {
        true => Elsewhere::default(),
        false => lies_elsewhere(ctx, &plan, &keys, close, pass)?,
    };
    let held = ctx.state.held()?;
    let upload = HeldKind::MassUpload.name();
    let input = GuardInput {
        limits: ctx.policy.limits,
        mailboxes: keys.len(),
        before: &before,
        account: account_before(ctx, &plan, &keys, close)?,
        budget: &budget,
        elsewhere: &elsewhere.pairs,
        spared: &elsewhere.spared,
        approved: &ctx.state.approved()?,
        rejected: &ctx.state.rejected()?,
        config: &ctx.options.config,
        config_changed: ctx.config_changed()?,
        held_uploads: held.iter().any(|row| row.kind == upload),
    };
    Ok(Guarded {
        verdict: crate::reconcile::guard::check(plan, &input),
        budget,
        before,
        keys,
    })
}

/// Whether the plan comes close to a limit, so that its deletions are examined.
fn is_close<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    plan: &Plan,
    budget: &Budget,
    before: &BTreeMap<MailboxName, Before>,
) -> bool {
    let limits = &ctx.policy.limits;
    let whole: usize = plan.mailboxes.iter().map(MailboxAction::messages).sum();
    let count = plan.destroyed().len() + whole;
    let spent = Side::BOTH.map(|side| budget.in_account(side));
    let most = spent.into_iter().max().unwrap_or(0) + count;
    let mut full = before.values().map(|before| before.messages);
    most > limits.count || full.any(|held| held > limits.empty && held <= count)
}

/// Returns the messages to delete that stay in another mailbox.
fn lies_elsewhere<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    plan: &Plan,
    keys: &BTreeMap<MailboxName, MailboxKey>,
    thorough: bool,
    pass: &PassState,
) -> Result<Elsewhere, Ended> {
    let actions = plan.messages.iter().flat_map(|(_, plan)| &plan.actions);
    let mut leaving: BTreeSet<PairId> = actions.filter_map(leaves).collect();
    let (mut unsure, mut doomed) = (BTreeSet::new(), BTreeMap::new());
    for action in &plan.mailboxes {
        let name = action.name();
        let Some(key) = keys.get(name) else { continue };
        if !matches!(action, MailboxAction::Adopt(_)) {
            unsure.insert(*key);
        }
        if action.messages() > 0 {
            let pairs: BTreeSet<PairId> = ctx.state.uids_of_pairs(*key)?.into_keys().collect();
            leaving.extend(pairs.iter().copied());
            doomed.insert(name, pairs);
        }
    }
    let seen = |name: &MailboxName| ctx.policy.chooses(name) && !pass.is_hidden(name);
    unsure.extend(
        keys.iter()
            .filter(|(name, _)| !seen(name))
            .map(|(_, key)| *key),
    );
    let stays = |pairs: &BTreeSet<PairId>| -> Result<BTreeSet<PairId>, Ended> {
        let mut equals = ctx.state.equals(pairs, thorough)?;
        equals.retain(|one| !leaving.contains(&one.other) && !unsure.contains(&one.mailbox));
        Ok(equals.into_iter().map(|one| one.pair).collect())
    };
    let mut elsewhere = Elsewhere {
        pairs: stays(&plan.destroyed())?,
        ..Elsewhere::default()
    };
    for (name, pairs) in doomed {
        elsewhere.spared.insert(name.clone(), stays(&pairs)?.len());
    }
    Ok(elsewhere)
}

/// Counts the account, if needed: that reads each row.
fn account_before<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    plan: &Plan,
    keys: &BTreeMap<MailboxName, MailboxKey>,
    close: bool,
) -> Result<Option<AccountBefore>, Ended> {
    let actions = || plan.messages.iter().flat_map(|(_, plan)| &plan.actions);
    let uploads = actions().filter(|action| is_upload(action)).count();
    if !close && uploads <= ctx.policy.limits.upload {
        return Ok(None);
    }
    let messages = ctx.state.messages()?;
    let mut gone = actions().filter(|action| is_gone_there(action)).count();
    for action in &plan.mailboxes {
        if let MailboxAction::Create {
            on: Side::Remote,
            name,
            forget: Forget::Messages,
        }
        | MailboxAction::Delete {
            on: Side::Local,
            name,
            ..
        } = action
            && let Some(key) = keys.get(name)
        {
            gone += ctx.state.count(*key)?;
        }
    }
    let there = messages.saturating_sub(gone);
    Ok(Some(AccountBefore { messages, there }))
}

/// Charges deletions before they are executed.
pub(in crate::engine) fn charge<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    guarded: &Guarded,
) -> Result<(), Ended> {
    let mut charges = guarded.messages();
    for action in &guarded.verdict.plan.mailboxes {
        if let MailboxAction::Delete { on, name, .. } = action
            && let Some(consent) = guarded.verdict.mailboxes.get(name)
            && let Some(key) = guarded.keys.get(name)
        {
            let uids = ctx.state.uids_of_pairs(*key)?.into_values().collect();
            charges.push(Charge {
                whole: true,
                ..guarded.charge(*on, name, *consent, uids)
            });
        }
    }
    let now = (ctx.world.now)();
    Ok(ctx.state.charge(&charges, now)?)
}

impl Guarded {
    fn charge(&self, side: Side, name: &MailboxName, consent: Consent, uids: Vec<Uid>) -> Charge {
        let before = self.before.get(name).copied().unwrap_or_default();
        Charge {
            side,
            mailbox: name.clone(),
            uid_validity: before.uid_validity,
            held: before.messages,
            whole: false,
            consent,
            uids,
        }
    }

    /// Returns the countable deletions of the plan by mailbox, without those charged already.
    fn messages(&self) -> Vec<Charge> {
        let mut charges = Vec::new();
        for (name, plan) in &self.verdict.plan.messages {
            let uid_validity = self.before.get(name).and_then(|before| before.uid_validity);
            for side in Side::BOTH {
                for consent in [Consent::Unasked, Consent::Approved] {
                    let on = plan
                        .actions
                        .iter()
                        .filter(|a| a.destroys_on() == Some(side));
                    let pairs = on.filter_map(Action::destroyed);
                    let own = pairs.filter(|p| self.verdict.messages.get(&p.id) == Some(&consent));
                    let new = own.filter(|p| !self.budget.has(side, name, (uid_validity, p.uid)));
                    let uids: Vec<Uid> = new.map(|pair| pair.uid).collect();
                    if !uids.is_empty() {
                        charges.push(self.charge(side, name, consent, uids));
                    }
                }
            }
        }
        charges
    }
}

/// Returns the pair whose message is or will be gone from a side.
fn leaves(action: &Action) -> Option<PairId> {
    match action {
        Action::Forget { pair } | Action::Detach { pair, .. } => Some(pair.id),
        other => other.destroyed().map(|pair| pair.id),
    }
}

fn is_upload(action: &Action) -> bool {
    matches!(action, Action::Copy { from, .. } if from.side() == Side::Local)
}

fn is_gone_there(action: &Action) -> bool {
    match action {
        Action::Delete { on, .. } => *on == Side::Local,
        Action::Forget { .. } => true,
        _ => false,
    }
}
