//! Directories that are read before they are asked for, by another thread: while the disk shows the
//! next mailbox, the server is waited for, and what was recorded of this one is read. Whoever asks
//! does not notice. What is shown is as old as the reading, as if it had been asked for then; of
//! what we change ourselves it would know nothing, so it is not used after that.

use super::disk::Kind;
use super::scan::{Pass, Show, Sub};
use crate::model::Weight;
use crate::store::Depth;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// So many parts of a reading wait to be asked for; then the reader waits.
const ROOM: usize = 16;
/// Files in a part.
const FILES: usize = 1024;

/// What is being read ahead.
#[derive(Debug)]
pub struct Ahead {
    next: VecDeque<(PathBuf, Depth)>,
    parts: Receiver<Part>,
}

/// What comes from the reader.
#[derive(Debug)]
enum Part {
    Files(Files),
    End(io::Result<Pass>),
}

/// Files of a directory, with their names in one piece.
#[derive(Debug, Default)]
struct Files {
    names: Vec<u8>,
    each: Vec<File>,
}

#[derive(Debug)]
struct File {
    sub: Sub,
    base: usize,
    suffix: usize,
    kind: Kind,
    weight: Option<Weight>,
}

impl Files {
    fn add(
        &mut self,
        sub: Sub,
        (base, suffix): (&[u8], &[u8]),
        kind: Kind,
        weight: Option<Weight>,
    ) {
        self.names.extend_from_slice(base);
        self.names.extend_from_slice(suffix);
        let (base, suffix) = (base.len(), suffix.len());
        self.each.push(File {
            sub,
            base,
            suffix,
            kind,
            weight,
        });
    }

    fn show(&self, show: &mut Show<'_>) {
        let mut names = self.names.as_slice();
        for file in &self.each {
            let (name, rest) = names.split_at(file.base + file.suffix);
            show(file.sub, name.split_at(file.base), file.kind, file.weight);
            names = rest;
        }
    }
}

impl Ahead {
    /// Begins to read these mailboxes in this order, as `read` does (like
    /// [`super::scan::pass_over`]). `None`: there is no thread to be had.
    pub fn begin(
        mailboxes: Vec<(PathBuf, Depth)>,
        mut read: impl FnMut(&Path, Depth, &mut Show<'_>) -> io::Result<Pass> + Send + 'static,
    ) -> Option<Ahead> {
        let (send, parts) = sync_channel(ROOM);
        let next = mailboxes.iter().cloned().collect();
        let run = move || {
            for (mailbox, depth) in mailboxes {
                let read = |show: &mut Show<'_>| read(&mailbox, depth, show);
                if !pass_on(&send, read) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("directories".into());
        thread.spawn(run).ok()?;
        Some(Ahead { next, parts })
    }

    /// Shows what was read of a mailbox, and forgets what was to be asked for before it. `None`: it
    /// was not read.
    pub fn show(
        &mut self,
        mailbox: &Path,
        depth: Depth,
        show: &mut Show<'_>,
    ) -> Option<io::Result<Pass>> {
        let is = |(next, to): &(PathBuf, Depth)| next == mailbox && *to == depth;
        let at = self.next.iter().position(is)?;
        for _ in self.next.drain(..at) {
            // Nobody asked for it, so nobody wants to know of its errors.
            drop(one(&self.parts, &mut |_, _, _, _| ()));
        }
        self.next.pop_front();
        Some(one(&self.parts, show))
    }
}

/// Shows all of one mailbox.
fn one(parts: &Receiver<Part>, show: &mut Show<'_>) -> io::Result<Pass> {
    loop {
        match parts.recv() {
            Ok(Part::Files(files)) => files.show(show),
            Ok(Part::End(pass)) => return pass,
            Err(_) => return Err(io::Error::other("the thread that was to read it has ended")),
        }
    }
}

/// Reads one mailbox and passes on what is in it. `false`: nobody wants it any more.
fn pass_on(parts: &SyncSender<Part>, read: impl FnOnce(&mut Show<'_>) -> io::Result<Pass>) -> bool {
    let (mut files, mut wanted) = (Files::default(), true);
    let pass = read(&mut |sub, name, kind, weight| {
        files.add(sub, name, kind, weight);
        if files.each.len() == FILES {
            let files = Part::Files(std::mem::take(&mut files));
            wanted = wanted && parts.send(files).is_ok();
        }
    });
    wanted && parts.send(Part::Files(files)).is_ok() && parts.send(Part::End(pass)).is_ok()
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
