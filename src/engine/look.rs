//! Looking into one mailbox, on both sides, to the depth that is called for.

use super::account::Account;
use super::report::{Ended, Report};
use super::scene::{Fate, Scene};
use super::survey::{Looked, Overview};
use crate::model::{MailboxBase, MailboxKey, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::mailbox_action::Forget;
use crate::reconcile::mailboxes::{self, Step};
use crate::reconcile::{Look, MailboxAction};
use crate::store::{Ask, Depth, Keep, Serve, StoreError};

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Looks into a mailbox as far as the step asks.
    pub(super) async fn look_into(
        &mut self,
        step: &Step,
        overview: &Overview,
        report: &mut Report,
    ) -> Result<Looked, Ended> {
        match step {
            Step::Live(name) | Step::Forget(name) | Step::Leave(name, _) => {
                let base = self.known_base(name, overview)?;
                Ok((None, self.look_both(base, overview, report).await?))
            }
            Step::Adopt(name) => {
                let base = self.new_base(name);
                let scene = self.look_both(base, overview, report).await?;
                Ok((Some(MailboxAction::Adopt(name.clone())), scene))
            }
            Step::Create(on, name) => {
                let scene = self.look_across(*on, self.new_base(name)).await?;
                let (on, name, forget) = (*on, name.clone(), Forget::Nothing);
                Ok((Some(MailboxAction::Create { on, name, forget }), scene))
            }
            Step::Recreate(on, name) => self.recreate(*on, name, overview).await,
            Step::Missing(from, name) => self.missing(*from, name, overview).await,
        }
    }

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
        let numbered = on == Side::Remote || known.epoch == scene.remote.epoch;
        scene.forgotten = if numbered { known.pairs } else { Vec::new() };
        let (name, forget) = (name.clone(), Forget::Messages);
        Ok((Some(MailboxAction::Create { on, name, forget }), scene))
    }

    /// F4 to F7: gone on one side; is there anything across that the base does not know?
    async fn missing(
        &mut self,
        from: Side,
        name: &MailboxName,
        overview: &Overview,
    ) -> Result<Looked, Ended> {
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
            Side::Remote => (Look::empty(), self.local.look(&ask).await?),
        };
        let action = match from {
            Side::Local => mailboxes::gone_from_disk(&base, &remote),
            Side::Remote => mailboxes::gone_from_server(&base, &local),
        };
        if matches!(action, MailboxAction::Create { .. }) {
            return self.recreate(from, name, overview).await;
        }
        let scene = Scene {
            base,
            remote,
            local,
            full: false,
            quiet: false,
            fate: Fate::Goes(action),
            forgotten: Vec::new(),
        };
        Ok((None, scene))
    }

    /// A mailbox that is to be created on one side: the plan is made against an empty one.
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
        };
        scene.base.epoch = scene.remote.epoch;
        Ok(scene)
    }

    async fn look_both(
        &mut self,
        base: MailboxBase,
        overview: &Overview,
        report: &mut Report,
    ) -> Result<Scene, Ended> {
        let known = overview.keys.contains_key(&base.name);
        let everything = !known || self.full_due(base.key)?;
        let depth = if everything {
            Depth::Everything
        } else {
            Depth::Changes
        };
        // The disk first: what it shows can only be older than what the server shows, so a message
        // that we ourselves are copying is never missed on both.
        let cursor = overview.cursor(Side::Local, &base.name);
        let local = self
            .local
            .look(&Ask {
                base: &base,
                cursor,
                depth,
            })
            .await?;
        let cursor = overview.cursor(Side::Remote, &base.name);
        let remote = self
            .remote
            .look(&Ask {
                base: &base,
                cursor,
                depth,
            })
            .await?;
        let (full, fate) = (everything, Fate::Stays);
        let mut scene = Scene {
            base,
            remote,
            local,
            full,
            quiet: false,
            fate,
            forgotten: Vec::new(),
        };
        self.settle_epoch(&mut scene, report).await?;
        Ok(scene)
    }

    /// The UIDVALIDITY of a look: learned, or changed, and then all UIDs are looked for anew.
    async fn settle_epoch(&mut self, scene: &mut Scene, report: &mut Report) -> Result<(), Ended> {
        let Scene {
            base,
            remote,
            local,
            ..
        } = scene;
        if remote.epoch.is_none() && base.epoch.is_none() && !remote.seen.is_empty() {
            let what = format!("{}: the server gave no UIDVALIDITY", base.name);
            return Err(StoreError::Mailbox(what).into());
        }
        let moved = base.epoch.is_some() && remote.epoch.is_some() && base.epoch != remote.epoch;
        if moved || remote.renumbered {
            self.renumber(base, remote, local, report).await?;
        } else if base.epoch.is_none() {
            base.epoch = remote.epoch;
        }
        Ok(())
    }

    fn known_base(&self, name: &MailboxName, o: &Overview) -> Result<MailboxBase, Ended> {
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
            epoch: None,
            pairs: Vec::new(),
            aside: Vec::new(),
        }
    }
}
