//! What only the server in memory can do.

use super::fuse::Fuse;
use super::memory::{Memory, Message, called};
use mailtide::model::*;
use mailtide::reconcile::{Cursor, FlagMask, Look};
use mailtide::store::*;

pub(super) fn object(message: &Message) -> Kin {
    Kin::object(&message.object.to_be_bytes())
}

impl RemoteStore for Memory<Uid> {
    fn has_object_ids(&self) -> bool {
        self.inner.borrow().objects
    }

    fn has_atomic_move(&self) -> bool {
        !self.inner.borrow().moves_by_copy
    }

    async fn prefetch(&mut self, _: &[Prefetch<'_>]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn pipeline_after(&mut self, _: &[Prefetch<'_>]) -> Result<(), StoreError> {
        Ok(())
    }

    fn expect_object_ids(&mut self, place: &Place, known: Vec<(Uid, Kin)>) {
        let mut inner = self.inner.borrow_mut();
        inner.expected.insert(place.mailbox.clone(), known);
    }

    fn assume_unchanged(&mut self, of: &Outline, left: &Cursor) -> Option<Look<Uid>> {
        let inner = self.inner.borrow();
        let b = inner.boxes.get(&of.name)?;
        // What is written there may have changed since: the plan goes by where it was left.
        let mut numbers = left.0.split(' ').map(|n| n.parse::<u64>().unwrap());
        let uid_validity = Some(UidValidity(numbers.next()?));
        let odd = |message: &Message| message.broken || message.edited;
        let plain = b.remarks.is_empty() && !b.blind && !b.dim && !b.messages.values().any(odd);
        let free = !b.read_only && inner.stores == FlagMask::All;
        let next = u32::try_from(numbers.next()?).ok();
        let look = || Look {
            next,
            ..Look::unchanged(uid_validity, left.clone())
        };
        (plain && free && inner.deltas && !inner.wary && of.uid_validity == uid_validity).then(look)
    }

    fn cursor_after_own_changes(&self, _: &MailboxName, _: &Cursor) -> Option<Cursor> {
        None
    }

    fn take_refused(&mut self) -> Vec<RefusedKeyword> {
        std::mem::take(&mut self.inner.borrow_mut().declined)
    }

    fn max_parallel(&self, _: usize) -> usize {
        1
    }

    fn second_handle(&mut self) -> Option<Self> {
        None
    }

    async fn connect(&mut self) -> bool {
        self.inner.borrow().reconnects && self.step().is_ok()
    }

    async fn disconnect(&mut self) {}

    async fn object_ids(
        &mut self,
        place: &Place,
        ids: &[Uid],
    ) -> Result<Vec<(Uid, Kin)>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.break_heads(place, ids.iter())?;
        let objects = self.inner.borrow().objects;
        self.told(place, |b| {
            let there = ids.iter().filter_map(|id| Some((*id, b.messages.get(id)?)));
            Ok(there.map(|(id, m)| (id, called(objects, m))).collect())
        })
    }
}
