//! A mailbox that the server lists under two names is synced under one: otherwise each move between
//! them would be repeated (F31).

use crate::engine::context::Context;
use crate::engine::identify::evidence::kin_there;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{Kin, MailboxName, Side, Uid};
use crate::reconcile::Listed;
use crate::store::{LocalStore, Place, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// The number of last messages that prove one mailbox under two names.
const WITNESSES: u32 = 16;

/// Returns identities that prove nothing, as mailboxes with other counters or without messages
/// share them: some servers give all mailboxes the same, and a copied mailbox may have equal UIDs.
fn common_identities<'a>(remote: &[&'a Listed]) -> BTreeSet<&'a str> {
    let mut counts: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    for listed in remote {
        if let Some(identity) = &listed.identity {
            let census = listed.census.as_ref().map(|census| census.text.as_str());
            counts.entry(&identity.text).or_default().insert(census);
        }
    }
    counts.retain(|_, counts| counts.len() > 1);
    counts.into_keys().collect()
}

/// Returns names that are aliases of synced mailboxes.
pub(in crate::engine) async fn aliases<'b, R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    remote: impl Iterator<Item = &'b Listed>,
    base: &BTreeSet<MailboxName>,
    pass: &mut PassState,
) -> Result<BTreeSet<MailboxName>, Ended> {
    let remote: Vec<&Listed> = remote.collect();
    let common = common_identities(&remote);
    let mut alike: BTreeMap<(&str, Option<&str>), Vec<&Listed>> = BTreeMap::new();
    for listed in remote {
        let Some(identity) = &listed.identity else {
            continue;
        };
        let census = listed.census.as_ref().map(|census| census.text.as_str());
        if !identity.proves && common.contains(identity.text.as_str()) {
            continue;
        }
        let key = match (identity.proves, census) {
            (true, _) => (identity.text.as_str(), None),
            (false, Some(census)) => (identity.text.as_str(), Some(census)),
            (false, None) => continue,
        };
        alike.entry(key).or_default().push(listed);
    }
    let homes = ctx.state.homes()?;
    let noted = homes.iter().filter_map(|home| {
        let identity = home.remote.as_deref()?;
        Some((&home.name, identity))
    });
    let noted: BTreeSet<(&MailboxName, &str)> = noted.collect();
    let mut aliases = BTreeSet::new();
    for mut group in alike.into_values().filter(|group| group.len() > 1) {
        group.sort_by_key(|l| (!l.name.is_inbox(), !base.contains(&l.name), l.name.clone()));
        let Some((first, others)) = group.split_first() else {
            continue;
        };
        for other in others {
            let identity = other.identity.as_ref();
            let proved = identity.is_some_and(|identity| identity.proves);
            // Two mailboxes that an earlier run told apart can become alike.
            let text = identity.map_or("", |identity| &identity.text);
            let apart = [first, other]
                .iter()
                .all(|one| noted.contains(&(&one.name, text)));
            if !proved && apart {
                continue;
            }
            let same = match proved {
                true => Some(true),
                false => are_alike(ctx, first, other, pass).await?,
            };
            match same {
                Some(true) => {}
                Some(false) => continue,
                // A copy that was taken for an alias would stay unsynced.
                None => {
                    pass.hide(&other.name, &Side::BOTH);
                    aliases.insert(other.name.clone());
                    continue;
                }
            }
            let (name, alias) = (&first.name, &other.name);
            pass.note(format!(
                "{alias} is {name} under another name on the server; only {name} is synced"
            ));
            aliases.insert(alias.clone());
        }
    }
    Ok(aliases)
}

/// Whether two mailboxes have the same last messages; `None`: one is unreadable.
async fn are_alike<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    first: &Listed,
    other: &Listed,
    pass: &mut PassState,
) -> Result<Option<bool>, Ended> {
    let own = last(ctx, first, pass).await?;
    Ok(match &own {
        Some(own) if own.is_empty() => Some(false),
        Some(own) => last(ctx, other, pass).await?.map(|last| last == *own),
        None => None,
    })
}

/// Returns the last messages of a mailbox; `None`: it is unreadable, which is reported.
async fn last<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    listed: &Listed,
    pass: &mut PassState,
) -> Result<Option<Vec<(Uid, Kin)>>, Ended> {
    let Some(census) = &listed.census else {
        return Ok(None);
    };
    let uids = census.next.saturating_sub(WITNESSES)..census.next;
    let uids: Vec<Uid> = uids.filter_map(Uid::new).collect();
    let (mailbox, uid_validity) = (listed.name.clone(), None);
    match kin_there(
        &mut *ctx.remote,
        &Place {
            mailbox,
            uid_validity,
        },
        &uids,
    )
    .await
    {
        Ok(mut kin) => {
            kin.sort();
            Ok(Some(kin))
        }
        Err(error) if error.is_local_to_mailbox() => {
            pass.trouble(Some(&listed.name), &error);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
