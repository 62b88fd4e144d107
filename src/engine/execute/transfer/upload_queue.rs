//! Uploads new files, one mailbox after another.

use crate::engine::context::Context;
use crate::engine::execute::transfer::posted::{UploadJob, Way};
use crate::engine::execute::transfer::resend;
use crate::engine::execute::transfer::upload::{go_on_after, post_batch, take_answers};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::MailboxName;
use crate::store::{LocalStore, RemoteStore, StoreError};
use std::collections::BTreeSet;

/// Uploads new files, one mailbox after another; batches are sent while earlier ones are
/// answered. Returns the mailboxes with failures: refused for now, or stored under an unknown
/// UID.
pub(in crate::engine) async fn upload<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    jobs: Vec<UploadJob>,
    pass: &mut PassState,
) -> Result<BTreeSet<MailboxName>, Ended> {
    let mut way = Way::default();
    let sent = post(ctx, &jobs, &mut way, pass).await;
    // Sent messages are recorded also after an error.
    let taken = take_until(ctx, 0, &mut way, pass).await;
    sent.and(taken)?;
    resend::post_suspects(ctx, &jobs, &mut way, pass).await?;
    Ok(way.unsound)
}

pub(in crate::engine) async fn post<'j, R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    jobs: &'j [UploadJob],
    way: &mut Way<'j, R::Receiver>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    for job in jobs {
        for batch in job.wanted.chunks(UP_BATCH) {
            let mut left = batch;
            while !left.is_empty() {
                ctx.check_stop()?;
                let room = IN_DOUBT.saturating_sub(left.len());
                take_until(ctx, room, way, pass).await?;
                let name = &job.place.mailbox;
                let posted = match post_batch(ctx, job, left, pass).await {
                    Ok(posted) => posted,
                    Err(ended) => {
                        let _reported = ctx.tolerate(name, Err(ended), pass)?;
                        way.unsound.insert(name.clone());
                        break;
                    }
                };
                let broke = posted.broke.is_some();
                left = posted.after();
                way.open.push_back(posted);
                if broke {
                    take_until(ctx, 0, way, pass).await?;
                }
            }
        }
    }
    Ok(())
}

/// Records the results of batches until at most this many messages are under way. `Err` if the
/// connection broke and there is no other, or others broke as well.
pub(in crate::engine) async fn take_until<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    messages: usize,
    way: &mut Way<'_, R::Receiver>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let mut broke = None;
    while (broke.is_some() || way.messages() > messages)
        && let Some(batch) = way.open.pop_front()
    {
        match take_answers(ctx, batch, way, pass).await {
            Ok(()) => {}
            Err(Ended::Store(error @ StoreError::Retry(_))) => broke = Some(error),
            Err(ended) => return Err(ended),
        }
    }
    match broke {
        None => Ok(()),
        Some(error) => go_on_after(ctx, error, way).await,
    }
}

/// Uploads that are recorded together.
pub(in crate::engine) const UP_BATCH: usize = 100;

/// Uploads with an unknown result at once; this many are under way to a distant server.
pub(in crate::engine) const IN_DOUBT: usize = 500;
