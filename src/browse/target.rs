//! A message that is to be changed: found here, it is not changed here.

use super::id::{MessageId, MessageKey};
use super::local::Local;
use super::message::{NamedMessage, named};
use super::row::Sides;
use super::server::Remote;
use crate::config::{Account, Config};
use crate::daemon::arrange::{MessageName as By, MessageTarget};
use crate::maildir::Glance;
use crate::model::{MailboxName, Uid};
use crate::store::StoreError;
use std::path::Path;

use super::Result;

/// The message that a text names, with its account. On disk where it is there; on the server where
/// only that has it, or only that has the mailbox it is to go to.
pub async fn target(
    config: &Config,
    text: &str,
    to: Option<&MailboxName>,
) -> Result<(Account, MessageTarget)> {
    match named(config, text).await? {
        NamedMessage {
            account: Some(account),
            id: Some(id),
            ..
        } => of_id(config, account, id, to).await,
        NamedMessage {
            path: Some(path), ..
        } => of_file(config, &path).await,
        _ => Err(StoreError::Bug("a message was lost".into()).into()),
    }
}

async fn of_id(
    config: &Config,
    account: Account,
    id: MessageId,
    to: Option<&MailboxName>,
) -> Result<(Account, MessageTarget)> {
    let local = Local::open(config, &account).await?;
    let glance = local.find(&id.mailbox, &id.key)?;
    let reaches = to.is_none_or(|to| local.mailboxes().contains_key(to));
    match (glance, &id.key) {
        (Some(glance), MessageKey::Uid(..)) if reaches => Ok((account, here(&id.mailbox, &glance))),
        (Some(glance), MessageKey::File(_)) => Ok((account, here(&id.mailbox, &glance))),
        (_, MessageKey::Uid(uid, _)) => {
            let target = there(&account, &id, *uid).await?;
            Ok((account, target))
        }
        (None, MessageKey::File(_)) => {
            Err(StoreError::Stale(format!("{id}: no such message")).into())
        }
    }
}

fn here(mailbox: &MailboxName, glance: &Glance) -> MessageTarget {
    MessageTarget {
        mailbox: mailbox.to_string(),
        message: By::File(glance.id.as_bytes().to_vec()),
    }
}

async fn there(account: &Account, id: &MessageId, uid: Uid) -> Result<MessageTarget> {
    let mut remote = Remote::of(account, Sides::There).expecting(id.clone());
    let uid_validity = remote
        .examine(&id.mailbox)
        .await
        .map(|(_, open)| open.uid_validity);
    remote.end().await;
    let Some(uid_validity) = uid_validity? else {
        return Err(StoreError::Mailbox(format!(
            "{}: the server tells no UIDVALIDITY, so that a UID may mean another message: nothing \
             was changed",
            id.mailbox
        ))
        .into());
    };
    Ok(MessageTarget {
        mailbox: id.mailbox.to_string(),
        message: By::Uid(uid.get(), uid_validity.0),
    })
}

async fn of_file(config: &Config, path: &Path) -> Result<(Account, MessageTarget)> {
    let whole = path.canonicalize();
    let whole =
        whole.map_err(|error| StoreError::NeedsUser(format!("{}: {error}", path.display())))?;
    for account in config.accounts.values() {
        let root = account.maildir.canonicalize();
        if !root.is_ok_and(|root| whole.starts_with(root)) {
            continue;
        }
        let local = Local::open(config, account).await?;
        let Some(mailbox) = local.mailbox_of(&whole) else {
            continue;
        };
        let own = |glance: &Glance| glance.path.file_name() == whole.file_name();
        if let Some(glance) = local.glances(&mailbox)?.into_iter().find(own) {
            return Ok((account.clone(), here(&mailbox, &glance)));
        }
    }
    Err(StoreError::NeedsUser(format!(
        "{} lies in no mailbox of an account; mailtide append makes a message of it",
        path.display()
    ))
    .into())
}
