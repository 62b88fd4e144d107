//! What a mailbox on disk looks like.

use super::change::failed;
use super::cursor::Left;
use super::disk::{About, Kind};
use super::file_name;
use super::keywords::{Keywords, masks};
use super::scan::{Entry, Sub, Times, pass_over};
use super::store::MaildirStore;
use crate::model::{MailboxBase, MailboxName, MaildirId, Pair, Recorded};
use crate::reconcile::{Coverage, Cursor, Look};
use crate::store::{Depth, StoreError};
use std::collections::{BTreeSet, HashMap};
use std::io;

impl MaildirStore {
    /// The look at a mailbox whose time stamps are those of the cursor.
    pub(super) fn unchanged_since(
        &self,
        mailbox: &MailboxName,
        cursor: &Cursor,
    ) -> Result<Option<Look<MaildirId>>, StoreError> {
        let mailbox = self.directory(mailbox)?;
        let io = |error: io::Error| failed(&mailbox, &error);
        let keywords = Keywords::load(&*self.disk, &mailbox).map_err(io)?;
        let now = Times::of(&*self.disk, &mailbox).map_err(io)?;
        let left = Left::read(cursor).filter(|left| left.surely(&now));
        Ok(left.map(|left| {
            let mut look = Look::unchanged(None, left.write());
            (look.sees, look.stores) = masks(&keywords, &BTreeSet::new());
            look
        }))
    }

    pub(super) fn look_at(
        &mut self,
        base: &MailboxBase,
        cursor: Option<&Cursor>,
        depth: Depth,
    ) -> Result<Look<MaildirId>, StoreError> {
        if let (Some(cursor), Depth::Changes) = (cursor, depth)
            && let Some(look) = self.unchanged_since(&base.name, cursor)?
        {
            return Ok(look);
        }
        let mailbox = self.directory(&base.name)?;
        let keywords = Keywords::load(&*self.disk, &mailbox);
        let keywords = keywords.map_err(|error| failed(&mailbox, &error))?;
        let mut look = Look::unchanged(None, Cursor::default());
        self.forget_scan(&base.name);
        self.scan_of(&base.name)?;
        let lost = || StoreError::Bug("a scan was lost".into());
        let scan = self.scans.get(&base.name).ok_or_else(lost)?;
        (look.sees, look.stores) = masks(&keywords, &scan.letters());
        look.remarks = scan.remarks.clone();
        let pairs: HashMap<&MaildirId, &Pair> =
            base.pairs.iter().map(|pair| (&pair.file, pair)).collect();
        look.coverage = if scan.stable {
            Coverage::Complete
        } else {
            Coverage::Partial
        };
        let flags = |entry: &Entry| file_name::flags(entry.info(), |letter| keywords.name(letter));
        let entries = scan.entries.iter();
        look.seen = entries
            .map(|(id, entry)| (id.clone(), Some(flags(entry))))
            .collect();
        for (id, entry) in &scan.entries {
            let pair = pairs.get(id).copied();
            if pair.is_none() {
                look.origins
                    .extend(file_name::origin(id).map(|origin| (id.clone(), origin)));
            }
            if pair.is_none() || depth == Depth::Everything {
                let about = self.disk.about(&entry.path(&mailbox, id));
                inspect(&mut look, about, id, pair);
            }
        }
        look.cursor = left_at(cursor, scan.times, scan.at);
        Ok(look)
    }

    /// Looks whether a mailbox holds just what was recorded of it, and keeps nothing of what it
    /// sees.
    pub(super) fn look_for_just(
        &mut self,
        name: &MailboxName,
        mut recorded: Recorded,
        cursor: Option<&Cursor>,
        depth: Depth,
    ) -> Result<Option<Look<MaildirId>>, StoreError> {
        let mailbox = self.directory(name)?;
        let io = |error: io::Error| failed(&mailbox, &error);
        let keywords = Keywords::load(&*self.disk, &mailbox).map_err(io)?;
        self.forget_scan(name);
        let (mut letters, mut same) = (BTreeSet::new(), true);
        let mut strike = |sub: Sub, (base, suffix): (&[u8], &[u8]), kind: Kind| {
            if !same || kind == Kind::Other {
                same = false;
                return;
            }
            let entry = Entry {
                sub,
                suffix: suffix.into(),
            };
            letters.extend(entry.info().iter().filter(|byte| byte.is_ascii_lowercase()));
            let flags = file_name::flags(entry.info(), |letter| keywords.name(letter));
            let size = match depth {
                Depth::Changes => Ok(None),
                Depth::Everything => {
                    let path = entry.path(&mailbox, &MaildirId::new(base));
                    self.disk.about(&path).map(|about| Some(about.size))
                }
            };
            // An empty file is broken, whatever was recorded of it.
            let whole = size.ok().filter(|size| *size != Some(0));
            same = whole.is_some_and(|size| recorded.strike(base, &flags, size));
        };
        let pass = pass_over(&*self.disk, &mailbox, &mut strike).map_err(io)?;
        if !same || !recorded.is_empty() || !pass.is_stable() {
            return Ok(None);
        }
        let mut look = Look::unchanged(None, left_at(cursor, pass.times, pass.at));
        (look.sees, look.stores) = masks(&keywords, &letters);
        Ok(Some(look))
    }
}

/// Where a mailbox is left that had these stamps when a look at it began.
fn left_at(cursor: Option<&Cursor>, times: Times, at: i64) -> Cursor {
    let fresh = Left { times, at };
    // A cursor that says no less is kept: with a stamp in the future, none is sure.
    let says_less = |left: &Left| left.times != times || fresh.surely(&fresh.times);
    let same = cursor
        .and_then(Left::read)
        .filter(|left| left.surely(&times) || !says_less(left));
    same.unwrap_or(fresh).write()
}

/// Empty files are broken; files of another size than they had were edited.
fn inspect(
    look: &mut Look<MaildirId>,
    about: io::Result<About>,
    id: &MaildirId,
    pair: Option<&Pair>,
) {
    match about {
        Ok(meta) if meta.size == 0 => drop(look.broken.insert(id.clone())),
        Ok(meta) if pair.is_none() => drop(look.sizes.insert(id.clone(), meta.size)),
        Ok(meta) if pair.is_some_and(|pair| pair.size != meta.size) => {
            look.edited.insert(id.clone());
        }
        Ok(_) => {}
        // Renamed since the scan: it is looked at again with the next look. Until then nobody knows
        // what it is.
        Err(error) => {
            look.coverage = Coverage::Partial;
            if error.kind() != io::ErrorKind::NotFound {
                look.remarks
                    .push(format!("{id} cannot be looked at: {error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::{Disk, Kernel};
    use super::*;
    use crate::maildir::{Claim, Layout};
    use crate::model::{Flags, SystemFlag};
    use std::path::Path;

    /// Whether a mailbox of two messages, one of them flagged, is just that after a change.
    fn is_just(change: impl Fn(&Path), depth: Depth) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::Known("uuid".into());
        let mut store = MaildirStore::new(dir.path(), Layout::default(), claim);
        let inbox = MailboxName::inbox();
        store
            .create_all(std::slice::from_ref(&inbox))
            .remove(0)
            .unwrap();
        let mailbox = store.path(&inbox);
        std::fs::write(mailbox.join("new/1.x"), "one").unwrap();
        std::fs::write(mailbox.join("cur/2.x:2,F"), "two2").unwrap();
        change(&mailbox);
        // In the tick of the change nothing is sure.
        while Times::of(&Kernel, &mailbox).unwrap().blur(Kernel.now()) > 0 {}
        let mut recorded = Recorded::with_capacity(2);
        recorded.add(b"1.x", Flags::default(), 3);
        recorded.add(b"2.x", Flags::of(&[SystemFlag::Flagged]), 4);
        let looked = store.look_for_just(&inbox, recorded, None, depth);
        looked.unwrap().is_some()
    }

    #[test]
    fn a_mailbox_is_just_what_was_recorded_or_not() {
        let both = |change: &dyn Fn(&Path)| {
            [Depth::Changes, Depth::Everything].map(|depth| is_just(change, depth))
        };
        let write = |at: &'static str, what: &'static str| {
            move |mailbox: &Path| std::fs::write(mailbox.join(at), what).unwrap()
        };
        let rename = |from: &'static str, to: &'static str| {
            move |mailbox: &Path| std::fs::rename(mailbox.join(from), mailbox.join(to)).unwrap()
        };
        assert_eq!(both(&|_| ()), [true, true]);
        assert_eq!(both(&rename("new/1.x", "cur/1.x:2,")), [true, true]);
        assert_eq!(both(&rename("new/1.x", "cur/1.x:2,S")), [false, false]);
        assert_eq!(both(&rename("new/1.x", "new/3.x")), [false, false]);
        assert_eq!(both(&write("new/3.x", "three")), [false, false]);
        assert_eq!(both(&write("cur/1.x:2,", "one")), [false, false], "twice");
        assert_eq!(both(&write("new/1.x", "another")), [true, false]);
        assert_eq!(both(&write("new/1.x", "")), [true, false]);
        let gone = |mailbox: &Path| std::fs::remove_file(mailbox.join("new/1.x")).unwrap();
        assert_eq!(both(&gone), [false, false]);
        let link = |mailbox: &Path| {
            std::os::unix::fs::symlink("nowhere", mailbox.join("cur/link")).unwrap();
        };
        assert_eq!(both(&link), [false, false]);
    }

    #[test]
    fn what_cannot_be_looked_at_leaves_the_look_open() {
        let id = MaildirId::new("1.x");
        let remarks = |kind: io::ErrorKind| {
            let mut look = Look::unchanged(None, Cursor::default());
            look.coverage = Coverage::Complete;
            look.seen.insert(id.clone(), None);
            inspect(&mut look, Err(kind.into()), &id, None);
            assert_eq!(look.coverage, Coverage::Partial);
            look.remarks.len()
        };
        assert_eq!(remarks(io::ErrorKind::NotFound), 0, "it was renamed");
        assert_eq!(remarks(io::ErrorKind::PermissionDenied), 1);
    }
}
