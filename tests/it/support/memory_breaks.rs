//! Messages at which the connection of the side in memory breaks, and changes that it refuses.

use super::memory::{Memory, MemoryId};
use mailtide::model::*;
use mailtide::store::*;

impl<I: MemoryId> Memory<I> {
    /// Whether the connection breaks before this body has passed.
    pub(super) fn break_at(&self, body: &[u8]) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        match inner.breaks_always || inner.breaks_at.contains(body) {
            true => {
                inner.breaks += 1;
                Err(StoreError::Retry(
                    "the connection broke at a message".into(),
                ))
            }
            false => Ok(()),
        }
    }

    /// Whether the connection breaks before these messages are described.
    pub(super) fn break_heads<'a>(
        &self,
        place: &Place,
        ids: impl Iterator<Item = &'a I>,
    ) -> Result<(), StoreError>
    where
        I: 'a,
    {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get(&place.mailbox);
        let message = |id| b.and_then(|b| b.messages.get(id));
        let mut bodies = ids.filter_map(message).map(|m| &m.body);
        if bodies.any(|body| inner.odd.breaks_heads.contains(body)) {
            inner.breaks += 1;
            let what = "the connection broke at a description".to_owned();
            return Err(StoreError::Retry(what));
        }
        Ok(())
    }

    /// Whether the connection breaks before this message is changed.
    pub(super) fn break_change(&self, place: &Place, id: &I) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get(&place.mailbox);
        let body = b.and_then(|b| b.messages.get(id)).map(|m| m.body.clone());
        let breaks = body.is_some_and(|body| inner.breaks_change.contains(&body));
        match breaks || I::SIDE == Side::Remote && inner.breaks_always {
            true => {
                inner.breaks += 1;
                Err(StoreError::Retry("the connection broke at a change".into()))
            }
            false => Ok(()),
        }
    }

    /// Whether this message is neither moved nor removed.
    pub(super) fn refuses_change(&self, place: &Place, id: &I) -> Result<(), StoreError> {
        let inner = self.inner.borrow();
        let b = inner.boxes.get(&place.mailbox);
        let body = b.and_then(|b| b.messages.get(id)).map(|m| &m.body);
        match body.is_some_and(|body| inner.keeps.contains(body)) {
            true => Err(StoreError::Mailbox("no permission".into())),
            false => Ok(()),
        }
    }
}
