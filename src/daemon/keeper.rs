//! Keeps one account in step for as long as it is told to: waits for wakes, for the clock and for
//! orders, and runs one cycle at a time. What is due is the business of [`super::agenda`]; how it
//! is done, of the [`Desk`].

use super::agenda::{Agenda, Clock, Ended, Next, Pace, Task};
use super::bell::Bell;
use super::board::{Board, Doing};
use super::desk::{Desk, Verdict, Wish};
use super::pulse::Pulse;
use super::told::Told;
use crate::engine::{Report, Severity, Stop};
use crate::model::{Scope, Side};
use crate::store::StoreError;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The first look waits for the listeners for so long.
const EXPECT: Duration = Duration::from_secs(5);
/// A connection that was not used for so long is let go.
const REST: Duration = Duration::from_secs(600);
/// How often it is looked whether a secret that was refused is another by now.
const PEEK: Duration = Duration::from_secs(30);
/// After a change of network a connection has to show within this that it still works.
const PROBE: Duration = Duration::from_millis(700);
/// After the request to stop, the batch under way may take so long.
const GRACE: Duration = Duration::from_secs(4);

/// What an account can be told.
#[derive(Debug)]
pub enum Order {
    /// Look everywhere now.
    Look,
    /// Look everywhere now, and take the secret anew: the user says that something has changed.
    Poke,
    /// The machine was asleep, or the network is another.
    Hurry,
    /// Do nothing until further notice.
    Pause,
    /// Go on.
    Resume,
    /// Sync now, and tell what was done.
    Sync(Wish, oneshot::Sender<Told>),
    /// The user's word on what is held; the answer is whether it was.
    Decide(String, Verdict, oneshot::Sender<Result<bool, String>>),
    /// Is anybody there? Answered by what is done: see [`Pulse`].
    Ping,
}

/// One account and what is known of what it has to do.
pub struct Keeper<D> {
    pub(super) desk: D,
    pub(super) agenda: Agenda,
    bell: Bell,
    pub(super) board: Board,
    orders: UnboundedReceiver<Order>,
    /// Orders that came while a cycle ran.
    waiting: VecDeque<Order>,
    stop: Stop,
    pulse: Pulse,
    began: Instant,
    used: Option<Instant>,
    /// What is wrong, as it was last told.
    pub(super) wrong: Vec<String>,
}

/// How to reach a keeper, and how it is to go about it.
pub struct Lines {
    /// Wakes.
    pub bell: Bell,
    /// Where it writes how it is doing.
    pub board: Board,
    /// Orders.
    pub orders: UnboundedReceiver<Order>,
    /// The request to stop.
    pub stop: Stop,
    /// Shows that it is alive.
    pub pulse: Pulse,
    /// How often it looks.
    pub pace: Pace,
}

impl<D: Desk> Keeper<D> {
    /// Of an account.
    pub fn new(desk: D, lines: Lines) -> Keeper<D> {
        Keeper {
            desk,
            agenda: Agenda::new(lines.pace, Clock::ZERO, Some(EXPECT)),
            bell: lines.bell,
            board: lines.board,
            orders: lines.orders,
            waiting: VecDeque::new(),
            stop: lines.stop,
            pulse: lines.pulse,
            began: Instant::now(),
            used: None,
            wrong: Vec::new(),
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.began.elapsed()
    }

    /// Runs until the request to stop.
    pub async fn run(mut self) {
        self.desk.follow();
        while !self.stop.requested() {
            self.pulse.beat();
            while let Some(order) = self.waiting.pop_front() {
                self.take(Some(order)).await;
            }
            self.hear();
            match self.agenda.next(self.clock()) {
                Next::Cycle(task) => self.work(task).await,
                Next::Wait(until) => {
                    self.show();
                    self.wait(until).await;
                }
            }
        }
        self.desk.close().await;
    }

    /// Takes in what was heard.
    fn hear(&mut self) {
        let rung = self.bell.take();
        let now = self.clock();
        self.agenda.wake(Side::Remote, rung.remote, now);
        self.agenda.wake(Side::Local, rung.local, now);
        if let Some((told, watched)) = self.desk.covered() {
            self.agenda.covered(told, watched);
            self.agenda.listening();
        }
        if let Some(what) = self.desk.refused() {
            self.agenda.refuse();
            self.complain(vec![what]);
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
            () = self.bell.heard() => {}
            () = self.stop.asked() => {}
            order = self.orders.recv() => self.take(order).await,
            () = sleep => {
                if refused && self.desk.secret_changed() {
                    self.take(Some(Order::Poke)).await;
                }
                if rest.is_some_and(|at| at <= Instant::now()) {
                    self.used = None;
                    self.desk.rest().await;
                }
            }
        }
    }

    async fn take(&mut self, order: Option<Order>) {
        match order {
            // Nobody is left who could tell us to stop.
            None => self.stop.request(),
            Some(Order::Ping) => {}
            Some(Order::Look) => self.agenda.poke(self.clock()),
            Some(Order::Poke) => {
                self.desk.renew_secret();
                self.agenda.poke(self.clock());
            }
            Some(Order::Hurry) => {
                self.desk.probe(PROBE).await;
                self.agenda.hurry(self.clock());
            }
            Some(Order::Pause) => self.agenda.pause(),
            Some(Order::Resume) => self.agenda.go_on(self.clock()),
            Some(Order::Sync(wish, answer)) => self.errand(wish, answer).await,
            Some(Order::Decide(id, verdict, answer)) => {
                let known = self.desk.decide(&id, verdict);
                if known == Ok(true) {
                    self.agenda.poke(self.clock());
                }
                // Who asked may have gone.
                let _heard = answer.send(known);
            }
        }
    }

    async fn work(&mut self, task: Task) {
        if task.local == Scope::Everywhere {
            self.desk.follow();
        }
        let idle = task.remote.is_nothing() && task.kind == super::agenda::Kind::Wake;
        if idle && self.desk.quiet_here(&task.local).await {
            let now = self.clock();
            self.agenda.done(task, &Ended::InStep, now, 0);
            return;
        }
        self.board.open().status.state = Doing::Syncing;
        tracing::debug!(kind = ?task.kind, remote = ?task.remote, local = ?task.local, "cycle");
        let began = Instant::now();
        let halt = Stop::default();
        let cycle = self.desk.cycle(&task, &self.pulse, &halt);
        let orders = (&mut self.orders, &mut self.waiting);
        let Some(mut report) = until_stopped(cycle, &self.stop, &halt, orders).await else {
            return;
        };
        if halt.requested() {
            // It was not the account's fault.
            report.errors.clear();
        }
        self.used = Some(Instant::now());
        let (now, chance) = (self.clock(), self.desk.random());
        let ended = ended(&report);
        self.agenda.done(task, &ended, now, chance);
        self.after(&report, began.elapsed());
    }

    /// The user asked for a sync: it is done now, whatever was planned.
    async fn errand(&mut self, wish: Wish, answer: oneshot::Sender<Told>) {
        self.desk.follow();
        self.board.open().status.state = Doing::Syncing;
        let began = Instant::now();
        let halt = Stop::default();
        let cycle = self.desk.errand(wish, &self.pulse, &halt);
        let orders = (&mut self.orders, &mut self.waiting);
        let Some(report) = until_stopped(cycle, &self.stop, &halt, orders).await else {
            return;
        };
        self.used = Some(Instant::now());
        let told = self.after(&report, began.elapsed());
        // Who asked may have gone.
        let _heard = answer.send(told);
    }
}

/// Runs a cycle, and takes in orders meanwhile. A pause ends it at the next batch; the request to
/// stop does too, and does not wait for longer than a batch may take. `None`: it was dropped, which
/// loses nothing but time.
async fn until_stopped(
    cycle: impl Future<Output = Report>,
    stop: &Stop,
    halt: &Stop,
    (orders, waiting): (&mut UnboundedReceiver<Order>, &mut VecDeque<Order>),
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
                if matches!(order, Some(Order::Pause)) {
                    halt.request();
                }
                waiting.extend(order);
            }
            () = patience => return None,
        }
    }
}

/// What a report means for what is done next.
fn ended(report: &Report) -> Ended {
    match &report.halted {
        Some(StoreError::Retry(_)) => Ended::Later(None),
        Some(StoreError::Busy { wait, .. }) => Ended::Later(*wait),
        Some(StoreError::LoginRefused(_)) => Ended::Refused,
        Some(StoreError::NeedsUser(_)) => Ended::NeedsUser,
        Some(StoreError::Guard(_)) => Ended::Guarded,
        Some(
            StoreError::Mailbox(_)
            | StoreError::Stale(_)
            | StoreError::Renumbered(_)
            | StoreError::Bug(_),
        ) => Ended::Partly,
        None => match report.errors.iter().map(|error| error.severity).max() {
            None => Ended::InStep,
            Some(Severity::Configuration) => Ended::NeedsUser,
            Some(Severity::Partial | Severity::Temporary | Severity::Guard) => Ended::Partly,
        },
    }
}
