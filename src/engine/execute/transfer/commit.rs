//! Commits downloads, those of several mailboxes together: content, name, row, in this order. Each
//! step waits for the disk, so few large batches are faster; a batch does not wait long, because a
//! cut run loses it.

use crate::engine::execute::transfer::present_files::{AllTwins, Met};
use crate::engine::execute::transfer::request::{Wanted, change, refusal, refused};
use crate::engine::pass_state::PassState;
use crate::engine::report::{Ended, Event, Observer};
use crate::model::{
    ContentHash, Flags, Id, Kin, MailboxKey, MailboxName, MaildirId, PairId, Side, Uid,
};
use crate::reconcile::Outcome;
use crate::state::{MailboxOutcomes, State};
use crate::store::{Delivered, LocalStore, Place, Published, StoreError};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A batch of this many messages is committed at once.
const MANY: usize = 4000;

/// The longest time before a batch is committed.
const LAG: Duration = Duration::from_secs(1);

/// Messages of one mailbox to download together.
#[derive(Debug)]
pub(in crate::engine) struct DownloadJob {
    pub place: Place,
    pub key: MailboxKey,
    pub tag: u32,
    /// Whether they are new mail.
    pub known: bool,
    pub wanted: BTreeMap<Uid, Wanted>,
}

impl DownloadJob {
    pub fn uids(&self) -> Vec<Uid> {
        self.wanted.keys().copied().collect()
    }

    /// Counts a message, if it is new mail.
    fn announce(&self, pass: &mut PassState, flags: &Flags, replaces: Option<PairId>) {
        if self.known && replaces.is_none() {
            pass.arrived(&self.place.mailbox, flags);
        }
    }
}

/// A complete message.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Whole {
    pub uid: Uid,
    pub hash: ContentHash,
    pub flags: Flags,
    pub kin: Option<Kin>,
}

/// The result of a job.
pub(in crate::engine) struct Arrived<C> {
    /// The receiver of the messages.
    pub receiver: C,
    pub job: DownloadJob,
    /// Messages by the receiver's tags.
    pub got: Vec<Whole>,
    /// Messages that the disk has already.
    pub met: Vec<Met>,
    /// Messages that could not be downloaded, with the error.
    pub failed: Vec<(Uid, String)>,
}

/// Results that wait for the commit.
pub(in crate::engine) struct Arrivals<C> {
    waiting: Vec<Arrived<C>>,
    /// The time of the last commit.
    since: Instant,
}

/// The result of a job: messages, those that the disk has already, and those that could not be
/// downloaded, with the error.
struct Came {
    got: Vec<Whole>,
    met: Vec<Met>,
    refusals: Vec<(Uid, String)>,
}

impl<C> Default for Arrivals<C> {
    fn default() -> Arrivals<C> {
        Arrivals {
            waiting: Vec::new(),
            since: Instant::now(),
        }
    }
}

impl<C> Arrivals<C> {
    fn are_due(&self) -> bool {
        let messages: usize = self.waiting.iter().map(|one| one.got.len()).sum();
        let late = self.since.elapsed() >= LAG && !self.waiting.is_empty();
        messages >= MANY || late
    }

    fn take(&mut self) -> Vec<Arrived<C>> {
        self.since = Instant::now();
        std::mem::take(&mut self.waiting)
    }
}

/// Commits downloads.
pub(in crate::engine) struct Desk<'a, L: LocalStore> {
    pub local: tokio::sync::Mutex<&'a mut L>,
    pub state: RefCell<&'a mut State>,
    pub pass: RefCell<&'a mut PassState>,
    pub arrivals: RefCell<Arrivals<L::Receiver>>,
    /// Mailboxes with failures.
    pub unsound: RefCell<BTreeSet<MailboxName>>,
    /// Whether a message arrived since the last query.
    pub came: Cell<bool>,
    /// New files, which may equal a download.
    pub twins: RefCell<AllTwins>,
    pub observer: &'a dyn Observer,
    pub now: &'a dyn Fn() -> i64,
}

impl<L: LocalStore> Desk<'_, L> {
    /// Adds a result to the batch.
    pub fn take_in(&self, arrived: Arrived<L::Receiver>) {
        self.arrivals.borrow_mut().waiting.push(arrived);
    }

    /// Whether a commit is due.
    pub fn is_due(&self) -> bool {
        self.arrivals.borrow().are_due()
    }

    /// Commits batches while it is polled; returns the first error.
    pub async fn settle_now_and_then(&self) -> Ended {
        loop {
            tokio::time::sleep(LAG).await;
            if self.is_due()
                && let Err(ended) = self.settle().await
            {
                return ended;
            }
        }
    }

    /// Commits the batch.
    pub async fn settle(&self) -> Result<(), Ended> {
        let waiting = self.arrivals.borrow_mut().take();
        if waiting.is_empty() {
            return Ok(());
        }
        let split = |one: Arrived<L::Receiver>| {
            let came = Came {
                got: one.got,
                met: one.met,
                refusals: one.failed,
            };
            (one.receiver, (one.job, came))
        };
        let (receivers, parts): (Vec<_>, Vec<_>) = waiting.into_iter().map(split).unzip();
        let published = self.local.lock().await.publish(receivers).await;
        let (mut all, mut end) = (Vec::new(), Ok(()));
        for ((job, came), published) in parts.into_iter().zip(published) {
            let mailbox = job.place.mailbox.clone();
            self.observer.event(Event::Copying(&mailbox));
            match self.done(&job, came, published) {
                Ok(done) => all.push(done),
                Err(error) if error.is_local_to_mailbox() => self.pass_over(&mailbox, &error),
                Err(error) => end = Err(error),
            }
        }
        self.state.borrow_mut().record(&all)?;
        let count = all.iter().map(|done| done.outcomes.len()).sum();
        self.observer.event(Event::Copied(count));
        Ok(end?)
    }

    /// Reports a failure of one mailbox.
    pub fn pass_over(&self, mailbox: &MailboxName, error: &StoreError) {
        self.pass.borrow_mut().trouble(Some(mailbox), error);
        self.unsound.borrow_mut().insert(mailbox.clone());
    }

    /// Returns the rows of a job.
    fn done(
        &self,
        job: &DownloadJob,
        mut came: Came,
        published: Published<MaildirId>,
    ) -> Result<MailboxOutcomes, StoreError> {
        let mut pass = self.pass.borrow_mut();
        let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
        let published = published?;
        pass.counts.linked += came.met.len();
        for one in came.met {
            // The next pass merges the flags of both sides.
            self.unsound.borrow_mut().insert(job.place.mailbox.clone());
            changes.push(one.change(&job.place));
            outcomes.extend(one.outcomes());
        }
        for (tag, outcome) in published {
            let Some(whole) = came.got.get_mut(tag) else {
                continue;
            };
            let (uid, hash, kin) = (whole.uid, whole.hash, whole.kin);
            let replaces = job.wanted.get(&uid).and_then(|want| want.replaces);
            match outcome {
                Delivered::Stored {
                    id: Some(file),
                    stored: size,
                    stamp,
                } => {
                    let flags = std::mem::take(&mut whole.flags);
                    job.announce(&mut pass, &flags, replaces);
                    changes.push(change(&job.place, Side::Local, file.any(), &uid));
                    outcomes.push(Outcome::Paired {
                        uid,
                        file,
                        flags,
                        hash,
                        size,
                        stamp,
                        kin,
                        replaces,
                    });
                    pass.counts.downloaded += 1;
                }
                Delivered::Stored { id: None, .. } => {
                    let what = "the Maildir did not name a file it stored".to_owned();
                    return Err(StoreError::Bug(what));
                }
                Delivered::Refused(why) => came.refusals.push((uid, why)),
                Delivered::Unanswered(error) => return Err(error),
            }
        }
        for (uid, why) in came.refusals {
            let Some(want) = job.wanted.get(&uid) else {
                continue;
            };
            let aside = refused(uid.any(), want, why, (self.now)());
            let told = StoreError::Mailbox(refusal(&aside));
            pass.trouble(Some(&job.place.mailbox), &told);
            if want.replaces.is_none() {
                outcomes.push(Outcome::Alone { pair: None, aside });
            }
        }
        if outcomes.len() < job.wanted.len() {
            self.unsound.borrow_mut().insert(job.place.mailbox.clone());
        }
        let mut done = MailboxOutcomes::of(job.key);
        (done.outcomes, done.changes) = (outcomes, changes);
        Ok(done)
    }
}

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
