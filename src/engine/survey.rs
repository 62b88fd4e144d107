//! Takes snapshots and plans. Changes neither side; changes the state only after a UIDVALIDITY
//! change.

use super::account::{Account, Reach};
use super::look::note_kept;
use super::out_of_sight::{may_lie_elsewhere, passed_over, wait_for_sight};
use super::overview::{Overview, still};
use super::pass_state::{PassState, Reason};
use super::rematch::Found;
use super::report::{Ended, Event};
use super::scene::{Fate, Scene, Scenes, touched, wait_for_each_other};
use super::unlisted::{Uploads, tell_waiting};
use super::work::{Survey, Work, Works};
use crate::model::{MailboxBase, MailboxKey, MailboxName, MaildirId, Pair, Side, Uid};
use crate::reconcile::anew;
use crate::reconcile::leaving;
use crate::reconcile::mailboxes::{self, Step};
use crate::reconcile::renames;
use crate::reconcile::settled::{Moves, Settled};
use crate::reconcile::unlisted::Unlisted;
use crate::reconcile::{
    Coverage, Cursor, Listed, Look, MailboxAction, MailboxPlan, News, Presence, messages,
};
use crate::state::Doubt;
use crate::store::{LocalStore, Next, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The result of the listings.
enum Overlook {
    /// Mailboxes are renamed first, then everything is read again.
    Renames(Vec<MailboxAction>),
    /// These mailboxes have to be read.
    Clear(Box<Overview>, Vec<Step>),
}

pub(super) type Looked = (Option<MailboxAction>, Scene);

impl<R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> Account<'_, R, L> {
    /// Lists both sides, reads changed mailboxes, and plans.
    pub(super) async fn survey(&mut self, pass: &mut PassState) -> Result<Survey, Ended> {
        let (mut overview, steps) = match self.overview(pass).await? {
            Overlook::Clear(overview, steps) => (overview, steps),
            Overlook::Renames(actions) => return Ok(Survey::first(actions)),
        };
        pass.counts.mailboxes = steps.iter().filter(|step| !step.is_passive()).count();
        let mut actions = Vec::new();
        let mut scenes = self
            .scenes(steps, &mut overview, &mut actions, pass)
            .await?;
        let Some(astray) = self.find_astray(&scenes, pass).await? else {
            return Ok(Survey::first(Vec::new()));
        };
        let noted = self.read_noted_letters(&mut scenes, pass).await?;
        let known = (astray, noted);
        let moves = self.find_moves((&mut scenes, known), &overview, pass);
        let moves = moves.await?;
        let found = (&moves, &overview.others);
        let (mailboxes, works) = self.plan(scenes, found, actions, pass).await?;
        Ok(Survey {
            mailboxes,
            works,
            listed: overview.listed,
            whole: true,
        })
    }

    /// Reads changed mailboxes: the disk first, then the server, whose requests are announced.
    async fn scenes(
        &mut self,
        steps: Vec<Step>,
        overview: &mut Overview,
        actions: &mut Vec<MailboxAction>,
        pass: &mut PassState,
    ) -> Result<Scenes, Ended> {
        let (mut asked, mut rest, mut scenes) = (Vec::new(), Vec::new(), Scenes::new());
        for step in steps {
            self.check_stop()?;
            match &step {
                Step::Leave(_) => continue,
                Step::Unseen(name, why, sides) => {
                    pass.trouble(Some(name), &StoreError::Mailbox(why.clone()));
                    pass.hide(name, sides);
                    continue;
                }
                Step::Keep(from, name) => {
                    note_kept(name, *from, pass);
                    continue;
                }
                Step::Forget(_) => {
                    rest.push(step);
                    continue;
                }
                _ if !overview.needs_look(&step) => continue,
                _ => {}
            }
            let looked = self.look_here(&step, overview).await;
            match passed_over(step.name(), looked, &Side::BOTH, pass)? {
                Some(Some(here)) if self.is_only_touched(&here, overview)? => {
                    self.local.forget(here.name());
                    overview.quiet.insert(here.name().clone());
                }
                Some(Some(here)) => asked.push(self.as_listed(here, overview)),
                Some(None) => rest.push(step),
                None => {}
            }
        }
        let open = asked.iter().filter(|here| here.there.is_none());
        let next: Vec<Next<'_>> = open.map(|here| here.next()).collect();
        self.remote.prefetch(&next).await?;
        let mut looks = self.look_at_server(asked, overview, pass).await?;
        for step in rest {
            self.check_stop()?;
            let waits = match &step {
                Step::Missing(from, _) => pass.hides_anew(*from),
                Step::Recreate(from, _) => pass.hides(*from),
                _ => false,
            };
            if waits {
                wait_for_sight(step.name(), pass);
                continue;
            }
            self.observer.event(Event::Looking(step.name()));
            let looked = self.look_into(&step, overview, pass).await;
            looks.extend(passed_over(step.name(), looked, &Side::BOTH, pass)?.flatten());
        }
        for look in looks {
            if let Some((action, scene)) = self.settle_look(look, overview, pass).await? {
                actions.extend(action);
                scenes.insert(scene.base.name.clone(), scene);
            }
        }
        Ok(scenes)
    }

    async fn settle_look(
        &mut self,
        (action, mut scene): Looked,
        overview: &Overview,
        pass: &mut PassState,
    ) -> Result<Option<Looked>, Ended> {
        let settled = match scene.fate {
            Fate::Stays => self.settle_epoch(&mut scene, pass).await,
            Fate::Goes(_) => Ok(()),
        };
        let name = &scene.base.name;
        let settled = passed_over(name, settled, &Side::BOTH, pass)?;
        scene.quiet = scene.full && overview.is_quiet(name);
        if settled.is_some() {
            let refused = self.state.refused_keywords(scene.base.key)?;
            scene.remote.sees = scene.remote.sees.without(&refused);
            scene.remote.stores = scene.remote.stores.without(&refused);
        }
        Ok(settled.map(|()| (action, scene)))
    }

    /// Plans each mailbox without the messages decided for the whole account.
    async fn plan(
        &mut self,
        scenes: Scenes,
        (moves, others): (&Moves, &BTreeMap<MailboxName, String>),
        mut actions: Vec<MailboxAction>,
        pass: &mut PassState,
    ) -> Result<(Vec<MailboxAction>, Works), Ended> {
        let touched = touched(moves, &scenes);
        let crosswise = wait_for_each_other(&scenes, moves);
        let mut works = Works::new();
        for (name, mut scene) in scenes {
            if let Fate::Goes(action) = scene.fate.clone() {
                if !waits(&action, &scene, (moves, pass)) {
                    actions.push(without(action, &scene, moves));
                }
                continue;
            }
            let kept = scene.moved_out(moves);
            if !kept.is_empty() {
                // The server's mailbox is the same, and its UIDs are valid.
                if crosswise && scene.is_gone_here(&actions) {
                    scene.leave_out(&kept);
                } else {
                    // First messages that were moved out of it, by the base; then it is created
                    // again.
                    actions.retain(|action| !creates(action, &name));
                    continue;
                }
            }
            let rematch = others
                .get(&name)
                .and_then(|identity| rematch(&mut scene, identity, moves, pass));
            let planned = self.plan_messages(scene, moves, pass).await;
            if let Some(mut work) = passed_over(&name, planned, &Side::BOTH, pass)? {
                // Messages that come to a restored mailbox are old.
                work.known &= rematch.is_none();
                actions.extend(rematch);
                work.complete &= !touched.contains(&name);
                work.kept = kept;
                works.insert(name, work);
            }
        }
        Ok((actions, works))
    }

    /// Returns the listing of the disk.
    async fn listed_here(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, Ended> {
        let local = self.local.list(left).await?;
        let vacant = |one: &Listed| matches!(one.presence, Presence::Vacant(_));
        match local.iter().any(vacant) {
            true => Ok(renames::without_shells(&self.state.homes()?, local)),
            false => Ok(local),
        }
    }

    async fn overview(&mut self, pass: &mut PassState) -> Result<Overlook, Ended> {
        let cursors = [
            self.state.cursors(Side::Remote)?,
            self.state.cursors(Side::Local)?,
        ];
        let [left_remote, left_local] = &cursors;
        let keys = self.state.mailboxes()?;
        let due = self.due(&keys, pass)?;
        let local = self.listed_here(left_local).await?;
        self.foresee(&local, &keys, &due);
        let remote = self.listed_there(left_remote).await?;
        let mut returning = leaving::returning(&remote, &pass.not_renamed, &self.policy);
        returning.retain(|action| self.concerns(action.name()));
        if !returning.is_empty() {
            return Ok(Overlook::Renames(returning));
        }
        let (renames, untold) = self.find_renames((&remote, &local), pass).await?;
        if !renames.is_empty() {
            return Ok(Overlook::Renames(renames));
        }
        let base: BTreeSet<MailboxName> = keys.keys().cloned().collect();
        let case = mailboxes::Case {
            base: &base,
            remote: &remote,
            local: &local,
            policy: &self.policy,
        };
        let mut steps =
            mailboxes::decide(&case).map_err(|halt| StoreError::Guard(halt.to_string()))?;
        let kept = steps.iter().filter(|step| !step.is_passive());
        let kept: BTreeSet<&MailboxName> = kept.map(Step::name).collect();
        let synced = remote.iter().filter(|listed| kept.contains(&listed.name));
        let aliases = self.aliases(synced, &base, pass).await?;
        steps.retain(|step| self.concerns(step.name()));
        for step in &mut steps {
            if aliases.contains(step.name()) || untold.contains(step.name()) {
                *step = Step::Leave(step.name().clone());
            }
        }
        let (here, there) = (still(&local), still(&remote));
        let others = anew::others(&self.state.homes()?, &local);
        let left = match &self.options.reach {
            Reach::Woken(named) => remote
                .iter()
                .filter(|l| l.news == News::Untold && !named.has(&l.name))
                .map(|l| l.name.clone())
                .filter(|name| here.contains(name))
                .collect(),
            Reach::Due | Reach::Everything(_) => BTreeSet::new(),
        };
        let doubted = self.state.doubted()?;
        let (restless, unlisted) = self.restless(&doubted)?;
        let overview = Overview {
            keys,
            cursors,
            quiet: there.intersection(&here).cloned().collect(),
            still: there,
            still_here: here,
            left,
            restless,
            unlisted,
            doubted,
            lettered: self.state.lettered_mailboxes()?,
            due,
            others,
            certain: self.state.uploads_in_doubt()?.is_empty(),
            listed: remote,
        };
        Ok(Overlook::Clear(Box::new(overview), steps))
    }

    /// Returns mailboxes that need a read without a reported change; and those among them that only
    /// wait for listed uploads.
    fn restless(
        &self,
        doubted: &BTreeMap<MailboxKey, Doubt>,
    ) -> Result<(BTreeSet<MailboxKey>, BTreeSet<MailboxKey>), Ended> {
        let mut restless = self.state.restless((self.world.now)())?;
        restless.extend(doubted.keys());
        let mut unlisted = self.state.unlisted()?;
        unlisted.retain(|key| !restless.contains(key));
        restless.extend(&unlisted);
        Ok((restless, unlisted))
    }

    /// Returns the matches of new files, and the accepted uploads.
    async fn find_uploads(
        &mut self,
        scene: &Scene,
        (settled, moves): (&mut Settled<'_>, &Moves),
        pass: &mut PassState,
    ) -> Result<(Found, Unlisted, bool), Ended> {
        let mut unlisted = self.unlisted(scene.base.key, &pass.uploaded)?;
        let known = (moves, &mut unlisted);
        let found = self.find_links(scene, settled, known, pass).await?;
        let mut waits = tell_waiting(scene, &unlisted, pass);
        if unlisted.leaves_open(&scene.remote) && !self.options.dry_run {
            self.state.look_anew(scene.base.key)?;
            pass.defer(&scene.base.name, Reason::UnlistedUpload);
            waits = true;
        }
        Ok((found, unlisted, waits))
    }

    /// Plans a mailbox. In debug builds, proves that messages that were not loaded do not matter,
    /// where that is cheap.
    fn decide(&self, case: &messages::Case<'_>) -> Result<MailboxPlan, Ended> {
        let plan = messages::decide(case);
        if cfg!(debug_assertions) && !case.base.others.is_empty() {
            let base = &self.state.base(case.base.key)?;
            let whole = messages::decide(&messages::Case { base, ..*case });
            assert_eq!(plan, whole, "{}: what was not read counts", base.name);
        }
        Ok(plan)
    }

    async fn plan_messages(
        &mut self,
        mut scene: Scene,
        moves: &Moves,
        pass: &mut PassState,
    ) -> Result<Work, Ended> {
        let mut settled = moves.settled(&scene.base.name);
        let found = self.find_uploads(&scene, (&mut settled, moves), pass);
        let (found, unlisted, unshown) = found.await?;
        self.read_repeated_letters(&mut scene, &found.links).await?;
        let mut dim = scene.dim_files();
        let unreadable = self.unreadable_files(&scene, pass);
        let unread = !unreadable.is_empty();
        dim.extend(unreadable);
        let (copies, waits) = settled.rest(&scene.base.name, moves, (&found.links, &dim));
        let lost = may_lie_elsewhere(&scene, pass);
        tell(&scene, pass);
        let (base, remote, local) = (&scene.base, &scene.remote, &scene.local);
        let case = messages::Case {
            base,
            remote,
            local,
            links: &found.links,
            in_doubt: &found.in_doubt,
            uploads: &found.uploads,
            unlisted: &unlisted,
            settled: &settled,
            policy: &self.policy,
            now: (self.world.now)(),
        };
        let mut plan = self.decide(&case)?;
        plan.actions
            .extend(moves.actions.get(&base.name).into_iter().flatten().cloned());
        tell_plan(&scene, &plan, pass);
        let partial = remote.coverage == Coverage::Partial || local.coverage == Coverage::Partial;
        if partial || waits || found.waits {
            pass.defer(&base.name, Reason::Incomplete);
        }
        let complete = !lost && !partial && !waits && !found.waits && !unread && !unshown;
        let complete = complete && copies.is_empty() && !has_remarks(remote, local);
        plan.actions.extend(copies);
        let looked = (&scene, &settled, &unlisted);
        let uploads = Uploads::of(looked, found.links, found.uploads, &plan);
        let letters = scene.to_note(&plan, &self.policy);
        let (base, remote) = (scene.base, scene.remote);
        // Until it was compared completely, new messages are old ones.
        let known = base.key != MailboxKey(0) && self.state.full_at(base.key)? > 0;
        Ok(Work {
            letters,
            plan,
            planned: 0,
            known,
            top: top(&base, &remote),
            remote_cursor: remote.cursor,
            local_cursor: scene.local.cursor,
            stores: remote.stores,
            kept: BTreeSet::new(),
            unproven: found.unproven,
            relabels: scene.relabels,
            dim: !dim.is_empty(),
            // If it cannot be read, waiting does not resolve it.
            in_doubt: !found.in_doubt.is_empty() && remote.coverage != Coverage::Partial,
            complete,
            full: scene.full,
            listed: remote.coverage == Coverage::Complete,
            sound: true,
            uploads,
            base,
        })
    }
}

/// Passes the notes of snapshots to the report.
fn tell(scene: &Scene, pass: &mut PassState) {
    let (name, remote, local) = (&scene.base.name, &scene.remote, &scene.local);
    for remark in remote.remarks.iter().chain(&local.remarks) {
        pass.trouble(Some(name), &StoreError::Mailbox(remark.clone()));
    }
    if let Some(why) = remote.why_frozen {
        pass.note(format!("{name}: {why}"));
    }
}

/// Whether a mailbox is read again: skipped objects are reported by each run, and unreadable ones
/// retried.
fn has_remarks(remote: &Look<Uid>, local: &Look<MaildirId>) -> bool {
    !remote.remarks.is_empty() || !local.remarks.is_empty() || !remote.broken.is_empty()
}

/// Passes the notes of a plan to the report.
fn tell_plan(scene: &Scene, plan: &MailboxPlan, pass: &mut PassState) {
    let name = &scene.base.name;
    if scene.quiet {
        pass.compared(name, plan);
    }
    for note in &plan.notes {
        pass.note(format!("{name}: {}: {}", note.id, note.text));
    }
}

/// Returns the highest UID that the mailbox certainly assigned.
fn top(base: &MailboxBase, remote: &Look<Uid>) -> u32 {
    let known = base.pairs.iter().map(|pair| pair.uid);
    let known = known.chain(base.others.last().copied());
    let all = known.chain(remote.seen.keys().copied()).map(Uid::get);
    let given = remote.next.map(|next| next.saturating_sub(1));
    all.chain(given).max().unwrap_or(0)
}

/// Matches a mailbox whose directory is not the recorded one again. Waits while a mailbox on disk
/// is unreadable, as missing messages may have moved there.
fn rematch(
    scene: &mut Scene,
    identity: &str,
    moves: &Moves,
    pass: &PassState,
) -> Option<MailboxAction> {
    if pass.hides(Side::Local) {
        return None;
    }
    let looks = (&scene.remote, &scene.local);
    let rematch = anew::match_anew(&mut scene.base, looks, &moves.pairs);
    Some(MailboxAction::Rematch {
        name: scene.base.name.clone(),
        rematch,
        identity: identity.to_owned(),
    })
}

fn creates(action: &MailboxAction, mailbox: &MailboxName) -> bool {
    matches!(action, MailboxAction::Create { name, .. } if name == mailbox)
}

/// Whether a mailbox that neither side has is forgotten later: it may have another name on each
/// side, and its messages are known by it until they are found.
fn waits(action: &MailboxAction, scene: &Scene, (moves, pass): (&Moves, &PassState)) -> bool {
    let mut pairs = scene.base.pairs.iter();
    let moved = pairs.any(|pair| moves.pairs.contains(&pair.id));
    let unseen = || Side::BOTH.iter().any(|side| pass.hides_anew(*side));
    let any = !scene.base.pairs.is_empty();
    matches!(action, MailboxAction::Forget(_)) && (moved || any && unseen())
}

/// What was moved out of a mailbox does not die with it.
fn without(action: MailboxAction, scene: &Scene, moves: &Moves) -> MailboxAction {
    let MailboxAction::Delete { on, name, messages } = action else {
        return action;
    };
    let lies_there = |pair: &&Pair| match on {
        Side::Remote => scene.remote.seen.contains_key(&pair.uid),
        Side::Local => scene.local.seen.contains_key(&pair.file),
    };
    let moved = scene
        .base
        .pairs
        .iter()
        .filter(|p| moves.pairs.contains(&p.id));
    let messages = messages - moved.filter(lies_there).count();
    MailboxAction::Delete { on, name, messages }
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
