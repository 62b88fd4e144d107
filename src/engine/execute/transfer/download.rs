//! Downloads messages over all connections. [`crate::engine::execute::transfer::commit`] commits
//! them; [`crate::engine::execute::transfer::breaks`]
//! requests messages again at which the connection breaks.

use crate::engine::context::Context;
use crate::engine::execute::parallel::side_by_side;
use crate::engine::execute::transfer::breaks::{Breaks, Shared};
use crate::engine::execute::transfer::commit::{Desk, DownloadJob};
use crate::engine::execute::transfer::download_batch::download_batch;
use crate::engine::execute::transfer::download_singly::ask_singly;
use crate::engine::execute::transfer::portion::{LOAD, Portion};
use crate::engine::execute::transfer::present_files::AllTwins;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{AnyId, MailboxName};
use crate::state::Suspects;
use crate::store::{LocalStore, Prefetch, RemoteStore};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

/// Messages requested before earlier ones have arrived.
const AHEAD: usize = 1000;

/// Downloads over all connections; returns the mailboxes with failures.
pub(in crate::engine) async fn download<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    portions: Vec<Portion<'_>>,
    twins: AllTwins,
    pass: &mut PassState,
) -> Result<BTreeSet<MailboxName>, Ended> {
    let (portions, later) = without(portions, &ctx.state.suspects()?);
    let messages: usize = portions.iter().map(Portion::count).sum();
    let lanes = portions.len().min(messages.div_ceil(LOAD));
    let shared = Shared {
        desk: Desk {
            local: tokio::sync::Mutex::new(&mut *ctx.local),
            state: RefCell::new(ctx.state),
            pass: RefCell::new(pass),
            arrivals: RefCell::default(),
            unsound: RefCell::default(),
            came: Cell::default(),
            twins: RefCell::new(twins),
            observer: ctx.observer,
            now: &*ctx.world.now,
        },
        portions: RefCell::new(portions.into()),
        breaks: Breaks::of(later),
        stop: &ctx.stop,
    };
    let lanes = async {
        let each = async |remote: &mut R| lane(remote, &shared).await;
        side_by_side(&mut *ctx.remote, lanes, each).await?;
        ask_singly(&mut *ctx.remote, &shared).await
    };
    let now_and_then = async {
        let ended = shared.desk.settle_now_and_then().await;
        shared.portions.borrow_mut().clear();
        ended
    };
    let (ended, waited) = beside(lanes, now_and_then).await;
    // Complete messages are committed also after an error.
    let settled = shared.desk.settle().await;
    ended.and(waited).and(settled)?;
    Ok(shared.desk.unsound.into_inner())
}

/// Returns the portions without messages at which the connection broke before, and these, those
/// with the fewest breaks first.
fn without<'a>(
    portions: Vec<Portion<'a>>,
    suspects: &Suspects,
) -> (Vec<Portion<'a>>, Vec<Portion<'a>>) {
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for mut portion in portions {
        let known = suspects.get(&portion.work.base.key);
        let breaks: BTreeSet<u32> = known.into_iter().flatten().map(|(_, n)| *n).collect();
        for times in breaks {
            let broke = |uid| {
                let known = known.and_then(|known| known.get(&AnyId::Remote(uid)));
                known == Some(&times)
            };
            let (suspected, others) = portion.partition(broke);
            later.push((times, suspected));
            portion = others;
        }
        now.push(portion);
    }
    later.sort_by_key(|(times, _)| *times);
    let mut later: Vec<Portion<'a>> = later.into_iter().map(|(_, portion)| portion).collect();
    for all in [&mut now, &mut later] {
        all.retain(|portion| portion.count() > 0);
    }
    (now, later)
}

/// Runs the first future to its end and the second beside it, until the second fails.
async fn beside(
    main: impl Future<Output = Result<(), Ended>>,
    other: impl Future<Output = Ended>,
) -> (Result<(), Ended>, Result<(), Ended>) {
    let (mut main, mut other) = (std::pin::pin!(main), std::pin::pin!(other));
    tokio::select! {
        biased;
        end = &mut main => (end, Ok(())),
        ended = &mut other => (main.await, Err(ended)),
    }
}

async fn lane<R: RemoteStore, L: LocalStore>(
    remote: &mut R,
    shared: &Shared<'_, L>,
) -> Result<(), Ended> {
    let mut taken: VecDeque<(Portion<'_>, DownloadJob)> = VecDeque::new();
    loop {
        if shared.stop.requested() {
            return Err(Ended::Stopped);
        }
        let ahead = |taken: &VecDeque<(_, DownloadJob)>| -> usize {
            taken.iter().map(|(_, job)| job.wanted.len()).sum()
        };
        while ahead(&taken) < AHEAD && !remote.gives_way() {
            let Some(portion) = shared.portions.borrow_mut().pop_front() else {
                break;
            };
            let job = portion.begin();
            remote
                .prefetch(&[Prefetch::Read(&job.place, &job.uids())])
                .await?;
            taken.push_back((portion, job));
        }
        let Some((portion, job)) = taken.pop_front() else {
            return Ok(());
        };
        let mailbox = job.place.mailbox.clone();
        let done = download_batch(remote, &shared.desk, job).await;
        let settled = match shared.desk.is_due() {
            true => shared.desk.settle().await,
            false => Ok(()),
        };
        let broke = match settled.and(done) {
            Ok(broke) => broke,
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                shared.desk.pass_over(&mailbox, &error);
                continue;
            }
            Err(ended) => {
                shared.portions.borrow_mut().clear();
                return Err(ended);
            }
        };
        if let Err(ended) = shared.breaks.note(&shared.desk, portion, broke.as_ref()) {
            shared.portions.borrow_mut().clear();
            return Err(ended);
        }
        if let Some(broke) = broke
            && !remote.connect().await
        {
            shared.portions.borrow_mut().clear();
            return Err(broke.error.into());
        }
    }
}
