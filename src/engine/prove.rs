//! Whether UIDs still mean the messages that they were learned for. A server that was put back from
//! a backup, or made anew, gives UIDs a second time, and its UIDVALIDITY may be the same. A sample
//! of pairs is asked what their messages are called; what is called otherwise is read.

use super::account::Account;
use super::contents::{Content, Contents};
use super::evidence::{kin_there, read_there};
use super::out_of_sight::passed_over;
use super::overview::Overview;
use super::report::{Ended, Report};
use super::scene::{Fate, Scene};
use super::survey::Looked;
use crate::model::{
    ContentHash, Kin, MailboxBase, MailboxKey, MailboxName, MaildirId, Pair, PairId, Side, Uid,
};
use crate::reconcile::{Coverage, Look};
use crate::state::{Doubt, Proof};
use crate::store::{Ask, Depth, Keep, Next, Place, Serve, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Of a mailbox that is compared message by message so many pairs are asked for.
const SAMPLE: usize = 16;

/// The highest UIDs that are among them: after a backup it is the last ones that are given again.
const LAST: usize = 4;

/// So many of those that are called otherwise are read, to show that they are other messages: some
/// servers tell another date or size of the same message the next time.
const READ: usize = 4;

/// Pairs of a mailbox that are to be asked for.
pub(super) struct Check {
    key: MailboxKey,
    place: Place,
    proofs: Vec<Proof>,
    /// These, and new ones of which it is asked as well.
    uids: Vec<Uid>,
}

/// What checks came to.
#[derive(Default)]
pub(super) struct Proven {
    /// Mailboxes in which a pair that was asked for is another message by now.
    pub others: Vec<(MailboxName, MailboxKey)>,
    /// Mailboxes of which it is not known.
    pub untold: BTreeSet<MailboxKey>,
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// A look at the server in which UIDs mean what they meant; or a whole look that says that they
    /// do not.
    pub(super) async fn checked(
        &mut self,
        base: &MailboxBase,
        look: Look<Uid>,
        doubted: Option<Doubt>,
    ) -> Result<Look<Uid>, Ended> {
        if base.epoch.is_none() || base.epoch != look.epoch || look.renumbered {
            return Ok(look);
        }
        let place = Place {
            mailbox: base.name.clone(),
            epoch: look.epoch,
        };
        let lost = look.rewound && misses_a_pair(base, &look);
        let same = !lost
            && match doubted {
                Some(Doubt::Proven) => false,
                Some(Doubt::Suspected) => self.all_still_mean(&place, base).await?,
                None => {
                    let known = look.known.keys().copied();
                    let proofs = self.state.proofs(base.key, known)?;
                    self.still_mean(&place, &proofs, &look.known).await?
                }
            };
        match same {
            true => Ok(look),
            false => self.doubted_look(base, look).await,
        }
    }

    /// Whether the messages of a mailbox are called as before; what is called otherwise is read.
    async fn all_still_mean(&mut self, place: &Place, base: &MailboxBase) -> Result<bool, Ended> {
        let proofs = self.state.proofs(base.key, base.known_uids())?;
        let uids: Vec<Uid> = proofs.iter().map(|proof| proof.uid).collect();
        let told = kin_there(&mut *self.remote, place, &uids)
            .await?
            .into_iter()
            .collect();
        let same = self.still_mean(place, &proofs, &told).await?;
        if same && !self.options.dry_run {
            self.state.end_suspicion(base.key)?;
        }
        Ok(same)
    }

    /// What some of these messages of a mailbox were called when they were last looked at.
    pub(super) fn expected(&self, key: MailboxKey, uids: &[Uid]) -> Result<Vec<(Uid, Kin)>, Ended> {
        let proofs = self.state.proofs(key, uids.iter().copied())?;
        Ok(proofs.into_iter().map(|p| (p.uid, p.kin)).collect())
    }

    /// Those of some messages that are about to leave a mailbox of the server unkept, as they are
    /// elsewhere, that have the content of their pairs; where the server has no body for one, those
    /// that it calls as before.
    pub(super) async fn proven(
        &mut self,
        place: &Place,
        pairs: &BTreeMap<Uid, PairId>,
    ) -> Result<BTreeSet<Uid>, Ended> {
        let uids: Vec<Uid> = pairs.keys().copied().collect();
        let mut sink = Contents::default();
        read_there(&mut *self.remote, place, &uids, &mut sink).await?;
        let read: BTreeSet<Uid> = sink.all.keys().copied().collect();
        let mut proven = BTreeSet::new();
        for (uid, content) in sink.all {
            let pair = pairs.get(&uid).copied();
            let pair = pair.map(|id| self.state.pair(id)).transpose()?.flatten();
            match pair {
                Some(known) if self.is_of(&content, (known.pair.id, known.pair.hash))? => {
                    proven.insert(uid);
                }
                Some(known) => self.state.doubt(known.mailbox, Doubt::Proven)?,
                None => {}
            }
        }
        let unread = pairs.keys().filter(|uid| !read.contains(uid)).copied();
        let unread: Vec<Uid> = unread.collect();
        if !unread.is_empty() {
            proven.extend(self.named_as_before(place, &unread).await?);
        }
        Ok(proven)
    }

    /// Whether a message is that of a pair: it has its content, or it is what the server made of
    /// an upload.
    fn is_of(&self, content: &Content, (pair, hash): (PairId, ContentHash)) -> Result<bool, Ended> {
        if content.hash == hash {
            return Ok(true);
        }
        let sent = self.state.sent_as(pair)?;
        Ok(content.is_called(sent))
    }

    /// Those of some messages without a body that the server still calls as it did.
    async fn named_as_before(&mut self, place: &Place, uids: &[Uid]) -> Result<Vec<Uid>, Ended> {
        let Some(key) = self.state.mailbox_key(&place.mailbox)? else {
            return Ok(Vec::new());
        };
        let expected = self.expected(key, uids)?;
        let named: BTreeMap<Uid, Kin> = kin_there(&mut *self.remote, place, uids)
            .await?
            .into_iter()
            .collect();
        let same = expected
            .into_iter()
            .filter(|(uid, kin)| named.get(uid) == Some(kin));
        Ok(same.map(|(uid, _)| uid).collect())
    }

    /// The whole look at a mailbox in which UIDs mean other messages.
    async fn doubted_look(
        &mut self,
        base: &MailboxBase,
        mut look: Look<Uid>,
    ) -> Result<Look<Uid>, Ended> {
        if !self.options.dry_run {
            self.state.doubt(base.key, Doubt::Proven)?;
        }
        if look.coverage != Coverage::Complete {
            let (cursor, depth) = (None, Depth::Everything);
            let ask = Ask {
                base,
                cursor,
                depth,
            };
            look = self.remote.look(&ask).await?;
        }
        if look.coverage != Coverage::Complete {
            let what = format!(
                "{}: UIDs mean other messages than before, and not all can be listed now; the \
                 mailbox waits",
                base.name
            );
            return Err(StoreError::Mailbox(what).into());
        }
        look.renumbered = true;
        Ok(look)
    }

    /// Both looks at a mailbox in which UIDs mean other messages.
    pub(super) async fn look_renumbered(
        &mut self,
        name: &MailboxName,
        overview: &Overview,
    ) -> Result<Scene, Ended> {
        let base = self.known_base(name, overview)?;
        let (cursor, depth) = (None, Depth::Everything);
        let ask = Ask {
            base: &base,
            cursor,
            depth,
        };
        let local = self.look_on_disk(&ask).await?;
        let remote = self.remote.look(&ask).await?;
        let remote = match base.epoch == remote.epoch {
            true => self.doubted_look(&base, remote).await?,
            false => remote,
        };
        Ok(Scene {
            base,
            remote,
            local,
            full: true,
            quiet: false,
            fate: Fate::Stays,
            forgotten: Vec::new(),
            relabels: BTreeMap::new(),
            lettered: Default::default(),
        })
    }

    /// The pairs that are to be asked for after a look: one that compared message by message, that
    /// shows HIGHESTMODSEQ gone back, that may be one at `another` account; and one with which
    /// nothing of that came, where messages are new or something is to be done by UID.
    pub(super) fn check_of(&self, scene: &Scene, another: bool) -> Result<Option<Check>, Ended> {
        let (base, look) = (&scene.base, &scene.remote);
        if base.epoch.is_none() || base.epoch != look.epoch || look.renumbered {
            return Ok(None);
        }
        let mut new = scene.new_uids();
        new.retain(|uid| !look.kin.contains_key(uid));
        let touched = |pair: &Pair| !scene.local.shows_as(&pair.file, &pair.flags);
        let acts = !new.is_empty() || base.pairs.iter().any(touched);
        let bare = look.known.is_empty() && acts;
        if !(scene.full || look.rewound || another || bare) {
            return Ok(None);
        }
        let there = |uid: &Uid| !look.shows_gone(uid) && !look.leaves_open(uid);
        let known = base.known_uids().into_iter().filter(there);
        let sample = sample(&known.collect::<Vec<_>>());
        let proofs = self.state.proofs(base.key, sample)?;
        let uids = proofs.iter().map(|proof| proof.uid).chain(new).collect();
        let place = Place {
            mailbox: base.name.clone(),
            epoch: look.epoch,
        };
        Ok((!proofs.is_empty()).then_some(Check {
            key: base.key,
            place,
            proofs,
            uids,
        }))
    }

    /// Asks for the pairs of these checks. What new messages are called is added to the looks.
    pub(super) async fn prove(
        &mut self,
        checks: Vec<Check>,
        looks: &mut [Looked],
        report: &mut Report,
    ) -> Result<Proven, Ended> {
        let next = checks
            .iter()
            .map(|check| Next::Kin(&check.place, &check.uids));
        self.remote.foresee(&next.collect::<Vec<_>>()).await?;
        let mut proven = Proven::default();
        for check in checks {
            let name = &check.place.mailbox;
            let told = self.ask_for(&check).await;
            let Some((told, same)) = passed_over(name, told, &Side::BOTH, report)? else {
                proven.untold.insert(check.key);
                continue;
            };
            if !same {
                proven.others.push((name.clone(), check.key));
                continue;
            }
            let mut looks = looks.iter_mut().map(|(_, scene)| scene);
            if let Some(scene) = looks.find(|scene| scene.base.key == check.key) {
                let known = |uid: &Uid| check.proofs.iter().any(|proof| proof.uid == *uid);
                let new = told.into_iter().filter(|(uid, _)| !known(uid));
                scene.remote.kin.extend(new);
            }
        }
        Ok(proven)
    }

    /// What the messages of a check are called, and whether the pairs among them are still those.
    async fn ask_for(&mut self, check: &Check) -> Result<(BTreeMap<Uid, Kin>, bool), Ended> {
        let told = kin_there(&mut *self.remote, &check.place, &check.uids).await?;
        let told: BTreeMap<Uid, Kin> = told.into_iter().collect();
        let same = self.still_mean(&check.place, &check.proofs, &told).await?;
        Ok((told, same))
    }

    /// Whether these pairs are still the messages of their UIDs, by what the server calls these
    /// now; what is called otherwise is read.
    pub(super) async fn still_mean(
        &mut self,
        place: &Place,
        proofs: &[Proof],
        told: &BTreeMap<Uid, Kin>,
    ) -> Result<bool, Ended> {
        let odd = |proof: &&Proof| told.get(&proof.uid).is_some_and(|kin| *kin != proof.kin);
        let odd: Vec<&Proof> = proofs.iter().rev().filter(odd).take(READ).collect();
        if odd.is_empty() {
            return Ok(true);
        }
        let uids: Vec<Uid> = odd.iter().map(|proof| proof.uid).collect();
        let mut sink = Contents::default();
        read_there(&mut *self.remote, place, &uids, &mut sink).await?;
        let mut learned = Vec::new();
        for proof in odd {
            let content = sink.all.get(&proof.uid);
            match (content, told.get(&proof.uid)) {
                (Some(content), _) if !self.is_of(content, (proof.pair, proof.hash))? => {
                    let (mailbox, uid) = (&place.mailbox, proof.uid);
                    tracing::warn!(%mailbox, %uid, "the UID means another message by now");
                    return Ok(false);
                }
                (Some(_), Some(kin)) => learned.push((proof.pair, *kin)),
                _ => {}
            }
        }
        if !self.options.dry_run {
            self.state.learn_kin(&learned)?;
        }
        Ok(true)
    }
}

/// Whether a message of a pair is not there any more.
fn misses_a_pair(base: &MailboxBase, look: &Look<Uid>) -> bool {
    let pairs = base.pairs.iter().filter(|pair| pair.tombstone.is_none());
    let mut uids = pairs.map(|pair| &pair.uid).chain(&base.others);
    uids.any(|uid| look.shows_gone(uid))
}

/// The highest of some UIDs, and others evenly spread, in their order.
pub(super) fn sample(known: &[Uid]) -> Vec<Uid> {
    let (first, last) = known.split_at(known.len().saturating_sub(LAST));
    let step = first.len().div_ceil(SAMPLE - LAST).max(1);
    let spread = first.iter().step_by(step);
    spread.chain(last).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_and_has_the_highest() {
        let uids = |last: u32| (1..=last).filter_map(Uid::new).collect::<Vec<_>>();
        assert_eq!(sample(&uids(16)), uids(16), "all of few");
        let numbers: Vec<u32> = sample(&uids(1000)).into_iter().map(Uid::get).collect();
        assert!(numbers.len() <= SAMPLE && numbers.starts_with(&[1, 84]));
        assert!(numbers.ends_with(&[997, 998, 999, 1000]));
        assert_eq!(sample(&[]), []);
    }
}
