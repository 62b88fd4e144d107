//! Requests the messages at which the connection broke in ever smaller groups.

use crate::engine::execute::transfer::breaks::{Break, FEW, Shared};
use crate::engine::execute::transfer::commit::{Arrived, Desk};
use crate::engine::execute::transfer::download_batch::download_batch;
use crate::engine::execute::transfer::portion::Portion;
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::report::Ended;
use crate::model::{AnyId, MailboxKey};
use crate::store::{LocalStore, Place, RemoteStore, StoreError};

/// A message at which the connection broke although nothing else was requested.
pub(in crate::engine) struct Culprit<'a> {
    pub portion: Portion<'a>,
    pub error: StoreError,
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
    let downloaded = shared.desk.pass.borrow().counts.downloaded;
    let mut came = downloaded > 0 || shared.breaks.witness.get();
    if let (Some(one), false, true) = (first.first(), came || few, ended.is_ok()) {
        came = another_passes(remote, shared, one.portion.begin().key).await?;
    }
    if came && (few || ended.is_ok()) || few && ended.is_ok() {
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

pub(in crate::engine) type Culprits<'c, 'a> = (&'c mut Vec<Culprit<'a>>, &'c mut Vec<Culprit<'a>>);

pub(in crate::engine) async fn ask_narrowed<'a, R: RemoteStore, L: LocalStore>(
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
        let left = shared
            .breaks
            .record(&shared.desk, portion, broke.as_ref())?;
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
        match left {
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
        if shared.breaks.are_many() {
            if !another_passes(remote, shared, key).await? {
                return Err(error.into());
            }
            shared.breaks.pass();
            proven.append(culprits);
        }
    }
    Ok(())
}

/// Whether a message of a pair can be read, if possible in the same mailbox: then it is not the
/// connection that breaks.
async fn another_passes<R: RemoteStore, L: LocalStore>(
    remote: &mut R,
    shared: &Shared<'_, L>,
    key: MailboxKey,
) -> Result<bool, Ended> {
    let known = shared.desk.state.borrow().unsuspected(key)?;
    for one in known {
        let place = Place {
            mailbox: one.mailbox,
            uid_validity: one.epoch,
        };
        let mut sink = HashSink::default();
        match remote.read(&place, &[one.uid], &mut sink).await {
            Ok(()) if sink.hashes.contains_key(&one.uid) => return Ok(true),
            Err(StoreError::Retry(_)) if !remote.connect().await => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

pub(in crate::engine) async fn set_aside<L: LocalStore>(
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
