//! Copying within one side, where the other side did so, and taking back out of quarantine what
//! turned up elsewhere: no body passes the wire. Copies on the server are uploads without a body:
//! noted beforehand, and done when a listing shows them, as those are.

use crate::engine::context::Context;
use crate::engine::execute::job::{Work, Works};
use crate::engine::execute::move_messages;
use crate::engine::execute::move_messages::{BATCH, Route};
use crate::engine::execute::transfer::breaks::IN_SUCCESSION;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{AnyId, Flags, Id, MailboxName, MaildirId, Origin, Side, Uid};
use crate::reconcile::action::{Duplicate, Recall};
use crate::reconcile::three_way::{Opinion, merge};
use crate::reconcile::{Action, FlagMask, Outcome};
use crate::store::{Delivery, LocalStore, Place, RemoteStore, Shift, StoreError, Transfer};
use std::collections::BTreeMap;

/// A copy to make on the server: its source, and the file that it becomes a pair with.
type Copied<'a> = (Uid, MaildirId, &'a Duplicate);

/// Copies within one side, and restores.
pub(in crate::engine) async fn duplicate_mail<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut routes: BTreeMap<Route, Vec<Duplicate>> = BTreeMap::new();
    let mut recalls: Vec<(MailboxName, Recall)> = Vec::new();
    for (to, work) in works.iter() {
        for action in &work.plan.actions {
            match action {
                Action::Duplicate(copy) => {
                    let route = (copy.id.side(), copy.from.clone(), to.clone());
                    routes.entry(route).or_default().push((**copy).clone());
                }
                Action::Recall(recall) => recalls.push((to.clone(), (**recall).clone())),
                _ => {}
            }
        }
    }
    for ((side, from, to), copies) in routes {
        for batch in copies.chunks(BATCH) {
            ctx.check_stop()?;
            let done = match side {
                Side::Local => duplicate_here(ctx, works, (&from, &to), batch, pass).await,
                Side::Remote => duplicate_there(ctx, works, (&from, &to), batch, pass).await,
            };
            move_messages::settle(ctx, &to, done, works, pass)?;
        }
    }
    for (to, recall) in recalls {
        let done = restore_copy(ctx, works, &to, &recall, pass).await;
        move_messages::settle(ctx, &to, done, works, pass)?;
    }
    Ok(())
}

async fn duplicate_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    (from, to): (&MailboxName, &MailboxName),
    copies: &[Duplicate],
    pass: &mut PassState,
) -> Result<(), Ended> {
    let source = move_messages::place(ctx, works, from)?;
    let Some(work) = works.get(to) else {
        return Ok(());
    };
    let mut by_file: BTreeMap<MaildirId, Vec<(Uid, &Duplicate)>> = BTreeMap::new();
    for copy in copies {
        if let (AnyId::Local(file), AnyId::Remote(uid)) = (&copy.id, &copy.partner) {
            by_file.entry(file.clone()).or_default().push((*uid, copy));
        }
    }
    // One after another: a file may be copied twice into one mailbox.
    while !by_file.is_empty() {
        let mut round: BTreeMap<MaildirId, (Uid, &Duplicate)> = BTreeMap::new();
        by_file.retain(|file, wanted| {
            round.extend(wanted.pop().map(|one| (file.clone(), one)));
            !wanted.is_empty()
        });
        let shift = |(file, (uid, copy)): (&MaildirId, &(Uid, &Duplicate))| Shift {
            id: file.clone(),
            delivery: Some(Delivery {
                tag: 0,
                flags: copy.flags.clone(),
                date: None,
                origin: work.base.uid_validity.map(|uid_validity| Origin {
                    mailbox: work.base.tag,
                    uid_validity,
                    uid: *uid,
                }),
            }),
            size: Some(copy.size),
            renamed: false,
            agreed: Flags::default(),
        };
        let shifts: Vec<Shift<MaildirId>> = round.iter().map(shift).collect();
        let place = work.place();
        let done = ctx
            .local
            .transfer(&source, &place, Transfer::Copy, &shifts)
            .await?;
        let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
        for (old, new) in done {
            let (Some((uid, copy)), Some(file)) = (round.get(&old), new) else {
                continue;
            };
            let why = format!("copied from {from}, as {uid} was there");
            changes.push(work.change(Side::Local, "copied", file.any(), why));
            outcomes.push(paired(*uid, file, copy));
        }
        pass.counts.copied_local += outcomes.len();
        ctx.state.apply(work.base.key, &outcomes, &changes)?;
    }
    Ok(())
}

async fn duplicate_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    (from, to): (&MailboxName, &MailboxName),
    copies: &[Duplicate],
    pass: &mut PassState,
) -> Result<(), Ended> {
    let source = move_messages::place(ctx, works, from)?;
    let Some(work) = works.get(to) else {
        return Ok(());
    };
    let mut by_uid: BTreeMap<Uid, Vec<(MaildirId, &Duplicate)>> = BTreeMap::new();
    for copy in copies {
        if let (AnyId::Remote(uid), AnyId::Local(file)) = (&copy.id, &copy.partner) {
            by_uid.entry(*uid).or_default().push((file.clone(), copy));
        }
    }
    // One after another: a message may be copied twice into one mailbox.
    let (mut broke, mut breaks) = (None, 0);
    while !by_uid.is_empty() {
        let mut round: Vec<Copied<'_>> = Vec::new();
        by_uid.retain(|uid, wanted| {
            round.extend(wanted.pop().map(|(file, copy)| (*uid, file, copy)));
            !wanted.is_empty()
        });
        match copy_there(ctx, (&source, work), round, pass).await {
            // A snapshot finds the copies; the others are uploaded then.
            Err(Ended::Store(error @ StoreError::Retry(_))) => {
                breaks += 1;
                if breaks >= IN_SUCCESSION || !ctx.remote.connect().await {
                    return Err(error.into());
                }
                broke = Some(error);
            }
            done => done?,
        }
    }
    match broke {
        None => Ok(()),
        Some(error) => Err(StoreError::Mailbox(format!(
            "the connection broke while messages were copied from {from} to {to}; those that \
             were not copied are uploaded: {error}"
        ))
        .into()),
    }
}

/// Copies messages by one command.
async fn copy_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    (source, work): (&Place, &Work),
    part: Vec<Copied<'_>>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let (key, from) = (work.base.key, &source.mailbox);
    let round = part
        .into_iter()
        .map(|(uid, file, copy)| (uid, (file, copy)));
    let round: BTreeMap<Uid, (MaildirId, &Duplicate)> = round.collect();
    let files: Vec<MaildirId> = round.values().map(|(file, _)| file.clone()).collect();
    let now = (ctx.world.now)();
    ctx.state.begin_uploads(key, &files, work.top, now)?;
    ctx.state.commit_uploads(key, now)?;
    let shift = |uid: &Uid| Shift {
        id: *uid,
        delivery: None,
        size: None,
        renamed: false,
        agreed: Flags::default(),
    };
    let shifts: Vec<Shift<Uid>> = round.keys().map(shift).collect();
    let place = work.place();
    let done = ctx
        .remote
        .transfer(source, &place, Transfer::Copy, &shifts)
        .await;
    if let Err(error) = &done
        && error.is_local_to_mailbox()
    {
        // The server answered NO: nothing was copied.
        ctx.state.end_uploads(key, &files)?;
    }
    let done: BTreeMap<Uid, Option<Uid>> = done?.into_iter().collect();
    let (mut outcomes, mut changes, mut over) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = Vec::new();
    for (old, (file, copy)) in round {
        match done.get(&old) {
            Some(Some(uid)) => {
                let why = format!("copied from {from}, as {file} was here");
                changes.push(work.change(Side::Remote, "copied", uid.any(), why));
                pass.uploaded.insert((key, file.clone()));
                pass.counts.copied_remote += 1;
                outcomes.extend(unlisted(*uid, file, copy, work.top));
            }
            // Copied under an unknown UID; the next pass finds it.
            Some(None) => {
                pass.uploaded.insert((key, file.clone()));
                taken.push(file);
            }
            None => over.push(file),
        }
    }
    ctx.state.apply(key, &outcomes, &changes)?;
    ctx.state.take_uploads(key, &taken)?;
    ctx.state.end_uploads(key, &over)?;
    Ok(())
}

async fn restore_copy<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &Works,
    to: &MailboxName,
    recall: &Recall,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let Some(work) = works.get(to) else {
        return Ok(());
    };
    let opinion = |flags| Opinion {
        flags,
        sees: &FlagMask::All,
        stores: &FlagMask::All,
        follows: true,
        vague: false,
    };
    let flags = merge(
        &recall.agreed,
        &opinion(&recall.there),
        &opinion(&recall.here),
    );
    let delivery = Delivery {
        tag: 0,
        flags: flags.merged,
        date: None,
        origin: work.base.uid_validity.map(|uid_validity| Origin {
            mailbox: work.base.tag,
            uid_validity,
            uid: recall.uid,
        }),
    };
    let back = ctx
        .local
        .restore(&work.place(), &recall.path, &delivery)
        .await?;
    if let Some((file, size)) = back {
        let why = format!("moved there to {to}; taken out of quarantine");
        let change = work.change(Side::Local, "recalled", file.any(), why);
        // The base gets the server's flags; local changes are sent next.
        let outcome = Outcome::Paired {
            uid: recall.uid,
            file,
            flags: recall.there.clone(),
            hash: recall.hash,
            size,
            stamp: None,
            kin: recall.kin,
            replaces: None,
        };
        pass.counts.moved_local += 1;
        ctx.state.apply(work.base.key, &[outcome], &[change])?;
    }
    ctx.state.unbury(std::slice::from_ref(&recall.path))?;
    Ok(())
}

fn paired(uid: Uid, file: MaildirId, copy: &Duplicate) -> Outcome {
    Outcome::Paired {
        uid,
        file,
        flags: copy.flags.clone(),
        hash: copy.hash,
        size: copy.size,
        stamp: None,
        kin: copy.kin,
        replaces: None,
    }
}

/// A copy whose UID the server told, and that it has not listed yet.
fn unlisted(uid: Uid, file: MaildirId, copy: &Duplicate, above: u32) -> [Outcome; 2] {
    let noted = Outcome::Unlisted {
        uid,
        file: file.clone(),
        above,
        tries: 1,
    };
    [paired(uid, file, copy), noted]
}
