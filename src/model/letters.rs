//! Keyword letters: the letters a to z in file names. Each mailbox has a table, and a letter may
//! mean different keywords in two mailboxes.

use super::flags::{Flags, Keyword};
use std::collections::{BTreeMap, BTreeSet};

/// The keyword of each letter of a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letters(BTreeMap<u8, Keyword>);

impl Letters {
    /// Assigns a keyword to a letter.
    pub fn insert(&mut self, letter: u8, keyword: Keyword) {
        self.0.insert(letter, keyword);
    }

    /// Returns the keyword of a letter.
    pub fn name(&self, letter: u8) -> Option<&Keyword> {
        self.0.get(&letter)
    }

    /// Returns the letter of a keyword.
    pub fn letter(&self, keyword: &Keyword) -> Option<u8> {
        let found = self.0.iter().find(|(_, own)| *own == keyword);
        found.map(|(letter, _)| *letter)
    }

    /// Returns the letters with their keywords.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Keyword)> {
        self.0.iter().map(|(letter, keyword)| (*letter, keyword))
    }

    /// Returns the keywords of these letters; omits unassigned letters.
    pub fn read(&self, letters: &BTreeSet<u8>) -> Flags {
        let named = letters.iter().filter_map(|letter| self.name(*letter));
        Flags::from_parts(0, named.cloned())
    }

    /// Returns the letters of these keywords; omits keywords without a letter.
    pub fn of(&self, flags: &Flags) -> BTreeSet<u8> {
        let all = flags.keywords();
        all.filter_map(|keyword| self.letter(keyword)).collect()
    }

    /// Whether a program with this table can write these keywords: each has a letter, or no letter
    /// is free.
    pub fn writes(&self, flags: &Flags) -> bool {
        let mut all = flags.keywords();
        self.0.len() == 26 || all.all(|keyword| self.letter(keyword).is_some())
    }

    /// Whether each of these letters is assigned.
    pub fn name_all(&self, letters: &BTreeSet<u8>) -> bool {
        letters.iter().all(|letter| self.0.contains_key(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_written_by_the_table() {
        let word = |text: &str| Keyword::new(text).unwrap();
        let mut table = Letters::default();
        table.insert(b'a', word("work"));
        table.insert(b'c', word("todo"));
        let flags = table.read(&BTreeSet::from(*b"abc"));
        assert_eq!(flags.to_string(), "todo work");
        assert_eq!(table.of(&flags), BTreeSet::from(*b"ac"));
        assert_eq!(table.letter(&word("TODO")), Some(b'c'));
        assert!(table.writes(&flags) && !table.writes(&Flags::from_parts(0, [word("late")])));
        let named = |letters: &[u8]| table.name_all(&letters.iter().copied().collect());
        assert!(named(b"ac") && !named(b"ab"));
        let all: Vec<u8> = table.iter().map(|(letter, _)| letter).collect();
        assert_eq!(all, *b"ac");
    }
}
