//! The base and both snapshots of a mailbox, before decisions.

use crate::model::{FlagChange, Id, MailboxBase, MailboxName, MaildirId, Pair, PairId, Side, Uid};
use crate::reconcile::messages::Known;
use crate::reconcile::settled::Moves;
use crate::reconcile::sighting::Whereabouts;
use crate::reconcile::{Action, Coverage, Look, MailboxAction};
use crate::state::{Lettered, LetteredContent, RelatedPair};
use crate::store::Place;
use std::collections::{BTreeMap, BTreeSet};

/// A mailbox with its snapshots.
pub(in crate::engine) struct Scene {
    /// The base.
    pub base: MailboxBase,
    /// The server.
    pub remote: Look<Uid>,
    /// The disk.
    pub local: Look<MaildirId>,
    /// Whether it was compared message by message.
    pub full: bool,
    /// Whether the listings showed no change.
    pub quiet: bool,
    /// The decision about the mailbox.
    pub fate: Fate,
    /// Pairs of a mailbox that is gone on one side and comes back: only their moves matter. They
    /// are not in the base.
    pub forgotten: Vec<Pair>,
    /// New files whose letters do not match their keywords: the changes.
    pub relabels: BTreeMap<MaildirId, FlagChange>,
    /// The knowledge about letters of new files.
    pub lettered: Lettering,
}

/// New files whose letters certainly follow the table of their mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Lettering {
    /// Recorded files.
    pub noted: BTreeMap<MaildirId, Lettered>,
    /// Files whose letters were compared with a known message.
    pub read: BTreeSet<MaildirId>,
    /// Recorded files that are gone.
    pub gone: Vec<MaildirId>,
    /// The content of new files that were read.
    pub bodies: BTreeMap<MaildirId, LetteredContent>,
}

impl Lettering {
    /// Whether the letters of a file need not be mapped again.
    pub fn knows(&self, file: &MaildirId) -> bool {
        self.noted.contains_key(file) || self.read.contains(file)
    }
}

/// The future of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Fate {
    /// It stays, and its messages are synced.
    Stays,
    /// It is deleted: only messages that were moved out of it matter.
    Goes(MailboxAction),
}

/// All mailboxes that were read.
pub(in crate::engine) type Scenes = BTreeMap<MailboxName, Scene>;

impl Scene {
    /// A mailbox that goes, with nothing in it on either side.
    pub fn of_gone(base: MailboxBase, action: MailboxAction) -> Scene {
        Scene {
            base,
            remote: Look::empty(),
            local: Look::empty(),
            full: false,
            quiet: false,
            fate: Fate::Goes(action),
            forgotten: Vec::new(),
            relabels: BTreeMap::new(),
            lettered: Lettering::default(),
        }
    }

    /// The mailbox in the UIDVALIDITY of the look.
    pub fn place(&self) -> Place {
        Place {
            mailbox: self.base.name.clone(),
            uid_validity: self.base.uid_validity,
        }
    }

    /// Returns its present and former pairs.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.base.pairs.iter().chain(&self.forgotten)
    }

    /// Whether a pair was not loaded, as it did not change.
    pub fn leaves_as_is(&self, relative: &RelatedPair) -> bool {
        relative.mailbox == self.base.key && self.base.others.contains(&relative.pair.uid)
    }

    /// Returns the pairs that were moved out of it before it was deleted.
    pub fn moved_out(&self, moves: &Moves) -> BTreeSet<PairId> {
        let ids = self.forgotten.iter().map(|pair| pair.id);
        ids.filter(|id| moves.pairs.contains(id)).collect()
    }

    /// Whether it is to be created on disk.
    pub fn is_gone_here(&self, actions: &[MailboxAction]) -> bool {
        actions.iter().any(|action| {
            matches!(
                action,
                MailboxAction::Create { on: Side::Local, name, .. } if *name == self.base.name
            )
        })
    }

    /// Marks these as unchanged.
    pub fn leave_out(&mut self, kept: &BTreeSet<PairId>) {
        for pair in self.forgotten.iter().filter(|pair| kept.contains(&pair.id)) {
            self.remote.seen.remove(&pair.uid);
        }
    }

    /// Returns unknown messages on the server.
    pub fn new_uids(&self) -> Vec<Uid> {
        let known = Known::of(&self.base);
        let forgotten: BTreeSet<&Uid> = self.forgotten.iter().map(|pair| &pair.uid).collect();
        let seen = self.remote.seen.keys();
        let new = seen.filter(|uid| !known.uid(uid) && !forgotten.contains(uid));
        new.copied().collect()
    }

    /// Returns unknown messages on disk.
    pub fn new_files(&self) -> Vec<MaildirId> {
        let known = Known::of(&self.base);
        let forgotten: BTreeSet<&MaildirId> = self.forgotten.iter().map(|p| &p.file).collect();
        let seen = self.local.seen.keys();
        let new = seen.filter(|file| !known.file(file) && !forgotten.contains(file));
        let whole = new.filter(|file| !self.local.broken.contains(*file));
        whole.cloned().collect()
    }

    /// Returns new files whose size could not be read. They cannot be identified in this pass.
    pub fn dim_files(&self) -> Vec<MaildirId> {
        let mut dim = Vec::new();
        if self.local.coverage == Coverage::Partial {
            dim = self.new_files();
            dim.retain(|file| !self.local.sizes.contains_key(file));
        }
        dim
    }
}

/// The files of the mailboxes that were read, by name.
pub(in crate::engine) struct Files<'a> {
    new: BTreeMap<&'a MailboxName, BTreeSet<MaildirId>>,
    paired: BTreeMap<&'a MailboxName, BTreeSet<&'a MaildirId>>,
}

impl<'a> Files<'a> {
    /// Makes the index of these mailboxes.
    pub fn of(scenes: &'a Scenes) -> Files<'a> {
        let new = |scene: &Scene| scene.new_files().into_iter().collect();
        let paired = |scene: &'a Scene| scene.pairs().map(|pair| &pair.file).collect();
        let each = || scenes.iter();
        Files {
            new: each().map(|(name, scene)| (name, new(scene))).collect(),
            paired: each().map(|(name, scene)| (name, paired(scene))).collect(),
        }
    }

    /// Whether a mailbox has a new file of this name.
    pub fn is_new(&self, scene: &Scene, file: &MaildirId) -> bool {
        let new = self.new.get(&scene.base.name);
        new.is_some_and(|new| new.contains(file))
    }

    /// Whether a mailbox has a file of this name, new or of a pair.
    pub fn lies_in(&self, scene: &Scene, file: &MaildirId) -> bool {
        let paired = self.paired.get(&scene.base.name);
        self.is_new(scene, file) || paired.is_some_and(|paired| paired.contains(file))
    }

    /// Whether a mailbox that stays has a new file of this name.
    pub fn stays_new(&self, scene: &Scene, file: &MaildirId) -> bool {
        scene.fate == Fate::Stays && self.is_new(scene, file)
    }
}

/// Whether all messages moved out of mailboxes to create went to others of them: then each would
/// wait for the other.
pub(in crate::engine) fn wait_for_each_other(scenes: &Scenes, moves: &Moves) -> bool {
    let waiting = scenes
        .iter()
        .filter(|(_, s)| !s.moved_out(moves).is_empty());
    let waiting: BTreeSet<&MailboxName> = waiting.map(|(name, _)| name).collect();
    let mut ends = moves.actions.iter().filter(|(_, all)| !all.is_empty());
    !waiting.is_empty() && ends.all(|(to, _)| waiting.contains(to))
}

/// Returns the presence of a message in its recorded place.
pub(in crate::engine) fn whereabouts<I: Id>(look: &Look<I>, id: &I) -> Whereabouts {
    if look.shows_gone(id) {
        Whereabouts::Gone
    } else if look.leaves_open(id) {
        Whereabouts::Unknown
    } else if I::SIDE == Side::Local && look.edited.contains(id) {
        Whereabouts::Edited
    } else if I::SIDE == Side::Local && look.broken.contains(id) {
        Whereabouts::Broken
    } else {
        Whereabouts::Here
    }
}

/// Returns mailboxes whose cursors stay until moves in or out of them are recorded.
pub(in crate::engine) fn touched(moves: &Moves, scenes: &Scenes) -> BTreeSet<MailboxName> {
    let places = moves.uids.iter().map(|(name, _)| name.clone());
    let places = places.chain(moves.files.iter().map(|(name, _)| name.clone()));
    let sources = moves.actions.values().flatten().filter_map(|a| match a {
        Action::Move(step) => Some(step.from.clone()),
        _ => None,
    });
    let homes = scenes.iter().filter(|(_, scene)| {
        let mut pairs = scene.pairs();
        !moves.pairs.is_empty() && pairs.any(|pair| moves.pairs.contains(&pair.id))
    });
    let homes = homes.map(|(name, _)| name.clone());
    places.chain(sources).chain(homes).collect()
}

pub(in crate::engine) type Looked = (Option<MailboxAction>, Scene);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Canonical, Flags, MailboxKey};
    use crate::reconcile::{Action, Coverage, Cursor};

    fn mb(name: &str) -> MailboxName {
        MailboxName::parse(name).unwrap()
    }

    fn pair(n: u32) -> Pair {
        Pair {
            id: PairId(n.into()),
            uid: Uid::new(n).unwrap(),
            file: MaildirId::new(format!("f{n}")),
            flags: Flags::default(),
            hash: Canonical::of(b"x"),
            size: 1,
            stamp: None,
            kin: None,
            tombstone: None,
        }
    }

    /// A mailbox that comes back, and its former pairs.
    fn scene(name: &str, forgotten: &[u32]) -> (MailboxName, Scene) {
        let base = MailboxBase {
            key: MailboxKey(1),
            name: mb(name),
            tag: 1,
            uid_validity: None,
            pairs: Vec::new(),
            others: BTreeSet::new(),
            aside: Vec::new(),
        };
        let scene = Scene {
            base,
            remote: Look::unchanged(None, Cursor::default()),
            local: Look::unchanged(None, Cursor::default()),
            full: false,
            quiet: false,
            fate: Fate::Stays,
            forgotten: forgotten.iter().map(|n| pair(*n)).collect(),
            relabels: BTreeMap::new(),
            lettered: Lettering::default(),
        };
        (mb(name), scene)
    }

    /// Pairs that were moved, with actions to do.
    fn moves(pairs: &[u32], ends: &[(&str, usize)]) -> Moves {
        let forget = |n: u32| Action::Unaside(Uid::new(n).unwrap().any());
        let end = |(name, count): &(&str, usize)| (mb(name), (1..=*count as u32).map(forget));
        let ends = ends.iter().map(end);
        Moves {
            pairs: pairs.iter().map(|n| PairId((*n).into())).collect(),
            actions: ends.map(|(name, all)| (name, all.collect())).collect(),
            ..Moves::default()
        }
    }

    #[test]
    fn what_was_moved_out_is_what_went_with_the_mailbox_and_was_moved() {
        let (_, one) = scene("A", &[1, 2]);
        assert_eq!(one.moved_out(&moves(&[2, 3], &[])), [PairId(2)].into());
    }

    #[test]
    fn mailboxes_wait_for_each_other_when_all_that_moves_ends_in_them() {
        let both: Scenes = [scene("A", &[1]), scene("B", &[2])].into();
        assert!(wait_for_each_other(
            &both,
            &moves(&[1, 2], &[("A", 1), ("B", 1)])
        ));
        let idle = moves(&[1, 2], &[("A", 1), ("B", 1), ("C", 0)]);
        assert!(wait_for_each_other(&both, &idle), "nothing is done in C");
        let out = moves(&[1, 2], &[("A", 1), ("C", 1)]);
        assert!(!wait_for_each_other(&both, &out), "C does not wait");
        let other = moves(&[3], &[]);
        assert!(!wait_for_each_other(&both, &other), "nothing waits");
    }

    #[test]
    fn where_a_message_is_by_a_look() {
        let (uid, file) = (Uid::new(1).unwrap(), MaildirId::new("f1"));
        let (_, mut one) = scene("A", &[]);
        assert_eq!(whereabouts(&one.remote, &uid), Whereabouts::Here);
        assert_eq!(whereabouts(&one.local, &file), Whereabouts::Here);
        // The content of a UID never changes: only a file is edited, and an unreadable body is not
        // a missing message.
        one.remote.edited.insert(uid);
        one.remote.broken.insert(uid);
        assert_eq!(whereabouts(&one.remote, &uid), Whereabouts::Here);
        one.local.broken.insert(file.clone());
        assert_eq!(whereabouts(&one.local, &file), Whereabouts::Broken);
        one.local.edited.insert(file.clone());
        assert_eq!(whereabouts(&one.local, &file), Whereabouts::Edited);
        one.local.coverage = Coverage::Partial;
        assert_eq!(whereabouts(&one.local, &file), Whereabouts::Unknown);
        let gone = BTreeSet::from([file.clone()]);
        one.local.coverage = Coverage::Delta { gone };
        assert_eq!(whereabouts(&one.local, &file), Whereabouts::Gone);
    }

    #[test]
    fn files_without_a_size_are_dim_where_not_all_was_seen() {
        use crate::engine::plain_values::file;
        let mut one = crate::engine::plain_values::scene("A", &[1]);
        for n in 1..=3 {
            one.local.seen.insert(file(n), None);
        }
        one.local.sizes.insert(file(2), 1);
        assert!(one.dim_files().is_empty(), "nothing is said to be missing");
        one.local.coverage = Coverage::Partial;
        assert_eq!(one.dim_files(), [file(3)]);
    }
}
