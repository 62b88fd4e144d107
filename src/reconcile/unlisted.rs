//! Uploads that the server accepted, until a listing shows them: an upload is complete when the
//! server lists it with its flags. The absence of a message that was never listed is not a
//! deletion.

use super::look::{Coverage, FlagMask, Look};
use super::outcome::Outcome;
use crate::model::{Flags, MaildirId, Pair, SystemFlag, Uid};
use std::collections::BTreeMap;

/// The uploads without effect after which a message is skipped.
const TRIES: u32 = 2;

/// The next step for an accepted message that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This run uploaded it: the next run uploads it again.
    Wait,
    /// Upload it again.
    Again,
    /// Skip it.
    SetAside,
}

impl Next {
    /// Returns the step after this many uploads; `now`: this run made the last.
    pub fn after(tries: u32, now: bool) -> Next {
        match (tries >= TRIES, now) {
            (true, _) => Next::SetAside,
            (false, true) => Next::Wait,
            (false, false) => Next::Again,
        }
    }
}

/// An accepted upload with a UID, which is a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The file.
    pub file: MaildirId,
    /// Whether a listing showed it without flags that were set since.
    pub corrected: bool,
    /// The step if it is not listed.
    pub next: Next,
}

/// The accepted uploads of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// Those with a UID.
    pub told: BTreeMap<Uid, Told>,
    /// Files without a returned UID that the mailbox does not show.
    pub untold: BTreeMap<MaildirId, Next>,
}

impl Unlisted {
    /// Returns the step for a pair whose message was never listed.
    pub fn never_listed(&self, pair: &Pair) -> Option<Next> {
        let told = self.told.get(&pair.uid)?;
        (told.file == pair.file && !told.corrected).then_some(told.next)
    }

    /// Whether missing flags are no client's change: the first listing of an upload shows how the
    /// server stored its flags.
    pub fn is_new(&self, pair: &Pair) -> bool {
        let told = self.told.get(&pair.uid);
        told.is_some_and(|told| told.file == pair.file)
    }

    /// Returns the changes of the base by a snapshot: listed uploads are complete, unless they lack
    /// flags that the server can store. Those are set once; later the server's flags count.
    pub fn outcomes(&self, pairs: &BTreeMap<Uid, &Pair>, look: &Look<Uid>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (uid, told) in &self.told {
            let Some(shown) = look.seen.get(uid) else {
                continue;
            };
            let missing = match (pairs.get(uid), shown) {
                (Some(pair), Some(shown)) => self.missing(pair, shown, look),
                _ => Flags::default(),
            };
            let file = told.file.clone();
            if missing.is_empty() || told.corrected {
                outcomes.push(Outcome::Listed(file));
            } else {
                outcomes.push(Outcome::Corrected(file));
            }
        }
        outcomes
    }

    /// Whether an incremental snapshot shows neither a message nor its absence: only a complete one
    /// tells.
    pub fn leaves_open(&self, look: &Look<Uid>) -> bool {
        let changes = matches!(look.coverage, Coverage::Delta { .. });
        let open = |uid: &Uid| !look.seen.contains_key(uid) && !look.shows_gone(uid);
        changes && self.told.keys().any(open)
    }

    /// Returns the flags of an upload that its message lacks although the server can store them.
    pub fn missing(&self, pair: &Pair, shown: &Flags, look: &Look<Uid>) -> Flags {
        let wanted = look
            .stores
            .keep(&pair.flags.clone().without(SystemFlag::Deleted));
        wanted.difference(shown)
    }

    /// Returns the flags that the first listing of an upload shows, without those that were sent.
    /// `None`: the snapshot is complete for this pair.
    pub fn sees(&self, pair: &Pair, look: &Look<Uid>) -> Option<FlagMask> {
        let corrected = self.told.get(&pair.uid).is_some_and(|told| told.corrected);
        (self.is_new(pair) && !corrected).then(|| look.sees.without(&pair.flags))
    }
}
