//! Hashes messages without keeping them.

use crate::model::{Canonical, ContentHash, Id, Stamp};
use crate::store::{About, Sink, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// A sink that computes hash and stored size and stores nothing else.
pub(in crate::engine) struct HashSink<I: Id> {
    pub current: Canonical,
    pub hashes: BTreeMap<I, (ContentHash, u64)>,
    /// The stamps of the files before they were read.
    pub stamps: BTreeMap<I, Stamp>,
    /// Messages that exist but could not be read.
    pub failed: BTreeSet<I>,
}

impl<I: Id> Sink<I> for HashSink<I> {
    async fn begin(&mut self, _: u64, _: Option<&About<I>>) -> Result<(), StoreError> {
        self.current = Canonical::default();
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.current.update(bytes);
        Ok(())
    }

    async fn end(&mut self, about: About<I>) -> Result<(), StoreError> {
        let hash = std::mem::take(&mut self.current).finish();
        let stamp = about.stamp.map(|stamp| (about.id.clone(), stamp));
        self.stamps.extend(stamp);
        self.hashes.insert(about.id, (hash, about.stored));
        Ok(())
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn fail(&mut self, id: I, _: String) -> Result<(), StoreError> {
        self.failed.insert(id);
        Ok(())
    }
}

impl<I: Id> Default for HashSink<I> {
    fn default() -> HashSink<I> {
        HashSink {
            current: Canonical::default(),
            hashes: BTreeMap::new(),
            stamps: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }
}
