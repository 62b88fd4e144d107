//! Publishes the result of a cycle: log, hooks, status.

use super::agenda::{Agenda, Clock};
use super::backend::AccountBackend;
use crate::daemon::hooks::HookEvents;
use crate::daemon::run_summary::{RunError, RunSummary};
use crate::daemon::status_board::{AccountState, StatusBoard};
use crate::engine::Report;
use crate::model::{Scope, Side};
use std::time::Duration;

/// Where the results of one account's cycles go.
pub struct RunPublisher {
    board: StatusBoard,
    /// The errors that were logged last.
    logged: Vec<String>,
}

impl RunPublisher {
    /// Nothing was logged yet.
    pub fn new(board: StatusBoard) -> RunPublisher {
        RunPublisher {
            board,
            logged: Vec::new(),
        }
    }

    /// Shows that a cycle runs.
    pub fn cycle_began(&self) {
        self.board.open().status.state = AccountState::Syncing;
    }

    /// Publishes the result of a cycle and returns its summary.
    pub fn publish(
        &mut self,
        backend: &mut impl AccountBackend,
        report: &Report,
        took: Duration,
    ) -> RunSummary {
        let account = self.board.open().status.account.clone();
        let mut summary = RunSummary::of(&account, report, took.as_secs_f64());
        backend.record(&mut summary);
        log(&summary, report);
        let events = events(report);
        if !events.is_empty() {
            backend.run_hooks(events);
        }
        self.log_errors(backend, summary.errors.iter().map(line).collect());
        let (now, mailboxes) = (backend.now(), backend.mailboxes());
        let mut board = self.board.open();
        for (_, name) in &report.touched {
            board.changed_at.insert(name.to_string(), now);
        }
        let status = &mut board.status;
        if summary.ok {
            status.synced_at = Some(now);
        }
        status.progress = None;
        status.cycles += 1;
        status.changes += summary.changes;
        status.compared += summary.counts.compared;
        status.drift += summary.counts.drift;
        status.held = summary.held.clone();
        status.errors = summary.errors.clone();
        (status.last, status.last_at) = (Some(summary.clone()), Some(now));
        status.mailboxes = mailboxes;
        drop(board);
        summary
    }

    /// Logs errors that are new, and once that all are resolved.
    pub fn log_errors(&mut self, backend: &mut impl AccountBackend, errors: Vec<String>) {
        let is_new = |error: &&String| !self.logged.contains(error);
        let new: Vec<String> = errors.iter().filter(is_new).cloned().collect();
        for error in &new {
            tracing::warn!("{error}");
        }
        if errors.is_empty() && !self.logged.is_empty() {
            tracing::info!("all errors are resolved");
        }
        self.logged = errors;
        if !new.is_empty() {
            backend.run_hooks(HookEvents {
                errors: new,
                ..HookEvents::default()
            });
        }
    }

    /// Updates the status while the task waits; `clock` is the agenda's time, `now` seconds since
    /// 1970.
    pub fn show_waiting(&self, agenda: &Agenda, clock: Clock, now: i64) {
        let at =
            |then: Clock| now + i64::try_from(then.saturating_sub(clock).as_secs()).unwrap_or(0);
        let lag = agenda
            .waiting_since()
            .map_or(Duration::ZERO, |since| clock - since);
        let dirty = agenda.dirty();
        let mut board = self.board.open();
        let changed_at = board.changed_at.clone();
        let status = &mut board.status;
        let failing = status.errors.iter().any(|error| error.mailbox.is_none());
        status.state = if agenda.is_paused() {
            AccountState::Paused
        } else if agenda.is_refused() {
            AccountState::LoginFailed
        } else if failing {
            AccountState::Waiting
        } else if status.last_at.is_none() {
            AccountState::Starting
        } else if !status.held.is_empty() {
            AccountState::ApprovalNeeded
        } else if !status.errors.is_empty() {
            AccountState::Partial
        } else {
            AccountState::Synced
        };
        status.reason = self.logged.first().cloned();
        status.lag = (lag.as_secs_f64() * 1000.0).round() / 1000.0;
        status.next_at = agenda.next_at().map(at);
        for row in &mut status.mailboxes {
            row.changed_at = changed_at.get(&row.name).copied();
            let is_dirty = match &dirty {
                Scope::Some(these) => these.iter().any(|name| name.to_string() == row.name),
                Scope::Everywhere => true,
                Scope::Nothing => false,
            };
            row.lag = if is_dirty { status.lag } else { 0.0 };
        }
        drop(board);
        self.board.ring();
    }
}

fn log(summary: &RunSummary, report: &Report) {
    if summary.changes > 0 || !summary.held.is_empty() {
        let touched = report.touched.iter();
        let mailboxes = listed(touched.map(|(_, name)| name.to_string()).collect());
        tracing::info!(seconds = summary.seconds, %mailboxes, "{}", summary.what());
    }
    for note in &summary.notes {
        tracing::info!("{note}");
    }
    if summary.counts.drift > 0 {
        tracing::warn!(
            "full verification found {} changes that incremental sync missed; please report this",
            summary.counts.drift
        );
    }
}

/// Returns what a run did that hooks are told, without its errors.
pub fn events(report: &Report) -> HookEvents {
    let arrived = report.arrived.iter();
    let touched = report.touched.iter();
    let local = touched.filter(|(side, _)| *side == Side::Local);
    HookEvents {
        new: arrived
            .map(|(name, count)| (name.to_string(), *count))
            .collect(),
        changed: local.map(|(_, name)| name.to_string()).collect(),
        errors: Vec::new(),
    }
}

/// Joins the names of the first five mailboxes and the number of the others.
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

fn line(error: &RunError) -> String {
    match &error.mailbox {
        Some(name) => format!("{name}: {}", error.text),
        None => error.text.clone(),
    }
}
