//! What one account does next, and when. Pure: time and chance are passed in, nothing is awaited
//! here.
//!
//! Wakes say where to look; they are gathered until nothing more comes for a moment, so that a
//! burst makes one cycle. Looks on a schedule find what no wake told.

use super::backoff::{Backoff, LONGEST, LONGEST_BUSY};
use crate::model::{Scope, Side};
use std::time::Duration;

/// Time since some fixed moment.
pub type Clock = Duration;

/// How often, and how soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A cycle begins when no wake came for so long,
    pub settle: Duration,
    /// or the first one came so long ago.
    pub most: Duration,
    /// How often the server is asked about what it does not tell by itself.
    pub poll: Duration,
    /// How often everything is looked at, whatever was told.
    pub full: Duration,
    /// How often the disk is looked at where it cannot be watched, or where it is not there.
    pub glance: Duration,
}

impl Pace {
    /// With the two times that the user sets.
    pub fn of(poll: Duration, full: Duration) -> Pace {
        Pace {
            settle: Duration::from_millis(30),
            most: Duration::from_secs(1),
            poll,
            full,
            glance: Duration::from_secs(30),
        }
    }
}

/// How thorough a cycle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What woke us.
    Wake,
    /// Everything that changed, told or not.
    Full,
}

/// A cycle that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// How thorough.
    pub kind: Kind,
    /// Where the server may have changed.
    pub remote: Scope,
    /// Where the disk may have changed.
    pub local: Scope,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing before then; `None`: nothing until something happens.
    Wait(Option<Clock>),
    /// A cycle.
    Cycle(Task),
}

/// How a cycle ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Both sides are in step, or what is not waits for the user.
    InStep,
    /// Some mailboxes could not be worked on.
    Partly,
    /// The network or the server failed; the server may have said how long to wait.
    Later(Option<Duration>),
    /// A guard stopped it before anything was done: the disk is not there, say.
    Guarded,
    /// Only the user can help, but trying does no harm.
    NeedsUser,
    /// The login was refused: trying could lock the user out.
    Refused,
}

/// What one account has before it.
#[derive(Clone, Debug)]
pub struct Agenda {
    pace: Pace,
    remote: Scope,
    local: Scope,
    /// When the first and the last of the wakes came that are gathered here.
    woken: Option<(Clock, Clock)>,
    poll_at: Clock,
    full_at: Clock,
    glance_at: Clock,
    /// Nothing is tried before.
    not_before: Option<Clock>,
    /// Wakes from the disk end the wait: it is the disk that is waited for.
    disk_awaited: bool,
    backoff: Backoff,
    paused: bool,
    refused: bool,
    /// The listeners are not ready yet.
    expecting: Option<Clock>,
    /// What is told without being asked.
    told: Scope,
    watched: bool,
}

impl Agenda {
    /// At the beginning everything is to be looked at, as soon as somebody listens, or at `by`.
    pub fn new(pace: Pace, now: Clock, by: Option<Clock>) -> Agenda {
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
            told: Scope::Nothing,
            watched: true,
        }
    }

    /// Something may have changed there.
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

    /// What the server tells without being asked, and whether all of the disk is watched.
    pub fn covered(&mut self, told: Scope, watched: bool) {
        (self.told, self.watched) = (told, watched);
    }

    /// Listening has begun, or failed to: no need to wait for it any longer.
    pub fn listening(&mut self) {
        self.expecting = None;
    }

    /// Look everywhere now: the user says so.
    pub fn poke(&mut self, now: Clock) {
        self.refused = false;
        self.hurry(now);
        self.full_at = now;
    }

    /// The network is another, or the machine has slept: what failed before may work now.
    pub fn hurry(&mut self, now: Clock) {
        self.backoff.reset();
        self.not_before = None;
        self.expecting = None;
        self.remote = Scope::Everywhere;
        self.woken = Some((now.saturating_sub(self.pace.most), now));
    }

    /// Do nothing until [`Agenda::go_on`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// After a pause: everything may have changed.
    pub fn go_on(&mut self, now: Clock) {
        self.paused = false;
        self.local = Scope::Everywhere;
        self.hurry(now);
    }

    /// Whether the user paused it.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether nothing is tried until the user has done something.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// The login was refused to a listener.
    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// Since when something waits to be looked at.
    pub fn waiting_since(&self) -> Option<Clock> {
        self.woken.map(|(first, _)| first)
    }

    /// What waits to be looked at, on both sides.
    pub fn dirty(&self) -> Scope {
        let mut all = self.remote.clone();
        all.add(self.local.clone());
        all
    }

    /// When something is tried next, if nothing happens before.
    pub fn next_at(&self) -> Option<Clock> {
        if self.paused || self.refused {
            return None;
        }
        if let Some(by) = self.expecting {
            return Some(by);
        }
        let mut at = self.full_at;
        if self.told != Scope::Everywhere {
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

    /// What to do now. A cycle takes all that was gathered with it.
    pub fn next(&mut self, now: Clock) -> Next {
        match self.next_at() {
            None => Next::Wait(None),
            Some(at) if at > now => Next::Wait(Some(at)),
            Some(_) => Next::Cycle(self.begin(now)),
        }
    }

    fn begin(&mut self, now: Clock) -> Task {
        let full = now >= self.full_at;
        if full || (now >= self.poll_at && self.told != Scope::Everywhere) {
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
        Task {
            kind: match full {
                true => Kind::Full,
                false => Kind::Wake,
            },
            remote: self.remote.take(),
            local: self.local.take(),
        }
    }

    /// A cycle ended. What it was to look at comes back when it did not get to it.
    pub fn done(&mut self, task: Task, ended: &Ended, now: Clock, chance: u32) {
        let wait = match ended {
            Ended::InStep => {
                self.backoff.reset();
                return;
            }
            Ended::Partly => {
                // The rest is in step, and goes on being so; these are looked at again later.
                let wait = self
                    .backoff
                    .failed(chance, LONGEST_BUSY)
                    .max(self.pace.glance);
                self.full_at = self.full_at.min(now + wait);
                return;
            }
            Ended::Later(None) => self.backoff.failed(chance, LONGEST),
            Ended::Later(Some(asked)) => self.backoff.failed(chance, LONGEST_BUSY).max(*asked),
            Ended::NeedsUser => self
                .backoff
                .failed(chance, LONGEST_BUSY)
                .max(self.pace.glance),
            Ended::Guarded => self.pace.glance,
            Ended::Refused => {
                self.refused = true;
                Duration::ZERO
            }
        };
        self.disk_awaited = *ended == Ended::Guarded;
        self.not_before = Some(now + wait);
        if task.kind == Kind::Full {
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
