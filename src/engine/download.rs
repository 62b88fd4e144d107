//! Copying mail to disk: content, name, row, in that order, a batch at a time (law, 2.1), over as
//! many connections as there are.

use super::account::Account;
use super::copy::{Wanted, change, refusal, refused, wanted};
use super::lanes::side_by_side;
use super::report::{Ended, Event, Observer, Report};
use super::work::Work;
use crate::model::{
    AnyId, Canonical, ContentHash, Flags, Heading, Id, Kin, MailboxKey, MailboxName, MaildirId,
    Origin, PairId, Side, Uid,
};
use crate::reconcile::{Action, Outcome};
use crate::state::State;
use crate::store::{
    About, Delivered, Delivery, Keep, Next, Place, Receiver, Serve, Sink, StoreError,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages made durable and recorded together.
const DOWN_BATCH: usize = 500;

/// Messages that the server is asked for before those it sends are all here.
const AHEAD: usize = 1000;

/// Messages that are worth a further connection.
const LOAD: usize = 500;

/// Messages of one mailbox to be downloaded together.
#[derive(Debug)]
struct DownloadJob {
    place: Place,
    key: MailboxKey,
    tag: u32,
    /// Whether what comes is new mail.
    known: bool,
    wanted: BTreeMap<Uid, Wanted>,
}

impl DownloadJob {
    fn uids(&self) -> Vec<Uid> {
        self.wanted.keys().copied().collect()
    }

    /// Counts what comes, if it is new to the user.
    fn announce(&self, report: &mut Report, flags: &Flags, replaces: Option<PairId>) {
        if self.known && replaces.is_none() {
            report.arrived(&self.place.mailbox, flags);
        }
    }
}

/// Downloads of one mailbox that nobody has begun, as places in its plan: a first run has all that
/// there is to download in these.
pub(super) struct Portion<'a> {
    work: &'a Work,
    at: Vec<u32>,
}

impl<'a> Portion<'a> {
    /// The downloads of a mailbox, newest first, in batches.
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

    /// Where they are.
    pub fn mailbox(&self) -> &MailboxName {
        &self.work.base.name
    }

    fn begin(&self) -> DownloadJob {
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

/// What the lanes of a download share. One thread runs them all, in turns.
struct Shared<'a, L> {
    local: tokio::sync::Mutex<&'a mut L>,
    state: RefCell<&'a mut State>,
    report: RefCell<&'a mut Report>,
    portions: RefCell<VecDeque<Portion<'a>>>,
    unsound: RefCell<BTreeSet<MailboxName>>,
    observer: &'a dyn Observer,
    stop: &'a super::report::Stop,
    now: &'a dyn Fn() -> i64,
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Downloads, over as many connections as there are; answers with the mailboxes where
    /// something was left undone.
    pub(super) async fn download(
        &mut self,
        portions: Vec<Portion<'_>>,
        report: &mut Report,
    ) -> Result<BTreeSet<MailboxName>, Ended> {
        let messages: usize = portions.iter().map(|portion| portion.at.len()).sum();
        let lanes = portions.len().min(messages.div_ceil(LOAD));
        let shared = Shared {
            local: tokio::sync::Mutex::new(&mut *self.local),
            state: RefCell::new(self.state),
            report: RefCell::new(report),
            portions: RefCell::new(portions.into()),
            unsound: RefCell::new(BTreeSet::new()),
            observer: self.observer,
            stop: &self.stop,
            now: &*self.world.now,
        };
        side_by_side(&mut *self.remote, lanes, async |remote: &mut R| {
            lane(remote, &shared).await
        })
        .await?;
        Ok(shared.unsound.into_inner())
    }
}

async fn lane<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>>(
    remote: &mut R,
    shared: &Shared<'_, L>,
) -> Result<(), Ended> {
    let mut taken: VecDeque<DownloadJob> = VecDeque::new();
    loop {
        if shared.stop.requested() {
            return Err(Ended::Stopped);
        }
        while taken.iter().map(|job| job.wanted.len()).sum::<usize>() < AHEAD {
            let Some(portion) = shared.portions.borrow_mut().pop_front() else {
                break;
            };
            let job = portion.begin();
            remote
                .foresee(&[Next::Read(&job.place, &job.uids())])
                .await?;
            taken.push_back(job);
        }
        let Some(job) = taken.pop_front() else {
            return Ok(());
        };
        let mailbox = job.place.mailbox.clone();
        match download_batch(remote, shared, job).await {
            Ok(()) => {}
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                shared.report.borrow_mut().trouble(Some(&mailbox), &error);
                shared.unsound.borrow_mut().insert(mailbox);
            }
            Err(ended) => {
                shared.portions.borrow_mut().clear();
                return Err(ended);
            }
        }
    }
}

async fn download_batch<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>>(
    remote: &mut R,
    shared: &Shared<'_, L>,
    job: DownloadJob,
) -> Result<(), Ended> {
    let receiver = shared.local.lock().await.receive(&job.place).await?;
    let mut down = Down {
        receiver,
        job: &job,
        observer: shared.observer,
        got: Vec::new(),
        failed: Vec::new(),
        hash: Canonical::default(),
        heading: Heading::default(),
        named: remote.names_messages(),
        bytes: 0,
    };
    let read = remote.read(&job.place, &job.uids(), &mut down).await;
    if read.is_err() {
        down.receiver.abandon().await?;
    }
    let Down {
        receiver,
        got,
        failed,
        bytes,
        ..
    } = down;
    // What came whole is kept, even when the connection broke after it.
    let delivered = receiver.finish().await?;
    shared.report.borrow_mut().bytes_down += bytes;
    record(shared, &job, (got, failed), delivered)?;
    read.map_err(Ended::from)
}

type Got = (Vec<Whole>, Vec<(Uid, String)>);

fn record<L>(
    shared: &Shared<'_, L>,
    job: &DownloadJob,
    (got, mut refusals): Got,
    delivered: Vec<(usize, Delivered<MaildirId>)>,
) -> Result<(), Ended> {
    let mut report = shared.report.borrow_mut();
    let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
    for (tag, outcome) in delivered {
        let Some(whole) = got.get(tag).cloned() else {
            continue;
        };
        let Whole {
            uid,
            hash,
            flags,
            kin,
        } = whole;
        let replaces = job.wanted.get(&uid).and_then(|want| want.replaces);
        match outcome {
            Delivered::Stored {
                id: Some(file),
                stored: size,
            } => {
                job.announce(&mut report, &flags, replaces);
                changes.push(change(&job.place, Side::Local, file.any(), &uid));
                outcomes.push(Outcome::Paired {
                    uid,
                    file,
                    flags,
                    hash,
                    size,
                    kin,
                    replaces,
                });
                report.downloaded += 1;
            }
            Delivered::Stored { id: None, .. } => {
                let what = "the Maildir did not name a file it stored".to_owned();
                return Err(StoreError::Bug(what).into());
            }
            Delivered::Refused(why) => refusals.push((uid, why)),
        }
    }
    for (uid, why) in refusals {
        let Some(want) = job.wanted.get(&uid) else {
            continue;
        };
        let aside = refused(uid.any(), want, why, (shared.now)());
        report.trouble(
            Some(&job.place.mailbox),
            &StoreError::Mailbox(refusal(&aside)),
        );
        if want.replaces.is_none() {
            outcomes.push(Outcome::Alone { pair: None, aside });
        }
    }
    shared.observer.event(Event::Copied(outcomes.len()));
    shared
        .state
        .borrow_mut()
        .apply(job.key, &outcomes, &changes)?;
    if outcomes.len() < job.wanted.len() {
        shared
            .unsound
            .borrow_mut()
            .insert(job.place.mailbox.clone());
    }
    Ok(())
}

/// A message that came whole.
#[derive(Clone, Debug)]
struct Whole {
    uid: Uid,
    hash: ContentHash,
    flags: Flags,
    kin: Option<Kin>,
}

/// Takes what the server sends to the disk, and hashes it on the way.
struct Down<'a, C: Receiver<Id = MaildirId>> {
    receiver: C,
    job: &'a DownloadJob,
    observer: &'a dyn Observer,
    got: Vec<Whole>,
    failed: Vec<(Uid, String)>,
    hash: Canonical,
    heading: Heading,
    /// Whether the server names messages itself, so that an envelope is of no use.
    named: bool,
    bytes: u64,
}

impl<C: Receiver<Id = MaildirId>> Sink<Uid> for Down<'_, C> {
    async fn begin(&mut self, size: u64, _: Option<&About<Uid>>) -> Result<(), StoreError> {
        self.hash = Canonical::default();
        self.heading = Heading::default();
        self.receiver.begin(size, None).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.heading.update(bytes);
        self.bytes += bytes.len() as u64;
        self.observer.event(Event::Bytes(bytes.len() as u64));
        self.receiver.chunk(bytes).await
    }

    async fn end(&mut self, about: About<Uid>) -> Result<(), StoreError> {
        if !self.job.wanted.contains_key(&about.id) {
            // The answer to another question (H08); it must not become a file.
            return self.receiver.abandon().await;
        }
        let (tag, flags) = (self.got.len(), about.flags.clone());
        let envelope = |date| Kin::envelope(&self.heading.message_id(), date, about.stored);
        let envelope = about.date.filter(|_| !self.named).map(envelope);
        self.got.push(Whole {
            uid: about.id,
            hash: std::mem::take(&mut self.hash).finish(),
            flags: about.flags,
            kin: about.kin.or(envelope),
        });
        let epoch = self.job.place.epoch;
        let mailbox = self.job.tag;
        let origin = epoch.map(|epoch| Origin {
            mailbox,
            epoch,
            uid: about.id,
        });
        self.receiver
            .end(Delivery {
                tag,
                flags,
                date: about.date,
                origin,
            })
            .await
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        self.receiver.abandon().await
    }

    async fn fail(&mut self, id: Uid, why: String) -> Result<(), StoreError> {
        self.failed.push((id, why));
        Ok(())
    }
}
