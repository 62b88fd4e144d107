//! Looking and planning: which mailboxes there are, what is in those that changed, and what is to
//! be done. Changes neither side; the state only where a UIDVALIDITY changed.

use super::account::Account;
use super::execute::Work;
use super::report::{Ended, Event, Report};
use crate::model::{Id, MailboxBase, MailboxKey, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::mailboxes::{self, Step};
use crate::reconcile::plan::Forget;
use crate::reconcile::{Coverage, Cursor, Listed, Look, MailboxAction, messages};
use crate::store::{Ask, Depth, Keep, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// A mailbox is compared message by message at least this often, seconds: deltas are an
/// optimisation, the full compare is the guarantee.
const FULL_EVERY: i64 = 24 * 3600;

/// What the cheap look at both sides showed.
struct Overview {
    keys: BTreeMap<MailboxName, MailboxKey>,
    cursors: [BTreeMap<MailboxName, Cursor>; 2],
    quiet: BTreeSet<MailboxName>,
    restless: BTreeSet<MailboxKey>,
}

impl Overview {
    fn cursor(&self, side: Side, name: &MailboxName) -> Option<&Cursor> {
        let [remote, local] = &self.cursors;
        match side {
            Side::Remote => remote.get(name),
            Side::Local => local.get(name),
        }
    }
}

pub(super) type Survey = (Vec<MailboxAction>, BTreeMap<MailboxName, Work>);

impl<R: Store<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Looks at everything cheaply, then into what changed, and plans.
    pub(super) async fn survey(&mut self, report: &mut Report) -> Result<Survey, Ended> {
        let (overview, steps) = self.overview().await?;
        report.mailboxes = steps
            .iter()
            .filter(|step| !matches!(step, Step::Leave(..)))
            .count();
        let (mut actions, mut works) = (Vec::new(), BTreeMap::new());
        for step in steps {
            self.check_stop()?;
            let name = match &step {
                Step::Leave(name, why) => {
                    if let Some(why) = why {
                        report.trouble(Some(name), &StoreError::Mailbox(why.clone()));
                    }
                    continue;
                }
                Step::Forget(name) => {
                    actions.push(MailboxAction::Forget(name.clone()));
                    continue;
                }
                Step::Live(name)
                | Step::Adopt(name)
                | Step::Create(_, name)
                | Step::Missing(_, name)
                | Step::Recreate(_, name) => name.clone(),
            };
            if !self.needs_look(&step, &overview)? {
                continue;
            }
            self.observer.event(Event::Looking(&name));
            match self.plan_mailbox(&step, &overview, report).await {
                Ok((action, work)) => {
                    actions.extend(action);
                    works.extend(work.map(|work| (name, work)));
                }
                Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                    report.trouble(Some(&name), &error);
                }
                Err(ended) => return Err(ended),
            }
        }
        Ok((actions, works))
    }

    async fn overview(&mut self) -> Result<(Overview, Vec<Step>), Ended> {
        let cursors = [
            self.state.cursors(Side::Remote)?,
            self.state.cursors(Side::Local)?,
        ];
        let [left_remote, left_local] = &cursors;
        let local = self.local.list(left_local).await?;
        let remote = self.remote.list(left_remote).await?;
        let keys = self.state.mailboxes()?;
        let base: BTreeSet<MailboxName> = keys.keys().cloned().collect();
        let case = mailboxes::Case {
            base: &base,
            remote: &remote,
            local: &local,
            policy: &self.policy,
        };
        let mut steps =
            mailboxes::decide(&case).map_err(|halt| StoreError::Guard(halt.to_string()))?;
        steps.retain(|step| match step {
            Step::Live(name)
            | Step::Adopt(name)
            | Step::Create(_, name)
            | Step::Missing(_, name)
            | Step::Recreate(_, name)
            | Step::Forget(name)
            | Step::Leave(name, _) => self.concerns(name),
        });
        let still = |list: &[Listed]| -> BTreeSet<MailboxName> {
            list.iter()
                .filter(|l| l.unchanged)
                .map(|l| l.name.clone())
                .collect()
        };
        let quiet = still(&remote)
            .intersection(&still(&local))
            .cloned()
            .collect();
        let restless = self.state.restless((self.world.now)())?;
        Ok((
            Overview {
                keys,
                cursors,
                quiet,
                restless,
            },
            steps,
        ))
    }

    fn needs_look(&self, step: &Step, overview: &Overview) -> Result<bool, Ended> {
        let Step::Live(name) = step else {
            return Ok(true);
        };
        let Some(key) = overview.keys.get(name) else {
            return Ok(true);
        };
        let quiet = overview.quiet.contains(name) && !overview.restless.contains(key);
        Ok(!quiet || self.full_due(*key)?)
    }

    fn full_due(&self, key: MailboxKey) -> Result<bool, Ended> {
        Ok((self.world.now)() - self.state.full_at(key)? >= FULL_EVERY)
    }

    async fn plan_mailbox(
        &mut self,
        step: &Step,
        overview: &Overview,
        report: &mut Report,
    ) -> Result<(Option<MailboxAction>, Option<Work>), Ended> {
        match step {
            Step::Live(name) => {
                let base = self.known_base(name, overview)?;
                let work = self.look_both(base, overview, report).await?;
                Ok((None, Some(work)))
            }
            Step::Adopt(name) => {
                let work = self
                    .look_both(self.new_base(name), overview, report)
                    .await?;
                Ok((Some(MailboxAction::Adopt(name.clone())), Some(work)))
            }
            Step::Create(on, name) => {
                let work = self.look_across(*on, self.new_base(name), report).await?;
                let (on, name, forget) = (*on, name.clone(), Forget::Nothing);
                Ok((Some(MailboxAction::Create { on, name, forget }), Some(work)))
            }
            Step::Recreate(on, name) => self.recreate(*on, name, overview, report).await,
            Step::Missing(from, name) => self.missing(*from, name, overview, report).await,
            Step::Forget(_) | Step::Leave(..) => Ok((None, None)),
        }
    }

    async fn recreate(
        &mut self,
        on: Side,
        name: &MailboxName,
        overview: &Overview,
        report: &mut Report,
    ) -> Result<(Option<MailboxAction>, Option<Work>), Ended> {
        let known = self.known_base(name, overview)?;
        let fresh = MailboxBase {
            key: known.key,
            tag: known.tag,
            ..self.new_base(name)
        };
        let work = self.look_across(on, fresh, report).await?;
        report.note(format!(
            "mailbox {name} was gone on {on} and is created there again"
        ));
        let (name, forget) = (name.clone(), Forget::Messages);
        Ok((Some(MailboxAction::Create { on, name, forget }), Some(work)))
    }

    /// F4 to F7: gone on one side; is there anything across that the base does not know?
    async fn missing(
        &mut self,
        from: Side,
        name: &MailboxName,
        overview: &Overview,
        report: &mut Report,
    ) -> Result<(Option<MailboxAction>, Option<Work>), Ended> {
        let absent = match from {
            Side::Remote => self.remote.confirm_absent(name).await?,
            Side::Local => self.local.confirm_absent(name).await?,
        };
        if !absent {
            let what = format!("{name} was not listed on {from}, but may be there; left alone");
            return Err(StoreError::Mailbox(what).into());
        }
        let base = self.known_base(name, overview)?;
        let ask = Ask {
            base: &base,
            cursor: None,
            depth: Depth::Everything,
        };
        let action = match from {
            Side::Local => mailboxes::gone_from_disk(&base, &self.remote.look(&ask).await?),
            Side::Remote => mailboxes::gone_from_server(&base, &self.local.look(&ask).await?),
        };
        match action {
            MailboxAction::Create { .. } => self.recreate(from, name, overview, report).await,
            other => Ok((Some(other), None)),
        }
    }

    /// A mailbox that is to be created on one side: the plan is made against an empty one.
    async fn look_across(
        &mut self,
        on: Side,
        base: MailboxBase,
        report: &mut Report,
    ) -> Result<Work, Ended> {
        let ask = Ask {
            base: &base,
            cursor: None,
            depth: Depth::Everything,
        };
        match on {
            Side::Remote => {
                let local = self.local.look(&ask).await?;
                self.plan_messages(base, Look::empty(), local, report).await
            }
            Side::Local => {
                let remote = self.remote.look(&ask).await?;
                self.plan_messages(base, remote, Look::empty(), report)
                    .await
            }
        }
    }

    async fn look_both(
        &mut self,
        base: MailboxBase,
        overview: &Overview,
        report: &mut Report,
    ) -> Result<Work, Ended> {
        let known = overview.keys.contains_key(&base.name);
        let everything = !known || self.full_due(base.key)?;
        let depth = if everything {
            Depth::Everything
        } else {
            Depth::Changes
        };
        // The disk first: what it shows can only be older than what the server shows, so a message
        // that we ourselves are copying is never missed on both.
        let cursor = overview.cursor(Side::Local, &base.name);
        let local = self
            .local
            .look(&Ask {
                base: &base,
                cursor,
                depth,
            })
            .await?;
        let cursor = overview.cursor(Side::Remote, &base.name);
        let remote = self
            .remote
            .look(&Ask {
                base: &base,
                cursor,
                depth,
            })
            .await?;
        let mut work = self.plan_messages(base, remote, local, report).await?;
        work.full = everything;
        Ok(work)
    }

    async fn plan_messages(
        &mut self,
        mut base: MailboxBase,
        remote: Look<Uid>,
        local: Look<MaildirId>,
        report: &mut Report,
    ) -> Result<Work, Ended> {
        for remark in remote.remarks.iter().chain(&local.remarks) {
            report.trouble(Some(&base.name), &StoreError::Mailbox(remark.clone()));
        }
        if remote.epoch.is_none() && base.epoch.is_none() && !remote.seen.is_empty() {
            let what = format!("{}: the server gave no UIDVALIDITY", base.name);
            return Err(StoreError::Mailbox(what).into());
        }
        let moved = base.epoch.is_some() && remote.epoch.is_some() && base.epoch != remote.epoch;
        if moved || remote.renumbered {
            self.rematch(&mut base, &remote, &local, report).await?;
        } else if base.epoch.is_none() {
            base.epoch = remote.epoch;
        }
        let found = self.find_links(&base, &remote, &local).await?;
        let plan = messages::decide(&messages::Case {
            base: &base,
            remote: &remote,
            local: &local,
            links: &found.links,
            in_doubt: &found.in_doubt,
            policy: &self.policy,
            now: (self.world.now)(),
        });
        for note in &plan.notes {
            report.note(format!("{}: {}: {}", base.name, note.id, note.text));
        }
        let partial = remote.coverage == Coverage::Partial || local.coverage == Coverage::Partial;
        if partial {
            report.unsettled.insert(base.name.clone());
        }
        // What was passed over shall be named by every run, so the mailbox is looked at again.
        let complete = !partial && remote.remarks.is_empty() && local.remarks.is_empty();
        Ok(Work {
            plan,
            planned: 0,
            remote_cursor: remote.cursor,
            local_cursor: local.cursor,
            stores: remote.stores,
            in_doubt: !found.in_doubt.is_empty(),
            complete,
            full: false,
            sound: true,
            base,
        })
    }

    fn known_base(&self, name: &MailboxName, o: &Overview) -> Result<MailboxBase, Ended> {
        match o.keys.get(name) {
            Some(key) => Ok(self.state.base(*key)?),
            None => Ok(self.new_base(name)),
        }
    }

    fn new_base(&self, name: &MailboxName) -> MailboxBase {
        MailboxBase {
            key: MailboxKey(0),
            name: name.clone(),
            tag: (self.world.random)(),
            epoch: None,
            pairs: Vec::new(),
            aside: Vec::new(),
        }
    }
}

/// New messages of a look: those that the base does not know.
pub(super) fn unknown<'a, I: Id>(look: &'a Look<I>, known: &BTreeSet<&I>) -> Vec<&'a I> {
    look.seen.keys().filter(|id| !known.contains(id)).collect()
}
