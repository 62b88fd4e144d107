//! Keywords as Dovecot keeps them: letters a to z in file names, and a file `dovecot-keywords` in
//! the mailbox that says what each stands for (a line a keyword: number, space, name). The 27th
//! has no letter; it lives in the state database only.

use super::disk::{Create, Disk};
use crate::model::{Flags, Keyword};
use crate::reconcile::FlagMask;
use std::collections::BTreeSet;
use std::path::Path;

/// The name of the file.
pub const FILE: &str = "dovecot-keywords";

/// The letters of one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keywords {
    names: [Option<Keyword>; 26],
}

impl Keywords {
    /// Reads the file; without one there are no keywords. Lines that mean nothing are passed over.
    pub fn load(disk: &dyn Disk, mailbox: &Path) -> std::io::Result<Keywords> {
        let text = match disk.read(&mailbox.join(FILE)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut keywords = Keywords::default();
        for line in text.lines() {
            let Some((number, name)) = line.split_once(' ') else {
                continue;
            };
            let slot = number
                .parse::<usize>()
                .ok()
                .and_then(|n| keywords.names.get_mut(n));
            if let (Some(slot), Some(keyword)) = (slot, Keyword::new(name)) {
                *slot = Some(keyword);
            }
        }
        Ok(keywords)
    }

    /// What a letter stands for.
    pub fn name(&self, letter: u8) -> Option<Keyword> {
        let index = usize::from(letter.checked_sub(b'a')?);
        self.names.get(index).cloned().flatten()
    }

    /// The letter of a keyword.
    pub fn letter(&self, keyword: &Keyword) -> Option<u8> {
        let index = self
            .names
            .iter()
            .position(|name| name.as_ref() == Some(keyword))?;
        u8::try_from(index).ok().map(|index| b'a' + index)
    }

    /// Whether a keyword has a letter, that of the standard included.
    pub fn has(&self, keyword: &Keyword) -> bool {
        *keyword == Keyword::forwarded() || self.letter(keyword).is_some()
    }

    /// All that have a letter.
    pub fn all(&self) -> Flags {
        Flags::from_parts(0, self.names.iter().flatten().cloned())
    }

    /// Whether another keyword would get a letter. `used`: letters that files carry, known or not.
    pub fn has_room(&self, used: &BTreeSet<u8>) -> bool {
        self.free(used).is_some()
    }

    /// Gives letters to those that have none, as long as there are any. Whether it gave one.
    pub fn assign<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a Keyword>,
        used: &BTreeSet<u8>,
    ) -> bool {
        let mut gave = false;
        for keyword in wanted.filter(|keyword| **keyword != Keyword::forwarded()) {
            if self.letter(keyword).is_some() {
                continue;
            }
            let Some(slot) = self.free(used).and_then(|free| self.names.get_mut(free)) else {
                break;
            };
            *slot = Some(keyword.clone());
            gave = true;
        }
        gave
    }

    /// A letter that files carry without a name in the file belonged to a keyword once; giving it
    /// to another would turn the one into the other.
    fn free(&self, used: &BTreeSet<u8>) -> Option<usize> {
        let stale =
            |index: &usize| u8::try_from(*index).is_ok_and(|index| used.contains(&(b'a' + index)));
        let open = self
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.is_none());
        open.map(|(index, _)| index).find(|index| !stale(index))
    }

    /// Writes the file: whole or not at all.
    pub fn save(&self, disk: &dyn Disk, mailbox: &Path) -> std::io::Result<()> {
        let tmp = mailbox.join("tmp").join("mailtide.keywords");
        self.write(disk, &tmp)?;
        disk.replace(&tmp, &mailbox.join(FILE))?;
        disk.sync(mailbox)
    }

    /// Writes them into a file that nobody reads yet.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> std::io::Result<()> {
        let mut file = disk.create(path, Create::Anew)?;
        for (index, name) in self.names.iter().enumerate() {
            if let Some(name) = name {
                writeln!(file, "{index} {}", name.as_str())?;
            }
        }
        file.sync()
    }
}

/// What a mailbox shows, and what it can take; `used`: letters that its files carry.
pub(super) fn masks(keywords: &Keywords, used: &BTreeSet<u8>) -> (FlagMask, FlagMask) {
    let mut sees = Flags::system().union(&keywords.all());
    sees.insert_keyword(Keyword::forwarded());
    let stores = match keywords.has_room(used) {
        true => FlagMask::All,
        false => FlagMask::Only(sees.clone()),
    };
    (FlagMask::Only(sees), stores)
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Kernel;
    use super::*;

    #[test]
    fn twenty_six_letters_and_no_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        std::fs::write(dir.path().join(FILE), "0 work\n2 Later\nx y\n99 z\n").unwrap();
        let mut keywords = Keywords::load(&Kernel, dir.path()).unwrap();
        assert_eq!(keywords.name(b'c'), Keyword::new("later"));
        let many: Vec<Keyword> = (0..30)
            .filter_map(|n| Keyword::new(&format!("k{n}")))
            .collect();
        // Some file carries the letter b, whose name is lost.
        let used = BTreeSet::from([b'b']);
        assert!(keywords.has_room(&used));
        assert!(keywords.assign(many.iter(), &used));
        assert_eq!(keywords.letter(&many[0]), Some(b'd'));
        assert_eq!(keywords.letter(&many[23]), None);
        assert!(!keywords.has_room(&used) && !keywords.assign(many.iter(), &used));
        keywords.save(&Kernel, dir.path()).unwrap();
        assert_eq!(Keywords::load(&Kernel, dir.path()).unwrap(), keywords);
    }
}
