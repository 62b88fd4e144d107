//! Deletes on the server, the last step of a cycle. The bytes are put into quarantine first; a
//! tombstone records that the absence is our own; the pair is removed when the message is gone.
//! Several mailboxes are processed together, and a distant server gets several connections, as each
//! mailbox costs a round trip.

use crate::engine::context::Context;
use crate::engine::execute::delete::{Batch, Doomed, batches};
use crate::engine::execute::job::{Work, Works};
use crate::engine::execute::narrow::narrowed;
use crate::engine::execute::parallel::spread;
use crate::engine::execute::{quarantine, refusals};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::uid_proof;
use crate::model::{
    AnyId, Aside, AsideReason, Flags, Id, Kin, MailboxName, PairId, Side, SystemFlag, Uid,
};
use crate::reconcile::Outcome;
use crate::state::{MailboxOutcomes, QuarantineRef, Trail, UidDoubt};
use crate::store::{LocalStore, Place, Prefetch, RemoteStore, Removal, Removed, StoreError};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Messages of a mailbox to delete, with their place in quarantine.
struct Going {
    name: MailboxName,
    place: Place,
    doomed: Vec<Doomed>,
    uids: Vec<Uid>,
    kept: BTreeMap<Uid, Option<Vec<u8>>>,
    /// Ids of those that are not read before: they go to the trash.
    expected: Vec<(Uid, Kin)>,
    removals: Vec<Removal<Uid>>,
}

/// The outcomes.
type Gone = (MailboxName, Result<Leaving, StoreError>);

/// The removed messages of a mailbox, and those at which the connection breaks.
#[derive(Default)]
struct Leaving {
    removed: Vec<(Uid, Removed)>,
    refused: Vec<(Uid, String)>,
}

/// Removes messages; see [`narrowed`].
async fn remove_narrowed<R: RemoteStore>(
    remote: &mut R,
    going: &Going,
) -> Result<Leaving, StoreError> {
    let removed = RefCell::new(Vec::new());
    let send = async |remote: &mut R, removals: &[Removal<Uid>]| {
        remote.expect_object_ids(&going.place, going.expected.clone());
        let gone = remote.remove(&going.place, removals).await?;
        removed.borrow_mut().extend(gone);
        Ok(())
    };
    let culprits = narrowed(remote, &going.removals, send).await?;
    let refused = culprits.into_iter().map(|culprit| {
        let why = format!(
            "the connection breaks when it is deleted: {}",
            culprit.error
        );
        (culprit.change.id, why)
    });
    Ok(Leaving {
        refused: refused.collect(),
        removed: removed.into_inner(),
    })
}

/// Executes all deletions on the server; returns the mailboxes with failures.
pub(in crate::engine) async fn delete_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<BTreeSet<MailboxName>, Ended> {
    let mut failed = BTreeSet::new();
    for batch in batches(works, Side::Remote) {
        ctx.check_stop()?;
        let going = keep_all(ctx, works, batch, &mut failed, pass).await?;
        bury(ctx, works, &going)?;
        let (gone, ended) = remove_there(ctx, &going).await;
        record_gone(ctx, works, (&going, gone), &mut failed, pass)?;
        ended?;
    }
    Ok(failed)
}

/// Puts the bytes of a batch into quarantine durably; excludes those that could not be.
async fn keep_all<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    batch: Batch,
    failed: &mut BTreeSet<MailboxName>,
    pass: &mut PassState,
) -> Result<Vec<Going>, Ended> {
    let mut all = Vec::new();
    for (name, doomed) in batch {
        if let Some(work) = works.get(&name) {
            all.push(going(ctx, work, doomed)?);
        }
    }
    let mut next = Vec::new();
    for going in &all {
        if !ctx.remote.keeps_removed(&going.name) {
            next.push(Prefetch::Read(&going.place, &going.uids));
        }
    }
    next.extend(
        all.first()
            .map(|going| Prefetch::Remove(&going.place, &going.uids)),
    );
    ctx.remote.prefetch(&next).await?;
    ctx.local.hold_syncs();
    for going in &mut all {
        let Some(work) = works.get_mut(&going.name) else {
            continue;
        };
        let kept = match ctx.remote.keeps_removed(&going.name) {
            true => Ok(going.uids.iter().map(|uid| (*uid, None)).collect()),
            false => quarantine::keep_bytes(ctx, &work.base, &going.uids, pass).await,
        };
        let kept = kept.map(|kept| going.keep(kept));
        if ctx.tolerate(&going.name, kept, pass)?.is_err() {
            going.keep(BTreeMap::new());
            failed.insert(going.name.clone());
        }
        // The next run reads mailboxes with remaining messages again.
        work.sound &= going.doomed.len() == going.uids.len();
    }
    let settled = ctx.local.sync_all().await.map_err(Ended::from);
    if let Some(first) = all.first()
        && ctx.tolerate(&first.name, settled, pass)?.is_err()
    {
        failed.extend(all.drain(..).map(|going| going.name));
    }
    all.retain(|going| !going.removals.is_empty());
    Ok(all)
}

fn going<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    work: &Work,
    doomed: Vec<Doomed>,
) -> Result<Going, Ended> {
    let elsewhere = match ctx.remote.has_object_ids() {
        true => ctx.state.in_several_places(work.base.key)?,
        false => BTreeSet::new(),
    };
    let removal = |d: &Doomed| Removal {
        id: d.pair.uid,
        saw: d.saw.clone(),
        elsewhere: elsewhere.contains(&d.pair.id),
    };
    let uids: Vec<Uid> = doomed.iter().map(|d| d.pair.uid).collect();
    let expected = match ctx.remote.keeps_removed(&work.base.name) {
        true => uid_proof::expected(ctx, work.base.key, &uids)?,
        false => Vec::new(),
    };
    Ok(Going {
        expected,
        name: work.base.name.clone(),
        place: work.place(),
        uids,
        removals: doomed.iter().map(removal).collect(),
        kept: BTreeMap::new(),
        doomed,
    })
}

fn bury<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    going: &[Going],
) -> Result<(), Ended> {
    let tombstone = |d: &Doomed| Outcome::Tombstone {
        pair: d.pair.id,
        side: Side::Remote,
    };
    let done = |going: &Going| {
        let outcomes = going.doomed.iter().map(tombstone).collect();
        let key = works.get(&going.name)?.base.key;
        Some(MailboxOutcomes {
            outcomes,
            ..MailboxOutcomes::of(key)
        })
    };
    let all: Vec<MailboxOutcomes> = going.iter().filter_map(done).collect();
    Ok(ctx.state.record(&all)?)
}

/// Removes a batch; returns the outcomes, also after an error.
async fn remove_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    going: &[Going],
) -> (Vec<Gone>, Result<(), Ended>) {
    let (gone, stop) = (RefCell::new(Vec::new()), &ctx.stop);
    let jobs: Vec<&Going> = going.iter().collect();
    let ended = spread(
        &mut *ctx.remote,
        jobs,
        async |remote: &mut R, going, next| {
            if stop.requested() {
                return Err(Ended::Stopped);
            }
            let next = next.map(|next| Prefetch::Remove(&next.place, &next.uids));
            remote.pipeline_after(next.as_slice()).await?;
            match remove_narrowed(remote, going).await {
                Err(error) if !error.is_local_to_mailbox() => return Err(error.into()),
                removed => gone.borrow_mut().push((going.name.clone(), removed)),
            }
            Ok(())
        },
    );
    let ended = ended.await;
    (gone.into_inner(), ended)
}

/// Records unchanged messages that were not removed: the connection breaks, or the mailbox does
/// not accept `\\Deleted`.
fn note_kept<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &Work,
    going: &Going,
    left: &Leaving,
) -> Result<(), Ended> {
    for (uid, why) in &left.refused {
        let pairs = going.doomed.iter().filter(|d| d.pair.uid == *uid);
        refusals::refuse_changes(ctx, pairs.map(|d| d.pair.id), why)?;
    }
    let deleted = Flags::of(&[SystemFlag::Deleted]);
    let takes = !work.stores.keep(&deleted).is_empty();
    if takes || ctx.remote.keeps_removed(&going.name) {
        return Ok(());
    }
    let gone: BTreeSet<Uid> = left.removed.iter().map(|(uid, _)| *uid).collect();
    let kept = going.doomed.iter().filter(|d| !gone.contains(&d.pair.uid));
    let why = "it was deleted here, and PERMANENTFLAGS of its mailbox allow no \\Deleted";
    refusals::refuse_changes(ctx, kept.map(|d| d.pair.id), why)
}

/// A remaining message has other flags than its snapshot or the base: with one direction the
/// other side has flags of its own. The next snapshot is complete.
fn record_gone<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    (going, gone): (&[Going], Vec<Gone>),
    failed: &mut BTreeSet<MailboxName>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut all = Vec::new();
    for (name, removed) in gone {
        let going = going.iter().find(|going| going.name == name);
        let (Some(going), Some(work)) = (going, works.get_mut(&name)) else {
            continue;
        };
        match removed {
            Ok(left) => {
                note_kept(ctx, work, going, &left)?;
                let removed = left.removed;
                if removed.len() < going.doomed.len() {
                    ctx.state.look_anew(work.base.key)?;
                }
                all.push(going.done(work, &removed));
            }
            Err(error) => {
                if matches!(error, StoreError::Renumbered(_)) {
                    ctx.state.doubt(work.base.key, UidDoubt::Suspected)?;
                }
                if let StoreError::Mailbox(why) = &error {
                    let pairs = going.doomed.iter().map(|d| d.pair.id);
                    refusals::refuse_changes(ctx, pairs, why)?;
                }
                let _reported = ctx.tolerate(&name, Err(error.into()), pass)?;
                failed.insert(name);
            }
        }
    }
    ctx.state.record(&all)?;
    pass.counts.deleted_remote += all.iter().map(|done| done.outcomes.len()).sum::<usize>();
    Ok(())
}

impl Going {
    /// Removes only messages that are in quarantine.
    fn keep(&mut self, kept: BTreeMap<Uid, Option<Vec<u8>>>) {
        self.doomed.retain(|d| kept.contains_key(&d.pair.uid));
        self.removals
            .retain(|removal| kept.contains_key(&removal.id));
        self.kept = kept;
    }

    /// Returns the rows for these outcomes.
    fn done(&self, work: &mut Work, removed: &[(Uid, Removed)]) -> MailboxOutcomes {
        let removed: BTreeMap<Uid, &Removed> =
            removed.iter().map(|(uid, how)| (*uid, how)).collect();
        let mut done = MailboxOutcomes::of(work.base.key);
        let known: BTreeMap<PairId, _> = work.base.pairs.iter().map(|p| (p.id, p)).collect();
        for Doomed { pair, saw, .. } in &self.doomed {
            let Some(how) = removed.get(&pair.uid) else {
                work.sound = false;
                continue;
            };
            done.outcomes.push(match how {
                Removed::Gone | Removed::Kept(_) | Removed::Trashed => {
                    Outcome::Dropped { pair: pair.id }
                }
                Removed::Marked => {
                    let mut flags = saw.clone().unwrap_or_default();
                    flags.insert(SystemFlag::Deleted);
                    let aside = marked(pair.uid, flags);
                    Outcome::Alone {
                        pair: Some(pair.id),
                        aside,
                    }
                }
            });
            let how = match how {
                Removed::Gone | Removed::Kept(_) => "expunged",
                Removed::Trashed => "moved to the trash",
                Removed::Marked => "marked only, the server cannot expunge single messages",
            };
            let why = format!("{} was deleted here; {how}", pair.file);
            let mut change = work.change(Side::Remote, "deleted", pair.uid.any(), why);
            let file = self.kept.get(&pair.uid).cloned().flatten();
            let flags = known.get(&pair.id).map(|pair| pair.flags.clone());
            change.kept = file.map(|file| QuarantineRef {
                file,
                flags: flags.unwrap_or_default(),
            });
            change.trail = Some(Trail {
                hash: known.get(&pair.id).map(|pair| pair.hash),
                ..Trail::default().of_pair(pair.id)
            });
            done.changes.push(change);
        }
        done
    }
}

/// A message that we marked `\Deleted` on a server that cannot expunge single messages.
pub(in crate::engine) fn marked(uid: Uid, flags: Flags) -> Aside {
    Aside {
        id: AnyId::Remote(uid),
        reason: AsideReason::MarkedByUs,
        attempts: 0,
        retry_at: None,
        flags,
        detail: String::new(),
    }
}
