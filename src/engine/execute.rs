//! Executes a plan and records the outcomes. Order: create mailboxes, copy messages, set flags,
//! delete messages, delete mailboxes, advance cursors. After a failure the cursors of that mailbox
//! stay, so that the next snapshot shows it again.

use super::account::Account;
use super::download::Portion;
use super::pass_state::PassState;
use super::report::{Ended, Event};
use super::upload::UploadJob;
use super::work::{Work, Works};
use crate::model::{Id, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::{Action, Cursor, MailboxAction, Outcome, Plan};
use crate::state::Left;
use crate::store::{LocalStore, RemoteStore, Removal, StoreError};

impl<R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> Account<'_, R, L> {
    pub(super) async fn execute(
        &mut self,
        plan: Plan,
        mut works: Works,
        pass: &mut PassState,
    ) -> Result<Works, Ended> {
        let renames = |action: &MailboxAction| {
            matches!(
                action,
                MailboxAction::Rename { .. } | MailboxAction::Follow { .. }
            )
        };
        if plan.mailboxes.iter().any(renames) {
            self.rename_mailboxes(&plan.mailboxes, pass).await?;
            return Ok(works);
        }
        for (name, plan) in plan.messages {
            if let Some(work) = works.get_mut(&name) {
                work.plan = plan;
            }
        }
        let (mut deletions, mut others): (Vec<_>, Vec<_>) = plan
            .mailboxes
            .into_iter()
            .partition(|action| matches!(action, MailboxAction::Delete { .. }));
        others.sort_by_key(|action| action.name().depth());
        deletions.sort_by_key(|action| std::cmp::Reverse(action.name().depth()));
        self.begin_mailboxes(others, &mut works, pass).await?;
        self.announce(&works);
        self.relabel(&mut works, pass).await?;
        self.note_letters(&mut works, pass).await?;
        self.copy_mail(&mut works, pass).await?;
        self.duplicate_mail(&mut works, pass).await?;
        self.flag_mail(&mut works, pass).await?;
        self.move_mail(&mut works, pass).await?;
        self.delete_here(&mut works, pass).await?;
        let failed = self.delete_there(&mut works, pass).await?;
        let mut left = Vec::new();
        for work in works
            .values_mut()
            .filter(|work| !failed.contains(&work.base.name))
        {
            self.bookkeeping(work)?;
            left.extend(self.left(work));
        }
        self.state.leave(&left)?;
        for action in deletions {
            let name = action.name().clone();
            let done = self.delete_mailbox(action, pass).await;
            let _reported = self.tolerate(&name, done, pass)?;
        }
        for one in self.local.take_unchanged() {
            let what = format!("{} stays as it is here: {}", one.id, one.why);
            pass.trouble(Some(&one.mailbox), &StoreError::Mailbox(what));
        }
        self.learn_kin(&works).await?;
        Ok(works)
    }

    /// Reports a failure of one mailbox, and returns one that concerns all.
    pub(super) fn tolerate(
        &self,
        name: &MailboxName,
        done: Result<(), Ended>,
        pass: &mut PassState,
    ) -> Result<Result<(), StoreError>, Ended> {
        match done {
            Ok(()) => Ok(Ok(())),
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                // After `Stale` the next pass reads again.
                if !matches!(error, StoreError::Stale(_) | StoreError::Renumbered(_)) {
                    pass.trouble(Some(name), &error);
                }
                Ok(Err(error))
            }
            Err(ended) => Err(ended),
        }
    }

    fn announce(&self, works: &Works) {
        let all = works.values().flat_map(|work| &work.plan.actions);
        let messages = all
            .filter(|action| matches!(action, Action::Copy { .. }))
            .count();
        let mailboxes = works
            .values()
            .filter(|work| !work.plan.actions.is_empty())
            .count();
        self.observer.event(Event::Planned {
            messages,
            mailboxes,
        });
    }

    async fn copy_mail(&mut self, works: &mut Works, pass: &mut PassState) -> Result<(), Ended> {
        let uid_validities = works
            .values()
            .filter_map(|work| Some((work.base.key, work.base.uid_validity?)));
        self.state
            .learn_epochs(&uid_validities.collect::<Vec<_>>())?;
        for work in works.values_mut() {
            let split = self.clear_the_way(work).await;
            let name = work.base.name.clone();
            if self.tolerate(&name, split, pass)?.is_err() {
                work.sound = false;
            }
        }
        let twins = self.new_files(works).await?;
        let mut portions: Vec<Portion<'_>> = works
            .values()
            .filter(|work| work.sound)
            .flat_map(Portion::of)
            .collect();
        portions.sort_by_key(|portion| !portion.mailbox().is_inbox());
        for name in self.download(portions, twins, pass).await? {
            if let Some(work) = works.get_mut(&name) {
                work.sound = false;
            }
        }
        let suspects = self.state.suspects()?;
        let job = |work: &Work| UploadJob::of(work, &suspects);
        let uploads: Vec<UploadJob> = works.values().filter_map(job).collect();
        for name in self.upload(uploads, pass).await? {
            if let Some(work) = works.get_mut(&name) {
                work.sound = false;
            }
        }
        Ok(())
    }

    /// Renames edited files and puts broken ones into quarantine. A tombstone records that the user
    /// did not remove the message.
    async fn clear_the_way(&mut self, work: &mut Work) -> Result<(), Ended> {
        let (place, key) = (work.place(), work.base.key);
        for action in &work.plan.actions {
            let (Action::Split { pair } | Action::Discard { pair }) = action else {
                continue;
            };
            let tombstone = Outcome::Tombstone {
                pair: pair.id,
                side: Side::Local,
            };
            self.state.apply(key, &[tombstone], &[])?;
            let change = match action {
                Action::Split { .. } => {
                    let new = self.local.rename_edited(&place, &pair.file).await?;
                    let why = format!("was edited in place as {}", pair.file);
                    work.change(Side::Local, "split", new.any(), why)
                }
                _ => {
                    let removal = Removal {
                        id: pair.file.clone(),
                        saw: None,
                        elsewhere: false,
                    };
                    self.local.remove(&place, &[removal]).await?;
                    let why = "broken; it comes again from the server".to_owned();
                    work.change(Side::Local, "quarantined", pair.file.any(), why)
                }
            };
            self.state.apply(key, &[], &[change])?;
        }
        Ok(())
    }

    fn bookkeeping(&mut self, work: &mut Work) -> Result<(), Ended> {
        let mut outcomes: Vec<Outcome> = work.learned().collect();
        if outcomes
            .iter()
            .any(|one| matches!(one, Outcome::Corrected(_)))
        {
            // The next snapshot has all flags.
            self.state.look_anew(work.base.key)?;
            work.complete = false;
        }
        for action in &work.plan.actions {
            match action {
                Action::Forget { pair } => outcomes.push(Outcome::Dropped { pair: pair.id }),
                Action::Detach { pair, aside } => {
                    outcomes.push(Outcome::Alone {
                        pair: Some(pair.id),
                        aside: (**aside).clone(),
                    });
                }
                Action::SetAside(aside) => {
                    outcomes.push(Outcome::Alone {
                        pair: None,
                        aside: (**aside).clone(),
                    });
                }
                Action::Unaside(id) => outcomes.push(Outcome::Unaside(id.clone())),
                Action::Link(_)
                | Action::Copy { .. }
                | Action::Flags(_)
                | Action::Unmark { .. }
                | Action::Delete { .. }
                | Action::Move(_)
                | Action::Rekey(_)
                | Action::Duplicate(_)
                | Action::Recall(_)
                | Action::Split { .. }
                | Action::Discard { .. } => {}
            }
        }
        self.state.apply(work.base.key, &outcomes, &[])?;
        self.note_own_keywords(work)
    }

    /// Advances cursors only past executed changes.
    fn left(&self, work: &Work) -> Option<Left> {
        let remote = self
            .remote
            .cursor_after_own_changes(&work.base.name, &work.remote_cursor);
        let cursors = [
            (Side::Remote, remote.as_ref().unwrap_or(&work.remote_cursor)),
            (Side::Local, &work.local_cursor),
        ];
        // A mailbox that was just created was not read on that side yet.
        let cursors = cursors
            .into_iter()
            .filter(|(_, cursor)| **cursor != Cursor::default());
        work.is_done().then(|| Left {
            key: work.base.key,
            cursors: cursors.map(|(side, c)| (side, c.clone())).collect(),
            full_at: work.full.then(|| self.time_of_compare()),
        })
    }
}
