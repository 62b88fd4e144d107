//! Progress on a terminal: a bar per account with messages, bytes and time left.

use crate::engine::{Event, Observer};
use crate::model::printable;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};

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
        let bar = match &self.all {
            Some(all) => all.add(ProgressBar::new_spinner()),
            None => ProgressBar::hidden(),
        };
        bar.set_prefix(name.to_owned());
        bar.set_style(style("{prefix:.bold} {spinner} {msg}"));
        if self.all.is_some() {
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
        }
        Bar {
            bar,
            bytes: AtomicU64::new(0),
        }
    }
}

/// The bar of one account.
pub struct Bar {
    bar: ProgressBar,
    bytes: AtomicU64,
}

impl Bar {
    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Looking(mailbox) => {
                self.bar
                    .set_message(format!("looking into {}", printable(&mailbox.to_string())));
            }
            Event::Planned { messages: 0, .. } => {}
            Event::Planned {
                messages,
                mailboxes,
            } => {
                self.bar.set_length(messages as u64);
                self.bar.set_position(0);
                self.bar.set_style(style(
                    "{prefix:.bold} [{bar:30}] {pos}/{len} messages, {msg}, {eta} left",
                ));
                self.bar.set_message(format!("{mailboxes} mailboxes"));
            }
            Event::Bytes(bytes) => {
                let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
                self.bar.set_message(HumanBytes(total).to_string());
            }
            Event::Copied(messages) => self.bar.inc(messages as u64),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
