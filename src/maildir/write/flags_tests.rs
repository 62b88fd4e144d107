//! Changes of existing files, and files that are left alone.

use super::*;
use crate::maildir::fs::Fs;
use crate::maildir::fs::real::RealFs;
use crate::maildir::scan::Times;
use crate::maildir::watched::{World, base, name, world};
use crate::model::SystemFlag::{self, Flagged, Seen};
use crate::reconcile::messages::Known;

/// A mailbox with these files on a disk that fails this operation.
fn holding(files: &[&str], fails: fn(&str) -> bool) -> World {
    let mut w = world(fails);
    w.create(&["box".to_owned()]);
    for file in files {
        std::fs::write(w.dir.path().join("box").join(file), "mail").unwrap();
    }
    w.rest();
    w.disk.done.take();
    w
}

fn place() -> Place {
    Place {
        mailbox: name("box"),
        uid_validity: None,
    }
}

fn bare(id: &MaildirId) -> String {
    String::from_utf8_lossy(id.as_bytes()).into_owned()
}

fn flags(flags: &[SystemFlag]) -> Option<Flags> {
    Some(Flags::of(flags))
}

impl World {
    /// Waits until the next change gets another timestamp.
    fn rest(&self) {
        let times = || Times::of(&RealFs, &self.dir.path().join("box")).unwrap();
        while times().blur(RealFs.now()) > 0 {}
    }

    /// Marks these files as seen; `flags` are those known before.
    fn mark(&mut self, files: &[(&str, &[SystemFlag])]) -> Result<Vec<String>, StoreError> {
        let edit = |(file, saw): &(&str, &[SystemFlag])| FlagEdit {
            id: MaildirId::new(*file),
            change: FlagChange {
                add: Flags::of(&[Seen]),
                ..FlagChange::default()
            },
            saw: flags(saw),
        };
        let edits: Vec<_> = files.iter().map(edit).collect();
        let done = self.store.change_flags(&place(), &edits)?;
        Ok(done.iter().map(bare).collect())
    }

    /// Removes these files; returns the outcomes.
    fn take(&mut self, files: &[(&str, &[SystemFlag])]) -> Result<Vec<String>, StoreError> {
        let removal = |(file, saw): &(&str, &[SystemFlag])| Removal {
            id: MaildirId::new(*file),
            saw: flags(saw),
            elsewhere: false,
        };
        let removals: Vec<_> = files.iter().map(removal).collect();
        let done = self.store.remove_files(&place(), &removals)?;
        let tell = |(id, removed): (MaildirId, Removed)| match removed {
            Removed::Kept(below) => {
                let path = self.store.quarantine.path(&below);
                format!(
                    "{} kept: {}",
                    bare(&id),
                    std::fs::read_to_string(path).unwrap()
                )
            }
            other => format!("{} {other:?}", bare(&id)),
        };
        Ok(done.into_iter().map(tell).collect())
    }

    /// Returns the files of the mailbox.
    fn holds(&self) -> Vec<String> {
        let mut all = Vec::new();
        for sub in ["cur", "new"] {
            let directory = self.dir.path().join("box").join(sub);
            let Ok(entries) = std::fs::read_dir(directory) else {
                continue;
            };
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            all.extend(names.map(|name| format!("{sub}/{name}")));
        }
        all.sort();
        all
    }

    fn shelve(&mut self, known: &[(&str, u64)]) -> Result<PathBuf, StoreError> {
        let shelf = self.dir.path().join("shelf");
        std::fs::create_dir_all(&shelf).unwrap();
        let (mailbox, base) = (self.dir.path().join("box"), base("box", known));
        let known = Known::of(&base);
        self.store.shelve(&mailbox, &shelf, &known).map(|()| shelf)
    }
}

#[test]
fn flags_are_set_without_the_directory_being_read() {
    let mut w = holding(&["new/1.x", "cur/2.x:2,F", "cur/3.x:2,", "cur/4.x"], |_| {
        false
    });
    let all: [(&str, &[SystemFlag]); 4] = [
        ("1.x", &[]),
        ("2.x", &[Flagged]),
        ("3.x", &[]),
        ("4.x", &[]),
    ];
    assert_eq!(w.mark(&all).unwrap().len(), 4);
    let after = ["cur/1.x:2,S", "cur/2.x:2,FS", "cur/3.x:2,S", "cur/4.x:2,S"];
    assert_eq!(w.holds(), after);
    assert!(w.store.scans.is_empty());
    // One rename for each likely name, until one succeeds.
    assert_eq!(w.disk.told(), "7 name, 2 sync");
}

#[test]
fn what_has_other_flags_than_it_should_is_found_and_what_is_found_is_noted() {
    let mut w = holding(&["cur/1.x:2,R", "new/2.x"], |_| false);
    assert_eq!(w.mark(&[("1.x", &[]), ("9.x", &[])]).unwrap(), ["1.x"]);
    assert_eq!(w.holds(), ["cur/1.x:2,RS", "new/2.x"]);
    let entries = |w: &World| w.store.scans[&name("box")].entries.clone();
    assert_eq!(&*entries(&w)[&MaildirId::new("1.x")].suffix, b":2,RS");
    w.disk.done.take();
    assert_eq!(w.mark(&[("2.x", &[Flagged])]).unwrap(), ["2.x"]);
    assert_eq!(w.disk.told(), "1 name, 2 sync", "it was seen in new");
    assert_eq!(entries(&w)[&MaildirId::new("2.x")].sub, Subdir::Cur);
}

#[test]
fn what_is_as_it_should_be_is_not_touched() {
    let mut w = holding(&["cur/1.x:2,S"], |_| false);
    assert_eq!(w.mark(&[("1.x", &[Seen])]).unwrap(), ["1.x"]);
    assert_eq!(w.disk.told(), "");
}

#[test]
fn a_name_that_is_taken_is_left_alone() {
    let both = ["cur/1.x:2,", "cur/1.x:2,S"];
    let mut w = holding(&both, |_| false);
    assert!(w.mark(&[("1.x", &[])]).unwrap().is_empty());
    assert_eq!(w.holds(), both);
}

#[test]
fn a_disk_that_fails_is_told_with_the_file() {
    let fails: fn(&str) -> bool = |line| line.starts_with("name");
    let mut w = holding(&["new/1.x"], fails);
    let error = w.mark(&[("1.x", &[])]).unwrap_err();
    assert!(error.to_string().contains("new/1.x: broken"), "{error}");
    let error = w.take(&[("1.x", &[])]).unwrap_err();
    assert!(error.to_string().contains("new/1.x: broken"), "{error}");
    assert_eq!(w.holds(), ["new/1.x"]);
    // The message may exist under another name.
    let mut w = holding(&["cur/1.x:2,"], |line| line.ends_with("cur/1.x:2,S"));
    std::fs::remove_dir(w.dir.path().join("box/new")).unwrap();
    std::fs::write(w.dir.path().join("box/new"), "").unwrap();
    let error = w.take(&[("1.x", &[])]).unwrap_err();
    assert!(matches!(error, StoreError::Mailbox(_)), "{error}");
    assert_eq!(w.holds(), ["cur/1.x:2,"]);
    let full = failed(Path::new("x"), &io::ErrorKind::StorageFull.into());
    assert!(matches!(full, StoreError::Retry(_)), "{full}");
}

#[test]
fn what_is_taken_away_is_kept_unless_somebody_wants_it() {
    let mut w = holding(&["new/1.x", "cur/2.x:2,F", "cur/3.x:2,F"], |_| false);
    let all: [(&str, &[SystemFlag]); 4] = [
        ("1.x", &[]),
        ("2.x", &[Flagged]),
        ("3.x", &[]),
        ("4.x", &[]),
    ];
    let done = w.take(&all).unwrap();
    assert_eq!(done, ["1.x kept: mail", "2.x kept: mail", "4.x Gone"]);
    assert_eq!(w.holds(), ["cur/3.x:2,F"]);
    // The quarantine is durable before the mailbox.
    std::fs::write(w.dir.path().join("box/cur/5.x:2,S"), "mail").unwrap();
    w.disk.done.take();
    assert_eq!(w.take(&[("5.x", &[Seen])]).unwrap(), ["5.x kept: mail"]);
    let synced = |line: &&String| line.starts_with("sync");
    let lines = w.disk.done.take();
    let synced: Vec<&String> = lines.iter().filter(synced).collect();
    assert!(synced[0].contains("quarantine"), "{synced:?}");
    assert!(synced[1].ends_with("box/cur") && synced.len() == 2);
    assert!(w.take(&[("3.x", &[])]).unwrap().is_empty());
    assert!(
        !w.disk
            .done
            .take()
            .iter()
            .any(|line| line.starts_with("sync"))
    );
}

#[test]
fn a_mailbox_goes_as_a_whole_or_not_at_all() {
    let inside = [("1.x", 4), ("2.x", 4)];
    let files = ["cur/.hidden", "cur/1.x:2,", "new/2.x"];
    let mut w = holding(&files, |_| false);
    std::fs::create_dir(w.dir.path().join("box/cur/sub")).unwrap();
    w.rest();
    w.store.remove_mailbox(&base("box", &inside)).unwrap();
    assert!(!w.dir.path().join("box").exists() && w.dir.path().exists());
    // New mail in it.
    let mut w = holding(&files, |_| false);
    let error = w
        .store
        .remove_mailbox(&base("box", &inside[..1]))
        .unwrap_err();
    assert_eq!(error.to_string(), "box: new mail arrived in it");
    assert_eq!(w.holds(), files);
    // The disk refuses one part.
    let mut w = holding(&files, |line| {
        line.starts_with("name") && line.ends_with("/new")
    });
    let error = w.store.remove_mailbox(&base("box", &inside)).unwrap_err();
    assert!(error.to_string().contains("box/new: broken"), "{error}");
    assert_eq!(w.holds(), files);
}

#[test]
fn on_the_shelf_it_is_looked_at_once_more() {
    let mut w = holding(&["cur/1.x:2,", "new/2.x"], |_| false);
    let error = w.shelve(&[("1.x", 4)]).unwrap_err();
    assert!(
        matches!(&error, StoreError::Stale(what) if what.contains("2.x")),
        "{error}"
    );
    // A missing part contains no mail.
    let mut w = holding(&["cur/1.x:2,"], |_| false);
    std::fs::remove_dir(w.dir.path().join("box/new")).unwrap();
    let shelf = w.shelve(&[("1.x", 4)]).unwrap();
    assert!(shelf.join("cur/1.x:2,").exists() && !shelf.join("new").exists());
    // The type of the file is unknown.
    let mut w = holding(&["cur/1.x:2,"], |_| false);
    std::fs::remove_dir(w.dir.path().join("box/new")).unwrap();
    std::fs::write(w.dir.path().join("box/new"), "").unwrap();
    let error = w.shelve(&[("1.x", 4)]).unwrap_err();
    assert!(matches!(error, StoreError::Mailbox(_)), "{error}");
}

#[test]
fn directories_that_hold_nothing_go_but_the_root_stays() {
    let w = world(|_| false);
    let root = w.dir.path();
    std::fs::create_dir_all(root.join("a/b/c")).unwrap();
    w.store.remove_empty_parents(&root.join("a/b/c"));
    assert!(root.exists() && !root.join("a").exists());
    std::fs::create_dir_all(root.join("a/b/c")).unwrap();
    std::fs::write(root.join("a/note"), "").unwrap();
    w.store.remove_empty_parents(&root.join("a/b/c"));
    assert!(root.join("a").exists() && !root.join("a/b").exists());
}
