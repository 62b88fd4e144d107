//! Puts messages into quarantine before they leave the server, and deletes mailboxes.

use crate::engine::context::Context;
use crate::engine::execute::create_mailboxes::line;
use crate::engine::execute::refusals;
use crate::engine::identify::contents::Naming;
use crate::engine::identify::evidence::read_there;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{AnyId, Canonical, ContentHash, Flags, Id, MailboxBase, MaildirId, Side, Uid};
use crate::reconcile::MailboxAction;
use crate::state::{HistoryChange, QuarantineRef, UidDoubt};
use crate::store::{
    About, Ask, Delivered, Delivery, Depth, End, LocalStore, Place, Receiver, RemoteStore, Removal,
    Removed, Sink, StoreError,
};
use std::collections::{BTreeMap, BTreeSet};

/// Messages that are put into quarantine together.
const KEPT_BATCH: usize = 1000;

/// Puts the bytes of messages into quarantine before their removal; returns those that are safe
/// with their paths, or that a listing proves to be gone. One that the server omitted is
/// neither, nor is one with another content than its pair's: then all UIDs are matched again.
pub(in crate::engine) async fn keep_bytes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
    uids: &[Uid],
    pass: &mut PassState,
) -> Result<BTreeMap<Uid, Option<Vec<u8>>>, Ended> {
    let place = &Place {
        mailbox: base.name.clone(),
        uid_validity: base.uid_validity,
    };
    let receiver = ctx.local.quarantine(place).await?;
    let mut expected = BTreeMap::new();
    let leaving: BTreeSet<&Uid> = uids.iter().collect();
    for pair in base.pairs.iter().filter(|pair| leaving.contains(&pair.uid)) {
        let sent = ctx.state.sent_as(pair.id)?;
        expected.insert(pair.uid, (pair.hash, sent));
    }
    let mut keeper = Keeper {
        receiver,
        expected,
        hash: Canonical::default(),
        naming: Naming::default(),
        taken: Vec::new(),
        others: BTreeSet::new(),
        bytes: 0,
    };
    let broken = read_there(&mut *ctx.remote, place, uids, &mut keeper).await?;
    let broken: BTreeSet<Uid> = broken.into_iter().collect();
    let Keeper {
        receiver,
        taken,
        others,
        bytes,
        ..
    } = keeper;
    let delivered = receiver.finish().await?;
    pass.counts.bytes_down += bytes;
    let mut kept: BTreeMap<Uid, Option<Vec<u8>>> = BTreeMap::new();
    for (tag, outcome) in &delivered {
        if let (Delivered::Stored { id, .. }, Some(uid)) = (outcome, taken.get(*tag)) {
            kept.insert(*uid, id.as_ref().map(|id| id.as_bytes().to_vec()));
        }
    }
    let mut unsafe_: BTreeSet<Uid> = BTreeSet::new();
    let told = |uid: &&Uid| kept.contains_key(uid) || others.contains(uid);
    if !uids.iter().all(|uid| told(&uid)) {
        let (cursor, depth) = (None, Depth::Everything);
        let now = ctx
            .remote
            .look(&Ask {
                base,
                cursor,
                depth,
            })
            .await?;
        let there = uids.iter().filter(|uid| !now.shows_gone(uid));
        unsafe_.extend(there.filter(|uid| !told(uid)));
    }
    refuse_unread(ctx, base, broken.intersection(&unsafe_))?;
    for uid in unsafe_.iter().filter(|uid| !broken.contains(uid)) {
        let what = format!("{uid} was deleted here, but its body cannot be kept: left there");
        pass.trouble(Some(&place.mailbox), &StoreError::Mailbox(what));
    }
    note_others(ctx, base, &others, pass)?;
    unsafe_.extend(others);
    let safe = uids.iter().filter(|uid| !unsafe_.contains(uid));
    Ok(safe
        .map(|uid| (*uid, kept.get(uid).cloned().flatten()))
        .collect())
}

/// Messages at which the connection breaks during that: they stay, and are read again later.
fn refuse_unread<'u, R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
    uids: impl Iterator<Item = &'u Uid>,
) -> Result<(), Ended> {
    let uids: BTreeSet<&Uid> = uids.collect();
    let pairs = base.pairs.iter().filter(|pair| uids.contains(&pair.uid));
    let why = "it was deleted here, and the connection breaks when its bytes are read";
    refusals::refuse_changes(ctx, pairs.map(|pair| pair.id), why)
}

/// Records messages whose content differs from their pairs'.
fn note_others<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
    others: &BTreeSet<Uid>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    if !others.is_empty() {
        ctx.state.doubt(base.key, UidDoubt::Proven)?;
        let (name, first) = (&base.name, others.first());
        let first = first.map(Uid::to_string).unwrap_or_default();
        pass.note(format!(
            "{name}: {} messages that were deleted here are others on the server by now (the \
             first: {first}); they are left there",
            others.len()
        ));
    }
    Ok(())
}

/// Deletes a mailbox that contains only pairs; their bytes are kept.
pub(in crate::engine) async fn delete_mailbox<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    action: MailboxAction,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let MailboxAction::Delete { on, name, .. } = action else {
        return Ok(());
    };
    let Some(key) = ctx.state.mailbox_key(&name)? else {
        return Ok(());
    };
    let base: MailboxBase = ctx.state.base(key)?;
    let deleted = delete_on(ctx, on, &base, pass).await;
    if let Err(Ended::Store(StoreError::Stale(why))) = &deleted {
        // Mail arrived in it, or another mailbox has its name: it comes back (F5, F7).
        tracing::info!(mailbox = %name, why, "a mailbox is not deleted after all");
        ctx.state.forget_mailbox(key)?;
    }
    let (mut changes, end) = deleted?;
    let shelf = match &end {
        End::Kept(shelf) => Some(shelf.clone()),
        End::Gone | End::Stays(_) => None,
    };
    match (end, on) {
        (End::Gone | End::Kept(_), Side::Remote) => pass.counts.mailboxes_deleted_remote += 1,
        (End::Gone | End::Kept(_), Side::Local) => pass.counts.mailboxes_deleted_local += 1,
        (End::Stays(why), _) => {
            let gone = empty_there(ctx, &base).await?;
            changes.retain(|change| change.message.as_ref().is_some_and(|m| gone.contains(m)));
            pass.counts.deleted_remote += gone.len();
            let how = match gone.len() == base.pairs.len() {
                true => "deleted",
                false => "deleted or marked as deleted",
            };
            pass.note(format!(
                "{name} was deleted here; on the server its messages are {how}, and it stays: \
                 {why}"
            ));
            ctx.state.apply(key, &[], &changes)?;
            return Ok(ctx.state.forget_mailbox(key)?);
        }
    }
    ctx.state.apply(key, &[], &changes)?;
    let kept = shelf.map(|file| QuarantineRef {
        file,
        flags: Flags::default(),
    });
    let deleted = HistoryChange {
        kept,
        ..line(&name, on, "mailbox-deleted")
    };
    ctx.state.apply(key, &[], &[deleted])?;
    ctx.state.forget_mailbox(key)?;
    Ok(())
}

/// Deletes the messages of a mailbox that has to stay; returns those that are gone. Without
/// UIDPLUS they are marked.
async fn empty_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
) -> Result<BTreeSet<AnyId>, Ended> {
    let place = Place {
        mailbox: base.name.clone(),
        uid_validity: base.uid_validity,
    };
    let removals = base.pairs.iter().map(|pair| Removal {
        id: pair.uid,
        saw: None,
        elsewhere: true,
    });
    let removals: Vec<_> = removals.collect();
    let removed = ctx.remote.remove(&place, &removals).await?;
    let gone = removed.iter().filter(|(_, how)| *how != Removed::Marked);
    Ok(gone.map(|(uid, _)| uid.any()).collect())
}

async fn delete_on<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    on: Side,
    base: &MailboxBase,
    pass: &mut PassState,
) -> Result<(Vec<HistoryChange>, End), Ended> {
    let mut changes = Vec::new();
    if on == Side::Local {
        let end = ctx.local.delete_mailbox(base).await?;
        return Ok((changes, end));
    }
    let uids: Vec<Uid> = base.disposable_uids().into_iter().collect();
    let had: BTreeMap<Uid, &Flags> = base.pairs.iter().map(|p| (p.uid, &p.flags)).collect();
    for batch in uids.chunks(KEPT_BATCH) {
        let kept = keep_bytes(ctx, base, batch, pass).await?;
        if kept.len() < batch.len() {
            let name = &base.name;
            if ctx.state.doubted()?.contains_key(&base.key) {
                let what = format!("{name}: UIDs mean other messages than before");
                return Err(StoreError::Stale(what).into());
            }
            let what = format!("{name} was deleted here, but not all can be kept");
            return Err(StoreError::Mailbox(what).into());
        }
        changes.extend(kept.into_iter().map(|(uid, kept)| HistoryChange {
            mailbox: base.name.clone(),
            side: Side::Remote,
            what: "deleted",
            message: Some(uid.any()),
            why: "with its mailbox".into(),
            flags: None,
            trail: None,
            kept: kept.map(|file| {
                QuarantineRef {
                    file,
                    flags: had
                        .get(&uid)
                        .map(|flags| (*flags).clone())
                        .unwrap_or_default(),
                }
            }),
        }));
    }
    let end = ctx.remote.delete_mailbox(base).await?;
    Ok((changes, end))
}

/// Delivers messages into quarantine if they have the content of their pairs.
struct Keeper<C> {
    receiver: C,
    /// Contents; of uploads a number made of the Message-ID.
    expected: BTreeMap<Uid, (ContentHash, Option<i64>)>,
    hash: Canonical,
    naming: Naming,
    taken: Vec<Uid>,
    /// Those with another content.
    others: BTreeSet<Uid>,
    bytes: u64,
}

impl<C: Receiver<Id = MaildirId>> Sink<Uid> for Keeper<C> {
    async fn begin(&mut self, size: u64, _: Option<&About<Uid>>) -> Result<(), StoreError> {
        (self.hash, self.naming) = (Canonical::default(), Naming::default());
        self.receiver.begin(size, None).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
        self.naming.update(bytes);
        self.receiver.chunk(bytes).await
    }

    async fn end(&mut self, about: About<Uid>) -> Result<(), StoreError> {
        let hash = std::mem::take(&mut self.hash).finish();
        // A message without a pair is kept unchanged, and the server's version of an upload counts
        // as equal.
        let name = std::mem::take(&mut self.naming).finish();
        let other = |(content, sent): &(ContentHash, Option<i64>)| {
            *content != hash && (sent.is_none() || *sent != name)
        };
        if self.expected.get(&about.id).is_some_and(other) {
            self.others.insert(about.id);
            return self.receiver.abandon().await;
        }
        let tag = self.taken.len();
        self.taken.push(about.id);
        let (flags, date) = (about.flags, about.date);
        self.receiver
            .end(Delivery {
                tag,
                flags,
                date,
                origin: None,
            })
            .await
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        self.receiver.abandon().await
    }

    async fn fail(&mut self, _: Uid, _: String) -> Result<(), StoreError> {
        // It is not among the delivered ones.
        Ok(())
    }
}
