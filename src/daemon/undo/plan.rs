//! Plans an undo.

use super::select::Selector;
use super::{RunSelection, UndoPlan, UndoSelection, UndoStep};
use crate::daemon::open::OpenError;
use crate::maildir::{MaildirStore, QuarantinedMessage};
use crate::model::{FlagChange, MailboxName, MaildirId, Side};
use crate::state::{HistoryRow, State, Trail};
use crate::store::StoreError;
use std::collections::BTreeMap;

/// Plans an undo from the history and the quarantine. Writes nothing.
pub fn plan(
    what: &UndoSelection,
    state: &State,
    local: &MaildirStore,
) -> Result<UndoPlan, OpenError> {
    let selector = Selector::new(what, state, local)?;
    let run = match what.runs {
        RunSelection::Since(_) => None,
        RunSelection::Run(run) if state.has_run(run)? => Some(run),
        RunSelection::Run(run) => return Err(no_run(run, state)?),
        RunSelection::Last => {
            // A row that cannot be looked into fails below.
            let means = |row: &HistoryRow| selector.means(row).unwrap_or(true);
            match state.last_undoable(means)? {
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
        selector: &selector,
        state,
        local,
        by_name: None,
        steps: Vec::new(),
        flags: BTreeMap::new(),
        moves: BTreeMap::new(),
        returning: Vec::new(),
        names: BTreeMap::new(),
    };
    for row in parents_first(rows) {
        if selector.means(&row)? || planner.concerns(&row) {
            planner.take(&row)?;
        }
    }
    let steps = planner.end()?;
    Ok(UndoPlan { run, steps })
}

/// Sorts the renames of mailboxes that moved along with one above them behind that one's.
fn parents_first(rows: Vec<HistoryRow>) -> Vec<HistoryRow> {
    let is_rename = |row: &HistoryRow| row.what == "mailbox-renamed";
    let mut sorted = Vec::with_capacity(rows.len());
    let mut rows = rows.into_iter().peekable();
    while let Some(first) = rows.next() {
        let (run, block) = (first.run, is_rename(&first));
        let mut renames = vec![first];
        while let Some(row) = rows.next_if(|row| block && is_rename(row) && row.run == run) {
            renames.push(row);
        }
        let names = |row: &HistoryRow| {
            let name = MailboxName::parse(&row.mailbox)?;
            Some((row.source()?.clone(), name))
        };
        let all: Vec<_> = renames.iter().filter_map(names).collect();
        renames.sort_by_cached_key(|row| {
            let Some((from, to)) = names(row) else {
                return 0;
            };
            let along = all.iter().any(|(above, now)| {
                let rest = to.below(now);
                rest.is_some() && rest == from.below(above)
            });
            if along { to.depth() } else { 0 }
        });
        sorted.extend(renames);
    }
    sorted
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

/// Makes steps of history rows.
struct Planner<'a> {
    selector: &'a Selector<'a>,
    state: &'a State,
    local: &'a MaildirStore,
    /// The quarantine by file name, for rows of older versions.
    by_name: Option<BTreeMap<Vec<u8>, QuarantinedMessage>>,
    steps: Vec<UndoStep>,
    /// Changes of flags by current place.
    flags: BTreeMap<(MailboxName, MaildirId), FlagChange>,
    /// Targets of moves by current place, as the mailboxes are named now.
    moves: BTreeMap<(MailboxName, MaildirId), MailboxName>,
    /// Deleted pairs and the steps that restore them.
    returning: Vec<(Trail, usize)>,
    /// Mailboxes that exist after these steps, or do not.
    names: BTreeMap<MailboxName, bool>,
}

impl Planner<'_> {
    /// Whether the row is about the deleted message that was chosen, whose bytes a move does not
    /// name.
    fn concerns(&self, row: &HistoryRow) -> bool {
        let trail = row.trail.as_ref();
        let own = |(deleted, _): &(Trail, usize)| trail.is_some_and(|trail| trail.is_of(deleted));
        let chosen = self.selector.is_of_one_message() && row.what == "moved";
        chosen && self.returning.iter().any(own)
    }

    fn take(&mut self, row: &HistoryRow) -> Result<(), OpenError> {
        let Some(mailbox) = MailboxName::parse(&row.mailbox) else {
            return Ok(());
        };
        match row.what.as_str() {
            "deleted" => {
                let step = self.deleted(row, mailbox)?;
                if let UndoStep::PutBack { mailbox, .. } = &step {
                    self.names.insert(mailbox.clone(), true);
                    let trail = row.trail.clone();
                    self.returning
                        .extend(trail.map(|trail| (trail, self.steps.len())));
                }
                self.steps.push(step);
            }
            "mailbox-deleted" => self.mailbox_deleted(row, mailbox)?,
            "restored" => {
                let file = row.file.clone();
                self.steps.push(UndoStep::TakeAway { mailbox, file });
            }
            "flags" => self.flags(row, &mailbox)?,
            "moved" => self.moved(row, mailbox)?,
            "mailbox-renamed" => self.renamed(row, mailbox),
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
                kept: QuarantinedMessage {
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
        if self.selector.is_whole() && !self.exists(&mailbox) {
            self.names.insert(mailbox.clone(), true);
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
            if self.selector.means_kept(&mailbox, &kept)? {
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
        match (self.state.place_of(row)?, &row.flags) {
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

    fn moved(&mut self, row: &HistoryRow, mailbox: MailboxName) -> Result<(), OpenError> {
        let which = match row.side {
            Side::Remote => format!("UID {} on the server", row.message),
            Side::Local => format!("file {}", row.message),
        };
        let Some(source) = row.source() else {
            let what = format!("{mailbox}: {which} was moved by an older mailtide; not moved back");
            self.steps.push(UndoStep::Cannot { what });
            return Ok(());
        };
        let Some(place) = self.state.place_of(row)? else {
            let trail = row.trail.clone().unwrap_or_default();
            let mut returning = self.returning.iter();
            match returning.find(|(deleted, _)| deleted.is_of(&trail)) {
                Some(&(_, at)) => self.put_elsewhere(at, source),
                None => self.steps.push(UndoStep::Cannot {
                    what: format!("{mailbox}: {which} no longer exists; not moved back"),
                }),
            }
            return Ok(());
        };
        let source = self.current(source, 0);
        let expected = self.current(&mailbox, 0);
        let now = self.moves.get(&place).unwrap_or(&place.0);
        if *now == expected {
            self.moves.insert(place, source);
        } else if *now != source {
            let what = format!("{mailbox}: {which} was moved to {now} since; it stays there");
            self.steps.push(UndoStep::Cannot { what });
        }
        Ok(())
    }

    /// Restores a message into the mailbox that it left before it was deleted.
    fn put_elsewhere(&mut self, at: usize, source: &MailboxName) {
        let target = self.current(source, at);
        if let Some(UndoStep::PutBack { mailbox, .. }) = self.steps.get_mut(at) {
            *mailbox = target;
        }
    }

    fn renamed(&mut self, row: &HistoryRow, mailbox: MailboxName) {
        let cannot = |why: String| UndoStep::Cannot {
            what: format!("{mailbox}: its former name is not given back: {why}"),
        };
        let Some(to) = row.source().cloned() else {
            let why = "an older mailtide recorded the change".to_owned();
            return self.steps.push(cannot(why));
        };
        let step = match (self.exists(&mailbox), self.exists(&to)) {
            (false, true) => return,
            (false, false) => cannot("there is no such mailbox any more".to_owned()),
            (true, true) => cannot(format!("there is another mailbox {to}")),
            (true, false) => {
                self.names.insert(mailbox.clone(), false);
                self.names.insert(to.clone(), true);
                UndoStep::Rename { mailbox, to }
            }
        };
        self.steps.push(step);
    }

    /// Whether a mailbox exists on disk after the steps so far.
    fn exists(&self, name: &MailboxName) -> bool {
        let known = self.names.get(name).copied();
        known.unwrap_or_else(|| self.local.directory(name).is_ok())
    }

    /// Returns the name that a mailbox has before the steps from this one on, which give it this
    /// name.
    fn current(&self, name: &MailboxName, from: usize) -> MailboxName {
        let mut name = name.clone();
        for step in self.steps.iter().skip(from).rev() {
            if let UndoStep::Rename { mailbox, to } = step
                && *to == name
            {
                name = mailbox.clone();
            }
        }
        name
    }

    /// Flags and moves come first: their places are the current ones.
    fn end(self) -> Result<Vec<UndoStep>, OpenError> {
        let mut steps = Vec::new();
        for ((mailbox, file), change) in self.flags {
            let change = self.selector.missing(&mailbox, &file, change)?;
            if !change.is_empty() {
                steps.push(UndoStep::Flags {
                    mailbox,
                    file,
                    change,
                });
            }
        }
        let moves = self.moves.into_iter();
        let moves = moves.filter(|((mailbox, _), to)| mailbox != to);
        steps.extend(moves.map(|((mailbox, file), to)| UndoStep::Move { mailbox, file, to }));
        steps.extend(self.steps);
        Ok(steps)
    }
}

pub(super) fn looked<T>(
    mailbox: &MailboxName,
    looked: std::io::Result<T>,
) -> Result<T, StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flags, SystemFlag};

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
}
