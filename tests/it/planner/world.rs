//! Both sides, the base and the quarantine as plain values, on which plans are carried out with
//! "pretend success".

use super::{Fate, Setting, flags};
use mailtide::model::*;
use mailtide::reconcile::{Action, Coverage, FlagMask, Look};
use std::collections::{BTreeMap, BTreeSet};

/// A message on a side: what it says, and its flags.
pub type Held = (u32, Flags);

/// Both sides, the base and the quarantine as plain values.
#[derive(Clone, Debug)]
pub struct World {
    pub there: BTreeMap<Uid, Held>,
    pub here: BTreeMap<MaildirId, Held>,
    pub broken: BTreeSet<MaildirId>,
    pub edited: BTreeSet<MaildirId>,
    pub kept: Vec<u32>,
    pub base: MailboxBase,
    pub next: u32,
}

fn file(n: u32) -> MaildirId {
    MaildirId::new(format!("f{n:04}"))
}

impl World {
    pub fn of(setting: &Setting) -> World {
        let base = MailboxBase {
            key: MailboxKey(1),
            name: MailboxName::inbox(),
            tag: 1,
            uid_validity: Some(UidValidity(1)),
            pairs: Vec::new(),
            others: BTreeSet::new(),
            aside: Vec::new(),
        };
        let (there, here) = (BTreeMap::new(), BTreeMap::new());
        let (broken, edited) = (BTreeSet::new(), BTreeSet::new());
        let mut world = World {
            there,
            here,
            broken,
            edited,
            kept: Vec::new(),
            base,
            next: 1,
        };
        for known in &setting.known {
            let n = world.fresh();
            let (uid, name) = (Uid::new(n).unwrap(), file(n));
            world.base.pairs.push(Pair {
                id: PairId(i64::from(n)),
                uid,
                file: name.clone(),
                flags: flags(known.base),
                hash: Canonical::of(&n.to_be_bytes()),
                size: 1,
                stamp: None,
                tombstone: known.tombstone,
                kin: None,
            });
            match known.remote {
                Fate::Gone => {}
                Fate::Flags(bits) => drop(world.there.insert(uid, (n, flags(bits)))),
                _ => drop(world.there.insert(uid, (n, flags(known.base)))),
            }
            let held = match known.local {
                Fate::Gone => None,
                Fate::Flags(bits) => Some((n, flags(bits))),
                // Another content than the one that was agreed on.
                Fate::Edited => Some((n + 1000, flags(known.base))),
                Fate::Same | Fate::Broken => Some((n, flags(known.base))),
            };
            if let Some(held) = held {
                world.here.insert(name.clone(), held);
            }
            match known.local {
                Fate::Broken => drop(world.broken.insert(name)),
                Fate::Edited => drop(world.edited.insert(name)),
                _ => {}
            }
        }
        for bits in &setting.new_there {
            let n = world.fresh();
            world.there.insert(Uid::new(n).unwrap(), (n, flags(*bits)));
        }
        for bits in &setting.new_here {
            let n = world.fresh();
            world.here.insert(file(n), (n, flags(*bits)));
        }
        world
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub fn looks(&self, setting: &Setting) -> (Look<Uid>, Look<MaildirId>) {
        let uids = self.base.pairs.iter().map(|p| (p.uid, p.flags.clone()));
        let files = self
            .base
            .pairs
            .iter()
            .map(|p| (p.file.clone(), p.flags.clone()));
        let mut there = look(
            &self.there,
            uids.collect(),
            setting.reach[0],
            setting.unseen,
        );
        let mut here = look(
            &self.here,
            files.collect(),
            setting.reach[1],
            setting.unseen >> 8,
        );
        if !setting.keywords_there {
            there.stores = FlagMask::Only(Flags::system());
            there.sees = FlagMask::Only(Flags::system());
        }
        here.broken = self.broken.clone();
        here.edited = self.edited.clone();
        (there, here)
    }

    pub fn pair(&mut self, id: PairId) -> Option<&mut Pair> {
        self.base.pairs.iter_mut().find(|pair| pair.id == id)
    }

    pub fn forget(&mut self, id: PairId) {
        self.base.pairs.retain(|pair| pair.id != id);
    }

    pub fn say(&self, id: &AnyId) -> Option<Held> {
        match id {
            AnyId::Remote(uid) => self.there.get(uid).cloned(),
            AnyId::Local(file) => self.here.get(file).cloned(),
        }
    }

    pub fn carry_out(&mut self, action: &Action, keywords: bool) {
        let storable = |flags: &Flags| match keywords {
            true => flags.clone(),
            false => flags.intersection(&Flags::system()),
        };
        match action {
            Action::Copy {
                from,
                flags,
                replaces,
                ..
            } => {
                let Some((content, _)) = self.say(from) else {
                    return;
                };
                let n = self.fresh();
                let (uid, name) = match from {
                    AnyId::Remote(uid) => {
                        self.here.insert(file(n), (content, flags.clone()));
                        (*uid, file(n))
                    }
                    AnyId::Local(name) => {
                        let uid = Uid::new(n).unwrap();
                        self.there.insert(uid, (content, storable(flags)));
                        (uid, name.clone())
                    }
                };
                if let Some(id) = replaces {
                    self.forget(*id);
                }
                self.base.aside.retain(|aside| aside.id != *from);
                self.base.pairs.push(Pair {
                    id: PairId(i64::from(n)),
                    uid,
                    file: name,
                    flags: flags.clone(),
                    hash: Canonical::of(&content.to_be_bytes()),
                    size: 1,
                    stamp: None,
                    tombstone: None,
                    kin: None,
                });
            }
            Action::Flags(set) => {
                if let Some((_, flags)) = self.there.get_mut(&set.pair.uid) {
                    *flags = storable(&set.remote.apply(flags));
                }
                if let Some((_, flags)) = self.here.get_mut(&set.pair.file) {
                    *flags = set.local.apply(flags);
                }
                if let Some(own) = self.pair(set.pair.id) {
                    (own.flags, own.tombstone) = (set.merged.clone(), None);
                }
            }
            Action::Unmark { pair, agreed } => {
                if let Some((_, flags)) = self.there.get_mut(&pair.uid) {
                    *flags = flags.clone().without(SystemFlag::Deleted);
                }
                if let Some(own) = self.pair(pair.id) {
                    (own.flags, own.tombstone) = (agreed.clone(), None);
                }
            }
            Action::Delete { on, pair, .. } => {
                let gone = match on {
                    Side::Remote => self.there.remove(&pair.uid),
                    Side::Local => self.here.remove(&pair.file),
                };
                self.kept.extend(gone.map(|(content, _)| content));
                self.forget(pair.id);
            }
            Action::Forget { pair } => self.forget(pair.id),
            Action::Detach { pair, aside } => {
                self.forget(pair.id);
                self.base.aside.push((**aside).clone());
            }
            Action::SetAside(aside) => self.base.aside.push((**aside).clone()),
            Action::Unaside(id) => self.base.aside.retain(|aside| aside.id != *id),
            Action::Split { pair } => {
                let n = self.fresh();
                if let Some(held) = self.here.remove(&pair.file) {
                    self.here.insert(file(n), held);
                }
                self.edited.remove(&pair.file);
            }
            Action::Discard { pair } => {
                let gone = self.here.remove(&pair.file);
                self.kept.extend(gone.map(|(content, _)| content));
                self.broken.remove(&pair.file);
            }
            other => panic!("the table of one mailbox does not plan {other:?}"),
        }
    }

    /// Contents and flags of a side, those left out that stay on their side.
    pub fn view(&self, side: Side, keywords: bool) -> Vec<(u32, Flags)> {
        let alone: BTreeSet<&AnyId> = self.base.aside.iter().map(|aside| &aside.id).collect();
        let shown = |flags: &Flags| match keywords {
            true => flags.clone(),
            false => flags.intersection(&Flags::system()),
        };
        let paired = |id: &AnyId| {
            self.base.pairs.iter().any(|pair| match id {
                AnyId::Remote(uid) => pair.uid == *uid,
                AnyId::Local(file) => pair.file == *file,
            })
        };
        let all: Vec<(AnyId, Held)> = match side {
            Side::Remote => self
                .there
                .iter()
                .map(|(u, h)| (u.any(), h.clone()))
                .collect(),
            Side::Local => self
                .here
                .iter()
                .map(|(f, h)| (f.any(), h.clone()))
                .collect(),
        };
        let marked = |id: &AnyId, held: &Held| held.1.has(SystemFlag::Deleted) && !paired(id);
        let all = all.into_iter();
        let all = all.filter(|(id, held)| !alone.contains(id) && !marked(id, held));
        let mut view: Vec<(u32, Flags)> = all.map(|(_, (c, f))| (c, shown(&f))).collect();
        view.sort();
        view
    }
}

fn look<I: Id>(
    side: &BTreeMap<I, Held>,
    before: BTreeMap<I, Flags>,
    reach: u8,
    unseen: u16,
) -> Look<I> {
    let mut look = Look::empty();
    let gone: BTreeSet<I> = before
        .keys()
        .filter(|id| !side.contains_key(id))
        .cloned()
        .collect();
    for (n, (id, (_, flags))) in side.iter().enumerate() {
        let same = before.get(id) == Some(flags);
        match reach {
            // A delta mentions what changed; a complete one may leave flags out that did not.
            1 if same => {}
            2 if unseen & (1 << (n % 8)) != 0 => {}
            _ if same && unseen & 1 != 0 => drop(look.seen.insert(id.clone(), None)),
            _ => drop(look.seen.insert(id.clone(), Some(flags.clone()))),
        }
    }
    look.coverage = match reach {
        0 => Coverage::Complete,
        1 => Coverage::Delta { gone },
        _ => Coverage::Partial,
    };
    look
}
