//! Which mailboxes lie below the root.

use super::change::failed;
use super::cursor::Left;
use super::disk::{Disk, Kind};
use super::layout::Layout;
use super::scan::Times;
use super::store::MaildirStore;
use super::transfer::identity;
use crate::model::MailboxName;
use crate::reconcile::{Cursor, Listed, News, Presence};
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

impl MaildirStore {
    /// Where the mailboxes lie that were listed last.
    pub fn mailbox_paths(&self) -> BTreeMap<MailboxName, PathBuf> {
        self.paths.clone()
    }

    /// Lets go of what was only kept for the cycle that ended.
    pub fn rest(&mut self) {
        self.scans = BTreeMap::new();
        self.glimpses = BTreeMap::new();
        self.there = BTreeMap::new();
        self.ahead = None;
    }

    pub(super) fn listed(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        // What was read before is older than what is looked for now.
        self.ahead = None;
        let opened = self.root().open(&self.claim)?;
        let mut found: Vec<(MailboxName, PathBuf, Presence)> = Vec::new();
        if self.disk.is_dir(&self.root) {
            let known: BTreeMap<String, MailboxName> = left
                .keys()
                .flat_map(|name| name.components())
                .map(|c| (self.layout.encode(c), c))
                .filter_map(|(dir, c)| {
                    MailboxName::new(vec![c.clone(), "x".into()]).map(|n| (dir, n))
                })
                .collect();
            let walked = self.walk(&self.root, &[], &known, &mut found);
            walked.map_err(|error| {
                StoreError::Guard(format!("the Maildir {}: {error}", self.root.display()))
            })?;
        } else if !opened.new {
            let root = self.root.display();
            return Err(StoreError::Guard(format!(
                "the Maildir {root} is no directory"
            )));
        }
        let mut all: BTreeMap<MailboxName, Listed> = BTreeMap::new();
        self.paths.clear();
        for (name, path, presence) in found {
            let surely = left.get(&name).and_then(Left::read).is_some_and(|left| {
                Times::of(&*self.disk, &path).is_ok_and(|times| left.surely(&times))
            });
            let news = match surely {
                true => News::None,
                false => News::Some,
            };
            let looked = left
                .get(&name)
                .is_some_and(|left| *left != Cursor::default());
            if matches!(presence, Presence::Unknown(_)) && !looked {
                // A run of ours was cut while it made this mailbox; it is made again.
                let begun = is_begun(&*self.disk, &path);
                if begun.map_err(|error| failed(&path, &error))? {
                    continue;
                }
            }
            let mut listed = Listed {
                name,
                presence,
                view: false,
                news,
                special_use: None,
                identity: identity(&*self.disk, &path),
                census: None,
            };
            if let Some(other) = self.paths.get(&listed.name) {
                let (a, b) = (other.display(), path.display());
                let what = format!("{a} and {b} would be the same mailbox; rename one");
                listed.presence = Presence::Unknown(what);
            }
            self.paths.insert(listed.name.clone(), path);
            all.insert(listed.name.clone(), listed);
        }
        self.common.list(self.paths.values().cloned().collect());
        Ok(all.into_values().collect())
    }

    fn walk(
        &self,
        directory: &Path,
        above: &[String],
        known: &BTreeMap<String, MailboxName>,
        found: &mut Vec<(MailboxName, PathBuf, Presence)>,
    ) -> io::Result<()> {
        if self.layout == Layout::MaildirPlusPlus && above.is_empty() {
            let root = presence(&*self.disk, directory)?;
            found.extend(root.map(|p| (MailboxName::inbox(), directory.into(), p)));
        }
        let (mut below, mut markers) = (Vec::new(), Vec::new());
        self.disk.list(directory, &mut |name, kind| {
            if name == ".mailtide" || name == "mailtide" {
                markers.push(name.to_owned());
            }
            let inner = ["cur", "new", "tmp", self.layout.own()];
            let inner = inner.iter().any(|own| name == *own);
            // Links are not followed: they lead out of the tree, or round in it.
            if !inner && kind == Kind::Directory {
                below.push(name.to_owned());
            }
        })?;
        for own in markers.iter().filter(|_| directory != self.root) {
            let refused = self.root().refuse_marker(directory, own);
            refused.map_err(io::Error::other)?;
        }
        for name in below {
            let text = name.to_string_lossy().into_owned();
            let decode = |part: &str| {
                let long = known
                    .get(part)
                    .and_then(|name| name.components().first().cloned());
                long.or_else(|| self.layout.decode(std::ffi::OsStr::new(part)))
            };
            let components: Option<Vec<String>> = match self.layout {
                Layout::Nested if text.starts_with('.') => continue,
                Layout::Nested => decode(&text).map(|c| above.iter().cloned().chain([c]).collect()),
                Layout::MaildirPlusPlus => match text.strip_prefix('.') {
                    Some(rest) => rest.split('.').map(decode).collect(),
                    None => continue,
                },
            };
            let path = directory.join(&name);
            let Some(name) = components.clone().and_then(MailboxName::new) else {
                let what = format!("{}: this name cannot be a mailbox", path.display());
                let shown = MailboxName::new(vec![text]).unwrap_or_else(MailboxName::inbox);
                found.push((shown, path, Presence::Unknown(what)));
                continue;
            };
            found.extend(presence(&*self.disk, &path)?.map(|p| (name, path.clone(), p)));
            if self.layout == Layout::Nested {
                self.walk(&path, &components.unwrap_or_default(), known, found)?;
            }
        }
        Ok(())
    }
}

/// Whether this is a mailbox that is being made: `cur` is missing, and there is nothing else.
fn is_begun(disk: &dyn Disk, directory: &Path) -> io::Result<bool> {
    let mut empty = true;
    for sub in ["new", "tmp"] {
        match disk.list(&directory.join(sub), &mut |_, _| empty = false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    let cur = disk.about(&directory.join("cur"));
    let missing = cur.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    Ok(empty && missing)
}

fn presence(disk: &dyn Disk, directory: &Path) -> io::Result<Option<Presence>> {
    let has = |sub: &str| -> io::Result<bool> {
        match disk.about(&directory.join(sub)) {
            Ok(about) => Ok(about.kind == Kind::Directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    };
    Ok(match (has("cur")?, has("new")?) {
        (true, true) => Some(Presence::Mailbox),
        (false, false) => None,
        // F35: half a mailbox; half deleted, or half mounted.
        _ => {
            let what = "has only one of cur and new; create the other or remove it";
            Some(Presence::Unknown(format!("{} {what}", directory.display())))
        }
    })
}
