//! Copying mail. Down: content, name, row, in that order, a batch at a time. Up: the one step that
//! must not be repeated blindly, so it is noted before the first byte, noted again before the last
//! one, and recorded after the answer (law, 2.1 and 2.2).

use super::account::Account;
use super::execute::Work;
use super::report::{Ended, Event, Observer, Report};
use crate::model::{
    AnyId, Aside, AsideReason, Canonical, ContentHash, Flags, Id, MailboxKey, MailboxName,
    MaildirId, Origin, PairId, Side, Uid,
};
use crate::reconcile::{Action, Outcome};
use crate::state::{Change, State};
use crate::store::{About, Delivered, Delivery, Keep, Place, Receiver, Sink, Store, StoreError};
use futures_util::future::join_all;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages made durable and recorded together.
const DOWN_BATCH: usize = 500;
/// Uploads whose outcome may be unknown at once.
const UP_BATCH: usize = 100;

/// Why and for what a message is copied.
#[derive(Clone, Debug)]
struct Wanted {
    flags: Flags,
    replaces: Option<PairId>,
    attempts: u32,
}

/// Messages of one mailbox to be downloaded together.
#[derive(Debug)]
pub(super) struct DownloadJob {
    pub place: Place,
    key: MailboxKey,
    tag: u32,
    wanted: BTreeMap<Uid, Wanted>,
}

impl DownloadJob {
    /// The downloads of a mailbox, newest first, in batches.
    pub fn of(work: &Work) -> Vec<DownloadJob> {
        let mut wanted: Vec<(Uid, Wanted)> = copies(work)
            .filter_map(|(from, wanted)| match from {
                AnyId::Remote(uid) => Some((*uid, wanted)),
                AnyId::Local(_) => None,
            })
            .collect();
        wanted.sort_by_key(|(uid, _)| std::cmp::Reverse(*uid));
        let batch = |chunk: &[(Uid, Wanted)]| DownloadJob {
            place: work.place(),
            key: work.base.key,
            tag: work.base.tag,
            wanted: chunk.iter().cloned().collect(),
        };
        wanted.chunks(DOWN_BATCH).map(batch).collect()
    }
}

/// Messages of one mailbox to be uploaded.
#[derive(Debug)]
pub(super) struct UploadJob {
    pub place: Place,
    key: MailboxKey,
    wanted: Vec<(MaildirId, Wanted)>,
    stores: crate::reconcile::FlagMask,
}

impl UploadJob {
    /// The uploads of a mailbox, if there are any.
    pub fn of(work: &Work) -> Option<UploadJob> {
        let wanted: Vec<(MaildirId, Wanted)> = copies(work)
            .filter_map(|(from, wanted)| match from {
                AnyId::Local(file) => Some((file.clone(), wanted)),
                AnyId::Remote(_) => None,
            })
            .collect();
        let (place, key, stores) = (work.place(), work.base.key, work.stores.clone());
        (!wanted.is_empty() && work.sound).then_some(UploadJob {
            place,
            key,
            wanted,
            stores,
        })
    }
}

fn copies(work: &Work) -> impl Iterator<Item = (&AnyId, Wanted)> {
    work.plan.actions.iter().filter_map(|action| match action {
        Action::Copy {
            from,
            flags,
            replaces,
            ..
        } => {
            let before = work.base.aside.iter().find(|aside| aside.id == *from);
            let attempts = before.map_or(0, |aside| aside.attempts);
            Some((
                from,
                Wanted {
                    flags: flags.clone(),
                    replaces: *replaces,
                    attempts,
                },
            ))
        }
        _ => None,
    })
}

/// What the lanes of a download share. One thread runs them all, in turns.
struct Shared<'a, L> {
    local: tokio::sync::Mutex<&'a mut L>,
    state: RefCell<&'a mut State>,
    report: RefCell<&'a mut Report>,
    jobs: RefCell<VecDeque<DownloadJob>>,
    unsound: RefCell<BTreeSet<MailboxName>>,
    observer: &'a dyn Observer,
    stop: &'a super::report::Stop,
    now: &'a dyn Fn() -> i64,
}

impl<R: Store<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Downloads, over as many connections as there are; answers with the mailboxes where
    /// something was left undone.
    pub(super) async fn download(
        &mut self,
        jobs: Vec<DownloadJob>,
        report: &mut Report,
    ) -> Result<BTreeSet<MailboxName>, Ended> {
        let mut forks = Vec::new();
        while forks.len() + 1 < jobs.len() {
            match self.remote.fork().await? {
                Some(fork) => forks.push(fork),
                None => break,
            }
        }
        let shared = Shared {
            local: tokio::sync::Mutex::new(&mut self.local),
            state: RefCell::new(self.state),
            report: RefCell::new(report),
            jobs: RefCell::new(jobs.into()),
            unsound: RefCell::new(BTreeSet::new()),
            observer: self.observer,
            stop: &self.stop,
            now: &*self.world.now,
        };
        let lanes = std::iter::once(&mut self.remote).chain(forks.iter_mut());
        let ends = join_all(lanes.map(|remote| lane(remote, &shared))).await;
        ends.into_iter().collect::<Result<(), Ended>>()?;
        Ok(shared.unsound.into_inner())
    }

    /// Uploads the new files of a mailbox. `complete` tells whether each is now a pair or set
    /// aside; one that was stored under an unknown UID is neither.
    pub(super) async fn upload(
        &mut self,
        job: UploadJob,
        complete: &mut bool,
        report: &mut Report,
    ) -> Result<(), Ended> {
        *complete = true;
        for batch in job.wanted.chunks(UP_BATCH) {
            self.check_stop()?;
            *complete &= self.upload_batch(&job, batch, report).await?;
        }
        Ok(())
    }

    async fn upload_batch(
        &mut self,
        job: &UploadJob,
        batch: &[(MaildirId, Wanted)],
        report: &mut Report,
    ) -> Result<bool, Ended> {
        let files: Vec<MaildirId> = batch.iter().map(|(file, _)| file.clone()).collect();
        let receiver = self.remote.receive(&job.place).await?;
        let now = (self.world.now)();
        self.state.begin_uploads(job.key, &files, now)?;
        let mut up = Up {
            receiver,
            job,
            wanted: batch.iter().cloned().collect(),
            state: &mut *self.state,
            observer: self.observer,
            now,
            marked: false,
            sent: Vec::new(),
            failed: Vec::new(),
            hash: Canonical::default(),
            bytes: 0,
        };
        let read = self.local.read(&job.place, &files, &mut up).await;
        let Up {
            receiver,
            sent,
            mut failed,
            bytes,
            ..
        } = up;
        read?;
        let delivered = receiver.finish().await?;
        report.bytes_up += bytes;
        let wanted: BTreeMap<&MaildirId, &Wanted> = batch.iter().map(|(f, w)| (f, w)).collect();
        let (mut outcomes, mut changes, mut pending) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (tag, outcome) in delivered {
            let Some((file, hash, size)) = sent.get(tag).cloned() else {
                continue;
            };
            let Some(want) = wanted.get(&file) else {
                continue;
            };
            match outcome {
                Delivered::Stored { id: Some(uid), .. } => {
                    let (flags, replaces) = (want.flags.clone(), want.replaces);
                    changes.push(change(&job.place, Side::Remote, uid.any(), &file));
                    outcomes.push(Outcome::Paired {
                        uid,
                        file,
                        flags,
                        hash,
                        size,
                        replaces,
                    });
                    report.uploaded += 1;
                }
                // Stored, but under what UID? The next pass finds it by content.
                Delivered::Stored { id: None, .. } => {
                    pending.insert(file);
                    report.uploaded += 1;
                }
                Delivered::Refused(why) => failed.push((file, why)),
            }
        }
        for (file, why) in failed {
            let Some(want) = wanted.get(&file) else {
                continue;
            };
            let aside = refused(file.any(), want, why, now);
            report.trouble(
                Some(&job.place.mailbox),
                &StoreError::Mailbox(refusal(&aside)),
            );
            let pair = want.replaces;
            outcomes.push(Outcome::Alone { pair, aside });
        }
        self.observer.event(Event::Copied(outcomes.len()));
        self.state.apply(job.key, &outcomes, &changes)?;
        // What was neither stored nor refused was no longer there to be sent.
        let open = self
            .state
            .open_uploads(job.key)?
            .into_iter()
            .map(|up| up.file);
        let over: Vec<MaildirId> = open.filter(|file| !pending.contains(file)).collect();
        self.state.end_uploads(job.key, &over)?;
        Ok(outcomes.len() == batch.len())
    }
}

async fn lane<R: Store<Id = Uid>, L: Keep<Id = MaildirId>>(
    remote: &mut R,
    shared: &Shared<'_, L>,
) -> Result<(), Ended> {
    loop {
        if shared.stop.requested() {
            return Err(Ended::Stopped);
        }
        let Some(job) = shared.jobs.borrow_mut().pop_front() else {
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
                shared.jobs.borrow_mut().clear();
                return Err(ended);
            }
        }
    }
}

async fn download_batch<R: Store<Id = Uid>, L: Keep<Id = MaildirId>>(
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
        bytes: 0,
    };
    let uids: Vec<Uid> = job.wanted.keys().copied().collect();
    let read = remote.read(&job.place, &uids, &mut down).await;
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
    let mut report = shared.report.borrow_mut();
    report.bytes_down += bytes;
    let (mut outcomes, mut changes, mut refusals) = (Vec::new(), Vec::new(), failed);
    for (tag, outcome) in delivered {
        let Some((uid, hash, flags)) = got.get(tag).cloned() else {
            continue;
        };
        let replaces = job.wanted.get(&uid).and_then(|want| want.replaces);
        match outcome {
            Delivered::Stored {
                id: Some(file),
                stored: size,
            } => {
                changes.push(change(&job.place, Side::Local, file.any(), &uid));
                outcomes.push(Outcome::Paired {
                    uid,
                    file,
                    flags,
                    hash,
                    size,
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
    read.map_err(Ended::from)
}

/// Takes what the server sends to the disk, and hashes it on the way.
struct Down<'a, C: Receiver<Id = MaildirId>> {
    receiver: C,
    job: &'a DownloadJob,
    observer: &'a dyn Observer,
    got: Vec<(Uid, ContentHash, Flags)>,
    failed: Vec<(Uid, String)>,
    hash: Canonical,
    bytes: u64,
}

impl<C: Receiver<Id = MaildirId>> Sink<Uid> for Down<'_, C> {
    async fn begin(&mut self, size: u64, _: Option<&About<Uid>>) -> Result<(), StoreError> {
        self.hash = Canonical::default();
        self.receiver.begin(size, None).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
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
        self.got.push((
            about.id,
            std::mem::take(&mut self.hash).finish(),
            about.flags,
        ));
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

/// Takes files to the server, and notes in the state when they may be stored there.
struct Up<'a, C: Receiver<Id = Uid>> {
    receiver: C,
    job: &'a UploadJob,
    wanted: BTreeMap<MaildirId, Wanted>,
    state: &'a mut State,
    observer: &'a dyn Observer,
    now: i64,
    marked: bool,
    sent: Vec<(MaildirId, ContentHash, u64)>,
    failed: Vec<(MaildirId, String)>,
    hash: Canonical,
    bytes: u64,
}

impl<C: Receiver<Id = Uid>> Up<'_, C> {
    fn delivery(&self, about: &About<MaildirId>) -> Delivery {
        let flags = self
            .wanted
            .get(&about.id)
            .map(|want| self.job.stores.keep(&want.flags));
        let flags = flags.unwrap_or_default();
        Delivery {
            tag: self.sent.len(),
            flags,
            date: about.date,
            origin: None,
        }
    }
}

impl<C: Receiver<Id = Uid>> Sink<MaildirId> for Up<'_, C> {
    async fn begin(
        &mut self,
        size: u64,
        about: Option<&About<MaildirId>>,
    ) -> Result<(), StoreError> {
        self.hash = Canonical::default();
        let delivery = about.map(|about| self.delivery(about));
        self.receiver.begin(size, delivery.as_ref()).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.observer.event(Event::Bytes(bytes.len() as u64));
        self.receiver.chunk(bytes).await
    }

    async fn end(&mut self, about: About<MaildirId>) -> Result<(), StoreError> {
        if !self.marked {
            let noted = self.state.commit_uploads(self.job.key, self.now);
            noted.map_err(|error| StoreError::Retry(error.to_string()))?;
            self.marked = true;
        }
        let delivery = self.delivery(&about);
        let hash = std::mem::take(&mut self.hash).finish();
        self.sent.push((about.id, hash, about.stored));
        self.receiver.end(delivery).await
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        self.receiver.abandon().await
    }

    async fn fail(&mut self, id: MaildirId, why: String) -> Result<(), StoreError> {
        self.failed.push((id, why));
        Ok(())
    }
}

fn change(place: &Place, side: Side, id: AnyId, from: &impl std::fmt::Display) -> Change {
    let mailbox = place.mailbox.clone();
    Change {
        mailbox,
        side,
        what: "new",
        message: Some(id),
        why: format!("from {from}"),
    }
}

/// A refused message is tried again after an hour, two, four, and then daily (row 46).
fn refused(id: AnyId, want: &Wanted, why: String, now: i64) -> Aside {
    let wait = 3600_i64 << want.attempts.min(4);
    Aside {
        id,
        reason: AsideReason::Refused,
        attempts: want.attempts.saturating_add(1),
        retry_at: Some(now + wait.min(24 * 3600)),
        flags: want.flags.clone(),
        detail: why,
    }
}

fn refusal(aside: &Aside) -> String {
    format!(
        "{} was refused by the {} side and is set aside (tried {} times, tried again later): {}",
        aside.id,
        aside.id.side().other(),
        aside.attempts,
        aside.detail
    )
}
