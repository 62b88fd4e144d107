//! Publishing what several receivers took in, for mailboxes that are filled at the same time: one
//! sync for the content of all, then all names, then one sync for all directories.

use super::deliver::{MaildirReceiver, Outcomes, SYNC_ALL_FROM};
use super::durable::{Held, MANY};
use super::store::MaildirStore;
use crate::model::MaildirId;
use crate::store::Published;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

impl MaildirStore {
    pub(super) fn publish_together(
        &self,
        mut receivers: Vec<MaildirReceiver>,
    ) -> Vec<Published<MaildirId>> {
        // What could not be synced once may seem to be at a second try, and is lost all the same.
        if let Err(error) = self.sync_contents(&receivers) {
            let failed = |receiver: &MaildirReceiver| Err(receiver.failed(&error));
            return receivers.iter().map(failed).collect();
        }
        let named = receivers.iter_mut();
        let named: Vec<_> = named.map(|one| one.name_all(&Held::default())).collect();
        let touched = named.iter().flatten().flat_map(|(_, touched)| touched);
        let touched: BTreeSet<&PathBuf> = touched.collect();
        let touched: Vec<PathBuf> = touched.into_iter().cloned().collect();
        let synced = match touched.len() > MANY {
            true => self.sync_file_systems(&touched),
            false => touched.iter().try_for_each(|one| self.disk.sync(one)),
        };
        let outcome =
            |(receiver, named): (MaildirReceiver, io::Result<(Outcomes, _)>)| match &synced {
                Ok(()) => match named {
                    Ok((outcomes, _)) => Ok(outcomes),
                    Err(error) => Err(receiver.failed(&error)),
                },
                Err(error) => Err(receiver.failed(error)),
            };
        receivers.into_iter().zip(named).map(outcome).collect()
    }

    fn sync_contents(&self, receivers: &[MaildirReceiver]) -> io::Result<()> {
        let files: usize = receivers.iter().map(MaildirReceiver::count).sum();
        match files >= SYNC_ALL_FROM {
            true => {
                let filled = receivers.iter().filter(|one| one.count() > 0);
                let tmp: Vec<PathBuf> = filled.map(MaildirReceiver::tmp).collect();
                self.sync_file_systems(&tmp)
            }
            false => receivers.iter().try_for_each(MaildirReceiver::sync),
        }
    }
}
