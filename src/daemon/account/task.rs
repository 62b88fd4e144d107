//! The task of one account in the watcher: waits for wakes, the schedule and commands, and runs one
//! cycle at a time. [`super::agenda`] decides when, the [`AccountBackend`] does it.

use super::agenda::{Agenda, Clock, CycleResult, DueCycle, Intervals, NextAction};
use super::backend::{AccountBackend, SyncRequest, UserVerdict};
use super::publish_run::RunPublisher;
use super::wake_set::WakeSet;
use crate::daemon::run_summary::RunSummary;
use crate::daemon::status_board::StatusBoard;
use crate::daemon::system::heartbeat::Heartbeat;
use crate::engine::{Report, Severity, Stop};
use crate::model::{Scope, Side};
use crate::store::StoreError;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The longest wait of the first cycle for a push connection.
const EXPECT: Duration = Duration::from_secs(5);
/// A connection that was idle for this long is closed.
const REST: Duration = Duration::from_secs(600);
/// Interval of checks whether a refused secret changed.
const PEEK: Duration = Duration::from_secs(30);
/// The time in which a connection has to answer after a network change.
const PROBE: Duration = Duration::from_millis(700);
/// The time that a batch has to finish after the request to stop.
const GRACE: Duration = Duration::from_secs(4);

/// A command to the task of an account.
#[derive(Debug)]
pub enum TaskCommand {
    /// Sync all mailboxes now.
    Look,
    /// Sync all mailboxes now, with the secret read again.
    Poke,
    /// Check the connections and sync: the network changed, or the machine resumed from sleep.
    Hurry,
    /// Start no cycle until [`TaskCommand::Resume`].
    Pause,
    /// End a pause.
    Resume,
    /// Sync now and send the summary.
    Sync(SyncRequest, oneshot::Sender<RunSummary>),
    /// Record the verdict on a held change and send whether it exists.
    Decide(String, UserVerdict, oneshot::Sender<Result<bool, String>>),
    /// Prove liveness: the loop updates the [`Heartbeat`].
    Ping,
}

/// The task of one account.
pub struct AccountTask<D> {
    backend: D,
    agenda: Agenda,
    wakes: WakeSet,
    publisher: RunPublisher,
    orders: UnboundedReceiver<TaskCommand>,
    /// Commands that arrived during a cycle.
    waiting: VecDeque<TaskCommand>,
    stop: Stop,
    pulse: Heartbeat,
    began: Instant,
    used: Option<Instant>,
}

/// The channels and settings of a task.
pub struct TaskChannels {
    /// Wakes.
    pub wakes: WakeSet,
    /// The status.
    pub board: StatusBoard,
    /// Commands.
    pub orders: UnboundedReceiver<TaskCommand>,
    /// The request to stop.
    pub stop: Stop,
    /// The heartbeat.
    pub pulse: Heartbeat,
    /// The delays and intervals.
    pub pace: Intervals,
}

impl<D: AccountBackend> AccountTask<D> {
    /// Makes the task; nothing runs yet.
    pub fn new(backend: D, channels: TaskChannels) -> AccountTask<D> {
        AccountTask {
            backend,
            agenda: Agenda::new(channels.pace, Clock::ZERO, Some(EXPECT)),
            wakes: channels.wakes,
            publisher: RunPublisher::new(channels.board),
            orders: channels.orders,
            waiting: VecDeque::new(),
            stop: channels.stop,
            pulse: channels.pulse,
            began: Instant::now(),
            used: None,
        }
    }

    fn clock(&self) -> Clock {
        self.began.elapsed()
    }

    /// Runs until the request to stop.
    pub async fn run(mut self) {
        self.backend.watch_directories();
        while !self.stop.requested() {
            self.pulse.beat();
            while let Some(order) = self.waiting.pop_front() {
                self.take(Some(order)).await;
            }
            self.hear();
            match self.agenda.next(self.clock()) {
                NextAction::Cycle(task) => self.work(task).await,
                NextAction::Wait(until) => {
                    {
                        let (clock, now) = (self.clock(), self.backend.now());
                        self.publisher.show_waiting(&self.agenda, clock, now);
                    }
                    self.wait(until).await;
                }
            }
        }
        self.backend.close().await;
    }

    /// Takes the wakes and the state of the push connections into the agenda.
    fn hear(&mut self) {
        let pending = self.wakes.take();
        let now = self.clock();
        self.agenda.wake(Side::Remote, pending.remote, now);
        self.agenda.wake(Side::Local, pending.local, now);
        if let Some((notified, watched)) = self.backend.notified() {
            self.agenda.covered(notified, watched);
            self.agenda.listening();
        }
        if let Some(what) = self.backend.refused() {
            self.agenda.refuse();
            self.publisher.log_errors(&mut self.backend, vec![what]);
        }
    }

    async fn wait(&mut self, until: Option<Clock>) {
        let due = until.map(|at| self.began + at);
        let rest = self.used.map(|used| used + REST);
        let refused = self.agenda.is_refused();
        let peek = refused.then(|| Instant::now() + PEEK);
        let next = [due, rest, peek].into_iter().flatten().min();
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.wakes.heard() => {}
            () = self.stop.asked() => {}
            order = self.orders.recv() => self.take(order).await,
            () = self.backend.asked_to_leave() => self.backend.disconnect_idle().await,
            () = sleep => {
                if refused && self.backend.secret_changed() {
                    self.take(Some(TaskCommand::Poke)).await;
                }
                if rest.is_some_and(|at| at <= Instant::now()) {
                    self.used = None;
                    self.backend.disconnect_idle().await;
                }
            }
        }
    }

    async fn take(&mut self, order: Option<TaskCommand>) {
        match order {
            // The supervisor is gone, so nobody else could stop this task.
            None => self.stop.request(),
            Some(TaskCommand::Ping) => {}
            Some(TaskCommand::Look) => self.agenda.poke(self.clock()),
            Some(TaskCommand::Poke) => {
                self.backend.discard_secret();
                self.agenda.poke(self.clock());
            }
            Some(TaskCommand::Hurry) => {
                self.backend.check_connections(PROBE).await;
                self.agenda.hurry(self.clock());
            }
            Some(TaskCommand::Pause) => self.agenda.pause(),
            Some(TaskCommand::Resume) => self.agenda.resume(self.clock()),
            Some(TaskCommand::Sync(request, answer)) => self.sync_now(request, answer).await,
            Some(TaskCommand::Decide(id, verdict, answer)) => {
                let known = self.backend.decide(&id, verdict);
                if known == Ok(true) {
                    self.agenda.poke(self.clock());
                }
                // The client may have disconnected.
                let _heard = answer.send(known);
            }
        }
    }

    async fn work(&mut self, task: DueCycle) {
        if task.local == Scope::Everywhere {
            self.backend.watch_directories();
        }
        let idle = task.remote.is_nothing() && task.kind == super::agenda::Trigger::Wake;
        if idle && self.backend.disk_is_unchanged(&task.local).await {
            let now = self.clock();
            self.agenda.done(task, &CycleResult::InStep, now, 0);
            return;
        }
        self.publisher.cycle_began();
        tracing::debug!(kind = ?task.kind, remote = ?task.remote, local = ?task.local, "cycle");
        let began = Instant::now();
        let halt = Stop::default();
        let cycle = self.backend.cycle(&task, &self.pulse, &halt);
        let orders = (&mut self.orders, &mut self.waiting);
        let Some(mut report) = until_stopped(cycle, &self.stop, &halt, orders).await else {
            return;
        };
        if halt.requested() {
            // A pause or stop ended the cycle, not a fault of the account.
            report.errors.clear();
        }
        self.used = Some(Instant::now());
        let (now, chance) = (self.clock(), self.backend.random());
        let ended = match ended(&report) {
            // As patient as with a server that asks for patience: no account is to be locked.
            CycleResult::Refused if self.backend.renews_login() => {
                self.backend.discard_secret();
                CycleResult::Later(Some(Duration::ZERO))
            }
            ended => ended,
        };
        self.agenda.done(task, &ended, now, chance);
        self.publisher
            .publish(&mut self.backend, &report, began.elapsed());
    }

    /// Runs a cycle now on the user's request, whatever is scheduled.
    async fn sync_now(&mut self, request: SyncRequest, answer: oneshot::Sender<RunSummary>) {
        self.backend.watch_directories();
        self.publisher.cycle_began();
        let began = Instant::now();
        let halt = Stop::default();
        let cycle = self.backend.sync_now(request, &self.pulse, &halt);
        let orders = (&mut self.orders, &mut self.waiting);
        let Some(report) = until_stopped(cycle, &self.stop, &halt, orders).await else {
            return;
        };
        self.used = Some(Instant::now());
        let summary = self
            .publisher
            .publish(&mut self.backend, &report, began.elapsed());
        // The client may have disconnected.
        let _heard = answer.send(summary);
    }
}

/// Runs a cycle and collects commands meanwhile. A pause or the request to stop ends it after the
/// current batch. Returns `None` if the batch did not end within [`GRACE`] and the cycle was
/// dropped, which loses no recorded work.
async fn until_stopped(
    cycle: impl Future<Output = Report>,
    stop: &Stop,
    halt: &Stop,
    (orders, waiting): (
        &mut UnboundedReceiver<TaskCommand>,
        &mut VecDeque<TaskCommand>,
    ),
) -> Option<Report> {
    let mut cycle = std::pin::pin!(cycle);
    let mut deadline = None;
    loop {
        let patience = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            report = &mut cycle => return Some(report),
            () = stop.asked(), if deadline.is_none() => {
                halt.request();
                deadline = Some(Instant::now() + GRACE);
            }
            order = orders.recv(), if !orders.is_closed() => {
                if matches!(order, Some(TaskCommand::Pause)) {
                    halt.request();
                }
                waiting.extend(order);
            }
            () = patience => return None,
        }
    }
}

/// Maps a report to the result that the agenda needs.
fn ended(report: &Report) -> CycleResult {
    match &report.halted {
        Some(StoreError::Retry(_)) => CycleResult::Later(None),
        Some(StoreError::Busy { wait, .. }) => CycleResult::Later(*wait),
        Some(StoreError::LoginRefused(_)) => CycleResult::Refused,
        Some(StoreError::NeedsUser(_)) => CycleResult::NeedsUser,
        Some(StoreError::Guard(_)) => CycleResult::Guarded,
        Some(
            StoreError::Mailbox(_)
            | StoreError::Stale(_)
            | StoreError::Renumbered(_)
            | StoreError::Bug(_),
        ) => CycleResult::Partly,
        None => match report.errors.iter().map(|error| error.severity).max() {
            None => CycleResult::InStep,
            Some(Severity::Configuration) => CycleResult::NeedsUser,
            Some(Severity::Partial | Severity::Temporary | Severity::Guard) => CycleResult::Partly,
        },
    }
}
