//! Uploads messages: the only step that must not be repeated blindly. An intent is recorded before
//! the first byte, updated before the last one, and resolved after the answer.

use crate::engine::context::Context;
use crate::engine::execute::job::Work;
use crate::engine::execute::transfer::resend;
use crate::engine::execute::transfer::resend::{Suspect, Way};
use crate::engine::execute::transfer::{Wanted, change, refusal, refused, wanted};
use crate::engine::identify::contents::Naming;
use crate::engine::pass_state::PassState;
use crate::engine::recovery::unlisted;
use crate::engine::recovery::unlisted::{Sent, is_unlisted, twin};
use crate::engine::report::{Ended, Event, Observer};
use crate::model::{
    AnyId, Canonical, Flags, Id, Kin, MailboxKey, MailboxName, MaildirId, Side, Uid,
};
use crate::reconcile::Outcome;
use crate::state::{State, Suspects};
use crate::store::{
    About, Delivered, Delivery, LocalStore, Place, Receiver, RemoteStore, Sink, StoreError,
};
use std::collections::{BTreeMap, BTreeSet};

/// Uploads that are recorded together.
const UP_BATCH: usize = 100;

/// Uploads with an unknown result at once; this many are under way to a distant server.
const IN_DOUBT: usize = 500;

/// Messages of one mailbox to upload.
#[derive(Debug)]
pub(in crate::engine) struct UploadJob {
    pub place: Place,
    pub key: MailboxKey,
    wanted: Vec<(MaildirId, Wanted)>,
    /// Messages at which the connection broke before, and how often.
    pub suspects: Vec<Suspect>,
    stores: crate::reconcile::FlagMask,
    top: u32,
}

impl UploadJob {
    /// Returns its messages at which the connection broke before.
    pub fn each_suspect(&self) -> impl Iterator<Item = (&UploadJob, &Suspect)> {
        self.suspects.iter().map(move |suspect| (self, suspect))
    }

    /// Returns the uploads of a mailbox, if any.
    pub fn of(work: &Work, suspects: &Suspects) -> Option<UploadJob> {
        let upload = |action| match wanted(work, action)? {
            (AnyId::Local(file), wanted) => Some((file.clone(), wanted)),
            (AnyId::Remote(_), _) => None,
        };
        let wanted: Vec<_> = work.plan.actions.iter().filter_map(upload).collect();
        let (place, key, stores) = (work.place(), work.base.key, work.stores.clone());
        if wanted.is_empty() || !work.sound {
            return None;
        }
        let known = suspects.get(&key);
        let breaks = |file: &MaildirId| known.and_then(|known| known.get(&file.clone().any()));
        let (mut plain, mut broke) = (Vec::new(), Vec::new());
        for wanted in wanted {
            match breaks(&wanted.0).copied() {
                Some(breaks) => broke.push(Suspect { wanted, breaks }),
                None => plain.push(wanted),
            }
        }
        Some(UploadJob {
            place,
            key,
            wanted: plain,
            suspects: broke,
            stores,
            top: work.top,
        })
    }
}

/// Uploads new files, one mailbox after another; batches are sent while earlier ones are
/// answered. Returns the mailboxes with failures: refused for now, or stored under an unknown
/// UID.
pub(in crate::engine) async fn upload<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    jobs: Vec<UploadJob>,
    pass: &mut PassState,
) -> Result<BTreeSet<MailboxName>, Ended> {
    let mut way = Way::default();
    let sent = post(ctx, &jobs, &mut way, pass).await;
    // Sent messages are recorded also after an error.
    let taken = take_until(ctx, 0, &mut way, pass).await;
    sent.and(taken)?;
    resend::post_suspects(ctx, &jobs, &mut way, pass).await?;
    Ok(way.unsound)
}

async fn post<'j, R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    jobs: &'j [UploadJob],
    way: &mut Way<'j, R::Receiver>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    for job in jobs {
        for batch in job.wanted.chunks(UP_BATCH) {
            let mut left = batch;
            while !left.is_empty() {
                ctx.check_stop()?;
                let room = IN_DOUBT.saturating_sub(left.len());
                take_until(ctx, room, way, pass).await?;
                let name = &job.place.mailbox;
                let posted = match post_batch(ctx, job, left, pass).await {
                    Ok(posted) => posted,
                    Err(ended) => {
                        let _reported = ctx.tolerate(name, Err(ended), pass)?;
                        way.unsound.insert(name.clone());
                        break;
                    }
                };
                let broke = posted.broke.is_some();
                left = posted.after();
                way.open.push_back(posted);
                if broke {
                    take_until(ctx, 0, way, pass).await?;
                }
            }
        }
    }
    Ok(())
}

/// Records the results of batches until at most this many messages are under way. `Err` if the
/// connection broke and there is no other, or others broke as well.
async fn take_until<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    messages: usize,
    way: &mut Way<'_, R::Receiver>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut broke = None;
    while (broke.is_some() || way.messages() > messages)
        && let Some(batch) = way.open.pop_front()
    {
        match take_answers(ctx, batch, way, pass).await {
            Ok(()) => {}
            Err(Ended::Store(error @ StoreError::Retry(_))) => broke = Some(error),
            Err(ended) => return Err(ended),
        }
    }
    match broke {
        None => Ok(()),
        Some(error) => resend::go_on_after(ctx, error, way).await,
    }
}

pub(in crate::engine) async fn post_batch<'j, R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    job: &'j UploadJob,
    batch: &'j [(MaildirId, Wanted)],
    pass: &mut PassState,
) -> Result<Posted<'j, R::Receiver>, Ended> {
    // Another message may have been downloaded under the name of a file that is gone.
    let mut files = Vec::with_capacity(batch.len());
    for (file, want) in batch {
        if want.replaces.is_some() || !ctx.state.has_file(job.key, file)? {
            files.push(file.clone());
        }
    }
    let receiver = ctx.remote.receive(&job.place).await?;
    let now = (ctx.world.now)();
    ctx.state.begin_uploads(job.key, &files, job.top, now)?;
    let mut up = Up {
        receiver,
        job,
        wanted: batch.iter().cloned().collect(),
        state: &mut *ctx.state,
        observer: ctx.observer,
        now,
        marked: false,
        sent: Vec::new(),
        failed: Vec::new(),
        begun: None,
        hash: Canonical::default(),
        naming: Naming::default(),
        size: 0,
        named: ctx.remote.has_object_ids(),
        bytes: 0,
    };
    let read = ctx.local.read(&job.place, &files, &mut up).await;
    let Up {
        receiver,
        sent,
        failed,
        begun,
        bytes,
        ..
    } = up;
    pass.counts.bytes_up += bytes;
    let broke = match read {
        Ok(()) => None,
        Err(error @ StoreError::Retry(_)) => Some(error),
        Err(error) => return Err(error.into()),
    };
    Ok(Posted {
        job,
        batch,
        receiver,
        sent,
        failed,
        begun,
        broke,
    })
}

/// Records the result of a batch. `Retry` if the connection broke before all was answered;
/// messages under way are recorded then.
pub(in crate::engine) async fn take_answers<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    posted: Posted<'_, R::Receiver>,
    way: &mut Way<'_, R::Receiver>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let (job, batch, name) = (posted.job, posted.batch, &posted.job.place.mailbox);
    let (mut answers, broke) = match posted.answers().await {
        Ok(answered) => answered,
        Err(error) => {
            let _reported = ctx.tolerate(name, Err(error.into()), pass)?;
            way.unsound.insert(name.clone());
            return Ok(());
        }
    };
    if answers.any_stored() {
        way.breaks = 0;
    }
    let bare = answers.take_tagged(job, batch);
    let suspects = answers.unanswered();
    if !record_uploads(ctx, job, batch, answers, pass).await? {
        way.unsound.insert(name.clone());
    }
    if let Some(error) = broke {
        ctx.state.suspect(job.key, &suspects)?;
        return Err(error.into());
    }
    if !bare.is_empty() {
        upload_bare(ctx, job, &bare, pass).await?;
    }
    Ok(())
}

/// Uploads messages without their keywords, one of which the server may refuse. The next pass
/// sends them by STORE.
async fn upload_bare<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    job: &UploadJob,
    bare: &[(MaildirId, Wanted)],
    pass: &mut PassState,
) -> Result<(), Ended> {
    let name = &job.place.mailbox;
    let posted = match post_batch(ctx, job, bare, pass).await {
        Ok(posted) => posted,
        Err(ended) => {
            let _reported = ctx.tolerate(name, Err(ended), pass)?;
            return Ok(());
        }
    };
    match posted.answers().await {
        Ok((answers, broke)) => {
            let suspects = answers.unanswered();
            record_uploads(ctx, job, bare, answers, pass).await?;
            if let Some(error) = broke {
                ctx.state.suspect(job.key, &suspects)?;
                return Err(error.into());
            }
        }
        Err(error) => {
            let _reported = ctx.tolerate(name, Err(error.into()), pass)?;
        }
    }
    Ok(())
}

/// Skips refused messages.
fn refusals<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    job: &UploadJob,
    wanted: &BTreeMap<&MaildirId, &Wanted>,
    failed: Vec<(MaildirId, String)>,
    pass: &mut PassState,
) -> Vec<Outcome> {
    let (now, mut outcomes) = ((ctx.world.now)(), Vec::new());
    for (file, why) in failed {
        let Some(want) = wanted.get(&file) else {
            continue;
        };
        let aside = refused(file.any(), want, why, now);
        pass.trouble(
            Some(&job.place.mailbox),
            &StoreError::Mailbox(refusal(&aside)),
        );
        outcomes.push(Outcome::Alone {
            pair: want.replaces,
            aside,
        });
    }
    outcomes
}

/// Whether every message of the batch is now a pair or set aside.
pub(in crate::engine) async fn record_uploads<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    job: &UploadJob,
    batch: &[(MaildirId, Wanted)],
    answers: Answers,
    pass: &mut PassState,
) -> Result<bool, Ended> {
    let tries = ctx.state.tries(job.key)?;
    let shown = unlisted::shown_at_once(ctx, &job.place, &answers, &tries).await;
    let Answers {
        sent,
        mut failed,
        begun,
        delivered,
    } = answers;
    let wanted: BTreeMap<&MaildirId, &Wanted> = batch.iter().map(|(f, w)| (f, w)).collect();
    let (mut outcomes, mut changes, mut pending) = (Vec::new(), Vec::new(), BTreeSet::new());
    pending.extend(begun);
    let (mut done, mut uids, mut taken) = (0, BTreeSet::new(), Vec::new());
    for (tag, outcome) in delivered {
        let known = |one: &Sent| Some((one.clone(), *wanted.get(&one.file)?));
        let Some((one, want)) = sent.get(tag).and_then(known) else {
            continue;
        };
        let tries = tries.get(&one.file).copied().unwrap_or(0) + 1;
        if matches!(outcome, Delivered::Stored { .. }) {
            pass.uploaded.insert((job.key, one.file.clone()));
            pass.counts.uploaded += 1;
        }
        match outcome {
            Delivered::Stored { id: Some(uid), .. }
                if !uids.insert(uid) || ctx.state.has_uid(job.key, uid, want.replaces)? =>
            {
                outcomes.push(twin(one.file, uid, want));
                done += 1;
            }
            Delivered::Stored { id: Some(uid), .. } if uid.get() > job.top => {
                changes.push(change(&job.place, Side::Remote, uid.any(), &one.file));
                let noted = !shown.contains(&uid);
                let paired = one.paired(uid, want, (job.top, tries)).into_iter();
                outcomes.extend(paired.filter(|outcome| noted || !is_unlisted(outcome)));
                done += 1;
            }
            // The next pass finds it by content, where it was stored.
            Delivered::Unanswered(_) => {
                pending.insert(one.file);
            }
            Delivered::Stored { .. } => {
                taken.push(one.file.clone());
                pending.insert(one.file);
            }
            Delivered::Refused(why) => failed.push((one.file, why)),
        }
    }
    let failed = refusals(ctx, job, &wanted, failed, pass);
    done += failed.len();
    outcomes.extend(failed);
    ctx.observer.event(Event::Copied(done));
    ctx.state.take_uploads(job.key, &taken)?;
    ctx.state.apply(job.key, &outcomes, &changes)?;
    // A message neither stored nor refused no longer exists. Unresolved uploads of other runs
    // are not in this batch.
    let over: Vec<MaildirId> = batch
        .iter()
        .map(|(file, _)| file.clone())
        .filter(|file| !pending.contains(file))
        .collect();
    ctx.state.end_uploads(job.key, &over)?;
    Ok(done == batch.len())
}

/// A batch under way.
pub(in crate::engine) struct Posted<'j, C> {
    job: &'j UploadJob,
    pub batch: &'j [(MaildirId, Wanted)],
    receiver: C,
    sent: Vec<Sent>,
    failed: Vec<(MaildirId, String)>,
    /// The message that was not sent completely.
    begun: Option<MaildirId>,
    /// The error of the connection, if it broke.
    broke: Option<StoreError>,
}

impl<'j, C: Receiver<Id = Uid>> Posted<'j, C> {
    /// Returns the messages that were not sent when the connection broke.
    fn after(&self) -> &'j [(MaildirId, Wanted)] {
        if self.broke.is_none() {
            return &[];
        }
        let tried = self.sent.iter().map(|sent| &sent.file);
        let tried = tried.chain(self.failed.iter().map(|(file, _)| file));
        let tried: BTreeSet<&MaildirId> = tried.chain(&self.begun).collect();
        let last = self
            .batch
            .iter()
            .rposition(|(file, _)| tried.contains(file));
        let next = last.map_or(self.batch.len(), |last| last + 1);
        self.batch.get(next..).unwrap_or_default()
    }

    /// Returns the results, and the error if the connection broke before all was answered.
    async fn answers(self) -> Result<(Answers, Option<StoreError>), StoreError> {
        let Posted { sent, broke, .. } = self;
        let (mut delivered, error) = match self.receiver.finish().await {
            Ok(delivered) => (delivered, broke),
            Err(error @ StoreError::Retry(_)) => (Vec::new(), broke.or(Some(error))),
            Err(error) => return Err(error),
        };
        let told: BTreeSet<usize> = delivered.iter().map(|(tag, _)| *tag).collect();
        let silent = error
            .clone()
            .unwrap_or_else(|| StoreError::Retry("no answer".into()));
        for tag in (0..sent.len()).filter(|tag| !told.contains(tag)) {
            delivered.push((tag, Delivered::Unanswered(silent.clone())));
        }
        let broken = delivered.iter().find_map(|(_, outcome)| match outcome {
            Delivered::Unanswered(error) => Some(error.clone()),
            _ => None,
        });
        let answers = Answers {
            sent,
            failed: self.failed,
            begun: self.begun,
            delivered,
        };
        Ok((answers, error.or(broken)))
    }
}

/// The result of a batch.
pub(in crate::engine) struct Answers {
    pub sent: Vec<Sent>,
    pub failed: Vec<(MaildirId, String)>,
    /// The message that was not sent completely.
    pub begun: Option<MaildirId>,
    pub delivered: Vec<(usize, Delivered<Uid>)>,
}

impl Answers {
    fn any_stored(&self) -> bool {
        let mut all = self.delivered.iter();
        all.any(|(_, outcome)| matches!(outcome, Delivered::Stored { .. }))
    }

    /// Returns the messages that were under way when the connection broke.
    fn unanswered(&self) -> Vec<AnyId> {
        let lost = |(tag, outcome): &(usize, Delivered<Uid>)| match outcome {
            Delivered::Unanswered(_) => self.sent.get(*tag).map(|sent| sent.file.any()),
            _ => None,
        };
        let lost = self.delivered.iter().filter_map(lost);
        lost.chain(self.begun.iter().map(Id::any)).collect()
    }

    /// Removes messages with refused keywords, to send them without these.
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

/// Sends files, and updates their intents when they may be stored.
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
    /// The message that was not sent completely.
    begun: Option<MaildirId>,
    hash: Canonical,
    naming: Naming,
    /// Wire bytes of the current message.
    size: u64,
    /// Whether the server has message ids, so that the envelope is not needed.
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
        (self.naming, self.size) = (Naming::default(), size);
        self.begun = about.map(|about| about.id.clone());
        let delivery = about.map(|about| self.delivery(about));
        self.receiver.begin(size, delivery.as_ref()).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.naming.update(bytes);
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
        let naming = std::mem::take(&mut self.naming);
        let id = naming.heading.message_id();
        let envelope = |date| Kin::envelope(&id, date, self.size);
        let kin = about.date.filter(|_| !self.named).map(envelope);
        self.sent.push(Sent {
            file: about.id,
            hash,
            size: about.stored,
            stamp: about.stamp,
            kin,
            name: naming.finish(),
        });
        self.begun = None;
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
