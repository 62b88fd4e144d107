//! Takes snapshots and plans. Changes neither side; changes the state only after a UIDVALIDITY
//! change.

use crate::engine::context::Context;
use crate::engine::execute::job::Survey;
use crate::engine::identify::{letters, moves};
use crate::engine::pass_state::PassState;
use crate::engine::plan::mailboxes::plan;
use crate::engine::recovery::moved_files;
use crate::engine::report::Ended;
use crate::engine::snapshot::account::{Overlook, overview, scenes};
use crate::store::{LocalStore, RemoteStore};

/// Lists both sides, reads changed mailboxes, and plans.
pub(super) async fn survey<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    pass: &mut PassState,
) -> Result<Survey, Ended> {
    let (mut overview, steps) = match overview(ctx, pass).await? {
        Overlook::Clear(overview, steps) => (overview, steps),
        Overlook::Renames(actions) => return Ok(Survey::first(actions)),
    };
    pass.counts.mailboxes = steps.iter().filter(|step| !step.is_passive()).count();
    let mut actions = Vec::new();
    let mut scenes = scenes(ctx, steps, &mut overview, &mut actions, pass).await?;
    let Some(astray) = moved_files::find_astray(ctx, &scenes, pass).await? else {
        return Ok(Survey::first(Vec::new()));
    };
    let noted = letters::read_noted_letters(ctx, &mut scenes, pass).await?;
    let known = (astray, noted);
    let moves = moves::find_moves(ctx, (&mut scenes, known), &overview, pass);
    let moves = moves.await?;
    let found = (&moves, &overview.others);
    let (mailboxes, works) = plan(ctx, scenes, found, actions, pass).await?;
    Ok(Survey {
        mailboxes,
        works,
        listed: overview.listed,
        whole: true,
    })
}
