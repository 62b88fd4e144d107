//! The server, over a connection of its own.

use super::id::MessageId;
use super::row::Sides;
use crate::config::Account;
use crate::daemon::Keyring;
use crate::imap::{CountsRequest, Examined, Folder, ReadError, Reader, Visit};
use crate::model::MailboxName;
use crate::search::{Query, ServerHits, search_there};
use crate::store::StoreError;
use std::time::Duration;

use super::Result;

/// Who can do without the server waits no longer for it than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to get to the server of an account, again if need be.
pub struct Remote {
    keyring: Keyring,
    sides: Sides,
    reader: Option<Reader>,
    /// The message that is wanted.
    wanted: Option<MessageId>,
}

impl Remote {
    /// Nothing is connected yet.
    pub fn of(account: &Account, sides: Sides) -> Remote {
        Remote {
            keyring: Keyring::new(account.clone()),
            sides,
            reader: None,
            wanted: None,
        }
    }

    /// Only this message is wanted: a mailbox with another UIDVALIDITY than its id says is an
    /// error.
    pub fn expecting(self, id: MessageId) -> Remote {
        let wanted = Some(id);
        Remote { wanted, ..self }
    }

    async fn visit(&self) -> Result<Visit> {
        let mut server = self.keyring.server().await?;
        if self.sides == Sides::Both {
            server.timeout = server.timeout.min(PATIENCE);
        }
        Ok(Visit::to(&server).await?)
    }

    /// The mailboxes of the server, with what they hold.
    pub async fn folders(&self) -> Result<Vec<Folder>> {
        let mut visit = self.visit().await?;
        let folders = visit.folders(CountsRequest::Taken).await;
        visit.end().await;
        Ok(folders?)
    }

    /// Searches the mailboxes of the server; `fuzzy`: for what is like the words, too.
    pub async fn search(&mut self, query: &Query, fuzzy: bool) -> Result<ServerHits> {
        let mut visit = self.visit().await?;
        let found = search_there(&mut visit, query, fuzzy).await?;
        self.reader = Some(visit.into_reader()?);
        Ok(found)
    }

    /// The connection that reads; connects where that is to be done.
    pub async fn reader(&mut self) -> Result<&mut Reader> {
        if self.reader.is_none() {
            let mut visit = self.visit().await?;
            visit.folders(CountsRequest::Left).await?;
            self.reader = Some(visit.into_reader()?);
        }
        let lost = || StoreError::Bug("a connection was lost".into());
        Ok(self.reader.as_mut().ok_or_else(lost)?)
    }

    /// Opens a mailbox to read it.
    pub async fn examine(&mut self, name: &MailboxName) -> Result<(&mut Reader, Examined)> {
        let wanted = self.wanted.clone();
        let reader = self.reader().await?;
        let examined = reader.examine(name).await.map_err(ReadError::of_store)?;
        let fits = |id: &MessageId| {
            examined
                .uid_validity
                .is_none_or(|uid_validity| id.key.fits(uid_validity))
        };
        match wanted.as_ref().is_none_or(fits) {
            true => Ok((reader, examined)),
            false => Err(another_epoch(name).into()),
        }
    }

    /// The next use takes a new connection: on this one something came that cannot be read.
    pub fn begin_anew(&mut self) {
        self.reader = None;
    }

    /// Ends the connection.
    pub async fn end(mut self) {
        if let Some(reader) = self.reader.take() {
            tracing::debug!(
                bytes = reader.received(),
                "bytes that came while messages were read"
            );
            reader.end().await;
        }
    }
}

/// An id names a UID of another time.
pub(super) fn another_epoch(name: &MailboxName) -> StoreError {
    StoreError::Stale(format!(
        "{name}: the id was made when the mailbox had another UIDVALIDITY: its messages have new \
         UIDs. List the mailbox again"
    ))
}
