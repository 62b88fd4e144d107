//! The progress of a cycle, for the terminal, the status and the log: counted from its events.

use crate::daemon::run_summary::count;
use crate::engine::{Event, Observer};
use crate::model::printable;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// A rate over less time than this says nothing.
const STEADY: Duration = Duration::from_secs(2);

/// What a cycle has copied, and what it still has to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Messages copied.
    pub messages: usize,
    /// Messages to copy in all, as far as they are known.
    pub of: usize,
    /// Mailboxes concerned.
    pub mailboxes: usize,
    /// Bytes copied.
    pub bytes: u64,
    /// Bytes a second; `None`: not known yet.
    pub rate: Option<u64>,
    /// Seconds left; `None`: not known yet.
    pub left: Option<u64>,
    /// The mailbox that is read or copied.
    pub mailbox: Option<String>,
}

impl Progress {
    /// Describes it in one line.
    pub fn text(&self) -> String {
        let mailbox = self.mailbox.as_deref().map(printable).unwrap_or_default();
        if self.of == 0 {
            return match mailbox.is_empty() {
                true => "looking".to_owned(),
                false => format!("looking into {mailbox}"),
            };
        }
        let mut parts = vec![format!(
            "{} of {}",
            self.messages,
            count(self.of, "messages")
        )];
        parts.push(bytes(self.bytes));
        parts.extend(self.rate.map(|rate| format!("{}/s", bytes(rate))));
        parts.extend(self.left.map(|left| format!("{} left", span(left))));
        parts.extend(Some(mailbox).filter(|mailbox| !mailbox.is_empty()));
        parts.join(", ")
    }
}

/// Counts events.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    now: Progress,
    /// When the first message was to be copied.
    began: Option<Duration>,
}

impl Meter {
    /// Takes an event at this time of a clock that does not jump.
    pub fn event(&mut self, event: Event<'_>, at: Duration) {
        let now = &mut self.now;
        match event {
            Event::Looking(mailbox) | Event::Copying(mailbox) => {
                now.mailbox = Some(mailbox.to_string());
            }
            Event::Planned { messages: 0, .. } => {}
            Event::Planned {
                messages,
                mailboxes,
            } => {
                // A later pass plans anew what is left.
                (now.of, now.mailboxes) = (now.messages + messages, mailboxes);
                self.began.get_or_insert(at);
            }
            Event::Bytes(bytes) => now.bytes += bytes,
            Event::Copied(messages) => now.messages += messages,
        }
    }

    /// Returns the progress at this time.
    pub fn progress(&self, at: Duration) -> Progress {
        let mut now = self.now.clone();
        let took = at.saturating_sub(self.began.unwrap_or(at));
        if took >= STEADY {
            let seconds = took.as_secs_f64();
            now.rate = Some((now.bytes as f64 / seconds) as u64).filter(|rate| *rate > 0);
            let missing = now.of.saturating_sub(now.messages) as f64;
            let left = seconds * missing / now.messages as f64;
            let known = now.messages > 0 && missing > 0.0;
            now.left = known.then(|| (left.ceil() as u64).max(1));
        }
        now
    }
}

/// Counts the events that another observer gets too, and hands the progress on at intervals.
pub struct Progressing<'a, F: Fn(Progress)> {
    inner: &'a dyn Observer,
    every: Duration,
    give: F,
    began: Instant,
    meter: RefCell<Meter>,
    given: RefCell<Option<Duration>>,
}

impl<'a, F: Fn(Progress)> Progressing<'a, F> {
    /// Hands the progress to `give` at the first event and then after each interval.
    pub fn new(inner: &'a dyn Observer, every: Duration, give: F) -> Progressing<'a, F> {
        Progressing {
            inner,
            every,
            give,
            began: Instant::now(),
            meter: RefCell::default(),
            given: RefCell::default(),
        }
    }
}

impl<F: Fn(Progress)> Observer for Progressing<'_, F> {
    fn event(&self, event: Event<'_>) {
        self.inner.event(event);
        let at = self.began.elapsed();
        self.meter.borrow_mut().event(event, at);
        let due = self
            .given
            .borrow()
            .is_none_or(|given| at - given >= self.every);
        if due {
            *self.given.borrow_mut() = Some(at);
            (self.give)(self.meter.borrow().progress(at));
        }
    }
}

/// Formats a number of bytes: `812 B`, `4.2 MB`.
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    let units = ["B", "kB", "MB", "GB", "TB"];
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = units.get(unit).unwrap_or(&"B");
    match unit == 0 || value >= 99.95 {
        true => format!("{value:.0} {name}"),
        false => format!("{value:.1} {name}"),
    }
}

/// Formats a number of seconds: `90 s`, `12 min`, `3 h`, `4 days`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MailboxName;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn progress_names_rate_and_time_once_they_are_known() {
        let inbox = MailboxName::inbox();
        let mut meter = Meter::default();
        meter.event(Event::Looking(&inbox), at(0));
        assert_eq!(meter.progress(at(1)).text(), "looking into INBOX");
        let planned = Event::Planned {
            messages: 100,
            mailboxes: 2,
        };
        meter.event(planned, at(5));
        assert_eq!(
            meter.progress(at(6)).text(),
            "0 of 100 messages, 0 B, INBOX"
        );
        meter.event(Event::Bytes(30_000_000), at(9));
        meter.event(Event::Copied(20), at(9));
        let shown = meter.progress(at(15)).text();
        assert_eq!(
            shown,
            "20 of 100 messages, 30.0 MB, 3.0 MB/s, 40 s left, INBOX"
        );
        meter.event(Event::Copied(79), at(16));
        let left = meter.progress(at(16)).left;
        assert_eq!(left, Some(1), "never 0 s");
        meter.event(Event::Copied(1), at(17));
        assert_eq!(meter.progress(at(17)).left, None);
        let again = Event::Planned {
            messages: 5,
            mailboxes: 1,
        };
        meter.event(again, at(18));
        assert_eq!(meter.progress(at(18)).of, 105);
    }

    #[test]
    fn progress_is_handed_on_at_intervals() {
        let given = RefCell::new(Vec::new());
        let give = |progress: Progress| given.borrow_mut().push(progress.messages);
        let silent = crate::engine::Silent;
        let all = Progressing::new(&silent, Duration::from_secs(3600), give);
        (0..5).for_each(|_| all.event(Event::Copied(1)));
        assert_eq!(*given.borrow(), [1]);
        let each = Progressing::new(&silent, Duration::ZERO, give);
        (0..2).for_each(|_| each.event(Event::Copied(1)));
        assert_eq!(*given.borrow(), [1, 1, 2]);
    }

    #[test]
    fn amounts_are_short() {
        let all = [0, 999, 1000, 9_960, 123_456_789].map(bytes);
        assert_eq!(all, ["0 B", "999 B", "1.0 kB", "10.0 kB", "123 MB"]);
        let all = [1, 119, 120, 7200, 172_800].map(span);
        assert_eq!(all, ["1 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}
