//! Mailboxes in which something is changed without a look into them before: the listing showed that
//! nothing happened there since they were left, and all could be changed there then. Whether that
//! still holds shows when they are opened; what happens in between, by UNCHANGEDSINCE.

use super::cursor::RemoteCursor;
use super::session::Session;
use super::store::ImapStore;
use crate::model::{MailboxName, Outline, Uid, UidValidity};
use crate::reconcile::{Cursor, Look};
use crate::store::StoreError;

impl ImapStore {
    /// See [`crate::store::Serve::as_listed`].
    pub(super) fn left_as_listed(&mut self, of: &Outline, left: &Cursor) -> Option<Look<Uid>> {
        let cursor = RemoteCursor::read(left).filter(|cursor| cursor.free && cursor.modseq > 0)?;
        let epoch = Some(UidValidity(cursor.epoch));
        if of.epoch != epoch || !self.unseen.borrow_mut().insert(of.name.clone()) {
            return None;
        }
        self.looked.insert(of.name.clone(), cursor.modseq);
        self.ours.borrow_mut().remove(&of.name);
        Some(Look {
            next: u32::try_from(cursor.uid_next).ok(),
            ..Look::unchanged(epoch, left.clone())
        })
    }

    /// Whether all may still be changed in the mailbox that is open, if nobody looked.
    pub(super) fn must_be_free(
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

    /// It was looked into, or changed as was planned without that.
    pub(super) fn note_seen(&self, mailbox: &MailboxName) {
        self.unseen.borrow_mut().remove(mailbox);
    }
}
