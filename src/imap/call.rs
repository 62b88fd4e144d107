//! A connection that is begun before it is needed: while the server says hello and checks the
//! password, the disk is looked at. Nothing is asked on it before somebody wants to know.

use super::connect::{Server, connect};
use super::session::{First, Session};
use super::store::ImapStore;
use super::wire::Wire;
use crate::store::StoreError;
use futures_util::future::{MaybeDone, maybe_done, poll_immediate};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// What came of it after this time is not used: nobody listened meanwhile, and the server may have
/// lost patience.
const FRESH: Duration = Duration::from_secs(5);

/// A way in, and the capabilities that were announced after login.
pub(super) type Entered = (Wire, Option<Vec<String>>);

/// A connection under way.
pub(super) struct Call {
    began: Instant,
    fresh: Duration,
    way: MaybeDone<Entering>,
}

type Entering = Pin<Box<dyn Future<Output = Result<Entered, StoreError>>>>;

impl Call {
    /// Nothing happens before [`Self::go_on`].
    pub fn to(server: Rc<Server>) -> Call {
        // Half of what `connect` itself waits is for whoever comes for it.
        let fresh = FRESH.min(server.timeout / 2);
        let entering: Entering = Box::pin(async move { connect(&server).await });
        Call {
            began: Instant::now(),
            fresh,
            way: maybe_done(entering),
        }
    }

    /// Goes on as far as the server has answered, and does not wait for it.
    pub async fn go_on(&mut self) {
        // So that the runtime learns what has come.
        tokio::task::yield_now().await;
        let _done_or_not = poll_immediate(&mut self.way).await;
    }

    /// What came of it. `None`: it is too long ago.
    pub async fn end(mut self) -> Option<Result<Entered, StoreError>> {
        if self.began.elapsed() > self.fresh {
            return None;
        }
        (&mut self.way).await;
        Pin::new(&mut self.way).take_output()
    }
}

impl ImapStore {
    /// Begins to connect, where that is to be done, and goes on with it as far as the server has
    /// answered, without waiting. Whoever asks something first waits for the rest of it, and is
    /// told what went wrong.
    pub async fn call(&mut self) {
        if self.is_connected() {
            return;
        }
        let new = || Call::to(self.server.clone());
        self.call.get_or_insert_with(new).go_on().await;
    }

    /// A session, and if it is a new one, with this asked for already.
    pub(super) async fn take_for(&mut self, first: First) -> Result<Session, StoreError> {
        let kept = self.slot.borrow_mut().take();
        match kept {
            Some(session) => Ok(session),
            None => match self.called().await {
                Some(entered) => Session::begin(entered?, &self.server, first).await,
                None => Session::open(&self.server, first).await,
            },
        }
    }

    /// What came of a call, if one was made that is not too long ago.
    async fn called(&mut self) -> Option<Result<Entered, StoreError>> {
        self.call.take()?.end().await
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
