//! Publishes the deliveries of several mailboxes together: one sync for all contents, then all
//! names, then one sync for all directories.

use crate::maildir::fs::fsync::HeldSyncs;
use crate::maildir::store::MaildirStore;
use crate::maildir::write::deliver::{MaildirReceiver, Outcomes, SYNC_ALL_FROM};
use crate::model::MaildirId;
use crate::store::Published;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

impl MaildirStore {
    pub(in crate::maildir) fn publish_together(
        &self,
        mut receivers: Vec<MaildirReceiver>,
    ) -> Vec<Published<MaildirId>> {
        let unsynced = self.sync_contents(&receivers);
        let mut named = Vec::new();
        for (receiver, unsynced) in receivers.iter_mut().zip(unsynced) {
            named.push(unsynced.and_then(|()| receiver.name_all(&HeldSyncs::default())));
        }
        let touched = named.iter().flatten().flat_map(|(_, touched)| touched);
        let unsynced = self.sync_together(&touched.cloned().collect::<Vec<_>>());
        let sure = |(outcomes, touched): (Outcomes, BTreeSet<PathBuf>)| {
            unsynced.check(&touched)?;
            Ok(outcomes)
        };
        let named = receivers.iter().zip(named);
        let published = named.map(|(receiver, named)| {
            let published = named.and_then(sure);
            published.map_err(|error| receiver.failed(&error))
        });
        published.collect()
    }

    fn sync_contents(&self, receivers: &[MaildirReceiver]) -> Vec<io::Result<()>> {
        let files: usize = receivers.iter().map(MaildirReceiver::count).sum();
        if files < SYNC_ALL_FROM {
            return receivers.iter().map(MaildirReceiver::sync).collect();
        }
        let filled = receivers.iter().filter(|one| one.count() > 0);
        let unsynced =
            self.sync_file_systems(&filled.map(MaildirReceiver::tmp).collect::<Vec<_>>());
        let synced = receivers.iter().map(|one| unsynced.check([&one.tmp()]));
        synced.collect()
    }
}
