//! Subscriptions: the mailboxes that mail programs show.

use crate::imap::protocol::command::Command;
use crate::imap::session::expect::{must, shown};
use crate::imap::store::ImapStore;
use crate::model::MailboxName;
use crate::store::StoreError;

impl ImapStore {
    /// Subscribes to a mailbox or unsubscribes.
    pub async fn subscribe(&mut self, name: &MailboxName, on: bool) -> Result<(), StoreError> {
        let known = self.wire_name(name);
        let mut session = self.take().await?;
        // A deleted mailbox may still be subscribed.
        let wire = match known {
            Ok(wire) => Ok(wire),
            Err(_) if !on => session.naming.encode(name).map_err(StoreError::Mailbox),
            Err(error) => Err(error),
        };
        let done = async {
            let wire = wire?;
            let (command, doing) = match on {
                true => (Command::subscribe(&wire)?, "subscribe to"),
                false => (Command::unsubscribe(&wire)?, "unsubscribe from"),
            };
            let (_, done) = session.run(&command).await?;
            must(done, &format!("{doing} {}", shown(&wire)))
        }
        .await;
        self.put(session);
        done.map(|_| ())
    }
}
