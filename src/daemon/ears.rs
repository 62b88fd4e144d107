//! Those who listen to an account's server, each on a connection of its own: one with NOTIFY, or
//! one with IDLE for each of a few mailboxes. They connect again for as long as the account is
//! kept.

use super::backoff::{Backoff, LONGEST, LONGEST_BUSY};
use super::bell::Bell;
use super::board::{Board, Push};
use super::open;
use super::secret::Keyring;
use crate::imap::{Ear, Heard, Listener, Standing};
use crate::model::{MailboxName, Scope, Side};
use crate::store::StoreError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// Nothing is waited for longer than this at once; IDLE is renewed in between.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// What the listeners of an account share.
pub struct Ears {
    keyring: Rc<Keyring>,
    bell: Bell,
    board: Board,
    shared: RefCell<Shared>,
    /// Wakes those who wait before they try again.
    again: Notify,
    /// Set while the connections are wanted for work.
    away: Cell<bool>,
    /// How many connections there are, or are being made.
    connections: Cell<usize>,
    /// Wakes who waits for them to end.
    left: Notify,
    /// Why listening gives way to work, once it has to.
    crowded: RefCell<Option<String>>,
}

/// A connection that failed sooner is no reason to try the next at once.
const LIVED: Duration = Duration::from_secs(60);
/// Connections that are wanted for work are given up within this.
const WAY: Duration = Duration::from_secs(3);
/// A server that does not tell by itself may do so after this.
const DEAF: Duration = Duration::from_secs(3600);

/// How a connection came to its end.
enum End {
    /// It failed.
    Failed(StoreError),
    /// The server ends IDLE each time.
    Deaf,
    /// It is to be made anew.
    Again,
}

/// What is known of the listeners.
#[derive(Default)]
struct Shared {
    /// What each hears of; `None`: it has not tried yet.
    covers: Vec<Option<Scope>>,
    refused: Option<String>,
    /// What was counted when listening last began, by listener.
    standing: BTreeMap<usize, Standing>,
}

impl Ears {
    /// Begins to listen, on as many connections as there may be.
    pub fn start(keyring: Rc<Keyring>, bell: Bell, board: Board, most: usize) -> Rc<Ears> {
        let ears = Rc::new(Ears {
            keyring,
            bell,
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

    /// A place for one more listener.
    fn seat(&self) -> usize {
        let mut shared = self.shared.borrow_mut();
        shared.covers.push(None);
        let how = "to the server".to_owned();
        self.board.open().status.push.push(Push {
            how,
            ..Push::default()
        });
        shared.covers.len() - 1
    }

    /// What is heard of now; `None` as long as somebody has not tried yet.
    pub fn covers(&self) -> Option<Scope> {
        let shared = self.shared.borrow();
        let mut all = Scope::Nothing;
        for one in &shared.covers {
            all.add(one.clone()?);
        }
        Some(all)
    }

    /// How many connections listen now.
    pub fn listening(&self) -> usize {
        let shared = self.shared.borrow();
        let listens = |one: &&Option<Scope>| one.as_ref().is_some_and(|one| !one.is_nothing());
        shared.covers.iter().filter(listens).count()
    }

    /// Whether the login was refused, in these words.
    pub fn refused(&self) -> Option<String> {
        self.shared.borrow().refused.clone()
    }

    /// Tries again at once whatever failed, on new connections.
    pub fn again(&self) {
        self.shared.borrow_mut().refused = None;
        self.again.notify_waiters();
    }

    /// How many connections there are, or are being made.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Ends all connections, so that others can be made, until [`Self::resume`].
    pub async fn give_way(&self) {
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

    /// Listens again.
    pub fn resume(&self) {
        self.away.set(false);
        self.again.notify_waiters();
    }

    /// From now on listening gives way to each work, for this reason.
    pub fn share(&self, why: String) {
        *self.crowded.borrow_mut() = Some(why);
    }

    /// The first: all mailboxes if the server can, else INBOX, and then others on the mailboxes
    /// that the user names.
    async fn first(self: Rc<Ears>, seat: usize, most: usize) {
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
                    let ear = Ear::One(name);
                    let task = async move { ears.listen(seat, ear, |_| ()).await };
                    tokio::task::spawn_local(task.instrument(Span::current()));
                }
            }
        };
        self.listen(seat, Ear::All, on_ready).await;
    }

    async fn listen(self: Rc<Ears>, seat: usize, ear: Ear, mut on_ready: impl FnMut(&Scope)) {
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
                End::Failed(error) => error,
                End::Again => continue,
                End::Deaf => {
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
                StoreError::LoginRefused(what) => {
                    self.shared.borrow_mut().refused = Some(what.clone());
                    Duration::MAX
                }
                _ => backoff.failed(open::random() as u32, LONGEST),
            };
            tracing::info!(%error, wait = wait.as_secs(), "not listening to the server");
            self.note(seat, Scope::Nothing, &ear, Some(error.to_string()));
            tokio::select! {
                () = tokio::time::sleep(wait.min(LONG)) => {}
                () = self.again.notified() => backoff.reset(),
            }
        }
    }

    /// Connects, and listens until the connection ends.
    async fn once(&self, seat: usize, ear: &Ear, on_ready: &mut impl FnMut(&Scope)) -> End {
        match self.connect(ear).await {
            Ok(Some(listener)) if self.away.get() => {
                listener.leave().await;
                End::Again
            }
            Ok(Some(listener)) => {
                on_ready(listener.covers());
                self.hear(seat, ear, listener).await
            }
            Ok(None) => End::Deaf,
            Err(error) => End::Failed(error),
        }
    }

    async fn connect(&self, ear: &Ear) -> Result<Option<Listener>, StoreError> {
        let server = self.keyring.server().await;
        let server = server.map_err(|error| StoreError::NeedsUser(error.to_string()))?;
        // A mailbox that is open shows what happened while nobody listened.
        let crowded = self.crowded.borrow().is_some() && *ear == Ear::All;
        let ear = match crowded {
            true => Ear::One(MailboxName::inbox()),
            false => ear.clone(),
        };
        Listener::open(&server, &ear, self.keyring.account().idle_renew).await
    }

    /// Listens until the connection ends. What happened before it was up is not known, unless it
    /// only gave way, and the mailbox counts what it did.
    async fn hear(&self, seat: usize, ear: &Ear, mut listener: Listener) -> End {
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
            self.bell.ring(Side::Remote, covers.clone());
        }
        loop {
            tokio::select! {
                heard = listener.hear(LONG) => match heard {
                    Ok(Heard::Stir(scope)) => self.bell.ring(Side::Remote, scope),
                    Ok(Heard::Nothing) => {}
                    Ok(Heard::Deaf) => {
                        listener.close().await;
                        self.bell.ring(Side::Remote, covers.clone());
                        return End::Deaf;
                    }
                    Err(error) => {
                        // From now on nothing is heard, and perhaps there is more to it: look.
                        self.bell.ring(Side::Remote, covers.clone());
                        return End::Failed(error);
                    }
                },
                () = self.again.notified() => {
                    if self.away.get() {
                        listener.leave().await;
                    }
                    return End::Again;
                }
            }
        }
    }

    fn note(&self, seat: usize, covers: Scope, ear: &Ear, trouble: Option<String>) {
        let how = match (ear, &covers) {
            (Ear::All, Scope::Everywhere) => "NOTIFY, all mailboxes".to_owned(),
            (Ear::All, Scope::Some(_)) => "IDLE, INBOX".to_owned(),
            (Ear::All, Scope::Nothing) => "all mailboxes".to_owned(),
            (Ear::One(name), _) => format!("IDLE, {name}"),
        };
        let listening = !covers.is_nothing();
        if let Some(one) = self.shared.borrow_mut().covers.get_mut(seat) {
            *one = Some(covers);
        }
        if let Some(push) = self.board.open().status.push.get_mut(seat) {
            *push = Push {
                how,
                listening,
                trouble,
            };
        }
        self.bell.nudge();
    }
}
