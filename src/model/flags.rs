//! Sets of flags and keywords, and changes of them.
//!
//! `\Recent` is not here: it belongs to a session, not to a message (RFC 9051, 2.3.2).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A system flag of IMAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SystemFlag {
    /// Answered; Maildir `R`.
    Answered = 1,
    /// Deleted; Maildir `T`.
    Deleted = 2,
    /// Draft; Maildir `D`.
    Draft = 4,
    /// Flagged; Maildir `F`.
    Flagged = 8,
    /// Seen; Maildir `S`.
    Seen = 16,
}

impl SystemFlag {
    /// All system flags, in alphabetical order.
    pub const ALL: [SystemFlag; 5] = [
        SystemFlag::Answered,
        SystemFlag::Deleted,
        SystemFlag::Draft,
        SystemFlag::Flagged,
        SystemFlag::Seen,
    ];

    /// Returns its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            SystemFlag::Answered => "\\Answered",
            SystemFlag::Deleted => "\\Deleted",
            SystemFlag::Draft => "\\Draft",
            SystemFlag::Flagged => "\\Flagged",
            SystemFlag::Seen => "\\Seen",
        }
    }
}

/// A keyword. Compared without ASCII case, as servers do; keeps its spelling.
#[derive(Clone, Debug)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// The keyword of the Maildir letter `P` (passed).
    pub const FORWARDED: &'static str = "$Forwarded";

    /// Makes a keyword; `None` if the text is not an atom (RFC 9051), as it could not be sent.
    pub fn new(text: &str) -> Option<Keyword> {
        let plain = |b: u8| b > b' ' && b < 0x7f && !br#"(){%*"\]"#.contains(&b);
        let atom = !text.is_empty() && text.len() <= 255 && text.bytes().all(plain);
        atom.then(|| Keyword(text.into()))
    }

    /// Returns `$Forwarded`.
    pub fn forwarded() -> Keyword {
        Keyword(Self::FORWARDED.into())
    }

    /// Returns its spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> Ordering {
        let own = self.0.bytes().map(|b| b.to_ascii_lowercase());
        own.cmp(other.0.bytes().map(|b| b.to_ascii_lowercase()))
    }
}

/// A set of flags and keywords. Small, as there are several for each message; copies share the
/// keywords.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flags {
    system: u8,
    /// Sorted, without duplicates.
    keywords: Arc<[Keyword]>,
}

impl Flags {
    /// Makes a set of system flags.
    pub fn of(flags: &[SystemFlag]) -> Flags {
        let system = flags.iter().fold(0, |bits, f| bits | *f as u8);
        Flags {
            system,
            ..Flags::default()
        }
    }

    /// Returns all system flags.
    pub fn system() -> Flags {
        Flags::of(&SystemFlag::ALL)
    }

    /// Makes a set of the number of [`Flags::bits`] and keywords.
    pub fn from_parts(bits: u8, keywords: impl IntoIterator<Item = Keyword>) -> Flags {
        let keywords: BTreeSet<Keyword> = keywords.into_iter().collect();
        Flags::with(bits & 31, keywords.into_iter())
    }

    /// Returns the system flags as a number.
    pub fn bits(&self) -> u8 {
        self.system
    }

    /// Returns the keywords, sorted.
    pub fn keywords(&self) -> impl Iterator<Item = &Keyword> {
        self.keywords.iter()
    }

    /// Whether the system flag is set.
    pub fn has(&self, flag: SystemFlag) -> bool {
        self.system & flag as u8 != 0
    }

    /// Whether the keyword is set.
    pub fn has_keyword(&self, keyword: &Keyword) -> bool {
        self.keywords.binary_search(keyword).is_ok()
    }

    /// Sets a system flag.
    pub fn insert(&mut self, flag: SystemFlag) {
        self.system |= flag as u8;
    }

    /// Sets a keyword.
    pub fn insert_keyword(&mut self, keyword: Keyword) {
        if let Err(at) = self.keywords.binary_search(&keyword) {
            let mut all = self.keywords.to_vec();
            all.insert(at, keyword);
            self.keywords = all.into();
        }
    }

    /// Returns the set without one flag.
    pub fn without(mut self, flag: SystemFlag) -> Flags {
        self.system &= !(flag as u8);
        self
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.system == 0 && self.keywords.is_empty()
    }

    /// Returns the union.
    pub fn union(&self, other: &Flags) -> Flags {
        let mut all = self.clone();
        all.system |= other.system;
        for keyword in other.keywords() {
            all.insert_keyword(keyword.clone());
        }
        all
    }

    /// Returns the intersection.
    pub fn intersection(&self, other: &Flags) -> Flags {
        let both = self.keywords().filter(|own| other.has_keyword(own));
        Flags::with(self.system & other.system, both.cloned())
    }

    /// Returns the flags that `other` lacks.
    pub fn difference(&self, other: &Flags) -> Flags {
        let own = self.keywords().filter(|own| !other.has_keyword(own));
        Flags::with(self.system & !other.system, own.cloned())
    }

    /// Makes a set of sorted keywords.
    fn with(system: u8, keywords: impl Iterator<Item = Keyword>) -> Flags {
        let mut keywords = keywords.peekable();
        let keywords = match keywords.peek() {
            Some(_) => keywords.collect(),
            None => Arc::default(),
        };
        Flags { system, keywords }
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = SystemFlag::ALL
            .iter()
            .filter(|s| self.has(**s))
            .map(|s| s.name());
        let names: Vec<&str> = system
            .chain(self.keywords.iter().map(Keyword::as_str))
            .collect();
        f.write_str(&names.join(" "))
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({self})")
    }
}

/// A change of flags: additions and removals, never an absolute value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagChange {
    /// Flags to set.
    pub add: Flags,
    /// Flags to clear.
    pub remove: Flags,
}

impl FlagChange {
    /// Returns the change from one set to another.
    pub fn between(from: &Flags, to: &Flags) -> FlagChange {
        FlagChange {
            add: to.difference(from),
            remove: from.difference(to),
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Returns the set after the change.
    pub fn apply(&self, to: &Flags) -> Flags {
        to.difference(&self.remove).union(&self.add)
    }
}

impl fmt::Display for FlagChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.add.is_empty(), self.remove.is_empty()) {
            (true, true) => f.write_str("no change"),
            (false, true) => write!(f, "+({})", self.add),
            (true, false) => write!(f, "-({})", self.remove),
            (false, false) => write!(f, "+({}) -({})", self.add, self.remove),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_ignore_case_and_refuse_what_is_no_atom() {
        assert_eq!(Keyword::new("Work"), Keyword::new("wORK"));
        for bad in ["", "a b", "(x", "a\"b", "\\Seen", "é", "a]"] {
            assert!(Keyword::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn sets_hold_each_keyword_once_and_in_order() {
        let word = |text: &str| Keyword::new(text).unwrap();
        let set = |all: &[&str]| Flags::from_parts(0, all.iter().map(|text| word(text)));
        let mut some = set(&["b", "A", "B"]);
        assert_eq!(some, set(&["a", "b"]));
        some.insert_keyword(word("aa"));
        some.insert_keyword(word("AA"));
        assert_eq!(some.to_string().to_lowercase(), "a aa b");
        assert!(some.has_keyword(&word("B")) && !some.has_keyword(&word("c")));
        let other = set(&["c", "AA"]);
        assert_eq!(some.union(&other), set(&["a", "aa", "b", "c"]));
        assert_eq!(some.intersection(&other), set(&["aa"]));
        assert_eq!(some.difference(&other), set(&["a", "b"]));
        assert_eq!(other.difference(&other), Flags::default());
    }

    #[test]
    fn change_leads_from_one_set_to_the_other() {
        let a = Flags::of(&[SystemFlag::Seen, SystemFlag::Draft]);
        let mut b = Flags::of(&[SystemFlag::Seen, SystemFlag::Flagged]);
        b.insert_keyword(Keyword::forwarded());
        assert_eq!(FlagChange::between(&a, &b).apply(&a), b);
        assert_eq!(
            FlagChange::between(&a, &b).to_string(),
            "+(\\Flagged $Forwarded) -(\\Draft)"
        );
    }
}
