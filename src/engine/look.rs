//! Takes snapshots of one mailbox on both sides, as deep as needed.

use super::account::Account;
use super::overview::Overview;
use super::pass_state::PassState;
use super::report::Ended;
use super::scene::{Fate, Scene};
use super::survey::Looked;
use crate::model::{
    Aside, Flags, MailboxBase, MailboxKey, MailboxName, MaildirId, Outline, Side, Uid,
};
use crate::reconcile::mailbox_action::Forget;
use crate::reconcile::mailboxes::{self, Missing, Step};
use crate::reconcile::messages::Known;
use crate::reconcile::{Cursor, Direction, Look, MailboxAction};
use crate::state::Doubt;
use crate::store::{Ask, Depth, LocalStore, Next, RemoteStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// From this share of changed messages on (1/N), all of a mailbox is loaded.
const FEW: usize = 8;

/// A mailbox with its snapshot of the disk.
pub(super) struct Asked {
    pub action: Option<MailboxAction>,
    pub outline: Outline,
    /// The base; `None`: not loaded yet, as the disk did not change, or only as recorded.
    pub base: Option<MailboxBase>,
    pub local: Look<MaildirId>,
    /// Whether the disk was read and is as recorded.
    pub agrees: bool,
    /// The snapshot of the server by the listing.
    pub there: Option<Look<Uid>>,
    /// The cursor of the server.
    pub cursor: Option<Cursor>,
    pub depth: Depth,
    /// Whether it is compared message by message.
    pub full: bool,
    /// Whether its UIDs are suspected.
    pub doubted: Option<Doubt>,
}

impl Asked {
    /// A mailbox of both sides that is read for changes.
    pub fn of(outline: Outline, local: Look<MaildirId>, overview: &Overview) -> Asked {
        Asked {
            action: None,
            base: None,
            local,
            agrees: false,
            there: None,
            cursor: overview.cursor(Side::Remote, &outline.name).cloned(),
            depth: Depth::Changes,
            full: false,
            doubted: overview.doubted.get(&outline.key).copied(),
            outline,
        }
    }

    /// Returns the requests to the server.
    pub fn next(&self) -> Next<'_> {
        Next::Look(&self.outline, self.cursor.as_ref(), self.depth)
    }

    /// Whether messages may have been moved into it: on disk only if it has new files.
    pub fn sides_with_news(&self) -> &'static [Side] {
        let known = self.base.as_ref().map(Known::of);
        let known = |file| known.as_ref().is_some_and(|known| known.file(file));
        match self.local.seen.keys().any(|file| !known(file)) {
            true => &Side::BOTH,
            false => &[Side::Remote],
        }
    }

    /// Returns the mailbox.
    pub fn name(&self) -> &MailboxName {
        &self.outline.name
    }
}

impl<R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> Account<'_, R, L> {
    /// Reads a mailbox on disk. `None`: this step needs another order.
    pub(super) async fn look_here(
        &mut self,
        step: &Step,
        overview: &Overview,
    ) -> Result<Option<Asked>, Ended> {
        let (action, base) = match step {
            Step::Live(name)
            | Step::Forget(name)
            | Step::Leave(name)
            | Step::Keep(_, name)
            | Step::Unseen(name, ..) => {
                if !overview.others.contains_key(name) {
                    if let Some(asked) = self.unchanged_here(name, overview).await? {
                        return Ok(Some(asked));
                    }
                    if let Some(asked) = self.compared_here(name, overview).await? {
                        return Ok(Some(asked));
                    }
                }
                (None, self.known_base(name, overview)?)
            }
            Step::Adopt(name) => {
                let action = MailboxAction::Adopt(name.clone());
                (Some(action), self.new_base(name))
            }
            Step::Create(Side::Local, name) => {
                let (on, name, forget) = (Side::Local, name.clone(), Forget::Nothing);
                let base = self.new_base(&name);
                let asked = Asked::of(base.outline(), Look::empty(), overview);
                return Ok(Some(Asked {
                    action: Some(MailboxAction::Create { on, name, forget }),
                    cursor: None,
                    depth: Depth::Everything,
                    base: Some(base),
                    ..asked
                }));
            }
            Step::Create(Side::Remote, _) | Step::Recreate(..) | Step::Missing(..) => {
                return Ok(None);
            }
        };
        let known = overview.keys.contains_key(&base.name);
        let other = overview.others.contains_key(&base.name);
        let full = !known || other || overview.due.contains(&base.key);
        let depth = if full {
            Depth::Everything
        } else {
            Depth::Changes
        };
        let restless = !overview.certain && overview.restless.contains(&base.key);
        let cursor = overview.cursor(Side::Local, &base.name);
        let cursor = cursor.filter(|_| !restless);
        let ask = Ask {
            base: &base,
            cursor,
            depth,
        };
        let local = self.look_on_disk(&ask).await?;
        let asked = Asked::of(base.outline(), local, overview);
        Ok(Some(Asked {
            action,
            base: Some(base),
            depth,
            full,
            ..asked
        }))
    }

    /// A mailbox that did not change on disk. Its base is loaded while the server answers.
    async fn unchanged_here(
        &mut self,
        name: &MailboxName,
        overview: &Overview,
    ) -> Result<Option<Asked>, Ended> {
        let left = overview.cursor(Side::Local, name);
        let (Some(key), Some(left)) = (overview.keys.get(name), left) else {
            return Ok(None);
        };
        // The file of an unresolved upload is looked for whatever the timestamps are.
        let restless = !overview.certain && overview.restless.contains(key);
        // Where nothing follows to the server, files of pairs may be gone for long.
        let restless = restless || !self.policy.flows_to(Side::Remote);
        if restless || !overview.still_here.contains(name) || overview.due.contains(key) {
            return Ok(None);
        }
        let Some(local) = self.local.unchanged(name, left).await? else {
            return Ok(None);
        };
        let outline = self.state.outline(*key)?;
        Ok(Some(Asked::of(outline, local, overview)))
    }

    /// Reads a mailbox on the server, after the disk: so a message that we are copying is never
    /// missing on both.
    ///
    /// Of a stable mailbox without a change on disk only changed pairs are loaded: one new message
    /// in a mailbox of 200,000 costs little.
    pub(super) async fn look_there(
        &mut self,
        asked: Asked,
        settled: bool,
    ) -> Result<Looked, Ended> {
        let Asked {
            action,
            outline,
            base,
            local,
            agrees: _,
            there,
            cursor,
            depth,
            full,
            doubted,
        } = asked;
        let few = settled && local.is_empty_delta();
        let mut base = match base {
            Some(base) => base,
            None if few => self.state.sketch(outline.key)?,
            None => self.state.base(outline.key)?,
        };
        debug_assert_eq!(base.outline(), outline);
        // With direction push the server has flags of its own, which the base does not follow and
        // an incremental snapshot omits: they decide about a message deleted on disk.
        let mut gone = base.pairs.iter().map(|pair| local.shows_gone(&pair.file));
        let (there, depth) = match self.policy.direction == Direction::Push && gone.any(|gone| gone)
        {
            true => (None, Depth::Everything),
            false => (there, depth),
        };
        let ask = Ask {
            base: &base,
            cursor: cursor.as_ref(),
            depth,
        };
        let remote = match there {
            Some(there) => there,
            None => {
                let look = self.look_twice(&ask).await?;
                let look = self.with_uploads(&ask, look).await?;
                self.checked(&base, look, doubted).await?
            }
        };
        self.read_touched(&mut base, &remote)?;
        let scene = Scene {
            base,
            remote,
            local,
            full,
            quiet: false,
            fate: Fate::Stays,
            forgotten: Vec::new(),
            relabels: BTreeMap::new(),
            lettered: Default::default(),
        };
        Ok((action, scene))
    }

    /// Reads a mailbox on the server; after a broken connection once more without ids.
    async fn look_twice(&mut self, ask: &Ask<'_>) -> Result<Look<Uid>, StoreError> {
        let looked = self.remote.look(ask).await;
        if !matches!(looked, Err(StoreError::Retry(_))) || !self.remote.connect().await {
            return looked;
        }
        let ask = Ask {
            base: ask.base,
            cursor: None,
            depth: Depth::Everything,
        };
        self.remote.look(&ask).await
    }

    /// Loads the changed pairs that are not loaded yet.
    fn read_touched(&self, base: &mut MailboxBase, remote: &Look<Uid>) -> Result<(), Ended> {
        if base.others.is_empty() {
            return Ok(());
        }
        let others = base.others.iter().copied();
        let mut touched: BTreeSet<Uid> = others.filter(|uid| !remote.leaves_as_is(uid)).collect();
        let same = base.uid_validity == remote.uid_validity && !remote.renumbered;
        if same && !is_few(&touched, base) {
            // All flags came, and most are as recorded.
            let like = |uid: &Uid, flags: &Flags| remote.shows_as(uid, flags);
            touched = self.state.pairs_unlike(base.key, &touched, like)?;
        }
        if same {
            return self.read(base, &touched);
        }
        *base = self.state.base(base.key)?;
        Ok(())
    }

    /// Loads these pairs; all, if that is cheaper.
    pub(super) fn read(
        &self,
        base: &mut MailboxBase,
        touched: &BTreeSet<Uid>,
    ) -> Result<(), Ended> {
        match is_few(touched, base) {
            true => self.state.read_pairs(base, touched)?,
            false => *base = self.state.base(base.key)?,
        }
        Ok(())
    }

    /// Reads a mailbox that is not on both sides. `None`: it stays unchanged.
    pub(super) async fn look_into(
        &mut self,
        step: &Step,
        overview: &Overview,
        pass: &mut PassState,
    ) -> Result<Option<Looked>, Ended> {
        match step {
            Step::Recreate(on, name) => self.recreate(*on, name, overview).await.map(Some),
            Step::Missing(from, name) => self.missing(*from, name, overview, pass).await,
            Step::Forget(name) => {
                let base = self.known_base(name, overview)?;
                let action = MailboxAction::Forget(name.clone());
                Ok(Some((None, Scene::of_gone(base, action))))
            }
            Step::Live(name)
            | Step::Leave(name)
            | Step::Unseen(name, ..)
            | Step::Keep(_, name)
            | Step::Adopt(name)
            | Step::Create(_, name) => {
                let on = Side::Remote;
                let scene = self.look_across(on, self.new_base(name)).await?;
                let (name, forget) = (name.clone(), Forget::Nothing);
                Ok(Some((
                    Some(MailboxAction::Create { on, name, forget }),
                    scene,
                )))
            }
        }
    }

    /// A mailbox that comes back on one side. One that the policy keeps on the other side stays
    /// there under its name.
    async fn recreate(
        &mut self,
        on: Side,
        name: &MailboxName,
        overview: &Overview,
    ) -> Result<Looked, Ended> {
        let known = self.known_base(name, overview)?;
        let fresh = MailboxBase {
            key: known.key,
            tag: known.tag,
            ..self.new_base(name)
        };
        let mut scene = self.look_across(on, fresh).await?;
        let numbered = on == Side::Remote || known.uid_validity == scene.remote.uid_validity;
        let stays = |aside: &Aside| aside.id.side() == on.other() && aside.outlives_mailbox();
        let aside = known.aside.into_iter().filter(stays);
        scene.base.aside = aside.filter(|_| numbered).collect();
        scene.forgotten = if numbered { known.pairs } else { Vec::new() };
        let (name, forget) = (name.clone(), Forget::Messages);
        Ok((Some(MailboxAction::Create { on, name, forget }), scene))
    }

    /// F4 to F7: gone on one side; checks for messages on the other that are not pairs.
    async fn missing(
        &mut self,
        from: Side,
        name: &MailboxName,
        overview: &Overview,
        pass: &mut PassState,
    ) -> Result<Option<Looked>, Ended> {
        let absent = match from {
            Side::Remote => self.remote.confirm_absent(name).await?,
            Side::Local => self.local.confirm_absent(name).await?,
        };
        if !absent {
            let what = format!("{name} was not listed on {from}, but may be there; left alone");
            return Err(StoreError::Mailbox(what).into());
        }
        let base = self.known_base(name, overview)?;
        let ask = Ask {
            base: &base,
            cursor: None,
            depth: Depth::Everything,
        };
        let (remote, local) = match from {
            Side::Local => (self.remote.look(&ask).await?, Look::empty()),
            Side::Remote => (Look::empty(), self.look_on_disk(&ask).await?),
        };
        let missing = match from {
            Side::Local => mailboxes::gone_from_disk(&self.policy, &base, &remote),
            Side::Remote => mailboxes::gone_from_server(&self.policy, &base, &local),
        };
        // An upload that was never listed was not deleted with it.
        let unlisted = from == Side::Remote && self.state.unlisted()?.contains(&base.key);
        let missing = match missing {
            Missing::Goes(_) if unlisted => Missing::Returns,
            missing => missing,
        };
        let action = match missing {
            Missing::Goes(action) => action,
            Missing::Returns => return self.recreate(from, name, overview).await.map(Some),
            Missing::Stays => {
                note_kept(name, from, pass);
                return Ok(None);
            }
        };
        let scene = Scene {
            remote,
            local,
            ..Scene::of_gone(base, action)
        };
        Ok(Some((None, scene)))
    }

    /// A mailbox to create on one side: the plan assumes an empty one.
    async fn look_across(&mut self, on: Side, base: MailboxBase) -> Result<Scene, Ended> {
        let ask = Ask {
            base: &base,
            cursor: None,
            depth: Depth::Everything,
        };
        let (remote, local) = match on {
            Side::Remote => (Look::empty(), self.local.look(&ask).await?),
            Side::Local => (self.remote.look(&ask).await?, Look::empty()),
        };
        let (full, fate) = (false, Fate::Stays);
        let mut scene = Scene {
            base,
            remote,
            local,
            full,
            quiet: false,
            fate,
            forgotten: Vec::new(),
            relabels: BTreeMap::new(),
            lettered: Default::default(),
        };
        scene.base.uid_validity = scene.remote.uid_validity;
        Ok(scene)
    }

    /// Records the UIDVALIDITY of a snapshot; after a change all UIDs are matched again.
    pub(super) async fn settle_epoch(
        &mut self,
        scene: &mut Scene,
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        let Scene {
            base,
            remote,
            local,
            ..
        } = scene;
        if remote.uid_validity.is_none() && base.uid_validity.is_none() && !remote.seen.is_empty() {
            let what = format!("{}: the server gave no UIDVALIDITY", base.name);
            return Err(StoreError::Mailbox(what).into());
        }
        let moved = base.uid_validity.is_some()
            && remote.uid_validity.is_some()
            && base.uid_validity != remote.uid_validity;
        if moved || remote.renumbered {
            self.renumber(base, remote, local, pass).await?;
        } else if base.uid_validity.is_none() {
            base.uid_validity = remote.uid_validity;
        }
        Ok(())
    }

    pub(super) fn known_base(
        &self,
        name: &MailboxName,
        o: &Overview,
    ) -> Result<MailboxBase, Ended> {
        match o.keys.get(name) {
            Some(key) => Ok(self.state.base(*key)?),
            None => Ok(self.new_base(name)),
        }
    }

    fn new_base(&self, name: &MailboxName) -> MailboxBase {
        MailboxBase {
            key: MailboxKey(0),
            name: name.clone(),
            tag: (self.world.random)(),
            uid_validity: None,
            pairs: Vec::new(),
            others: BTreeSet::new(),
            aside: Vec::new(),
        }
    }
}

/// Notes that a mailbox stays although it is gone on the other side.
pub(super) fn note_kept(name: &MailboxName, gone_from: Side, pass: &mut PassState) {
    let on = gone_from.other();
    pass.note(format!(
        "{name} is gone on {gone_from}; on {on} it stays, with its mail"
    ));
}

/// Whether so few pairs are needed that they are loaded one by one.
pub(super) fn is_few(touched: &BTreeSet<Uid>, base: &MailboxBase) -> bool {
    touched.len() * FEW <= base.others.len()
}
