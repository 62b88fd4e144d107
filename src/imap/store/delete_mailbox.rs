//! Deletes a mailbox. DELETE destroys all its messages (RFC 9051, 6.3.5), also those that another
//! client added meanwhile, and cannot be conditional. So the mailbox is renamed to a name that no
//! client uses, read there, and deleted there or renamed back. After a cut the next run completes
//! that ([`leaving::returning`]).

use crate::imap::protocol::command::{Access, Command, Since};
use crate::imap::protocol::reply::{CompletionStatus, Reply};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::session::Session;
use crate::imap::session::expect::{must, shown};
use crate::imap::store::ImapStore;
use crate::imap::store::flags::list_one;
use crate::imap::store::transfer::leave;
use crate::model::{MailboxBase, Uid, UidValidity};
use crate::reconcile::leaving;
use crate::store::{End, StoreError};
use std::collections::BTreeSet;

impl ImapStore {
    pub(in crate::imap) async fn delete_with(
        &mut self,
        base: &MailboxBase,
    ) -> Result<End, StoreError> {
        let own = self.wire_name(&base.name)?;
        let passing = {
            let names = self.names.borrow();
            if names.keys().any(|name| name.below(&base.name).is_some()) {
                let why = "mailboxes lie below it, which would get another name with it";
                return Ok(End::Stays(why.into()));
            }
            let free =
                |n| leaving::passing_name(&base.name, n).filter(|name| !names.contains_key(name));
            (1..).find_map(free)
        };
        let passing = passing.ok_or_else(|| StoreError::Bug("no name is free".into()))?;
        let mut session = self.take().await?;
        let done = async {
            let passing = session.naming.encode(&passing);
            let passing = passing.map_err(StoreError::Mailbox)?;
            delete(&mut session, base, (&own, &passing)).await
        }
        .await;
        self.put(session);
        if done == Ok(End::Gone) {
            self.names.borrow_mut().remove(&base.name);
        }
        done
    }
}

/// Deletes a mailbox under its temporary name.
async fn delete(
    session: &mut Session,
    base: &MailboxBase,
    (own, passing): (&[u8], &[u8]),
) -> Result<End, StoreError> {
    let known = base.disposable_uids();
    let before = look(session, base, own).await?;
    if base
        .uid_validity
        .is_some_and(|uid_validity| uid_validity != before.uid_validity)
    {
        return Err(stale(base, "UIDVALIDITY changed"));
    }
    if !before.uids.is_subset(&known) {
        return Err(stale(base, "new mail arrived in it"));
    }
    leave(session).await?;
    let (_, done) = session.run(&Command::rename(own, passing)?).await?;
    if !list_one(session, passing).await? {
        let renamed = must(done, &format!("rename {}", shown(own)));
        return match renamed {
            Err(StoreError::Mailbox(why)) if list_one(session, own).await? => Ok(End::Stays(why)),
            Ok(_) | Err(StoreError::Mailbox(_)) => Err(stale(base, "it is gone")),
            Err(error) => Err(error),
        };
    }
    let now = match look(session, base, passing).await {
        Err(StoreError::Mailbox(why)) => return Err(stale(base, &why)),
        looked => looked?,
    };
    // Most servers keep the UIDVALIDITY of a renamed mailbox.
    let same = match now.uid_validity == before.uid_validity {
        true => now.uids.is_subset(&known),
        false => now.uids == before.uids,
    };
    leave(session).await?;
    if !same {
        rename_back(session, (own, passing)).await?;
        return Err(stale(base, "new mail arrived in it"));
    }
    let (_, done) = session.run(&Command::delete(passing)?).await?;
    if list_one(session, passing).await? {
        rename_back(session, (own, passing)).await?;
        return match must(done, &format!("delete {}", shown(own))) {
            Ok(_) => Ok(End::Stays("deleted, but the server still lists it".into())),
            Err(StoreError::Mailbox(why)) => Ok(End::Stays(why)),
            Err(error) => Err(error),
        };
    }
    if done.status != CompletionStatus::Ok && list_one(session, own).await? {
        return Err(stale(base, "another device gave it its name back"));
    }
    Ok(End::Gone)
}

/// The content of a mailbox.
struct MailboxContent {
    uid_validity: UidValidity,
    uids: BTreeSet<Uid>,
}

async fn look(
    session: &mut Session,
    base: &MailboxBase,
    wire: &[u8],
) -> Result<MailboxContent, StoreError> {
    session
        .select(wire, Access::ReadOnly, Since::Nothing)
        .await?;
    let open = session.open_mailbox()?.clone();
    let mut there = UidSet::default();
    if open.exists > 0 {
        let (replies, done) = session.run(&Command::search_all(session.compact())).await?;
        must(done, "list its messages")?;
        for reply in replies {
            if let Reply::Search(set) = reply {
                there = there.union(&set);
            }
        }
    }
    let uids = there.uids(u64::from(open.exists)).unwrap_or_default();
    if uids.len() != open.exists as usize {
        return Err(stale(base, "it changed while it was looked at"));
    }
    let uid_validity = open.uid_validity;
    Ok(MailboxContent { uid_validity, uids })
}

/// If this fails, the next pass retries and reports it.
async fn rename_back(
    session: &mut Session,
    (own, passing): (&[u8], &[u8]),
) -> Result<(), StoreError> {
    let (_, done) = session.run(&Command::rename(passing, own)?).await?;
    if let Err(error) = must(done, &format!("rename {} back", shown(passing))) {
        tracing::warn!(%error, "a mailbox that is not deleted after all keeps its passing name");
    }
    Ok(())
}

fn stale(base: &MailboxBase, what: &str) -> StoreError {
    StoreError::Stale(format!("{}: {what}", base.name))
}
