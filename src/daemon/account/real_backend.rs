//! The backend of a configured account: state, Maildir, connections, push connections and hooks.

use super::agenda::{DueCycle, Trigger};
use super::backend::{AccountBackend, SyncRequest, UserVerdict};
use super::push::PushListeners;
use super::wake_set::WakeSet;
use crate::config;
use crate::daemon::cycle::{CycleRequest, OpenAccount};
use crate::daemon::hooks::{HookContext, HookEvents, HookRunner};
use crate::daemon::indexer::Indexer;
use crate::daemon::last_run::RunRecorder;
use crate::daemon::offline_status;
use crate::daemon::open::{self, OpenError, Writes};
use crate::daemon::progress::{Progress, Progressing};
use crate::daemon::run_summary::{RunSummary, failed};
use crate::daemon::secret::Keyring;
use crate::daemon::status_board::{MailboxStatus, StatusBoard};
use crate::daemon::system::malloc_trim;
use crate::daemon::undo;
use crate::engine::{Observer, Reach, Report, Stop};
use crate::imap::Tier;
use crate::maildir::{Watch, Watched};
use crate::model::{Scope, Side};
use crate::reconcile::News;
use crate::search::MailboxDirectory;
use crate::state::StateError;
use crate::store::{MailStore, StoreError};
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A connection that was idle for this long is checked with NOOP,
const SILENT: Duration = Duration::from_secs(30);
/// which the server has to answer within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval at which the progress of a cycle is told.
const TELL: Duration = Duration::from_secs(2);
/// Interval at which it is logged.
const LOG: Duration = Duration::from_secs(30);
/// After a cycle with this many changes the heap is trimmed.
const MANY: usize = 200;
/// Mailboxes compared within this time are not compared again at night, seconds.
const COMPARED: i64 = 8 * 3600;
/// The night in local hours.
const NIGHT: std::ops::Range<i8> = 2..5;

/// A configured account.
pub struct RealBackend {
    account: config::Account,
    state_dir: PathBuf,
    keyring: Rc<Keyring>,
    opened: Option<OpenAccount>,
    watch: Option<Watch>,
    watched: Watched,
    push: Rc<PushListeners>,
    /// Whether the server allows no connection beside the push connections.
    crowded: bool,
    wakes: WakeSet,
    board: StatusBoard,
    hooks: HookRunner,
    indexer: Option<Indexer>,
    recorder: Rc<RefCell<RunRecorder>>,
}

impl RealBackend {
    /// Opens the push connections. The thread needs a local task set.
    pub fn new(
        account: config::Account,
        state_dir: PathBuf,
        wakes: WakeSet,
        board: StatusBoard,
    ) -> RealBackend {
        let keyring = Rc::new(Keyring::new(account.clone()));
        let most = account.connections.saturating_sub(1);
        let most = most.min(1 + account.idle_mailboxes.len());
        let push = PushListeners::start(keyring.clone(), wakes.clone(), board.clone(), most);
        let hooks = HookRunner::start(HookContext::of(&account));
        let state = open::state_path(&state_dir, &account.name);
        let indexer = Some(&account).filter(|account| account.index);
        let indexer = indexer.and_then(|account| Indexer::start(&account.name, &state));
        let recorder = RunRecorder::new(&state_dir, &account.name);
        RealBackend {
            account,
            recorder: Rc::new(RefCell::new(recorder)),
            state_dir,
            keyring,
            opened: None,
            watch: None,
            watched: Watched::Some("not watched yet".into()),
            push,
            crowded: false,
            wakes,
            board,
            hooks,
            indexer,
        }
    }

    fn open(&mut self) -> Result<&mut OpenAccount, OpenError> {
        if self.opened.is_none() {
            let keyring = self.keyring.clone();
            let opened = OpenAccount::new(keyring, &self.state_dir, Writes::Allowed, 1)?;
            self.opened = Some(opened);
        }
        let opened = self.opened.as_mut();
        opened.ok_or_else(|| StoreError::Bug("an account was lost".into()).into())
    }

    /// Runs a cycle with as many connections as the server allows. If it allows none beside the
    /// push connections, these close for this cycle and all later ones.
    async fn work(
        &mut self,
        request: CycleRequest,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Report {
        if self.crowded {
            self.push.close_for_cycle().await;
        }
        let mut report = self.once(request.clone(), observer, stop).await;
        let listening = self.push.connections();
        if !self.crowded && listening > 0 && allows_no_more(&report) {
            self.push.close_for_cycle().await;
            report = self.once(request, observer, stop).await;
            self.crowded = !allows_no_more(&report);
            if self.crowded {
                let why = format!(
                    "the server allows {listening} connections at once: listening gives way to \
                     work; set connections = {listening}"
                );
                tracing::warn!("{why}");
                self.push.share(why);
            } else {
                self.push.resume();
            }
        }
        let scarce = !self.keyring.limit().has_room(&self.account.user);
        if (self.crowded || scarce)
            && let Some(opened) = &mut self.opened
        {
            opened.disconnect().await;
        }
        if self.crowded {
            self.push.resume();
        }
        report
    }

    async fn once(
        &mut self,
        request: CycleRequest,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Report {
        let seats = self
            .account
            .connections
            .saturating_sub(self.push.listening());
        let opened = match self.open() {
            Ok(opened) => opened,
            Err(error) => return failed(&error),
        };
        // Boxed: the future of a cycle is large.
        Box::pin(run(opened, seats.max(1), request, observer, stop)).await
    }

    async fn run(&mut self, request: CycleRequest, observer: &dyn Observer, stop: &Stop) -> Report {
        self.recorder.borrow_mut().begin();
        let teller = Teller {
            recorder: self.recorder.clone(),
            board: self.board.clone(),
            logged: Cell::new(Instant::now()),
        };
        let tell = |now| teller.tell(now);
        let observer = Progressing::new(observer, TELL, tell);
        let report = self.work(request, &observer, stop).await;
        if report
            .halted
            .as_ref()
            .is_some_and(|error| matches!(error, StoreError::Guard(_)))
        {
            // Another disk may be mounted next, so the watch starts anew.
            self.watch = None;
            self.watch_directories();
        }
        self.note_connections();
        if report.changes() >= MANY {
            malloc_trim::trim_heap();
        }
        self.update_index();
        report
    }

    /// Has the search index brought up to the files, beside what is done here.
    fn update_index(&self) {
        if let (Some(indexer), Some(opened)) = (&self.indexer, &self.opened) {
            let paths = opened.local.mailbox_paths().into_iter();
            let place = |(mailbox, directory)| MailboxDirectory { mailbox, directory };
            indexer.update(paths.map(place).collect());
        }
    }

    fn note_connections(&self) {
        let remote = self
            .opened
            .as_ref()
            .and_then(|opened| opened.remote.as_ref());
        let mut board = self.board.open();
        let working = usize::from(remote.is_some_and(|remote| remote.is_connected()));
        board.status.connections = working + self.push.listening();
        if let Some(tier) = remote.and_then(|remote| remote.tier()) {
            let name = match tier {
                Tier::QResync => "QRESYNC",
                Tier::CondStore => "CONDSTORE",
                Tier::Plain => "plain",
            };
            board.status.tier = Some(name.to_owned());
        }
    }

    fn reach(&self, task: &DueCycle) -> Reach {
        let hour = jiff::Zoned::now().hour();
        match task.kind {
            Trigger::Wake => Reach::Woken(task.remote.clone()),
            Trigger::Full if NIGHT.contains(&hour) => Reach::Everything(open::now() - COMPARED),
            Trigger::Full => Reach::Due,
        }
    }

    fn rows(&mut self) -> Result<Vec<MailboxStatus>, StateError> {
        let Some(opened) = &mut self.opened else {
            return Ok(Vec::new());
        };
        offline_status::mailboxes(&opened.state)
    }

    async fn is_disk_unchanged(&mut self, scope: &Scope) -> Result<bool, OpenError> {
        let opened = self.open()?;
        let left = opened.state.cursors(Side::Local)?;
        let listed = opened.local.list(&left).await?;
        let known = opened.state.mailboxes()?;
        let same = listed.len() == left.len() && listed.iter().all(|l| known.contains_key(&l.name));
        let concerned = |l: &&crate::reconcile::Listed| scope.has(&l.name);
        let still = listed
            .iter()
            .filter(concerned)
            .all(|l| l.news == News::None);
        Ok(still && (same || *scope != Scope::Everywhere))
    }
}

/// Tells the progress of a cycle: to the status, the record of the run, and the log.
struct Teller {
    recorder: Rc<RefCell<RunRecorder>>,
    board: StatusBoard,
    logged: Cell<Instant>,
}

impl Teller {
    fn tell(&self, now: Progress) {
        if now.of > 0 {
            self.recorder.borrow_mut().progress(now.clone());
            if self.logged.get().elapsed() >= LOG {
                self.logged.set(Instant::now());
                tracing::info!("{}", now.text());
            }
        }
        self.board.open().status.progress = Some(now);
    }
}

/// Whether the server refused the login because too many connections are open.
fn allows_no_more(report: &Report) -> bool {
    matches!(report.halted, Some(StoreError::Busy { wait: None, .. }))
}

/// Runs a cycle, and once more if a connection that was idle turns out to be closed.
async fn run(
    opened: &mut OpenAccount,
    seats: usize,
    request: CycleRequest,
    observer: &dyn Observer,
    stop: &Stop,
) -> Report {
    let mut kept = false;
    if let Some(remote) = &mut opened.remote {
        remote.wake(SILENT, PATIENCE).await;
        kept = remote.is_connected();
    }
    for again in [kept, false] {
        opened.allow(seats);
        let report = match opened.cycle(request.clone(), observer, stop).await {
            Ok(report) => report,
            Err(error) => failed(&error),
        };
        opened.local.rest();
        let lost = matches!(report.halted, Some(StoreError::Retry(_)));
        if lost {
            opened.remote = None;
        }
        if !(lost && again) {
            return report;
        }
        tracing::debug!("the connection had been kept for too long; trying with a new one");
    }
    Report::default()
}

impl AccountBackend for RealBackend {
    fn watch_directories(&mut self) {
        let wakes = self.wakes.clone();
        if self.watch.is_none() {
            let layout = open::layout(&self.account);
            let stir = move |scope| wakes.ring(Side::Local, scope);
            match Watch::new(&self.account.maildir, layout, stir) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => self.watched = Watched::Some(error.to_string()),
            }
        }
        let paths = match self.open() {
            Ok(opened) => opened.local.mailbox_paths(),
            Err(_) => Default::default(),
        };
        if let Some(watch) = &mut self.watch {
            self.watched = watch.follow(paths);
        }
        self.board.open().status.disk = match &self.watched {
            Watched::All => "watched".to_owned(),
            Watched::Some(why) => why.clone(),
        };
    }

    async fn disk_is_unchanged(&mut self, scope: &Scope) -> bool {
        // The cycle reports the error.
        self.is_disk_unchanged(scope).await.unwrap_or(false)
    }

    async fn cycle(&mut self, task: &DueCycle, observer: &dyn Observer, stop: &Stop) -> Report {
        let request = CycleRequest {
            dry_run: false,
            only: Vec::new(),
            reach: self.reach(task),
        };
        self.run(request, observer, stop).await
    }

    async fn sync_now(
        &mut self,
        request: SyncRequest,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Report {
        let cycle = CycleRequest {
            dry_run: false,
            only: request.only,
            reach: request.depth.reach(),
        };
        let mut done = Vec::new();
        if let Some(what) = request.undo {
            let undoing = async { self.open()?.undo(&what).await };
            match undoing.await {
                Ok(count) => done.push(undo::done_text(count)),
                Err(error) => return failed(&error),
            };
        }
        if !request.arrange.is_empty() {
            let arranging = async { self.open()?.arrange(&request.arrange).await };
            match Box::pin(arranging).await {
                Ok(steps) => done.extend(steps),
                Err(error) => return failed(&error),
            }
        }
        let mut report = self.run(cycle, observer, stop).await;
        report.notes.splice(0..0, done);
        report
    }

    fn notified(&self) -> Option<(Scope, bool)> {
        Some((self.push.covers()?, self.watched == Watched::All))
    }

    fn refused(&self) -> Option<String> {
        self.push.refused()
    }

    fn mailboxes(&mut self) -> Vec<MailboxStatus> {
        self.rows().unwrap_or_default()
    }

    fn decide(&mut self, id: &str, verdict: UserVerdict) -> Result<bool, String> {
        let opened = self.open().map_err(|error| error.to_string())?;
        let done = match verdict {
            UserVerdict::Approve => opened.state.approve(id),
            UserVerdict::Reject => opened.state.reject(id),
        };
        done.map_err(|error| error.to_string())
    }

    async fn check_connections(&mut self, patience: Duration) {
        self.push.again();
        let opened = self.opened.as_mut();
        if let Some(remote) = opened.and_then(|opened| opened.remote.as_mut()) {
            remote.wake(Duration::ZERO, patience).await;
        }
    }

    fn renews_login(&self) -> bool {
        self.keyring.is_token()
    }

    fn secret_changed(&self) -> bool {
        self.keyring.is_stale()
    }

    fn discard_secret(&mut self) {
        self.keyring.forget();
        if let Some(opened) = &mut self.opened {
            opened.remote = None;
        }
        self.push.again();
    }

    async fn asked_to_leave(&self) {
        let remote = self
            .opened
            .as_ref()
            .and_then(|opened| opened.remote.as_ref());
        match remote.is_some_and(|remote| remote.is_connected()) {
            true => self.keyring.limit().asked(&self.account.user).await,
            false => std::future::pending().await,
        }
    }

    async fn disconnect_idle(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.disconnect().await;
        }
        self.note_connections();
    }

    async fn close(&mut self) {
        self.recorder.borrow_mut().flush();
        if let Some(mut opened) = self.opened.take() {
            opened.disconnect().await;
        }
    }

    fn record(&mut self, summary: &mut RunSummary) {
        let state = self.opened.as_ref().map(|opened| &opened.state);
        // Held changes without a date are shown without it.
        let known = state.and_then(|state| offline_status::held(state).ok());
        summary.date_held(&known.unwrap_or_default());
        let mut recorder = self.recorder.borrow_mut();
        recorder.end(summary);
        self.board.open().status.totals = recorder.totals();
    }

    fn run_hooks(&mut self, events: HookEvents) {
        self.hooks.queue(events);
    }

    fn now(&self) -> i64 {
        open::now()
    }

    fn random(&self) -> u32 {
        open::random() as u32
    }
}
