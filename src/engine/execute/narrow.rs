//! Isolates messages at which the connection breaks: a change is repeated in ever smaller parts.

use crate::engine::execute::transfer::breaks::{FEW, IN_SUCCESSION};
use crate::store::{RemoteStore, StoreError};

/// A single message at which the connection broke.
pub(in crate::engine) struct Culprit<'a, T> {
    pub change: &'a T,
    pub error: StoreError,
}

/// Applies a change to all messages; after a break to parts of them. The change must be idempotent.
/// `Err` if the connection breaks at everything.
pub(in crate::engine) async fn narrowed<'a, R: RemoteStore, T>(
    remote: &mut R,
    all: &'a [T],
    send: impl AsyncFn(&mut R, &'a [T]) -> Result<(), StoreError>,
) -> Result<Vec<Culprit<'a, T>>, StoreError> {
    let most = IN_SUCCESSION + all.len().checked_ilog2().unwrap_or(0) as usize;
    let (mut open, mut culprits) = (vec![(all, false)], Vec::new());
    let (mut breaks, mut passed) = (0, false);
    while let Some((part, broke_before)) = open.pop() {
        let error = match send(remote, part).await {
            Ok(()) => {
                (breaks, passed) = (0, true);
                continue;
            }
            Err(error @ StoreError::Retry(_)) => error,
            Err(error) => return Err(error),
        };
        breaks += 1;
        if breaks > most || !remote.connect().await {
            return Err(error);
        }
        match part {
            [change] if broke_before => culprits.push(Culprit { change, error }),
            [_] => open.push((part, true)),
            _ => {
                let (first, second) = part.split_at(part.len() / 2);
                open.extend([(second, true), (first, true)]);
            }
        }
    }
    match culprits.first() {
        Some(culprit) if !passed && culprits.len() > FEW => Err(culprit.error.clone()),
        _ => Ok(culprits),
    }
}
