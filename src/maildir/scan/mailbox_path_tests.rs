//! Links, files and empty directories in place of mailboxes.

use super::*;
use crate::maildir::fs::real::RealFs;
use crate::maildir::{Claim, Layout};
use crate::reconcile::Cursor;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

const NESTED: Layout = Layout::Nested;

struct Case {
    dir: tempfile::TempDir,
    store: MaildirStore,
    left: BTreeMap<MailboxName, Cursor>,
}

impl Case {
    /// A Maildir with these mailboxes, which were scanned before.
    fn new(layout: Layout, mailboxes: &[&str]) -> Case {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::First("uuid".into());
        let mut store = MaildirStore::new(&dir.path().join("Mail"), layout, claim);
        store.take_possession().unwrap();
        let names = mailboxes.iter().map(|name| mb(name)).collect::<Vec<_>>();
        store
            .create_all(&names)
            .into_iter()
            .for_each(Result::unwrap);
        let looked = |name| (name, Cursor("1 1 1 1".into()));
        let left = names.into_iter().map(looked).collect();
        Case { dir, store, left }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("Mail").join(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at("").join(self.store.layout.path(&mb(name)))
    }

    /// Returns the kind of each listed name as a letter, and the text.
    fn listed(&mut self) -> BTreeMap<String, (char, String)> {
        let all = self.store.listed(&self.left).unwrap();
        let one = |presence| match presence {
            Presence::Mailbox => ('M', String::new()),
            Presence::Container => ('C', String::new()),
            Presence::Unknown(why) => ('U', why),
            Presence::Closed(why) => ('X', why),
            Presence::Vacant(why) => ('V', why),
        };
        let all = all.into_iter();
        all.map(|l| (l.name.to_string(), one(l.presence))).collect()
    }

    fn letters(&mut self) -> String {
        let all = self.listed().into_iter();
        let all = all.map(|(name, (letter, _))| format!("{name}:{letter}"));
        all.collect::<Vec<_>>().join(" ")
    }
}

fn mb(name: &str) -> MailboxName {
    MailboxName::parse(name).unwrap()
}

fn make(path: &Path) {
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(path.join(sub)).unwrap();
    }
}

#[test]
fn a_link_is_closed_whether_it_leads_somewhere_or_not() {
    for layout in [NESTED, Layout::MaildirPlusPlus] {
        let mut case = Case::new(layout, &["INBOX", "A", "B/C"]);
        let (disk, a) = (case.dir.path().join("disk"), case.path("A"));
        fs::create_dir(&disk).unwrap();
        fs::rename(&a, disk.join("A")).unwrap();
        symlink(disk.join("A"), &a).unwrap();
        let (letter, why) = case.listed().remove("A").unwrap();
        assert!(letter == 'X' && why.contains("symbolic link"), "{why}");
        assert!(
            case.store.directory(&mb("A")).is_err(),
            "it is not followed"
        );
        fs::rename(&disk, case.dir.path().join("away")).unwrap();
        assert_eq!(case.letters(), "A:X B/C:M INBOX:M", "dangling");
        assert!(case.store.is_absent(&mb("A")).is_err());
        let made = case.store.create_all(&[mb("A")]).remove(0).unwrap_err();
        assert!(made.to_string().contains("symbolic link"), "{made}");
        assert!(case.store.rename_directory(&mb("B/C"), &mb("A")).is_err());
    }
}

#[test]
fn below_a_link_nothing_is_absent_and_nothing_is_made() {
    let mut case = Case::new(NESTED, &["A/B"]);
    let (away, a) = (case.dir.path().join("away"), case.at("A"));
    fs::rename(&a, &away).unwrap();
    symlink(&away, &a).unwrap();
    assert_eq!(case.letters(), "A:X");
    fs::rename(&away, case.dir.path().join("gone")).unwrap();
    assert_eq!(case.letters(), "A:X");
    assert!(case.store.is_absent(&mb("A/B")).is_err());
    fs::create_dir(&away).unwrap();
    assert!(case.store.create_all(&[mb("A/New")]).remove(0).is_err());
    assert!(
        fs::read_dir(&away).unwrap().next().is_none(),
        "through the link"
    );
}

#[test]
fn what_has_nothing_to_do_with_mailboxes_is_passed_over() {
    let mut case = Case::new(NESTED, &["INBOX"]);
    fs::create_dir(case.dir.path().join("elsewhere")).unwrap();
    symlink(case.dir.path().join("elsewhere"), case.at("empty")).unwrap();
    fs::write(case.at("notes"), "x").unwrap();
    symlink(case.at("notes"), case.at("link-to-a-file")).unwrap();
    symlink("/nowhere", case.at(".hidden")).unwrap();
    fs::create_dir(case.at("empty-directory")).unwrap();
    assert_eq!(case.letters(), "INBOX:M");
    // Links to mailboxes, and to directories that contain some.
    make(&case.dir.path().join("elsewhere/box"));
    symlink(case.dir.path().join("elsewhere/box"), case.at("box")).unwrap();
    symlink("/nowhere", case.at("dangling")).unwrap();
    assert_eq!(case.letters(), "INBOX:M box:X dangling:X empty:X");
}

#[test]
fn the_root_may_be_reached_by_a_link() {
    let mut case = Case::new(NESTED, &["INBOX"]);
    let real = case.dir.path().join("real");
    fs::rename(case.at(""), &real).unwrap();
    symlink(&real, case.dir.path().join("Mail")).unwrap();
    assert_eq!(case.letters(), "INBOX:M");
    assert!(case.store.directory(&mb("INBOX")).is_ok());
    fs::rename(&real, case.dir.path().join("away")).unwrap();
    let gone = case.store.listed(&case.left.clone());
    assert!(matches!(gone, Err(StoreError::Guard(_))), "{gone:?}");
}

#[test]
fn a_file_where_a_mailbox_was_is_closed() {
    let mut case = Case::new(NESTED, &["A", "B/C"]);
    for name in ["A", "B"] {
        fs::remove_dir_all(case.at(name)).unwrap();
        fs::write(case.at(name), "x").unwrap();
    }
    assert_eq!(case.letters(), "A:X B:X");
    assert!(case.store.is_absent(&mb("B/C")).is_err());
}

#[test]
fn an_empty_directory_where_a_mailbox_was_is_vacant() {
    let mut case = Case::new(NESTED, &["A", "B", "B/C", "D", "E"]);
    for gone in ["A", "B/cur", "B/new", "B/tmp", "D"] {
        fs::remove_dir_all(case.at(gone)).unwrap();
    }
    fs::create_dir(case.at("A")).unwrap();
    // A cut run created it again; it was never scanned since.
    fs::remove_dir_all(case.at("E/cur")).unwrap();
    case.left.insert(mb("E"), Cursor::default());
    assert_eq!(
        case.letters(),
        "A:V B/C:M",
        "of B there is the one below it"
    );
    assert!(case.store.is_absent(&mb("B")).unwrap());
    assert!(case.store.is_absent(&mb("D")).unwrap());
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(case.at("A/N").join(sub)).unwrap();
    }
    assert_eq!(case.letters(), "A:V A/N:M B/C:M", "a new one below");
    let mut flat = Case::new(Layout::MaildirPlusPlus, &["INBOX", "A", "A/B"]);
    for sub in ["cur", "new", "tmp"] {
        fs::remove_dir(flat.path("A").join(sub)).unwrap();
    }
    assert_eq!(flat.letters(), "A:V A/B:M INBOX:M");
}

#[test]
fn parts_that_are_missing_or_odd_leave_it_open() {
    for sub in ["cur", "new"] {
        let mut case = Case::new(NESTED, &["A"]);
        let part = case.at("A").join(sub);
        fs::remove_dir(&part).unwrap();
        let (letter, why) = case.listed().remove("A").unwrap();
        assert!(
            letter == 'U' && why.contains(&format!("has no {sub}")),
            "{why}"
        );
        assert!(!why.contains("remove"), "advice that destroys: {why}");
        for target in ["elsewhere", "/nowhere"] {
            symlink(target, &part).unwrap();
            assert_eq!(case.letters(), "A:U", "{sub} -> {target}");
            fs::remove_file(&part).unwrap();
        }
        fs::write(&part, "x").unwrap();
        assert_eq!(case.letters(), "A:U", "{sub} is a file");
    }
    let mut case = Case::new(NESTED, &["A"]);
    for sub in ["cur", "new"] {
        fs::rename(case.at("A").join(sub), case.dir.path().join(sub)).unwrap();
        symlink(case.dir.path().join(sub), case.at("A").join(sub)).unwrap();
    }
    assert_eq!(case.letters(), "A:U", "both are links");
    assert!(case.store.directory(&mb("A")).is_err());
}

#[test]
fn messages_in_the_root_are_named_where_it_is_no_mailbox() {
    let mut case = Case::new(NESTED, &["INBOX"]);
    make(&case.at(""));
    fs::write(case.at("cur/.hidden"), "x").unwrap();
    assert_eq!(case.letters(), "INBOX:M");
    fs::write(case.at("new/1.x"), "x").unwrap();
    let (letter, why) = case.listed().remove(".").unwrap();
    assert!(letter == 'U' && why.contains("maildir++"), "{why}");
    let mut flat = Case::new(Layout::MaildirPlusPlus, &["INBOX"]);
    fs::write(flat.at("new/1.x"), "x").unwrap();
    assert_eq!(flat.letters(), "INBOX:M");
}

#[test]
fn a_pipe_is_only_told_where_a_mailbox_was() {
    let case = Case::new(NESTED, &[]);
    let path = case.at("pipe");
    fs::write(&path, "x").unwrap();
    for (kind, known) in [(Kind::File, true), (Kind::Other, true)] {
        assert!(closed(&RealFs, &path, kind, known).is_some());
        assert!(closed(&RealFs, &path, kind, false).is_none());
    }
}
