//! What a mailbox on disk looks like.

use super::change::failed;
use super::cursor::Left;
use super::disk::About;
use super::file_name;
use super::keywords::{Keywords, masks};
use super::scan::{Entry, Times};
use super::store::MaildirStore;
use crate::model::{MailboxBase, MailboxName, MaildirId, Pair};
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
        let fresh = Left {
            times: scan.times,
            at: scan.at,
        };
        // A cursor that says no less is kept: with a stamp in the future, none is sure.
        let says_less = |left: &Left| left.times != scan.times || fresh.surely(&fresh.times);
        let same = cursor
            .and_then(Left::read)
            .filter(|left| left.surely(&scan.times) || !says_less(left));
        look.cursor = same.unwrap_or(fresh).write();
        Ok(look)
    }
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
    use super::*;

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
