//! Messages at which the connection breaks. Each is requested separately, after all others; one at
//! which it breaks again is skipped, so that it stops nothing else. If the connection breaks at one
//! message after another, no message is the cause.

use crate::engine::execute::transfer::commit::{Arrived, Desk, DownloadJob};
use crate::engine::execute::transfer::download::{Portion, Shared, download_batch};
use crate::engine::report::Ended;
use crate::model::{AnyId, Uid};
use crate::store::{LocalStore, RemoteStore, StoreError};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Consecutive breaks without a message in between that end a run.
pub(in crate::engine) const IN_SUCCESSION: usize = 6;

/// Breaks that are accepted if no other message arrived in the run.
pub(in crate::engine) const FEW: usize = 2;

/// A break while messages were transferred.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Break {
    /// The messages without an answer.
    pub left: BTreeSet<Uid>,
    /// The error.
    pub error: StoreError,
}

impl Break {
    /// A break after these messages of a job were answered.
    pub fn at(job: &DownloadJob, answered: BTreeSet<Uid>, error: &StoreError) -> Break {
        let left = job.wanted.keys().filter(|uid| !answered.contains(uid));
        Break {
            left: left.copied().collect(),
            error: error.clone(),
        }
    }
}

/// The breaks of a download.
pub(in crate::engine) struct Breaks<'a> {
    /// The messages without an answer, requested after all others.
    later: RefCell<Vec<Portion<'a>>>,
    /// Breaks since the last message.
    in_succession: Cell<usize>,
    /// Whether a message arrived in this download.
    witness: Cell<bool>,
}

impl<'a> Breaks<'a> {
    /// Starts with the messages at which the connection broke in earlier runs.
    pub fn of(later: Vec<Portion<'a>>) -> Breaks<'a> {
        Breaks {
            later: RefCell::new(later),
            in_succession: Cell::default(),
            witness: Cell::default(),
        }
    }

    /// Records the answer to a portion. `Err` if the connection breaks at everything.
    pub fn note<L: LocalStore>(
        &self,
        desk: &Desk<'_, L>,
        portion: Portion<'a>,
        broke: Option<&Break>,
    ) -> Result<(), Ended> {
        if let Some(left) = self.record(desk, portion, broke)? {
            self.later.borrow_mut().push(left);
        }
        Ok(())
    }

    /// The same; returns the messages without an answer, recorded in the state.
    fn record<L: LocalStore>(
        &self,
        desk: &Desk<'_, L>,
        portion: Portion<'a>,
        broke: Option<&Break>,
    ) -> Result<Option<Portion<'a>>, Ended> {
        if desk.came.take() {
            self.in_succession.set(0);
            self.witness.set(true);
        }
        let Some(broke) = broke else {
            return Ok(None);
        };
        tracing::debug!(mailbox = %portion.mailbox(), error = %broke.error, "broke");
        let key = portion.begin().key;
        let left: Vec<AnyId> = broke.left.iter().copied().map(AnyId::Remote).collect();
        desk.state.borrow_mut().suspect(key, &left)?;
        let breaks = self.in_succession.get() + 1;
        self.in_succession.set(breaks);
        if breaks >= IN_SUCCESSION {
            return Err(broke.error.clone().into());
        }
        let (left, _) = portion.partition(|uid| broke.left.contains(&uid));
        Ok(Some(left).filter(|left| left.count() > 0))
    }
}

/// A message at which the connection broke although nothing else was requested.
struct Culprit<'a> {
    portion: Portion<'a>,
    error: StoreError,
}

/// Requests the messages at which the connection broke in ever smaller groups, and skips those at
/// which it breaks again.
pub(in crate::engine) async fn ask_singly<R: RemoteStore, L: LocalStore>(
    remote: &mut R,
    shared: &Shared<'_, L>,
) -> Result<(), Ended> {
    let later = std::mem::take(&mut *shared.breaks.later.borrow_mut());
    let mut open: Vec<Portion<'_>> = later.into_iter().flat_map(Portion::narrowed).collect();
    open.reverse();
    if open.is_empty() {
        return Ok(());
    }
    // The causes, after other messages passed, and the remaining messages.
    let (mut proven, mut culprits) = (Vec::new(), Vec::new());
    let ended = ask_narrowed(remote, shared, open, (&mut proven, &mut culprits)).await;
    let (again, first): (Vec<_>, Vec<_>) = culprits
        .into_iter()
        .partition(|culprit| culprit.portion.was_set_aside());
    proven.extend(again);
    let few = first.len() <= FEW;
    let came = shared.desk.pass.borrow().counts.downloaded > 0;
    if (came || shared.breaks.witness.get()) && (few || ended.is_ok()) || few && ended.is_ok() {
        proven.extend(first);
        set_aside(&shared.desk, proven).await?;
        return ended;
    }
    set_aside(&shared.desk, proven).await?;
    match first.into_iter().next() {
        Some(culprit) => ended.and(Err(culprit.error.into())),
        None => ended,
    }
}

type Culprits<'c, 'a> = (&'c mut Vec<Culprit<'a>>, &'c mut Vec<Culprit<'a>>);

async fn ask_narrowed<'a, R: RemoteStore, L: LocalStore>(
    remote: &mut R,
    shared: &Shared<'a, L>,
    mut open: Vec<Portion<'a>>,
    (proven, culprits): Culprits<'_, 'a>,
) -> Result<(), Ended> {
    while let Some(portion) = open.pop() {
        if shared.stop.requested() {
            return Err(Ended::Stopped);
        }
        let job = portion.begin();
        let (mailbox, single) = (job.place.mailbox.clone(), portion.count() == 1);
        let (key, asked) = (job.key, job.uids());
        let broke = match download_batch(remote, &shared.desk, job).await {
            Ok(broke) => broke,
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                shared.desk.pass_over(&mailbox, &error);
                continue;
            }
            Err(ended) => return Err(ended),
        };
        if shared.desk.came.get() {
            proven.append(culprits);
        }
        let left = shared.breaks.record(&shared.desk, portion, broke.as_ref());
        let Some(Break {
            error,
            left: unanswered,
        }) = broke
        else {
            let passed: Vec<AnyId> = asked.into_iter().map(AnyId::Remote).collect();
            shared
                .desk
                .state
                .borrow_mut()
                .clear_suspects(key, &passed)?;
            continue;
        };
        let passed = asked.into_iter().filter(|uid| !unanswered.contains(uid));
        let passed: Vec<AnyId> = passed.map(AnyId::Remote).collect();
        shared
            .desk
            .state
            .borrow_mut()
            .clear_suspects(key, &passed)?;
        match left? {
            Some(portion) if single => {
                let error = error.clone();
                culprits.push(Culprit { portion, error });
            }
            Some(portion) => open.extend(portion.narrowed().into_iter().rev()),
            None => {}
        }
        if !remote.connect().await {
            return Err(error.into());
        }
    }
    Ok(())
}

async fn set_aside<L: LocalStore>(
    desk: &Desk<'_, L>,
    culprits: Vec<Culprit<'_>>,
) -> Result<(), Ended> {
    for Culprit { portion, error } in culprits {
        let job = portion.begin();
        let receiver = desk.local.lock().await.receive(&job.place).await?;
        let why = format!("the connection breaks at this message: {error}");
        let failed = job.uids().into_iter().map(|uid| (uid, why.clone()));
        let failed = failed.collect();
        desk.take_in(Arrived {
            receiver,
            job,
            got: Vec::new(),
            met: Vec::new(),
            failed,
        });
    }
    Ok(())
}
