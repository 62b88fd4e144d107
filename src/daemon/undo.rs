//! Taking back what runs did. All of it is done on disk, as if the user did it: what was deleted on
//! either side comes out of quarantine into its mailbox, and flags are set as they were; the cycle
//! that follows carries it to the server. So there is no second way in which mail is changed. What
//! is done here is a run of its own, which can be taken back by its number.

use super::open::OpenError;
use crate::maildir::{Kept, MaildirStore};
use crate::model::{AnyId, FlagChange, MailboxName, MaildirId, Side, SystemFlag};
use crate::reconcile::Policy;
use crate::state::{Change, FlagsMade, HistoryRow, Remains, State};
use crate::store::{Delivery, FlagEdit, Keep, Place, Removal, Removed, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Steps that are made durable and recorded together.
const BATCH: usize = 1000;

/// One thing to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A mailbox is there again.
    Create {
        /// Which.
        mailbox: MailboxName,
    },
    /// A message comes out of quarantine.
    PutBack {
        /// Where to.
        mailbox: MailboxName,
        /// What.
        kept: Kept,
        /// Who deleted it, and why.
        what: String,
    },
    /// A message that was put back goes into quarantine again.
    TakeAway {
        /// Where it is.
        mailbox: MailboxName,
        /// Which.
        file: MaildirId,
    },
    /// A message gets the flags that it had.
    Flags {
        /// Where it is.
        mailbox: MailboxName,
        /// Which.
        file: MaildirId,
        /// What leads back.
        change: FlagChange,
    },
    /// It cannot be taken back.
    Cannot {
        /// What, and why not.
        what: String,
    },
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct What {
    /// What which runs did.
    pub runs: Runs,
    /// In which mailboxes, as patterns; none: in all.
    pub mailboxes: Vec<String>,
    /// To which message, by its UID or file as the history names it; `None`: to all.
    pub message: Option<String>,
}

/// Some runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// The last that did something that is meant and can be taken back.
    Last,
    /// The run of this number.
    Run(i64),
    /// All runs since then, seconds since 1970.
    Since(i64),
}

/// What it takes to undo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The run, if it is one.
    pub run: Option<i64>,
    /// The newest first.
    pub steps: Vec<Step>,
}

/// What it takes to undo it. Looks into the quarantine and the state; changes nothing.
pub fn plan(what: &What, state: &State, local: &MaildirStore) -> Result<Plan, OpenError> {
    let run = match what.runs {
        Runs::Since(_) => None,
        Runs::Run(run) if state.has_run(run)? => Some(run),
        Runs::Run(run) => return Err(no_run(run, state)?),
        Runs::Last => match state.last_undoable(|row| what.means(row))? {
            None => {
                return Ok(Plan {
                    run: None,
                    steps: Vec::new(),
                });
            }
            last => last,
        },
    };
    let rows = match (what.runs, run) {
        (Runs::Since(at), _) => state.undoable_since(at)?,
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
    for row in rows.iter().filter(|row| what.means(row)) {
        planner.take(row)?;
    }
    let steps = planner.end();
    Ok(Plan { run, steps })
}

fn no_run(run: i64, state: &State) -> Result<OpenError, OpenError> {
    let there = match state.first_and_last_run()? {
        None => "no run has changed anything yet".to_owned(),
        Some((first, last)) => format!("there are runs from {first} to {last}"),
    };
    Ok(OpenError::NoRun(format!(
        "there is no run {run}: {there}; mailtide undo --list shows the last"
    )))
}

impl What {
    /// Whether a row of history is meant. Whether a whole mailbox holds the message shows when it
    /// is looked into.
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

    /// Whether a message of a whole mailbox is meant.
    fn means_kept(&self, kept: &Kept) -> bool {
        let own = kept.path.rsplit(|byte| *byte == b'/').next();
        let name = own.unwrap_or_default().escape_ascii().to_string();
        let base = name.split(":2,").next().unwrap_or_default();
        self.message.as_ref().is_none_or(|message| message == base)
    }
}

/// Makes steps of rows.
struct Planner<'a> {
    what: &'a What,
    state: &'a State,
    local: &'a MaildirStore,
    /// What lies in quarantine by name, for older rows.
    by_name: Option<BTreeMap<Vec<u8>, Kept>>,
    steps: Vec<Step>,
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
                self.steps.push(Step::TakeAway { mailbox, file });
            }
            "flags" => self.flags(row, &mailbox)?,
            _ => {}
        }
        Ok(())
    }

    fn deleted(&mut self, row: &HistoryRow, mailbox: MailboxName) -> Result<Step, OpenError> {
        let which = match row.side {
            Side::Remote => format!("UID {} on the server", row.message),
            Side::Local => format!("file {}", row.message),
        };
        let Some(remains) = &row.kept else {
            let what = format!(
                "{mailbox}: {which}: {}; nothing of it is in quarantine",
                row.why
            );
            return Ok(Step::Cannot { what });
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
            Some(kept) => Step::PutBack {
                mailbox,
                kept: Kept {
                    flags: kept.flags.union(&remains.flags),
                    path: kept.path,
                },
                what: format!("{which}: {}", row.why),
            },
            None => Step::Cannot {
                what: format!("{mailbox}: {which} is no longer in quarantine"),
            },
        })
    }

    fn mailbox_deleted(&mut self, row: &HistoryRow, mailbox: MailboxName) -> Result<(), OpenError> {
        if self.what.message.is_none() && self.local.directory(&mailbox).is_err() {
            self.steps.push(Step::Create {
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
                self.steps.push(Step::PutBack {
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
            _ => self.steps.push(Step::Cannot {
                what: format!(
                    "{mailbox}: {} has left since its flags changed",
                    row.message
                ),
            }),
        }
        Ok(())
    }

    fn end(self) -> Vec<Step> {
        let mut steps = self.steps;
        let flags = self.flags.into_iter();
        let flags = flags.filter(|(_, change)| !change.is_empty());
        steps.extend(flags.map(|((mailbox, file), change)| Step::Flags {
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

/// One change after another.
fn then(first: &FlagChange, second: &FlagChange) -> FlagChange {
    FlagChange {
        add: first.add.difference(&second.remove).union(&second.add),
        remove: first.remove.difference(&second.add).union(&second.remove),
    }
}

/// How it is told.
pub fn taken_back(count: usize) -> String {
    format!("{count} taken back here; now the server")
}

/// Does it, and records it as a run of its own that began now, seconds since 1970; answers with how
/// many messages were changed, or where none was, mailboxes were made.
pub async fn carry_out(
    steps: &[Step],
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
        // What was done is recorded, whatever ended it.
        local.settle().await?;
        state.note_undone(&made.changes, &made.back)?;
        done += made.done;
        made_again += made.mailboxes;
        ended?;
    }
    state.end_run();
    Ok(if done > 0 { done } else { made_again })
}

/// What was made of some steps.
#[derive(Default)]
struct Made {
    changes: Vec<Change>,
    /// Paths below the quarantine where nothing lies any more.
    back: Vec<Vec<u8>>,
    /// Messages that were changed.
    done: usize,
    /// Mailboxes that were made.
    mailboxes: usize,
}

impl Made {
    async fn carry_out(
        &mut self,
        steps: &[Step],
        created: &mut BTreeSet<MailboxName>,
        local: &mut MaildirStore,
    ) -> Result<(), StoreError> {
        for step in steps {
            match step {
                Step::Cannot { .. } => {}
                Step::Create { mailbox } => self.create(mailbox, created, local).await?,
                Step::PutBack {
                    mailbox,
                    kept,
                    what,
                } => {
                    self.create(mailbox, created, local).await?;
                    self.put_back(mailbox, kept, what, local).await?;
                }
                Step::TakeAway { mailbox, file } => self.take_away(mailbox, file, local).await?,
                Step::Flags {
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

/// A line of history that tells of a step.
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
        // Set by one run and cleared by the next: both undone, it is not set.
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
        let what = What {
            runs: Runs::Last,
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
