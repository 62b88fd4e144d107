//! What the cheap look at both sides showed, before any mailbox was looked into.

use super::account::{Account, Reach};
use super::report::{Ended, Report};
use crate::model::{MailboxKey, MailboxName, MaildirId, Side, Uid};
use crate::reconcile::mailboxes::Step;
use crate::reconcile::{Cursor, Listed, News, Presence};
use crate::state::Doubt;
use crate::store::{Depth, Keep, Serve};
use std::collections::{BTreeMap, BTreeSet};

/// A mailbox is compared message by message at least this often, seconds: deltas are an
/// optimisation, the full compare is the guarantee.
const FULL_EVERY: i64 = 24 * 3600;

/// What the cheap look at both sides showed.
pub(super) struct Overview {
    pub keys: BTreeMap<MailboxName, MailboxKey>,
    pub cursors: [BTreeMap<MailboxName, Cursor>; 2],
    pub quiet: BTreeSet<MailboxName>,
    /// Mailboxes in which nothing changed on the server.
    pub still: BTreeSet<MailboxName>,
    /// Mailboxes in which nothing had changed on disk.
    pub still_here: BTreeSet<MailboxName>,
    /// Mailboxes of which the server tells nothing without a closer look, and that nobody named.
    pub left: BTreeSet<MailboxName>,
    pub restless: BTreeSet<MailboxKey>,
    /// Those with uploads that the server has not listed yet, and that are settled otherwise.
    pub unlisted: BTreeSet<MailboxKey>,
    /// Those whose UIDs may mean other messages than those they were learned for.
    pub doubted: BTreeMap<MailboxKey, Doubt>,
    /// Those with files of which the letters are noted.
    pub lettered: BTreeSet<MailboxKey>,
    /// Those that are to be compared message by message.
    pub due: BTreeSet<MailboxKey>,
    /// Mailboxes of which the directory is another by now, with what it is called.
    pub others: BTreeMap<MailboxName, String>,
    /// Whether no upload is in doubt: it may become one of a pair that neither side shows.
    pub certain: bool,
    /// What the server listed.
    pub listed: Vec<Listed>,
}

/// Those in which nothing changed.
pub(super) fn still(list: &[Listed]) -> BTreeSet<MailboxName> {
    list.iter()
        .filter(|listed| listed.news == News::None)
        .map(|listed| listed.name.clone())
        .collect()
}

impl Overview {
    pub fn cursor(&self, side: Side, name: &MailboxName) -> Option<&Cursor> {
        let [remote, local] = &self.cursors;
        match side {
            Side::Remote => remote.get(name),
            Side::Local => local.get(name),
        }
    }

    /// The mailboxes by their rows.
    pub fn names(&self) -> BTreeMap<MailboxKey, &MailboxName> {
        self.keys.iter().map(|(name, key)| (*key, name)).collect()
    }

    /// Whether nothing calls for a look at it on the server.
    pub fn is_still_there(&self, name: &MailboxName) -> bool {
        let restless = |key: &MailboxKey| self.restless.contains(key);
        self.still.contains(name) && !self.keys.get(name).is_none_or(restless)
    }

    /// Whether what is known of it is all that counts, so that what did not change is not read.
    pub fn is_settled(&self, key: MailboxKey) -> bool {
        self.certain && (!self.restless.contains(&key) || self.unlisted.contains(&key))
    }

    /// Whether nothing can have changed in it.
    pub fn is_quiet(&self, name: &MailboxName) -> bool {
        self.quiet.contains(name)
    }

    /// Whether a mailbox is looked into.
    pub fn needs_look(&self, step: &Step) -> bool {
        let Step::Live(name) = step else {
            return true;
        };
        if self.others.contains_key(name) {
            return true;
        }
        let Some(key) = self.keys.get(name) else {
            return true;
        };
        let restless = self.restless.contains(key);
        if !restless && self.left.contains(name) {
            return false;
        }
        let quiet = self.quiet.contains(name) && !restless;
        !quiet || self.due.contains(key)
    }
}

impl<R: Serve<Id = Uid>, L: Keep<Id = MaildirId>> Account<'_, R, L> {
    /// Has those mailboxes read that changed on disk or are to be compared, while the server is
    /// waited for.
    pub(super) fn foresee(
        &mut self,
        here: &[Listed],
        keys: &BTreeMap<MailboxName, MailboxKey>,
        due: &BTreeSet<MailboxKey>,
    ) {
        let depth = |one: &Listed| match due.contains(keys.get(&one.name)?) {
            true => Some(Depth::Everything),
            false => (one.news != News::None).then_some(Depth::Changes),
        };
        let there = here.iter().filter(|one| one.presence == Presence::Mailbox);
        let wanted = there.filter(|one| self.concerns(&one.name));
        let next = wanted.filter_map(|one| Some((one.name.clone(), depth(one)?)));
        self.local.foresee(&next.collect::<Vec<_>>());
    }

    /// When a compare of this run counts as done, seconds since 1970. One that is asked for counts
    /// as of the second after the order: an earlier run of the same second is none.
    pub(super) fn time_of_compare(&self) -> i64 {
        let now = (self.world.now)();
        match self.options.reach {
            Reach::Everything(since) => since.clamp(now, now.saturating_add(1)),
            Reach::Due | Reach::Woken(_) => now,
        }
    }

    /// Which mailboxes are to be compared message by message: also where UIDs are in doubt or a
    /// file is missing, and all of an account that may be another one by now.
    pub(super) fn due(
        &self,
        keys: &BTreeMap<MailboxName, MailboxKey>,
        report: &mut Report,
    ) -> Result<BTreeSet<MailboxKey>, Ended> {
        let incomplete = std::mem::take(&mut report.incomplete).into_iter();
        let incomplete: BTreeSet<MailboxKey> = incomplete
            .filter_map(|name| keys.get(&name).copied())
            .collect();
        let now = (self.world.now)();
        let mut all = self.state.compared_at()?;
        let (doubted, other) = (self.state.doubted()?, self.config_changed()?);
        // A time to come: the clock was wrong then, or is now; who knows how long ago it is.
        let is_due = |last: i64| match self.options.reach {
            Reach::Due => (now - last).abs() >= FULL_EVERY,
            Reach::Woken(_) => false,
            Reach::Everything(since) => last > now.max(since) || last < since,
        };
        let asked = |key: &MailboxKey| doubted.contains_key(key) || incomplete.contains(key);
        all.retain(|(key, last)| other || asked(key) || is_due(*last));
        Ok(all.into_iter().map(|(key, _)| key).collect())
    }
}
