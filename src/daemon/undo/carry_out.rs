//! Executes the steps of an undo.

use super::UndoStep;
use crate::daemon::open::OpenError;
use crate::maildir::{MaildirStore, QuarantinedMessage};
use crate::model::{AnyId, FlagChange, Flags, MailboxName, MaildirId, Side, SystemFlag};
use crate::state::{FlagsMade, HistoryChange, QuarantineRef, State, Trail};
use crate::store::{
    Delivery, FlagEdit, LocalStore, MailStore, Place, Removal, Removed, Shift, StoreError, Transfer,
};
use std::collections::{BTreeMap, BTreeSet};

/// Steps that are synced and recorded together.
const BATCH: usize = 1000;

/// Describes the result of an undo.
pub fn done_text(count: usize) -> String {
    format!("restored {count} locally; syncing to the server")
}

/// Executes steps as a run that started at `now` (seconds since 1970). Returns the number of
/// changed messages; if no message changed, of created and renamed mailboxes.
pub async fn carry_out(
    steps: &[UndoStep],
    state: &mut State,
    local: &mut MaildirStore,
    now: i64,
) -> Result<usize, OpenError> {
    state.begin_undo(now);
    let (mut done, mut made_again) = (0, 0);
    local.list(&BTreeMap::new()).await?;
    let mut created = BTreeSet::new();
    for batch in steps.chunks(BATCH) {
        local.hold_syncs();
        let mut made = Made::default();
        let ended = made.carry_out(batch, &mut created, local).await;
        // Executed steps are recorded also after an error.
        local.sync_all().await?;
        state.note_undone(&made.changes, &made.back)?;
        done += made.done;
        made_again += made.mailboxes;
        ended?;
    }
    state.end_run();
    Ok(if done > 0 { done } else { made_again })
}

/// The effects of executed steps.
#[derive(Default)]
struct Made {
    changes: Vec<HistoryChange>,
    /// Paths in the quarantine that no longer exist.
    back: Vec<Vec<u8>>,
    /// Changed messages.
    done: usize,
    /// Created and renamed mailboxes.
    mailboxes: usize,
}

impl Made {
    async fn carry_out(
        &mut self,
        steps: &[UndoStep],
        created: &mut BTreeSet<MailboxName>,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        for step in steps {
            match step {
                UndoStep::Cannot { .. } => {}
                UndoStep::Create { mailbox } => self.create(mailbox, created, local).await?,
                UndoStep::PutBack {
                    mailbox,
                    kept,
                    what,
                } => {
                    self.create(mailbox, created, local).await?;
                    self.put_back(mailbox, kept, what, local).await?;
                }
                UndoStep::TakeAway { mailbox, file } => {
                    self.take_away(mailbox, file, local).await?
                }
                UndoStep::Flags {
                    mailbox,
                    file,
                    change,
                } => self.set_flags(mailbox, file, change, local).await?,
                UndoStep::Move { mailbox, file, to } => {
                    self.create(to, created, local).await?;
                    self.move_back(mailbox, file, to, local).await?;
                }
                UndoStep::Rename { mailbox, to } => {
                    // Directories to sync have their old paths after it.
                    local.sync_all().await?;
                    self.rename(mailbox, to, local).await?;
                    local.hold_syncs();
                }
            }
        }
        Ok(())
    }

    async fn create(
        &mut self,
        mailbox: &MailboxName,
        created: &mut BTreeSet<MailboxName>,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        if !created.insert(mailbox.clone()) || local.directory(mailbox).is_ok() {
            return Ok(());
        }
        local.create_mailbox(mailbox).await?;
        self.mailboxes += 1;
        self.changes.push(change(mailbox, "mailbox-created", None));
        Ok(())
    }

    async fn put_back(
        &mut self,
        mailbox: &MailboxName,
        kept: &QuarantinedMessage,
        what: &str,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        let delivery = Delivery {
            tag: 0,
            flags: kept.flags.clone().without(SystemFlag::Deleted),
            date: None,
            origin: None,
        };
        let back = local
            .restore(&place(mailbox), &kept.path, &delivery)
            .await?;
        self.back.push(kept.path.clone());
        if let Some((file, _)) = back {
            self.done += 1;
            self.changes.push(HistoryChange {
                why: format!("taken back: {what}"),
                ..change(mailbox, "restored", Some(&file))
            });
        }
        Ok(())
    }

    async fn take_away(
        &mut self,
        mailbox: &MailboxName,
        file: &MaildirId,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        if local.directory(mailbox).is_err() {
            return Ok(());
        }
        let removal = Removal {
            id: file.clone(),
            saw: None,
            elsewhere: false,
        };
        let removed = local.remove(&place(mailbox), &[removal]).await?;
        for (file, how) in removed {
            let Removed::Kept(path) = how else { continue };
            self.done += 1;
            let kept = Some(QuarantineRef {
                file: path,
                flags: Default::default(),
            });
            self.changes.push(HistoryChange {
                kept,
                why: "taken back: it had been restored".to_owned(),
                ..change(mailbox, "deleted", Some(&file))
            });
        }
        Ok(())
    }

    async fn move_back(
        &mut self,
        mailbox: &MailboxName,
        file: &MaildirId,
        to: &MailboxName,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        let shift = [Shift {
            id: file.clone(),
            delivery: None,
            size: None,
            renamed: false,
            agreed: Flags::default(),
        }];
        let (from, target) = (place(mailbox), place(to));
        let done = local.transfer(&from, &target, Transfer::Move, &shift);
        for (_, file) in done.await? {
            self.done += 1;
            self.changes.push(HistoryChange {
                why: format!("taken back: it had been moved to {mailbox}"),
                trail: Some(Trail::from(mailbox)),
                ..change(to, "moved", file.as_ref())
            });
        }
        Ok(())
    }

    async fn rename(
        &mut self,
        mailbox: &MailboxName,
        to: &MailboxName,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        local.rename_mailbox(mailbox, to).await?;
        self.mailboxes += 1;
        self.changes.push(HistoryChange {
            why: format!("taken back: it had been renamed to {mailbox}"),
            trail: Some(Trail::from(mailbox)),
            ..change(to, "mailbox-renamed", None)
        });
        Ok(())
    }

    async fn set_flags(
        &mut self,
        mailbox: &MailboxName,
        file: &MaildirId,
        made: &FlagChange,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        let edit = FlagEdit {
            id: file.clone(),
            change: made.clone(),
            saw: None,
        };
        for file in local.set_flags(&place(mailbox), &[edit]).await? {
            self.done += 1;
            self.changes.push(HistoryChange {
                why: made.to_string(),
                flags: Some(FlagsMade {
                    pair: None,
                    hash: None,
                    change: made.clone(),
                }),
                ..change(mailbox, "flags", Some(&file))
            });
        }
        Ok(())
    }
}

/// Makes a history row of a step.
fn change(mailbox: &MailboxName, what: &'static str, file: Option<&MaildirId>) -> HistoryChange {
    HistoryChange {
        mailbox: mailbox.clone(),
        side: Side::Local,
        what,
        message: file.cloned().map(AnyId::Local),
        why: String::new(),
        kept: None,
        flags: None,
        trail: None,
    }
}

fn place(mailbox: &MailboxName) -> Place {
    Place {
        mailbox: mailbox.clone(),
        uid_validity: None,
    }
}
