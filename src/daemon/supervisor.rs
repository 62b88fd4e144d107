//! Starts, restarts and stops the tasks of accounts, each on a thread of its own.

use crate::config::{self, Config};
use crate::daemon::account::agenda::Intervals;
use crate::daemon::account::real_backend::RealBackend;
use crate::daemon::account::task::{AccountTask, TaskChannels, TaskCommand};
use crate::daemon::account::wake_set::WakeSet;
use crate::daemon::status_board::{AccountState, AccountStatus, StatusBoard};
use crate::daemon::system::heartbeat::Heartbeat;
use crate::engine::Stop;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tracing::Instrument;

/// The time that all tasks have to end after the request to stop.
const GRACE: Duration = Duration::from_millis(4800);
/// The delay before a task that panicked is restarted.
const AGAIN: Duration = Duration::from_secs(10);

/// The end of a task: the account, and the number of the task.
pub type TaskExit = (String, u64);

/// A running task.
pub struct AccountHandle {
    pub account: config::Account,
    pub orders: UnboundedSender<TaskCommand>,
    pub board: StatusBoard,
    pub pulse: Heartbeat,
    pub stop: Stop,
    /// The number of the task.
    pub number: u64,
    /// The time of its restart, if it panicked.
    pub again_at: Option<Instant>,
}

/// The tasks of all accounts.
pub struct Supervisor {
    pub path: Option<PathBuf>,
    pub only: Vec<String>,
    pub config: RefCell<Config>,
    pub kept: RefCell<BTreeMap<String, AccountHandle>>,
    pub changed: Arc<Notify>,
    pub ended: UnboundedSender<TaskExit>,
    pub next: RefCell<u64>,
}

impl Supervisor {
    /// Without tasks. `only` names accounts; empty: all of the configuration.
    pub fn new(
        path: Option<PathBuf>,
        only: Vec<String>,
        config: Config,
        ended: UnboundedSender<TaskExit>,
    ) -> Supervisor {
        Supervisor {
            path,
            only,
            config: RefCell::new(config),
            kept: RefCell::default(),
            changed: Arc::default(),
            ended,
            next: RefCell::default(),
        }
    }

    pub fn order_all(&self, order: impl Fn() -> TaskCommand) {
        for kept in self.kept.borrow().values() {
            // A task that panicked is restarted later.
            let _there = kept.orders.send(order());
        }
    }

    pub fn statuses(&self) -> Vec<AccountStatus> {
        self.kept
            .borrow()
            .values()
            .map(|kept| kept.board.status())
            .collect()
    }

    /// Starts and stops tasks as the configuration says. A task whose settings changed is stopped
    /// and started; the others are not disturbed.
    pub async fn apply_config(&self, endings: &mut UnboundedReceiver<TaskExit>) {
        let wanted = {
            let config = self.config.borrow();
            // A named account that the configuration no longer has is stopped.
            let named = |name: &&String| self.only.is_empty() || self.only.contains(name);
            let names: Vec<String> = config.accounts.keys().filter(named).cloned().collect();
            let accounts = names
                .into_iter()
                .filter_map(|n| Some((n.clone(), config.accounts.get(&n)?.clone())));
            accounts.collect::<BTreeMap<_, _>>()
        };
        let stale: Vec<TaskExit> = self
            .kept
            .borrow()
            .iter()
            .filter(|(name, kept)| wanted.get(*name) != Some(&kept.account))
            .map(|(name, kept)| {
                kept.stop.request();
                (name.clone(), kept.number)
            })
            .collect();
        self.await_ends(&stale, endings).await;
        for (name, _) in stale {
            self.kept.borrow_mut().remove(&name);
        }
        for (name, account) in wanted {
            if !self.kept.borrow().contains_key(&name) {
                self.start(account);
            }
        }
    }

    pub fn start(&self, account: config::Account) {
        let (orders, receive) = unbounded_channel();
        let name = account.name.clone();
        *self.next.borrow_mut() += 1;
        let kept = AccountHandle {
            account: account.clone(),
            orders,
            board: StatusBoard::of(&name, self.changed.clone()),
            pulse: Heartbeat::default(),
            stop: Stop::default(),
            number: *self.next.borrow(),
            again_at: None,
        };
        let lines = TaskChannels {
            wakes: WakeSet::default(),
            board: kept.board.clone(),
            orders: receive,
            stop: kept.stop.clone(),
            pulse: kept.pulse.clone(),
            pace: Intervals::of(account.poll_interval, account.full_interval),
        };
        let state_dir = self.config.borrow().state_dir_of(&name).to_owned();
        let last_words = ExitNotifier(self.ended.clone(), name.clone(), kept.number);
        let thread = std::thread::Builder::new().name(format!("mailtide {name}"));
        let started = thread.spawn(move || {
            let _said_at_the_end = last_words;
            keep(account, state_dir, lines);
        });
        if let Err(error) = started {
            tracing::error!(account = %name, %error, "cannot start the thread of the account");
        }
        self.kept.borrow_mut().insert(name, kept);
    }

    /// Schedules the restart of a task that ended without a request to stop, by a panic.
    pub fn on_task_exit(&self, name: &str, number: u64) {
        let mut kept = self.kept.borrow_mut();
        let Some(one) = kept.get_mut(name).filter(|kept| kept.number == number) else {
            return;
        };
        tracing::error!(
            account = %name,
            "mailtide panicked and restarts the account; please report the panic message above"
        );
        one.again_at = Some(Instant::now() + AGAIN);
        let mut board = one.board.open();
        board.status.state = AccountState::Waiting;
        board.status.reason = Some("mailtide panicked; it restarts the account".to_owned());
    }

    /// The time of the next restart.
    pub fn restart_at(&self) -> Option<Instant> {
        self.kept
            .borrow()
            .values()
            .filter_map(|kept| kept.again_at)
            .min()
    }

    pub fn restart_due(&self) {
        let due = |kept: &AccountHandle| kept.again_at.is_some_and(|at| at <= Instant::now());
        let kept = self.kept.borrow();
        let fallen: Vec<_> = kept
            .values()
            .filter(|k| due(k))
            .map(|k| k.account.clone())
            .collect();
        drop(kept);
        fallen.into_iter().for_each(|account| self.start(account));
    }

    pub async fn await_ends(&self, wanted: &[TaskExit], endings: &mut UnboundedReceiver<TaskExit>) {
        let mut left: Vec<_> = wanted.to_vec();
        let all = async {
            while !left.is_empty() {
                match endings.recv().await {
                    Some(ended) => left.retain(|one| *one != ended),
                    None => return,
                }
            }
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            for (account, _) in left {
                tracing::warn!(%account, "did not stop in time; abandoned");
            }
        }
    }

    pub async fn stop_all(&self, endings: &mut UnboundedReceiver<TaskExit>) {
        let all: Vec<TaskExit> = self
            .kept
            .borrow()
            .iter()
            .map(|(name, kept)| {
                kept.stop.request();
                (name.clone(), kept.number)
            })
            .collect();
        self.await_ends(&all, endings).await;
    }
}

/// Sends on drop, so also after a panic.
struct ExitNotifier(UnboundedSender<TaskExit>, String, u64);

impl Drop for ExitNotifier {
    fn drop(&mut self) {
        // At the end of the program nobody receives.
        let _heard = self.0.send((self.1.clone(), self.2));
    }
}

/// Runs the task of one account until the request to stop.
fn keep(account: config::Account, state_dir: PathBuf, lines: TaskChannels) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(account = %account.name, %error, "cannot start the runtime");
            return;
        }
    };
    let span = tracing::info_span!("watch", account = %account.name);
    let tasks = tokio::task::LocalSet::new();
    let work = async {
        let (wakes, board) = (lines.wakes.clone(), lines.board.clone());
        let desk = RealBackend::new(account, state_dir, wakes, board);
        AccountTask::new(desk, lines).run().await;
    };
    tasks.block_on(&runtime, work.instrument(span));
    drop(tasks);
    // A running name lookup must not delay the exit.
    runtime.shutdown_background();
}
