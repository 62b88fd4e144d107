//! The push connections of an account: one with NOTIFY, or one with IDLE for each of a few
//! mailboxes. Each reconnects until the account stops.

use super::backoff::{Backoff, LONGEST, LONGEST_BUSY};
use super::wake_set::WakeSet;
use crate::daemon::open;
use crate::daemon::secret::Keyring;
use crate::daemon::status_board::{PushStatus, StatusBoard};
use crate::imap::{Listener, Purpose, Standing, WatchEvent, WatchTarget};
use crate::model::{MailboxName, Scope, Side};
use crate::store::StoreError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// The longest single wait; IDLE is renewed more often.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// State shared by the push connections of an account.
pub struct PushListeners {
    keyring: Rc<Keyring>,
    wakes: WakeSet,
    board: StatusBoard,
    shared: RefCell<PushState>,
    /// Wakes connections that wait before a retry.
    again: Notify,
    /// Set while the cycle needs the connections.
    away: Cell<bool>,
    /// Connections that are open or being opened.
    connections: Cell<usize>,
    /// Signals that a connection ended.
    left: Notify,
    /// The reason, if push connections close for each cycle.
    crowded: RefCell<Option<String>>,
}

/// A connection that lived shorter than this does not reset the backoff.
const LIVED: Duration = Duration::from_secs(60);
/// The longest wait for connections to close before a cycle.
const WAY: Duration = Duration::from_secs(3);
/// The delay before a server without notifications is asked for them again.
const DEAF: Duration = Duration::from_secs(3600);

/// Why a connection ended.
enum PushEnd {
    /// It failed.
    Failed(StoreError),
    /// The server ends each IDLE at once, or has no IDLE.
    Deaf,
    /// It is to be reopened.
    Again,
}

/// The state of the push connections.
#[derive(Default)]
struct PushState {
    /// The mailboxes that each covers; `None`: it was not tried yet.
    covers: Vec<Option<Scope>>,
    refused: Option<String>,
    /// The mailbox counters at the start of each connection.
    standing: BTreeMap<usize, Standing>,
}

impl PushListeners {
    /// Opens at most `most` push connections.
    pub fn start(
        keyring: Rc<Keyring>,
        wakes: WakeSet,
        board: StatusBoard,
        most: usize,
    ) -> Rc<PushListeners> {
        let ears = Rc::new(PushListeners {
            keyring,
            wakes,
            board,
            shared: RefCell::default(),
            again: Notify::new(),
            away: Cell::new(false),
            connections: Cell::new(0),
            left: Notify::new(),
            crowded: RefCell::default(),
        });
        if most > 0 {
            let own = ears.clone();
            let seat = own.seat();
            let span = Span::current();
            tokio::task::spawn_local(async move { own.first(seat, most).await }.instrument(span));
        }
        ears
    }

    /// Adds a connection to the shared state and returns its index.
    fn seat(&self) -> usize {
        let mut shared = self.shared.borrow_mut();
        shared.covers.push(None);
        let how = "to the server".to_owned();
        self.board.open().status.push.push(PushStatus {
            how,
            ..PushStatus::default()
        });
        shared.covers.len() - 1
    }

    /// The mailboxes with notifications; `None` until each connection was tried once.
    pub fn covers(&self) -> Option<Scope> {
        let shared = self.shared.borrow();
        let mut all = Scope::Nothing;
        for one in &shared.covers {
            all.add(one.clone()?);
        }
        Some(all)
    }

    /// The number of connections that receive notifications.
    pub fn listening(&self) -> usize {
        let shared = self.shared.borrow();
        let listens = |one: &&Option<Scope>| one.as_ref().is_some_and(|one| !one.is_nothing());
        shared.covers.iter().filter(listens).count()
    }

    /// The server's text if it refused the login.
    pub fn refused(&self) -> Option<String> {
        self.shared.borrow().refused.clone()
    }

    /// Reopens all connections now.
    pub fn again(&self) {
        self.shared.borrow_mut().refused = None;
        self.again.notify_waiters();
    }

    /// The number of connections that are open or being opened.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Closes all connections until [`Self::resume`], to free them for a cycle.
    pub async fn close_for_cycle(&self) {
        self.away.set(true);
        self.again.notify_waiters();
        let all = async {
            while self.connections.get() > 0 {
                self.left.notified().await;
            }
        };
        let ended = tokio::time::timeout(WAY, all).await;
        tracing::debug!(ended = ended.is_ok(), "listening gives way to work");
    }

    /// Reopens the connections.
    pub fn resume(&self) {
        self.away.set(false);
        self.again.notify_waiters();
    }

    /// From now on the connections close for each cycle, for this reason.
    pub fn share(&self, why: String) {
        *self.crowded.borrow_mut() = Some(why);
    }

    /// The first connection: NOTIFY for all mailboxes, else IDLE on INBOX. In the second case it
    /// opens further connections for the mailboxes in `idle_mailboxes`.
    async fn first(self: Rc<PushListeners>, seat: usize, most: usize) {
        let mut more = Some(most.saturating_sub(1));
        let own = self.clone();
        let on_ready = move |covers: &Scope| {
            if *covers == Scope::Everywhere {
                return;
            }
            let Some(more) = more.take() else { return };
            let wanted = own.keyring.account().idle_mailboxes.clone();
            for name in wanted.iter().filter_map(|name| MailboxName::parse(name)) {
                let named = !name.is_inbox();
                if named && own.shared.borrow().covers.len() <= more {
                    let (ears, seat) = (own.clone(), own.seat());
                    let ear = WatchTarget::One(name);
                    let task = async move { ears.listen(seat, ear, |_| ()).await };
                    tokio::task::spawn_local(task.instrument(Span::current()));
                }
            }
        };
        self.listen(seat, WatchTarget::All, on_ready).await;
    }

    async fn listen(
        self: Rc<PushListeners>,
        seat: usize,
        ear: WatchTarget,
        mut on_ready: impl FnMut(&Scope),
    ) {
        let mut backoff = Backoff::default();
        loop {
            if self.away.get() {
                self.again.notified().await;
                continue;
            }
            let began = Instant::now();
            self.connections.set(self.connections.get() + 1);
            let end = self.once(seat, &ear, &mut on_ready).await;
            self.connections
                .set(self.connections.get().saturating_sub(1));
            self.left.notify_one();
            if began.elapsed() > LIVED {
                backoff.reset();
            }
            let error = match end {
                PushEnd::Failed(error) => error,
                PushEnd::Again => continue,
                PushEnd::Deaf => {
                    let what = "the server cannot tell of changes by itself: it is asked";
                    self.note(seat, Scope::Nothing, &ear, Some(what.into()));
                    tokio::select! {
                        () = tokio::time::sleep(DEAF) => {}
                        () = self.again.notified() => {}
                    }
                    continue;
                }
            };
            let wait = match &error {
                StoreError::Busy { wait, .. } => {
                    let own = backoff.failed(open::random() as u32, LONGEST_BUSY);
                    own.max(wait.unwrap_or_default())
                }
                StoreError::LoginRefused(_) if self.keyring.is_token() => {
                    backoff.failed(open::random() as u32, LONGEST_BUSY)
                }
                StoreError::LoginRefused(what) => {
                    self.shared.borrow_mut().refused = Some(what.clone());
                    Duration::MAX
                }
                _ => backoff.failed(open::random() as u32, LONGEST),
            };
            let wait = wait.min(LONG);
            self.log_failure(seat, &error, wait);
            self.note(seat, Scope::Nothing, &ear, Some(error.to_string()));
            // Another connection may be closed soon, if this process has all that are allowed.
            let (limit, user) = (self.keyring.limit(), &self.keyring.account().user);
            let full = !limit.has_room(user);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.again.notified() => backoff.reset(),
                () = limit.freed(user), if full => {}
            }
        }
    }

    /// Connects and waits for notifications until the connection ends.
    async fn once(
        &self,
        seat: usize,
        ear: &WatchTarget,
        on_ready: &mut impl FnMut(&Scope),
    ) -> PushEnd {
        match self.connect(ear).await {
            Ok(Some(listener)) if self.away.get() => {
                listener.leave().await;
                PushEnd::Again
            }
            Ok(Some(listener)) => {
                on_ready(listener.covers());
                self.hear(seat, ear, listener).await
            }
            Ok(None) => PushEnd::Deaf,
            Err(error) => PushEnd::Failed(error),
        }
    }

    async fn connect(&self, ear: &WatchTarget) -> Result<Option<Listener>, StoreError> {
        let server = self.keyring.server().await;
        let mut server = server.map_err(|error| StoreError::NeedsUser(error.to_string()))?;
        server.purpose = Purpose::Listen;
        // An IDLE on a selected mailbox reports changes that happened while no connection was open.
        let crowded = self.crowded.borrow().is_some() && *ear == WatchTarget::All;
        let ear = match crowded {
            true => WatchTarget::One(MailboxName::inbox()),
            false => ear.clone(),
        };
        Listener::open(&server, &ear, self.keyring.account().idle_renew).await
    }

    /// Waits for notifications until the connection ends. Wakes all its mailboxes first, as changes
    /// before it are unknown; not if it only closed for a cycle and the counters of the mailbox are
    /// unchanged.
    async fn hear(&self, seat: usize, ear: &WatchTarget, mut listener: Listener) -> PushEnd {
        let covers = listener.covers().clone();
        let crowded = self.crowded.borrow().clone();
        let now = listener.standing();
        let gave_way = crowded.is_some();
        let before = match now {
            Some(now) => self.shared.borrow_mut().standing.insert(seat, now),
            None => None,
        };
        self.note(seat, covers.clone(), ear, crowded);
        if !gave_way || before.is_none() || before != now {
            self.wakes.ring(Side::Remote, covers.clone());
        }
        let (limit, user) = (self.keyring.limit(), &self.keyring.account().user);
        loop {
            tokio::select! {
                heard = listener.hear(LONG) => match heard {
                    Ok(WatchEvent::Stir(scope)) => self.wakes.ring(Side::Remote, scope),
                    Ok(WatchEvent::Nothing) => {}
                    Ok(WatchEvent::Deaf) => {
                        listener.close().await;
                        self.wakes.ring(Side::Remote, covers.clone());
                        return PushEnd::Deaf;
                    }
                    Err(error) => {
                        // No further notifications, and changes may have been lost with them.
                        self.wakes.ring(Side::Remote, covers.clone());
                        return PushEnd::Failed(error);
                    }
                },
                () = limit.asked(user) => {
                    listener.leave().await;
                    let what = "the server allows so few connections at once that listening gives \
                                way to the work of all accounts";
                    self.share(what.to_owned());
                    let (what, wait) = (what.to_owned(), None);
                    return PushEnd::Failed(StoreError::Busy { what, wait });
                }
                () = self.again.notified() => {
                    if self.away.get() {
                        listener.leave().await;
                    }
                    return PushEnd::Again;
                }
            }
        }
    }

    /// Logs a failure: each retry that fails in the same way is said once.
    fn log_failure(&self, seat: usize, error: &StoreError, wait: Duration) {
        let said = error.to_string();
        let told = self.board.open().status.push.get(seat).cloned();
        match told.and_then(|push| push.trouble) == Some(said) {
            true => tracing::debug!(%error, wait = wait.as_secs(), "still not listening"),
            false if matches!(error, StoreError::LoginRefused(_)) && wait == LONG => {
                tracing::info!(%error, "not listening to the server until the secret changes");
            }
            false => {
                let wait = wait.as_secs();
                tracing::info!(%error, wait, "not listening to the server; tried again");
            }
        }
    }

    fn note(&self, seat: usize, covers: Scope, ear: &WatchTarget, trouble: Option<String>) {
        let how = match (ear, &covers) {
            (WatchTarget::All, Scope::Everywhere) => "NOTIFY, all mailboxes".to_owned(),
            (WatchTarget::All, Scope::Some(_)) => "IDLE, INBOX".to_owned(),
            (WatchTarget::All, Scope::Nothing) => "all mailboxes".to_owned(),
            (WatchTarget::One(name), _) => format!("IDLE, {name}"),
        };
        let listening = !covers.is_nothing();
        if let Some(one) = self.shared.borrow_mut().covers.get_mut(seat) {
            *one = Some(covers);
        }
        if let Some(push) = self.board.open().status.push.get_mut(seat) {
            *push = PushStatus {
                how,
                listening,
                trouble,
            };
        }
        self.wakes.notify();
    }
}
