//! Executes a plan and records the outcomes. Order: create mailboxes, copy messages, set flags,
//! delete messages, delete mailboxes, advance cursors. After a failure the cursors of that mailbox
//! stay, so that the next snapshot shows it again.

pub(super) mod copy_within_side;
pub(super) mod create_mailboxes;
pub(super) mod delete;
pub(super) mod flags;
pub(super) mod job;
pub(super) mod move_messages;
pub(super) mod narrow;
pub(super) mod parallel;
pub(super) mod quarantine;
pub(super) mod refusals;
pub(super) mod singly;
pub(super) mod transfer;

use crate::engine::context::Context;
use crate::engine::execute::job::{Work, Works};
use crate::engine::execute::transfer::portion::Portion;
use crate::engine::execute::transfer::posted::UploadJob;
use crate::engine::execute::transfer::{download, present_files, upload_queue};
use crate::engine::identify::{letters, relabel};
use crate::engine::pass_state::PassState;
use crate::engine::report::{Ended, Event};
use crate::engine::snapshot::renames;
use crate::model::{Id, Side};
use crate::reconcile::{Action, Cursor, MailboxAction, Outcome, Plan};
use crate::state::Checkpoint;
use crate::store::{LocalStore, RemoteStore, Removal, StoreError};

pub(in crate::engine) async fn execute<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    plan: Plan,
    mut works: Works,
    pass: &mut PassState,
) -> Result<Works, Ended> {
    let renames = |action: &MailboxAction| {
        matches!(
            action,
            MailboxAction::Rename { .. } | MailboxAction::Follow { .. }
        )
    };
    if plan.mailboxes.iter().any(renames) {
        renames::rename_mailboxes(ctx, &plan.mailboxes, pass).await?;
        return Ok(works);
    }
    for (name, plan) in plan.messages {
        if let Some(work) = works.get_mut(&name) {
            work.plan = plan;
        }
    }
    let (mut deletions, mut others): (Vec<_>, Vec<_>) = plan
        .mailboxes
        .into_iter()
        .partition(|action| matches!(action, MailboxAction::Delete { .. }));
    others.sort_by_key(|action| action.name().depth());
    deletions.sort_by_key(|action| std::cmp::Reverse(action.name().depth()));
    create_mailboxes::begin_mailboxes(ctx, others, &mut works, pass).await?;
    announce(ctx, &works);
    relabel::relabel(ctx, &mut works, pass).await?;
    letters::note_letters(ctx, &mut works, pass).await?;
    copy_mail(ctx, &mut works, pass).await?;
    copy_within_side::duplicate_mail(ctx, &mut works, pass).await?;
    flags::local::flag_mail(ctx, &mut works, pass).await?;
    move_messages::move_mail(ctx, &mut works, pass).await?;
    delete::local::delete_here(ctx, &mut works, pass).await?;
    let failed = delete::remote::delete_there(ctx, &mut works, pass).await?;
    let mut checkpoints = Vec::new();
    for work in works
        .values_mut()
        .filter(|work| !failed.contains(&work.base.name))
    {
        bookkeeping(ctx, work)?;
        checkpoints.extend(left(ctx, work));
    }
    ctx.state.leave(&checkpoints)?;
    for action in deletions {
        let name = action.name().clone();
        let done = quarantine::delete_mailbox(ctx, action, pass).await;
        let _reported = ctx.tolerate(&name, done, pass)?;
    }
    for one in ctx.local.take_unchanged() {
        let what = format!("{} stays as it is here: {}", one.id, one.why);
        pass.trouble(Some(&one.mailbox), &StoreError::Mailbox(what));
    }
    move_messages::learn_kin(ctx, &works).await?;
    Ok(works)
}

fn announce<R: RemoteStore, L: LocalStore>(ctx: &Context<'_, R, L>, works: &Works) {
    let all = works.values().flat_map(|work| &work.plan.actions);
    let messages = all
        .filter(|action| matches!(action, Action::Copy { .. }))
        .count();
    let mailboxes = works
        .values()
        .filter(|work| !work.plan.actions.is_empty())
        .count();
    ctx.observer.event(Event::Planned {
        messages,
        mailboxes,
    });
}

async fn copy_mail<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let uid_validities = works
        .values()
        .filter_map(|work| Some((work.base.key, work.base.uid_validity?)));
    ctx.state
        .learn_epochs(&uid_validities.collect::<Vec<_>>())?;
    for work in works.values_mut() {
        let split = clear_the_way(ctx, work).await;
        let name = work.base.name.clone();
        if ctx.tolerate(&name, split, pass)?.is_err() {
            work.sound = false;
        }
    }
    let twins = present_files::new_files(ctx, works).await?;
    let mut portions: Vec<Portion<'_>> = works
        .values()
        .filter(|work| work.sound)
        .flat_map(Portion::of)
        .collect();
    portions.sort_by_key(|portion| !portion.mailbox().is_inbox());
    for name in download::download(ctx, portions, twins, pass).await? {
        if let Some(work) = works.get_mut(&name) {
            work.sound = false;
        }
    }
    let suspects = ctx.state.suspects()?;
    let job = |work: &Work| UploadJob::of(work, &suspects);
    let uploads: Vec<UploadJob> = works.values().filter_map(job).collect();
    for name in upload_queue::upload(ctx, uploads, pass).await? {
        if let Some(work) = works.get_mut(&name) {
            work.sound = false;
        }
    }
    Ok(())
}

/// Renames edited files and puts broken ones into quarantine. A tombstone records that the user
/// did not remove the message.
async fn clear_the_way<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &mut Work,
) -> Result<(), Ended> {
    let (place, key) = (work.place(), work.base.key);
    for action in &work.plan.actions {
        let (Action::Split { pair } | Action::Discard { pair }) = action else {
            continue;
        };
        let tombstone = Outcome::Tombstone {
            pair: pair.id,
            side: Side::Local,
        };
        ctx.state.apply(key, &[tombstone], &[])?;
        let change = match action {
            Action::Split { .. } => {
                let new = ctx.local.rename_edited(&place, &pair.file).await?;
                let why = format!("was edited in place as {}", pair.file);
                work.change(Side::Local, "split", new.any(), why)
            }
            _ => {
                let removal = Removal {
                    id: pair.file.clone(),
                    saw: None,
                    elsewhere: false,
                };
                ctx.local.remove(&place, &[removal]).await?;
                let why = "broken; it comes again from the server".to_owned();
                work.change(Side::Local, "quarantined", pair.file.any(), why)
            }
        };
        ctx.state.apply(key, &[], &[change])?;
    }
    Ok(())
}

fn bookkeeping<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    work: &mut Work,
) -> Result<(), Ended> {
    let mut outcomes: Vec<Outcome> = work.learned().collect();
    if outcomes
        .iter()
        .any(|one| matches!(one, Outcome::Corrected(_)))
    {
        // The next snapshot has all flags.
        ctx.state.look_anew(work.base.key)?;
        work.complete = false;
    }
    for action in &work.plan.actions {
        match action {
            Action::Forget { pair } => outcomes.push(Outcome::Dropped { pair: pair.id }),
            Action::Detach { pair, aside } => {
                outcomes.push(Outcome::Alone {
                    pair: Some(pair.id),
                    aside: (**aside).clone(),
                });
            }
            Action::SetAside(aside) => {
                outcomes.push(Outcome::Alone {
                    pair: None,
                    aside: (**aside).clone(),
                });
            }
            Action::Unaside(id) => outcomes.push(Outcome::Unaside(id.clone())),
            Action::Link(_)
            | Action::Copy { .. }
            | Action::Flags(_)
            | Action::Unmark { .. }
            | Action::Delete { .. }
            | Action::Move(_)
            | Action::Rekey(_)
            | Action::Duplicate(_)
            | Action::Recall(_)
            | Action::Split { .. }
            | Action::Discard { .. } => {}
        }
    }
    ctx.state.apply(work.base.key, &outcomes, &[])?;
    letters::note_own_keywords(ctx, work)
}

/// Advances cursors only past executed changes.
fn left<R: RemoteStore, L: LocalStore>(ctx: &Context<'_, R, L>, work: &Work) -> Option<Checkpoint> {
    let remote = ctx
        .remote
        .cursor_after_own_changes(&work.base.name, &work.remote_cursor);
    let cursors = [
        (Side::Remote, remote.as_ref().unwrap_or(&work.remote_cursor)),
        (Side::Local, &work.local_cursor),
    ];
    // A mailbox that was just created was not read on that side yet.
    let cursors = cursors
        .into_iter()
        .filter(|(_, cursor)| **cursor != Cursor::default());
    work.is_done().then(|| Checkpoint {
        key: work.base.key,
        cursors: cursors.map(|(side, c)| (side, c.clone())).collect(),
        full_at: work.full.then(|| ctx.time_of_compare()),
    })
}
