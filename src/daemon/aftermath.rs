//! What is written down and told after a cycle, and while nothing is to be done.

use super::agenda::Clock;
use super::board::Doing;
use super::desk::Desk;
use super::hooks::Facts;
use super::keeper::Keeper;
use super::told::{Told, Trouble};
use crate::engine::Report;
use crate::model::{Scope, Side};
use std::time::Duration;

impl<D: Desk> Keeper<D> {
    /// Writes down what a cycle did, and tells who wants to know.
    pub(super) fn after(&mut self, report: &Report, took: Duration) -> Told {
        let now = self.desk.now();
        let account = self.board.open().status.account.clone();
        let told = Told::of(&account, report, took.as_secs_f64());
        if told.changes > 0 || !told.held.is_empty() {
            let touched = report.touched.iter();
            let mailboxes = listed(touched.map(|(_, name)| name.to_string()).collect());
            tracing::info!(seconds = told.seconds, %mailboxes, "{}", told.what());
        }
        for note in &told.notes {
            tracing::info!("{note}");
        }
        if told.drift > 0 {
            tracing::warn!(
                drift = told.drift,
                "changes had been missed; please report this"
            );
        }
        let changed: Vec<String> = report
            .touched
            .iter()
            .map(|(_, name)| name.to_string())
            .collect();
        let here = report
            .touched
            .iter()
            .filter(|(side, _)| *side == Side::Local);
        let facts = Facts {
            new: report
                .arrived
                .iter()
                .map(|(name, count)| (name.to_string(), *count))
                .collect(),
            changed: here.map(|(_, name)| name.to_string()).collect(),
            errors: Vec::new(),
        };
        if !facts.is_empty() {
            self.desk.tell(facts);
        }
        self.complain(told.errors.iter().map(line).collect());
        let rows = self.desk.mailboxes();
        let mut board = self.board.open();
        for name in changed {
            board.changed_at.insert(name, now);
        }
        let status = &mut board.status;
        if told.ok {
            status.in_step_at = Some(now);
        }
        status.cycles += 1;
        status.changes += told.changes;
        (status.compared, status.drift) =
            (status.compared + told.compared, status.drift + told.drift);
        (status.held, status.errors) = (told.held.clone(), told.errors.clone());
        (status.last, status.last_at) = (Some(told.clone()), Some(now));
        status.mailboxes = rows;
        drop(board);
        told
    }

    /// Says what is wrong, once, and that it is over.
    pub(super) fn complain(&mut self, wrong: Vec<String>) {
        let new: Vec<String> = wrong
            .iter()
            .filter(|w| !self.wrong.contains(w))
            .cloned()
            .collect();
        for what in &new {
            tracing::warn!("{what}");
        }
        if wrong.is_empty() && !self.wrong.is_empty() {
            tracing::info!("all is well again");
        }
        self.wrong = wrong;
        if !new.is_empty() {
            self.desk.tell(Facts {
                errors: new,
                ..Facts::default()
            });
        }
    }

    /// Writes on the board what is being waited for.
    pub(super) fn show(&mut self) {
        let (clock, now) = (self.clock(), self.desk.now());
        let at =
            |then: Clock| now + i64::try_from(then.saturating_sub(clock).as_secs()).unwrap_or(0);
        let lag = self
            .agenda
            .waiting_since()
            .map_or(Duration::ZERO, |since| clock - since);
        let dirty = self.agenda.dirty();
        let mut board = self.board.open();
        let changed_at = board.changed_at.clone();
        let status = &mut board.status;
        let failing = status.errors.iter().any(|error| error.mailbox.is_none());
        status.state = if self.agenda.is_paused() {
            Doing::Paused
        } else if self.agenda.is_refused() {
            Doing::NeedsUser
        } else if failing {
            Doing::Waiting
        } else if status.last_at.is_none() {
            Doing::Starting
        } else if !status.held.is_empty() {
            Doing::Held
        } else if !status.errors.is_empty() {
            Doing::Trouble
        } else {
            Doing::InStep
        };
        status.reason = self.wrong.first().cloned();
        status.lag = (lag.as_secs_f64() * 1000.0).round() / 1000.0;
        status.next_at = self.agenda.next_at().map(at);
        for row in &mut status.mailboxes {
            row.changed_at = changed_at.get(&row.name).copied();
            let named = match &dirty {
                Scope::Some(these) => these.iter().any(|name| name.to_string() == row.name),
                Scope::Everywhere => true,
                Scope::Nothing => false,
            };
            row.lag = if named { status.lag } else { 0.0 };
        }
        drop(board);
        self.board.ring();
    }
}

/// Names of mailboxes, the first few.
fn listed(mut names: Vec<String>) -> String {
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(5);
    names.truncate(5);
    match more {
        0 => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    }
}

fn line(trouble: &Trouble) -> String {
    match &trouble.mailbox {
        Some(name) => format!("{name}: {}", trouble.text),
        None => trouble.text.clone(),
    }
}
