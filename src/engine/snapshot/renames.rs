//! Finds renamed mailboxes by their identities, confirmed by messages if those are no proof, and
//! renames them in a pass of their own.

use crate::engine::context::Context;
use crate::engine::identify::evidence::kin_there;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{MailboxBase, MailboxName, Pair, Side, Uid};
use crate::reconcile::budget::Budget;
use crate::reconcile::mailbox_identity::Home;
use crate::reconcile::renames::{self, Suspect};
use crate::reconcile::{Cursor, Listed, MailboxAction, Presence, anew, leaving};
use crate::state::{HistoryChange, Trail};
use crate::store::{LocalStore, Place, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Messages that confirm a renamed mailbox.
const WITNESSES: usize = 64;

/// So long a mailbox may have a name in passing while another machine works, seconds.
const PASSING_SECONDS: i64 = 10;

/// Mailboxes of which it could not be told whether they have another name, with that name.
type Untold = BTreeSet<(MailboxName, MailboxName)>;

/// A rename on a side: from and to.
type Renamed<'a> = (Side, &'a MailboxName, &'a MailboxName);

/// Renames mailboxes before anything else; if there is nothing to rename, records identities.
/// Also returns names that are deferred because they could not be identified.
pub(in crate::engine) async fn find_renames<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (remote, local): (&[Listed], &[Listed]),
    pass: &mut PassState,
) -> Result<(Vec<MailboxAction>, BTreeSet<MailboxName>), Ended> {
    let homes = ctx.state.homes()?;
    // Equal new names on both sides, as after a cut run, are evidence.
    let seem = renames::suspects(Side::Remote, &homes, remote);
    let seem_here = renames::suspects(Side::Local, &homes, local);
    let names = |all: &[Suspect]| -> BTreeSet<(MailboxName, MailboxName)> {
        let both = |one: &Suspect| (one.name.clone(), one.now.clone());
        all.iter().map(both).collect()
    };
    let (names_there, names_here) = (names(&seem), names(&seem_here));
    let alike = |one: &Suspect| {
        let both = (one.name.clone(), one.now.clone());
        names_there.contains(&both) && names_here.contains(&both)
    };
    let prove = |one: &Suspect| Suspect {
        proved: one.proved || alike(one),
        ..one.clone()
    };
    let there: Vec<Suspect> = seem.iter().map(prove).collect();
    let here: Vec<Suspect> = seem_here.iter().map(prove).collect();
    let (mut untold, mut left, mut apart) = (Untold::new(), BTreeSet::new(), Vec::new());
    let there = (Side::Remote, there, &mut untold);
    let mut there = confirmed(ctx, &homes, there, pass).await?;
    let here = (Side::Local, here, &mut untold);
    let mut here = confirmed(ctx, &homes, here, pass).await?;
    for (name, now) in untold {
        left.extend(there.remove(&name));
        left.extend(here.remove(&name));
        left.extend([name, now]);
    }
    // The name that has its messages.
    for name in &pass.not_renamed {
        if let (Some(one), Some(other)) = (there.get(name), here.get(name))
            && one != other
        {
            left.extend([name.clone(), one.clone(), other.clone()]);
            let what = format!(
                "it was renamed to {one} on the server and to {other} on disk, where it \
                 cannot be renamed"
            );
            apart.push((name.clone(), StoreError::Mailbox(what)));
        }
    }
    for (name, error) in apart {
        pass.trouble(Some(&name), &error);
    }
    for name in &left {
        pass.hide(name, &Side::BOTH);
    }
    let names = |listed: &[Listed]| listed.iter().map(|one| one.name.clone()).collect();
    let base = homes.iter().map(|home| home.name.clone());
    let actions = renames::decide(&renames::Case {
        base: &base.collect(),
        remote: &there,
        local: &here,
        remote_names: &names(remote),
        local_names: &names(local),
        refused: &pass.not_renamed,
        policy: &ctx.policy,
    });
    if actions.is_empty() && !ctx.options.dry_run {
        note_identities(ctx, homes, (remote, local))?;
    }
    Ok((actions, left))
}

/// The listing of the server. While another machine deletes a mailbox or exchanges names, a
/// mailbox has a name in passing: that is over in a moment. One that keeps such a name was
/// left so by a run that was cut.
pub(in crate::engine) async fn listed_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    left: &BTreeMap<MailboxName, Cursor>,
) -> Result<Vec<Listed>, Ended> {
    let mut waited = 0;
    loop {
        let remote = ctx.remote.list(left).await?;
        let over = ctx.options.dry_run || waited >= PASSING_SECONDS.min(ctx.options.grace);
        if over || !others_rename(ctx, &remote)? {
            return Ok(remote);
        }
        ctx.check_stop()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        waited += 1;
    }
}

/// Whether a mailbox has a name in passing on the server that this state gave to none.
fn others_rename<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    remote: &[Listed],
) -> Result<bool, Ended> {
    let names = remote.iter().filter(|l| l.presence == Presence::Mailbox);
    let passing = |l: &&Listed| leaving::own(&l.name).is_some() || renames::is_passing(&l.name);
    let mut passing = names.filter(passing).map(|listed| &listed.name).peekable();
    if passing.peek().is_none() {
        return Ok(false);
    }
    let budget = Budget::of(&ctx.state.charges((ctx.world.now)())?);
    for name in passing {
        let Some(own) = leaving::own(name) else {
            return Ok(true);
        };
        let uid_validity = match ctx.state.mailbox_key(&own)? {
            Some(key) => ctx.state.uid_validity(key)?,
            None => None,
        };
        if !budget.has_mailbox(Side::Remote, &own, uid_validity) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn confirmed<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    homes: &[Home],
    (side, suspects, untold): (Side, Vec<Suspect>, &mut Untold),
    pass: &mut PassState,
) -> Result<BTreeMap<MailboxName, MailboxName>, Ended> {
    let mut all = BTreeMap::new();
    let known: BTreeMap<&MailboxName, &Home> =
        homes.iter().map(|home| (&home.name, home)).collect();
    for Suspect { name, now, proved } in suspects {
        let home = known.get(&name).copied();
        let Some(home) = home.filter(|_| ctx.concerns(&name) && ctx.concerns(&now)) else {
            continue;
        };
        if !proved {
            let base = ctx.state.base(home.key)?;
            let vouched = match side {
                Side::Remote => vouched_there(ctx, &base, &now).await,
                Side::Local => vouched_here(ctx, &base, &now).await,
            };
            match vouched {
                Ok(true) => {}
                // Another UIDVALIDITY is an answer, too.
                Ok(false) | Err(StoreError::Stale(_)) => continue,
                Err(error) if error.is_local_to_mailbox() => {
                    pass.trouble(Some(&now), &error);
                    untold.insert((name, now));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        }
        all.insert(name, now);
    }
    Ok(all)
}

/// Whether the messages of a mailbox are under this name on the server, with their UIDs.
async fn vouched_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
    now: &MailboxName,
) -> Result<bool, StoreError> {
    let (mailbox, uid_validity) = (now.clone(), base.uid_validity);
    let pairs: BTreeMap<Uid, &Pair> = witnesses(base)
        .into_iter()
        .map(|pair| (pair.uid, pair))
        .collect();
    let uids: Vec<Uid> = pairs.keys().copied().collect();
    let told = kin_there(
        &mut *ctx.remote,
        &Place {
            mailbox,
            uid_validity,
        },
        &uids,
    )
    .await?;
    let mut fits = told.iter().map(|(uid, kin)| {
        let pair = pairs.get(uid);
        pair.is_some_and(|pair| pair.kin == Some(*kin))
    });
    Ok(!told.is_empty() && fits.all(|fits| fits))
}

/// Whether the files of a mailbox are under this name on disk.
async fn vouched_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    base: &MailboxBase,
    now: &MailboxName,
) -> Result<bool, StoreError> {
    let (mailbox, uid_validity) = (now.clone(), None);
    let files: Vec<_> = witnesses(base)
        .into_iter()
        .map(|pair| (pair.file.clone(), None))
        .collect();
    let place = Place {
        mailbox,
        uid_validity,
    };
    let told = ctx.local.excerpts(&place, &files).await?;
    Ok(told.len() * 2 > files.len())
}

/// Records the identities of mailboxes, to find them under other names.
pub(in crate::engine) fn note_identities<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    homes: Vec<Home>,
    (remote, local): (&[Listed], &[Listed]),
) -> Result<(), Ended> {
    let mut news = Vec::new();
    // These are matched again first.
    let others = anew::others(&homes, local);
    let (remote, local) = (identities(remote), identities(local));
    for mut home in homes {
        let old = (home.remote.clone(), home.local.clone());
        let own = |of: &BTreeMap<&MailboxName, &str>| of.get(&home.name).map(|id| (*id).into());
        let (there, here) = (own(&remote), own(&local));
        let here = here.filter(|_| !others.contains_key(&home.name));
        home.remote = there.or(home.remote);
        home.local = here.or(home.local);
        if (&home.remote, &home.local) != (&old.0, &old.1) {
            news.push(home);
        }
    }
    if !news.is_empty() {
        ctx.state.set_identities(&news)?;
    }
    Ok(())
}

/// Executes renames and records them. A refused one is not retried in this run: the messages
/// move instead.
pub(in crate::engine) async fn rename_mailboxes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    actions: &[MailboxAction],
    pass: &mut PassState,
) -> Result<(), Ended> {
    let (mut changes, mut renamed) = (Vec::new(), Vec::new());
    for action in actions {
        ctx.check_stop()?;
        match action {
            MailboxAction::Rename { on, from, to } => {
                let done = rename_on(ctx, *on, from, to).await;
                if let Err(error) = &done
                    && error.is_local_to_mailbox()
                {
                    pass.note(format!("{from} is not renamed to {to} on {on}: {error}"));
                    pass.not_renamed.extend(concerned(actions, from, to));
                    if leaving::is_returning(from, to) {
                        pass.not_renamed.insert(to.clone());
                    }
                    return name_back(ctx, renamed, (*on, from, to), pass).await;
                }
                done?;
                renamed.push((*on, from, to));
                match on {
                    Side::Remote => pass.counts.mailboxes_renamed_remote += 1,
                    Side::Local => pass.counts.mailboxes_renamed_local += 1,
                }
                changes.push(HistoryChange {
                    mailbox: to.clone(),
                    side: *on,
                    what: "mailbox-renamed",
                    message: None,
                    why: format!("from {from}"),
                    kept: None,
                    flags: None,
                    trail: Some(Trail::from(from)),
                });
            }
            MailboxAction::Follow { .. } => {}
            _ => return Ok(()),
        }
    }
    let keys = ctx.state.mailboxes()?;
    let names = actions.iter().filter_map(|action| match action {
        MailboxAction::Follow { from, to } => Some((*keys.get(from)?, to.clone())),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    ctx.state.rename_mailboxes(&names, &changes)?;
    Ok(())
}

async fn rename_on<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    on: Side,
    from: &MailboxName,
    to: &MailboxName,
) -> Result<(), StoreError> {
    match on {
        Side::Remote => ctx.remote.rename_mailbox(from, to).await,
        Side::Local => ctx.local.rename_mailbox(from, to).await,
    }
}

/// Reverts temporary names if an exchange failed, as they would look like new mailboxes. The
/// next pass records other renames.
async fn name_back<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    renamed: Vec<Renamed<'_>>,
    refused: Renamed<'_>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let both = || renamed.iter().chain([&refused]);
    let entered = both().filter(|(_, _, to)| renames::is_passing(to)).count();
    let left = renamed
        .iter()
        .filter(|(_, from, _)| renames::is_passing(from));
    if entered == left.count() {
        return Ok(());
    }
    // A refused rename may have happened; usually there is nothing to revert.
    let (on, from, to) = refused;
    match rename_on(ctx, on, to, from).await {
        Err(error) if !error.is_local_to_mailbox() => return Err(error.into()),
        _ => {}
    }
    for (on, from, to) in renamed.into_iter().rev() {
        match rename_on(ctx, on, to, from).await {
            Ok(()) => {}
            Err(error) if error.is_local_to_mailbox() => pass.trouble(Some(to), &error),
            Err(error) => return Err(error.into()),
        }
        match on {
            Side::Remote => pass.counts.mailboxes_renamed_remote -= 1,
            Side::Local => pass.counts.mailboxes_renamed_local -= 1,
        }
    }
    Ok(())
}

/// Returns the identity of each mailbox on a side.
fn identities(listed: &[Listed]) -> BTreeMap<&MailboxName, &str> {
    let known = listed.iter().filter_map(|one| {
        let identity = one.identity.as_ref()?;
        Some((&one.name, identity.text.as_str()))
    });
    known.collect()
}

/// Returns messages of a mailbox, evenly spread.
fn witnesses(base: &MailboxBase) -> Vec<&Pair> {
    let step = base.pairs.len().div_ceil(WITNESSES).max(1);
    base.pairs.iter().step_by(step).collect()
}

/// Returns the mailboxes that a failed rename concerns: those with this final name; in an exchange
/// all of them.
fn concerned(
    actions: &[MailboxAction],
    from: &MailboxName,
    to: &MailboxName,
) -> BTreeSet<MailboxName> {
    let follow = actions.iter().filter_map(|action| match action {
        MailboxAction::Follow { from, to } => Some((from, to)),
        _ => None,
    });
    let all: Vec<_> = follow.collect();
    let own = all.iter().filter(|(base, end)| *end == to || *base == from);
    let own: BTreeSet<MailboxName> = own.map(|(base, _)| (*base).clone()).collect();
    match own.is_empty() {
        true => all.into_iter().map(|(base, _)| base.clone()).collect(),
        false => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_that_failed_is_about_where_it_began_or_was_to_end() {
        let mb = |name: &str| MailboxName::parse(name).unwrap();
        let follow = |from: &str, to: &str| MailboxAction::Follow {
            from: mb(from),
            to: mb(to),
        };
        let actions = [follow("A", "B"), follow("C", "D")];
        let about = |from: &str, to: &str| {
            let all = concerned(&actions, &mb(from), &mb(to));
            all.iter().map(MailboxName::to_string).collect::<Vec<_>>()
        };
        assert_eq!(about("A", "B"), ["A"]);
        assert_eq!(about("C", "x"), ["C"]);
        assert_eq!(about("x", "B"), ["A"]);
        assert_eq!(about("x", "y"), ["A", "C"], "names are exchanged");
    }
}
