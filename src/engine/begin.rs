//! Drops, adds and creates mailboxes before their messages are copied.

use super::account::Account;
use super::pass_state::PassState;
use super::report::Ended;
use super::work::Works;
use crate::model::{MailboxKey, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::MailboxAction;
use crate::reconcile::anew::Rematch;
use crate::reconcile::mailbox_action::Forget;
use crate::state::Change;
use crate::store::{Ask, Depth, LocalStore, RemoteStore};

impl<R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> Account<'_, R, L> {
    /// Executes an action for mailboxes and removes those that failed. Mailboxes on disk are
    /// created and recorded together, as a first run has hundreds.
    pub(super) async fn begin_mailboxes(
        &mut self,
        actions: Vec<MailboxAction>,
        works: &mut Works,
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        let (mut here, mut known) = (Vec::new(), Vec::new());
        for action in actions {
            let name = action.name().clone();
            match action {
                MailboxAction::Forget(_) => {
                    if let Some(key) = self.state.mailbox_key(&name)? {
                        self.state.forget_mailbox(key)?;
                    }
                }
                MailboxAction::Adopt(_) => known.push(name),
                MailboxAction::Rematch {
                    rematch, identity, ..
                } => self.match_anew(&name, (rematch, identity), works, pass)?,
                MailboxAction::Create {
                    on: Side::Local,
                    forget,
                    ..
                } => here.push((name, forget)),
                MailboxAction::Create {
                    on: Side::Remote,
                    forget,
                    ..
                } => {
                    let done = self.create_there(&name, forget, works, pass).await;
                    if let Err(error) = self.tolerate(&name, done, pass)? {
                        works.remove(&name);
                        tracing::debug!(mailbox = %name, %error, "left for the next run");
                    }
                }
                MailboxAction::Delete { .. }
                | MailboxAction::Rename { .. }
                | MailboxAction::Follow { .. } => {}
            }
        }
        here.retain(|(name, _)| works.contains_key(name));
        known.extend(self.create_here(&here, works, pass).await?);
        self.remember_mailboxes(&known, works)
    }

    /// Drops the messages that a directory lacks, and records its identity last: a cut run finds
    /// the difference again.
    fn match_anew(
        &mut self,
        name: &MailboxName,
        (rematch, identity): (Rematch, String),
        works: &Works,
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        let Some(key) = works.get(name).map(|work| work.base.key) else {
            return Ok(());
        };
        if rematch.lost() > 0 {
            pass.note(format!(
                "{name}: its directory is another than before (put back from a copy, mounted?); \
                 it is matched anew, and {} messages that it lacks come again from the server",
                rematch.lost()
            ));
        }
        self.state.look_anew(key)?;
        self.state.apply(key, &rematch.outcomes, &[])?;
        if rematch.whole {
            self.state.set_local_identity(key, &identity)?;
        }
        Ok(())
    }

    /// Creates mailboxes on disk; returns those to record.
    async fn create_here(
        &mut self,
        here: &[(MailboxName, Forget)],
        works: &mut Works,
        pass: &mut PassState,
    ) -> Result<Vec<MailboxName>, Ended> {
        for (name, forget) in here {
            self.forget_first(name, (Side::Local, *forget), works, pass)?;
        }
        let names: Vec<MailboxName> = here.iter().map(|(name, _)| name.clone()).collect();
        let made = self.local.create_mailboxes(&names).await;
        let (mut known, mut changes) = (Vec::new(), Vec::new());
        for ((name, forget), made) in here.iter().zip(made) {
            if let Err(error) = self.tolerate(name, made.map_err(Ended::from), pass)? {
                works.remove(name);
                tracing::debug!(mailbox = %name, %error, "left for the next run");
                continue;
            }
            pass.counts.mailboxes_created_local += 1;
            changes.push(line(name, Side::Local, "mailbox-created"));
            if *forget == Forget::Nothing {
                known.push(name.clone());
            }
        }
        self.state.apply(MailboxKey(0), &[], &changes)?;
        Ok(known)
    }

    /// Creates a mailbox on the server.
    async fn create_there(
        &mut self,
        name: &MailboxName,
        forget: Forget,
        works: &mut Works,
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        if !works.contains_key(name) {
            return Ok(());
        }
        self.forget_first(name, (Side::Remote, forget), works, pass)?;
        self.remote.create_mailbox(name).await?;
        if forget == Forget::Nothing {
            self.remember_mailboxes(std::slice::from_ref(name), works)?;
        }
        pass.counts.mailboxes_created_remote += 1;
        self.mailbox_history(name, Side::Remote, "mailbox-created")?;
        self.learn_new_mailbox(name, works).await
    }

    /// Dropped before the creation: a cut run would otherwise find the known messages missing and
    /// delete them.
    fn forget_first(
        &mut self,
        name: &MailboxName,
        (on, forget): (Side, Forget),
        works: &Works,
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        if let (Forget::Messages, Some(work)) = (forget, works.get(name)) {
            let base = &work.base;
            self.state
                .forget_messages(base.key, &work.kept, &base.aside)?;
            pass.note(format!(
                "mailbox {name} was gone on {on} and is created there again"
            ));
        }
        Ok(())
    }

    fn remember_mailboxes(&mut self, all: &[MailboxName], works: &mut Works) -> Result<(), Ended> {
        let tagged = |name| Some((name, works.get(name)?.base.tag));
        let tagged: Vec<(&MailboxName, u32)> = all.iter().filter_map(tagged).collect();
        let keys = self.state.add_mailboxes(&tagged)?;
        for ((name, _), key) in tagged.into_iter().zip(keys) {
            if let Some(work) = works.get_mut(name) {
                work.base.key = key;
            }
        }
        Ok(())
    }

    /// Records a change of a mailbox in the history.
    pub(super) fn mailbox_history(
        &mut self,
        name: &MailboxName,
        side: Side,
        what: &'static str,
    ) -> Result<(), Ended> {
        let change = line(name, side, what);
        Ok(self.state.apply(MailboxKey(0), &[], &[change])?)
    }

    /// Returns the UIDVALIDITY of a mailbox that was just created.
    async fn learn_new_mailbox(
        &mut self,
        name: &MailboxName,
        works: &mut Works,
    ) -> Result<(), Ended> {
        let Some(work) = works.get_mut(name) else {
            return Ok(());
        };
        let ask = Ask {
            base: &work.base,
            cursor: None,
            depth: Depth::Everything,
        };
        let look = self.remote.look(&ask).await?;
        if !look.seen.is_empty() {
            // It existed already, with messages: plan again.
            works.remove(name);
            return Ok(());
        }
        work.base.uid_validity = look.uid_validity;
        work.stores = look.stores;
        work.remote_cursor = look.cursor;
        Ok(())
    }
}

/// Makes a history row of a mailbox.
pub(super) fn line(name: &MailboxName, side: Side, what: &'static str) -> Change {
    Change {
        mailbox: name.clone(),
        side,
        what,
        message: None,
        why: String::new(),
        kept: None,
        flags: None,
        trail: None,
    }
}
