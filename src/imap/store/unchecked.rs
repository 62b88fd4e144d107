//! Changes messages without a prior snapshot, by the LIST-STATUS that shows no change since the
//! checkpoint. SELECT verifies that; UNCHANGEDSINCE catches changes after it.

use crate::imap::protocol::command::{Command, MailboxRef};
use crate::imap::session::Session;
use crate::imap::session::sync_capability::plain;
use crate::imap::store::ImapStore;
use crate::imap::store::cursor::RemoteCursor;
use crate::model::{Kin, MailboxName, Outline, Uid, UidValidity};
use crate::reconcile::{Cursor, Look};
use crate::store::{Place, StoreError};
use std::collections::BTreeMap;

impl ImapStore {
    /// See [`crate::store::RemoteStore::assume_unchanged`].
    pub(in crate::imap) fn left_as_listed(
        &mut self,
        of: &Outline,
        left: &Cursor,
    ) -> Option<Look<Uid>> {
        let cursor = RemoteCursor::read(left).filter(|cursor| cursor.free && cursor.modseq > 0)?;
        let uid_validity = Some(UidValidity(cursor.uid_validity));
        if of.uid_validity != uid_validity || !self.unseen.borrow_mut().insert(of.name.clone()) {
            return None;
        }
        self.looked.insert(of.name.clone(), cursor.modseq);
        self.ours.borrow_mut().remove(&of.name);
        Some(Look {
            next: u32::try_from(cursor.uid_next).ok(),
            ..Look::unchanged(uid_validity, left.clone())
        })
    }

    /// Whether the selected mailbox still permits all changes, if no snapshot was read.
    pub(in crate::imap) fn must_be_free(
        &self,
        session: &Session,
        mailbox: &MailboxName,
    ) -> Result<(), StoreError> {
        if !self.unseen.borrow().contains(mailbox) || session.open_mailbox()?.is_free() {
            return Ok(());
        }
        let what = format!("{mailbox} no longer takes all changes");
        Err(StoreError::Stale(what))
    }

    /// Selects a mailbox whose messages will be changed, and compares their ids, requested with
    /// SELECT.
    pub(in crate::imap) async fn open_expected(
        &mut self,
        session: &mut Session,
        place: &Place,
        always: bool,
    ) -> Result<(), StoreError> {
        let known = self.expected.remove(&place.mailbox).unwrap_or_default();
        let wanted = always || self.unseen.borrow().contains(&place.mailbox);
        let known: BTreeMap<Uid, Kin> = known.into_iter().filter(|_| wanted).collect();
        if known.is_empty() {
            return self.open(session, place).await;
        }
        let uids: Vec<Uid> = known.keys().copied().collect();
        let name = self.wire_name(&place.mailbox)?;
        let access = self.settings.access;
        let door = MailboxRef { name, access };
        let open = session.selected.as_ref();
        let ready = open.is_some_and(|open| open.door() == door);
        if !ready && session.ahead.sent() == 0 {
            let mut commands = vec![Command::select(&door.name, access, plain(session))?];
            commands.extend(crate::imap::store::message_id::foreseen(session, &uids));
            session.foresee(commands).await?;
        }
        self.open(session, place).await?;
        let told = crate::imap::store::message_id::kin(session, &uids).await?;
        let other = told
            .iter()
            .find(|(uid, kin)| known.get(uid).is_some_and(|known| known != kin));
        match other {
            None => Ok(()),
            Some((uid, _)) => {
                session.selected = None;
                let what = format!("{}: {uid} is another message by now", place.mailbox);
                Err(StoreError::Renumbered(what))
            }
        }
    }

    /// A snapshot was read, or the planned change was made without one.
    pub(in crate::imap) fn note_seen(&self, mailbox: &MailboxName) {
        self.unseen.borrow_mut().remove(mailbox);
    }
}
