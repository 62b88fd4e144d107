//! Downloads one batch of messages to the disk.

use crate::engine::execute::transfer::breaks::Break;
use crate::engine::execute::transfer::commit::{Arrived, Desk, DownloadJob, Whole};
use crate::engine::execute::transfer::present_files::{AllTwins, Met};
use crate::engine::identify::contents::Measure;
use crate::engine::report::{Ended, Event, Observer};
use crate::model::{Canonical, Heading, Kin, MaildirId, Origin, Uid};
use crate::store::{About, Delivery, LocalStore, Receiver, RemoteStore, Sink, StoreError};
use std::cell::RefCell;

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
pub(in crate::engine) struct Down<'a, C: Receiver<Id = MaildirId>> {
    pub receiver: C,
    pub job: &'a DownloadJob,
    pub observer: &'a dyn Observer,
    pub got: Vec<Whole>,
    /// Messages that the disk has already.
    pub met: Vec<Met>,
    pub failed: Vec<(Uid, String)>,
    pub hash: Canonical,
    pub heading: Heading,
    pub twins: &'a RefCell<AllTwins>,
    /// The content, if the disk may have the message already.
    pub measure: Option<Measure>,
    /// Whether the server has message ids, so that the envelope is not needed.
    pub named: bool,
    pub bytes: u64,
    /// Whether the disk ended it, not the server.
    pub disk_failed: bool,
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

impl<C: Receiver<Id = MaildirId>> Down<'_, C> {
    /// Returns the file that equals a download.
    pub fn take_twin(&mut self, about: &About<Uid>, kin: Option<Kin>) -> Option<Met> {
        let content = self.measure.take()?.finish(about.stored);
        let new = self.job.wanted.get(&about.id)?.replaces.is_none();
        let mut all = self.twins.borrow_mut();
        let twins = all.get_mut(&self.job.place.mailbox).filter(|_| new)?;
        twins.take(about.id, &content, &about.flags, kin)
    }
}

impl<C: Receiver<Id = MaildirId>> Down<'_, C> {
    pub fn on_disk(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        self.disk_failed |= done.is_err();
        done
    }
}
