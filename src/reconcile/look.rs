//! What a side looks like: the answer to "look there". Values only; the rooms `imap` and
//! `maildir` make them.

use super::filed::is_cut_short;
use crate::model::{Flags, Kin, Letters, MailboxName, Origin, UidValidity};
use std::collections::{BTreeMap, BTreeSet};

/// A place to go on looking from. Its text is made and read by the store that gave it; nobody
/// else looks inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A mailbox as the cheap look at a whole side shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: MailboxName,
    /// What is there.
    pub presence: Presence,
    /// A view on messages that live elsewhere (`\All`, `\Flagged`, `\Important`): left out unless
    /// the user names it.
    pub view: bool,
    /// Whether something changed since the cursor that the mailbox was last left with.
    pub news: News,
    /// Special use (RFC 6154), as `\Trash`.
    pub special_use: Option<String>,
    /// What the side calls the mailbox whatever its name, if that is known.
    pub identity: Option<Identity>,
    /// What it counts, if that is told and there is mail in it.
    pub census: Option<Census>,
}

/// What the cheap look tells of changes in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing can have changed.
    None,
    /// Something changed, or it cannot be told from there.
    Some,
    /// This side never tells without a closer look (no MODSEQ).
    Untold,
}

/// What a server counts of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// All of it as text: equal texts of two names suggest that they are one mailbox.
    pub text: String,
    /// UIDNEXT.
    pub next: u32,
}

/// What a side calls a mailbox whatever its name: it stays when the mailbox is renamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// As text.
    pub text: String,
    /// Whether no other mailbox can have it (MAILBOXID); a UIDVALIDITY or the number of a
    /// directory only suggests.
    pub proves: bool,
}

/// What there is under a mailbox name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A mailbox with messages.
    Mailbox,
    /// A name that only holds other names (`\Noselect`, a plain directory).
    Container,
    /// Something that cannot be told: half a Maildir, a name that cannot be mapped.
    Unknown(String),
    /// Something that cannot be looked into, nor can what lies below it: a symbolic link, a file, a
    /// directory that cannot be read.
    Closed(String),
    /// The directory of a mailbox that was there, without its parts: its file system may not be
    /// mounted.
    Vacant(String),
}

/// A look into one mailbox.
#[derive(Clone, Debug)]
pub struct Look<I: Ord> {
    /// The UIDVALIDITY it was made in; `None` on disk.
    pub epoch: Option<UidValidity>,
    /// Whether the UIDs known from before mean nothing here any more, although the UIDVALIDITY is
    /// the same: UIDNEXT went back (F17).
    pub renumbered: bool,
    /// Whether HIGHESTMODSEQ went back within the UIDVALIDITY: the server may have been put back
    /// from a backup, or only have lost an index.
    pub rewound: bool,
    /// UIDNEXT, if it is told; nothing on disk.
    pub next: Option<u32>,
    /// How far the look reaches.
    pub coverage: Coverage<I>,
    /// The messages seen; `None`: there, with flags as they were.
    pub seen: BTreeMap<I, Option<Flags>>,
    /// Messages whose content is empty or cannot be read.
    pub broken: BTreeSet<I>,
    /// Messages whose content was edited in place.
    pub edited: BTreeSet<I>,
    /// Known files that were touched since their content was last known: whether they were edited
    /// shows their content.
    pub touched: BTreeSet<I>,
    /// Messages in whose place something else stands (a link, a directory, a pipe): whether they
    /// are there is unknown.
    pub obscured: BTreeSet<I>,
    /// Sizes of new messages as stored, bytes; where they are not told for nothing, none.
    pub sizes: BTreeMap<I, u64>,
    /// Where files of ours came from, by their names.
    pub origins: BTreeMap<I, Origin>,
    /// The keywords that letters in the names of files stand for; none on the server.
    pub letters: Letters,
    /// The letters of those new files that carry any.
    pub carried: BTreeMap<I, BTreeSet<u8>>,
    /// Known files with letters that mean nothing: a keyword that they lack may be one of these.
    pub vague: BTreeSet<I>,
    /// Files with as many letters as some mail readers write at the most: the last of their
    /// letters may be missing.
    pub cut: BTreeSet<I>,
    /// What new messages are called wherever they lie, where that came with the look.
    pub kin: BTreeMap<I, Kin>,
    /// What some messages that were known are called now, where that came with the look.
    pub known: BTreeMap<I, Kin>,
    /// Flags whose absence means something here.
    pub sees: FlagMask,
    /// Flags that can be stored here.
    pub stores: FlagMask,
    /// Whether changes are allowed at all (`false`: READ-ONLY).
    pub writable: bool,
    /// Why not, where the user would not expect it.
    pub why_frozen: Option<&'static str>,
    /// Where to go on from, once all of this has been acted on.
    pub cursor: Cursor,
    /// What the user should be told: files that were passed over, answers that did not add up.
    pub remarks: Vec<String>,
}

/// How far a look reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage<I: Ord> {
    /// What was not seen is not there: an authoritative listing.
    Complete,
    /// What was not seen is as it was, but for these, whose absence was confirmed.
    Delta {
        /// No longer there.
        gone: BTreeSet<I>,
    },
    /// What was not seen is unknown.
    Partial,
}

impl<I: Ord> Look<I> {
    /// A look that found nothing changed since the cursor.
    pub fn unchanged(epoch: Option<UidValidity>, cursor: Cursor) -> Look<I> {
        Look {
            epoch,
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

    /// A complete look at a mailbox that holds nothing (one that is about to be created).
    pub fn empty() -> Look<I> {
        let cursor = Cursor::default();
        Look {
            coverage: Coverage::Complete,
            ..Look::unchanged(None, cursor)
        }
    }

    /// Whether a message that was there is now surely not.
    pub fn shows_gone(&self, id: &I) -> bool {
        match &self.coverage {
            _ if self.obscured.contains(id) => false,
            Coverage::Complete => !self.seen.contains_key(id),
            Coverage::Delta { gone } => gone.contains(id) && !self.seen.contains_key(id),
            Coverage::Partial => false,
        }
    }

    /// Whether a message that was there surely still is, whole and with these flags.
    pub fn shows_as(&self, id: &I, flags: &Flags) -> bool {
        self.is_silent_on(id, |seen| seen == flags)
    }

    /// Whether nothing happened to a message that was there, whatever its flags were.
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

    /// Whether the letters of keywords that were agreed on may have been cut from the name of a
    /// file that shows these flags.
    pub fn may_lack(&self, id: &I, flags: &Flags, agreed: &Flags) -> bool {
        let (now, own) = (self.letters.of(flags), self.letters.of(agreed));
        self.cut.contains(id) && is_cut_short(&now, &own)
    }

    /// Whether nothing happened to any message, and none is new.
    pub fn is_empty_delta(&self) -> bool {
        let none = matches!(&self.coverage, Coverage::Delta { gone } if gone.is_empty());
        none && self.seen.is_empty() && self.broken.is_empty() && self.edited.is_empty()
    }

    /// Whether a message that was there may or may not be.
    pub fn leaves_open(&self, id: &I) -> bool {
        let open = self.coverage == Coverage::Partial || self.obscured.contains(id);
        open && !self.seen.contains_key(id)
    }
}

/// A set of flags a side can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagMask {
    /// Any.
    All,
    /// These.
    Only(Flags),
    /// Any but these.
    Except(Flags),
}

impl FlagMask {
    /// Those of the flags that are in the mask.
    pub fn keep(&self, flags: &Flags) -> Flags {
        match self {
            FlagMask::All => flags.clone(),
            FlagMask::Only(mask) => flags.intersection(mask),
            FlagMask::Except(mask) => flags.difference(mask),
        }
    }

    /// Those of the flags that are not.
    pub fn hide(&self, flags: &Flags) -> Flags {
        match self {
            FlagMask::All => Flags::default(),
            FlagMask::Only(mask) => flags.difference(mask),
            FlagMask::Except(mask) => flags.intersection(mask),
        }
    }

    /// The mask without these.
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
