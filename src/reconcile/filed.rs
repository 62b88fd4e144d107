//! The keywords of a file that another program put into a mailbox. Its letters follow the table of
//! the mailbox that it came from or of the one that it is in. A keyword changes only if both
//! readings agree.

use crate::model::{Flags, Keyword, Letters};
use std::collections::BTreeSet;

/// A new file with the letters a to z of its name.
#[derive(Clone, Copy, Debug)]
pub struct Filed<'a> {
    /// The letters.
    pub letters: &'a BTreeSet<u8>,
    /// The table of its mailbox.
    pub here: &'a Letters,
    /// Whether its last letters may be missing: it has as many as some mail readers write at most.
    pub cut: bool,
}

/// The pair with the content of a new file.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// The flags last agreed on.
    pub agreed: &'a Flags,
    /// The table of its mailbox; `None`: the mailbox no longer exists.
    pub table: Option<&'a Letters>,
    /// Whether the file kept its base name.
    pub same_name: bool,
    /// Whether its own file is gone, so that the new one was moved, not copied.
    pub gone: bool,
}

/// The keywords of a file without `$Forwarded`, which is the letter `P` in every mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its keywords.
    pub keywords: Flags,
    /// Keywords that the letters may or may not mean.
    pub unclear: Flags,
}

impl Reading {
    /// Makes keywords without doubt.
    pub fn sure(keywords: Flags) -> Reading {
        let unclear = Flags::default();
        Reading { keywords, unclear }
    }
}

impl Original<'_> {
    /// Returns the keywords last agreed on.
    fn keywords(&self) -> Flags {
        keywords(self.agreed)
    }

    /// Whether the file has the letters of the original: no keyword changed.
    pub fn has_letters(&self, letters: &BTreeSet<u8>) -> bool {
        let own = self.table.map(|table| table.of(&self.keywords()));
        own.is_some_and(|own| own == *letters)
    }

    /// Whether a mail reader may have written this name without all letters.
    fn may_have_become(&self, filed: &Filed<'_>) -> bool {
        let own = self.table.map(|table| table.of(&self.keywords()));
        let short = filed.cut && own.is_some_and(|own| is_cut_short(filed.letters, &own));
        // A program that omits unknown letters in a copy removes no keyword.
        let without = self.gone && !self.same_name && filed.letters.is_empty();
        short || without
    }
}

/// Whether letters are the first of those that a file had.
pub fn is_cut_short(letters: &BTreeSet<u8>, all: &BTreeSet<u8>) -> bool {
    let mut missing = all.difference(letters).peekable();
    missing.peek().is_some() && missing.all(|letter| letters.last() < Some(letter))
}

impl Filed<'_> {
    /// Returns the keywords of a file with a known content.
    pub fn keywords_of(&self, original: &Original<'_>) -> Reading {
        let agreed = original.keywords();
        let translated = self.here.writes(&agreed) && self.here.of(&agreed) == *self.letters;
        let short = original.may_have_become(self);
        if original.has_letters(self.letters) || translated || short {
            return Reading::sure(agreed);
        }
        let Some(table) = original.table else {
            return Reading::sure(agreed);
        };
        let carries = |letter: Option<u8>| letter.is_some_and(|l| self.letters.contains(&l));
        let stays = |keyword: &&Keyword| {
            let letter = table.letter(keyword);
            letter.is_none() || carries(letter) || carries(self.here.letter(keyword))
        };
        let kept: Vec<Keyword> = agreed.keywords().filter(stays).cloned().collect();
        let mut keywords = Flags::from_parts(0, kept);
        let mut unclear = Flags::default();
        let explained = table.of(&keywords);
        let explained: BTreeSet<u8> = explained.union(&self.here.of(&keywords)).copied().collect();
        for letter in self.letters.difference(&explained) {
            match (table.name(*letter), self.here.name(*letter)) {
                (Some(there), Some(here)) if there != here => {
                    unclear.insert_keyword(there.clone());
                    unclear.insert_keyword(here.clone());
                }
                (Some(keyword), _) | (None, Some(keyword)) => {
                    keywords.insert_keyword(keyword.clone());
                }
                (None, None) => {}
            }
        }
        Reading { keywords, unclear }
    }

    /// Returns the keywords of a file whose original is or was in the same mailbox. Keywords
    /// without a letter are in no file name.
    pub fn keywords_in(&self, original: &Original<'_>) -> Reading {
        let agreed = original.keywords();
        if original.may_have_become(self) {
            return Reading::sure(agreed);
        }
        let nameless = agreed.keywords().filter(|k| self.here.letter(k).is_none());
        let nameless = Flags::from_parts(0, nameless.cloned());
        Reading::sure(self.here.read(self.letters).union(&nameless))
    }

    /// Returns the keywords of an unknown file: by the table of its mailbox, and for a letter
    /// without entry, by what all `tables` of the account with that letter agree on.
    pub fn keywords_alone(&self, tables: &[Letters]) -> Flags {
        let mut keywords = self.here.read(self.letters);
        for letter in self
            .letters
            .iter()
            .filter(|l| self.here.name(**l).is_none())
        {
            let mut names = tables.iter().filter_map(|table| table.name(*letter));
            if let Some(first) = names.next()
                && names.all(|name| name == first)
            {
                keywords.insert_keyword(first.clone());
            }
        }
        keywords
    }

    /// Whether the letters equal the server's keywords by the table of another mailbox: then they
    /// follow that one.
    pub fn repeats(&self, there: &Flags, tables: &[Letters]) -> bool {
        let says = |table: &Letters| {
            let read = table.read(self.letters);
            table.name_all(self.letters) && read.keywords().eq(keywords(there).keywords())
        };
        !self.letters.is_empty() && !says(self.here) && tables.iter().any(says)
    }
}

/// Returns the keywords of these flags without `$Forwarded`.
pub fn keywords(flags: &Flags) -> Flags {
    let all = flags.keywords().cloned();
    Flags::from_parts(0, all.filter(|keyword| *keyword != Keyword::forwarded()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Flags {
        Flags::from_parts(0, text.split_whitespace().filter_map(Keyword::new))
    }

    /// Parses a table such as `a=work c=todo`.
    fn table(text: &str) -> Letters {
        let mut table = Letters::default();
        for entry in text.split_whitespace() {
            let (letter, name) = entry.split_once('=').unwrap();
            table.insert(letter.as_bytes()[0], Keyword::new(name).unwrap());
        }
        table
    }

    fn set(letters: &str) -> BTreeSet<u8> {
        letters.bytes().collect()
    }

    #[test]
    fn letters_of_a_recognised_file_say_what_both_tables_allow() {
        let there = "a=work b=todo d=late";
        for (agreed, letters, here, want, unclear) in [
            ("work", "a", "", "work", ""),
            ("work", "a", "a=private", "work", ""),
            ("work", "b", "a=private b=work", "work", ""),
            ("work", "ab", "", "todo work", ""),
            ("work", "ab", "a=private b=other", "work", "other todo"),
            ("work", "ac", "a=private c=new", "new work", ""),
            ("work", "bc", "a=private b=work c=new", "new work", ""),
            ("work", "ad", "d=late", "late work", ""),
            ("work todo", "b", "", "todo", ""),
            ("work todo", "b", "b=work", "todo work", ""),
            ("work", "", "a=private", "", ""),
            ("", "a", "a=private", "", "private work"),
            ("", "z", "", "", ""),
            ("rare", "", "a=rare", "rare", ""),
            ("rare work", "", "a=rare", "rare", ""),
        ] {
            let (agreed, there) = (flags(agreed), table(there));
            let (letters, here) = (set(letters), table(here));
            let filed = Filed {
                letters: &letters,
                here: &here,
                cut: false,
            };
            let original = |same_name, table| Original {
                agreed: &agreed,
                table,
                same_name,
                gone: true,
            };
            let reading = filed.keywords_of(&original(true, Some(&there)));
            let told = (reading.keywords, reading.unclear);
            assert_eq!(told, (flags(want), flags(unclear)), "{letters:?} {here:?}");
            let lost = filed.keywords_of(&original(true, None));
            assert_eq!(lost.keywords, agreed, "without a table nothing changed");
            if letters.is_empty() {
                let copied = filed.keywords_of(&original(false, Some(&there)));
                assert_eq!(copied.keywords, agreed, "filed without letters");
                let further = Original {
                    gone: false,
                    ..original(false, Some(&there))
                };
                let further = filed.keywords_of(&further);
                assert_eq!(further.keywords, flags(want), "a copy without letters");
            }
        }
    }

    #[test]
    fn a_letter_without_a_meaning_means_what_all_other_tables_say() {
        let tables = [table("a=work b=todo"), table("a=work b=other"), table("")];
        let read = |letters: &str, here: &str| {
            let (letters, here) = (set(letters), table(here));
            let filed = Filed {
                letters: &letters,
                here: &here,
                cut: false,
            };
            filed.keywords_alone(&tables)
        };
        assert_eq!(read("ab", ""), flags("work"));
        assert_eq!(read("ab", "a=private b=new"), flags("new private"));
        assert_eq!(read("xyz", ""), flags(""));
    }

    #[test]
    fn letters_repeat_the_server_by_the_table_of_another_mailbox() {
        let tables = [table("a=work b=todo"), table("a=private")];
        let repeats = |letters: &str, there: &str| {
            let (letters, here) = (set(letters), table("a=private"));
            let filed = Filed {
                letters: &letters,
                here: &here,
                cut: false,
            };
            filed.repeats(&flags(there), &tables)
        };
        assert!(repeats("a", "work $Forwarded") && repeats("ab", "work todo"));
        assert!(!repeats("a", "private"), "its own table says so");
        assert!(!repeats("a", "todo") && !repeats("", ""));
    }

    #[test]
    fn letters_that_a_mail_reader_cut_off_are_no_keywords_removed() {
        let letters = |text: &str| set(text);
        for (now, all, short) in [
            ("ab", "abc", true),
            ("ab", "ab", false),
            ("ac", "abc", false),
            ("abd", "abcde", false),
            ("", "a", true),
        ] {
            assert_eq!(
                is_cut_short(&letters(now), &letters(all)),
                short,
                "{now} of {all}"
            );
        }
        let (there, here) = (table("a=work b=todo c=late"), table("a=private b=other"));
        let agreed = flags("late todo work");
        let read = |cut| {
            let letters = letters("ab");
            let filed = Filed {
                letters: &letters,
                here: &here,
                cut,
            };
            let original = Original {
                agreed: &agreed,
                table: Some(&there),
                same_name: false,
                gone: true,
            };
            filed.keywords_of(&original).keywords
        };
        assert_eq!(
            (read(true), read(false)),
            (agreed.clone(), flags("todo work"))
        );
    }
}
