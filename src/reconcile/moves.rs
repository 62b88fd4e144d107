//! Moves and copies: a message that vanished in one mailbox and appeared in another was moved, one
//! that appeared beside the original was copied. Decided for the whole account before the tables of
//! mailboxes, which skip these messages. `docs/sync.md` has the row numbers.
//!
//! Decides by content only, which `engine::elsewhere` verified. Each of several equal messages is
//! used once, so none is lost.

use super::action::{Action, Move, PairRef, Rekey};
use super::assign::{Prefer, Source, assign, marked};
use super::policy::Policy;
use super::pool::{Pool, Wanted};
use super::seen::{marked_by_us, name, unmark};
use super::settled::{CutMove, Moves};
use super::sighting::{Kept, Known, Sighting, Whereabouts};
use crate::model::{AnyId, ContentHash, Flags, Id, MailboxName, MaildirId, PairId, Side, Uid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The inputs about messages that may have been moved or copied.
#[derive(Debug)]
pub struct Case<'a> {
    /// Pairs with the content of a sighting.
    pub known: &'a [Known],
    /// New messages on the server.
    pub uids: Vec<Sighting<Uid>>,
    /// New messages on disk.
    pub files: Vec<Sighting<MaildirId>>,
    /// Messages in quarantine.
    pub kept: Vec<Kept>,
    /// Cut moves on the server.
    pub cut: &'a [CutMove],
    /// Mailboxes that are read-only on the server.
    pub frozen: &'a BTreeSet<MailboxName>,
    /// The policy.
    pub policy: &'a Policy,
}

/// Decides about moves and copies.
pub fn decide(case: Case<'_>) -> Moves {
    let Case {
        known,
        uids,
        files,
        kept,
        cut,
        frozen,
        policy,
    } = case;
    let mut groups: BTreeMap<ContentHash, Group<'_>> = BTreeMap::new();
    for one in known {
        groups.entry(one.pair.hash).or_default().known.push(one);
    }
    for uid in uids {
        groups.entry(uid.hash).or_default().uids.push(uid);
    }
    for file in files {
        groups.entry(file.hash).or_default().files.push(file);
    }
    for one in kept {
        groups.entry(one.hash).or_default().kept.push_back(one);
    }
    let mut cuts: BTreeMap<PairId, Vec<&CutMove>> = BTreeMap::new();
    for one in cut {
        cuts.entry(one.pair).or_default().push(one);
    }
    let mut table = Table {
        policy,
        cut: cuts,
        frozen,
        out: Moves::default(),
    };
    for (_, group) in groups {
        table.group(group);
    }
    table.out
}

/// All messages of one content.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub known: Vec<&'a Known>,
    pub uids: Pool<Uid>,
    pub files: Pool<MaildirId>,
    pub kept: VecDeque<Kept>,
    /// Whether the server lost one without a known target.
    pub lost_there: bool,
    /// Whether the disk lost one.
    pub lost_here: bool,
}

pub(super) struct Table<'a> {
    pub policy: &'a Policy,
    /// Cut moves by pair.
    pub cut: BTreeMap<PairId, Vec<&'a CutMove>>,
    pub frozen: &'a BTreeSet<MailboxName>,
    pub out: Moves,
}

impl Table<'_> {
    fn group(&mut self, mut group: Group<'_>) {
        self.finish(&mut group);
        let mut sources = self.meet(&mut group);
        let lost_there = |known: &Known| {
            let lost = [Whereabouts::Gone, Whereabouts::Edited, Whereabouts::Broken];
            let wanted = !lost.contains(&known.local);
            (known.remote == Whereabouts::Gone).then_some(wanted)
        };
        let prefer: [Prefer<'_, Uid>; 1] = [&|known| Wanted::Akin(&known.mailbox, known.pair.kin)];
        let mut there = assign(&group.known, &mut group.uids, &lost_there, &prefer);
        let lost_here = |known: &Known| {
            let wanted = known.remote != Whereabouts::Gone || there.contains_key(&known.pair.id);
            (known.local == Whereabouts::Gone).then_some(wanted)
        };
        let prefer: [Prefer<'_, MaildirId>; 2] =
            [&|known| Wanted::Named(&known.pair.file), &|known| {
                Wanted::In(&known.mailbox)
            }];
        let mut here = assign(&group.known, &mut group.files, &lost_here, &prefer);
        for known in std::mem::take(&mut group.known) {
            let (v, g) = (there.remove(&known.pair.id), here.remove(&known.pair.id));
            group.lost_there |= known.remote == Whereabouts::Gone && v.is_none();
            group.lost_here |= known.local == Whereabouts::Gone && g.is_none();
            let source = self.pair(known, (v, g), &mut group);
            sources.push(source);
        }
        self.copies(&sources, group);
    }

    /// Decides about messages that both sides have in one place. First: where several are equal and
    /// a server has no message ids, they would be moved in circles.
    fn meet(&mut self, group: &mut Group<'_>) -> Vec<Source> {
        let mut sources = Vec::new();
        let both =
            |known: &Known| (known.remote, known.local) == (Whereabouts::Gone, Whereabouts::Gone);
        let Group {
            known, uids, files, ..
        } = group;
        let mut from = 0;
        for by_name in [true, false] {
            known.retain(|known| {
                if !both(known) {
                    return true;
                }
                let fits = |g: &Sighting<MaildirId>| uids.has(&Wanted::In(&g.mailbox));
                let found = match by_name {
                    true => files.take_named(&known.pair.file, fits),
                    false => files.take_after(&mut from, fits),
                };
                let Some(g) = found else { return true };
                if let Some(v) = uids.take(&Wanted::In(&g.mailbox)) {
                    let (uid, file) =
                        ((v.mailbox.clone(), v.id), (g.mailbox.clone(), g.id.clone()));
                    sources.push(Source {
                        uid: (!marked(&v.flags)).then_some(uid),
                        file: Some(file),
                        flags: v.flags.clone(),
                        size: g.size.unwrap_or(known.pair.size),
                    });
                    self.rekey(name(&known.pair), v, g);
                }
                false
            });
        }
        sources
    }

    /// Decides about one pair; unused sightings return to the group. Returns a source for copies.
    fn pair(
        &mut self,
        known: &Known,
        (there, here): (Option<Sighting<Uid>>, Option<Sighting<MaildirId>>),
        group: &mut Group<'_>,
    ) -> Source {
        let old = (known.mailbox.clone(), known.pair.uid);
        let mut source = Source {
            uid: (known.remote == Whereabouts::Here && !marked(&known.flags)).then_some(old),
            file: (known.local == Whereabouts::Here)
                .then(|| (known.mailbox.clone(), known.pair.file.clone())),
            flags: known.flags.clone(),
            size: known.pair.size,
        };
        if let Some(g) = &here {
            source.file = Some((g.mailbox.clone(), g.id.clone()));
            source.size = g.size.unwrap_or(source.size);
        }
        let pair = name(&known.pair);
        match (known.remote, there, known.local, here) {
            (_, None, _, None) => {}
            // Row 22: moved on both sides.
            (_, Some(v), _, Some(g)) => self.both(known, v, g),
            // Rows 23 and 25: one half is unknown.
            (Whereabouts::Unknown, None, _, Some(g)) => {
                self.out.pairs.insert(pair.id);
                self.out.files.insert((g.mailbox, g.id));
            }
            (_, Some(v), Whereabouts::Unknown, None) => {
                self.out.pairs.insert(pair.id);
                self.out.uids.insert((v.mailbox, v.id));
            }
            // Rows 19, 20, 24.
            (Whereabouts::Here, None, _, Some(g)) => self.follow_there(known, pair, g, group),
            // Rows 4 and 10.
            (_, Some(v), Whereabouts::Here, None) => self.follow_here(known, pair, v, group),
            // Rows 16, 21, 29, 35: the moved message is new in its place.
            (_, v, _, g) => {
                source.file = None;
                v.into_iter().for_each(|v| group.uids.push(v));
                g.into_iter().for_each(|g| group.files.push(g));
            }
        }
        source
    }

    /// Decides about a pair that was moved to different places (see [`Self::meet`]).
    fn both(&mut self, known: &Known, v: Sighting<Uid>, g: Sighting<MaildirId>) {
        let pair = name(&known.pair);
        // A message with a new UID only was not moved.
        let stays = v.mailbox == known.mailbox && self.may_leave_there(&v.mailbox, &g.mailbox);
        if stays {
            let size = (None, g.size);
            self.travel(pair, (v.mailbox, v.id.any()), (g.mailbox, g.id.any()), size);
        } else if self.policy.deletes_on(Side::Local) {
            // The server's place counts.
            let size = (None, g.size);
            self.travel(pair, (g.mailbox, g.id.any()), (v.mailbox, v.id.any()), size);
        } else if self.may_leave_there(&v.mailbox, &g.mailbox) {
            let size = (None, g.size);
            self.travel(pair, (v.mailbox, v.id.any()), (g.mailbox, g.id.any()), size);
        }
    }

    fn follow_there(
        &mut self,
        known: &Known,
        pair: PairRef,
        g: Sighting<MaildirId>,
        group: &mut Group<'_>,
    ) {
        if g.mailbox == known.mailbox {
            // The mail reader renamed the file.
            let v = Sighting {
                mailbox: known.mailbox.clone(),
                id: pair.uid,
                hash: g.hash,
                kin: None,
                flags: known.flags.clone(),
                size: None,
            };
            return self.rekey(pair, v, g);
        }
        if !self.may_leave_there(&known.mailbox, &g.mailbox) {
            // Where nothing may be removed, the moved message is new in its place.
            if !self.may_leave_there(&known.mailbox, &known.mailbox) {
                return group.files.push(g);
            }
            // It cannot follow: as a deletion it would be nowhere on the server.
            self.out.pairs.insert(pair.id);
            self.out.files.insert((g.mailbox.clone(), g.id.clone()));
            let home = known.mailbox.clone();
            return self.out.stuck.push((home, g.mailbox, g.id));
        }
        if marked_by_us(&known.pair, &known.flags) {
            self.out.pairs.insert(pair.id);
            self.out.files.insert((g.mailbox, g.id));
            return self.act(known.mailbox.clone(), unmark(&known.pair));
        }
        let arrived = group.uids.take(&Wanted::In(&g.mailbox)).map(|v| v.id.any());
        let from = (known.mailbox.clone(), pair.uid.any());
        self.travel(pair, from, (g.mailbox, g.id.any()), (arrived, g.size));
    }

    fn follow_here(
        &mut self,
        known: &Known,
        pair: PairRef,
        v: Sighting<Uid>,
        group: &mut Group<'_>,
    ) {
        if v.mailbox == known.mailbox {
            let g = Sighting {
                mailbox: known.mailbox.clone(),
                id: pair.file.clone(),
                hash: v.hash,
                kin: None,
                flags: Flags::default(),
                size: None,
            };
            return self.rekey(pair, v, g);
        }
        if !self.policy.deletes_on(Side::Local) {
            return group.uids.push(v);
        }
        let arrived = group.files.take(&Wanted::In(&v.mailbox));
        let arrived = arrived.map_or((None, None), |g| (Some(g.id.any()), g.size));
        let from = (known.mailbox.clone(), pair.file.any());
        self.travel(pair, from, (v.mailbox, v.id.any()), arrived);
    }

    /// Records the place that both sides have.
    fn rekey(&mut self, pair: PairRef, v: Sighting<Uid>, g: Sighting<MaildirId>) {
        self.out.pairs.insert(pair.id);
        self.out.uids.insert((v.mailbox.clone(), v.id));
        self.out.files.insert((g.mailbox, g.id.clone()));
        let (uid, file, size) = (v.id, g.id, g.size);
        let new = Rekey {
            pair,
            uid,
            file,
            size,
        };
        self.act(v.mailbox, Action::Rekey(new.into()));
    }

    /// Moves the message on one side to its place on the other.
    pub(super) fn travel(
        &mut self,
        pair: PairRef,
        (from, id): (MailboxName, AnyId),
        (to, partner): (MailboxName, AnyId),
        (arrived, size): (Option<AnyId>, Option<u64>),
    ) {
        self.out.pairs.insert(pair.id);
        for (place, id) in [(&from, &id), (&to, &partner)] {
            self.pass_over(place, id);
        }
        if let Some(arrived) = &arrived {
            self.pass_over(&to, arrived);
        }
        let step = Move {
            pair,
            from,
            id,
            partner,
            arrived,
            size,
        };
        self.act(to, Action::Move(step.into()));
    }

    fn pass_over(&mut self, mailbox: &MailboxName, id: &AnyId) {
        match id {
            AnyId::Remote(uid) => drop(self.out.uids.insert((mailbox.clone(), *uid))),
            AnyId::Local(file) => drop(self.out.files.insert((mailbox.clone(), file.clone()))),
        }
    }

    pub(super) fn may_leave_there(&self, from: &MailboxName, to: &MailboxName) -> bool {
        let open = !self.frozen.contains(from) && !self.frozen.contains(to);
        open && self.policy.deletes_on(Side::Remote)
    }

    pub(super) fn act(&mut self, mailbox: MailboxName, action: Action) {
        self.out.actions.entry(mailbox).or_default().push(action);
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
