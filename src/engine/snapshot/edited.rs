//! Finds files that were edited in place: a full scan shows touched files, and their content
//! decides.

use crate::engine::context::Context;
use crate::engine::identify::hash_sink::HashSink;
use crate::engine::report::Ended;
use crate::model::{MailboxKey, MaildirId, Pair, PairId, Uid, Weight};
use crate::reconcile::Look;
use crate::store::{Ask, LocalStore, Place, RemoteStore};
use std::collections::BTreeSet;

/// Files read before the results are recorded.
const PORTION: usize = 1000;

/// The contents of touched files.
#[derive(Default)]
struct Contents {
    /// Files with the content of their pairs, and their current size and stamp.
    same: Vec<(PairId, Weight)>,
    /// Files with another content.
    edited: Vec<MaildirId>,
    /// Files that could not be read.
    unread: Vec<MaildirId>,
}

/// Returns a snapshot of the disk in which only files with another content count as edited.
pub(in crate::engine) async fn look_on_disk<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    ask: &Ask<'_>,
) -> Result<Look<MaildirId>, Ended> {
    let mut look = ctx.local.look(ask).await?;
    let (base, place) = (ask.base, place_of(ask));
    let edited = std::mem::take(&mut look.edited);
    let suspect = |pair: &&Pair| edited.contains(&pair.file) || look.touched.contains(&pair.file);
    let pairs: Vec<&Pair> = base.pairs.iter().filter(suspect).collect();
    for pairs in pairs.chunks(PORTION) {
        let contents = contents(ctx, &place, pairs).await?;
        let unread = contents.unread.into_iter();
        let (resized, unknown): (Vec<_>, Vec<_>) = unread.partition(|f| edited.contains(f));
        // Another size is sufficient proof.
        look.edited
            .extend(contents.edited.into_iter().chain(resized));
        let remark = |file| {
            format!(
                "{}: {file} cannot be read to see whether it was edited",
                base.name
            )
        };
        look.remarks.extend(unknown.iter().map(remark));
    }
    Ok(look)
}

/// Whether all these touched files have the content of their pairs.
pub(in crate::engine) async fn are_unedited<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (key, place): (MailboxKey, &Place),
    touched: &BTreeSet<Uid>,
) -> Result<bool, Ended> {
    let uids: Vec<Uid> = touched.iter().copied().collect();
    for uids in uids.chunks(PORTION) {
        let pairs = ctx.state.pairs_at(key, uids)?;
        let contents = contents(ctx, place, &pairs.iter().collect::<Vec<_>>()).await?;
        if contents.same.len() < uids.len() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the files of pairs, and records the stamps of those with the content of their pairs. A
/// file that is gone is in no list.
async fn contents<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    pairs: &[&Pair],
) -> Result<Contents, Ended> {
    ctx.check_stop()?;
    let files: Vec<MaildirId> = pairs.iter().map(|pair| pair.file.clone()).collect();
    let mut sink = HashSink::default();
    ctx.local.read(place, &files, &mut sink).await?;
    let mut contents = Contents::default();
    for pair in pairs {
        let file = &pair.file;
        match sink.hashes.get(file) {
            Some((hash, size)) if *hash == pair.hash => {
                let (size, stamp) = (*size, sink.stamps.get(file).copied());
                contents.same.push((pair.id, Weight { size, stamp }));
            }
            Some(_) => contents.edited.push(file.clone()),
            None if sink.failed.contains(file) => contents.unread.push(file.clone()),
            None => {}
        }
    }
    if !ctx.options.dry_run {
        ctx.state.learn_weights(&contents.same)?;
    }
    Ok(contents)
}

fn place_of(ask: &Ask<'_>) -> Place {
    Place {
        mailbox: ask.base.name.clone(),
        uid_validity: ask.base.uid_validity,
    }
}
