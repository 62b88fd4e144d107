//! The accounts that are kept, each on a thread of its own: starting them, starting them again when
//! their settings changed or one fell over, stopping them.

use super::account::RealDesk;
use super::agenda::Pace;
use super::bell::Bell;
use super::board::{Board, Doing, Status};
use super::keeper::{Keeper, Lines, Order};
use super::pulse::Pulse;
use crate::config::{self, Config};
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

/// After the request to stop, accounts may take so long altogether.
const GRACE: Duration = Duration::from_millis(4800);
/// An account that fell over is started again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// A thread that ended: whose, and which of those that have kept the account.
pub type Ending = (String, u64);

/// An account that is kept.
pub struct Kept {
    pub account: config::Account,
    pub orders: UnboundedSender<Order>,
    pub board: Board,
    pub pulse: Pulse,
    pub stop: Stop,
    /// Which of the threads that have kept this account it is.
    pub number: u64,
    /// When it is started again, if it fell over.
    pub again_at: Option<Instant>,
}

/// The accounts, and what is needed to keep them.
pub struct House {
    pub path: Option<PathBuf>,
    pub only: Vec<String>,
    pub config: RefCell<Config>,
    pub kept: RefCell<BTreeMap<String, Kept>>,
    pub changed: Arc<Notify>,
    pub ended: UnboundedSender<Ending>,
    pub next: RefCell<u64>,
}

impl House {
    /// With nothing in it yet. `only` names accounts; none: all of the configuration.
    pub fn new(
        path: Option<PathBuf>,
        only: Vec<String>,
        config: Config,
        ended: UnboundedSender<Ending>,
    ) -> House {
        House {
            path,
            only,
            config: RefCell::new(config),
            kept: RefCell::default(),
            changed: Arc::default(),
            ended,
            next: RefCell::default(),
        }
    }

    pub fn order_all(&self, order: impl Fn() -> Order) {
        for kept in self.kept.borrow().values() {
            // One that has ended is started again.
            let _there = kept.orders.send(order());
        }
    }

    pub fn statuses(&self) -> Vec<Status> {
        self.kept
            .borrow()
            .values()
            .map(|kept| kept.board.status())
            .collect()
    }

    /// Starts what is to run and does not, stops what runs and is not to; one whose settings
    /// changed is stopped and started. The others notice nothing.
    pub async fn settle(&self, endings: &mut UnboundedReceiver<Ending>) {
        let wanted = {
            let config = self.config.borrow();
            // An account that is named and was taken out of the configuration is no longer kept.
            let named = |name: &&String| self.only.is_empty() || self.only.contains(name);
            let names: Vec<String> = config.accounts.keys().filter(named).cloned().collect();
            let accounts = names
                .into_iter()
                .filter_map(|n| Some((n.clone(), config.accounts.get(&n)?.clone())));
            accounts.collect::<BTreeMap<_, _>>()
        };
        let stale: Vec<Ending> = self
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
        let kept = Kept {
            account: account.clone(),
            orders,
            board: Board::of(&name, self.changed.clone()),
            pulse: Pulse::default(),
            stop: Stop::default(),
            number: *self.next.borrow(),
            again_at: None,
        };
        let lines = Lines {
            bell: Bell::default(),
            board: kept.board.clone(),
            orders: receive,
            stop: kept.stop.clone(),
            pulse: kept.pulse.clone(),
            pace: Pace::of(account.poll_interval, account.full_interval),
        };
        let state_dir = self.config.borrow().state_dir_of(&name).to_owned();
        let last_words = LastWords(self.ended.clone(), name.clone(), kept.number);
        let thread = std::thread::Builder::new().name(format!("mailtide {name}"));
        let started = thread.spawn(move || {
            let _said_at_the_end = last_words;
            keep(account, state_dir, lines);
        });
        if let Err(error) = started {
            tracing::error!(account = %name, %error, "the account has no thread");
        }
        self.kept.borrow_mut().insert(name, kept);
    }

    /// A thread has ended that was not asked to: that is a defect of ours, and no reason to leave
    /// the account alone.
    pub fn fell_over(&self, name: &str, number: u64) {
        let mut kept = self.kept.borrow_mut();
        let Some(one) = kept.get_mut(name).filter(|kept| kept.number == number) else {
            return;
        };
        tracing::error!(account = %name, "mailtide itself failed here; please report what it said");
        one.again_at = Some(Instant::now() + AGAIN);
        let mut board = one.board.open();
        board.status.state = Doing::Waiting;
        board.status.reason = Some("mailtide itself failed; it is started again".to_owned());
    }

    /// When the next that fell over is to be started again.
    pub fn revival(&self) -> Option<Instant> {
        self.kept
            .borrow()
            .values()
            .filter_map(|kept| kept.again_at)
            .min()
    }

    pub fn revive(&self) {
        let due = |kept: &Kept| kept.again_at.is_some_and(|at| at <= Instant::now());
        let kept = self.kept.borrow();
        let fallen: Vec<_> = kept
            .values()
            .filter(|k| due(k))
            .map(|k| k.account.clone())
            .collect();
        drop(kept);
        fallen.into_iter().for_each(|account| self.start(account));
    }

    pub async fn await_ends(&self, wanted: &[Ending], endings: &mut UnboundedReceiver<Ending>) {
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
                tracing::warn!(%account, "did not stop in time; left behind");
            }
        }
    }

    pub async fn stop_all(&self, endings: &mut UnboundedReceiver<Ending>) {
        let all: Vec<Ending> = self
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

/// Says that a thread has ended, however it did.
struct LastWords(UnboundedSender<Ending>, String, u64);

impl Drop for LastWords {
    fn drop(&mut self) {
        // Nobody listens any more when all is over.
        let _heard = self.0.send((self.1.clone(), self.2));
    }
}

/// Keeps one account until the request to stop.
fn keep(account: config::Account, state_dir: PathBuf, lines: Lines) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(account = %account.name, %error, "the account has no runtime");
            return;
        }
    };
    let span = tracing::info_span!("watch", account = %account.name);
    let tasks = tokio::task::LocalSet::new();
    let work = async {
        let (bell, board) = (lines.bell.clone(), lines.board.clone());
        let desk = RealDesk::new(account, state_dir, bell, board);
        Keeper::new(desk, lines).run().await;
    };
    tasks.block_on(&runtime, work.instrument(span));
    drop(tasks);
    // A name that is being looked up must not keep us.
    runtime.shutdown_background();
}
