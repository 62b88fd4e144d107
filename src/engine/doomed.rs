//! What a plan deletes, and what will be asked of the server before that.

use super::account::Account;
use super::report::Ended;
use super::work::{Work, Works};
use crate::model::{Flags, MaildirId, Side, Uid};
use crate::reconcile::Action;
use crate::reconcile::plan::{DeleteWhy, PairRef};
use crate::store::{Keep, Next, Place, Serve};
use std::collections::VecDeque;

/// Deletions recorded together.
pub(super) const BATCH: usize = 1000;

/// A message that is to go on one side.
pub(super) struct Doomed {
    pub pair: PairRef,
    pub saw: Option<Flags>,
    pub why: DeleteWhy,
}

/// What a plan deletes on a side.
pub(super) fn doomed(work: &Work, side: Side) -> Vec<Doomed> {
    let doomed = |action: &Action| match action {
        Action::Delete { on, pair, saw, why } if *on == side => Some(Doomed {
            pair: pair.clone(),
            saw: saw.clone(),
            why: *why,
        }),
        _ => None,
    };
    work.plan.actions.iter().filter_map(doomed).collect()
}

/// Messages of a mailbox that go together.
pub(super) type DoomedBatch = (Place, Vec<Uid>);

/// What will be deleted on the server, in that order.
pub(super) struct DoomedLine(VecDeque<DoomedBatch>);

impl DoomedLine {
    pub fn of(works: &Works) -> DoomedLine {
        let batches = |work: &Work| {
            let uids = doomed(work, Side::Remote).into_iter().map(|d| d.pair.uid);
            let uids: Vec<Uid> = uids.collect();
            let batch = |uids: &[Uid]| (work.place(), uids.to_vec());
            uids.chunks(BATCH).map(batch).collect::<Vec<_>>()
        };
        DoomedLine(works.values().flat_map(batches).collect())
    }

    /// The batch after this one.
    pub fn after(&mut self, place: &Place, uids: &[Uid]) -> Option<DoomedBatch> {
        let own = |(at, batch): &DoomedBatch| at == place && batch == uids;
        let at = self.0.iter().position(own)?;
        self.0.drain(..=at);
        self.0.front().cloned()
    }
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Has the questions that precede a deletion sent along with the deletion before it.
    pub(super) async fn foresee_deletion(
        &mut self,
        next: Option<&DoomedBatch>,
    ) -> Result<(), Ended> {
        let mut foreseen = Vec::new();
        if let Some((place, uids)) = next {
            if !self.remote.keeps_removed(&place.mailbox) {
                foreseen.push(Next::Read(place, uids));
            }
            foreseen.push(Next::Remove(place, uids));
        }
        Ok(self.remote.afterwards(&foreseen).await?)
    }
}
