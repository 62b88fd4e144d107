//! What both sides must hold at rest: the tables of the law in a few lines, written apart from the
//! engine. Goes by the states of the sides when the users are done, and by content: in these runs
//! a content lies in one place, or it is touched by nothing that moves mail.

use crate::support::memory::{Box_, MemoryId, Message};
use mailtide::model::*;
use std::collections::{BTreeMap, BTreeSet};

/// Mailboxes with their messages: content and flags.
pub type Rest = BTreeMap<MailboxName, Vec<(Vec<u8>, Flags)>>;

/// The base when the round began: pairs with their content.
pub type Before = BTreeMap<MailboxName, Vec<(Vec<u8>, Pair)>>;

/// The mailboxes of a side.
pub type Boxes<I> = BTreeMap<MailboxName, Box_<I>>;

type Names = BTreeSet<MailboxName>;

/// A message somewhere.
type Spot = (MailboxName, Flags);

/// One side when the users are done.
struct Seen<'a, I: Ord> {
    boxes: &'a Boxes<I>,
    /// Messages that are no half of a pair, by content.
    new: BTreeMap<Vec<u8>, Vec<Spot>>,
}

/// The flags of a message as its user knows them.
fn meant(message: &Message) -> Flags {
    message
        .meant
        .clone()
        .unwrap_or_else(|| message.flags.clone())
}

impl<'a, I: MemoryId> Seen<'a, I> {
    fn of(boxes: &'a Boxes<I>, known: &BTreeSet<(MailboxName, I)>) -> Self {
        let mut new: BTreeMap<Vec<u8>, Vec<Spot>> = BTreeMap::new();
        for (name, b) in boxes {
            for (id, m) in &b.messages {
                if !known.contains(&(name.clone(), id.clone())) {
                    let spots = new.entry(m.body.clone()).or_default();
                    spots.push((name.clone(), meant(m)));
                }
            }
        }
        Seen { boxes, new }
    }

    fn has(&self, name: &MailboxName) -> bool {
        self.boxes.contains_key(name)
    }

    fn flags(&self, name: &MailboxName, id: &I) -> Option<Flags> {
        let message = self.boxes.get(name)?.messages.get(id)?;
        Some(meant(message))
    }

    /// Whether there is new mail in a mailbox. What got another name here and was moved across, is
    /// none.
    fn has_new<J: Ord>(
        &self,
        name: &MailboxName,
        other: &Seen<'_, J>,
        (before, id): (&Before, &dyn Fn(&Pair) -> I),
    ) -> bool {
        let pairs = before.get(name).into_iter().flatten();
        let lost = pairs.filter(|(_, pair)| self.flags(name, &id(pair)).is_none());
        let known: BTreeSet<&Vec<u8>> = lost.map(|(body, _)| body).collect();
        self.new.iter().any(|(body, spots)| {
            let here = spots.iter().any(|(place, _)| place == name);
            here && !(known.contains(body) && other.new.get(body).is_some_and(|s| !s.is_empty()))
        })
    }

    /// Takes out what is new with this content, there if a place is given.
    fn take(&mut self, body: &[u8], at: Option<&MailboxName>) -> Option<Spot> {
        let spots = self.new.get_mut(body)?;
        let fits = |(place, _): &Spot| at.is_none_or(|at| at == place);
        let at = spots.iter().position(fits)?;
        Some(spots.remove(at))
    }
}

/// What the sides must hold.
///
/// `anew`: mailboxes with a new UIDVALIDITY, in which older deletions do not count.
pub fn expected(
    before: &Before,
    remote: &Boxes<Uid>,
    local: &Boxes<MaildirId>,
    anew: &Names,
) -> Rest {
    let pairs = || {
        let each = |(name, all): (&MailboxName, &Vec<(Vec<u8>, Pair)>)| {
            let name = name.clone();
            let all = all.clone().into_iter();
            all.map(move |(body, pair)| (name.clone(), body, pair))
        };
        before.iter().flat_map(each)
    };
    let uids = pairs().map(|(name, _, pair)| (name, pair.uid)).collect();
    let files = pairs().map(|(name, _, pair)| (name, pair.file)).collect();
    let mut there = Seen::of(remote, &uids);
    let mut here = Seen::of(local, &files);
    // A mailbox that one side deleted goes, unless there is new mail in it.
    let returns = |name: &MailboxName| {
        let (uid, file) = (|pair: &Pair| pair.uid, |pair: &Pair| pair.file.clone());
        there.has_new(name, &here, (before, &uid)) || here.has_new(name, &there, (before, &file))
    };
    let known = before.keys();
    let lost = known.filter(|name| !(there.has(name) && here.has(name)));
    let (back, gone): (BTreeSet<_>, BTreeSet<_>) = lost.cloned().partition(returns);
    let all = there.boxes.keys().chain(here.boxes.keys());
    let mut rest: Rest = all
        .filter(|name| !gone.contains(*name))
        .map(|name| (name.clone(), Vec::new()))
        .collect();
    for (name, body, pair) in pairs() {
        let ends = one(
            &name,
            &body,
            &pair,
            (&mut there, &mut here),
            (&back, &gone, anew),
        );
        if let Some((place, flags)) = ends {
            rest.get_mut(&place).unwrap().push((body, flags));
        }
    }
    for (body, spots) in std::mem::take(&mut there.new) {
        for (place, flags) in spots {
            let partner = here.take(&body, Some(&place));
            let flags = partner.map_or(flags.clone(), |(_, other)| flags.union(&other));
            rest.get_mut(&place).unwrap().push((body.clone(), flags));
        }
    }
    for (body, spots) in here.new {
        for (place, flags) in spots {
            rest.get_mut(&place).unwrap().push((body.clone(), flags));
        }
    }
    rest
}

/// Where one message ends, and with which flags.
fn one(
    name: &MailboxName,
    body: &[u8],
    pair: &Pair,
    (there, here): (&mut Seen<'_, Uid>, &mut Seen<'_, MaildirId>),
    (back, gone, anew): (&Names, &Names, &Names),
) -> Option<Spot> {
    let (r, l) = (there.flags(name, &pair.uid), here.flags(name, &pair.file));
    let r_moved = if r.is_none() {
        there.take(body, None)
    } else {
        None
    };
    let l_moved = if l.is_none() {
        here.take(body, None)
    } else {
        None
    };
    let merge = |place: &MailboxName, r: &Flags, l: &Flags| {
        Some((place.clone(), merged(&pair.flags, r, l)))
    };
    match (r, r_moved, l, l_moved) {
        (Some(r), _, Some(l), _) => merge(name, &r, &l),
        // The server decides where it ends, unless it only has another UID there.
        (None, Some((at, r)), None, Some((to, l))) if at == *name => merge(&to, &r, &l),
        (None, Some((to, r)), None, Some((_, l))) => merge(&to, &r, &l),
        (None, Some((to, r)), Some(l), _) => {
            let arrived = (to != *name).then(|| here.take(body, Some(&to))).flatten();
            merge(&to, &r, &arrived.map_or(l, |(_, flags)| flags))
        }
        (Some(r), _, None, Some((to, l))) => {
            let arrived = (to != *name).then(|| there.take(body, Some(&to))).flatten();
            merge(&to, &arrived.map_or(r, |(_, flags)| flags), &l)
        }
        // Moved here, deleted there: it stays where it was moved to.
        (None, Some(spot), None, None) | (None, None, None, Some(spot)) => Some(spot),
        (None, None, None, None) => None,
        (Some(now), _, None, None) | (None, None, Some(now), _) => {
            let alive = !now.has(SystemFlag::Deleted);
            let stays = match (gone.contains(name), back.contains(name)) {
                (true, _) => false,
                (_, true) => alive,
                _ if anew.contains(name) => true,
                _ => wanted(&pair.flags, &now),
            };
            stays.then(|| (name.clone(), now))
        }
    }
}

/// A message deleted across survives only when it was wanted here.
fn wanted(base: &Flags, now: &Flags) -> bool {
    let flagged = now.has(SystemFlag::Flagged) && !base.has(SystemFlag::Flagged);
    let undeleted = base.has(SystemFlag::Deleted) && !now.has(SystemFlag::Deleted);
    let keyword = now.keywords().any(|k| !base.has_keyword(k));
    flagged || undeleted || keyword
}

/// Each bit is what was touched since the base.
fn merged(base: &Flags, remote: &Flags, local: &Flags) -> Flags {
    let touched = |now: &Flags| (now.difference(base), base.difference(now));
    let ((ra, rd), (la, ld)) = (touched(remote), touched(local));
    base.difference(&rd).difference(&ld).union(&ra).union(&la)
}

/// When nothing is known of either side: what is on one is on both, and nothing is gone.
pub fn united(remote: &Boxes<Uid>, local: &Boxes<MaildirId>) -> Rest {
    expected(&Before::new(), remote, local, &BTreeSet::new())
}
