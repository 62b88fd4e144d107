//! Deleting on the server, the last thing a cycle does. The bytes are kept first; a tombstone says
//! beforehand that the absence to come is our own doing; the pair goes when the message is gone
//! (law, 2.5 and 2.6).

use super::account::Account;
use super::doomed::{BATCH, Doomed, DoomedLine, doomed};
use super::report::{Ended, Report};
use super::work::Work;
use crate::model::{
    AnyId, Aside, AsideReason, Flags, Id, MailboxBase, MaildirId, Side, SystemFlag, Uid,
};
use crate::reconcile::{MailboxAction, Outcome};
use crate::state::Change;
use crate::store::{
    About, Ask, Delivered, Delivery, Depth, Keep, Place, Receiver, Removal, Removed, Serve, Sink,
    StoreError,
};
use std::collections::{BTreeMap, BTreeSet};

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Carries out the deletions of a mailbox on the server.
    pub(super) async fn delete(
        &mut self,
        work: &mut Work,
        line: &mut DoomedLine,
        report: &mut Report,
    ) -> Result<(), Ended> {
        let there = doomed(work, Side::Remote);
        for batch in there.chunks(BATCH) {
            self.check_stop()?;
            self.delete_remote(work, batch, line, report).await?;
        }
        Ok(())
    }

    async fn delete_remote(
        &mut self,
        work: &mut Work,
        batch: &[Doomed],
        line: &mut DoomedLine,
        report: &mut Report,
    ) -> Result<(), Ended> {
        let place = work.place();
        let uids: Vec<Uid> = batch.iter().map(|doomed| doomed.pair.uid).collect();
        let next = line.after(&place, &uids);
        let kept = match self.remote.keeps_removed(&place.mailbox) {
            true => uids.into_iter().map(|uid| (uid, None)).collect(),
            false => self.keep_bytes(&work.base, &uids, report).await?,
        };
        // What stays is looked at again by the next run.
        work.sound &= batch.iter().all(|d| kept.contains_key(&d.pair.uid));
        let batch: Vec<&Doomed> = batch
            .iter()
            .filter(|d| kept.contains_key(&d.pair.uid))
            .collect();
        self.bury_refs(work, &batch, Side::Remote)?;
        let elsewhere = match self.remote.names_messages() {
            true => self.state.in_several_places(work.base.key)?,
            false => BTreeSet::new(),
        };
        let removal = |d: &&Doomed| Removal {
            id: d.pair.uid,
            saw: d.saw.clone(),
            elsewhere: elsewhere.contains(&d.pair.id),
        };
        let removals: Vec<Removal<Uid>> = batch.iter().map(removal).collect();
        self.foresee_deletion(next.as_ref()).await?;
        let removed = self.remote.remove(&place, &removals).await?;
        let (mut outcomes, mut changes) = (Vec::new(), Vec::new());
        for Doomed { pair, saw, .. } in &batch {
            let Some((_, how)) = removed.iter().find(|(uid, _)| *uid == pair.uid) else {
                work.sound = false;
                continue;
            };
            outcomes.push(match how {
                Removed::Gone | Removed::Kept(_) | Removed::Trashed => {
                    Outcome::Dropped { pair: pair.id }
                }
                Removed::Marked => {
                    let mut flags = saw.clone().unwrap_or_default();
                    flags.insert(SystemFlag::Deleted);
                    let aside = marked(pair.uid, flags);
                    Outcome::Alone {
                        pair: Some(pair.id),
                        aside,
                    }
                }
            });
            let how = match how {
                Removed::Gone | Removed::Kept(_) => "expunged",
                Removed::Trashed => "moved to the trash",
                Removed::Marked => "marked only, the server cannot expunge single messages",
            };
            let why = format!("{} was deleted here; {how}", pair.file);
            let mut change = work.change(Side::Remote, "deleted", pair.uid.any(), why);
            change.kept = kept.get(&pair.uid).cloned().flatten();
            changes.push(change);
        }
        report.deleted_remote += outcomes.len();
        self.state.apply(work.base.key, &outcomes, &changes)?;
        Ok(())
    }

    fn bury_refs(&mut self, work: &Work, batch: &[&Doomed], side: Side) -> Result<(), Ended> {
        let tombstone = |d: &&Doomed| Outcome::Tombstone {
            pair: d.pair.id,
            side,
        };
        let outcomes: Vec<Outcome> = batch.iter().map(tombstone).collect();
        self.state.apply(work.base.key, &outcomes, &[])?;
        Ok(())
    }

    /// Puts the bytes of messages that are about to leave the server into quarantine; answers with
    /// those that are safe there, with the names of their files, or that a listing shows to be gone
    /// anyway. One that the server merely passed over is neither.
    async fn keep_bytes(
        &mut self,
        base: &MailboxBase,
        uids: &[Uid],
        report: &mut Report,
    ) -> Result<BTreeMap<Uid, Option<Vec<u8>>>, Ended> {
        let place = &Place {
            mailbox: base.name.clone(),
            epoch: base.epoch,
        };
        let receiver = self.local.quarantine(place).await?;
        let mut keeper = Keeper {
            receiver,
            taken: Vec::new(),
            failed: BTreeSet::new(),
            bytes: 0,
        };
        self.remote.read(place, uids, &mut keeper).await?;
        let Keeper {
            receiver,
            taken,
            failed,
            bytes,
        } = keeper;
        let delivered = receiver.finish().await?;
        report.bytes_down += bytes;
        let mut kept: BTreeMap<Uid, Option<Vec<u8>>> = BTreeMap::new();
        for (tag, outcome) in &delivered {
            if let (Delivered::Stored { id, .. }, Some(uid)) = (outcome, taken.get(*tag)) {
                kept.insert(*uid, id.as_ref().map(|id| id.as_bytes().to_vec()));
            }
        }
        let mut unsafe_: BTreeSet<Uid> = failed;
        if uids.iter().any(|uid| !kept.contains_key(uid)) {
            let (cursor, depth) = (None, Depth::Everything);
            let now = self
                .remote
                .look(&Ask {
                    base,
                    cursor,
                    depth,
                })
                .await?;
            let there = uids.iter().filter(|uid| !now.shows_gone(uid));
            unsafe_.extend(there.filter(|uid| !kept.contains_key(uid)));
        }
        for uid in &unsafe_ {
            let what = format!("{uid} was deleted here, but its body cannot be kept: left there");
            report.trouble(Some(&place.mailbox), &StoreError::Mailbox(what));
        }
        let safe = uids.iter().filter(|uid| !unsafe_.contains(uid));
        Ok(safe
            .map(|uid| (*uid, kept.get(uid).cloned().flatten()))
            .collect())
    }

    /// Deletes a mailbox whose messages are all known; their bytes are kept.
    pub(super) async fn delete_mailbox(
        &mut self,
        action: MailboxAction,
        report: &mut Report,
    ) -> Result<(), Ended> {
        let MailboxAction::Delete { on, name, .. } = action else {
            return Ok(());
        };
        let Some(key) = self.state.mailboxes()?.get(&name).copied() else {
            return Ok(());
        };
        let base: MailboxBase = self.state.base(key)?;
        let deleted = self.delete_on(on, &base, report).await;
        if let Err(Ended::Store(StoreError::Stale(why))) = &deleted {
            // Mail arrived in it, or another mailbox has its name by now: it comes back (F5, F7).
            tracing::info!(mailbox = %name, why, "a mailbox is not deleted after all");
            self.state.forget_mailbox(key)?;
        }
        let changes = deleted?;
        match on {
            Side::Remote => report.mailboxes_deleted_remote += 1,
            Side::Local => report.mailboxes_deleted_local += 1,
        }
        self.state.apply(key, &[], &changes)?;
        self.mailbox_history(&name, on, "mailbox-deleted")?;
        self.state.forget_mailbox(key)?;
        Ok(())
    }

    async fn delete_on(
        &mut self,
        on: Side,
        base: &MailboxBase,
        report: &mut Report,
    ) -> Result<Vec<Change>, Ended> {
        let mut changes = Vec::new();
        if on == Side::Local {
            self.local.delete_mailbox(base).await?;
            return Ok(changes);
        }
        let uids: Vec<Uid> = base.pairs.iter().map(|pair| pair.uid).collect();
        for batch in uids.chunks(BATCH) {
            let kept = self.keep_bytes(base, batch, report).await?;
            if kept.len() < batch.len() {
                let name = &base.name;
                let what = format!("{name} was deleted here, but not all can be kept");
                return Err(StoreError::Mailbox(what).into());
            }
            changes.extend(kept.into_iter().map(|(uid, kept)| Change {
                mailbox: base.name.clone(),
                side: Side::Remote,
                what: "deleted",
                message: Some(uid.any()),
                why: "with its mailbox".into(),
                kept,
            }));
        }
        self.remote.delete_mailbox(base).await?;
        Ok(changes)
    }
}

pub(super) fn marked(uid: Uid, flags: Flags) -> Aside {
    Aside {
        id: AnyId::Remote(uid),
        reason: AsideReason::MarkedDeleted,
        attempts: 0,
        retry_at: None,
        flags,
        detail: String::new(),
    }
}

/// Takes messages into quarantine.
struct Keeper<C> {
    receiver: C,
    taken: Vec<Uid>,
    failed: BTreeSet<Uid>,
    bytes: u64,
}

impl<C: Receiver<Id = MaildirId>> Sink<Uid> for Keeper<C> {
    async fn begin(&mut self, size: u64, _: Option<&About<Uid>>) -> Result<(), StoreError> {
        self.receiver.begin(size, None).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.bytes += bytes.len() as u64;
        self.receiver.chunk(bytes).await
    }

    async fn end(&mut self, about: About<Uid>) -> Result<(), StoreError> {
        let tag = self.taken.len();
        self.taken.push(about.id);
        let (flags, date) = (about.flags, about.date);
        self.receiver
            .end(Delivery {
                tag,
                flags,
                date,
                origin: None,
            })
            .await
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        self.receiver.abandon().await
    }

    async fn fail(&mut self, id: Uid, _: String) -> Result<(), StoreError> {
        self.failed.insert(id);
        Ok(())
    }
}
