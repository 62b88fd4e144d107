//! Connects in the background: greeting and login proceed while the disk is listed. No further
//! command is sent before the caller needs one.

use crate::imap::net::connect::{Server, connect};
use crate::imap::protocol::wire::Wire;
use crate::imap::session::{First, Session};
use crate::imap::store::ImapStore;
use crate::store::StoreError;
use futures_util::future::{MaybeDone, maybe_done, poll_immediate};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// A connection older than this is not used: nobody read from it, and the server may have closed
/// it.
const FRESH: Duration = Duration::from_secs(5);

/// A logged-in connection with the capabilities announced after login.
pub(in crate::imap) type LoggedIn = (Wire, Option<Vec<String>>);

/// A connection being made.
pub(in crate::imap) struct PendingConnection {
    began: Instant,
    fresh: Duration,
    way: MaybeDone<LoginFuture>,
}

type LoginFuture = Pin<Box<dyn Future<Output = Result<LoggedIn, StoreError>>>>;

impl PendingConnection {
    /// Makes it; nothing happens before [`Self::go_on`].
    pub fn to(server: Rc<Server>) -> PendingConnection {
        // The caller waits for the other half of the time limit of `connect`.
        let fresh = FRESH.min(server.timeout / 2);
        let entering: LoginFuture = Box::pin(async move { connect(&server).await });
        PendingConnection {
            began: Instant::now(),
            fresh,
            way: maybe_done(entering),
        }
    }

    /// Continues as far as the server has answered, without waiting.
    pub async fn go_on(&mut self) {
        // Lets the runtime poll the sockets.
        tokio::task::yield_now().await;
        let _done_or_not = poll_immediate(&mut self.way).await;
    }

    /// Returns the result. `None`: it is too old.
    pub async fn end(mut self) -> Option<Result<LoggedIn, StoreError>> {
        if self.began.elapsed() > self.fresh {
            return None;
        }
        (&mut self.way).await;
        Pin::new(&mut self.way).take_output()
    }
}

impl ImapStore {
    /// Begins or continues to connect as far as the server has answered, without waiting. The first
    /// command waits for the remainder and returns its error.
    pub async fn call(&mut self) {
        if self.is_connected() {
            return;
        }
        let new = || PendingConnection::to(self.server.clone());
        self.call.get_or_insert_with(new).go_on().await;
    }

    /// Returns a session; a new one has these commands sent already.
    pub(in crate::imap) async fn take_for(&mut self, first: First) -> Result<Session, StoreError> {
        let kept = self.slot.borrow_mut().take();
        match kept {
            Some(session) => Ok(session),
            None => match self.called().await {
                Some(entered) => Session::begin(entered?, &self.server, first).await,
                None => Session::open(&self.server, first).await,
            },
        }
    }

    /// Returns the result of a background connection that is not too old.
    async fn called(&mut self) -> Option<Result<LoggedIn, StoreError>> {
        self.call.take()?.end().await
    }
}

#[cfg(test)]
#[path = "preconnect_tests.rs"]
mod tests;
