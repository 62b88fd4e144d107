//! What systemd is told: that we are ready, how it goes, and that we are alive.

use super::pulse::Pulse;
use crate::model::printable;
use sd_notify::NotifyState;
use std::time::Duration;

/// Tells that the watcher is ready.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells that the configuration is read again.
pub fn reloading() {
    let monotonic = NotifyState::monotonic_usec_now();
    match monotonic {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells that the watcher is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A line that `systemctl status` shows.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(&printable(line))]);
}

/// Within which time systemd wants a sign of life, if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Gives the sign of life if everybody who works does: one account that is stuck is enough to be
/// started anew.
pub fn alive<'a>(pulses: impl IntoIterator<Item = &'a Pulse>, limit: Duration) -> bool {
    let alive = pulses.into_iter().all(|pulse| pulse.silent_for() < limit);
    if alive {
        tell(&[NotifyState::Watchdog]);
    }
    alive
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
