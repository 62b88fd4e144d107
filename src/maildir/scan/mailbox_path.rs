//! The kind of object at the path of a mailbox. Links below the root are not followed: they lead
//! out of the tree or in circles, and their targets come and go.

use crate::maildir::fs::{Fs, Kind};
use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::model::MailboxName;
use crate::reconcile::Presence;
use crate::store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

const LINK: &str = "is a symbolic link; links below the Maildir are not followed, so this mailbox \
                    is left alone. Put the directory itself here, or mount it here \
                    (mount --bind), or leave the mailbox out with `mailboxes`";
const IN_THE_WAY: &str = "is no directory, so the mailbox is left alone until it is moved away";
const NO_CUR: &str = "has no cur: is its disk mounted, is it being copied? It is left alone until \
                      it is whole. If its files are lost, make an empty cur, and the mail comes \
                      again from the server";
const NO_NEW: &str = "has no new; make an empty one (mkdir) and the mailbox is synced again";
const VACANT: &str = "is there without cur and new: is its disk mounted? The mailbox is left \
                      alone. If you deleted it, delete this directory as well; if its mail shall \
                      come again from the server, make cur and new in it";
const ROOT: &str = "holds messages itself, where layout `nested` has no mailbox; set `layout = \
                    \"maildir++\"` if that is INBOX, or move them into one";

/// An object at a path.
#[derive(Debug)]
enum PathObject {
    Missing,
    Directory,
    /// Another object, with its kind.
    Odd(String),
}

fn part(disk: &dyn Fs, path: &Path) -> PathObject {
    match disk.about(path) {
        Ok(about) if about.kind == Kind::Directory => PathObject::Directory,
        Ok(_) => PathObject::Odd(format!(
            "{} is no directory (a link, a file?); the mailbox is left alone until that is a \
             directory again",
            path.display()
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => PathObject::Missing,
        Err(error) => PathObject::Odd(unreadable(path, &error)),
    }
}

/// Whether a directory is a mailbox, or why it is none; `None`: it contains none of the parts.
pub(in crate::maildir) fn presence(disk: &dyn Fs, directory: &Path) -> Option<Presence> {
    let half = |what: &str| Presence::Unknown(format!("{} {what}", directory.display()));
    let parts = ["cur", "new"].map(|name| part(disk, &directory.join(name)));
    match parts {
        [PathObject::Directory, PathObject::Directory] => Some(Presence::Mailbox),
        [PathObject::Missing, PathObject::Missing] => None,
        [PathObject::Odd(why), _] | [_, PathObject::Odd(why)] => Some(Presence::Unknown(why)),
        // F35: half a mailbox, as after half a deletion, copy or mount.
        [PathObject::Missing, PathObject::Directory] => Some(half(NO_CUR)),
        [PathObject::Directory, PathObject::Missing] => Some(half(NO_NEW)),
    }
}

/// Returns the text about an object with the name of a mailbox that is no directory; `None`: it is
/// unrelated to mailboxes. A link counts if it leads to mailboxes or nowhere.
pub(in crate::maildir) fn closed(
    disk: &dyn Fs,
    path: &Path,
    kind: Kind,
    known: bool,
) -> Option<Presence> {
    let told = |what: &str| Presence::Closed(format!("{} {what}", path.display()));
    let inside = disk.about(&path.join("cur")).map_err(|error| error.kind());
    if kind == Kind::File || inside.is_err_and(|kind| kind == io::ErrorKind::NotADirectory) {
        return known.then(|| told(IN_THE_WAY));
    }
    let counts = known || !disk.is_dir(path) || leads_to_mailboxes(disk, path);
    counts.then(|| told(LINK))
}

/// Whether the directory behind a link is a mailbox or contains one.
fn leads_to_mailboxes(disk: &dyn Fs, link: &Path) -> bool {
    let mut below = vec![link.to_owned()];
    let listed = disk.list(link, &mut |name, kind| {
        if kind == Kind::Directory {
            below.push(link.join(name));
        }
    });
    // An unreadable object may be a mailbox.
    listed.is_err() || below.iter().any(|path| presence(disk, path).is_some())
}

/// A mailbox's directory without its parts.
pub(in crate::maildir) fn vacant(directory: &Path) -> Presence {
    Presence::Vacant(format!("{} {VACANT}", directory.display()))
}

/// An unreadable directory.
pub(in crate::maildir) fn unread(directory: &Path, error: &io::Error) -> Presence {
    Presence::Closed(unreadable(directory, error))
}

/// Returns the text about messages in the root, if it is not a mailbox.
pub(in crate::maildir) fn mail_in_root(disk: &dyn Fs, root: &Path) -> Option<Presence> {
    presence(disk, root)?;
    let mut any = false;
    for sub in ["cur", "new"] {
        let listed = disk.list(&root.join(sub), &mut |name, kind| {
            let hidden = name.as_encoded_bytes().first() == Some(&b'.');
            any |= !hidden && kind != Kind::Directory;
        });
        any |= listed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
    }
    any.then(|| Presence::Unknown(format!("{} {ROOT}", root.display())))
}

/// Whether a mailbox is being created: only `cur` is missing.
pub(in crate::maildir) fn is_begun(disk: &dyn Fs, directory: &Path) -> io::Result<bool> {
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

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!(
        "{} cannot be read: {error}; the mailbox is left alone until it can",
        path.display()
    )
}

impl MaildirStore {
    /// Whether the mailbox is absent. A link or file on its path, or in place of one of its parts,
    /// is not absence.
    pub(in crate::maildir) fn is_absent(&self, name: &MailboxName) -> Result<bool, StoreError> {
        let path = self.root.join(self.layout.path(name));
        self.is_clear(&path)?;
        match self.disk.about(&path.join("cur")) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Fails if an object on the path from the root is not a directory.
    pub(in crate::maildir) fn is_clear(&self, path: &Path) -> Result<(), StoreError> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let mut at: PathBuf = self.root.clone();
        for part in below.components() {
            at.push(part);
            match self.disk.about(&at) {
                Ok(about) if about.kind == Kind::Directory => {}
                Ok(about) => {
                    let what = match about.kind {
                        Kind::Other => LINK,
                        _ => IN_THE_WAY,
                    };
                    return Err(StoreError::Mailbox(format!("{} {what}", at.display())));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed(&at, &error)),
            }
        }
        Ok(())
    }

    /// Whether a directory, not a link, contains a mailbox.
    pub(in crate::maildir) fn holds_mailbox(&self, path: &Path) -> bool {
        let is_dir = |path: &Path| matches!(part(&*self.disk, path), PathObject::Directory);
        (path == self.root || is_dir(path)) && is_dir(&path.join("cur"))
    }
}

#[cfg(test)]
#[path = "mailbox_path_tests.rs"]
mod tests;
