//! Reads mailboxes on the server.

use crate::engine::context::{Context, passed_over};
use crate::engine::execute::transfer::breaks::FEW;
use crate::engine::pass_state::PassState;
use crate::engine::report::{Ended, Event};
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::Looked;
use crate::engine::snapshot::request::Asked;
use crate::engine::snapshot::unchanged::is_as_recorded;
use crate::engine::snapshot::{read, uid_proof};
use crate::model::Side;
use crate::reconcile::MailboxPlan;
use crate::state::Checkpoint;
use crate::store::{LocalStore, RemoteStore, StoreError};

/// Reads these on the server, too, and excludes those that are as recorded.
pub(in crate::engine) async fn look_at_server<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    asked: Vec<Asked>,
    overview: &Overview,
    pass: &mut PassState,
) -> Result<Vec<Looked>, Ended> {
    let (mut looks, mut left, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    let moved = ctx.config_changed()?;
    // Commands of this run passed this connection, too.
    let (mut broken, mut witness) = (Vec::new(), pass.counts.changes() > 0);
    for here in asked {
        ctx.check_stop()?;
        let (name, sides) = (here.name().clone(), here.sides_with_news());
        ctx.observer.event(Event::Looking(&name));
        let settled = overview.is_settled(here.outline.key);
        // A change without a prior read is verified when it is made.
        let looked_at = here.there.is_none();
        let looked = read::look_there(ctx, here, settled).await;
        let looked = match looked {
            Err(Ended::Store(error @ StoreError::Retry(_)))
                if broken.len() < FEW && ctx.remote.connect().await =>
            {
                broken.push((name, sides, error));
                continue;
            }
            looked => looked,
        };
        witness |= looked_at && looked.is_ok();
        let Some(look) = passed_over(&name, looked, sides, pass)? else {
            continue;
        };
        if looked_at {
            checks.extend(uid_proof::check_of(ctx, &look.1, moved)?);
        }
        let Some(as_recorded) = is_as_recorded(ctx, &look, overview) else {
            looks.push(look);
            continue;
        };
        left.push(as_recorded);
        if overview.is_quiet(&name) {
            pass.compared(&name, &MailboxPlan::default());
        }
    }
    for (name, sides, error) in broken {
        // If no other mailbox could be read, the connection failed.
        let what = format!("the connection breaks when it is looked into: {error}");
        let error = match witness {
            true => StoreError::Mailbox(what),
            false => error,
        };
        let _passed: Option<()> = passed_over(&name, Err(error), sides, pass)?;
    }
    let proven = uid_proof::prove(ctx, checks, &mut looks, pass).await?;
    left.retain(|one: &Checkpoint| !proven.untold.contains(&one.key));
    looks.retain(|(_, scene)| !proven.untold.contains(&scene.base.key));
    for (name, key) in proven.others {
        left.retain(|one: &Checkpoint| one.key != key);
        looks.retain(|(_, scene)| scene.base.key != key);
        let looked = uid_proof::look_renumbered(ctx, &name, overview).await;
        let scene = passed_over(&name, looked, &Side::BOTH, pass)?;
        looks.extend(scene.map(|scene| (None, scene)));
    }
    if !ctx.options.dry_run {
        ctx.state.leave(&left)?;
    }
    Ok(looks)
}
