//! Checkpoints after a pass that changed only the disk, so that no further pass has to read the
//! server. Changes there meanwhile show in the next listing. A pass that changed the server is
//! always followed by another.

use super::account::Account;
use super::report::Ended;
use super::work::{Work, Works};
use crate::model::{MailboxBase, MaildirId, Pair, Side, Uid};
use crate::reconcile::guard::Verdict;
use crate::reconcile::renames::Home;
use crate::reconcile::{Action, Cursor, Listed, MailboxAction};
use crate::state::Left;
use crate::store::{Depth, LocalStore, RemoteStore};

/// A longer pass is followed by another, seconds.
const LONG: i64 = 30;

/// Whether the plan changes only the disk, and completely.
pub(super) fn leaves_nothing(verdict: &Verdict) -> bool {
    let plain = |action: &MailboxAction| match action {
        MailboxAction::Adopt(_) => true,
        MailboxAction::Create { on, .. } => *on == Side::Local,
        MailboxAction::Delete { .. }
        | MailboxAction::Rematch { .. }
        | MailboxAction::Forget(_)
        | MailboxAction::Rename { .. }
        | MailboxAction::Follow { .. } => false,
    };
    let clear = |action: &Action| match action {
        Action::Copy { from, .. } => from.side() == Side::Remote,
        Action::Flags(set) => set.remote.is_empty(),
        Action::Link(link) => link.remote.is_empty(),
        Action::Delete { on, .. } => *on == Side::Local,
        Action::Forget { .. } => true,
        Action::Split { .. }
        | Action::Discard { .. }
        | Action::Move(_)
        | Action::Rekey(_)
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

impl<R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> Account<'_, R, L> {
    /// After execution, verifies that the disk matches the base within a short time, and saves
    /// checkpoints of unchanged mailboxes.
    pub(super) async fn rests(
        &mut self,
        works: Works,
        (remote, smooth): (&[Listed], bool),
        began: i64,
    ) -> Result<bool, Ended> {
        // A mailbox that was just created is not the one that had its name.
        let created = |work: &Work| work.local_cursor == Cursor::default();
        let created = works.values().any(created);
        let mut left = Vec::new();
        let rest = self.all_rest(works, &mut left).await;
        self.state.leave(&left)?;
        if !rest? || !smooth || !(0..LONG).contains(&((self.world.now)() - began)) {
            return Ok(false);
        }
        let homes = self.state.homes()?;
        let unnamed = |home: &Home| home.remote.is_none() || home.local.is_none();
        if homes.iter().any(unnamed) || created {
            let local = self.local.list(&self.state.cursors(Side::Local)?).await?;
            self.note_identities(homes, (remote, &local))?;
        }
        Ok(true)
    }

    /// Verifies these mailboxes; returns the checkpoints of those that match.
    async fn all_rest(&mut self, works: Works, left: &mut Vec<Left>) -> Result<bool, Ended> {
        let mut all = true;
        let done = works.values().filter(|work| work.is_done());
        let calm = done.filter(|work| self.local.is_stable(&work.base.name));
        let next = calm.map(|work| (work.base.name.clone(), depth_after(known_cursor(work))));
        self.local.prefetch(&next.collect::<Vec<_>>());
        for work in works.into_values() {
            if !work.is_done() {
                tracing::debug!(mailbox = %work.base.name, "not done");
                all = false;
                continue;
            }
            let cursor = known_cursor(&work);
            // A change in this very tick is left to the next run.
            if cursor.is_some() && !self.local.is_stable(&work.base.name) {
                continue;
            }
            let Some((cursor, whole)) = self.look_after(&work, cursor).await? else {
                tracing::debug!(mailbox = %work.base.name, "changed meanwhile on disk");
                all = false;
                continue;
            };
            // A mailbox that was new on one side is compared message by message now.
            let full = work.listed && whole;
            left.push(Left {
                full_at: full.then(|| self.time_of_compare()),
                ..Left::on(work.base.key, Side::Local, cursor)
            });
        }
        Ok(all)
    }

    /// Returns the cursor of the disk, if a mailbox matches its record, and whether it was compared
    /// completely.
    async fn look_after(
        &mut self,
        work: &Work,
        cursor: Option<&Cursor>,
    ) -> Result<Option<(Cursor, bool)>, Ended> {
        let looked = self.shows_just(&work.base, cursor).await;
        self.local.forget(&work.base.name);
        match looked {
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => Ok(None),
            looked => looked,
        }
    }

    /// The same, with any error as `None`.
    async fn shows_just(
        &mut self,
        before: &MailboxBase,
        cursor: Option<&Cursor>,
    ) -> Result<Option<(Cursor, bool)>, Ended> {
        let name = &before.name;
        let depth = depth_after(cursor);
        let unburied = |pair: &Pair| pair.tombstone.is_none();
        let settled = before.aside.is_empty() && before.pairs.iter().all(unburied);
        if let Some(cursor) = cursor.filter(|_| settled)
            && let Some(look) = self.local.unchanged(name, cursor).await?
        {
            return Ok(Some((look.cursor, false)));
        }
        let Some(recorded) = self.state.recorded(before.key)? else {
            return Ok(None);
        };
        let looked = self.local.look_for(name, recorded, cursor, depth);
        let just = looked
            .await?
            .filter(|(look, unlike)| look.is_empty_delta() && unlike.is_empty());
        Ok(just.map(|(look, _)| (look.cursor, true)))
    }
}

/// Returns the former cursor of the disk.
fn known_cursor(work: &Work) -> Option<&Cursor> {
    Some(&work.local_cursor).filter(|cursor| **cursor != Cursor::default())
}

/// A mailbox that was never read is compared completely.
fn depth_after(cursor: Option<&Cursor>) -> Depth {
    match cursor {
        Some(_) => Depth::Changes,
        None => Depth::Everything,
    }
}
