//! One mailbox that the server lists under two names is kept in step under one: mail that is moved
//! from one to the other would chase itself (F31).

use super::account::Account;
use super::report::{Ended, Report};
use crate::model::{Kin, MailboxName, MaildirId, Uid};
use crate::reconcile::Listed;
use crate::store::{Keep, Place, Serve};
use std::collections::{BTreeMap, BTreeSet};

/// So many of the last messages show that two names are one mailbox.
const WITNESSES: u32 = 16;

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Names that are only other names of mailboxes, among those that are kept in step.
    pub(super) async fn aliases<'b>(
        &mut self,
        remote: impl Iterator<Item = &'b Listed>,
        base: &BTreeSet<MailboxName>,
        report: &mut Report,
    ) -> Result<BTreeSet<MailboxName>, Ended> {
        let mut alike: BTreeMap<(&str, Option<&str>), Vec<&Listed>> = BTreeMap::new();
        for listed in remote {
            let Some(identity) = &listed.identity else {
                continue;
            };
            let census = listed.census.as_ref().map(|census| census.text.as_str());
            let key = match (identity.proves, census) {
                (true, _) => (identity.text.as_str(), None),
                (false, Some(census)) => (identity.text.as_str(), Some(census)),
                (false, None) => continue,
            };
            alike.entry(key).or_default().push(listed);
        }
        let mut aliases = BTreeSet::new();
        for mut group in alike.into_values().filter(|group| group.len() > 1) {
            group.sort_by_key(|l| (!l.name.is_inbox(), !base.contains(&l.name), l.name.clone()));
            let Some((first, others)) = group.split_first() else {
                continue;
            };
            for other in others {
                let proved = other
                    .identity
                    .as_ref()
                    .is_some_and(|identity| identity.proves);
                if !proved {
                    let own = self.last(first).await?;
                    if own.is_empty() || self.last(other).await? != own {
                        continue;
                    }
                }
                let (name, alias) = (&first.name, &other.name);
                report.note(format!(
                    "{alias} is {name} under another name on the server; only {name} is synced"
                ));
                aliases.insert(alias.clone());
            }
        }
        Ok(aliases)
    }

    /// What the last messages of a mailbox are.
    async fn last(&mut self, listed: &Listed) -> Result<Vec<(Uid, Kin)>, Ended> {
        let Some(census) = &listed.census else {
            return Ok(Vec::new());
        };
        let uids = census.next.saturating_sub(WITNESSES)..census.next;
        let uids: Vec<Uid> = uids.filter_map(Uid::new).collect();
        let (mailbox, epoch) = (listed.name.clone(), None);
        match self.remote.kin(&Place { mailbox, epoch }, &uids).await {
            Ok(mut kin) => {
                kin.sort();
                Ok(kin)
            }
            Err(error) if error.is_local_to_mailbox() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}
