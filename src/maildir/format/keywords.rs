//! Keyword letters as Dovecot stores them: a to z in file names, and a file `dovecot-keywords` in
//! the mailbox with their keywords (a line each: number, space, name). The 27th keyword has no
//! letter and is stored in the state database only. An existing table is only appended to. A
//! keyword gets the letter that it has in other mailboxes, if that is free, so that `mv` keeps its
//! meaning.

use crate::maildir::fs::{Create, Fs};
use crate::model::{Flags, Keyword, Letters};
use crate::reconcile::FlagMask;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The name of the file.
pub const FILE: &str = "dovecot-keywords";

/// The letters of one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keywords {
    names: [Option<Keyword>; 26],
}

impl Keywords {
    /// Reads the file; a missing file has no keywords. Invalid lines are skipped.
    pub fn load(disk: &dyn Fs, mailbox: &Path) -> std::io::Result<Keywords> {
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

    /// Returns the assigned letters with their keywords.
    pub fn letters(&self) -> Letters {
        let mut letters = Letters::default();
        for (index, name) in self.names.iter().enumerate() {
            if let (Some(name), Some(letter)) = (name, letter_at(index))
                && !is_placeholder(index, name)
            {
                letters.insert(letter, name.clone());
            }
        }
        letters
    }

    /// Returns the keyword of a letter.
    pub fn name(&self, letter: u8) -> Option<Keyword> {
        let index = usize::from(letter.checked_sub(b'a')?);
        let name = self.names.get(index)?.as_ref()?;
        (!is_placeholder(index, name)).then(|| name.clone())
    }

    /// Returns the letter of a keyword.
    pub fn letter(&self, keyword: &Keyword) -> Option<u8> {
        let mut names = self.names.iter().enumerate();
        let is_it = |(index, name): &(usize, &Option<Keyword>)| {
            name.as_ref() == Some(keyword) && !is_placeholder(*index, keyword)
        };
        names.find(is_it).and_then(|(index, _)| letter_at(index))
    }

    /// Whether a keyword has a letter, also one of the standard.
    pub fn has(&self, keyword: &Keyword) -> bool {
        *keyword == Keyword::forwarded() || self.letter(keyword).is_some()
    }

    /// Returns all keywords with a letter.
    pub fn all(&self) -> Flags {
        Flags::from_parts(0, self.letters().iter().map(|(_, name)| name.clone()))
    }

    /// Whether a letter is free. `used`: letters in file names, assigned or not.
    pub fn has_room(&self, used: &BTreeSet<u8>) -> bool {
        self.free(used).next().is_some()
    }

    /// Assigns letters to keywords without one, while letters are free. Returns whether it assigned
    /// one.
    pub fn assign<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a Keyword>,
        used: &BTreeSet<u8>,
        common: &Common,
    ) -> bool {
        let mut gave = false;
        for keyword in wanted.filter(|keyword| **keyword != Keyword::forwarded()) {
            if self.letter(keyword).is_some() {
                continue;
            }
            let free = self
                .free(used)
                .filter(|index| !is_placeholder(*index, keyword));
            let Some(index) = common.choose(keyword, &free.collect::<Vec<usize>>()) else {
                continue;
            };
            if let Some(slot) = self.names.get_mut(index) {
                *slot = Some(keyword.clone());
                common.note(keyword, index);
                gave = true;
            }
        }
        gave
    }

    /// A letter in file names without an entry had a keyword once; reusing it would turn that
    /// keyword into another.
    fn free(&self, used: &BTreeSet<u8>) -> impl Iterator<Item = usize> {
        let open = self
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.is_none());
        let stale = |index: usize| letter_at(index).is_some_and(|letter| used.contains(&letter));
        open.map(|(index, _)| index)
            .filter(move |index| !stale(*index))
    }

    /// Writes the file atomically.
    pub fn save(&self, disk: &dyn Fs, mailbox: &Path) -> std::io::Result<()> {
        let tmp = mailbox.join("tmp").join("mailtide.keywords");
        self.write(disk, &tmp)?;
        disk.replace(&tmp, &mailbox.join(FILE))?;
        disk.sync(mailbox)
    }

    /// Writes the entries into a new file.
    pub fn write(&self, disk: &dyn Fs, path: &Path) -> std::io::Result<()> {
        let mut file = disk.create(path, Create::Anew)?;
        for (index, name) in self.names.iter().enumerate() {
            if let Some(name) = name {
                writeln!(file, "{index} {}", name.as_str())?;
            }
        }
        file.sync()
    }
}

fn letter_at(index: usize) -> Option<u8> {
    let index = u8::try_from(index).ok().filter(|index| *index < 26)?;
    Some(b'a' + index)
}

/// Whether Dovecot made the name up for a letter without an entry (`unknown-0` for `a`, with `?`
/// appended on a conflict): such a letter means nothing.
fn is_placeholder(index: usize, name: &Keyword) -> bool {
    let made_up = name.as_str().trim_end_matches('?');
    made_up.eq_ignore_ascii_case(&format!("unknown-{index}"))
}

/// The letters of keywords in the mailboxes of an account; read when the first keyword needs a
/// letter.
pub struct Common {
    disk: Rc<dyn Fs>,
    places: RefCell<Vec<PathBuf>>,
    tables: RefCell<Option<Vec<Letters>>>,
    /// By keyword, the number of tables that assign it a letter (index from 0).
    counts: RefCell<BTreeMap<(Keyword, usize), usize>>,
}

impl Common {
    /// The letters of an account whose mailboxes are not listed yet.
    pub fn on(disk: Rc<dyn Fs>) -> Common {
        Common {
            disk,
            places: RefCell::default(),
            tables: RefCell::default(),
            counts: RefCell::default(),
        }
    }

    /// Sets the mailboxes and drops what was read before.
    pub fn list(&self, mailboxes: Vec<PathBuf>) {
        *self.places.borrow_mut() = mailboxes;
        *self.tables.borrow_mut() = None;
    }

    /// Returns the distinct tables of the account. An unreadable one counts as empty.
    pub fn tables(&self) -> Vec<Letters> {
        if let Some(tables) = &*self.tables.borrow() {
            return tables.clone();
        }
        let mut tables = BTreeSet::new();
        let mut counts = BTreeMap::new();
        for mailbox in &*self.places.borrow() {
            let letters = match Keywords::load(&*self.disk, mailbox) {
                Ok(keywords) => keywords.letters(),
                Err(error) => {
                    tracing::debug!(path = %mailbox.display(), %error, "keywords not read");
                    continue;
                }
            };
            for (letter, keyword) in letters.iter() {
                let entry = (keyword.clone(), usize::from(letter - b'a'));
                *counts.entry(entry).or_default() += 1;
            }
            tables.insert(letters);
        }
        tables.remove(&Letters::default());
        let tables: Vec<Letters> = tables.into_iter().collect();
        *self.counts.borrow_mut() = counts;
        *self.tables.borrow_mut() = Some(tables.clone());
        tables
    }

    /// Selects a free letter: the keyword's most frequent one elsewhere, else one that no other
    /// keyword has elsewhere, else the first.
    fn choose(&self, keyword: &Keyword, free: &[usize]) -> Option<usize> {
        self.tables();
        let counts = self.counts.borrow();
        let own = counts
            .iter()
            .filter(|((name, at), _)| name == keyword && free.contains(at));
        // The first of equally frequent ones.
        let own = own.max_by_key(|((_, at), count)| (**count, std::cmp::Reverse(*at)));
        let taken: BTreeSet<usize> = counts.keys().map(|(_, at)| *at).collect();
        let apart = || free.iter().find(|at| !taken.contains(at)).copied();
        let own = own.map(|((_, at), _)| *at);
        own.or_else(apart).or_else(|| free.first().copied())
    }

    fn note(&self, keyword: &Keyword, index: usize) {
        let mut counts = self.counts.borrow_mut();
        *counts.entry((keyword.clone(), index)).or_default() += 1;
    }
}

/// The keywords of a mailbox, and whether it can take new ones; `used`: letters in file names.
pub(in crate::maildir) fn masks(keywords: &Keywords, used: &BTreeSet<u8>) -> (FlagMask, FlagMask) {
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
    use super::*;
    use crate::maildir::fs::real::RealFs;

    #[test]
    fn twenty_six_letters_and_no_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        std::fs::write(dir.path().join(FILE), "0 work\n2 Later\nx y\n99 z\n").unwrap();
        let mut keywords = Keywords::load(&RealFs, dir.path()).unwrap();
        assert_eq!(keywords.name(b'c'), Keyword::new("later"));
        let many: Vec<Keyword> = (0..30)
            .filter_map(|n| Keyword::new(&format!("k{n}")))
            .collect();
        // A file has the letter b without an entry.
        let used = BTreeSet::from([b'b']);
        assert!(keywords.has_room(&used));
        let common = Common::on(Rc::new(RealFs));
        assert!(keywords.assign(many.iter(), &used, &common));
        assert_eq!(keywords.letter(&many[0]), Some(b'd'));
        assert_eq!(keywords.letter(&many[23]), None);
        assert!(!keywords.has_room(&used) && !keywords.assign(many.iter(), &used, &common));
        keywords.save(&RealFs, dir.path()).unwrap();
        assert_eq!(Keywords::load(&RealFs, dir.path()).unwrap(), keywords);
    }

    fn word(text: &str) -> Keyword {
        Keyword::new(text).unwrap()
    }

    #[test]
    fn a_keyword_has_the_same_letter_in_all_mailboxes() {
        let dir = tempfile::tempdir().unwrap();
        let mailbox = |name: &str, table: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join(FILE), table).unwrap();
            path
        };
        let places = [
            mailbox("A", "0 work\n1 todo\n"),
            mailbox("B", "3 work\n0 work\n"),
        ];
        let common = Common::on(Rc::new(RealFs));
        common.list(places.to_vec());
        assert_eq!(common.tables().len(), 2);
        let letter = |table: &str, keyword: &str, used: &[u8]| {
            let count: usize = common.counts.borrow().values().sum();
            let path = mailbox(&format!("C{count}"), table);
            let mut keywords = Keywords::load(&RealFs, &path).unwrap();
            let used = used.iter().copied().collect();
            assert!(keywords.assign([word(keyword)].iter(), &used, &common));
            keywords.letter(&word(keyword)).unwrap()
        };
        assert_eq!(letter("", "todo", b""), b'b', "as elsewhere");
        assert_eq!(letter("1 other\n", "work", b""), b'a', "as in most");
        assert_eq!(letter("", "new", b""), b'c', "as nothing elsewhere");
        assert_eq!(letter("", "todo", b"b"), b'e', "files carry that letter");
    }

    #[test]
    fn a_name_that_dovecot_made_up_is_no_keyword() {
        let dir = tempfile::tempdir().unwrap();
        let table = "0 unknown-0\n1 unknown-0\n2 unknown-2?\n";
        std::fs::write(dir.path().join(FILE), table).unwrap();
        let mut keywords = Keywords::load(&RealFs, dir.path()).unwrap();
        assert_eq!((keywords.name(b'a'), keywords.name(b'c')), (None, None));
        assert_eq!(keywords.letter(&word("unknown-0")), Some(b'b'));
        assert_eq!(keywords.all().to_string(), "unknown-0");
        let (none, common) = (BTreeSet::new(), Common::on(Rc::new(RealFs)));
        assert!(keywords.assign([word("unknown-3")].iter(), &none, &common));
        assert_eq!(keywords.letter(&word("unknown-3")), Some(b'e'));
        keywords.write(&RealFs, &dir.path().join(FILE)).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, format!("{table}4 unknown-3\n"), "only added to");
    }
}
