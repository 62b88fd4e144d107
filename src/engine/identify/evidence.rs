//! Reads messages on the server for comparison. One at which the connection breaks each time counts
//! as unreadable, so that it stops nothing else.

use crate::engine::execute::narrow::narrowed;
use crate::model::{Excerpt, Fingerprint, Kin, Uid};
use crate::store::{About, Place, RemoteStore, Sink, StoreError};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Reads messages; returns those at which the connection breaks. The sink receives each of them as
/// failed.
pub(in crate::engine) async fn read_there<R: RemoteStore, S: Sink<Uid>>(
    remote: &mut R,
    place: &Place,
    uids: &[Uid],
    sink: &mut S,
) -> Result<Vec<Uid>, StoreError> {
    let answered = Answered {
        sink,
        uids: BTreeSet::new(),
        failed: None,
    };
    let shared = Cell::new(Some(answered));
    let send = async |remote: &mut R, part: &[Uid]| {
        let Some(mut answered) = shared.take() else {
            return Err(StoreError::Bug("messages are read twice at once".into()));
        };
        let left = part.iter().filter(|uid| !answered.uids.contains(uid));
        let left: Vec<Uid> = left.copied().collect();
        let read = match left.is_empty() {
            true => Ok(()),
            false => remote.read(place, &left, &mut answered).await,
        };
        // An error of the sink is not a break, and ends the read.
        let done = match &answered.failed {
            Some(error) => Err(StoreError::Stale(error.to_string())),
            None => read,
        };
        shared.set(Some(answered));
        done
    };
    let culprits = narrowed(remote, uids, send).await;
    let Some(Answered { sink, failed, .. }) = shared.take() else {
        return culprits.map(|_| Vec::new());
    };
    if let Some(error) = failed {
        return Err(error);
    }
    let mut broken = Vec::new();
    for culprit in culprits? {
        let uid = *culprit.change;
        let why = format!("the connection breaks at this message: {}", culprit.error);
        tracing::warn!(mailbox = %place.mailbox, "{uid}: {why}");
        sink.fail(uid, why).await?;
        broken.push(uid);
    }
    Ok(broken)
}

/// Records which messages were answered.
struct Answered<'a, S> {
    sink: &'a mut S,
    uids: BTreeSet<Uid>,
    /// The error of the sink.
    failed: Option<StoreError>,
}

impl<S> Answered<'_, S> {
    fn taken(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(error) = &done {
            self.failed = Some(error.clone());
        }
        done
    }
}

impl<S: Sink<Uid>> Sink<Uid> for Answered<'_, S> {
    async fn begin(&mut self, size: u64, about: Option<&About<Uid>>) -> Result<(), StoreError> {
        let begun = self.sink.begin(size, about).await;
        self.taken(begun)
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let taken = self.sink.chunk(bytes).await;
        self.taken(taken)
    }

    async fn end(&mut self, about: About<Uid>) -> Result<(), StoreError> {
        self.uids.insert(about.id);
        let ended = self.sink.end(about).await;
        self.taken(ended)
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        let done = self.sink.abandon().await;
        self.taken(done)
    }

    async fn fail(&mut self, id: Uid, why: String) -> Result<(), StoreError> {
        self.uids.insert(id);
        let failed = self.sink.fail(id, why).await;
        self.taken(failed)
    }
}

/// Requests evidence about messages. Those at which the connection breaks each time are omitted,
/// like those that are gone.
pub(in crate::engine) async fn told_there<'a, R: RemoteStore, I: Copy, T>(
    remote: &mut R,
    about: &'a [I],
    uid: fn(&I) -> Uid,
    ask: impl AsyncFn(&mut R, &'a [I]) -> Result<Vec<(Uid, T)>, StoreError>,
) -> Result<Vec<(Uid, T)>, StoreError> {
    let all = RefCell::new(Vec::new());
    let send = async |remote: &mut R, part: &'a [I]| {
        let told = match part.is_empty() {
            true => Vec::new(),
            false => ask(remote, part).await?,
        };
        all.borrow_mut().extend(told);
        Ok(())
    };
    let culprits = narrowed(remote, about, send).await?;
    for one in culprits {
        let (uid, error) = (uid(one.change), one.error);
        tracing::warn!("{uid}: the connection breaks when it is described: {error}");
    }
    Ok(all.into_inner())
}

/// Returns the ids of messages; see [`told_there`].
pub(in crate::engine) async fn kin_there<R: RemoteStore>(
    remote: &mut R,
    place: &Place,
    uids: &[Uid],
) -> Result<Vec<(Uid, Kin)>, StoreError> {
    let ask = async |remote: &mut R, part: &[Uid]| remote.object_ids(place, part).await;
    told_there(remote, uids, |uid| *uid, ask).await
}

/// Returns the cheap evidence of those messages that have it; see [`told_there`].
pub(in crate::engine) async fn prints_there<R: RemoteStore>(
    remote: &mut R,
    place: &Place,
    (uids, sizes): (&[Uid], Option<&BTreeSet<u64>>),
) -> Result<Vec<(Uid, Fingerprint)>, StoreError> {
    let ask = async |remote: &mut R, part: &[Uid]| remote.fingerprints(place, part, sizes).await;
    told_there(remote, uids, |uid| *uid, ask).await
}

/// Returns pieces of messages, see [`crate::store::MailStore::excerpts`] and [`told_there`].
pub(in crate::engine) async fn excerpts_there<R: RemoteStore>(
    remote: &mut R,
    place: &Place,
    ids: &[(Uid, Option<u64>)],
) -> Result<Vec<(Uid, Excerpt)>, StoreError> {
    let ask =
        async |remote: &mut R, part: &[(Uid, Option<u64>)]| remote.excerpts(place, part).await;
    told_there(remote, ids, |(uid, _)| *uid, ask).await
}
