//! Copying mail to the server: the one step that must not be repeated blindly. It is noted before
//! the first byte is sent, noted again before the last one, and recorded after the answer (law,
//! 2.2).

use super::account::Account;
use super::copy::{Wanted, change, refusal, refused, wanted};
use super::report::{Ended, Event, Observer, Report};
use super::work::Work;
use crate::model::{
    AnyId, Canonical, ContentHash, Flags, Heading, Id, Kin, MailboxKey, MailboxName, MaildirId,
    Side, Uid,
};
use crate::reconcile::Outcome;
use crate::state::State;
use crate::store::{About, Delivered, Delivery, Keep, Place, Receiver, Serve, Sink, StoreError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Uploads that are noted and recorded together.
const UP_BATCH: usize = 100;

/// Uploads whose outcome may be unknown at once; so many are on their way to a far-away server.
const IN_DOUBT: usize = 500;

/// Messages of one mailbox to be uploaded.
#[derive(Debug)]
pub(super) struct UploadJob {
    pub place: Place,
    key: MailboxKey,
    wanted: Vec<(MaildirId, Wanted)>,
    stores: crate::reconcile::FlagMask,
    top: u32,
}

impl UploadJob {
    /// The uploads of a mailbox, if there are any.
    pub fn of(work: &Work) -> Option<UploadJob> {
        let upload = |action| match wanted(work, action)? {
            (AnyId::Local(file), wanted) => Some((file.clone(), wanted)),
            (AnyId::Remote(_), _) => None,
        };
        let wanted: Vec<_> = work.plan.actions.iter().filter_map(upload).collect();
        let (place, key, stores) = (work.place(), work.base.key, work.stores.clone());
        (!wanted.is_empty() && work.sound).then_some(UploadJob {
            place,
            key,
            wanted,
            stores,
            top: work.top,
        })
    }
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Uploads new files, one mailbox after another; a batch is on its way while those before it
    /// are answered. Answers with the mailboxes where something was left undone: refused for now,
    /// or stored under an unknown UID.
    pub(super) async fn upload(
        &mut self,
        jobs: Vec<UploadJob>,
        report: &mut Report,
    ) -> Result<BTreeSet<MailboxName>, Ended> {
        let (mut open, mut unsound) = (VecDeque::new(), BTreeSet::new());
        let sent = self.post(&jobs, &mut open, &mut unsound, report).await;
        // What was sent is recorded, whatever ended it.
        while let Some(batch) = open.pop_front() {
            self.take_answers(batch, &mut unsound, report).await?;
        }
        sent.map(|()| unsound)
    }

    async fn post<'j>(
        &mut self,
        jobs: &'j [UploadJob],
        open: &mut VecDeque<Posted<'j, R::Receiver>>,
        unsound: &mut BTreeSet<MailboxName>,
        report: &mut Report,
    ) -> Result<(), Ended> {
        for job in jobs {
            for batch in job.wanted.chunks(UP_BATCH) {
                self.check_stop()?;
                let on_their_way = |open: &VecDeque<Posted<'_, R::Receiver>>| {
                    open.iter().map(|posted| posted.batch.len()).sum::<usize>()
                };
                while on_their_way(open) + batch.len() > IN_DOUBT
                    && let Some(first) = open.pop_front()
                {
                    self.take_answers(first, unsound, report).await?;
                }
                let name = &job.place.mailbox;
                match self.post_batch(job, batch, report).await {
                    Ok(posted) => open.push_back(posted),
                    Err(ended) => {
                        let _reported = self.tolerate(name, Err(ended), report)?;
                        unsound.insert(name.clone());
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn post_batch<'j>(
        &mut self,
        job: &'j UploadJob,
        batch: &'j [(MaildirId, Wanted)],
        report: &mut Report,
    ) -> Result<Posted<'j, R::Receiver>, Ended> {
        // Under the name of a file that is gone another may have been downloaded meanwhile.
        let mut files = Vec::with_capacity(batch.len());
        for (file, want) in batch {
            if want.replaces.is_some() || !self.state.has_file(job.key, file)? {
                files.push(file.clone());
            }
        }
        let receiver = self.remote.receive(&job.place).await?;
        let now = (self.world.now)();
        self.state.begin_uploads(job.key, &files, job.top, now)?;
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
            heading: Heading::default(),
            size: 0,
            named: self.remote.names_messages(),
            bytes: 0,
        };
        let read = self.local.read(&job.place, &files, &mut up).await;
        let Up {
            receiver,
            sent,
            failed,
            bytes,
            ..
        } = up;
        read?;
        report.bytes_up += bytes;
        Ok(Posted {
            job,
            batch,
            receiver,
            sent,
            failed,
        })
    }

    /// Records what became of a batch.
    async fn take_answers(
        &mut self,
        posted: Posted<'_, R::Receiver>,
        unsound: &mut BTreeSet<MailboxName>,
        report: &mut Report,
    ) -> Result<(), Ended> {
        let Posted {
            job,
            batch,
            receiver,
            sent,
            failed,
        } = posted;
        let name = &job.place.mailbox;
        let delivered = match receiver.finish().await {
            Ok(delivered) => delivered,
            Err(error) => {
                let _reported = self.tolerate(name, Err(error.into()), report)?;
                unsound.insert(name.clone());
                return Ok(());
            }
        };
        let mut answers = Answers {
            sent,
            failed,
            delivered,
        };
        let bare = answers.take_tagged(job, batch);
        if !self.record_uploads(job, batch, answers, report)? {
            unsound.insert(name.clone());
        }
        if !bare.is_empty() {
            self.upload_bare(job, &bare, report).await?;
        }
        Ok(())
    }

    /// Uploads messages without their keywords, of which the server may refuse one. The keywords
    /// follow by STORE, with the next pass.
    async fn upload_bare(
        &mut self,
        job: &UploadJob,
        bare: &[(MaildirId, Wanted)],
        report: &mut Report,
    ) -> Result<(), Ended> {
        let name = &job.place.mailbox;
        let posted = match self.post_batch(job, bare, report).await {
            Ok(posted) => posted,
            Err(ended) => {
                let _reported = self.tolerate(name, Err(ended), report)?;
                return Ok(());
            }
        };
        let Posted {
            receiver,
            sent,
            failed,
            ..
        } = posted;
        match receiver.finish().await {
            Ok(delivered) => {
                let answers = Answers {
                    sent,
                    failed,
                    delivered,
                };
                self.record_uploads(job, bare, answers, report)?;
            }
            Err(error) => {
                let _reported = self.tolerate(name, Err(error.into()), report)?;
            }
        }
        Ok(())
    }

    /// Whether every message of the batch is now a pair or set aside.
    fn record_uploads(
        &mut self,
        job: &UploadJob,
        batch: &[(MaildirId, Wanted)],
        answers: Answers,
        report: &mut Report,
    ) -> Result<bool, Ended> {
        let Answers {
            sent,
            mut failed,
            delivered,
        } = answers;
        let wanted: BTreeMap<&MaildirId, &Wanted> = batch.iter().map(|(f, w)| (f, w)).collect();
        let (mut outcomes, mut changes, mut pending) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (tag, outcome) in delivered {
            let Some(one) = sent.get(tag).cloned() else {
                continue;
            };
            let Some(want) = wanted.get(&one.file) else {
                continue;
            };
            match outcome {
                Delivered::Stored { id: Some(uid), .. } => {
                    changes.push(change(&job.place, Side::Remote, uid.any(), &one.file));
                    outcomes.push(one.paired(uid, want));
                    report.uploaded += 1;
                }
                // Stored, but under what UID? The next pass finds it by content.
                Delivered::Stored { id: None, .. } => {
                    pending.insert(one.file);
                    report.uploaded += 1;
                }
                Delivered::Refused(why) => failed.push((one.file, why)),
            }
        }
        let now = (self.world.now)();
        for (file, why) in failed {
            let Some(want) = wanted.get(&file) else {
                continue;
            };
            let aside = refused(file.any(), want, why, now);
            report.trouble(
                Some(&job.place.mailbox),
                &StoreError::Mailbox(refusal(&aside)),
            );
            outcomes.push(Outcome::Alone {
                pair: want.replaces,
                aside,
            });
        }
        self.observer.event(Event::Copied(outcomes.len()));
        self.state.apply(job.key, &outcomes, &changes)?;
        // What was neither stored nor refused was no longer there to be sent. Uploads of other
        // runs that are still in doubt are none of this batch.
        let over: Vec<MaildirId> = batch
            .iter()
            .map(|(file, _)| file.clone())
            .filter(|file| !pending.contains(file))
            .collect();
        self.state.end_uploads(job.key, &over)?;
        Ok(outcomes.len() == batch.len())
    }
}

/// A message that was sent.
#[derive(Clone, Debug)]
struct Sent {
    file: MaildirId,
    hash: ContentHash,
    size: u64,
    kin: Option<Kin>,
}

impl Sent {
    fn paired(self, uid: Uid, want: &Wanted) -> Outcome {
        Outcome::Paired {
            uid,
            file: self.file,
            flags: want.flags.clone(),
            hash: self.hash,
            size: self.size,
            kin: self.kin,
            replaces: want.replaces,
        }
    }
}

/// A batch on its way.
struct Posted<'j, C> {
    job: &'j UploadJob,
    batch: &'j [(MaildirId, Wanted)],
    receiver: C,
    sent: Vec<Sent>,
    failed: Vec<(MaildirId, String)>,
}

/// What became of a batch that was sent.
struct Answers {
    sent: Vec<Sent>,
    failed: Vec<(MaildirId, String)>,
    delivered: Vec<(usize, Delivered<Uid>)>,
}

impl Answers {
    /// Takes out messages with keywords that were refused: they are wanted without them.
    fn take_tagged(
        &mut self,
        job: &UploadJob,
        batch: &[(MaildirId, Wanted)],
    ) -> Vec<(MaildirId, Wanted)> {
        let wanted: BTreeMap<&MaildirId, &Wanted> = batch.iter().map(|(f, w)| (f, w)).collect();
        let mut bare = Vec::new();
        self.delivered.retain(|(tag, outcome)| {
            let file = self.sent.get(*tag).map(|sent| &sent.file);
            let want = file.and_then(|file| Some((file, *wanted.get(file)?)));
            let (Delivered::Refused(_), Some((file, want))) = (outcome, want) else {
                return true;
            };
            if job.stores.keep(&want.flags).keywords().next().is_none() {
                return true;
            }
            let flags = Flags::from_parts(want.flags.bits(), []);
            let want = Wanted {
                flags,
                ..want.clone()
            };
            bare.push((file.clone(), want));
            false
        });
        bare
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
    sent: Vec<Sent>,
    failed: Vec<(MaildirId, String)>,
    hash: Canonical,
    heading: Heading,
    /// Bytes of the message that has begun, on the wire.
    size: u64,
    /// Whether the server names messages itself, so that an envelope is of no use.
    named: bool,
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
        (self.heading, self.size) = (Heading::default(), size);
        let delivery = about.map(|about| self.delivery(about));
        self.receiver.begin(size, delivery.as_ref()).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.heading.update(bytes);
        self.bytes += bytes.len() as u64;
        self.observer.event(Event::Bytes(bytes.len() as u64));
        self.receiver.chunk(bytes).await
    }

    async fn end(&mut self, about: About<MaildirId>) -> Result<(), StoreError> {
        if !self.marked {
            if let Err(error) = self.state.commit_uploads(self.job.key, self.now) {
                self.receiver.abandon().await?;
                return Err(StoreError::Retry(error.to_string()));
            }
            self.marked = true;
        }
        let delivery = self.delivery(&about);
        let hash = std::mem::take(&mut self.hash).finish();
        let envelope = |date| Kin::envelope(&self.heading.message_id(), date, self.size);
        let kin = about.date.filter(|_| !self.named).map(envelope);
        self.sent.push(Sent {
            file: about.id,
            hash,
            size: about.stored,
            kin,
        });
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
