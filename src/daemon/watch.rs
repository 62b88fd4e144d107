//! `mailtide watch`: runs all accounts, each on a thread of its own, and passes on signals and
//! system events.

use super::system::{events, systemd};
use crate::config::{Config, ConfigError};
use crate::daemon::account::task::TaskCommand;
use crate::daemon::control::handlers::summary;
use crate::daemon::control::socket::{Control, ControlError};
use crate::daemon::metrics::write_metrics;
use crate::daemon::offline_status::at_rest;
use crate::daemon::open::{OpenError, chosen, load};
use crate::daemon::status_board::{AccountState, AccountStatus};
use crate::daemon::supervisor::{Supervisor, TaskExit};
use crate::daemon::system::signals::{SignalRequest, Signals};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

/// Why the watcher could not start.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An account is invalid.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The control socket could not be created.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A system call failed.
    #[error("cannot start the watcher: {0}")]
    Io(#[from] std::io::Error),
}

/// Runs the watcher until it is stopped. `only` names accounts; empty: all.
pub fn watch(path: Option<PathBuf>, only: Vec<String>) -> Result<(), WatchError> {
    let config = load(path.as_deref())?;
    chosen(&config, &only)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, run(path, only, config))
}

async fn run(path: Option<PathBuf>, only: Vec<String>, config: Config) -> Result<(), WatchError> {
    let mut signals = Signals::new()?;
    let control = Control::bind(&config.control_socket)?;
    let (ended, mut endings) = unbounded_channel();
    let house = Rc::new(Supervisor::new(path, only, config, ended));
    house.apply_config(&mut endings).await;
    let answers = house.clone();
    tokio::task::spawn_local(async move { control.serve(answers).await });
    house.listen_outside();
    systemd::ready();
    tracing::info!(accounts = house.kept.borrow().len(), "watching");
    house.main_loop(&mut signals, &mut endings).await?;
    systemd::stopping();
    house.stop_all(&mut endings).await;
    tracing::info!("stopped");
    Ok(())
}

/// Metrics are written at once, but not more often than this.
const RARELY: Duration = Duration::from_secs(5);
/// They are written after this time though nothing changed.
const STALE: Duration = Duration::from_secs(60);

/// Writes the metrics of a watcher.
#[derive(Default)]
struct MetricsWriter {
    written: Option<Instant>,
    /// The next time.
    due: Option<Instant>,
    failed: bool,
}

impl MetricsWriter {
    fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something changed.
    fn write_soon(&mut self, house: &Supervisor) {
        let soon = self.written.map_or(Instant::now(), |at| at + RARELY);
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        self.write_due(house);
    }

    fn write_due(&mut self, house: &Supervisor) {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        let Some(path) = house.config.borrow().metrics_file.clone() else {
            self.due = None;
            return;
        };
        (self.written, self.due) = (Some(Instant::now()), Some(Instant::now() + STALE));
        let all = house.all_statuses().map_err(|error| error.to_string());
        let done = all.and_then(|all| write_metrics(&path, &all).map_err(|e| e.to_string()));
        match done {
            Ok(()) => self.failed = false,
            Err(error) if !std::mem::replace(&mut self.failed, true) => {
                let path = path.display();
                tracing::warn!(%path, %error, "metrics_file cannot be written");
            }
            Err(_) => {}
        }
    }
}

impl Supervisor {
    /// The status of all accounts of the configuration, also of those that are not watched.
    pub fn all_statuses(&self) -> Result<Vec<AccountStatus>, OpenError> {
        let (config, live) = (self.config.borrow(), self.statuses());
        let mut all = at_rest(&config, &[])?;
        for one in &mut all {
            if let Some(watched) = live.iter().find(|live| live.account == one.account) {
                let synced_at = watched.synced_at.or(one.synced_at);
                *one = AccountStatus {
                    synced_at,
                    ..watched.clone()
                };
            }
        }
        Ok(all)
    }

    async fn main_loop(
        &self,
        signals: &mut Signals,
        endings: &mut UnboundedReceiver<TaskExit>,
    ) -> Result<(), WatchError> {
        let watchdog = systemd::watchdog();
        let tick = watchdog.map_or(Duration::from_secs(3600), |limit| limit / 4);
        let mut next = Instant::now() + tick;
        let mut line = String::new();
        let mut measured = MetricsWriter::default();
        loop {
            let soon = self.restart_at().map_or(next, |at| at.min(next));
            let soon = measured.due().map_or(soon, |at| at.min(soon));
            tokio::select! {
                asked = signals.next() => match asked? {
                    SignalRequest::Stop => return Ok(()),
                    SignalRequest::Look => self.order_all(|| TaskCommand::Look),
                    SignalRequest::Reload => self.reload(endings).await,
                },
                Some((name, number)) = endings.recv() => self.on_task_exit(&name, number),
                () = self.changed.notified() => {
                    measured.write_soon(self);
                    let now = summary(&self.statuses());
                    if now != line {
                        systemd::status(&now);
                        line = now;
                    }
                }
                () = tokio::time::sleep_until(soon) => {
                    measured.write_due(self);
                    self.restart_due();
                    if next > Instant::now() {
                        continue;
                    }
                    next = Instant::now() + tick;
                    self.order_all(|| TaskCommand::Ping);
                    if let Some(limit) = watchdog {
                        self.feed(limit);
                    }
                }
            }
        }
    }

    fn feed(&self, limit: Duration) {
        let kept = self.kept.borrow();
        if !systemd::alive(kept.values().map(|kept| &kept.pulse), limit) {
            let stuck = kept
                .iter()
                .filter(|(_, kept)| kept.pulse.silent_for() >= limit);
            for (name, kept) in stuck {
                let seconds = kept.pulse.silent_for().as_secs();
                tracing::error!(account = %name, seconds, "stuck; systemd restarts the watcher");
            }
        }
    }

    /// Passes on network changes and sleeps.
    fn listen_outside(self: &Rc<Supervisor>) {
        let (network, sleep, logind) = (self.clone(), self.clone(), self.clone());
        match events::network_changes() {
            Ok(mut changes) => drop(tokio::task::spawn_local(async move {
                while changes.recv().await.is_some() {
                    tracing::info!("the network changed");
                    network.order_all(|| TaskCommand::Hurry);
                }
            })),
            Err(why) => {
                tracing::warn!(%why, "cannot watch network changes; the schedule notices them")
            }
        }
        match events::sleeps() {
            Ok(mut sleeps) => drop(tokio::task::spawn_local(async move {
                while let Some(slept) = sleeps.recv().await {
                    tracing::info!(seconds = slept.as_secs(), "resumed from sleep");
                    sleep.order_all(|| TaskCommand::Hurry);
                }
            })),
            Err(why) => {
                tracing::warn!(%why, "cannot watch sleeps; the schedule notices a resume")
            }
        }
        tokio::task::spawn_local(async move {
            let tell = |asleep: bool| {
                tracing::info!(asleep, "logind signals sleep");
                if !asleep {
                    logind.order_all(|| TaskCommand::Hurry);
                }
            };
            let why = events::logind(tell).await;
            tracing::debug!(%why, "no logind to signal sleep");
        });
    }

    async fn reload(&self, endings: &mut UnboundedReceiver<TaskExit>) {
        systemd::reloading();
        match load(self.path.as_deref()) {
            Ok(config) => {
                if config.state_dir != self.config.borrow().state_dir
                    || config.control_socket != self.config.borrow().control_socket
                {
                    tracing::warn!("state_dir and control_socket change with a restart only");
                }
                {
                    let mut own = self.config.borrow_mut();
                    own.metrics_file = config.metrics_file;
                    own.accounts = config.accounts;
                    own.state_dirs.extend(config.state_dirs);
                }
                self.apply_config(endings).await;
                // A refused secret may have changed.
                for kept in self.kept.borrow().values() {
                    if kept.board.status().state == AccountState::LoginFailed {
                        let _there = kept.orders.send(TaskCommand::Poke);
                    }
                }
                tracing::info!("configuration reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration is invalid; the old one stays");
            }
        }
        systemd::ready();
    }
}
