//! Decides when an account runs its next cycle, and how thorough it is. Pure: the time and a random
//! number are arguments.
//!
//! Wakes name mailboxes. They are collected until none arrives for a moment, so that a burst causes
//! one cycle. Scheduled cycles find changes that no wake named.

use super::backoff::{Backoff, LONGEST, LONGEST_BUSY};
use crate::model::{Scope, Side};
use std::time::Duration;

/// Time since a fixed moment.
pub type Clock = Duration;

/// Delays and intervals of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// A cycle starts when no wake arrived for this long,
    pub settle: Duration,
    /// or when the first wake is this old.
    pub most: Duration,
    /// Interval of polls of mailboxes for which the server sends no notifications.
    pub poll: Duration,
    /// Interval of cycles over everything.
    pub full: Duration,
    /// Interval of disk scans where the disk cannot be watched or is not mounted.
    pub glance: Duration,
}

impl Intervals {
    /// Uses the two intervals of the configuration; the others are constants.
    pub fn of(poll: Duration, full: Duration) -> Intervals {
        Intervals {
            settle: Duration::from_millis(30),
            most: Duration::from_secs(1),
            poll,
            full,
            glance: Duration::from_secs(30),
        }
    }
}

/// Why a cycle runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// Wakes: it covers the mailboxes that they named.
    Wake,
    /// The schedule: it covers everything that changed.
    Full,
}

/// A cycle that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCycle {
    /// Why it runs.
    pub kind: Trigger,
    /// Mailboxes that may have changed on the server.
    pub remote: Scope,
    /// Mailboxes that may have changed on disk.
    pub local: Scope,
}

/// The next action of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Wait until this time; `None`: until a wake or a command.
    Wait(Option<Clock>),
    /// Run this cycle.
    Cycle(DueCycle),
}

/// The result of a cycle, as far as the schedule depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CycleResult {
    /// Both sides are synchronized, or the remaining changes wait for approval.
    InStep,
    /// Some mailboxes failed.
    Partly,
    /// The network or the server failed. The server may have named a delay.
    Later(Option<Duration>),
    /// A guard stopped the cycle before any change, for example because the disk is not mounted.
    Guarded,
    /// The user has to change something; retries are harmless.
    NeedsUser,
    /// The server refused the login; retries could lock the account.
    Refused,
}

/// The schedule of one account.
#[derive(Clone, Debug)]
pub struct Agenda {
    pace: Intervals,
    remote: Scope,
    local: Scope,
    /// Arrival of the first and of the last wake that was collected.
    woken: Option<(Clock, Clock)>,
    poll_at: Clock,
    full_at: Clock,
    glance_at: Clock,
    /// No cycle starts before this time.
    not_before: Option<Clock>,
    /// A wake from the disk ends the delay, because the disk caused it.
    disk_awaited: bool,
    backoff: Backoff,
    paused: bool,
    refused: bool,
    /// Start of the first cycle if no push connection is up before; `None`: one is, or failed.
    expecting: Option<Clock>,
    /// Mailboxes for which the server sends notifications.
    notified: Scope,
    watched: bool,
}

impl Agenda {
    /// The first cycle covers everything. It starts as soon as a push connection is up, or at `by`.
    pub fn new(pace: Intervals, now: Clock, by: Option<Clock>) -> Agenda {
        Agenda {
            pace,
            remote: Scope::Everywhere,
            local: Scope::Everywhere,
            woken: None,
            poll_at: now + pace.poll,
            full_at: now,
            glance_at: now + pace.glance,
            not_before: None,
            disk_awaited: false,
            backoff: Backoff::default(),
            paused: false,
            refused: false,
            expecting: by,
            notified: Scope::Nothing,
            watched: true,
        }
    }

    /// Records a wake.
    pub fn wake(&mut self, side: Side, scope: Scope, now: Clock) {
        if scope.is_nothing() {
            return;
        }
        match side {
            Side::Remote => self.remote.add(scope),
            Side::Local => {
                self.local.add(scope);
                if self.disk_awaited {
                    self.not_before = None;
                }
            }
        }
        let (first, _) = self.woken.unwrap_or((now, now));
        self.woken = Some((first, now));
    }

    /// Sets the mailboxes with notifications, and whether the whole disk is watched.
    pub fn covered(&mut self, notified: Scope, watched: bool) {
        (self.notified, self.watched) = (notified, watched);
    }

    /// A push connection is up or failed: the first cycle need not wait for it.
    pub fn listening(&mut self) {
        self.expecting = None;
    }

    /// Schedules a cycle over everything now, on the user's request.
    pub fn poke(&mut self, now: Clock) {
        self.refused = false;
        self.hurry(now);
        self.full_at = now;
    }

    /// Schedules a cycle now after a network change or a resume from sleep; clears the backoff.
    pub fn hurry(&mut self, now: Clock) {
        self.backoff.reset();
        self.not_before = None;
        self.expecting = None;
        self.remote = Scope::Everywhere;
        self.woken = Some((now.saturating_sub(self.pace.most), now));
    }

    /// Starts no cycle until [`Agenda::resume`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Ends a pause and schedules a cycle over everything.
    pub fn resume(&mut self, now: Clock) {
        self.paused = false;
        self.local = Scope::Everywhere;
        self.hurry(now);
    }

    /// Whether the user paused the account.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether no cycle starts before the user acts.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// The server refused the login of a push connection.
    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// Arrival of the oldest wake that no cycle covers yet.
    pub fn waiting_since(&self) -> Option<Clock> {
        self.woken.map(|(first, _)| first)
    }

    /// Mailboxes on either side that no cycle covers yet.
    pub fn dirty(&self) -> Scope {
        let mut all = self.remote.clone();
        all.add(self.local.clone());
        all
    }

    /// Time of the next scheduled action; `None`: only a wake or a command leads to one.
    pub fn next_at(&self) -> Option<Clock> {
        if self.paused || self.refused {
            return None;
        }
        if let Some(by) = self.expecting {
            return Some(by);
        }
        let mut at = self.full_at;
        if self.notified != Scope::Everywhere {
            at = at.min(self.poll_at);
        }
        if !self.watched {
            at = at.min(self.glance_at);
        }
        if let Some((first, last)) = self.woken {
            at = at.min((last + self.pace.settle).min(first + self.pace.most));
        }
        Some(self.not_before.map_or(at, |start| at.max(start)))
    }

    /// Returns the next action. A cycle takes all wakes that were collected.
    pub fn next(&mut self, now: Clock) -> NextAction {
        match self.next_at() {
            None => NextAction::Wait(None),
            Some(at) if at > now => NextAction::Wait(Some(at)),
            Some(_) => NextAction::Cycle(self.begin(now)),
        }
    }

    fn begin(&mut self, now: Clock) -> DueCycle {
        let full = now >= self.full_at;
        if full || (now >= self.poll_at && self.notified != Scope::Everywhere) {
            self.remote = Scope::Everywhere;
            self.poll_at = now + self.pace.poll;
        }
        if full || (now >= self.glance_at && !self.watched) {
            self.local = Scope::Everywhere;
            self.glance_at = now + self.pace.glance;
        }
        if full {
            self.full_at = now + self.pace.full;
        }
        (self.woken, self.not_before, self.expecting) = (None, None, None);
        self.disk_awaited = false;
        DueCycle {
            kind: match full {
                true => Trigger::Full,
                false => Trigger::Wake,
            },
            remote: self.remote.take(),
            local: self.local.take(),
        }
    }

    /// Records the result of a cycle. Mailboxes that it did not cover are scheduled again.
    pub fn done(&mut self, task: DueCycle, ended: &CycleResult, now: Clock, chance: u32) {
        let wait = match ended {
            CycleResult::InStep => {
                self.backoff.reset();
                return;
            }
            CycleResult::Partly => {
                // The other mailboxes are synchronized. A full cycle retries these later.
                let wait = self
                    .backoff
                    .failed(chance, LONGEST_BUSY)
                    .max(self.pace.glance);
                self.full_at = self.full_at.min(now + wait);
                return;
            }
            CycleResult::Later(None) => self.backoff.failed(chance, LONGEST),
            CycleResult::Later(Some(asked)) => {
                self.backoff.failed(chance, LONGEST_BUSY).max(*asked)
            }
            CycleResult::NeedsUser => self
                .backoff
                .failed(chance, LONGEST_BUSY)
                .max(self.pace.glance),
            CycleResult::Guarded => self.pace.glance,
            CycleResult::Refused => {
                self.refused = true;
                Duration::ZERO
            }
        };
        self.disk_awaited = *ended == CycleResult::Guarded;
        self.not_before = Some(now + wait);
        if task.kind == Trigger::Full {
            self.full_at = now;
        }
        self.remote.add(task.remote);
        self.local.add(task.local);
        self.woken = self.woken.or(Some((now, now)));
    }
}

#[cfg(test)]
#[path = "agenda_tests.rs"]
mod tests;
