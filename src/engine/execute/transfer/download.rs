//! Downloads messages over all connections. [`crate::engine::execute::transfer::commit`] commits them; [`crate::engine::execute::transfer::breaks`]
//! requests messages again at which the connection breaks.

use crate::engine::context::Context;
use crate::engine::execute::job::Work;
use crate::engine::execute::parallel::side_by_side;
use crate::engine::execute::transfer::breaks::{Break, Breaks, ask_singly};
use crate::engine::execute::transfer::commit::{Arrived, Desk, DownloadJob, Whole};
use crate::engine::execute::transfer::present_files::{AllTwins, Met};
use crate::engine::execute::transfer::wanted;
use crate::engine::identify::contents::Measure;
use crate::engine::pass_state::PassState;
use crate::engine::report::{Ended, Event, Observer};
use crate::model::{AnyId, Canonical, Heading, Kin, MailboxName, MaildirId, Origin, Uid};
use crate::reconcile::Action;
use crate::state::Suspects;
use crate::store::{
    About, Delivery, LocalStore, Prefetch, Receiver, RemoteStore, Sink, StoreError,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

/// Messages of one mailbox in one request.
const DOWN_BATCH: usize = 500;

/// Messages requested before earlier ones have arrived.
const AHEAD: usize = 1000;

/// Messages that justify a further connection.
const LOAD: usize = 500;

/// Downloads of one mailbox that were not requested yet, as indexes into its plan: a first run has
/// everything in these.
pub(in crate::engine) struct Portion<'a> {
    work: &'a Work,
    at: Vec<u32>,
}

impl<'a> Portion<'a> {
    /// The downloads of a mailbox in batches, newest first.
    pub fn of(work: &'a Work) -> Vec<Portion<'a>> {
        let uid = |(at, action): (u32, &Action)| match action {
            Action::Copy {
                from: AnyId::Remote(uid),
                ..
            } => Some((*uid, at)),
            _ => None,
        };
        let mut all: Vec<(Uid, u32)> = (0..).zip(&work.plan.actions).filter_map(uid).collect();
        all.sort_by_key(|(uid, _)| std::cmp::Reverse(*uid));
        let portion = |chunk: &[(Uid, u32)]| Portion {
            work,
            at: chunk.iter().map(|(_, at)| *at).collect(),
        };
        all.chunks(DOWN_BATCH).map(portion).collect()
    }

    /// Returns the mailbox.
    pub fn mailbox(&self) -> &MailboxName {
        &self.work.base.name
    }

    /// Returns the number of messages.
    pub fn count(&self) -> usize {
        self.at.len()
    }

    /// Splits into the wanted messages and the others.
    pub fn partition(self, wants: impl Fn(Uid) -> bool) -> (Portion<'a>, Portion<'a>) {
        let work = self.work;
        let uid = |at: &u32| match work.plan.actions.get(*at as usize) {
            Some(Action::Copy {
                from: AnyId::Remote(uid),
                ..
            }) => Some(*uid),
            _ => None,
        };
        let (wanted, others) = self
            .at
            .into_iter()
            .partition(|at| uid(at).is_some_and(&wants));
        let part = |at| Portion { work, at };
        (part(wanted), part(others))
    }

    /// Splits off the message that a server answers first, and halves the others; no part is empty.
    pub fn narrowed(self) -> Vec<Portion<'a>> {
        // Newest first.
        let (work, mut at) = (self.work, self.at);
        let first = at.pop().into_iter().collect::<Vec<u32>>();
        let old = at.split_off(at.len() / 2);
        let mut parts = vec![first, old, at];
        parts.retain(|at| !at.is_empty());
        let part = |at| Portion { work, at };
        parts.into_iter().map(part).collect()
    }

    /// Whether all of it was skipped before.
    pub fn was_set_aside(&self) -> bool {
        let mut all = self.begin().wanted.into_values();
        all.all(|wanted| wanted.attempts > 0)
    }

    /// Returns the messages as a job.
    pub fn begin(&self) -> DownloadJob {
        let work = self.work;
        let action = |at: &u32| work.plan.actions.get(*at as usize);
        let wanted =
            self.at
                .iter()
                .filter_map(action)
                .filter_map(|action| match wanted(work, action)? {
                    (AnyId::Remote(uid), wanted) => Some((*uid, wanted)),
                    (AnyId::Local(_), _) => None,
                });
        DownloadJob {
            place: work.place(),
            key: work.base.key,
            tag: work.base.tag,
            known: work.known,
            wanted: wanted.collect(),
        }
    }
}

/// The state shared by the connections of a download, on one thread.
pub(in crate::engine) struct Shared<'a, L: LocalStore> {
    pub desk: Desk<'a, L>,
    portions: RefCell<VecDeque<Portion<'a>>>,
    pub breaks: Breaks<'a>,
    pub stop: &'a crate::engine::report::Stop,
}

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
        while taken.iter().map(|(_, job)| job.wanted.len()).sum::<usize>() < AHEAD {
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

/// Requests messages; returns the break, if the connection broke before all were answered.
pub(in crate::engine) async fn download_batch<R: RemoteStore, L: LocalStore>(
    remote: &mut R,
    desk: &Desk<'_, L>,
    mut job: DownloadJob,
) -> Result<Option<Break>, Ended> {
    let receiver = desk.local.lock().await.receive(&job.place).await?;
    let mut down = Down {
        receiver,
        job: &job,
        observer: desk.observer,
        got: Vec::new(),
        met: Vec::new(),
        failed: Vec::new(),
        hash: Canonical::default(),
        heading: Heading::default(),
        twins: &desk.twins,
        measure: None,
        named: remote.has_object_ids(),
        bytes: 0,
        disk_failed: false,
    };
    let read = remote.read(&job.place, &job.uids(), &mut down).await;
    if read.is_err() {
        down.receiver.abandon().await?;
    }
    let Down {
        receiver,
        got,
        met,
        failed,
        bytes,
        disk_failed,
        ..
    } = down;
    let answered = got.iter().map(|whole| whole.uid);
    let answered = answered.chain(failed.iter().map(|(uid, _)| *uid));
    let broke = match &read {
        Err(error @ StoreError::Retry(_)) if !disk_failed => {
            Some(Break::at(&job, answered.collect(), error))
        }
        _ => None,
    };
    if !got.is_empty() {
        desk.came.set(true);
    }
    desk.pass.borrow_mut().counts.bytes_down += bytes;
    // Complete messages are committed also after a break; the others are requested again or
    // skipped.
    if let Some(broke) = &broke {
        job.wanted.retain(|uid, _| !broke.left.contains(uid));
    }
    desk.take_in(Arrived {
        receiver,
        job,
        got,
        met,
        failed,
    });
    match broke {
        Some(broke) => Ok(Some(broke)),
        None => read.map(|()| None).map_err(Ended::from),
    }
}

/// Writes downloads to the disk and hashes them.
struct Down<'a, C: Receiver<Id = MaildirId>> {
    receiver: C,
    job: &'a DownloadJob,
    observer: &'a dyn Observer,
    got: Vec<Whole>,
    /// Messages that the disk has already.
    met: Vec<Met>,
    failed: Vec<(Uid, String)>,
    hash: Canonical,
    heading: Heading,
    twins: &'a RefCell<AllTwins>,
    /// The content, if the disk may have the message already.
    measure: Option<Measure>,
    /// Whether the server has message ids, so that the envelope is not needed.
    named: bool,
    bytes: u64,
    /// Whether the disk ended it, not the server.
    disk_failed: bool,
}

impl<C: Receiver<Id = MaildirId>> Down<'_, C> {
    fn on_disk(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        self.disk_failed |= done.is_err();
        done
    }
}

impl<C: Receiver<Id = MaildirId>> Down<'_, C> {
    /// Returns the file that equals a download.
    fn take_twin(&mut self, about: &About<Uid>, kin: Option<Kin>) -> Option<Met> {
        let content = self.measure.take()?.finish(about.stored);
        let new = self.job.wanted.get(&about.id)?.replaces.is_none();
        let mut all = self.twins.borrow_mut();
        let twins = all.get_mut(&self.job.place.mailbox).filter(|_| new)?;
        twins.take(about.id, &content, &about.flags, kin)
    }
}

impl<C: Receiver<Id = MaildirId>> Sink<Uid> for Down<'_, C> {
    async fn begin(&mut self, size: u64, _: Option<&About<Uid>>) -> Result<(), StoreError> {
        self.hash = Canonical::default();
        self.heading = Heading::default();
        let has_twins = self.twins.borrow().contains_key(&self.job.place.mailbox);
        self.measure = has_twins.then(Measure::default);
        let begun = self.receiver.begin(size, None).await;
        self.on_disk(begun)
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.heading.update(bytes);
        if let Some(measure) = &mut self.measure {
            measure.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        self.observer.event(Event::Bytes(bytes.len() as u64));
        let taken = self.receiver.chunk(bytes).await;
        self.on_disk(taken)
    }

    async fn end(&mut self, about: About<Uid>) -> Result<(), StoreError> {
        if !self.job.wanted.contains_key(&about.id) {
            // The answer to another request (H08); it must not become a file.
            return self.abandon().await;
        }
        let (tag, flags) = (self.got.len(), about.flags.clone());
        let envelope = |date| Kin::envelope(&self.heading.message_id(), date, about.stored);
        let envelope = about.date.filter(|_| !self.named).map(envelope);
        if let Some(met) = self.take_twin(&about, about.kin.or(envelope)) {
            self.met.push(met);
            return self.receiver.abandon().await;
        }
        self.got.push(Whole {
            uid: about.id,
            hash: std::mem::take(&mut self.hash).finish(),
            flags: about.flags,
            kin: about.kin.or(envelope),
        });
        let uid_validity = self.job.place.uid_validity;
        let mailbox = self.job.tag;
        let origin = uid_validity.map(|uid_validity| Origin {
            mailbox,
            uid_validity,
            uid: about.id,
        });
        let date = about.date;
        let ended = self
            .receiver
            .end(Delivery {
                tag,
                flags,
                date,
                origin,
            })
            .await;
        self.on_disk(ended)
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        let removed = self.receiver.abandon().await;
        self.on_disk(removed)
    }

    async fn fail(&mut self, id: Uid, why: String) -> Result<(), StoreError> {
        self.failed.push((id, why));
        Ok(())
    }
}
