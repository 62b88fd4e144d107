//! Snapshots of mailboxes on disk.

use crate::maildir::format::file_name;
use crate::maildir::format::keywords::{Keywords, masks};
use crate::maildir::fs::{Kind, PathMetadata};
use crate::maildir::scan::cursor::RecordedTimes;
use crate::maildir::scan::prefetch::Prefetcher;
use crate::maildir::scan::{Entry, ScanObserver, ScanPass, Subdir, Times, info, pass_over};
use crate::maildir::store::MaildirStore;
use crate::maildir::write::flags::failed;
use crate::model::{MailboxBase, MailboxName, MaildirId, Pair, Recorded, Struck, Unlike, Weight};
use crate::reconcile::{Coverage, Cursor, Look};
use crate::store::{Depth, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

impl MaildirStore {
    /// Begins to scan these mailboxes in the background, in this order.
    pub(in crate::maildir) fn read_ahead(&mut self, next: &[(MailboxName, Depth)]) {
        self.ahead = None;
        let Some(disk) = self.disk.apart().filter(|_| !next.is_empty()) else {
            return;
        };
        let paths = next.iter().map(|(name, depth)| (self.path(name), *depth));
        let read = move |mailbox: &Path, depth, show: &mut ScanObserver<'_>| {
            let times = Times::of(&*disk, mailbox)?;
            if let Some(rest) = times.rest(disk.now()) {
                std::thread::sleep(rest);
            }
            pass_over(&*disk, mailbox, depth, show)
        };
        let begun = Prefetcher::begin(paths.collect(), read);
        self.ahead = begun.map(|ahead| (ahead, self.unsure.changes()));
    }

    /// Shows the content of a mailbox, by the background scan or a new one.
    pub(in crate::maildir) fn pass(
        &mut self,
        mailbox: &Path,
        depth: Depth,
        show: &mut ScanObserver<'_>,
    ) -> io::Result<ScanPass> {
        let now = self.unsure.changes();
        self.ahead = self.ahead.take().filter(|(_, then)| *then == now);
        let ahead = self.ahead.as_mut();
        match ahead.and_then(|(ahead, _)| ahead.show(mailbox, depth, show)) {
            Some(pass) => pass,
            None => pass_over(&*self.disk, mailbox, depth, show),
        }
    }

    /// Returns the snapshot of a mailbox whose timestamps equal the cursor.
    pub(in crate::maildir) fn unchanged_since(
        &self,
        mailbox: &MailboxName,
        cursor: &Cursor,
    ) -> Result<Option<Look<MaildirId>>, StoreError> {
        let mailbox = self.directory(mailbox)?;
        let io = |error: io::Error| failed(&mailbox, &error);
        let keywords = Keywords::load(&*self.disk, &mailbox).map_err(io)?;
        let now = Times::of(&*self.disk, &mailbox).map_err(io)?;
        let left = RecordedTimes::read(cursor).filter(|left| left.surely(&now));
        Ok(left.map(|left| {
            let mut look = Look::unchanged(None, left.write());
            (look.sees, look.stores) = masks(&keywords, &BTreeSet::new());
            look.letters = keywords.letters();
            look
        }))
    }

    pub(in crate::maildir) fn look_at(
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
        look.letters = keywords.letters();
        look.remarks = scan.remarks.clone();
        let pairs: HashMap<&MaildirId, &Pair> =
            base.pairs.iter().map(|pair| (&pair.file, pair)).collect();
        for (id, other) in &scan.obscured {
            // Other directories are ignored, unless a message had this name.
            if other.kind == Kind::Directory && !pairs.contains_key(id) {
                continue;
            }
            if other.kind == Kind::Directory {
                look.remarks.push(other.remark.clone());
            }
            look.obscured.insert(id.clone());
        }
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
            note_letters(&mut look, id, entry.info(), pair.is_none());
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

    /// Scans a mailbox for differences from the recorded files, and stores nothing else.
    pub(in crate::maildir) fn look_beside(
        &mut self,
        name: &MailboxName,
        mut recorded: Recorded,
        cursor: Option<&Cursor>,
        depth: Depth,
    ) -> Result<Option<(Look<MaildirId>, Unlike)>, StoreError> {
        let mailbox = self.directory(name)?;
        let io = |error: io::Error| failed(&mailbox, &error);
        let keywords = Keywords::load(&*self.disk, &mailbox).map_err(io)?;
        self.forget_scan(name);
        let mut look = Look::unchanged(None, Cursor::default());
        look.letters = keywords.letters();
        let (mut letters, mut odd) = (BTreeSet::new(), false);
        let (mut glimpse, mut new) = (BTreeMap::new(), Vec::new());
        let mut show =
            |sub: Subdir, (base, suffix): (&[u8], &[u8]), kind: Kind, told: Option<Weight>| {
                if odd || kind != Kind::File {
                    odd = true;
                    return;
                }
                let id = || MaildirId::new(base);
                let entry = || Entry {
                    sub,
                    suffix: suffix.into(),
                };
                let info = info(suffix);
                letters.extend(info.iter().filter(|byte| byte.is_ascii_lowercase()));
                let flags = file_name::flags(info, |letter| keywords.name(letter));
                let weight = (depth == Depth::Everything).then(|| told.unwrap_or(Weight::NOTHING));
                let struck = recorded.strike(base, &flags, weight);
                // An empty file is broken, also if it was recorded.
                odd = struck == Struck::Twice || weight.is_some_and(|weight| weight.size == 0);
                if struck == Struck::Touched {
                    odd |= glimpse.insert(id(), entry()).is_some();
                } else if struck != Struck::Same {
                    new.extend((struck == Struck::New).then(id));
                    odd |= weight.is_some() || glimpse.insert(id(), entry()).is_some();
                    note_letters(&mut look, &id(), info, struck == Struck::New);
                    look.seen.insert(id(), Some(flags));
                }
            };
        let pass = self.pass(&mailbox, depth, &mut show).map_err(io)?;
        let unlike = recorded.unlike();
        odd |= depth == Depth::Everything && !unlike.is_empty();
        if odd || !pass.is_stable() {
            return Ok(None);
        }
        for id in new {
            let about = glimpse
                .get(&id)
                .map(|entry| self.disk.about(&entry.path(&mailbox, &id)));
            // It was renamed in between: a complete snapshot is needed.
            let Some(Ok(about)) = about else {
                return Ok(None);
            };
            inspect(&mut look, Ok(about), &id, None);
            let origin = file_name::origin(&id);
            look.origins.extend(origin.map(|origin| (id, origin)));
        }
        look.cursor = left_at(cursor, pass.times, pass.at);
        (look.sees, look.stores) = masks(&keywords, &letters);
        self.glimpses.insert(name.clone(), glimpse);
        Ok(Some((look, unlike)))
    }
}

/// Returns the cursor for a snapshot that began with these timestamps.
fn left_at(cursor: Option<&Cursor>, times: Times, at: i64) -> Cursor {
    let fresh = RecordedTimes { times, at };
    // An equivalent cursor is kept: with a timestamp in the future none is certain.
    let says_less = |left: &RecordedTimes| left.times != times || fresh.surely(&fresh.times);
    let same = cursor
        .and_then(RecordedTimes::read)
        .filter(|left| left.surely(&times) || !says_less(left));
    same.unwrap_or(fresh).write()
}

/// Collects the letters of a new file; of a known one, whether it has letters without a meaning.
fn note_letters(look: &mut Look<MaildirId>, id: &MaildirId, info: &[u8], new: bool) {
    let letters = file_name::keyword_letters(info);
    if letters.is_empty() {
        return;
    }
    match new {
        true => drop(look.carried.insert(id.clone(), letters)),
        false if !look.letters.name_all(&letters) => drop(look.vague.insert(id.clone())),
        false => {}
    }
    if file_name::is_full(info) {
        look.cut.insert(id.clone());
    }
}

/// Sorts files by content: empty ones are broken, those of another size were edited, touched ones
/// may have been.
fn inspect(
    look: &mut Look<MaildirId>,
    about: io::Result<PathMetadata>,
    id: &MaildirId,
    pair: Option<&Pair>,
) {
    match about {
        Ok(meta) if meta.size == 0 => drop(look.broken.insert(id.clone())),
        Ok(meta) if pair.is_none() => drop(look.sizes.insert(id.clone(), meta.size)),
        Ok(meta) if pair.is_some_and(|pair| pair.size != meta.size) => {
            look.edited.insert(id.clone());
        }
        Ok(meta) if pair.is_some_and(|pair| pair.stamp != Some(meta.stamp())) => {
            look.touched.insert(id.clone());
        }
        Ok(_) => {}
        // It was renamed since the scan; unknown until the next snapshot.
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
#[path = "snapshot_tests.rs"]
mod tests;
