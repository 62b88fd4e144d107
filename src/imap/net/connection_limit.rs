//! The number of connections that a server allows at once, shared by all accounts of this process.
//! The limit is learned from refusals. Work waits for a connection in the order in which it asked,
//! and connections that only listen, or are kept for later, give way to it.

use crate::imap::net::connect::Server;
use crate::store::StoreError;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A learned limit expires after this time: other programs may have used the rest.
const HOLDS: Duration = Duration::from_secs(6 * 3600);
/// The longest wait of work, shorter than the watchdog's.
const LONGEST: Duration = Duration::from_secs(240);
/// A server may count a connection for this long after it was closed.
const LINGERS: Duration = Duration::from_secs(3);

/// The delay before a server that still counts a closed connection is tried again.
pub const RECOUNT: Duration = Duration::from_millis(250);

impl Server {
    /// Returns the limit of connections to the server, shared by all accounts.
    pub fn limit(&self) -> Arc<ConnectionLimit> {
        ConnectionLimit::of(&self.host, self.port)
    }
}

/// The use of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The work of an account; it waits for a connection.
    Work,
    /// A further connection of the same work; it is given up if work waits.
    Extra,
    /// Notifications; it gives way to work.
    Listen,
}

/// Limits by host and port.
type Limits = BTreeMap<(String, u16), Arc<ConnectionLimit>>;

/// The limits of all servers.
static ALL: LazyLock<Mutex<Limits>> = LazyLock::new(Mutex::default);

/// The limit of one server.
#[derive(Debug, Default)]
pub struct ConnectionLimit {
    inner: Mutex<Inner>,
    /// Signals that a connection was closed, or is wanted.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Of all users together.
    whole: Count,
    users: BTreeMap<String, Count>,
    /// The last time at which a connection was closed.
    released: Option<Instant>,
    /// Waiting work, the first first.
    queue: VecDeque<u64>,
    /// Waiting work for which no connection gives way yet; of a user only if that one's limit is
    /// reached.
    asked: BTreeMap<u64, Option<String>>,
    next: u64,
}

#[derive(Debug, Default)]
struct Count {
    open: usize,
    learned: Option<(usize, Instant)>,
}

impl Count {
    fn limit(&self) -> Option<usize> {
        let (limit, at) = self.learned?;
        (at.elapsed() < HOLDS).then_some(limit)
    }

    fn left(&self) -> usize {
        self.limit()
            .map_or(usize::MAX, |limit| limit.saturating_sub(self.open))
    }
}

impl Inner {
    fn user(&mut self, user: &str) -> &mut Count {
        self.users.entry(user.to_owned()).or_default()
    }

    /// Whether a connection may be opened; for work at this place of the queue.
    fn is_free(&self, user: &str, ahead: usize) -> bool {
        let own = self.users.get(user).map_or(usize::MAX, Count::left);
        self.whole.left() > ahead && own > 0
    }
}

/// An open connection, until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    limit: Arc<ConnectionLimit>,
    user: String,
    refused: bool,
}

impl Ticket {
    /// Returns the ticket of a connection that the server refused: it was not open.
    pub fn returned(mut self) {
        self.refused = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.limit.inner();
        inner.whole.open -= 1;
        inner.user(&self.user).open -= 1;
        if !self.refused {
            inner.released = Some(Instant::now());
        }
        drop(inner);
        self.limit.changed.notify_waiters();
    }
}

/// A place in the queue.
struct Waiting<'a> {
    limit: &'a ConnectionLimit,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.limit.inner();
        inner.queue.retain(|id| *id != self.id);
        inner.asked.remove(&self.id);
        drop(inner);
        self.limit.changed.notify_waiters();
    }
}

impl ConnectionLimit {
    /// Returns the limit of a server.
    pub fn of(host: &str, port: u16) -> Arc<ConnectionLimit> {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((host.to_owned(), port)).or_default().clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection that is about to be opened. Work waits until one is free; else, or after
    /// a long wait, Err.
    pub async fn take(
        self: &Arc<Self>,
        user: &str,
        purpose: Purpose,
    ) -> Result<Ticket, StoreError> {
        let began = Instant::now();
        let mut waiting = None;
        loop {
            let changed = self.changed.notified();
            let free = match &waiting {
                // Waiting work goes first.
                None => self.inner().queue.len(),
                Some(Waiting { id, .. }) => {
                    let place = self.inner().queue.iter().position(|one| one == id);
                    place.unwrap_or_default()
                }
            };
            if let Some(ticket) = self.open(user, free) {
                return Ok(ticket);
            }
            let left = LONGEST.saturating_sub(began.elapsed());
            if purpose != Purpose::Work || left.is_zero() {
                return Err(self.full(began.elapsed()));
            }
            let place = waiting.get_or_insert_with(|| self.wait());
            self.ask(place.id, user);
            // Ended by the time limit: the loop ends then.
            let _or_late = tokio::time::timeout(left, changed).await;
        }
    }

    fn open(self: &Arc<Self>, user: &str, ahead: usize) -> Option<Ticket> {
        let mut inner = self.inner();
        inner.user(user);
        if !inner.is_free(user, ahead) {
            return None;
        }
        inner.whole.open += 1;
        inner.user(user).open += 1;
        Some(Ticket {
            limit: self.clone(),
            user: user.to_owned(),
            refused: false,
        })
    }

    fn wait(&self) -> Waiting<'_> {
        let mut inner = self.inner();
        inner.next += 1;
        let id = inner.next;
        inner.queue.push_back(id);
        Waiting { limit: self, id }
    }

    /// Asks a connection that does not work to give way.
    fn ask(&self, id: u64, user: &str) {
        let mut inner = self.inner();
        let own = inner.whole.left() > 0;
        let new = inner.asked.insert(id, own.then(|| user.to_owned()));
        drop(inner);
        if new.is_none() {
            self.changed.notify_waiters();
        }
    }

    fn full(&self, waited: Duration) -> StoreError {
        let limit = self.inner().whole.limit();
        let number = limit.map_or("no more".to_owned(), |limit| format!("{limit}"));
        StoreError::Busy {
            what: format!(
                "the server allows {number} connections at once, and all are in use (waited {} s)",
                waited.as_secs()
            ),
            wait: Some(Duration::from_secs(1)),
        }
    }

    /// Learns from a refusal of one connection more than there are. `true`: it may be accepted
    /// soon, as one was closed just now, or another account will give way.
    pub fn refused(&self, user: &str) -> bool {
        let mut inner = self.inner();
        if inner.released.is_some_and(|at| at.elapsed() < LINGERS) {
            return true;
        }
        // The refused one is counted.
        let own = inner.user(user).open.saturating_sub(1);
        let all = inner.whole.open.saturating_sub(1);
        let learned = |limit: usize| Some((limit, Instant::now()));
        match (own, all) {
            (0, 0) => return false,
            (0, _) => inner.whole.learned = learned(all),
            (..) => inner.user(user).learned = learned(own),
        }
        tracing::info!(own, all, "learned how many connections the server allows");
        own == 0
    }

    /// Whether a limit is known that concerns this user.
    pub fn is_known(&self, user: &str) -> bool {
        let inner = self.inner();
        let own = inner.users.get(user).and_then(Count::limit);
        own.or(inner.whole.limit()).is_some()
    }

    /// Whether work waits for a connection.
    pub fn is_wanted(&self) -> bool {
        !self.inner().queue.is_empty()
    }

    /// Whether a connection to listen could be opened now.
    pub fn has_room(&self, user: &str) -> bool {
        let inner = self.inner();
        inner.is_free(user, inner.queue.len()) || !inner.users.contains_key(user)
    }

    /// Waits until a connection of this user should give way.
    pub async fn asked(&self, user: &str) {
        loop {
            let changed = self.changed.notified();
            {
                let mut inner = self.inner();
                let mut all = inner.asked.iter();
                let fits = |of: &Option<String>| of.as_ref().is_none_or(|of| of == user);
                let id = all.find_map(|(id, of)| fits(of).then_some(*id));
                if let Some(id) = id {
                    inner.asked.remove(&id);
                    return;
                }
            }
            changed.await;
        }
    }

    /// Waits until a connection to listen can be opened.
    pub async fn freed(&self, user: &str) {
        loop {
            let changed = self.changed.notified();
            if self.has_room(user) {
                return;
            }
            changed.await;
        }
    }

    /// Returns the names under which the limits are stored.
    pub fn names(&self, user: &str) -> Vec<String> {
        let mut inner = self.inner();
        let whole = inner.whole.limit().map(|n| format!("{WHOLE}{n}"));
        let own = inner.user(user).limit().map(|n| format!("{OWN}{n}"));
        whole.into_iter().chain(own).collect()
    }

    /// Takes stored limits over; skips other names.
    pub fn recall<'a>(&self, user: &str, names: impl IntoIterator<Item = &'a str>) {
        let mut inner = self.inner();
        for name in names {
            let read = |prefix| name.strip_prefix(prefix)?.parse::<usize>().ok();
            let (count, limit) = match (read(WHOLE), read(OWN)) {
                (Some(limit), _) => (&mut inner.whole, limit),
                (_, Some(limit)) => (inner.user(user), limit),
                _ => continue,
            };
            if count.limit().is_none() && limit > 0 {
                count.learned = Some((limit, Instant::now()));
            }
        }
    }
}

/// The start of the stored names of limits.
const WHOLE: &str = "connections-";
/// Of those of a user.
const OWN: &str = "own-connections-";

/// Whether a server refused a connection because there are too many.
pub fn is_too_many(error: &StoreError) -> bool {
    let StoreError::Busy { what, wait: None } = error else {
        return false;
    };
    let lower = what.to_ascii_lowercase();
    let many = lower.contains("too many") || lower.contains("maximum number of");
    let connections = lower.contains("connection") || lower.contains("session");
    lower.contains("[limit]") || (many && connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    fn taken(limit: &Arc<ConnectionLimit>, user: &str, purpose: Purpose) -> Ticket {
        now(limit.take(user, purpose)).unwrap().unwrap()
    }

    #[test]
    fn refusal_of_another_user_teaches_the_limit_of_all() {
        let limit = Arc::<ConnectionLimit>::default();
        let a = taken(&limit, "a", Purpose::Listen);
        let _b = taken(&limit, "b", Purpose::Work);
        let c = taken(&limit, "c", Purpose::Work);
        assert!(limit.refused("c"));
        c.returned();
        assert_eq!(limit.names("c"), ["connections-2"]);
        let refused = now(limit.take("c", Purpose::Extra)).unwrap();
        assert!(refused.is_err(), "a further one does not wait");
        assert!(now(limit.asked("a")).is_none(), "nobody waits");
        drop(a);
        let _c = taken(&limit, "c", Purpose::Work);
        assert!(!limit.has_room("a"));
    }

    #[test]
    fn waiting_work_is_served_in_order_and_asks_once() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let limit = Arc::<ConnectionLimit>::default();
            limit.recall("a", ["connections-1", "of-a-later-version"]);
            let held = taken(&limit, "a", Purpose::Listen);
            let order = Mutex::new(Vec::new());
            let work = async |user: &'static str| {
                let ticket = limit.take(user, Purpose::Work).await.unwrap();
                order.lock().unwrap().push(user);
                tokio::task::yield_now().await;
                drop(ticket);
            };
            let leave = async {
                limit.asked("a").await;
                assert!(limit.is_wanted());
                drop(held);
            };
            tokio::join!(work("b"), work("c"), leave);
            assert_eq!(*order.lock().unwrap(), ["b", "c"]);
            assert!(!limit.is_wanted() && limit.has_room("a"));
        });
    }

    #[test]
    fn refusal_beside_an_own_connection_is_of_the_user() {
        let limit = Arc::<ConnectionLimit>::default();
        let _own = taken(&limit, "a", Purpose::Listen);
        let more = taken(&limit, "a", Purpose::Work);
        assert!(!limit.refused("a"));
        drop(more);
        assert_eq!(limit.names("a"), ["own-connections-1"]);
        assert!(limit.names("b").is_empty());
        let _other = taken(&limit, "b", Purpose::Work);
    }

    #[test]
    fn refusal_after_a_close_teaches_nothing_yet() {
        let limit = Arc::<ConnectionLimit>::default();
        let _a = taken(&limit, "a", Purpose::Work);
        drop(taken(&limit, "b", Purpose::Work));
        let _c = taken(&limit, "c", Purpose::Work);
        assert!(limit.refused("c"));
        assert!(limit.names("c").is_empty());
    }
}
