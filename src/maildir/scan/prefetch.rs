//! Scans directories on a background thread while the engine waits for the server. A scan shows the
//! directory as of its start, so it is discarded after any local write.

use crate::maildir::fs::Kind;
use crate::maildir::scan::{ScanObserver, ScanPass, Subdir};
use crate::model::Weight;
use crate::store::Depth;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Parts of a scan that wait for the consumer; then the thread waits.
const ROOM: usize = 16;
/// Files in a part.
const FILES: usize = 1024;

/// The scan in the background.
#[derive(Debug)]
pub struct Prefetcher {
    next: VecDeque<(PathBuf, Depth)>,
    parts: Receiver<ScanEvent>,
}

/// A message from the thread.
#[derive(Debug)]
enum ScanEvent {
    Files(FileNames),
    End(io::Result<ScanPass>),
}

/// Files of a directory, with their names in one buffer.
#[derive(Debug, Default)]
struct FileNames {
    names: Vec<u8>,
    each: Vec<ListedFile>,
}

#[derive(Debug)]
struct ListedFile {
    sub: Subdir,
    base: usize,
    suffix: usize,
    kind: Kind,
    weight: Option<Weight>,
}

impl FileNames {
    fn add(
        &mut self,
        sub: Subdir,
        (base, suffix): (&[u8], &[u8]),
        kind: Kind,
        weight: Option<Weight>,
    ) {
        self.names.extend_from_slice(base);
        self.names.extend_from_slice(suffix);
        let (base, suffix) = (base.len(), suffix.len());
        self.each.push(ListedFile {
            sub,
            base,
            suffix,
            kind,
            weight,
        });
    }

    fn show(&self, show: &mut ScanObserver<'_>) {
        let mut names = self.names.as_slice();
        for file in &self.each {
            let (name, rest) = names.split_at(file.base + file.suffix);
            show(file.sub, name.split_at(file.base), file.kind, file.weight);
            names = rest;
        }
    }
}

impl Prefetcher {
    /// Begins to scan these mailboxes in this order by `read` (see `scan::pass_over`).
    /// `None`: no thread could be started.
    pub fn begin(
        mailboxes: Vec<(PathBuf, Depth)>,
        mut read: impl FnMut(&Path, Depth, &mut ScanObserver<'_>) -> io::Result<ScanPass>
        + Send
        + 'static,
    ) -> Option<Prefetcher> {
        let (send, parts) = sync_channel(ROOM);
        let next = mailboxes.iter().cloned().collect();
        let run = move || {
            for (mailbox, depth) in mailboxes {
                let read = |show: &mut ScanObserver<'_>| read(&mailbox, depth, show);
                if !pass_on(&send, read) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("directories".into());
        thread.spawn(run).ok()?;
        Some(Prefetcher { next, parts })
    }

    /// Shows the scan of a mailbox, and drops those announced before it. `None`: it was not
    /// scanned.
    pub fn show(
        &mut self,
        mailbox: &Path,
        depth: Depth,
        show: &mut ScanObserver<'_>,
    ) -> Option<io::Result<ScanPass>> {
        let is = |(next, to): &(PathBuf, Depth)| next == mailbox && *to == depth;
        let at = self.next.iter().position(is)?;
        for _ in self.next.drain(..at) {
            // Its errors concern nobody, as it was not requested.
            drop(one(&self.parts, &mut |_, _, _, _| ()));
        }
        self.next.pop_front();
        Some(one(&self.parts, show))
    }
}

/// Shows all parts of one mailbox.
fn one(parts: &Receiver<ScanEvent>, show: &mut ScanObserver<'_>) -> io::Result<ScanPass> {
    loop {
        match parts.recv() {
            Ok(ScanEvent::Files(files)) => files.show(show),
            Ok(ScanEvent::End(pass)) => return pass,
            Err(_) => return Err(io::Error::other("the thread that was to read it has ended")),
        }
    }
}

/// Scans one mailbox and sends its parts. `false`: the consumer is gone.
fn pass_on(
    parts: &SyncSender<ScanEvent>,
    read: impl FnOnce(&mut ScanObserver<'_>) -> io::Result<ScanPass>,
) -> bool {
    let (mut files, mut wanted) = (FileNames::default(), true);
    let pass = read(&mut |sub, name, kind, weight| {
        files.add(sub, name, kind, weight);
        if files.each.len() == FILES {
            let files = ScanEvent::Files(std::mem::take(&mut files));
            wanted = wanted && parts.send(files).is_ok();
        }
    });
    wanted
        && parts.send(ScanEvent::Files(files)).is_ok()
        && parts.send(ScanEvent::End(pass)).is_ok()
}

#[cfg(test)]
#[path = "prefetch_tests.rs"]
mod tests;
