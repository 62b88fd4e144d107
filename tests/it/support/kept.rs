//! An account in memory that is kept in step while a test runs, on a paused clock.

use super::memory::{Fuse, Memory};
use mailtide::daemon::*;
use mailtide::engine::{Context, Observer, Options, Reach, Report, Stop, World};
use mailtide::model::*;
use mailtide::reconcile::News;
use mailtide::state::{AccountRecord as AccountRow, State};
use mailtide::store::{MailStore, StoreError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

pub const MS: Duration = Duration::from_millis(1);
pub const S: Duration = Duration::from_secs(1);

pub fn inbox() -> MailboxName {
    MailboxName::inbox()
}

/// What happens to the next cycles.
#[derive(Clone, Debug)]
pub enum Fate {
    Fails(StoreError),
    Hangs,
}

/// What a test sees of an account.
#[derive(Default)]
pub struct Seen {
    /// When each cycle began, and why.
    pub cycles: Vec<(Duration, DueCycle)>,
    pub fates: VecDeque<Fate>,
    pub told: Vec<HookEvents>,
    pub secrets: usize,
    pub secret_changed: bool,
    pub told_by_server: Scope,
}

/// Stores in memory behind the desk.
pub struct MemoryDesk {
    remote: Memory<Uid>,
    local: Memory<MaildirId>,
    state: State,
    policy: mailtide::reconcile::Policy,
    seen: Rc<RefCell<Seen>>,
    began: Instant,
}

impl MemoryDesk {
    async fn sync(&mut self, reach: Reach, observer: &dyn Observer, stop: &Stop) -> Report {
        let mut account = Context {
            remote: &mut self.remote,
            local: &mut self.local,
            state: &mut self.state,
            policy: self.policy.clone(),
            options: Options {
                reach,
                ..Options::default()
            },
            world: World {
                now: Box::new(|| 1000),
                random: Box::new(|| 4),
            },
            observer,
            stop: stop.clone(),
        };
        account.sync().await
    }
}

impl AccountBackend for MemoryDesk {
    fn watch_directories(&mut self) {}

    async fn disk_is_unchanged(&mut self, scope: &Scope) -> bool {
        let left = self.state.cursors(Side::Local).unwrap();
        let listed = self.local.list(&left).await.unwrap();
        listed
            .iter()
            .filter(|l| scope.has(&l.name))
            .all(|l| l.news == News::None)
    }

    async fn cycle(&mut self, task: &DueCycle, observer: &dyn Observer, stop: &Stop) -> Report {
        let fate = {
            let mut seen = self.seen.borrow_mut();
            seen.cycles.push((self.began.elapsed(), task.clone()));
            seen.fates.pop_front()
        };
        match fate {
            None => {
                let reach = match task.kind {
                    Trigger::Wake => Reach::Woken(task.remote.clone()),
                    Trigger::Full => Reach::Due,
                };
                self.sync(reach, observer, stop).await
            }
            Some(Fate::Fails(error)) => failed(&error.into()),
            Some(Fate::Hangs) => std::future::pending().await,
        }
    }

    async fn sync_now(&mut self, _: SyncRequest, observer: &dyn Observer, stop: &Stop) -> Report {
        self.sync(Reach::Due, observer, stop).await
    }

    fn notified(&self) -> Option<(Scope, bool)> {
        Some((self.seen.borrow().told_by_server.clone(), true))
    }

    fn refused(&self) -> Option<String> {
        None
    }

    fn mailboxes(&mut self) -> Vec<MailboxStatus> {
        Vec::new()
    }

    fn decide(&mut self, id: &str, verdict: UserVerdict) -> Result<bool, String> {
        let done = match verdict {
            UserVerdict::Approve => self.state.approve(id),
            UserVerdict::Reject => self.state.reject(id),
        };
        done.map_err(|error| error.to_string())
    }

    async fn check_connections(&mut self, _: Duration) {}

    fn secret_changed(&self) -> bool {
        self.seen.borrow().secret_changed
    }

    fn discard_secret(&mut self) {
        self.seen.borrow_mut().secrets += 1;
    }

    async fn disconnect_idle(&mut self) {}

    async fn close(&mut self) {}

    fn run_hooks(&mut self, facts: HookEvents) {
        self.seen.borrow_mut().told.push(facts);
    }

    fn now(&self) -> i64 {
        1000
    }

    fn random(&self) -> u32 {
        u32::MAX
    }
}

/// An account that is kept while the test runs.
pub struct Kept {
    pub remote: Memory<Uid>,
    pub local: Memory<MaildirId>,
    pub bell: WakeSet,
    pub board: StatusBoard,
    pub orders: UnboundedSender<TaskCommand>,
    pub stop: Stop,
    pub pulse: Heartbeat,
    pub seen: Rc<RefCell<Seen>>,
    pub task: tokio::task::JoinHandle<()>,
    pub began: Instant,
}

impl Kept {
    pub fn start(told_by_server: Scope, fates: Vec<Fate>) -> Kept {
        let fuse = Rc::new(RefCell::new(Fuse::default()));
        let mut state = State::in_memory().unwrap();
        let row = AccountRow {
            uuid: "u".into(),
            config: String::new(),
        };
        state.set_account(&row, 0).unwrap();
        let (remote, local) = (Memory::<Uid>::new(fuse.clone()), Memory::new(fuse));
        remote.create(&inbox());
        for n in 0..20 {
            let body = format!("Subject: m{n}\r\n\r\n");
            remote.add(&inbox(), body.as_bytes(), Flags::default());
        }
        let seen = Rc::new(RefCell::new(Seen {
            fates: fates.into(),
            told_by_server,
            ..Seen::default()
        }));
        let began = Instant::now();
        let desk = MemoryDesk {
            remote: remote.clone(),
            local: local.clone(),
            state,
            policy: mailtide::reconcile::Policy::default(),
            seen: seen.clone(),
            began,
        };
        let (orders, receive) = unbounded_channel();
        let (bell, stop, pulse) = (WakeSet::default(), Stop::default(), Heartbeat::default());
        let board = StatusBoard::of("test", Default::default());
        let lines = TaskChannels {
            wakes: bell.clone(),
            board: board.clone(),
            orders: receive,
            stop: stop.clone(),
            pulse: pulse.clone(),
            pace: Intervals::of(300 * S, 3600 * S),
        };
        let task = tokio::task::spawn_local(AccountTask::new(desk, lines).run());
        Kept {
            remote,
            local,
            bell,
            board,
            orders,
            stop,
            pulse,
            seen,
            task,
            began,
        }
    }

    /// In step, with a server that tells everything.
    pub async fn in_step() -> Kept {
        let kept = Kept::start(Scope::Everywhere, Vec::new());
        sleep(10 * S).await;
        assert_eq!(kept.local.ids(&inbox()).len(), 20);
        assert_eq!(kept.cycles(), 1);
        kept
    }

    pub fn cycles(&self) -> usize {
        self.seen.borrow().cycles.len()
    }

    pub fn state(&self) -> AccountState {
        self.board.status().state
    }

    pub fn ring(&self, side: Side) {
        self.bell.ring(side, Scope::of(inbox()));
    }

    pub fn flag_there(&self, n: usize) {
        let id = self.remote.ids(&inbox())[n];
        self.remote
            .edit(&inbox(), &id, |flags| flags.insert(SystemFlag::Seen));
    }

    pub fn flag_here(&self, n: usize) {
        let id = self.local.ids(&inbox())[n].clone();
        self.local
            .edit(&inbox(), &id, |flags| flags.insert(SystemFlag::Flagged));
    }

    pub fn same(&self) -> bool {
        self.remote.view() == self.local.view()
    }

    pub async fn wait_until(&self, what: impl Fn() -> bool) -> Duration {
        let from = Instant::now();
        while !what() {
            sleep(MS).await;
            assert!(from.elapsed() < 10 * 3600 * S, "it never happened");
        }
        from.elapsed()
    }
}

pub fn on_paused_clock(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test());
}

pub fn retry(text: &str) -> Fate {
    Fate::Fails(StoreError::Retry(text.into()))
}
