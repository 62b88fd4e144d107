//! Receives notifications on a connection of its own: NOTIFY (RFC 5465) for all mailboxes, or IDLE
//! (RFC 2177) on one. A notification names mailboxes to read and is never taken for a fact.
//!
//! The caller decides about retries.

use crate::imap::net::connect::Server;
use crate::imap::protocol::command::{Access, Command, NotifyFlags, Since};
use crate::imap::protocol::reply::{Code, CompletionStatus, Reply};
use crate::imap::session::Session;
use crate::imap::session::sync_capability::Tier;
use crate::imap::session::sync_capability::tier;
use crate::model::{MailboxName, Scope};
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;

/// The mailboxes to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchTarget {
    /// All; without NOTIFY only INBOX.
    All,
    /// One mailbox.
    One(MailboxName),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// These mailboxes may have changed.
    Stir(Scope),
    /// Nothing within the time.
    Nothing,
    /// The server ends each IDLE at once: it has to be polled.
    Deaf,
}

/// The delay after an IDLE that ended early; it grows each time,
const SOON: Duration = Duration::from_secs(10);
/// and after this many in a row IDLE is given up.
const SOON_AT_MOST: u32 = 5;

/// The counters of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    uid_validity: u64,
    uid_next: Option<u32>,
    modseq: Option<u64>,
    exists: u32,
}

/// A connection that receives notifications.
#[derive(Debug)]
pub struct Listener {
    session: Session,
    /// The watched mailboxes.
    covers: Scope,
    /// The mailboxes of a notification without a name.
    open: Option<MailboxName>,
    idling: bool,
    /// The time of the next renewal of IDLE.
    renew_at: Instant,
    renew: Duration,
    /// The start of IDLE, and the number of early ends in a row.
    began: Instant,
    soon: u32,
    /// Notifications that arrived while IDLE was begun.
    heard: Scope,
}

impl Listener {
    /// Connects and begins to watch; nothing after the return is missed. IDLE is renewed after
    /// `renew`: servers close idle sessions (RFC 2177: 30 minutes), and a dead connection is
    /// noticed by then. `None`: the server has no notifications.
    pub async fn open(
        server: &Server,
        ear: &WatchTarget,
        renew: Duration,
    ) -> Result<Option<Listener>, StoreError> {
        let session = Session::open(server, |_| Ok(Vec::new())).await?;
        let mut listener = Listener {
            session,
            covers: Scope::Nothing,
            open: None,
            idling: false,
            renew_at: Instant::now() + renew,
            renew,
            began: Instant::now(),
            soon: 0,
            heard: Scope::Nothing,
        };
        if listener.session.naming.delimiter.is_none() {
            listener.learn_delimiter().await?;
        }
        let all =
            *ear == WatchTarget::All && listener.session.can("NOTIFY") && listener.notify().await?;
        if !all {
            if !listener.session.can("IDLE") {
                listener.close().await;
                return Ok(None);
            }
            let name = match ear {
                WatchTarget::All => MailboxName::inbox(),
                WatchTarget::One(name) => name.clone(),
            };
            listener.select(name).await?;
        }
        if !listener.begin().await? {
            listener.close().await;
            return Ok(None);
        }
        Ok(Some(listener))
    }

    /// Returns the counters of the watched mailbox; `None`: all are watched.
    pub fn standing(&self) -> Option<Standing> {
        let open = self.session.selected.as_ref()?;
        Some(Standing {
            uid_validity: open.uid_validity.0,
            uid_next: open.uid_next,
            modseq: open.modseq,
            exists: open.exists,
        })
    }

    /// Returns the watched mailboxes.
    pub fn covers(&self) -> &Scope {
        &self.covers
    }

    async fn learn_delimiter(&mut self) -> Result<(), StoreError> {
        let (replies, _) = self.session.run(&Command::list_one(b"")?).await?;
        for reply in replies {
            if let Reply::List(listing) = reply {
                self.session.naming.delimiter = listing.delimiter;
            }
        }
        Ok(())
    }

    /// Sends NOTIFY. `false`: the server refused.
    async fn notify(&mut self) -> Result<bool, StoreError> {
        let flags = match tier(&self.session) {
            Tier::Plain => NotifyFlags::Not,
            Tier::CondStore | Tier::QResync => NotifyFlags::Too,
        };
        let (_, done) = self.session.run(&Command::notify_all(flags)).await?;
        if done.status == CompletionStatus::Ok {
            self.covers = Scope::Everywhere;
        } else {
            tracing::info!(said = %done.text, "NOTIFY was refused; IDLE is used");
        }
        Ok(done.status == CompletionStatus::Ok)
    }

    async fn select(&mut self, name: MailboxName) -> Result<(), StoreError> {
        let wire = self
            .session
            .naming
            .encode(&name)
            .map_err(StoreError::Mailbox)?;
        let since = match tier(&self.session) {
            Tier::Plain => Since::Nothing,
            Tier::CondStore | Tier::QResync => Since::CondStore,
        };
        self.session.select(&wire, Access::ReadOnly, since).await?;
        self.covers = Scope::of(name.clone());
        self.open = Some(name);
        Ok(())
    }

    /// Begins IDLE. `false`: the server refused or ended it at once.
    async fn begin(&mut self) -> Result<bool, StoreError> {
        self.began = Instant::now();
        self.renew_at = self.began + self.renew;
        if self.session.can("IDLE") {
            let said = self.session.idle().await?;
            self.idling = said.is_some();
            for reply in said.iter().flatten() {
                self.heard.add(self.scope_of(reply));
            }
            return Ok(self.idling);
        }
        Ok(true)
    }

    /// Begins IDLE again after the server ended it, with a delay if that was early. `false`: it
    /// ends each time.
    async fn begin_again(&mut self) -> Result<bool, StoreError> {
        loop {
            self.idling = false;
            match self.began.elapsed() < SOON {
                true => self.soon += 1,
                false => self.soon = 0,
            }
            if self.soon > SOON_AT_MOST {
                return Ok(false);
            }
            if self.soon > 0 {
                tokio::time::sleep(Duration::from_secs(1 << (self.soon - 1))).await;
            }
            if self.begin().await? {
                return Ok(true);
            }
        }
    }

    /// Waits for an event, at most this long. After an error the connection is unusable. Not cancel
    /// safe: close the connection then.
    pub async fn hear(&mut self, within: Duration) -> Result<WatchEvent, StoreError> {
        let until = Instant::now() + within;
        loop {
            let heard = std::mem::replace(&mut self.heard, Scope::Nothing);
            if !heard.is_nothing() {
                return Ok(WatchEvent::Stir(heard));
            }
            let now = Instant::now();
            if now >= self.renew_at {
                let said = self.renew().await?;
                if !self.idling && self.session.can("IDLE") && !self.begin_again().await? {
                    return Ok(WatchEvent::Deaf);
                }
                if !said.is_nothing() {
                    return Ok(WatchEvent::Stir(said));
                }
                continue;
            }
            if now >= until {
                return Ok(WatchEvent::Nothing);
            }
            let wait = until.min(self.renew_at) - now;
            let Some(reply) = self.session.hear(wait).await? else {
                continue;
            };
            let stir = self.scope_of(&reply);
            // The server ended IDLE; some do so at random.
            if matches!(reply, Reply::Tagged(..)) && !self.begin_again().await? {
                return Ok(WatchEvent::Deaf);
            }
            if overflowed(&reply) {
                self.renew_notify().await?;
            }
            if !stir.is_nothing() {
                return Ok(WatchEvent::Stir(stir));
            }
        }
    }

    /// Renews IDLE, or sends NOOP; returns the responses on the way.
    async fn renew(&mut self) -> Result<Scope, StoreError> {
        let said = match self.idling {
            true => self.session.done().await?,
            false => self.session.run(&Command::noop()).await?.0,
        };
        self.idling = false;
        self.begin().await?;
        let mut scope = Scope::Nothing;
        for reply in &said {
            scope.add(self.scope_of(reply));
        }
        Ok(scope)
    }

    /// NOTIFICATIONOVERFLOW (RFC 5465, 5.8): the server disabled NOTIFY.
    async fn renew_notify(&mut self) -> Result<(), StoreError> {
        if self.idling {
            self.session.done().await?;
            self.idling = false;
        }
        if !self.notify().await? {
            let what = "the server no longer tells of changes; listening begins anew";
            return Err(StoreError::Retry(what.into()));
        }
        self.begin().await.map(|_| ())
    }

    fn scope_of(&self, reply: &Reply) -> Scope {
        match reply {
            Reply::Status(status) => match self.session.naming.decode(&status.name) {
                Some(name) => Scope::of(name),
                None => Scope::Everywhere,
            },
            Reply::List(_) => Scope::Everywhere,
            Reply::Exists(_) | Reply::Expunge | Reply::Vanished(..) | Reply::Fetch(_) => {
                self.open.clone().map_or(Scope::Everywhere, Scope::of)
            }
            reply if overflowed(reply) => Scope::Everywhere,
            Reply::Unreadable(_) => Scope::Everywhere,
            _ => Scope::Nothing,
        }
    }

    /// Logs out and waits at most a second until the connection is closed.
    pub async fn leave(mut self) {
        let polite = async {
            if self.idling && self.session.done().await.is_err() {
                return;
            }
            self.session.leave().await;
        };
        let ended = tokio::time::timeout(Duration::from_secs(1), polite).await;
        tracing::trace!(polite = ended.is_ok(), "gave way");
    }

    /// Logs out within at most a second.
    pub async fn close(mut self) {
        let polite = async {
            if self.idling && self.session.done().await.is_err() {
                return;
            }
            self.session.log_out().await;
        };
        let ended = tokio::time::timeout(Duration::from_secs(1), polite).await;
        tracing::trace!(polite = ended.is_ok(), "stopped listening");
    }
}

fn overflowed(reply: &Reply) -> bool {
    let name = "NOTIFICATIONOVERFLOW";
    matches!(reply, Reply::Untagged(done)
        if matches!(&done.code, Some(Code::Other(code)) if code == name))
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
