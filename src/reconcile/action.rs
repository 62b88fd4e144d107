//! Actions on messages. Each action carries what the plan saw, and the stores return `Stale` when
//! that changed.
//!
//! A first run plans an action for each message, so rarely used fields are boxed.

use crate::model::{
    AnyId, Aside, ContentHash, FlagChange, Flags, Kin, MailboxName, MaildirId, PairId, Side, Uid,
};
use std::fmt;

/// A pair in an action.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairRef {
    /// Its row.
    pub id: PairId,
    /// Its UID.
    pub uid: Uid,
    /// Its file.
    pub file: MaildirId,
}

impl PairRef {
    /// Returns its id on one side.
    pub fn on(&self, side: Side) -> AnyId {
        match side {
            Side::Remote => AnyId::Remote(self.uid),
            Side::Local => AnyId::Local(self.file.clone()),
        }
    }
}

/// An action on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Record two messages as a pair.
    Link(Box<Link>),
    /// Copy to the other side.
    Copy {
        /// The message.
        from: AnyId,
        /// Its flags.
        flags: Flags,
        /// The pair that the copy completes.
        replaces: Option<PairId>,
        /// The reason.
        why: CopyWhy,
    },
    /// Set the merged flags on both sides and in the base.
    Flags(Box<Merge>),
    /// Clear the `\Deleted` that a cut deletion of ours left on the server, as the message is not
    /// to be deleted any more. The next pass decides about the message.
    Unmark {
        /// The message.
        pair: PairRef,
        /// The flags of the base.
        agreed: Flags,
    },
    /// Delete a message on one side that the other lacks.
    Delete {
        /// The side.
        on: Side,
        /// The message.
        pair: PairRef,
        /// Its flags there; see [`crate::reconcile::three_way::shows_interest`].
        saw: Option<Flags>,
        /// The reason.
        why: DeleteWhy,
    },
    /// Remove a pair that neither side has.
    Forget {
        /// The message.
        pair: PairRef,
    },
    /// Remove a pair and skip the message that one side has.
    Detach {
        /// The message.
        pair: PairRef,
        /// The skipped message.
        aside: Box<Aside>,
    },
    /// Rename an edited file, so that it is a new message; the original is downloaded again.
    /// Precedes all copies.
    Split {
        /// The edited message.
        pair: PairRef,
    },
    /// Put a broken file into quarantine; the message is downloaded again.
    Discard {
        /// The broken message.
        pair: PairRef,
    },
    /// Move the message on one side to its place on the other.
    Move(Box<Move>),
    /// Record new ids of a message that both sides have here.
    Rekey(Box<Rekey>),
    /// Copy a message within one side, because the other has a copy here.
    Duplicate(Box<Duplicate>),
    /// Restore a message from quarantine, because it reappeared on the server.
    Recall(Box<Recall>),
    /// Record a message that is not copied.
    SetAside(Box<Aside>),
    /// Remove the record of a skipped message that is gone.
    Unaside(AnyId),
}

/// Two equal messages that become a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The UID.
    pub uid: Uid,
    /// The file.
    pub file: MaildirId,
    /// The flags of both.
    pub flags: Flags,
    /// The change on the server.
    pub remote: FlagChange,
    /// The change on disk.
    pub local: FlagChange,
    /// The pair that this completes.
    pub replaces: Option<PairId>,
}

/// A change of flags. Both sides may agree already, and only the base changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The message.
    pub pair: PairRef,
    /// The flags of the base.
    pub merged: Flags,
    /// The change on the server.
    pub remote: FlagChange,
    /// The change on disk.
    pub local: FlagChange,
}

/// The new ids of a message on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekey {
    /// The message.
    pub pair: PairRef,
    /// The UID.
    pub uid: Uid,
    /// The file.
    pub file: MaildirId,
    /// Bytes of that file, if it is another one.
    pub size: Option<u64>,
}

/// A message that follows the other side into another mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The message.
    pub pair: PairRef,
    /// Its mailbox on the side that follows.
    pub from: MailboxName,
    /// Its id there.
    pub id: AnyId,
    /// Its id on the other side, in the target.
    pub partner: AnyId,
    /// Its id in the target on the side that follows, if a copy arrived there already; then only
    /// the original is removed.
    pub arrived: Option<AnyId>,
    /// Bytes of the file in the target, if it is another one.
    pub size: Option<u64>,
}

/// A copy within one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The mailbox of the original.
    pub from: MailboxName,
    /// The id of the original.
    pub id: AnyId,
    /// The copy on the other side.
    pub partner: AnyId,
    /// On disk: the flags of the copy. On the server: the flags of the original, which the copy
    /// gets.
    pub flags: Flags,
    /// Its content.
    pub hash: ContentHash,
    /// Bytes on disk.
    pub size: u64,
    /// Its id on the server, if known.
    pub kin: Option<Kin>,
}

/// A message to restore from quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The UID.
    pub uid: Uid,
    /// Its path in quarantine.
    pub path: Vec<u8>,
    /// Its content.
    pub hash: ContentHash,
    /// Its id on the server, if known.
    pub kin: Option<Kin>,
    /// The flags last agreed on.
    pub agreed: Flags,
    /// The flags of its file.
    pub here: Flags,
    /// Its flags on the server.
    pub there: Flags,
}

/// Why a message is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyWhy {
    /// It is new.
    New,
    /// It was deleted on the other side, but a flag shows interest (rows 9, 14).
    Wanted,
    /// It was moved here, and deleted on the other side (rows 16, 21, 29, 35).
    Moved,
    /// It was refused before (row 46).
    Retry,
    /// The copy on the other side is broken or edited (rows 26, 32).
    Restore,
    /// It lost its UID by a UIDVALIDITY change (1.5); held until approved.
    Unmatched,
    /// The server accepted it and never listed it.
    Unlisted,
}

/// Why a message is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteWhy {
    /// It was deleted on the other side.
    DeletedAcross,
    /// It is broken on disk and deleted on the server (row 28).
    Broken,
}

impl Action {
    /// Returns the side on which this removes a message of the user. Setting `\Deleted` counts:
    /// other programs expunge such messages (H36).
    pub fn destroys_on(&self) -> Option<Side> {
        match self {
            Action::Delete { on, .. } => Some(*on),
            Action::Flags(set) if sets_deleted(&set.remote) => Some(Side::Remote),
            Action::Flags(set) if sets_deleted(&set.local) => Some(Side::Local),
            _ => None,
        }
    }

    /// Returns the pair whose message this removes; see [`Action::destroys_on`].
    pub fn destroyed(&self) -> Option<&PairRef> {
        match self {
            Action::Delete { pair, .. } => Some(pair),
            Action::Flags(set) if self.destroys_on().is_some() => Some(&set.pair),
            _ => None,
        }
    }

    /// Whether it changes a side, not only the base.
    pub fn changes_a_side(&self) -> bool {
        match self {
            Action::Flags(set) => !set.remote.is_empty() || !set.local.is_empty(),
            Action::Link(_)
            | Action::Copy { .. }
            | Action::Unmark { .. }
            | Action::Delete { .. }
            | Action::Split { .. }
            | Action::Discard { .. }
            | Action::Move(_)
            | Action::Rekey(_)
            | Action::Duplicate(_)
            | Action::Recall(_) => true,
            Action::Forget { .. }
            | Action::Detach { .. }
            | Action::SetAside(_)
            | Action::Unaside(_) => false,
        }
    }
}

fn sets_deleted(change: &FlagChange) -> bool {
    change.add.has(crate::model::SystemFlag::Deleted)
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Link(link) => write!(f, "link {} with {}", link.uid, link.file),
            Action::Copy { from, why, .. } => {
                write!(f, "copy {from} to {}", from.side().other())?;
                match why {
                    CopyWhy::New => Ok(()),
                    CopyWhy::Wanted => f.write_str(" (deleted there, but wanted here)"),
                    CopyWhy::Moved => f.write_str(" (deleted there, but moved here)"),
                    CopyWhy::Retry => f.write_str(" (once more)"),
                    CopyWhy::Restore => f.write_str(" (the copy there is damaged or edited)"),
                    CopyWhy::Unmatched => f.write_str(" (not found after UIDVALIDITY changed)"),
                    CopyWhy::Unlisted => f.write_str(" (once more: the server never listed it)"),
                }
            }
            Action::Flags(set) => {
                write!(f, "flags of {} {}:", set.pair.uid, set.pair.file)?;
                if !set.remote.is_empty() {
                    write!(f, " remote {}", set.remote)?;
                }
                if !set.local.is_empty() {
                    write!(f, " local {}", set.local)?;
                }
                Ok(())
            }
            Action::Unmark { pair, .. } => {
                write!(
                    f,
                    "unmark {}, which is not to be deleted any more",
                    pair.uid
                )
            }
            Action::Delete { on, pair, .. } => write!(f, "delete {} on {on}", pair.on(*on)),
            Action::Forget { pair } => write!(f, "forget {}, deleted on both", pair.uid),
            Action::Detach { aside, .. } => write!(f, "leave {} alone", aside.id),
            Action::Split { pair } => write!(f, "rename {}, edited in place", pair.file),
            Action::Discard { pair } => write!(f, "quarantine {}, broken", pair.file),
            Action::Move(step) => {
                let side = step.id.side();
                write!(f, "move {} here from {} on {side}", step.id, step.from)?;
                match &step.arrived {
                    Some(copy) => write!(f, " (it arrived as {copy})"),
                    None => Ok(()),
                }
            }
            Action::Rekey(new) => write!(f, "note that {} is {} here", new.uid, new.file),
            Action::Duplicate(copy) => {
                let side = copy.id.side();
                write!(f, "copy {} here from {} on {side}", copy.id, copy.from)
            }
            Action::Recall(recall) => {
                write!(f, "take {} out of quarantine", recall.uid)
            }
            Action::SetAside(aside) => write!(f, "set {} aside", aside.id),
            Action::Unaside(id) => write!(f, "forget {id}, was set aside"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SystemFlag;

    fn flags(remote: &[SystemFlag], local: &[SystemFlag]) -> Action {
        let add = |flags| FlagChange {
            add: Flags::of(flags),
            ..FlagChange::default()
        };
        Action::Flags(Box::new(Merge {
            pair: PairRef {
                id: PairId(1),
                uid: Uid::new(1).unwrap(),
                file: MaildirId::new("a"),
            },
            merged: Flags::default(),
            remote: add(remote),
            local: add(local),
        }))
    }

    /// There may be a million of these.
    #[test]
    fn an_action_is_small() {
        assert!(size_of::<Action>() <= 64, "{}", size_of::<Action>());
    }

    #[test]
    fn only_the_flag_deleted_destroys() {
        let (seen, deleted) = ([SystemFlag::Seen], [SystemFlag::Deleted]);
        assert_eq!(flags(&seen, &seen).destroys_on(), None);
        assert_eq!(flags(&deleted, &seen).destroys_on(), Some(Side::Remote));
        assert_eq!(flags(&seen, &deleted).destroys_on(), Some(Side::Local));
    }

    #[test]
    fn what_only_the_base_learns_changes_no_side() {
        let seen = [SystemFlag::Seen];
        assert!(!flags(&[], &[]).changes_a_side());
        assert!(flags(&seen, &[]).changes_a_side());
        assert!(flags(&[], &seen).changes_a_side());
        let file = AnyId::Local(MaildirId::new("a"));
        assert!(!Action::Unaside(file).changes_a_side());
    }
}
