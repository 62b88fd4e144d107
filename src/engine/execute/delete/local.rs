//! Deletes on disk, in several mailboxes together: one transaction records tombstones, one sync
//! makes the deletions durable, and one transaction removes the pairs.

use crate::engine::context::Context;
use crate::engine::execute::delete::{Batch, Doomed, batches};
use crate::engine::execute::job::{Work, Works};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{Flags, Id, MaildirId, PairId, Side};
use crate::reconcile::Outcome;
use crate::reconcile::action::DeleteWhy;
use crate::reconcile::filed::keywords;
use crate::state::{MailboxOutcomes, QuarantineRef, QuarantinedRow, Trail};
use crate::store::{LocalStore, RemoteStore, Removal, Removed};
use std::collections::BTreeMap;

/// Executes all deletions on disk.
pub(in crate::engine) async fn delete_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    for batch in batches(works, Side::Local) {
        ctx.check_stop()?;
        delete_batch(ctx, works, &batch, pass).await?;
    }
    Ok(())
}

async fn delete_batch<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    batch: &Batch,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let tombstone = |doomed: &Doomed| Outcome::Tombstone {
        pair: doomed.pair.id,
        side: Side::Local,
    };
    let buried = batch.iter().filter_map(|(name, doomed)| {
        let key = works.get(name)?.base.key;
        let outcomes = doomed.iter().map(tombstone).collect();
        Some(MailboxOutcomes {
            outcomes,
            ..MailboxOutcomes::of(key)
        })
    });
    ctx.state.record(&buried.collect::<Vec<_>>())?;
    ctx.local.hold_syncs();
    let (mut all, mut ended) = (Vec::new(), Ok(()));
    for (name, doomed) in batch {
        let Some(work) = works.get_mut(name) else {
            continue;
        };
        let removed = remove_here(ctx, work, doomed).await;
        let removed = match removed {
            Ok(done) => {
                if done.outcomes.len() < doomed.len() {
                    ctx.state.look_anew(work.base.key)?;
                }
                all.push(done);
                Ok(())
            }
            Err(error) => Err(error),
        };
        match ctx.tolerate(name, removed, pass) {
            Ok(done) => work.sound &= done.is_ok(),
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    // Executed deletions are recorded also after an error.
    let settled = ctx.local.sync_all().await.map_err(Ended::from);
    let first = batch.iter().map(|(name, _)| name).next();
    let settled = match first {
        Some(name) => ctx.tolerate(name, settled, pass)?,
        None => Ok(()),
    };
    if settled.is_err() {
        // The next pass retries the sync, and finds them gone.
        for (name, _) in batch {
            works
                .entry(name.clone())
                .and_modify(|work| work.sound = false);
        }
        return ended;
    }
    ctx.state.record(&all)?;
    pass.counts.deleted_local += all.iter().map(|done| done.outcomes.len()).sum::<usize>();
    ended
}

/// Returns agreed keywords without a letter in the mailbox, which no file there shows.
async fn letterless<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &Work,
    doomed: &[Doomed],
) -> Result<Flags, Ended> {
    let known: BTreeMap<PairId, &Flags> =
        work.base.pairs.iter().map(|p| (p.id, &p.flags)).collect();
    let unseen = doomed.iter().filter_map(|one| {
        let (agreed, saw) = (known.get(&one.pair.id)?, one.saw.as_ref()?);
        Some(keywords(&agreed.difference(saw)))
    });
    let unseen = unseen.fold(Flags::default(), |all, more| all.union(&more));
    if unseen.is_empty() {
        return Ok(unseen);
    }
    let letters = ctx.local.letters(&work.base.name).await?;
    let letters = letters.unwrap_or_default();
    Ok(unseen.difference(&letters.read(&letters.of(&unseen))))
}

async fn remove_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &mut Work,
    doomed: &[Doomed],
) -> Result<MailboxOutcomes, Ended> {
    let removal = |d: &Doomed| Removal {
        id: d.pair.file.clone(),
        saw: d.saw.clone(),
        elsewhere: false,
    };
    let removals: Vec<Removal<MaildirId>> = doomed.iter().map(removal).collect();
    let letterless = letterless(ctx, work, doomed).await?;
    let gone = ctx.local.remove(&work.place(), &removals).await?;
    let gone: BTreeMap<MaildirId, Removed> = gone.into_iter().collect();
    let known: BTreeMap<PairId, _> = work.base.pairs.iter().map(|p| (p.id, p)).collect();
    let mut done = MailboxOutcomes {
        at: (ctx.world.now)(),
        ..MailboxOutcomes::of(work.base.key)
    };
    for Doomed { pair, why, saw } in doomed {
        let Some(how) = gone.get(&pair.file) else {
            work.sound = false;
            continue;
        };
        if let (Some(known), Removed::Kept(path)) = (known.get(&pair.id), how)
            && let Some(kin) = known.kin
            && *why == DeleteWhy::DeletedAcross
        {
            done.buried.push(QuarantinedRow {
                kin,
                hash: known.hash,
                agreed: known.flags.clone(),
                here: match saw {
                    Some(saw) => saw.union(&letterless.intersection(&known.flags)),
                    None => known.flags.clone(),
                },
                path: path.clone(),
            });
        }
        let why = match why {
            DeleteWhy::DeletedAcross => format!("{} was deleted on the server", pair.uid),
            DeleteWhy::Broken => format!("broken, and {} was deleted there", pair.uid),
        };
        let mut change = work.change(Side::Local, "deleted", pair.file.any(), why);
        if let Removed::Kept(path) = how {
            change.kept = Some(QuarantineRef {
                file: path.clone(),
                flags: known
                    .get(&pair.id)
                    .map(|pair| pair.flags.clone())
                    .unwrap_or_default(),
            });
        }
        change.trail = Some(Trail {
            uid: Some(pair.uid),
            hash: known.get(&pair.id).map(|pair| pair.hash),
            ..Trail::default().of_pair(pair.id)
        });
        done.changes.push(change);
        done.outcomes.push(Outcome::Dropped { pair: pair.id });
    }
    Ok(done)
}
