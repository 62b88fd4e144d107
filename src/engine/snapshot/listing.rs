//! The listings of both sides, before any mailbox is read.

use crate::engine::context::{Context, Reach};
use crate::engine::pass_state::PassState;
use crate::engine::report::Ended;
use crate::model::{MailboxKey, MailboxName, Side};
use crate::reconcile::mailboxes::Step;
use crate::reconcile::{Cursor, Listed, News, Presence};
use crate::state::UidDoubt;
use crate::store::{Depth, LocalStore, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};

/// The interval of full comparisons, seconds: incremental snapshots are an optimisation, the
/// comparison is the guarantee.
const FULL_EVERY: i64 = 24 * 3600;

/// The listings of both sides.
pub(in crate::engine) struct Overview {
    pub keys: BTreeMap<MailboxName, MailboxKey>,
    pub cursors: [BTreeMap<MailboxName, Cursor>; 2],
    pub quiet: BTreeSet<MailboxName>,
    /// Mailboxes without a change on the server.
    pub still: BTreeSet<MailboxName>,
    /// Mailboxes without a change on disk.
    pub still_here: BTreeSet<MailboxName>,
    /// Mailboxes about which the server's listing tells nothing, outside of this run's request.
    pub left: BTreeSet<MailboxName>,
    pub restless: BTreeSet<MailboxKey>,
    /// Mailboxes with uploads that are not listed yet, otherwise stable.
    pub unlisted: BTreeSet<MailboxKey>,
    /// Mailboxes with suspected UIDs.
    pub doubted: BTreeMap<MailboxKey, UidDoubt>,
    /// Mailboxes with recorded letters.
    pub lettered: BTreeSet<MailboxKey>,
    /// Mailboxes to compare message by message.
    pub due: BTreeSet<MailboxKey>,
    /// Mailboxes whose directory is not the recorded one, with its identity.
    pub others: BTreeMap<MailboxName, String>,
    /// Whether no upload is unresolved: it may become a pair that neither side shows.
    pub certain: bool,
    /// The server's listing.
    pub listed: Vec<Listed>,
}

/// Returns mailboxes without a change.
pub(in crate::engine) fn still(list: &[Listed]) -> BTreeSet<MailboxName> {
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

    /// Returns mailboxes by row.
    pub fn names(&self) -> BTreeMap<MailboxKey, &MailboxName> {
        self.keys.iter().map(|(name, key)| (*key, name)).collect()
    }

    /// Whether nothing requires a read on the server.
    pub fn is_still_there(&self, name: &MailboxName) -> bool {
        let restless = |key: &MailboxKey| self.restless.contains(key);
        self.still.contains(name) && !self.keys.get(name).is_none_or(restless)
    }

    /// Whether its base is stable, so that unchanged messages are not loaded.
    pub fn is_settled(&self, key: MailboxKey) -> bool {
        self.certain && (!self.restless.contains(&key) || self.unlisted.contains(&key))
    }

    /// Whether it cannot have changed.
    pub fn is_quiet(&self, name: &MailboxName) -> bool {
        self.quiet.contains(name)
    }

    /// Whether it is read.
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

/// Begins the scan of changed mailboxes and those to compare, while the server answers.
pub(in crate::engine) fn foresee<R: RemoteStore, L: LocalStore>(
    ctx: &mut Context<'_, R, L>,
    here: &[Listed],
    keys: &BTreeMap<MailboxName, MailboxKey>,
    due: &BTreeSet<MailboxKey>,
) {
    let depth = |one: &Listed| match due.contains(keys.get(&one.name)?) {
        true => Some(Depth::Everything),
        false => (one.news != News::None).then_some(Depth::Changes),
    };
    let there = here.iter().filter(|one| one.presence == Presence::Mailbox);
    let wanted = there.filter(|one| ctx.concerns(&one.name));
    let next = wanted.filter_map(|one| Some((one.name.clone(), depth(one)?)));
    ctx.local.prefetch(&next.collect::<Vec<_>>());
}

/// Returns mailboxes to compare message by message: also those with suspected UIDs or a missing
/// file, and all of an account that may be another one.
pub(in crate::engine) fn due<R: RemoteStore, L: LocalStore>(
    ctx: &Context<'_, R, L>,
    keys: &BTreeMap<MailboxName, MailboxKey>,
    pass: &mut PassState,
) -> Result<BTreeSet<MailboxKey>, Ended> {
    let incomplete = std::mem::take(&mut pass.incomplete).into_iter();
    let incomplete: BTreeSet<MailboxKey> = incomplete
        .filter_map(|name| keys.get(&name).copied())
        .collect();
    let now = (ctx.world.now)();
    let mut all = ctx.state.compared_at()?;
    let (doubted, other) = (ctx.state.doubted()?, ctx.config_changed()?);
    // A time in the future: a clock was wrong.
    let is_due = |last: i64| match ctx.options.reach {
        Reach::Due => (now - last).abs() >= FULL_EVERY,
        Reach::Woken(_) => false,
        Reach::Everything(since) => last > now.max(since) || last < since,
    };
    let asked = |key: &MailboxKey| doubted.contains_key(key) || incomplete.contains(key);
    all.retain(|(key, last)| other || asked(key) || is_due(*last));
    Ok(all.into_iter().map(|(key, _)| key).collect())
}
