//! Matches pairs with new UIDs after a UIDVALIDITY change: by id, confirmed by pieces; ambiguous
//! ones by content. Pairs without a match are skipped; nothing is deleted.

use crate::engine::context::Context;
use crate::engine::identify::by_content::Clues;
use crate::engine::identify::contents::Contents;
use crate::engine::identify::evidence::{kin_there, read_there};
use crate::engine::identify::excerpt::{Bytes, Likely};
use crate::engine::identify::{by_content, excerpt};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{
    AnyId, Aside, AsideReason, Kin, MailboxBase, MaildirId, Pair, PairId, Side, SystemFlag, Uid,
};
use crate::reconcile::Look;
use crate::store::{LocalStore, Place, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Both snapshots of the mailbox.
type Looks<'a> = (&'a Place, &'a Look<Uid>, &'a Look<MaildirId>);

/// Records the new UIDs of a mailbox's pairs in one transaction.
pub(in crate::engine) async fn renumber<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &mut MailboxBase,
    remote: &Look<Uid>,
    local: &Look<MaildirId>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let uid_validity = remote.uid_validity.ok_or_else(|| {
        StoreError::Mailbox(format!("{}: the server gave no UIDVALIDITY", base.name))
    })?;
    let place = Place {
        mailbox: base.name.clone(),
        uid_validity: remote.uid_validity,
    };
    let found = find_again(ctx, (&place, remote, local), &base.pairs).await?;
    let (mut rekeyed, mut orphans): (Vec<(PairId, Uid)>, Vec<_>) = (Vec::new(), Vec::new());
    let (mut pairs, mut gone) = (Vec::new(), Vec::new());
    for mut pair in std::mem::take(&mut base.pairs) {
        if let Some(uid) = found.get(&pair.id) {
            rekeyed.push((pair.id, *uid));
            pair.uid = *uid;
            if local.shows_gone(&pair.file) {
                // Row 17: a deletion of the former UIDs does not count. The message comes
                // again, unless it was moved.
                pair.tombstone = Some(Side::Local);
                gone.push(pair.id);
            }
            pairs.push(pair);
        } else {
            let there = !local.shows_gone(&pair.file);
            orphans.push((pair.id, there.then(|| unmatched(&pair))));
        }
    }
    pairs.sort_by_key(|pair| pair.uid);
    let what = match base.uid_validity == Some(uid_validity) {
        true => "UIDs mean other messages than before (the server was put back from a backup?)",
        false => "UIDVALIDITY changed",
    };
    pass.note(format!(
        "{}: {what}; {} messages were found again, {} were not",
        base.name,
        rekeyed.len(),
        orphans.len()
    ));
    if !ctx.options.dry_run {
        let state = &mut ctx.state;
        state.rekey(base.key, uid_validity, &rekeyed, &orphans, &gone)?;
    }
    base.uid_validity = Some(uid_validity);
    base.pairs = pairs;
    base.aside
        .retain(|aside| matches!(aside.id, AnyId::Local(_)));
    base.aside
        .extend(orphans.into_iter().filter_map(|(_, aside)| aside));
    Ok(())
}

async fn find_again<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    looks: Looks<'_>,
    pairs: &[Pair],
) -> Result<BTreeMap<PairId, Uid>, Ended> {
    let (place, remote, local) = looks;
    let uids: Vec<Uid> = remote.seen.keys().copied().collect();
    let mut found = by_kin(ctx, looks, &uids, pairs).await?;
    // A restored server may have other dates: match the others by header.
    let taken: BTreeSet<Uid> = found.values().copied().collect();
    let uids: Vec<Uid> = uids
        .into_iter()
        .filter(|uid| !taken.contains(uid))
        .collect();
    let rest = pairs.iter().filter(|pair| !found.contains_key(&pair.id));
    let rest: BTreeMap<MaildirId, PairId> = rest
        .filter(|pair| !local.shows_gone(&pair.file))
        .map(|pair| (pair.file.clone(), pair.id))
        .collect();
    if !uids.is_empty() && !rest.is_empty() {
        let files: Vec<MaildirId> = rest.keys().cloned().collect();
        let looks = (place, remote, local);
        let met = by_content::match_up(ctx, looks, &uids, &files, &Clues::default()).await?;
        let pair = |(uid, file)| Some((*rest.get(&file)?, uid));
        found.extend(met.links.into_iter().filter_map(pair));
    }
    Ok(found)
}

async fn by_kin<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (place, _, local): Looks<'_>,
    uids: &[Uid],
    pairs: &[Pair],
) -> Result<BTreeMap<PairId, Uid>, Ended> {
    let mut groups: BTreeMap<Kin, (Vec<Uid>, Vec<&Pair>)> = BTreeMap::new();
    for pair in pairs {
        if let Some(kin) = pair.kin {
            groups.entry(kin).or_default().1.push(pair);
        }
    }
    for (uid, kin) in kin_there(&mut *ctx.remote, place, uids).await? {
        groups.entry(kin).or_default().0.push(uid);
    }
    let mut found = BTreeMap::new();
    let (mut likely, mut pieces, mut unclear) = (Vec::new(), Vec::new(), Vec::new());
    for (kin, (uids, pairs)) in groups {
        match (uids.as_slice(), pairs.as_slice()) {
            ([], _) | (_, []) => {}
            ([uid], [pair]) if kin.proves() => drop(found.insert(pair.id, *uid)),
            // Versions of a draft may differ in a word: they are read.
            ([uid], [pair])
                if !local.shows_gone(&pair.file) && !pair.flags.has(SystemFlag::Draft) =>
            {
                likely.push((*pair, *uid));
                pieces.push(Likely {
                    there: place.clone(),
                    uid: *uid,
                    here: Bytes::File(place.clone(), pair.file.clone()),
                });
            }
            _ => unclear.push((uids, pairs)),
        }
    }
    let fit = excerpt::probe(ctx, &pieces).await?.fit;
    for (at, (pair, uid)) in likely.into_iter().enumerate() {
        if fit.contains(&at) {
            found.insert(pair.id, uid);
        } else if ctx.state.sent_as(pair.id)?.is_some() {
            unclear.push((vec![uid], vec![pair]));
        }
    }
    for (uids, pairs) in unclear {
        found.extend(by_bytes(ctx, place, &uids, &pairs).await?);
    }
    Ok(found)
}

/// Matches messages and pairs with one id by content. A message that cannot be compared is
/// downloaded: a wrong match would delete a wrong message.
async fn by_bytes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    uids: &[Uid],
    pairs: &[&Pair],
) -> Result<BTreeMap<PairId, Uid>, Ended> {
    let mut sink = Contents::default();
    read_there(&mut *ctx.remote, place, uids, &mut sink).await?;
    // Equal messages are assigned in order, as servers number them.
    let (mut by_hash, mut names) = (BTreeMap::<_, BTreeSet<Uid>>::new(), BTreeMap::new());
    for (uid, one) in sink.all {
        by_hash.entry(one.hash).or_default().insert(uid);
        names.insert(uid, one.called);
    }
    let (mut found, mut others) = (BTreeMap::new(), Vec::new());
    for pair in pairs {
        match by_hash.get_mut(&pair.hash).and_then(BTreeSet::pop_first) {
            Some(uid) => drop(found.insert(pair.id, uid)),
            None => others.push(pair),
        }
    }
    let mut by_name: BTreeMap<i64, BTreeSet<Uid>> = BTreeMap::new();
    for uid in by_hash.into_values().flatten() {
        if let Some(name) = names.get(&uid) {
            by_name.entry(*name).or_default().insert(uid);
        }
    }
    // The server's version of an upload keeps its id; that of a draft may be another version.
    others.retain(|pair| !pair.flags.has(SystemFlag::Draft));
    for pair in others {
        let sent = ctx.state.sent_as(pair.id)?;
        let made = sent.and_then(|name| by_name.get_mut(&name)?.pop_first());
        found.extend(made.map(|uid| (pair.id, uid)));
    }
    Ok(found)
}

fn unmatched(pair: &Pair) -> Aside {
    Aside {
        id: AnyId::Local(pair.file.clone()),
        reason: AsideReason::Unmatched,
        attempts: 0,
        retry_at: None,
        flags: pair.flags.clone(),
        detail: String::new(),
    }
}
