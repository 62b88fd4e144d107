//! Messages at which the connection broke during upload. Each is sent separately, after all others,
//! when a snapshot proved that it was not stored; one at which it breaks again is skipped.

use crate::engine::context::Context;
use crate::engine::execute::transfer::breaks::FEW;
use crate::engine::execute::transfer::posted::{Answers, Suspect, UploadJob, Way};
use crate::engine::execute::transfer::upload;
use crate::engine::execute::transfer::upload::go_on_after;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::Id;
use crate::store::{LocalStore, RemoteStore, StoreError};

/// Sends the messages at which the connection broke, each separately. One at which it breaks
/// again is skipped once it is known not to be stored.
pub(in crate::engine) async fn post_suspects<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    jobs: &[UploadJob],
    way: &mut Way<'_, R::Receiver>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    let each = |job| UploadJob::each_suspect(job);
    let mut all: Vec<(&UploadJob, &Suspect)> = jobs.iter().flat_map(each).collect();
    all.sort_by_key(|(_, suspect)| suspect.breaks);
    let (culprits, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(_, one)| one.is_culprit());
    for (job, suspect) in others {
        post_alone(ctx, job, suspect, way, pass).await?;
    }
    let first = culprits
        .iter()
        .filter(|(_, one)| one.wanted.1.attempts == 0);
    if pass.counts.uploaded == 0 && first.count() > FEW {
        // Nothing passed: the connection may be the cause.
        for (job, suspect) in culprits {
            post_alone(ctx, job, suspect, way, pass).await?;
        }
        return Ok(());
    }
    for (job, suspect) in culprits {
        let why = "the connection breaks at this message".to_owned();
        let answers = Answers {
            sent: Vec::new(),
            failed: vec![(suspect.wanted.0.clone(), why)],
            begun: None,
            delivered: Vec::new(),
        };
        let batch = std::slice::from_ref(&suspect.wanted);
        upload::record_uploads(ctx, job, batch, answers, pass).await?;
    }
    Ok(())
}

async fn post_alone<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    job: &UploadJob,
    suspect: &Suspect,
    way: &mut Way<'_, R::Receiver>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    ctx.check_stop()?;
    let name = &job.place.mailbox;
    let batch = std::slice::from_ref(&suspect.wanted);
    let sent = match upload::post_batch(ctx, job, batch, pass).await {
        Ok(posted) => upload::take_answers(ctx, posted, way, pass).await,
        Err(ended) => {
            way.unsound.insert(name.clone());
            ctx.tolerate(name, Err(ended), pass).map(drop)
        }
    };
    match sent {
        Ok(()) => {
            let id = suspect.wanted.0.any();
            Ok(ctx.state.clear_suspects(job.key, &[id])?)
        }
        Err(Ended::Store(error @ StoreError::Retry(_))) => go_on_after(ctx, error, way).await,
        Err(ended) => Err(ended),
    }
}
