//! Verifies pairs against both sides by reading each file and the ids of the server. Wrong pairs
//! are dropped and matched again by the next sync.

use crate::engine::context::Context;
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::report::Ended;
use crate::model::{Kin, MailboxKey, MailboxName, MaildirId, Uid};
use crate::reconcile::Outcome;
use crate::state::Checkpoint;
use crate::store::{Ask, Depth, LocalStore, Place, RemoteStore};
use std::collections::BTreeMap;

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// All pairs.
    pub pairs: usize,
    /// Pairs with both halves intact.
    pub sound: usize,
    /// Pairs with a missing half, about which the next sync decides.
    pub gone: usize,
    /// Pairs whose halves differ: dropped.
    pub forgotten: usize,
    /// Unreadable mailboxes and messages.
    pub notes: Vec<String>,
}

/// Verifies all pairs of the account.
///
/// # Errors
/// If a side or the state fails as a whole.
pub async fn verify<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
) -> Result<Verified, Ended> {
    let mut found = Verified::default();
    ctx.remote.list(&BTreeMap::new()).await?;
    ctx.local.list(&BTreeMap::new()).await?;
    for (name, key) in ctx.state.mailboxes()? {
        ctx.check_stop()?;
        match verify_mailbox(ctx, &name, key, &mut found).await {
            Err(Ended::Store(error)) if error.is_local_to_mailbox() => {
                found.notes.push(format!("{name}: {error}"));
            }
            done => done?,
        }
    }
    Ok(found)
}

async fn verify_mailbox<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    key: MailboxKey,
    found: &mut Verified,
) -> Result<(), Ended> {
    let base = ctx.state.base(key)?;
    let ask = Ask {
        base: &base,
        cursor: None,
        depth: Depth::Everything,
    };
    let (remote, local) = (ctx.remote.look(&ask).await?, ctx.local.look(&ask).await?);
    found.pairs += base.pairs.len();
    if remote.uid_validity != base.uid_validity {
        found.notes.push(format!(
            "{name}: UIDVALIDITY changed; the next sync sees to it"
        ));
        return Ok(());
    }
    let both = base
        .pairs
        .iter()
        .filter(|pair| remote.seen.contains_key(&pair.uid) && local.seen.contains_key(&pair.file));
    let both: Vec<_> = both.collect();
    found.gone += base.pairs.len() - both.len();
    let place = Place {
        mailbox: name.clone(),
        uid_validity: base.uid_validity,
    };
    let uids: Vec<Uid> = both.iter().map(|pair| pair.uid).collect();
    let files: Vec<MaildirId> = both.iter().map(|pair| pair.file.clone()).collect();
    let kin: BTreeMap<Uid, Kin> = ctx
        .remote
        .object_ids(&place, &uids)
        .await?
        .into_iter()
        .collect();
    let mut here = HashSink::default();
    ctx.local.read(&place, &files, &mut here).await?;
    let mut forgotten = Vec::new();
    for pair in both {
        let (told, hash) = (kin.get(&pair.uid), here.hashes.get(&pair.file));
        let other_there = told.is_some_and(|told| pair.kin.is_some_and(|kin| kin != *told));
        let other_here = hash.is_some_and(|(hash, _)| *hash != pair.hash);
        if other_there || other_here {
            forgotten.push(Outcome::Dropped { pair: pair.id });
        } else if told.is_none() || hash.is_none() {
            found.notes.push(format!(
                "{name}: {} with {} cannot be read",
                pair.uid, pair.file
            ));
        } else {
            found.sound += 1;
        }
    }
    // The next sync compares it message by message.
    let (cursors, full_at) = (Vec::new(), Some(0));
    ctx.state.leave(&[Checkpoint {
        key,
        cursors,
        full_at,
    }])?;
    found.forgotten += forgotten.len();
    ctx.state.apply(key, &forgotten, &[])?;
    Ok(())
}
