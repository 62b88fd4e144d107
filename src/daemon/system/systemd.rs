//! Notifications to systemd (sd_notify(3)): ready, status, watchdog.

use super::heartbeat::Heartbeat;
use crate::model::printable;
use sd_notify::NotifyState;
use std::time::Duration;

/// Notifies that the watcher is ready.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Notifies that the configuration is read again.
pub fn reloading() {
    let monotonic = NotifyState::monotonic_usec_now();
    match monotonic {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Notifies that the watcher stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Sets the line that `systemctl status` shows.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(&printable(line))]);
}

/// The watchdog interval, if systemd set one.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Notifies the watchdog if no task is stuck; one stuck task makes systemd restart the watcher.
pub fn alive<'a>(pulses: impl IntoIterator<Item = &'a Heartbeat>, limit: Duration) -> bool {
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
