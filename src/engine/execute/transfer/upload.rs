//! Uploads messages: the only step that must not be repeated blindly. An intent is recorded before
//! the first byte, updated before the last one, and resolved after the answer.

use crate::engine::context::Context;
use crate::engine::execute::transfer::breaks::IN_SUCCESSION;
use crate::engine::execute::transfer::posted::{
    Answers, Posted, Sent, UploadJob, Way, is_unlisted, twin,
};
use crate::engine::execute::transfer::request::{Wanted, change, refusal, refused};
use crate::engine::identify::contents::Naming;
use crate::engine::pass_state::PassState;
use crate::engine::recovery::unlisted;
use crate::engine::report::{Ended, Event, Observer};
use crate::model::{Canonical, Id, Kin, MaildirId, Side, Uid};
use crate::reconcile::Outcome;
use crate::state::State;
use crate::store::{
    About, Delivered, Delivery, LocalStore, Receiver, RemoteStore, Sink, StoreError,
};
use std::collections::{BTreeMap, BTreeSet};

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
    ctx.observer.event(Event::Copying(&job.place.mailbox));
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

/// Reconnects, unless the connection broke too often.
pub(in crate::engine) async fn go_on_after<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    error: StoreError,
    way: &mut Way<'_, R::Receiver>,
) -> Result<(), Ended> {
    way.breaks += 1;
    match way.breaks < IN_SUCCESSION && ctx.remote.connect().await {
        true => Ok(()),
        false => Err(error.into()),
    }
}
