//! Taking back what runs did. All of it is done on disk, as if the user did it: what was deleted on
//! either side comes out of quarantine into its mailbox, and flags are set as they were; the cycle
//! that follows carries it to the server. So there is no second way in which mail is changed.

use super::open::OpenError;
use crate::maildir::{Kept, MaildirStore};
use crate::model::{FlagChange, Flags, Keyword, MailboxName, MaildirId, Side, SystemFlag};
use crate::state::{HistoryRow, State};
use crate::store::{Delivery, FlagEdit, Keep, Place, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message comes out of quarantine.
    PutBack {
        /// Where to.
        mailbox: MailboxName,
        /// What.
        kept: Kept,
        /// Who deleted it, and why.
        what: String,
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
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// What the run of this number changed.
    Run(i64),
    /// What was changed by runs since then, seconds since 1970.
    Since(i64),
}

/// What it takes to undo it, the newest first. Looks into the quarantine and the state; changes
/// nothing.
pub fn plan(what: &What, state: &State, local: &MaildirStore) -> Result<Vec<Step>, OpenError> {
    let rows = match *what {
        What::Run(run) => {
            let mut rows = state.changes_since(run, 0)?;
            rows.retain(|row| row.run == run);
            rows
        }
        What::Since(at) => state.changes_since(0, at)?,
    };
    let mut steps = Vec::new();
    let mut back: BTreeMap<(MailboxName, MaildirId), FlagChange> = BTreeMap::new();
    for row in &rows {
        let Some(mailbox) = MailboxName::parse(&row.mailbox) else {
            continue;
        };
        match (row.what.as_str(), row.side) {
            ("deleted", side) => steps.push(deleted(row, mailbox, side, local)?),
            ("mailbox-deleted", Side::Local) => {
                for kept in found(&mailbox, local.find_kept_mailbox(&mailbox))? {
                    let what = "was deleted with its mailbox".to_owned();
                    let mailbox = mailbox.clone();
                    steps.push(Step::PutBack {
                        mailbox,
                        kept,
                        what,
                    });
                }
            }
            ("flags", side) => match (file(row, side, &mailbox, state)?, change(&row.why)) {
                (Some(file), Some(made)) => {
                    let (add, remove) = (made.remove, made.add);
                    let undone = FlagChange { add, remove };
                    let before = back.entry((mailbox, file)).or_default();
                    *before = then(before, &undone);
                }
                _ => steps.push(Step::Cannot {
                    what: format!(
                        "{mailbox}: {} has left since its flags changed",
                        row.message
                    ),
                }),
            },
            _ => {}
        }
    }
    let back = back.into_iter().filter(|(_, change)| !change.is_empty());
    steps.extend(back.map(|((mailbox, file), change)| Step::Flags {
        mailbox,
        file,
        change,
    }));
    Ok(steps)
}

fn deleted(
    row: &HistoryRow,
    mailbox: MailboxName,
    side: Side,
    local: &MaildirStore,
) -> Result<Step, OpenError> {
    let which = match side {
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
    Ok(match found(&mailbox, local.find_kept(&remains.file))? {
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

fn found<T>(mailbox: &MailboxName, looked: std::io::Result<T>) -> Result<T, StoreError> {
    let failed = |error| StoreError::Mailbox(format!("{mailbox}: the quarantine: {error}"));
    looked.map_err(failed)
}

/// The file of the message that a row of history speaks of.
fn file(
    row: &HistoryRow,
    side: Side,
    mailbox: &MailboxName,
    state: &State,
) -> Result<Option<MaildirId>, OpenError> {
    let Some(key) = state.mailboxes()?.get(mailbox).copied() else {
        return Ok(None);
    };
    let pairs = state.base(key)?.pairs.into_iter();
    let mut own = pairs.filter(|pair| match side {
        Side::Remote => pair.uid.get().to_string() == row.message,
        Side::Local => pair.file.as_bytes().escape_ascii().to_string() == row.message,
    });
    Ok(own.next().map(|pair| pair.file))
}

/// One change after another.
fn then(first: &FlagChange, second: &FlagChange) -> FlagChange {
    FlagChange {
        add: first.add.difference(&second.remove).union(&second.add),
        remove: first.remove.difference(&second.add).union(&second.remove),
    }
}

/// Reads a change as history has it: `+(\Seen) -($Work)`.
fn change(text: &str) -> Option<FlagChange> {
    let mut change = FlagChange::default();
    let mut rest = text;
    while let Some((sign, tail)) = rest
        .split_at_checked(1)
        .filter(|(sign, _)| !sign.is_empty())
    {
        let (inner, after) = tail.strip_prefix('(')?.split_once(')')?;
        let mut flags = Flags::default();
        for word in inner.split_ascii_whitespace() {
            let system = SystemFlag::ALL.iter().find(|flag| flag.name() == word);
            match system {
                Some(flag) => flags.insert(*flag),
                None => flags.insert_keyword(Keyword::new(word)?),
            }
        }
        match sign {
            "+" => change.add = flags,
            "-" => change.remove = flags,
            _ => return None,
        }
        rest = after.trim_start();
    }
    Some(change)
}

/// How it is told.
pub fn taken_back(count: usize) -> String {
    format!("{count} taken back here; now the server")
}

/// Does it; answers with how many steps were done.
pub async fn carry_out(
    steps: &[Step],
    state: &mut State,
    local: &mut MaildirStore,
) -> Result<usize, OpenError> {
    let mut done = 0;
    local.list(&BTreeMap::new()).await?;
    for step in steps {
        match step {
            Step::Cannot { .. } => {}
            Step::PutBack { mailbox, kept, .. } => {
                let place = place(mailbox);
                local.create_mailbox(mailbox).await?;
                let delivery = Delivery {
                    tag: 0,
                    flags: kept.flags.clone().without(SystemFlag::Deleted),
                    date: None,
                    origin: None,
                };
                let back = local.recall(&place, &kept.path, &delivery).await?;
                state.unbury(std::slice::from_ref(&kept.path))?;
                done += usize::from(back.is_some());
            }
            Step::Flags {
                mailbox,
                file,
                change,
            } => {
                let edit = FlagEdit {
                    id: file.clone(),
                    change: change.clone(),
                    saw: None,
                };
                done += local.set_flags(&place(mailbox), &[edit]).await?.len();
            }
        }
    }
    Ok(done)
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

    #[test]
    fn changes_are_read_as_they_are_written_and_turned_round() {
        let flags = |words: &[SystemFlag]| Flags::of(words);
        let mut work = flags(&[SystemFlag::Seen]);
        work.insert_keyword(Keyword::new("$Work").unwrap());
        for (add, remove) in [
            (work.clone(), Flags::default()),
            (Flags::default(), work.clone()),
            (flags(&[SystemFlag::Flagged]), work),
        ] {
            let made = FlagChange { add, remove };
            assert_eq!(change(&made.to_string()), Some(made));
        }
        assert_eq!(change("from UID 3"), None);
        // Set by one run and cleared by the next: both undone, it is not set.
        let set = FlagChange {
            add: flags(&[SystemFlag::Seen]),
            ..FlagChange::default()
        };
        let clear = FlagChange {
            remove: flags(&[SystemFlag::Seen]),
            ..FlagChange::default()
        };
        assert_eq!(then(&set, &clear), clear);
    }
}
