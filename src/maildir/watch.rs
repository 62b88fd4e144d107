//! Watches the Maildir for changes of other programs: inotify, by the notify crate, on each `cur`
//! and `new` and on the directories of mailboxes. Watches are set one by one, so that an error is
//! noticed, and before the scan.
//!
//! An event names mailboxes to scan, nothing else. Changes on an unmounted disk or by another
//! machine cause none; the schedule finds them.

use crate::maildir::format::keywords::FILE as KEYWORDS;
use crate::maildir::format::layout::Layout;
use crate::model::{MailboxName, Scope};
use crate::store::StoreError;
use notify::event::{ModifyKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The watched part of the Maildir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// All of it.
    All,
    /// A part; the remainder has to be scanned regularly. The reason, for people.
    Some(String),
}

/// State of the watching thread.
#[derive(Default)]
struct Map {
    /// The mailboxes by path.
    mailboxes: BTreeMap<PathBuf, MailboxName>,
    /// Directories that went away; notify drops the watches below them, too.
    lost: BTreeSet<PathBuf>,
}

type SharedMap = Arc<Mutex<Map>>;

fn open(map: &SharedMap) -> MutexGuard<'_, Map> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Device and inode, to tell whether a path is still the same directory.
type Node = (u64, u64);

/// A watch on a Maildir; ends on drop.
pub struct Watch {
    root: PathBuf,
    layout: Layout,
    watcher: RecommendedWatcher,
    known: BTreeMap<PathBuf, Node>,
    map: SharedMap,
}

impl Watch {
    /// Starts without watches; [`Watch::follow`] sets them. `stir` is called on a thread with the
    /// mailboxes to scan.
    pub fn new(
        root: &Path,
        layout: Layout,
        stir: impl Fn(Scope) + Send + 'static,
    ) -> Result<Watch, StoreError> {
        let map = SharedMap::default();
        let (own, ears) = (root.to_owned(), map.clone());
        let handler = move |event: notify::Result<Event>| {
            let scope = match event {
                Ok(event) => heard(&event, &own, layout, &ears),
                // Events were lost.
                Err(_) => Scope::Everywhere,
            };
            if !scope.is_nothing() {
                stir(scope);
            }
        };
        let watcher = notify::recommended_watcher(handler).map_err(|error| {
            StoreError::Mailbox(format!("{} cannot be watched: {error}", root.display()))
        })?;
        Ok(Watch {
            root: root.to_owned(),
            layout,
            watcher,
            known: BTreeMap::new(),
            map,
        })
    }

    /// Watches the current directories. Call it before a full scan, and whenever directories
    /// change.
    pub fn follow(&mut self, mailboxes: BTreeMap<MailboxName, PathBuf>) -> Watched {
        let lost = {
            let mut map = open(&self.map);
            let turned = mailboxes.into_iter().map(|(name, path)| (path, name));
            map.mailboxes = turned.collect();
            std::mem::take(&mut map.lost)
        };
        let mut wanted = BTreeMap::new();
        self.collect(&self.root, &mut wanted);
        if let Some(parent) = self.root.parent() {
            wanted.extend(node(parent).map(|node| (parent.to_owned(), node)));
        }
        let gone: Vec<PathBuf> = self
            .known
            .iter()
            .filter(|(path, node)| {
                let lost = lost.iter().any(|lost| path.starts_with(lost));
                lost || wanted.get(*path) != Some(node)
            })
            .map(|(path, _)| path.clone())
            .collect();
        // Removed directories first: inotify identifies a renamed directory with its old one and
        // would lose the new watch.
        for path in gone {
            self.known.remove(&path);
            // The watch may have ended with its directory.
            let _gone = self.watcher.unwatch(&path);
        }
        for (path, node) in &wanted {
            if self.known.contains_key(path) {
                continue;
            }
            match self.watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.known.insert(path.clone(), *node)),
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {
                    open(&self.map).lost.insert(path.clone());
                }
                Err(error) => return self.partly(wanted.len(), &error),
            }
        }
        Watched::All
    }

    fn partly(&self, wanted: usize, error: &notify::Error) -> Watched {
        let (some, root) = (self.known.len(), self.root.display());
        let why = match error.kind {
            ErrorKind::MaxFilesWatch => {
                "the system allows no more (raise fs.inotify.max_user_watches)".to_owned()
            }
            _ => error.to_string(),
        };
        Watched::Some(format!(
            "{some} of {wanted} directories of {root} are watched: {why}; the rest is looked at \
             every half minute"
        ))
    }

    /// Returns the directory, those below it that may contain mailboxes, and their `cur` and `new`.
    fn collect(&self, directory: &Path, all: &mut BTreeMap<PathBuf, Node>) {
        let Some(own) = node(directory) else { return };
        all.insert(directory.to_owned(), own);
        let Ok(entries) = std::fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || name == *"tmp" {
                continue;
            }
            let ours = name == *self.layout.own();
            if name == *"cur" || name == *"new" {
                all.extend(node(&path).map(|node| (path, node)));
            } else if !ours {
                self.collect(&path, all);
            }
        }
    }
}

fn node(path: &Path) -> Option<Node> {
    let meta = path.symlink_metadata().ok()?;
    meta.is_dir().then(|| (meta.dev(), meta.ino()))
}

/// Maps an event to mailboxes.
fn heard(event: &Event, root: &Path, layout: Layout, map: &SharedMap) -> Scope {
    if event.need_rescan() {
        return Scope::Everywhere;
    }
    let away = match event.kind {
        // Our own scans open directories; reading is no change.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => {
            return Scope::Nothing;
        }
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => true,
        _ => false,
    };
    let mut scope = Scope::Nothing;
    let mut map = open(map);
    for path in &event.paths {
        scope.add(about(path, away, root, layout, &mut map));
    }
    scope
}

fn about(path: &Path, away: bool, root: &Path, layout: Layout, map: &mut Map) -> Scope {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Scope::Everywhere;
    };
    let inner = |name: &std::ffi::OsStr| name == "cur" || name == "new";
    if parent.file_name().is_some_and(inner) && parent.starts_with(root) {
        // A message. Dot files are none.
        if name.as_encoded_bytes().starts_with(b".") {
            return Scope::Nothing;
        }
        let mailbox = parent.parent().and_then(|path| map.mailboxes.get(path));
        return mailbox.cloned().map_or(Scope::Everywhere, Scope::of);
    }
    if path == root || (path.starts_with(root) && inner(name)) {
        if away {
            map.lost.insert(path.to_owned());
        }
        return Scope::Everywhere;
    }
    if !path.starts_with(root) || name == "tmp" || name == layout.own() {
        return Scope::Nothing;
    }
    if name == KEYWORDS {
        let mailbox = map.mailboxes.get(parent);
        return mailbox.cloned().map_or(Scope::Nothing, Scope::of);
    }
    // A directory was created, removed or renamed. Other files beside mailboxes are ignored.
    if away && !map.mailboxes.keys().any(|known| known.starts_with(path)) && !path.is_dir() {
        return Scope::Nothing;
    }
    if away {
        map.lost.insert(path.to_owned());
        return Scope::Everywhere;
    }
    match path.is_dir() {
        true => Scope::Everywhere,
        false => Scope::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    struct WatchCase {
        dir: tempfile::TempDir,
        watch: Watch,
        stirs: Receiver<Scope>,
        marks: u32,
    }

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text).unwrap()
    }

    impl WatchCase {
        fn new(mailboxes: &[&str]) -> WatchCase {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("Mail");
            for mailbox in mailboxes {
                WatchCase::make(&root.join(mailbox));
            }
            fs::create_dir_all(root.join(".mailtide")).unwrap();
            let (send, stirs) = channel();
            let stir = move |scope| send.send(scope).unwrap();
            let watch = Watch::new(&root, Layout::Nested, stir).unwrap();
            let mut case = WatchCase {
                dir,
                watch,
                stirs,
                marks: 0,
            };
            case.follow(mailboxes);
            case
        }

        fn make(path: &Path) {
            for sub in ["tmp", "new", "cur"] {
                fs::create_dir_all(path.join(sub)).unwrap();
            }
        }

        fn root(&self) -> PathBuf {
            self.dir.path().join("Mail")
        }

        fn follow(&mut self, mailboxes: &[&str]) {
            let at = |text: &&str| (name(text), self.root().join(text));
            let all = mailboxes.iter().map(at).collect();
            assert_eq!(self.watch.follow(all), Watched::All);
        }

        /// Returns the events until one about another mailbox arrives.
        fn heard(&mut self, mark: &str) -> Scope {
            self.marks += 1;
            let (file, mailbox) = (self.marks.to_string(), self.root().join(mark));
            fs::write(mailbox.join("tmp").join(&file), "x").unwrap();
            fs::rename(
                mailbox.join("tmp").join(&file),
                mailbox.join("new").join(&file),
            )
            .unwrap();
            let mut all = Scope::Nothing;
            loop {
                let scope = self.stirs.recv_timeout(Duration::from_secs(10)).unwrap();
                if scope == Scope::of(name(mark)) {
                    return all;
                }
                all.add(scope);
            }
        }
    }

    #[test]
    fn messages_wake_their_mailbox_and_looking_wakes_nobody() {
        let mut case = WatchCase::new(&["INBOX", "A/B", "Mark"]);
        let inbox = case.root().join("INBOX");
        fs::write(inbox.join("tmp/1"), "x").unwrap();
        fs::rename(inbox.join("tmp/1"), inbox.join("new/1")).unwrap();
        assert_eq!(case.heard("Mark"), Scope::of(name("INBOX")));
        fs::rename(inbox.join("new/1"), inbox.join("cur/1:2,S")).unwrap();
        fs::rename(inbox.join("cur/1:2,S"), case.root().join("A/B/cur/1:2,S")).unwrap();
        let both = BTreeSet::from([name("INBOX"), name("A/B")]);
        assert_eq!(case.heard("Mark"), Scope::Some(both));
        for sub in ["cur", "new"] {
            fs::read_dir(inbox.join(sub)).unwrap().for_each(drop);
        }
        fs::read(case.root().join("A/B/cur/1:2,S")).unwrap();
        fs::write(case.root().join(".mailtide/marker"), "x").unwrap();
        fs::write(inbox.join("tmp/2"), "x").unwrap();
        fs::write(case.root().join("notes.txt"), "x").unwrap();
        assert_eq!(case.heard("Mark"), Scope::Nothing);
        fs::write(case.root().join("A/B/cur/1:2,S"), "edited").unwrap();
        assert_eq!(case.heard("Mark"), Scope::of(name("A/B")));
    }

    #[test]
    fn mailboxes_that_come_go_and_are_renamed() {
        let mut case = WatchCase::new(&["INBOX", "Mark"]);
        WatchCase::make(&case.root().join("New"));
        assert_eq!(case.heard("Mark"), Scope::Everywhere);
        case.follow(&["INBOX", "Mark", "New"]);
        fs::write(case.root().join("New/cur/1:2,"), "x").unwrap();
        assert_eq!(case.heard("Mark"), Scope::of(name("New")));
        fs::rename(case.root().join("New"), case.root().join("Newer")).unwrap();
        assert_eq!(case.heard("Mark"), Scope::Everywhere);
        case.follow(&["INBOX", "Mark", "Newer"]);
        fs::write(case.root().join("Newer/cur/2:2,"), "x").unwrap();
        assert_eq!(case.heard("Mark"), Scope::of(name("Newer")));
        fs::remove_dir_all(case.root().join("Newer")).unwrap();
        case.heard("Mark");
        case.follow(&["INBOX", "Mark"]);
        WatchCase::make(&case.root().join("Newer"));
        assert_eq!(case.heard("Mark"), Scope::Everywhere);
        case.follow(&["INBOX", "Mark", "Newer"]);
        fs::write(case.root().join("Newer/cur/3:2,"), "x").unwrap();
        assert_eq!(case.heard("Mark"), Scope::of(name("Newer")));
    }

    #[test]
    fn a_maildir_that_goes_and_comes_back() {
        let mut case = WatchCase::new(&["INBOX", "Mark"]);
        let away = case.dir.path().join("away");
        fs::rename(case.root(), &away).unwrap();
        let wait = Duration::from_secs(10);
        assert_eq!(case.stirs.recv_timeout(wait).unwrap(), Scope::Everywhere);
        fs::rename(&away, case.root()).unwrap();
        assert_eq!(case.stirs.recv_timeout(wait).unwrap(), Scope::Everywhere);
        case.follow(&["INBOX", "Mark"]);
        fs::write(case.root().join("INBOX/cur/1:2,"), "x").unwrap();
        let scope = case.heard("Mark");
        assert!(scope.has(&name("INBOX")), "{scope:?}");
    }
}
