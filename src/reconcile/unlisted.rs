//! Uploads that the server said it stored, until a listing of their mailbox shows them: an upload
//! is done when the server lists it, with its flags. Absence of one that was never listed is no
//! deletion.

use super::look::{Coverage, FlagMask, Look};
use super::outcome::Outcome;
use crate::model::{Flags, MaildirId, Pair, SystemFlag, Uid};
use std::collections::BTreeMap;

/// So many uploads of a message without effect are enough.
const TRIES: u32 = 2;

/// What is done with a message that the server said it stored, and does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It was sent by this run: the next one sends it once more.
    Wait,
    /// It is sent once more.
    Again,
    /// It is set aside.
    SetAside,
}

impl Next {
    /// After so many uploads, of which the last was made by this run or not.
    pub fn after(tries: u32, now: bool) -> Next {
        match (tries >= TRIES, now) {
            (true, _) => Next::SetAside,
            (false, true) => Next::Wait,
            (false, false) => Next::Again,
        }
    }
}

/// An upload of which the server told the UID, which is one of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The file.
    pub file: MaildirId,
    /// Whether a listing showed it, without flags that were set since.
    pub corrected: bool,
    /// What is done when it is not listed.
    pub next: Next,
}

/// What is known of such uploads in a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// Those with a UID.
    pub told: BTreeMap<Uid, Told>,
    /// Files of which the server told no UID, and that are not found in it.
    pub untold: BTreeMap<MaildirId, Next>,
}

impl Unlisted {
    /// What is done with a pair whose message the server does not show, if it never did.
    pub fn never_listed(&self, pair: &Pair) -> Option<Next> {
        let told = self.told.get(&pair.uid)?;
        (told.file == pair.file && !told.corrected).then_some(told.next)
    }

    /// Whether flags that a message lacks are no wish of anybody: the first listing of an upload
    /// shows what the server made of the flags that were sent with it.
    pub fn is_new(&self, pair: &Pair) -> bool {
        let told = self.told.get(&pair.uid);
        told.is_some_and(|told| told.file == pair.file)
    }

    /// What the base learns of a look: those that it shows are done, unless flags are missing that
    /// the server can store. Those are set once; what is missing after that follows the server.
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

    /// Whether a look at changes does not show a message, nor that it is gone: only a listing of
    /// all of them tells.
    pub fn leaves_open(&self, look: &Look<Uid>) -> bool {
        let changes = matches!(look.coverage, Coverage::Delta { .. });
        let open = |uid: &Uid| !look.seen.contains_key(uid) && !look.shows_gone(uid);
        changes && self.told.keys().any(open)
    }

    /// The flags of an upload that its message lacks, although the server can store them.
    pub fn missing(&self, pair: &Pair, shown: &Flags, look: &Look<Uid>) -> Flags {
        let wanted = look
            .stores
            .keep(&pair.flags.clone().without(SystemFlag::Deleted));
        wanted.difference(shown)
    }

    /// The flags that the server's look tells of an upload that is listed for the first time: not
    /// those that were sent with it. `None`: of this pair it tells all that it sees.
    pub fn sees(&self, pair: &Pair, look: &Look<Uid>) -> Option<FlagMask> {
        let corrected = self.told.get(&pair.uid).is_some_and(|told| told.corrected);
        (self.is_new(pair) && !corrected).then(|| look.sees.without(&pair.flags))
    }
}
