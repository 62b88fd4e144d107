//! Drops, adds and creates mailboxes before their messages are copied.

use crate::engine::context::Context;
use crate::engine::execute::job::Works;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{MailboxKey, MailboxName, Side};
use crate::reconcile::MailboxAction;
use crate::reconcile::mailbox_action::{Forget, Rematch};
use crate::state::HistoryChange;
use crate::store::{Ask, Depth, LocalStore, RemoteStore};

/// Executes an action for mailboxes and removes those that failed. Mailboxes on disk are
/// created and recorded together, as a first run has hundreds.
pub(in crate::engine) async fn begin_mailboxes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    actions: Vec<MailboxAction>,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let (mut here, mut known) = (Vec::new(), Vec::new());
    for action in actions {
        let name = action.name().clone();
        match action {
            MailboxAction::Forget(_) => {
                if let Some(key) = ctx.state.mailbox_key(&name)? {
                    ctx.state.forget_mailbox(key)?;
                }
            }
            MailboxAction::Adopt(_) => known.push(name),
            MailboxAction::Rematch {
                rematch, identity, ..
            } => match_anew(ctx, &name, (rematch, identity), works, pass)?,
            MailboxAction::Create {
                on: Side::Local,
                forget,
                ..
            } => here.push((name, forget)),
            MailboxAction::Create {
                on: Side::Remote,
                forget,
                ..
            } => {
                let done = create_there(ctx, &name, forget, works, pass).await;
                if let Err(error) = ctx.tolerate(&name, done, pass)? {
                    works.remove(&name);
                    tracing::debug!(mailbox = %name, %error, "left for the next run");
                }
            }
            MailboxAction::Delete { .. }
            | MailboxAction::Rename { .. }
            | MailboxAction::Follow { .. } => {}
        }
    }
    here.retain(|(name, _)| works.contains_key(name));
    known.extend(create_here(ctx, &here, works, pass).await?);
    remember_mailboxes(ctx, &known, works)
}

/// Drops the messages that a directory lacks, and records its identity last: a cut run finds
/// the difference again.
fn match_anew<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    (rematch, identity): (Rematch, String),
    works: &Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let Some(key) = works.get(name).map(|work| work.base.key) else {
        return Ok(());
    };
    if rematch.lost() > 0 {
        pass.note(format!(
            "{name}: its directory is another than before (put back from a copy, mounted?); \
             it is matched anew, and {} messages that it lacks come again from the server",
            rematch.lost()
        ));
    }
    ctx.state.look_anew(key)?;
    ctx.state.apply(key, &rematch.outcomes, &[])?;
    if rematch.whole {
        ctx.state.set_local_identity(key, &identity)?;
    }
    Ok(())
}

/// Creates mailboxes on disk; returns those to record.
async fn create_here<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    here: &[(MailboxName, Forget)],
    works: &mut Works,
    pass: &mut PassState,
) -> Result<Vec<MailboxName>, Ended> {
    for (name, forget) in here {
        forget_first(ctx, name, (Side::Local, *forget), works, pass)?;
    }
    let names: Vec<MailboxName> = here.iter().map(|(name, _)| name.clone()).collect();
    let made = ctx.local.create_mailboxes(&names).await;
    let (mut known, mut changes) = (Vec::new(), Vec::new());
    for ((name, forget), made) in here.iter().zip(made) {
        if let Err(error) = ctx.tolerate(name, made.map_err(Ended::from), pass)? {
            works.remove(name);
            tracing::debug!(mailbox = %name, %error, "left for the next run");
            continue;
        }
        pass.counts.mailboxes_created_local += 1;
        changes.push(line(name, Side::Local, "mailbox-created"));
        if *forget == Forget::Nothing {
            known.push(name.clone());
        }
    }
    ctx.state.apply(MailboxKey(0), &[], &changes)?;
    Ok(known)
}

/// Creates a mailbox on the server.
async fn create_there<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    forget: Forget,
    works: &mut Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    if !works.contains_key(name) {
        return Ok(());
    }
    forget_first(ctx, name, (Side::Remote, forget), works, pass)?;
    ctx.remote.create_mailbox(name).await?;
    if forget == Forget::Nothing {
        remember_mailboxes(ctx, std::slice::from_ref(name), works)?;
    }
    pass.counts.mailboxes_created_remote += 1;
    mailbox_history(ctx, name, Side::Remote, "mailbox-created")?;
    learn_new_mailbox(ctx, name, works).await
}

/// Dropped before the creation: a cut run would otherwise find the known messages missing and
/// delete them.
fn forget_first<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    (on, forget): (Side, Forget),
    works: &Works,
    pass: &mut PassState,
) -> Result<(), Ended> {
    if let (Forget::Messages, Some(work)) = (forget, works.get(name)) {
        let base = &work.base;
        ctx.state
            .forget_messages(base.key, &work.kept, &base.aside)?;
        pass.note(format!(
            "mailbox {name} was gone on {on} and is created there again"
        ));
    }
    Ok(())
}

fn remember_mailboxes<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    all: &[MailboxName],
    works: &mut Works,
) -> Result<(), Ended> {
    let tagged = |name| Some((name, works.get(name)?.base.tag));
    let tagged: Vec<(&MailboxName, u32)> = all.iter().filter_map(tagged).collect();
    let keys = ctx.state.add_mailboxes(&tagged)?;
    for ((name, _), key) in tagged.into_iter().zip(keys) {
        if let Some(work) = works.get_mut(name) {
            work.base.key = key;
        }
    }
    Ok(())
}

/// Records a change of a mailbox in the history.
pub(in crate::engine) fn mailbox_history<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    side: Side,
    what: &'static str,
) -> Result<(), Ended> {
    let change = line(name, side, what);
    Ok(ctx.state.apply(MailboxKey(0), &[], &[change])?)
}

/// Returns the UIDVALIDITY of a mailbox that was just created.
async fn learn_new_mailbox<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    name: &MailboxName,
    works: &mut Works,
) -> Result<(), Ended> {
    let Some(work) = works.get_mut(name) else {
        return Ok(());
    };
    let ask = Ask {
        base: &work.base,
        cursor: None,
        depth: Depth::Everything,
    };
    let look = ctx.remote.look(&ask).await?;
    if !look.seen.is_empty() {
        // It existed already, with messages: plan again.
        works.remove(name);
        return Ok(());
    }
    work.base.uid_validity = look.uid_validity;
    work.stores = look.stores;
    work.remote_cursor = look.cursor;
    Ok(())
}

/// Makes a history row of a mailbox.
pub(in crate::engine) fn line(name: &MailboxName, side: Side, what: &'static str) -> HistoryChange {
    HistoryChange {
        mailbox: name.clone(),
        side,
        what,
        message: None,
        why: String::new(),
        kept: None,
        flags: None,
        trail: None,
    }
}
