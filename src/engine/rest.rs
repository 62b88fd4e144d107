//! Whether a pass that changed only the disk has left the account in step, so that no other has to
//! look at the server again. What happens there meanwhile is the next run's: its cheap look shows
//! it. A pass that changed the server is always followed by another, which sees what became of it.

use super::account::Account;
use super::report::Ended;
use super::work::{Work, Works};
use crate::model::{MailboxBase, MaildirId, Pair, Side, Uid};
use crate::reconcile::guard::Verdict;
use crate::reconcile::renames::Home;
use crate::reconcile::rest::{after, agrees};
use crate::reconcile::{Action, Coverage, Cursor, Listed, MailboxAction};
use crate::store::{Ask, Depth, Keep, Serve};

/// What happens during a pass that took longer than this is not left to the next run, seconds.
const LONG: i64 = 30;

/// Whether the plan changes the disk alone, and leaves nothing open when it is carried out.
pub(super) fn leaves_nothing(verdict: &Verdict) -> bool {
    let plain = |action: &MailboxAction| match action {
        MailboxAction::Adopt(_) => true,
        MailboxAction::Create { on, .. } => *on == Side::Local,
        MailboxAction::Delete { .. }
        | MailboxAction::Forget(_)
        | MailboxAction::Rename { .. }
        | MailboxAction::Follow { .. } => false,
    };
    let clear = |action: &Action| match action {
        Action::Copy { from, .. } => from.side() == Side::Remote,
        Action::Flags { remote, .. } | Action::Link { remote, .. } => remote.is_empty(),
        Action::Delete { on, .. } => *on == Side::Local,
        Action::Forget { .. } => true,
        Action::Split { .. }
        | Action::Discard { .. }
        | Action::Move(_)
        | Action::Rekey { .. }
        | Action::Duplicate(_)
        | Action::Recall(_)
        | Action::Detach { .. }
        | Action::Unmark { .. }
        | Action::SetAside(_)
        | Action::Unaside(_) => false,
    };
    let plan = &verdict.plan;
    let mut actions = plan.messages.iter().flat_map(|(_, plan)| &plan.actions);
    verdict.held.is_empty()
        && verdict.used.is_empty()
        && verdict.turned.is_empty()
        && plan.mailboxes.iter().all(plain)
        && actions.all(clear)
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Whether all was done as planned and the disk shows just that; then it is remembered as it
    /// is, so that the next run need not read it.
    pub(super) async fn rests(
        &mut self,
        works: &Works,
        remote: &[Listed],
        began: i64,
    ) -> Result<bool, Ended> {
        if !(0..LONG).contains(&((self.world.now)() - began)) {
            return Ok(false);
        }
        for work in works.values() {
            if !work.is_done() {
                tracing::debug!(mailbox = %work.base.name, "not done");
                return Ok(false);
            }
            // What had not been looked at before is compared as a whole.
            let cursor = Some(&work.local_cursor).filter(|cursor| **cursor != Cursor::default());
            // What was changed in this very moment is not waited for: the next run looks there.
            if cursor.is_some() && !self.local.is_at_rest(&work.base.name) {
                continue;
            }
            let base = self.base_after(work)?;
            let depth = match cursor {
                Some(_) => Depth::Changes,
                None => Depth::Everything,
            };
            let ask = Ask {
                base: &base,
                cursor,
                depth,
            };
            let look = match self.local.look(&ask).await {
                Ok(look) => look,
                Err(error) if error.is_local_to_mailbox() => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            if !agrees(&base, &look) {
                tracing::debug!(mailbox = %work.base.name, "changed meanwhile on disk");
                return Ok(false);
            }
            if look.cursor != work.local_cursor {
                self.state.set_cursor(base.key, Side::Local, &look.cursor)?;
            }
            // What was new on one side has now been compared message by message.
            if work.listed && look.coverage == Coverage::Complete {
                self.state.set_full_at(base.key, (self.world.now)())?;
            }
        }
        let homes = self.state.homes()?;
        let unnamed = |home: &Home| home.remote.is_none() || home.local.is_none();
        // A mailbox that was created a moment ago is another than the one that had its name.
        let created = |work: &Work| work.local_cursor == Cursor::default();
        if homes.iter().any(unnamed) || works.values().any(created) {
            let local = self.local.list(&self.state.cursors(Side::Local)?).await?;
            self.note_identities(homes, (remote, &local))?;
        }
        Ok(true)
    }

    /// What is known of a mailbox now that its plan was carried out.
    fn base_after(&self, work: &Work) -> Result<MailboxBase, Ended> {
        let Some(base) = after(&work.base, &work.plan) else {
            return Ok(self.state.base(work.base.key)?);
        };
        if cfg!(debug_assertions) {
            let recorded = self.state.base(work.base.key)?;
            let shown = |base: &MailboxBase| -> Vec<_> {
                let pair = |p: &Pair| (p.uid, p.file.clone(), p.flags.clone(), p.tombstone);
                base.pairs.iter().map(pair).collect()
            };
            assert_eq!(
                (shown(&base), &base.aside),
                (shown(&recorded), &recorded.aside)
            );
        }
        Ok(base)
    }
}
