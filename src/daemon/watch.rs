//! `mailtide watch`: all accounts in one process, each on a thread of its own, so that one in
//! trouble delays no other. Waits for signals and for what happens outside, and passes it on.

use super::answers::summary;
use super::board::Doing;
use super::control::{Control, ControlError};
use super::house::{Ending, House};
use super::keeper::Order;
use super::open::{OpenError, chosen, load};
use super::signals::{Asked, Signals};
use super::{outside, systemd};
use crate::config::{Config, ConfigError};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

/// Why watching could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An account.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The system.
    #[error("watching cannot begin: {0}")]
    Io(#[from] std::io::Error),
}

/// Keeps accounts in step until it is told to stop. `only` names them; none: all.
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
    let house = Rc::new(House::new(path, only, config, ended));
    house.settle(&mut endings).await;
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

impl House {
    async fn main_loop(
        &self,
        signals: &mut Signals,
        endings: &mut UnboundedReceiver<Ending>,
    ) -> Result<(), WatchError> {
        let watchdog = systemd::watchdog();
        let tick = watchdog.map_or(Duration::from_secs(3600), |limit| limit / 4);
        let mut next = Instant::now() + tick;
        let mut line = String::new();
        loop {
            let soon = self.revival().map_or(next, |at| at.min(next));
            tokio::select! {
                asked = signals.next() => match asked? {
                    Asked::Stop => return Ok(()),
                    Asked::Look => self.order_all(|| Order::Look),
                    Asked::Reload => self.reload(endings).await,
                },
                Some((name, number)) = endings.recv() => self.fell_over(&name, number),
                () = self.changed.notified() => {
                    let now = summary(&self.statuses());
                    if now != line {
                        systemd::status(&now);
                        line = now;
                    }
                }
                () = tokio::time::sleep_until(soon) => {
                    self.revive();
                    if next > Instant::now() {
                        continue;
                    }
                    next = Instant::now() + tick;
                    self.order_all(|| Order::Ping);
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
                tracing::error!(account = %name, seconds, "stuck; systemd will start us anew");
            }
        }
    }

    /// Passes on what happens to the machine.
    fn listen_outside(self: &Rc<House>) {
        let (network, sleep, logind) = (self.clone(), self.clone(), self.clone());
        match outside::network_changes() {
            Ok(mut changes) => drop(tokio::task::spawn_local(async move {
                while changes.recv().await.is_some() {
                    tracing::info!("the network changed");
                    network.order_all(|| Order::Hurry);
                }
            })),
            Err(why) => tracing::warn!(%why, "changes of the network will not be noticed at once"),
        }
        match outside::sleeps() {
            Ok(mut sleeps) => drop(tokio::task::spawn_local(async move {
                while let Some(slept) = sleeps.recv().await {
                    tracing::info!(seconds = slept.as_secs(), "awake after a sleep");
                    sleep.order_all(|| Order::Hurry);
                }
            })),
            Err(why) => tracing::warn!(%why, "the end of a sleep will not be noticed at once"),
        }
        tokio::task::spawn_local(async move {
            let tell = |asleep: bool| {
                tracing::info!(asleep, "logind tells of sleep");
                if !asleep {
                    logind.order_all(|| Order::Hurry);
                }
            };
            let why = outside::logind(tell).await;
            tracing::debug!(%why, "no logind to tell of sleep");
        });
    }

    async fn reload(&self, endings: &mut UnboundedReceiver<Ending>) {
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
                    own.accounts = config.accounts;
                    own.state_dirs.extend(config.state_dirs);
                }
                self.settle(endings).await;
                // Those who were refused may have another secret now.
                for kept in self.kept.borrow().values() {
                    if kept.board.status().state == Doing::NeedsUser {
                        let _there = kept.orders.send(Order::Poke);
                    }
                }
                tracing::info!("the configuration was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the configuration cannot be used; going on with the old");
            }
        }
        systemd::ready();
    }
}
