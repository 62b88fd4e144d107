//! Keeps the search index of an account up after cycles, on a thread of its own that no sync waits
//! for: one message at a time, in little memory.

use crate::search::{
    IndexDepth, IndexError, MailIndex, MailboxDirectory, Progress, bring_up, index_path,
};
use crate::state::{Lock, StateError};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// The thread; ended with this.
pub struct Indexer {
    wakes: Sender<Vec<MailboxDirectory>>,
    stop: Arc<AtomicBool>,
}

impl Indexer {
    /// For the account with this state database. `None`: there is no thread to be had.
    pub fn start(account: &str, state: &Path) -> Option<Indexer> {
        let (wakes, receive) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, path) = (stop.clone(), index_path(state));
        let span = tracing::info_span!("index", account = %account);
        let thread = std::thread::Builder::new().name(format!("index {account}"));
        let started = thread.spawn(move || span.in_scope(|| serve(&receive, &path, &asked)));
        match started {
            Ok(_) => Some(Indexer { wakes, stop }),
            Err(error) => {
                tracing::warn!(%account, %error, "the search index is not kept up");
                None
            }
        }
    }

    /// Something may have changed; the account has these mailboxes now.
    pub fn update(&self, places: Vec<MailboxDirectory>) {
        // The thread ends only with this.
        let _there = self.wakes.send(places);
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn serve(wakes: &Receiver<Vec<MailboxDirectory>>, path: &Path, stop: &AtomicBool) {
    // What an account waits for comes first.
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "as important as everything else");
    }
    let mut said = None;
    while let Ok(mut places) = wakes.recv() {
        if let Some(last) = wakes.try_iter().last() {
            places = last;
        }
        match keep_up(path, &places, IndexDepth::Changes, &mut |_| {
            stop.load(Ordering::Relaxed)
        }) {
            Ok(progress) if progress != Progress::default() => {
                let Progress {
                    added,
                    removed,
                    renamed,
                    ..
                } = progress;
                tracing::debug!(added, removed, renamed, "indexed");
                super::system::malloc_trim::trim_heap();
                said = None;
            }
            Ok(_) => said = None,
            Err(error) => {
                let text = error.to_string();
                if said.as_ref() != Some(&text) {
                    tracing::warn!(%error, "the search index is behind");
                }
                said = Some(text);
            }
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Why the index is not kept up.
#[derive(Debug, thiserror::Error)]
pub enum KeepUpError {
    /// Another process keeps it up just now, or its lock cannot be had.
    #[error(transparent)]
    Lock(#[from] StateError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Brings the index in this file up to the mailboxes, one process at a time. One that turns out to
/// be damaged is made anew.
pub fn keep_up(
    path: &Path,
    places: &[MailboxDirectory],
    depth: IndexDepth,
    halt: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Progress, KeepUpError> {
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(|source| IndexError::File {
            path: directory.to_owned(),
            source,
        })?;
    }
    let _held = Lock::take(&lock_path(path))?;
    let mut index = MailIndex::open(path)?;
    match bring_up(&mut index, places, depth, halt) {
        Err(error) if error.is_damage() => {
            tracing::warn!(%error, "the search index is made anew");
            drop(index);
            MailIndex::remove(path)?;
            Ok(bring_up(&mut MailIndex::open(path)?, places, depth, halt)?)
        }
        other => Ok(other?),
    }
}

fn lock_path(index: &Path) -> PathBuf {
    index.with_extension("index-lock")
}
