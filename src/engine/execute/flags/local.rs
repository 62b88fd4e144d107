//! Sets flags on both sides, and records links.

use crate::engine::context::Context;
use crate::engine::execute::flags::remote;
use crate::engine::execute::flags::update::{Setting, There};
use crate::engine::execute::job::{Work, Works};
use crate::engine::identify::contents::{Content, Contents};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{FlagChange, Flags, Id, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::action::Link;
use crate::reconcile::{Action, Outcome};
use crate::state::MailboxOutcomes;
use crate::store::{FlagEdit, LocalStore, RemoteStore};
use std::collections::BTreeSet;

/// A message with the changes on both sides and the final flags.
type Edit = (Uid, MaildirId, FlagChange, FlagChange, Flags);

/// Changes that were made and not recorded yet: those of several mailboxes are synced and recorded
/// together.
#[derive(Default)]
pub(in crate::engine) struct Agreed {
    done: Vec<(MailboxName, MailboxOutcomes)>,
    messages: usize,
    /// Mailboxes whose sync failed.
    failed: Vec<MailboxName>,
}

/// Most messages that are recorded together.
const TOGETHER: usize = 1000;

/// Sets all flags, and records links.
pub(in crate::engine) async fn flag_mail<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut agreed = Agreed::default();
    let flagged = flag_all(ctx, works, &mut agreed, pass).await;
    // Executed changes are recorded also after an error.
    let recorded = agree(ctx, &mut agreed, pass).await;
    for name in agreed.failed {
        if let Some(work) = works.get_mut(&name) {
            work.sound = false;
        }
    }
    recorded.and(flagged)
}

async fn flag_all<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    agreed: &mut Agreed,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let there = remote::flags_there(ctx, works, pass).await?;
    for (name, work) in works {
        ctx.check_stop()?;
        let done = match there.failed.contains(name) {
            false => flag_one(ctx, work, agreed, &there, pass).await,
            true => {
                work.sound = false;
                continue;
            }
        };
        if ctx.tolerate(name, done, pass)?.is_err() {
            work.sound = false;
        }
    }
    Ok(())
}

async fn flag_one<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &mut Work,
    agreed: &mut Agreed,
    there: &There,
    pass: &mut PassState,
) -> Result<(), Ended> {
    set_flags(ctx, work, agreed, there, pass).await?;
    if agreed.messages > TOGETHER || links(work) {
        agree(ctx, agreed, pass).await?;
    }
    link(ctx, work, pass).await
}

async fn agree<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    agreed: &mut Agreed,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let settled = ctx.local.sync_all().await.map_err(Ended::from);
    agreed.messages = 0;
    let (names, done): (Vec<_>, Vec<_>) = agreed.done.drain(..).unzip();
    let Some(name) = names.first() else {
        return settled;
    };
    match ctx.tolerate(name, settled, pass)? {
        Ok(()) => ctx.state.record(&done)?,
        // The next pass retries the sync before it records anything.
        Err(_) => agreed.failed.extend(names),
    }
    Ok(())
}

async fn set_flags<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &mut Work,
    agreed: &mut Agreed,
    there: &There,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let settings: Vec<Setting<'_>> = work.plan.actions.iter().filter_map(Setting::of).collect();
    if settings.is_empty() {
        return Ok(());
    }
    let set = |setting: &&Setting<'_>| setting.remote.is_empty() || there.has(work, setting);
    let edit = |s: &Setting<'_>| FlagEdit {
        id: s.pair.file.clone(),
        change: s.local.clone(),
        saw: Some(likely(s.merged, &s.local)),
    };
    let here = settings.iter().filter(|s| !s.local.is_empty());
    let edits: Vec<FlagEdit<MaildirId>> = here.map(edit).collect();
    ctx.local.hold_syncs();
    let local = edit_here(ctx, work, &edits, pass).await?;
    let holds = |s: &&Setting<'_>| s.local.is_empty() || local.contains(&s.pair.file);
    // The cursor does not advance while changes remain.
    let sound = settings.iter().all(|s| !s.first && set(&s) && holds(&s));
    let mut done = MailboxOutcomes::of(work.base.key);
    let open = settings.iter().filter(|s| !s.is_there_only());
    for setting in open.filter(set).filter(holds) {
        setting.record(work, &mut done);
    }
    work.sound &= sound;
    agreed.messages += done.outcomes.len();
    agreed.done.push((work.base.name.clone(), done));
    Ok(())
}

/// Changes flags on both sides; returns the messages for which all changes hold.
async fn edit<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &Work,
    wanted: &[Edit],
    pass: &mut PassState,
) -> Result<BTreeSet<Uid>, Ended> {
    let (mut remote, mut local) = (Vec::new(), Vec::new());
    for (uid, file, there, here, merged) in wanted {
        if !there.is_empty() {
            remote.push(FlagEdit {
                id: *uid,
                change: there.clone(),
                saw: None,
            });
        }
        if !here.is_empty() {
            local.push(FlagEdit {
                id: file.clone(),
                change: here.clone(),
                saw: Some(likely(merged, here)),
            });
        }
    }
    let mut remote_done = BTreeSet::new();
    if !remote.is_empty() {
        let set = ctx.remote.set_flags(&work.place(), &remote).await;
        for one in ctx.remote.take_refused() {
            ctx.state.refuse_keyword(work.base.key, &one.keyword)?;
            pass.refused_keyword(&one);
        }
        remote_done.extend(set?);
        pass.counts.flags_remote += remote_done.len();
    }
    let local_done = edit_here(ctx, work, &local, pass).await?;
    let holds = |(uid, file, there, here, _): &&Edit| {
        (there.is_empty() || remote_done.contains(uid))
            && (here.is_empty() || local_done.contains(file))
    };
    Ok(wanted.iter().filter(holds).map(|(uid, ..)| *uid).collect())
}

async fn edit_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &Work,
    edits: &[FlagEdit<MaildirId>],
    pass: &mut PassState,
) -> Result<BTreeSet<MaildirId>, Ended> {
    if edits.is_empty() {
        return Ok(BTreeSet::new());
    }
    let done = ctx.local.set_flags(&work.place(), edits).await?;
    pass.counts.flags_local += done.len();
    Ok(done.into_iter().collect())
}

/// Rows 40 and 42: flags first, then the pair; otherwise a cut in between would record flags
/// that a side lacks.
async fn link<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &mut Work,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut wanted: Vec<Edit> = Vec::new();
    for action in &work.plan.actions {
        if let Action::Link(link) = action {
            let (remote, local) = (link.remote.clone(), link.local.clone());
            wanted.push((
                link.uid,
                link.file.clone(),
                remote,
                local,
                link.flags.clone(),
            ));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let done = edit(ctx, work, &wanted, pass).await?;
    let files: Vec<MaildirId> = wanted.into_iter().map(|(_, file, ..)| file).collect();
    let mut sink = Contents::default();
    ctx.local.read(&work.place(), &files, &mut sink).await?;
    let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
    for action in &work.plan.actions {
        let Action::Link(link) = action else {
            continue;
        };
        let (done, read) = (done.contains(&link.uid), sink.all.get(&link.file));
        let (true, Some(content)) = (done, read) else {
            work.sound = false;
            continue;
        };
        let (uid, file, flags) = (link.uid, link.file.clone(), link.flags.clone());
        changes.push(work.change(Side::Local, "linked", file.any(), format!("with {uid}")));
        outcomes.push(Outcome::Paired {
            uid,
            file,
            flags,
            hash: content.hash,
            size: content.stored,
            stamp: content.stamp,
            kin: None,
            replaces: link.replaces,
        });
        let unproven = work.unproven.contains(&uid);
        outcomes.extend(unproven.then_some(Outcome::Unproven { uid }));
        if work.uploads.sent.contains(&link.file) {
            outcomes.extend(sent(link, content));
            if !link.remote.is_empty() {
                // The next snapshot shows whether the server keeps these flags.
                ctx.state.look_anew(work.base.key)?;
                work.complete = false;
            }
        }
    }
    pass.counts.linked += changes.len();
    ctx.state.apply(work.base.key, &outcomes, &changes)?;
    Ok(())
}

/// Returns further rows for an upload that was found on the server: its number, and whether missing
/// flags were set.
fn sent(link: &Link, content: &Content) -> Vec<Outcome> {
    let (uid, file) = (link.uid, link.file.clone());
    let mut outcomes = vec![Outcome::Called {
        uid,
        file: file.clone(),
        name: Some(content.called),
    }];
    if !link.remote.add.is_empty() {
        outcomes.push(Outcome::Unlisted {
            uid,
            file: file.clone(),
            above: 0,
            tries: 1,
        });
        outcomes.push(Outcome::Corrected(file));
    }
    outcomes
}

/// Returns the likely current flags of a file.
fn likely(merged: &Flags, change: &FlagChange) -> Flags {
    merged.difference(&change.add).union(&change.remove)
}

/// Whether messages are to be linked.
fn links(work: &Work) -> bool {
    let link = |action: &Action| matches!(action, Action::Link(_));
    work.plan.actions.iter().any(link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain_values::{download, work};
    use crate::model::SystemFlag;
    use crate::model::Uid;

    #[test]
    fn a_file_most_likely_has_what_leads_to_the_merged_flags() {
        let flags = |all: &[SystemFlag]| Flags::of(all);
        let (seen, flagged) = (SystemFlag::Seen, SystemFlag::Flagged);
        let change = FlagChange {
            add: flags(&[seen]),
            remove: flags(&[flagged]),
        };
        let merged = flags(&[seen, SystemFlag::Answered]);
        let want = flags(&[flagged, SystemFlag::Answered]);
        assert_eq!(likely(&merged, &change), want);
    }

    #[test]
    fn messages_are_taken_for_one_where_a_plan_links() {
        let link = Link {
            uid: Uid::new(1).unwrap(),
            file: MaildirId::new("f"),
            flags: Flags::default(),
            remote: FlagChange::default(),
            local: FlagChange::default(),
            replaces: None,
        };
        let link = Action::Link(link.into());
        assert!(!links(&work("A", vec![download(1)])));
        assert!(links(&work("A", vec![download(1), link])));
    }
}
