//! Listening to what a server says by itself, on a connection that does nothing else: NOTIFY
//! (RFC 5465) for all mailboxes at once, or IDLE (RFC 2177) on one. What is heard only says where
//! to look; it is never taken for a fact.
//!
//! Does not know when to try again, nor who wants to know.

use super::command::{Access, Command, NotifyFlags, Since};
use super::connect::Server;
use super::reply::{Code, Reply, Status};
use super::session::Session;
use super::tier::Tier;
use super::tier::tier;
use crate::model::{MailboxName, Scope};
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;

/// What to listen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ear {
    /// All mailboxes; where the server has no NOTIFY, INBOX.
    All,
    /// One mailbox.
    One(MailboxName),
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something happened there.
    Stir(Scope),
    /// Nothing that matters, for as long as was asked.
    Nothing,
    /// The server ends IDLE each time it begins: it has to be asked.
    Deaf,
}

/// IDLE that ends sooner is begun again later each time,
const SOON: Duration = Duration::from_secs(10);
/// and after so many times in a row not at all.
const SOON_AT_MOST: u32 = 5;

/// What a mailbox counts while it is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    epoch: u64,
    uid_next: Option<u32>,
    modseq: Option<u64>,
    exists: u32,
}

/// A connection that listens.
#[derive(Debug)]
pub struct Listener {
    session: Session,
    /// What is heard of.
    covers: Scope,
    /// What an unnamed change is about.
    open: Option<MailboxName>,
    idling: bool,
    /// When IDLE is to be renewed.
    renew_at: Instant,
    renew: Duration,
    /// When IDLE was begun, and how often in a row it ended soon.
    began: Instant,
    soon: u32,
    /// Heard while IDLE was begun, and not told yet.
    heard: Scope,
}

impl Listener {
    /// Connects and begins to listen; from when this returns, nothing that happens is missed. IDLE
    /// is begun anew after `renew`: servers end sessions that seem dead (RFC 2177: 30 minutes), and
    /// a connection that died silently is noticed then at the latest. `None`: the server cannot
    /// tell by itself.
    pub async fn open(
        server: &Server,
        ear: &Ear,
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
        let all = *ear == Ear::All && listener.session.can("NOTIFY") && listener.notify().await?;
        if !all {
            if !listener.session.can("IDLE") {
                listener.close().await;
                return Ok(None);
            }
            let name = match ear {
                Ear::All => MailboxName::inbox(),
                Ear::One(name) => name.clone(),
            };
            listener.select(name).await?;
        }
        if !listener.begin().await? {
            listener.close().await;
            return Ok(None);
        }
        Ok(Some(listener))
    }

    /// What the mailbox counts that is listened to; `None`: it is all of them.
    pub fn standing(&self) -> Option<Standing> {
        let open = self.session.selected.as_ref()?;
        Some(Standing {
            epoch: open.epoch.0,
            uid_next: open.uid_next,
            modseq: open.modseq,
            exists: open.exists,
        })
    }

    /// The mailboxes that are heard of.
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

    /// Asks for everything. `false`: the server would not.
    async fn notify(&mut self) -> Result<bool, StoreError> {
        let flags = match tier(&self.session) {
            Tier::Plain => NotifyFlags::Not,
            Tier::CondStore | Tier::QResync => NotifyFlags::Too,
        };
        let (_, done) = self.session.run(&Command::notify_all(flags)).await?;
        if done.status == Status::Ok {
            self.covers = Scope::Everywhere;
        } else {
            tracing::info!(said = %done.text, "NOTIFY was refused; IDLE is used");
        }
        Ok(done.status == Status::Ok)
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

    /// `false`: the server does not IDLE, or ended it at once.
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

    /// Begins IDLE again that the server ended by itself, after a pause if that was soon. `false`:
    /// it ends each time.
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

    /// Listens, at most for so long. Errors mean that the connection is of no more use. Not
    /// cancel safe: what was half heard is lost, so the connection is to be closed then.
    pub async fn hear(&mut self, within: Duration) -> Result<Heard, StoreError> {
        let until = Instant::now() + within;
        loop {
            let heard = std::mem::replace(&mut self.heard, Scope::Nothing);
            if !heard.is_nothing() {
                return Ok(Heard::Stir(heard));
            }
            let now = Instant::now();
            if now >= self.renew_at {
                let said = self.renew().await?;
                if !self.idling && self.session.can("IDLE") && !self.begin_again().await? {
                    return Ok(Heard::Deaf);
                }
                if !said.is_nothing() {
                    return Ok(Heard::Stir(said));
                }
                continue;
            }
            if now >= until {
                return Ok(Heard::Nothing);
            }
            let wait = until.min(self.renew_at) - now;
            let Some(reply) = self.session.hear(wait).await? else {
                continue;
            };
            let stir = self.scope_of(&reply);
            // The server ended IDLE by itself; some do so at random.
            if matches!(reply, Reply::Tagged(..)) && !self.begin_again().await? {
                return Ok(Heard::Deaf);
            }
            if overflowed(&reply) {
                self.renew_notify().await?;
            }
            if !stir.is_nothing() {
                return Ok(Heard::Stir(stir));
            }
        }
    }

    /// DONE and IDLE again, or a NOOP; answers with what was said on the way.
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

    /// NOTIFICATIONOVERFLOW (RFC 5465, 5.8): the server has switched NOTIFY off.
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

    /// Ends the session, and waits until it counts no more, at most for a second.
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

    /// Ends the session politely, in no more than a second.
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
#[path = "listen_tests.rs"]
mod tests;
