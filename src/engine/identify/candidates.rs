//! Pairs and new messages that may be each other.

use crate::engine::identify::letter_notes::NotedFiles;
use crate::engine::snapshot::listing::Overview;
use crate::engine::snapshot::mailbox::Scenes;
use crate::model::{ContentHash, Kin, MailboxName, PairId, SystemFlag, Uid};
use crate::reconcile::sighting::Kept;
use crate::state::{QuarantinedRow, RelatedPair};
use std::collections::{BTreeMap, BTreeSet};

/// New messages on the server with their ids.
pub(in crate::engine) struct NewUid {
    pub mailbox: MailboxName,
    pub uid: Uid,
    pub kin: Kin,
}

/// Candidates that new messages may equal.
#[derive(Default)]
pub(in crate::engine) struct Candidates {
    pub pairs: BTreeMap<PairId, (MailboxName, RelatedPair)>,
    pub buried: BTreeMap<Kin, Vec<QuarantinedRow>>,
    /// Files with recorded letters.
    pub noted: NotedFiles,
}

impl Candidates {
    /// Returns the contents of pairs.
    pub fn contents(&self) -> BTreeSet<ContentHash> {
        let pairs = self.pairs.values();
        pairs.map(|(_, relative)| relative.pair.hash).collect()
    }

    /// Returns ids and places of existing pairs.
    pub fn homes<'a>(&'a self, scenes: &Scenes) -> BTreeSet<(Kin, &'a MailboxName)> {
        let stays = |(name, relative): &&(MailboxName, RelatedPair)| {
            let scene = scenes.get(name);
            scene.is_none_or(|scene| !scene.remote.shows_gone(&relative.pair.uid))
        };
        let pairs = self.pairs.values().filter(stays);
        pairs
            .filter_map(|(name, relative)| Some((relative.pair.kin?, name)))
            .collect()
    }

    /// Returns the contents of pairs whose message may be in its place.
    pub fn staying(&self, scenes: &Scenes) -> BTreeSet<ContentHash> {
        let stays = |(name, relative): &&(MailboxName, RelatedPair)| {
            let scene = scenes.get(name);
            scene.is_none_or(|scene| !scene.remote.shows_gone(&relative.pair.uid))
        };
        let pairs = self.pairs.values().filter(stays);
        pairs.map(|(_, relative)| relative.pair.hash).collect()
    }

    /// Returns the contents of drafts.
    pub fn drafts(&self) -> BTreeSet<ContentHash> {
        let pairs = self.pairs.values().map(|(_, relative)| &relative.pair);
        let pairs = pairs.map(|pair| (pair.hash, &pair.flags));
        let buried = self.buried.values().flatten();
        let all = pairs.chain(buried.map(|buried| (buried.hash, &buried.agreed)));
        let drafts = all.filter(|(_, flags)| flags.has(SystemFlag::Draft));
        drafts.map(|(hash, _)| hash).collect()
    }

    /// Returns the contents of messages with this id.
    pub fn hashes(&self) -> BTreeMap<Kin, BTreeSet<ContentHash>> {
        let mut hashes: BTreeMap<Kin, BTreeSet<ContentHash>> = BTreeMap::new();
        for (_, relative) in self.pairs.values() {
            if let Some(kin) = relative.pair.kin {
                hashes.entry(kin).or_default().insert(relative.pair.hash);
            }
        }
        for (kin, buried) in &self.buried {
            let own = buried.iter().map(|b| b.hash);
            hashes.entry(*kin).or_default().extend(own);
        }
        hashes
    }

    pub fn take_buried(&mut self, all: Vec<QuarantinedRow>) {
        for buried in all {
            self.buried.entry(buried.kin).or_default().push(buried);
        }
    }

    /// Returns the quarantined messages that can be restored.
    pub fn kept(self) -> Vec<Kept> {
        let kept = self.buried.into_values().flatten().map(|b| Kept {
            hash: b.hash,
            flags: (b.agreed, b.here),
            path: b.path,
        });
        kept.collect()
    }

    pub(in crate::engine) fn take(&mut self, relatives: Vec<RelatedPair>, overview: &Overview) {
        let names = overview.names();
        for relative in relatives {
            if let Some(name) = names.get(&relative.mailbox) {
                let entry = ((*name).clone(), relative);
                self.pairs.insert(entry.1.pair.id, entry);
            }
        }
    }
}
