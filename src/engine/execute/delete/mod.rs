//! The deletions of a plan on one side, in batches.

pub(in crate::engine) mod local;
pub(in crate::engine) mod remote;

use crate::engine::execute::job::{Work, Works};
use crate::model::{Flags, MailboxName, Side};
use crate::reconcile::Action;
use crate::reconcile::action::{DeleteWhy, PairRef};

/// Deletions that are recorded together.
const BATCH: usize = 1000;

/// A message to delete on one side.
pub(in crate::engine) struct Doomed {
    pub pair: PairRef,
    pub saw: Option<Flags>,
    pub why: DeleteWhy,
}

/// The deletions of a plan on one side.
fn doomed(work: &Work, side: Side) -> Vec<Doomed> {
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

/// A batch by mailbox; each mailbox is in it once.
pub(in crate::engine) type Batch = Vec<(MailboxName, Vec<Doomed>)>;

/// Returns all deletions on a side in batches of about [`BATCH`] messages.
pub(in crate::engine) fn batches(works: &Works, side: Side) -> Vec<Batch> {
    let (mut all, mut batch, mut count) = (Vec::new(), Batch::new(), 0);
    for (name, work) in works {
        let mut doomed = doomed(work, side);
        while !doomed.is_empty() {
            let rest = doomed.split_off(doomed.len().min(BATCH));
            count += doomed.len();
            batch.push((name.clone(), std::mem::replace(&mut doomed, rest)));
            if count >= BATCH {
                all.push(std::mem::take(&mut batch));
                count = 0;
            }
        }
    }
    all.push(batch);
    all.retain(|batch| !batch.is_empty());
    all
}
