//! Brings the index up to the files: what is new is read and added, what is gone is taken out,
//! flags are noted. A batch is one transaction, so that it may be cut anywhere and goes on there.

use super::document::Document;
use super::files::{DirectoryListing, FiledMessage, MailboxDirectory, read, stamp};
use super::index::{IndexError, IndexedMessage, MailIndex, doing};
use crate::model::MaildirId;
use std::collections::BTreeMap;
use std::path::Path;

/// Messages of a batch,
const BATCH: usize = 500;
/// and bytes of it.
const BYTES: usize = 16 << 20;

/// Whether files are looked at that have not changed their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexDepth {
    /// Only mailboxes whose directories changed are listed.
    Changes,
    /// All mailboxes are listed, and each file is compared by inode, mtime and size.
    Everything,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages added, or read again because their file was written anew.
    pub added: usize,
    /// Messages taken out.
    pub removed: usize,
    /// Messages whose flags or place in the mailbox changed.
    pub renamed: usize,
    /// Messages that cannot be read.
    pub unread: usize,
    /// Mailboxes that cannot be listed.
    pub unlisted: usize,
}

/// What is asked after each message: whether to stop.
pub type StopCheck<'s> = dyn FnMut(&Progress) -> bool + 's;

/// Brings an index up to the files of these mailboxes. Of mailboxes that are not among them
/// everything is taken out.
pub fn bring_up(
    index: &mut MailIndex,
    places: &[MailboxDirectory],
    depth: IndexDepth,
    stop: &mut StopCheck<'_>,
) -> Result<Progress, IndexError> {
    let mut progress = Progress::default();
    let known = index.mailboxes()?;
    for (name, (id, _)) in &known {
        if !places.iter().any(|place| place.mailbox == *name) {
            forget(index, *id, &mut progress, stop)?;
        }
    }
    for place in places {
        if stop(&progress) {
            break;
        }
        let times = known.get(&place.mailbox).map(|(_, times)| *times);
        let same = depth == IndexDepth::Changes
            && times.is_some_and(|listed| place.times().is_ok_and(|now| now.still(listed)));
        if same {
            continue;
        }
        match place.list() {
            Ok(listing) => mailbox(index, place, &listing, depth, &mut progress, stop)?,
            Err(error) => {
                tracing::debug!(path = %place.directory.display(), %error, "not listed");
                progress.unlisted += 1;
            }
        }
    }
    Ok(progress)
}

/// Takes out a mailbox that is there no more.
fn forget(
    index: &mut MailIndex,
    id: i64,
    progress: &mut Progress,
    stop: &mut StopCheck<'_>,
) -> Result<(), IndexError> {
    let gone: Vec<IndexStep<'_>> = index
        .known(id)?
        .into_values()
        .map(IndexStep::TakeOut)
        .collect();
    if carry_out(index, None, gone, progress, stop)? {
        let done = index.db.execute("DELETE FROM mailbox WHERE id = ?1", [id]);
        done.map_err(doing("take a mailbox out"))?;
    }
    Ok(())
}

/// What is to be done about a message.
enum IndexStep<'l> {
    TakeOut(IndexedMessage),
    Rename(i64, &'l FiledMessage),
    Add(&'l MaildirId, &'l FiledMessage, Option<IndexedMessage>),
}

fn mailbox(
    index: &mut MailIndex,
    place: &MailboxDirectory,
    listing: &DirectoryListing,
    depth: IndexDepth,
    progress: &mut Progress,
    stop: &mut StopCheck<'_>,
) -> Result<(), IndexError> {
    let id = index.mailbox(&place.mailbox)?;
    let steps = steps(index.known(id)?, place, listing, depth);
    if carry_out(index, Some((id, place)), steps, progress, stop)? {
        index.note_times(id, listing.times)?;
    }
    Ok(())
}

fn steps<'l>(
    mut known: BTreeMap<MaildirId, IndexedMessage>,
    place: &MailboxDirectory,
    listing: &'l DirectoryListing,
    depth: IndexDepth,
) -> Vec<IndexStep<'l>> {
    let mut steps = Vec::new();
    for (base, filed) in &listing.files {
        let Some(before) = known.remove(base) else {
            steps.push(IndexStep::Add(base, filed, None));
            continue;
        };
        let path = || place.path(filed.sub, &filed.name);
        let written = depth == IndexDepth::Everything
            && stamp(&path()).is_ok_and(|stamp| stamp != before.stamp);
        if written {
            steps.push(IndexStep::Add(base, filed, Some(before)));
        } else if (before.sub, &before.name) != (filed.sub, &filed.name) {
            steps.push(IndexStep::Rename(before.id, filed));
        }
    }
    // What is gone goes first: it makes room.
    let gone = known.into_values().map(IndexStep::TakeOut);
    steps.splice(0..0, gone);
    steps
}

/// Carries steps out, batch by batch; `false`: it was stopped before the last.
fn carry_out(
    index: &mut MailIndex,
    place: Option<(i64, &MailboxDirectory)>,
    steps: Vec<IndexStep<'_>>,
    progress: &mut Progress,
    stop: &mut StopCheck<'_>,
) -> Result<bool, IndexError> {
    let mut steps = steps.into_iter().peekable();
    while steps.peek().is_some() {
        index
            .db
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(doing("begin"))?;
        let (mut count, mut bytes, mut go_on) = (0, 0, true);
        let done = loop {
            if count >= BATCH || bytes >= BYTES || !go_on {
                break Ok(());
            }
            let Some(step) = steps.next() else {
                break Ok(());
            };
            match one(index, place, step, progress) {
                Ok(read) => bytes += read,
                Err(error) => break Err(error),
            }
            count += 1;
            go_on = !stop(progress);
        };
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = index.db.execute_batch(end).map_err(doing("write"));
        done.and(ended)?;
        if !go_on {
            return Ok(steps.peek().is_none());
        }
    }
    Ok(true)
}

/// Carries one step out; answers with the bytes that were read for it.
fn one(
    index: &MailIndex,
    place: Option<(i64, &MailboxDirectory)>,
    step: IndexStep<'_>,
    progress: &mut Progress,
) -> Result<usize, IndexError> {
    match (step, place) {
        (IndexStep::TakeOut(known), _) => {
            progress.removed += 1;
            index.take_out(known.id)?;
        }
        (IndexStep::Rename(id, filed), _) => {
            progress.renamed += 1;
            index.rename(id, filed)?;
        }
        (IndexStep::Add(base, filed, before), Some((mailbox, place))) => {
            if let Some(before) = before {
                index.take_out(before.id)?;
            }
            return add(index, (mailbox, base), filed, place, progress);
        }
        (IndexStep::Add(..), None) => {}
    }
    Ok(0)
}

fn add(
    index: &MailIndex,
    at: (i64, &MaildirId),
    filed: &FiledMessage,
    place: &MailboxDirectory,
    progress: &mut Progress,
) -> Result<usize, IndexError> {
    let path = place.path(filed.sub, &filed.name);
    match read(&path, at.1) {
        Ok(contents) => {
            let document = Document::read(&contents.bytes);
            index.add(at, filed, &contents, &document)?;
            progress.added += 1;
            Ok(contents.bytes.len())
        }
        // It was renamed or removed meanwhile; the next listing shows that.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "not indexed");
            index.add_unread(at, filed, &error.to_string())?;
            progress.unread += 1;
            Ok(0)
        }
    }
}

/// Where the index of the account with this state database lies.
pub fn path(state: &Path) -> std::path::PathBuf {
    state.with_extension("index")
}
