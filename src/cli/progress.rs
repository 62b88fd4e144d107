//! Progress on a terminal: a bar for each account with messages, bytes, rate, time left and
//! mailbox.

use super::terminal;
use crate::daemon::Meter;
use crate::engine::{Event, Observer};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A terminal with fewer columns shows no bar beside the text.
const WIDE: usize = 80;

/// The bars of all accounts.
pub struct Bars {
    all: Option<MultiProgress>,
}

impl Bars {
    /// Bars on standard error.
    pub fn shown() -> Bars {
        Bars {
            all: Some(MultiProgress::new()),
        }
    }

    /// No bars.
    pub fn hidden() -> Bars {
        Bars { all: None }
    }

    /// A bar for an account.
    pub fn account(&self, name: &str) -> Bar {
        // With its style from the first time that it is drawn.
        let bar = ProgressBar::new_spinner()
            .with_prefix(name.to_owned())
            .with_style(style("{prefix:.bold} {spinner} {wide_msg}"));
        let bar = match &self.all {
            Some(all) => all.add(bar),
            None => ProgressBar::hidden(),
        };
        if self.all.is_some() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Bar {
            bar,
            began: Instant::now(),
            meter: Mutex::default(),
        }
    }
}

/// The bar of one account.
pub struct Bar {
    bar: ProgressBar,
    began: Instant,
    meter: Mutex<Meter>,
}

impl Bar {
    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn event(&self, event: Event<'_>) {
        let at = self.began.elapsed();
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.event(event, at);
        let now = meter.progress(at);
        if matches!(event, Event::Planned { messages: 1.., .. }) {
            self.bar.set_style(style(match terminal::columns() >= WIDE {
                true => "{prefix:.bold} [{bar:20}] {wide_msg}",
                false => "{prefix:.bold} {wide_msg}",
            }));
        }
        self.bar.set_length(now.of as u64);
        self.bar.set_position(now.messages as u64);
        self.bar.set_message(now.text());
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    match terminal::is_utf8() {
        true => style,
        false => style.progress_chars("#>-").tick_chars("|/-\\ "),
    }
}
