//! `mailtide undo`: reverts the changes of runs. It acts on the disk only, like a user: it takes
//! messages out of quarantine and resets flags; the next cycle carries that to the server, under
//! the same guards. An undo is a run of its own and can be undone.

use crate::daemon::arrange::{MAILBOX_BY_USER, uid_by};
use crate::daemon::open::OpenError;
use crate::maildir::{Kept, MaildirStore};
use crate::model::{AnyId, FlagChange, MailboxName, MaildirId, Side, SystemFlag};
use crate::reconcile::Policy;
use crate::state::{Change, FlagsMade, HistoryRow, Remains, State};
use crate::store::{Delivery, FlagEdit, Keep, Place, Removal, Removed, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Steps that are synced and recorded together.
const BATCH: usize = 1000;

/// One step of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoStep {
    /// Create a mailbox again.
    Create {
        /// Its name.
        mailbox: MailboxName,
    },
    /// Restore a message from quarantine.
    PutBack {
        /// The target mailbox.
        mailbox: MailboxName,
        /// The message in quarantine.
        kept: Kept,
        /// The reason of the deletion.
        what: String,
    },
    /// Put a restored message back into quarantine.
    TakeAway {
        /// Its mailbox.
        mailbox: MailboxName,
        /// Its file.
        file: MaildirId,
    },
    /// Reset the flags of a message.
    Flags {
        /// Its mailbox.
        mailbox: MailboxName,
        /// Its file.
        file: MaildirId,
        /// The change to apply.
        change: FlagChange,
    },
    /// The change cannot be undone.
    Cannot {
        /// The message and the reason.
        what: String,
    },
}

/// The changes to undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoSelection {
    /// By run.
    pub runs: RunSelection,
    /// Only in mailboxes that match; empty: all.
    pub mailboxes: Vec<String>,
    /// Only of this message, by UID or file name as in the history; `None`: all.
    pub message: Option<String>,
}

/// A choice of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunSelection {
    /// The last run with a selected change that can be undone.
    Last,
    /// The run of this number.
    Run(i64),
    /// All runs since this time, seconds since 1970.
    Since(i64),
}

/// The steps of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoPlan {
    /// The run, if it is one.
    pub run: Option<i64>,
    /// The newest change first.
    pub steps: Vec<UndoStep>,
}

/// Plans an undo from the history and the quarantine. Writes nothing.
pub fn plan(
    what: &UndoSelection,
    state: &State,
    local: &MaildirStore,
) -> Result<UndoPlan, OpenError> {
    let run = match what.runs {
        RunSelection::Since(_) => None,
        RunSelection::Run(run) if state.has_run(run)? => Some(run),
        RunSelection::Run(run) => return Err(no_run(run, state)?),
        RunSelection::Last => {
            match state.last_undoable(|row| what.means(row) && !carried(state, row))? {
                None => {
                    return Ok(UndoPlan {
                        run: None,
                        steps: Vec::new(),
                    });
                }
                last => last,
            }
        }
    };
    let rows = match (what.runs, run) {
        (RunSelection::Since(at), _) => state.undoable_since(at)?,
        (_, Some(run)) => state.changes_of(run)?,
        _ => Vec::new(),
    };
    let mut planner = Planner {
        what,
        state,
        local,
        by_name: None,
        steps: Vec::new(),
        flags: BTreeMap::new(),
    };
    for row in rows
        .iter()
        .filter(|row| what.means(row) && !carried(state, row))
    {
        planner.take(row)?;
    }
    let steps = planner.end();
    Ok(UndoPlan { run, steps })
}

fn no_run(run: i64, state: &State) -> Result<OpenError, OpenError> {
    let there = match state.first_and_last_run()? {
        None => "the history is empty".to_owned(),
        Some((first, last)) => format!("the history has runs {first} to {last}"),
    };
    Ok(OpenError::NoRun(format!(
        "no run {run}: {there}; see mailtide undo --list"
    )))
}

/// Whether what the user deleted here was deleted on the server since, and its bytes were kept
/// then, too: that line of history is the one that is undone.
fn carried(state: &State, row: &HistoryRow) -> bool {
    let uid = match (row.side, row.what.as_str()) {
        (Side::Local, "deleted") => match uid_by(&row.why) {
            Some(uid) => Some(uid),
            None => return false,
        },
        (Side::Local, "mailbox-deleted") if row.why == MAILBOX_BY_USER => None,
        _ => return false,
    };
    let same = |other: &HistoryRow| {
        let there = other.side == Side::Remote && other.what == "deleted";
        let own = other.mailbox == row.mailbox && uid.is_none_or(|uid| other.message == uid);
        there && own && other.run >= row.run && other.kept.is_some()
    };
    let found = state.history(row.at, 1, same);
    // Where that cannot be read nothing is put back twice.
    found.map_or(true, |found| !found.is_empty())
}

impl UndoSelection {
    /// Whether a row of history is selected. A deleted mailbox is, as it may contain the message.
    fn means(&self, row: &HistoryRow) -> bool {
        let policy = Policy {
            mailboxes: self.mailboxes.clone(),
            ..Policy::default()
        };
        let name = || MailboxName::parse(&row.mailbox);
        let here = self.mailboxes.is_empty() || name().is_some_and(|name| policy.chooses(&name));
        let whole = row.what == "mailbox-deleted" && row.kept.is_some();
        let message = self.message.as_ref();
        here && message.is_none_or(|message| *message == row.message || whole)
    }

    /// Whether a message of a deleted mailbox is selected.
    fn means_kept(&self, kept: &Kept) -> bool {
        let own = kept.path.rsplit(|byte| *byte == b'/').next();
        let name = own.unwrap_or_default().escape_ascii().to_string();
        let base = name.split(":2,").next().unwrap_or_default();
        self.message.as_ref().is_none_or(|message| message == base)
    }
}

/// Makes steps of history rows.
struct Planner<'a> {
    what: &'a UndoSelection,
    state: &'a State,
    local: &'a MaildirStore,
    /// The quarantine by file name, for rows of older versions.
    by_name: Option<BTreeMap<Vec<u8>, Kept>>,
    steps: Vec<UndoStep>,
    flags: BTreeMap<(MailboxName, MaildirId), FlagChange>,
}

impl Planner<'_> {
    fn take(&mut self, row: &HistoryRow) -> Result<(), OpenError> {
        let Some(mailbox) = MailboxName::parse(&row.mailbox) else {
            return Ok(());
        };
        match row.what.as_str() {
            "deleted" => {
                let step = self.deleted(row, mailbox)?;
                self.steps.push(step);
            }
            "mailbox-deleted" => self.mailbox_deleted(row, mailbox)?,
            "restored" => {
                let file = row.file.clone();
                self.steps.push(UndoStep::TakeAway { mailbox, file });
            }
            "flags" => self.flags(row, &mailbox)?,
            _ => {}
        }
        Ok(())
    }

    fn deleted(&mut self, row: &HistoryRow, mailbox: MailboxName) -> Result<UndoStep, OpenError> {
        let which = match row.side {
            Side::Remote => format!("UID {} on the server", row.message),
            Side::Local => format!("file {}", row.message),
        };
        let Some(remains) = &row.kept else {
            let what = format!(
                "{mailbox}: {which}: {}; nothing of it is in quarantine",
                row.why
            );
            return Ok(UndoStep::Cannot { what });
        };
        let found = match (remains.file.contains(&b'/'), &self.by_name) {
            (true, _) => looked(&mailbox, self.local.find_kept(&remains.file))?,
            (false, Some(all)) => all.get(&remains.file).cloned(),
            (false, None) => {
                let all = looked(&mailbox, self.local.all_kept())?;
                self.by_name.insert(all).get(&remains.file).cloned()
            }
        };
        Ok(match found {
            Some(kept) => UndoStep::PutBack {
                mailbox,
                kept: Kept {
                    flags: kept.flags.union(&remains.flags),
                    path: kept.path,
                },
                what: format!("{which}: {}", row.why),
            },
            None => UndoStep::Cannot {
                what: format!("{mailbox}: {which} is no longer in quarantine"),
            },
        })
    }

    fn mailbox_deleted(&mut self, row: &HistoryRow, mailbox: MailboxName) -> Result<(), OpenError> {
        if self.what.message.is_none() && self.local.directory(&mailbox).is_err() {
            self.steps.push(UndoStep::Create {
                mailbox: mailbox.clone(),
            });
        }
        let shelf = match (&row.kept, row.side) {
            (Some(remains), _) => Some(remains.file.clone()),
            (None, Side::Local) => looked(&mailbox, self.local.shelf_since(&mailbox, row.at))?,
            (None, Side::Remote) => None,
        };
        let Some(shelf) = shelf else { return Ok(()) };
        for kept in looked(&mailbox, self.local.shelf(&shelf))? {
            if self.what.means_kept(&kept) {
                let (mailbox, what) = (mailbox.clone(), "was deleted with its mailbox".to_owned());
                self.steps.push(UndoStep::PutBack {
                    mailbox,
                    kept,
                    what,
                });
            }
        }
        Ok(())
    }

    fn flags(&mut self, row: &HistoryRow, mailbox: &MailboxName) -> Result<(), OpenError> {
        match (self.state.flagged(row)?, &row.flags) {
            (Some(place), Some(made)) => {
                let undone = FlagChange {
                    add: made.change.remove.clone(),
                    remove: made.change.add.clone(),
                };
                let before = self.flags.entry(place).or_default();
                *before = then(before, &undone);
            }
            _ => self.steps.push(UndoStep::Cannot {
                what: format!(
                    "{mailbox}: {} no longer exists; flags not restored",
                    row.message
                ),
            }),
        }
        Ok(())
    }

    fn end(self) -> Vec<UndoStep> {
        let mut steps = self.steps;
        let flags = self.flags.into_iter();
        let flags = flags.filter(|(_, change)| !change.is_empty());
        steps.extend(flags.map(|((mailbox, file), change)| UndoStep::Flags {
            mailbox,
            file,
            change,
        }));
        steps
    }
}

fn looked<T>(mailbox: &MailboxName, looked: std::io::Result<T>) -> Result<T, StoreError> {
    let failed = |error| StoreError::Mailbox(format!("{mailbox}: the quarantine: {error}"));
    looked.map_err(failed)
}

/// Combines two changes of flags into one.
fn then(first: &FlagChange, second: &FlagChange) -> FlagChange {
    FlagChange {
        add: first.add.difference(&second.remove).union(&second.add),
        remove: first.remove.difference(&second.add).union(&second.remove),
    }
}

/// Describes the result of an undo.
pub fn done_text(count: usize) -> String {
    format!("restored {count} locally; syncing to the server")
}

/// Executes steps as a run that started at `now` (seconds since 1970). Returns the number of
/// changed messages; if no message changed, of created mailboxes.
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
        local.settle().await?;
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
    changes: Vec<Change>,
    /// Paths in the quarantine that no longer exist.
    back: Vec<Vec<u8>>,
    /// Changed messages.
    done: usize,
    /// Created mailboxes.
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
        kept: &Kept,
        what: &str,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        let delivery = Delivery {
            tag: 0,
            flags: kept.flags.clone().without(SystemFlag::Deleted),
            date: None,
            origin: None,
        };
        let back = local.recall(&place(mailbox), &kept.path, &delivery).await?;
        self.back.push(kept.path.clone());
        if let Some((file, _)) = back {
            self.done += 1;
            self.changes.push(Change {
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
            let kept = Some(Remains {
                file: path,
                flags: Default::default(),
            });
            self.changes.push(Change {
                kept,
                why: "taken back: it had been restored".to_owned(),
                ..change(mailbox, "deleted", Some(&file))
            });
        }
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
            self.changes.push(Change {
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
fn change(mailbox: &MailboxName, what: &'static str, file: Option<&MaildirId>) -> Change {
    Change {
        mailbox: mailbox.clone(),
        side: Side::Local,
        what,
        message: file.cloned().map(AnyId::Local),
        why: String::new(),
        kept: None,
        flags: None,
    }
}

fn place(mailbox: &MailboxName) -> Place {
    Place {
        mailbox: mailbox.clone(),
        epoch: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Flags;

    #[test]
    fn one_change_after_another_is_one_change() {
        // One run set the flag and the next cleared it: undoing both leaves it unset.
        let seen = || Flags::of(&[SystemFlag::Seen]);
        let set = FlagChange {
            add: seen(),
            ..FlagChange::default()
        };
        let clear = FlagChange {
            remove: seen(),
            ..FlagChange::default()
        };
        assert_eq!(then(&set, &clear), clear);
    }

    #[test]
    fn a_mailbox_and_a_message_of_a_run_are_meant() {
        let what = UndoSelection {
            runs: RunSelection::Last,
            mailboxes: vec!["Work*".to_owned()],
            message: Some("1.x".to_owned()),
        };
        let row = |mailbox: &str, what: &str, message: &str| HistoryRow {
            run: 1,
            at: 0,
            mailbox: mailbox.to_owned(),
            side: Side::Local,
            what: what.to_owned(),
            message: message.to_owned(),
            file: MaildirId::new(message),
            why: String::new(),
            kept: Some(Remains {
                file: b"day/Work/mailbox.1".to_vec(),
                flags: Flags::default(),
            }),
            flags: None,
            undo: false,
        };
        assert!(what.means(&row("Work/A", "deleted", "1.x")));
        assert!(!what.means(&row("Home", "deleted", "1.x")));
        assert!(!what.means(&row("Work", "deleted", "2.x")));
        assert!(
            what.means(&row("Work", "mailbox-deleted", "")),
            "it may be in it"
        );
        let kept = |path: &str| Kept {
            path: path.into(),
            flags: Flags::default(),
        };
        assert!(what.means_kept(&kept("day/Work/mailbox.1/cur/1.x:2,S")));
        assert!(!what.means_kept(&kept("day/Work/mailbox.1/cur/2.x:2,S")));
    }
}
