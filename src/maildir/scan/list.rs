//! Lists the mailboxes below the root.

use crate::maildir::format::layout::Layout;
use crate::maildir::fs::Kind;
use crate::maildir::scan::Times;
use crate::maildir::scan::cursor::RecordedTimes;
use crate::maildir::scan::mailbox_path::{
    closed, is_begun, mail_in_root, presence, unread, vacant,
};
use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::maildir::write::transfer::identity;
use crate::model::MailboxName;
use crate::reconcile::{Cursor, Listed, News, Presence};
use crate::store::StoreError;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

impl MaildirStore {
    /// Returns the paths of the mailboxes that were listed last.
    pub fn mailbox_paths(&self) -> BTreeMap<MailboxName, PathBuf> {
        self.paths.clone()
    }

    /// Drops the caches of a cycle.
    pub fn rest(&mut self) {
        self.scans = BTreeMap::new();
        self.glimpses = BTreeMap::new();
        self.there = BTreeMap::new();
        self.ahead = None;
    }

    pub(in crate::maildir) fn listed(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        // An older background scan is outdated.
        self.ahead = None;
        let opened = self.root().open(&self.claim)?;
        let mut found = Vec::new();
        if self.disk.is_dir(&self.root) {
            let known = KnownMailboxes::of(left, self.layout);
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
            let surely = left
                .get(&name)
                .and_then(RecordedTimes::read)
                .is_some_and(|left| {
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
                // A cut run of ours was creating this mailbox; it is created again.
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
        known: &KnownMailboxes<'_>,
        found: &mut Vec<FoundMailbox>,
    ) -> io::Result<()> {
        if above.is_empty() {
            found.extend(self.root_itself(directory));
        }
        let (mut below, mut markers) = (Vec::new(), Vec::new());
        self.disk.list(directory, &mut |name, kind| {
            if name == ".mailtide" || name == "mailtide" {
                markers.push(name.to_owned());
            }
            let inner = ["cur", "new", "tmp", self.layout.own()];
            let inner = inner.iter().any(|own| name == *own);
            let dotted = name.as_encoded_bytes().first() == Some(&b'.');
            if !inner && dotted == (self.layout == Layout::MaildirPlusPlus) {
                below.push((name.to_owned(), kind));
            }
        })?;
        for own in markers.iter().filter(|_| directory != self.root) {
            let refused = self.root().refuse_marker(directory, own);
            refused.map_err(io::Error::other)?;
        }
        for (name, kind) in below {
            let text = name.to_string_lossy().into_owned();
            let components = self.components(above, &text, known);
            let path = directory.join(&name);
            let own = components.clone().and_then(MailboxName::new);
            if kind != Kind::Directory {
                let closed = own.and_then(|own| {
                    let closed = closed(&*self.disk, &path, kind, known.reaches(&own));
                    closed.map(|closed| (own, path, closed))
                });
                found.extend(closed);
                continue;
            }
            let Some(name) = own else {
                let what = format!("{}: this name cannot be a mailbox", path.display());
                let shown = MailboxName::new(vec![text]).unwrap_or_else(MailboxName::inbox);
                found.push((shown, path, Presence::Unknown(what)));
                continue;
            };
            let own = presence(&*self.disk, &path);
            let before = found.len();
            let below = match self.layout {
                Layout::Nested => self.walk(&path, &components.unwrap_or_default(), known, found),
                Layout::MaildirPlusPlus => Ok(()),
            };
            // The marker of another account: nothing is done.
            if let Err(error) = &below
                && error.kind() == io::ErrorKind::Other
            {
                return below;
            }
            // A mailbox that is new below may have been made in an empty mount point.
            let mut below_now = found.iter().skip(before);
            let none_below = !below_now.any(|(name, ..)| known.looked(name));
            let own = match (own, below) {
                (Some(Presence::Mailbox), _) => Some(Presence::Mailbox),
                (_, Err(error)) => Some(unread(&path, &error)),
                (None, Ok(())) if none_below && known.looked(&name) => Some(vacant(&path)),
                (own, Ok(())) => own,
            };
            found.extend(own.map(|own| (name, path, own)));
        }
        Ok(())
    }
}

impl MaildirStore {
    /// The root, if it is a mailbox or contains messages.
    fn root_itself(&self, root: &Path) -> Option<FoundMailbox> {
        let (name, presence) = match self.layout {
            // No directory below the root has exactly this name.
            Layout::Nested => (
                MailboxName::new(vec![".".into()])?,
                mail_in_root(&*self.disk, root)?,
            ),
            Layout::MaildirPlusPlus => (MailboxName::inbox(), presence(&*self.disk, root)?),
        };
        Some((name, root.into(), presence))
    }

    /// Returns the components of the mailbox in a directory of this name; `None`: it cannot be a
    /// mailbox.
    fn components(
        &self,
        above: &[String],
        text: &str,
        known: &KnownMailboxes<'_>,
    ) -> Option<Vec<String>> {
        let decode = |part: &str| {
            let long = known.names.parts.get(part).cloned();
            let own = || self.layout.decode(std::ffi::OsStr::new(part));
            let noted = || self.noted(known).parts.get(part).cloned();
            long.or_else(own).or_else(noted)
        };
        match self.layout {
            Layout::Nested => {
                let own = decode(text)?;
                Some(above.iter().cloned().chain([own]).collect())
            }
            Layout::MaildirPlusPlus => {
                let own = known.names.flat.get(text);
                let noted = || {
                    let cut = text.contains("%~");
                    cut.then(|| self.noted(known).flat.get(text)).flatten()
                };
                match own.or_else(noted) {
                    Some(name) => Some(name.components().to_vec()),
                    None => text.strip_prefix('.')?.split('.').map(decode).collect(),
                }
            }
        }
    }

    fn noted<'k>(&self, known: &'k KnownMailboxes<'_>) -> &'k Directories {
        let read = || Directories::of(self.long_names().iter(), self.layout);
        known.noted.get_or_init(read)
    }
}

/// A mailbox, or another object in its place: path and kind.
type FoundMailbox = (MailboxName, PathBuf, Presence);

/// The mailboxes of the base.
struct KnownMailboxes<'a> {
    left: &'a BTreeMap<MailboxName, Cursor>,
    names: Directories,
    /// Names that are too long for a directory, as recorded.
    noted: OnceCell<Directories>,
}

/// Names by directory name, as these cannot always be decoded.
struct Directories {
    /// Single components.
    parts: BTreeMap<String, String>,
    /// Names of several components in one directory name.
    flat: BTreeMap<String, MailboxName>,
}

impl Directories {
    fn of<'n>(names: impl Iterator<Item = &'n MailboxName> + Clone, layout: Layout) -> Directories {
        let parts = names.clone().flat_map(|name| name.components());
        let parts = parts.map(|part| (layout.encode(part), part.clone()));
        let is_flat = layout == Layout::MaildirPlusPlus;
        let path = |name: &MailboxName| layout.path(name).to_str().map(str::to_owned);
        let flat = names.filter(|_| is_flat);
        let flat = flat.filter_map(|name| Some((path(name)?, name.clone())));
        Directories {
            parts: parts.collect(),
            flat: flat.filter(|(path, _)| path.contains("%~")).collect(),
        }
    }
}

impl KnownMailboxes<'_> {
    fn of(left: &BTreeMap<MailboxName, Cursor>, layout: Layout) -> KnownMailboxes<'_> {
        KnownMailboxes {
            left,
            names: Directories::of(left.keys(), layout),
            noted: OnceCell::new(),
        }
    }

    /// Whether a mailbox has this name or is below it.
    fn reaches(&self, name: &MailboxName) -> bool {
        let first = self.left.range(name..).next();
        first.is_some_and(|(one, _)| one == name || one.below(name).is_some())
    }

    /// Whether a mailbox has this name and was scanned before.
    fn looked(&self, name: &MailboxName) -> bool {
        let left = self.left.get(name);
        left.is_some_and(|left| *left != Cursor::default())
    }
}
