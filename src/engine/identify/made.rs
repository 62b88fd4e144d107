//! New messages that a server made of uploads with another content.

use crate::engine::context::{Context, passed_over};
use crate::engine::identify::by_content::{above, match_uploads};
use crate::engine::identify::candidates::Candidates;
use crate::engine::identify::contents::Above;
use crate::engine::identify::local::Sent;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::Scenes;
use crate::model::{MaildirId, Side, Uid};
use crate::reconcile::sighting::Sighting;
use crate::store::{LocalStore, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// Removes new messages that seem to be copies of known ones, and that the server may have made of
/// an upload with another content.
pub(super) async fn leave_made<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    scenes: &Scenes,
    sent: &Sent,
    candidates: &Candidates,
    uids: &mut Vec<Sighting<Uid>>,
    pass: &mut PassState,
) -> Result<(), Ended> {
    if uids.is_empty() {
        return Ok(());
    }
    let (open, staying) = (ctx.state.uploads_in_doubt()?, candidates.staying(scenes));
    for (name, scene) in scenes {
        let new = uids.iter().filter(|one| one.mailbox == *name);
        let new: Vec<&Sighting<Uid>> = new.collect();
        let equal = |one: &Sighting<Uid>| sent.get(&(name.clone(), one.hash));
        let met = new.iter().filter_map(|one| equal(one));
        let met: BTreeSet<&MaildirId> = met.flat_map(|(_, files)| files).collect();
        let own = open.iter().filter(|(key, up)| {
            let there = !scene.local.shows_gone(&up.file) && !met.contains(&up.file);
            *key == scene.base.key && up.moved.is_none() && there
        });
        let files = own.map(|(_, up)| (up.file.clone(), above(up, &scene.local)));
        let files: BTreeMap<MaildirId, Above> = files.collect();
        let lowest = files.values().flatten().min().copied();
        let above = |one: &&&Sighting<Uid>| lowest.is_some_and(|lowest| one.id.get() > lowest);
        let alike = new.iter().filter(above).filter(|one| equal(one).is_none());
        let alike = alike.filter(|one| staying.contains(&one.hash));
        let alike: Vec<Uid> = alike.map(|one| one.id).collect();
        let met = match_uploads(ctx, &scene.place(), &alike, &files).await;
        if let Some(met) = passed_over(name, met, &Side::BOTH, pass)? {
            let made: BTreeSet<Uid> = met.links.into_iter().map(|(uid, _)| uid).collect();
            uids.retain(|one| one.mailbox != *name || !made.contains(&one.id));
        }
    }
    Ok(())
}
