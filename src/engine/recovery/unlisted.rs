//! Accepted uploads: actions for those that no listing shows, and records of those that one shows.

use crate::engine::context::Context;
use crate::engine::execute::job::{Uploads, Work};
use crate::engine::execute::transfer::posted::Answers;
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::engine::snapshot::mailbox::Scene;
use crate::model::{AnyId, Aside, AsideReason, Flags, Id, MailboxKey, MaildirId, Pair, Uid};
use crate::reconcile::settled::Settled;
use crate::reconcile::unlisted::{Next, Told, Unlisted};
use crate::reconcile::{Action, Look, MailboxPlan, Outcome};
use crate::store::{Ask, Delivered, Depth, LocalStore, Place, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Returns a snapshot that shows whether uploads are listed: if changes show neither one nor
/// its absence, all messages are listed.
pub(in crate::engine) async fn with_uploads<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    ask: &Ask<'_>,
    look: Look<Uid>,
) -> Result<Look<Uid>, Ended> {
    let told = unlisted(ctx, ask.base.key, &BTreeSet::new())?;
    if ask.base.uid_validity != look.uid_validity || look.renumbered || !told.leaves_open(&look) {
        return Ok(look);
    }
    let depth = Depth::Everything;
    Ok(ctx.remote.look(&Ask { depth, ..*ask }).await?)
}

/// Messages that were sent before without effect, and that the server shows at once: what takes
/// them away after that is a deletion.
pub(in crate::engine) async fn shown_at_once<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    place: &Place,
    answers: &Answers,
    tries: &BTreeMap<MaildirId, u32>,
) -> BTreeSet<Uid> {
    let again = answers.delivered.iter().filter_map(|(tag, outcome)| {
        let Delivered::Stored { id, .. } = outcome else {
            return None;
        };
        let file = &answers.sent.get(*tag)?.file;
        (*id).filter(|_| tries.contains_key(file))
    });
    let again: Vec<Uid> = again.collect();
    if again.is_empty() {
        return BTreeSet::new();
    }
    // Where it cannot be asked, the next look tells.
    let told = ctx
        .remote
        .object_ids(place, &again)
        .await
        .unwrap_or_default();
    told.into_iter().map(|(uid, _)| uid).collect()
}

/// What is known of such uploads in a mailbox. Those without a UID are found out later.
pub(in crate::engine) fn unlisted<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    key: MailboxKey,
    sent: &BTreeSet<(MailboxKey, MaildirId)>,
) -> Result<Unlisted, Ended> {
    if key == MailboxKey(0) {
        return Ok(Unlisted::default());
    }
    let told = ctx.state.told_uploads(key)?.into_iter().map(|one| {
        let now = sent.contains(&(key, one.file.clone()));
        let told = Told {
            next: Next::after(one.tries, now),
            file: one.file,
            corrected: one.corrected,
        };
        (one.uid, told)
    });
    Ok(Unlisted {
        told: told.collect(),
        untold: BTreeMap::new(),
    })
}

/// Reports uploads that wait for the next run, as the server does not list them; returns whether
/// there are any.
pub(in crate::engine) fn tell_waiting(
    scene: &Scene,
    unlisted: &Unlisted,
    pass: &mut PassState,
) -> bool {
    let (base, remote, local) = (&scene.base, &scene.remote, &scene.local);
    let told = unlisted.told.iter().filter(|(uid, told)| {
        let gone = remote.shows_gone(uid) && !local.shows_gone(&told.file);
        gone && !told.corrected && base.pairs.iter().any(|pair| pair.uid == **uid)
    });
    let told = told.map(|(_, told)| (&told.file, told.next));
    let untold = unlisted.untold.iter().map(|(file, next)| (file, *next));
    let mut waits = false;
    for (file, next) in told.chain(untold) {
        if next == Next::Wait {
            waits = true;
            let what = format!(
                "{}: the server said that it stored {file}, and does not list it; the file stays, \
                 and the next run sends it once more",
                base.name
            );
            pass.trouble(Some(&base.name), &StoreError::Mailbox(what));
        }
    }
    waits
}

/// Returns the changes of the base by a listing of uploads. Missing flags count as set only after
/// that was planned and done.
fn learned(scene: &Scene, unlisted: &Unlisted, actions: &[Action]) -> Vec<Outcome> {
    if unlisted.told.is_empty() {
        return Vec::new();
    }
    let pairs: BTreeMap<Uid, &Pair> = scene.base.pairs.iter().map(|p| (p.uid, p)).collect();
    let set = actions.iter().filter_map(|action| match action {
        Action::Flags(set) if !set.remote.is_empty() => Some(&set.pair.file),
        _ => None,
    });
    let set: BTreeSet<&MaildirId> = set.collect();
    let mut outcomes = unlisted.outcomes(&pairs, &scene.remote);
    outcomes.retain(|outcome| match outcome {
        Outcome::Corrected(file) => set.contains(file),
        _ => true,
    });
    outcomes
}

/// Returns new files of a mailbox, and those skipped as unmatched, that no link finds on the
/// server, with their flags.
fn strangers(
    scene: &Scene,
    settled: &Settled<'_>,
    links: &[(Uid, MaildirId)],
) -> BTreeMap<MaildirId, Flags> {
    let linked: BTreeSet<&MaildirId> = links.iter().map(|(_, file)| file).collect();
    let lone = scene.base.aside.iter().filter_map(|aside| match &aside.id {
        AnyId::Local(file) if is_unmatched(aside) => Some(file.clone()),
        _ => None,
    });
    let there = lone.filter(|file| !scene.local.shows_gone(file));
    let mut files: Vec<MaildirId> = scene.new_files().into_iter().chain(there).collect();
    files.retain(|file| !linked.contains(file) && !settled.files.contains(file));
    let flags = |file: &MaildirId| {
        let seen = scene.local.seen.get(file).cloned().flatten();
        let aside = || scene.base.aside.iter().find(|a| a.id == file.any());
        seen.or_else(|| aside().map(|aside| aside.flags.clone()))
    };
    let flags = |file: MaildirId| (file.clone(), flags(&file).unwrap_or_default());
    files.into_iter().map(flags).collect()
}

/// Whether a file was set aside because nothing on the server was found to be it.
pub(in crate::engine) fn is_unmatched(aside: &Aside) -> bool {
    matches!(
        aside.reason,
        AsideReason::Unmatched | AsideReason::NotListed
    )
}

impl Uploads {
    pub fn of(
        (scene, settled, unlisted): (&Scene, &Settled<'_>, &Unlisted),
        links: Vec<(Uid, MaildirId)>,
        sent: BTreeSet<MaildirId>,
        plan: &MailboxPlan,
    ) -> Uploads {
        Uploads {
            listed_now: learned(scene, unlisted, &plan.actions),
            strangers: strangers(scene, settled, &links),
            sent,
        }
    }
}

impl Work {
    /// Returns rows about uploads: whether flags were set is known only without failures.
    pub fn learned(&self) -> impl Iterator<Item = Outcome> + '_ {
        let done = |outcome: &&Outcome| self.sound || !matches!(outcome, Outcome::Corrected(_));
        self.uploads.listed_now.iter().filter(done).cloned()
    }
}
