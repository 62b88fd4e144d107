//! What can be done with a message. Each action carries what was seen, and the stores refuse when
//! that no longer holds.
//!
//! A first run plans one for every message there is, so what a copy does not need is boxed.

use crate::model::{
    AnyId, Aside, ContentHash, FlagChange, Flags, Kin, MailboxName, MaildirId, PairId, Side, Uid,
};
use std::fmt;

/// A pair as actions name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairRef {
    /// Its row.
    pub id: PairId,
    /// On the server.
    pub uid: Uid,
    /// On disk.
    pub file: MaildirId,
}

impl PairRef {
    /// Its name on one side.
    pub fn on(&self, side: Side) -> AnyId {
        match side {
            Side::Remote => AnyId::Remote(self.uid),
            Side::Local => AnyId::Local(self.file.clone()),
        }
    }
}

/// One thing to do with one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take both for one message.
    Link(Box<Link>),
    /// Copy to the other side.
    Copy {
        /// Where it is.
        from: AnyId,
        /// The flags it has.
        flags: Flags,
        /// The pair that the copy completes again.
        replaces: Option<PairId>,
        /// Why.
        why: CopyWhy,
    },
    /// Bring both sides and the base to the merged flags.
    Flags(Box<Merge>),
    /// Take away the `\Deleted` that a deletion of ours left on the server when it was cut, since
    /// the message is not to be deleted any more. The next pass decides what else there is to do.
    Unmark {
        /// The message.
        pair: PairRef,
        /// The flags that the base goes on to hold.
        agreed: Flags,
    },
    /// Delete on one side what the other no longer has.
    Delete {
        /// Where.
        on: Side,
        /// The message.
        pair: PairRef,
        /// The flags it had there; see [`crate::reconcile::three_way::shows_interest`].
        saw: Option<Flags>,
        /// Why.
        why: DeleteWhy,
    },
    /// Forget a pair that neither side has.
    Forget {
        /// The message.
        pair: PairRef,
    },
    /// Forget a pair, and leave what one side still has alone.
    Detach {
        /// The message.
        pair: PairRef,
        /// What remains.
        aside: Box<Aside>,
    },
    /// Give an edited file a name of its own, so that it is a new message; the original comes
    /// again from the server. Done before anything is copied.
    Split {
        /// The edited message.
        pair: PairRef,
    },
    /// Put a broken file into quarantine; the good copy then comes from the server.
    Discard {
        /// The broken message.
        pair: PairRef,
    },
    /// Move the message on one side to where the other has it.
    Move(Box<Move>),
    /// Both sides have the message here by now, under other names.
    Rekey(Box<Rekey>),
    /// Copy a message within one side, because the other has a copy here.
    Duplicate(Box<Duplicate>),
    /// Take a message out of quarantine, because it turned up here on the server.
    Recall(Box<Recall>),
    /// Remember a message that is not copied.
    SetAside(Box<Aside>),
    /// Forget a message that was set aside and is gone.
    Unaside(AnyId),
}

/// Two that are one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// On the server.
    pub uid: Uid,
    /// On disk.
    pub file: MaildirId,
    /// What both shall have.
    pub flags: Flags,
    /// What the server lacks.
    pub remote: FlagChange,
    /// What the disk lacks.
    pub local: FlagChange,
    /// The pair that this completes again.
    pub replaces: Option<PairId>,
}

/// Flags that differ. Both changes may be empty: then both sides agree already, and only the base
/// learns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The message.
    pub pair: PairRef,
    /// What the base will hold.
    pub merged: Flags,
    /// What to change on the server.
    pub remote: FlagChange,
    /// What to change on disk.
    pub local: FlagChange,
}

/// The names that a message has by now, on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekey {
    /// The message.
    pub pair: PairRef,
    /// On the server.
    pub uid: Uid,
    /// On disk.
    pub file: MaildirId,
    /// Bytes of that file, if it is another than before.
    pub size: Option<u64>,
}

/// A message that follows the other side into another mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The message.
    pub pair: PairRef,
    /// Where it lies now on the side that follows.
    pub from: MailboxName,
    /// Its name there.
    pub id: AnyId,
    /// Its name on the other side, in the mailbox in which it ends.
    pub partner: AnyId,
    /// Its name in that mailbox on the side that follows, when a copy has arrived there already;
    /// then it only has to leave.
    pub arrived: Option<AnyId>,
    /// Bytes of the file in that mailbox, if it is another than before.
    pub size: Option<u64>,
}

/// A copy within one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Where the original lies.
    pub from: MailboxName,
    /// Its name there.
    pub id: AnyId,
    /// The copy on the other side.
    pub partner: AnyId,
    /// On disk: the flags of the copy. On the server: those that the original has, and the copy
    /// will have.
    pub flags: Flags,
    /// Its content.
    pub hash: ContentHash,
    /// Bytes on disk.
    pub size: u64,
    /// What the server calls it, if that is known.
    pub kin: Option<Kin>,
}

/// A message that comes back from quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// On the server.
    pub uid: Uid,
    /// Where it lies.
    pub path: Vec<u8>,
    /// Its content.
    pub hash: ContentHash,
    /// What the server calls it, if that is known.
    pub kin: Option<Kin>,
    /// The flags last agreed on.
    pub agreed: Flags,
    /// The flags it had here.
    pub here: Flags,
    /// The flags it has there.
    pub there: Flags,
}

/// Why a message is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyWhy {
    /// It is new.
    New,
    /// It was deleted across, but is wanted here (rows 9, 14).
    Wanted,
    /// It was moved here, and deleted across (rows 16, 21, 29, 35).
    Moved,
    /// It was refused before (row 46).
    Retry,
    /// The copy across is broken or edited (rows 26, 32).
    Restore,
    /// It lost its UID with the mailbox's UIDVALIDITY (1.5); held until the user says so.
    Unmatched,
    /// The server said that it stored it, and never listed it.
    Unlisted,
}

/// Why a message is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteWhy {
    /// It was deleted across.
    DeletedAcross,
    /// It is broken here and gone across (row 28).
    Broken,
}

impl Action {
    /// The side on which this takes something away from the user, if it does. Setting `\Deleted`
    /// counts: other programs expunge what carries it (H36).
    pub fn destroys_on(&self) -> Option<Side> {
        match self {
            Action::Delete { on, .. } => Some(*on),
            Action::Flags(set) if sets_deleted(&set.remote) => Some(Side::Remote),
            Action::Flags(set) if sets_deleted(&set.local) => Some(Side::Local),
            _ => None,
        }
    }

    /// The pair whose message this takes away, see [`Action::destroys_on`].
    pub fn destroyed(&self) -> Option<&PairRef> {
        match self {
            Action::Delete { pair, .. } => Some(pair),
            Action::Flags(set) if self.destroys_on().is_some() => Some(&set.pair),
            _ => None,
        }
    }

    /// Whether carrying it out changes a side, and is not only bookkeeping.
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

    /// There may be one for each of a million messages.
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
