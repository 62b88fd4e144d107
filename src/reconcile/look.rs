//! Snapshots of a side, as values; `imap` and `maildir` make them.

use super::filed::is_cut_short;
use crate::model::{Flags, Kin, Letters, MailboxName, Origin, UidValidity};
use std::collections::{BTreeMap, BTreeSet};

/// The cursor of a side. Only the store that made its text interprets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A mailbox in the listing of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: MailboxName,
    /// Its kind.
    pub presence: Presence,
    /// A virtual mailbox (`\All`, `\Flagged`, `\Important`), excluded unless the configuration
    /// names it.
    pub view: bool,
    /// Whether it changed since its last cursor.
    pub news: News,
    /// Its special use (RFC 6154), such as `\Trash`.
    pub special_use: Option<String>,
    /// Its identity, if known.
    pub identity: Option<Identity>,
    /// Its counters, if known and not empty, and if equal ones suggest one mailbox.
    pub census: Option<Census>,
}

/// Whether the listing shows a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It certainly did not change.
    None,
    /// It changed, or the listing cannot tell.
    Some,
    /// This side cannot tell by a listing (no MODSEQ).
    Untold,
}

/// The counters of a mailbox on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// All counters as text: equal texts of two names suggest one mailbox.
    pub text: String,
    /// UIDNEXT.
    pub next: u32,
}

/// The identity of a mailbox, which a rename keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Its text.
    pub text: String,
    /// Whether it is unique (MAILBOXID); a UIDVALIDITY or an inode is only evidence.
    pub proves: bool,
}

/// The kind of a listed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A mailbox with messages.
    Mailbox,
    /// A name with children only (`\Noselect`, a plain directory).
    Container,
    /// Unknown: half a Maildir, an invalid name.
    Unknown(String),
    /// Unreadable, with everything below it: a symbolic link, a file, an unreadable directory.
    Closed(String),
    /// The directory of a former mailbox, without its parts: its file system may not be mounted.
    Vacant(String),
}

/// A snapshot of a mailbox.
#[derive(Clone, Debug)]
pub struct Look<I: Ord> {
    /// Its UIDVALIDITY; `None` on disk.
    pub uid_validity: Option<UidValidity>,
    /// Whether known UIDs are invalid although the UIDVALIDITY is equal: UIDNEXT decreased (F17).
    pub renumbered: bool,
    /// Whether HIGHESTMODSEQ decreased within the UIDVALIDITY: the server may have been restored,
    /// or lost an index.
    pub rewound: bool,
    /// UIDNEXT, if known; `None` on disk.
    pub next: Option<u32>,
    /// Its coverage.
    pub coverage: Coverage<I>,
    /// The messages; `None`: present with unchanged flags.
    pub seen: BTreeMap<I, Option<Flags>>,
    /// Messages with empty or unreadable content.
    pub broken: BTreeSet<I>,
    /// Messages that were edited in place.
    pub edited: BTreeSet<I>,
    /// Known files that were touched; their content tells whether they were edited.
    pub touched: BTreeSet<I>,
    /// Messages in whose place another object is (a link, directory, FIFO): their presence is
    /// unknown.
    pub obscured: BTreeSet<I>,
    /// Sizes of new messages as stored, bytes, if known without cost.
    pub sizes: BTreeMap<I, u64>,
    /// The origins of downloaded files by their names.
    pub origins: BTreeMap<I, Origin>,
    /// The keyword letters; empty on the server.
    pub letters: Letters,
    /// The letters of new files that have any.
    pub carried: BTreeMap<I, BTreeSet<u8>>,
    /// Known files with letters without a meaning, which may stand for a keyword that they lack.
    pub vague: BTreeSet<I>,
    /// Files with as many letters as some mail readers write at most: further ones may be missing.
    pub cut: BTreeSet<I>,
    /// Ids of new messages, if they came with the snapshot.
    pub kin: BTreeMap<I, Kin>,
    /// Ids of known messages, if they came with the snapshot.
    pub known: BTreeMap<I, Kin>,
    /// Flags whose absence is meaningful here.
    pub sees: FlagMask,
    /// Flags that can be stored here.
    pub stores: FlagMask,
    /// Whether changes are permitted (`false`: READ-ONLY).
    pub writable: bool,
    /// The reason, if the user would not expect it.
    pub why_frozen: Option<&'static str>,
    /// The cursor, valid after all of this was executed.
    pub cursor: Cursor,
    /// Notes for the user: skipped files, inconsistent answers.
    pub remarks: Vec<String>,
}

/// The coverage of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage<I: Ord> {
    /// Complete: a message that was not seen is absent.
    Complete,
    /// Changes only: a message that was not seen is unchanged, except for these, whose absence was
    /// verified.
    Delta {
        /// Absent messages.
        gone: BTreeSet<I>,
    },
    /// Partial: a message that was not seen is unknown.
    Partial,
}

impl<I: Ord> Look<I> {
    /// Makes the snapshot of an unchanged mailbox.
    pub fn unchanged(uid_validity: Option<UidValidity>, cursor: Cursor) -> Look<I> {
        Look {
            uid_validity,
            renumbered: false,
            rewound: false,
            next: None,
            coverage: Coverage::Delta {
                gone: BTreeSet::new(),
            },
            seen: BTreeMap::new(),
            broken: BTreeSet::new(),
            edited: BTreeSet::new(),
            touched: BTreeSet::new(),
            obscured: BTreeSet::new(),
            sizes: BTreeMap::new(),
            origins: BTreeMap::new(),
            letters: Letters::default(),
            carried: BTreeMap::new(),
            vague: BTreeSet::new(),
            cut: BTreeSet::new(),
            kin: BTreeMap::new(),
            known: BTreeMap::new(),
            sees: FlagMask::All,
            stores: FlagMask::All,
            writable: true,
            why_frozen: None,
            cursor,
            remarks: Vec::new(),
        }
    }

    /// Makes a complete snapshot of an empty mailbox that is about to be created.
    pub fn empty() -> Look<I> {
        let cursor = Cursor::default();
        Look {
            coverage: Coverage::Complete,
            ..Look::unchanged(None, cursor)
        }
    }

    /// Whether a known message is certainly absent.
    pub fn shows_gone(&self, id: &I) -> bool {
        match &self.coverage {
            _ if self.obscured.contains(id) => false,
            Coverage::Complete => !self.seen.contains_key(id),
            Coverage::Delta { gone } => gone.contains(id) && !self.seen.contains_key(id),
            Coverage::Partial => false,
        }
    }

    /// Whether a known message is certainly present, intact and with these flags.
    pub fn shows_as(&self, id: &I, flags: &Flags) -> bool {
        self.is_silent_on(id, |seen| seen == flags)
    }

    /// Whether a known message is unchanged, whatever its flags were.
    pub fn leaves_as_is(&self, id: &I) -> bool {
        self.is_silent_on(id, |_| false)
    }

    fn is_silent_on(&self, id: &I, known: impl FnOnce(&Flags) -> bool) -> bool {
        let there = match (self.seen.get(id), &self.coverage) {
            (Some(seen), _) => seen.as_ref().is_none_or(known),
            (None, Coverage::Delta { gone }) => !gone.contains(id),
            (None, Coverage::Complete | Coverage::Partial) => false,
        };
        there && !self.broken.contains(id) && !self.edited.contains(id)
    }

    /// Whether the letters of agreed keywords may be missing in a file name that shows these flags.
    pub fn may_lack(&self, id: &I, flags: &Flags, agreed: &Flags) -> bool {
        let (now, own) = (self.letters.of(flags), self.letters.of(agreed));
        self.cut.contains(id) && is_cut_short(&now, &own)
    }

    /// Whether no message changed and none is new.
    pub fn is_empty_delta(&self) -> bool {
        let none = matches!(&self.coverage, Coverage::Delta { gone } if gone.is_empty());
        none && self.seen.is_empty() && self.broken.is_empty() && self.edited.is_empty()
    }

    /// Whether the presence of a known message is unknown.
    pub fn leaves_open(&self, id: &I) -> bool {
        let open = self.coverage == Coverage::Partial || self.obscured.contains(id);
        open && !self.seen.contains_key(id)
    }
}

/// A set of flags that a side can store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagMask {
    /// All.
    All,
    /// These.
    Only(Flags),
    /// All but these.
    Except(Flags),
}

impl FlagMask {
    /// Returns the flags in the mask.
    pub fn keep(&self, flags: &Flags) -> Flags {
        match self {
            FlagMask::All => flags.clone(),
            FlagMask::Only(mask) => flags.intersection(mask),
            FlagMask::Except(mask) => flags.difference(mask),
        }
    }

    /// Returns the flags outside the mask.
    pub fn hide(&self, flags: &Flags) -> Flags {
        match self {
            FlagMask::All => Flags::default(),
            FlagMask::Only(mask) => flags.difference(mask),
            FlagMask::Except(mask) => flags.intersection(mask),
        }
    }

    /// Returns the mask without these.
    pub fn without(&self, flags: &Flags) -> FlagMask {
        match self {
            _ if flags.is_empty() => self.clone(),
            FlagMask::All => FlagMask::Except(flags.clone()),
            FlagMask::Only(mask) => FlagMask::Only(mask.difference(flags)),
            FlagMask::Except(mask) => FlagMask::Except(mask.union(flags)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uid;

    #[test]
    fn a_mask_without_flags_hides_them() {
        let word = |text: &str| Flags::from_parts(0, crate::model::Keyword::new(text));
        let (work, todo) = (word("work"), word("todo"));
        let both = work.union(&todo);
        for mask in [FlagMask::All, FlagMask::Only(both.clone())] {
            assert_eq!(mask.without(&Flags::default()), mask);
            let one = mask.without(&work);
            assert_eq!(
                (one.keep(&both), one.hide(&both)),
                (todo.clone(), work.clone())
            );
            let none = one.without(&todo);
            assert_eq!(
                (none.keep(&both), none.hide(&both)),
                (word(""), both.clone())
            );
        }
    }

    #[test]
    fn what_is_shown_as_agreed_is_there_whole_and_has_these_flags() {
        let (uid, seen) = (
            Uid::new(1).unwrap(),
            Flags::of(&[crate::model::SystemFlag::Seen]),
        );
        let mut look: Look<Uid> = Look::empty();
        assert!(!look.shows_as(&uid, &seen), "not there");
        look.seen.insert(uid, Some(seen.clone()));
        assert!(look.shows_as(&uid, &seen));
        assert!(!look.shows_as(&uid, &Flags::default()), "other flags");
        assert!(!look.leaves_as_is(&uid), "flags that are told");
        look.seen.insert(uid, None);
        assert!(look.shows_as(&uid, &seen), "flags that are not told");
        assert!(look.leaves_as_is(&uid));
        look.broken.insert(uid);
        assert!(!look.shows_as(&uid, &seen), "broken");
        assert!(!look.leaves_as_is(&uid));
        look.broken.clear();
        look.edited.insert(uid);
        assert!(!look.shows_as(&uid, &seen), "edited");
        look.edited.clear();
        look.seen.clear();
        let gone = BTreeSet::new();
        look.coverage = Coverage::Delta { gone };
        assert!(look.shows_as(&uid, &seen), "not among what changed");
        assert!(look.leaves_as_is(&uid) && look.is_empty_delta());
        let gone = BTreeSet::from([uid]);
        look.coverage = Coverage::Delta { gone };
        assert!(!look.shows_as(&uid, &seen), "gone");
        assert!(!look.leaves_as_is(&uid) && !look.is_empty_delta());
        look.coverage = Coverage::Partial;
        assert!(!look.shows_as(&uid, &seen), "not known");
    }
}
