//! Runs work over several connections at once, on one thread.

use crate::engine::report::Ended;
use crate::store::RemoteStore;
use futures_util::future::join_all;
use std::cell::RefCell;
use std::collections::VecDeque;
use tokio::sync::watch;

/// Runs a function on the open connection and on up to `most` in all. Connections that are not open
/// when the first has finished are not awaited.
pub(in crate::engine) async fn side_by_side<R: RemoteStore>(
    remote: &mut R,
    count: usize,
    lane: impl AsyncFn(&mut R) -> Result<(), Ended>,
) -> Result<(), Ended> {
    let mut forks: Vec<R> = (1..count).map_while(|_| remote.second_handle()).collect();
    let over = watch::Sender::new(false);
    let first = async {
        let end = lane(remote).await;
        over.send_replace(true);
        end
    };
    let others = forks.iter_mut().map(async |fork| {
        let mut over = over.subscribe();
        let open = tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => false,
            open = fork.connect() => open,
        };
        if !open {
            return Ok(());
        }
        let end = lane(fork).await;
        fork.disconnect().await;
        end
    });
    let (end, ends) = tokio::join!(first, join_all(others));
    end.and(ends.into_iter().collect())
}

/// Runs jobs over as many connections as justified; each gets the next job on its connection. The
/// first error ends all.
pub(in crate::engine) async fn spread<R: RemoteStore, J>(
    remote: &mut R,
    jobs: Vec<J>,
    work: impl AsyncFn(&mut R, &J, Option<&J>) -> Result<(), Ended>,
) -> Result<(), Ended> {
    let count = remote.max_parallel(jobs.len());
    let jobs = RefCell::new(VecDeque::from(jobs));
    let take = || jobs.borrow_mut().pop_front();
    side_by_side(remote, count, async |remote: &mut R| {
        let mut next = take();
        while let Some(job) = next.take() {
            if remote.gives_way() {
                jobs.borrow_mut().push_front(job);
                return Ok(());
            }
            next = take();
            if let Err(ended) = work(remote, &job, next.as_ref()).await {
                jobs.borrow_mut().clear();
                return Err(ended);
            }
        }
        Ok(())
    })
    .await
}
