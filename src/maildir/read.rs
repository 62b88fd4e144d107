//! Reads files. Links and special files are never opened; a file that changes while it is read is
//! given up.

use crate::maildir::format::line_ends::ToWire;
use crate::maildir::fs::{Fs, Input, PathMetadata};
use crate::maildir::scan::tells;
use crate::model::{Bare, Excerpt, Fingerprint, MaildirId, Stamp, Timestamp};
use crate::store::{About, Sink, StoreError};
use std::io;
use std::path::Path;

/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// Files up to this size are buffered; larger ones are read twice, first for their wire size.
const SMALL: u64 = 1 << 20;

/// An open message.
pub struct MessageFile {
    file: Box<dyn Input>,
    meta: PathMetadata,
}

impl MessageFile {
    /// Opens a regular file; another type is an error.
    pub fn open(disk: &dyn Fs, path: &Path) -> io::Result<MessageFile> {
        let file = disk.open(path)?;
        let meta = file.about()?;
        Ok(MessageFile { file, meta })
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.meta.size
    }

    /// Returns the stamp as of opening (`now`: ns since 1970); `None`: a change in the same tick
    /// would not alter it.
    pub fn stamp(&self, now: i64) -> Option<Stamp> {
        let last = [self.meta.modified, self.meta.changed];
        let old = last.into_iter().all(|at| tells(at, now));
        old.then(|| self.meta.stamp())
    }

    /// Its mtime.
    pub fn date(&self) -> Timestamp {
        Timestamp(self.meta.modified_seconds())
    }

    /// Returns its fingerprint, of header and start of the text.
    pub fn fingerprint(mut self) -> io::Result<Fingerprint> {
        let (mut head, mut size, mut header_end) = (Vec::new(), 0_u64, None);
        self.wire(false, |bytes| {
            size += bytes.len() as u64;
            let enough = header_end.is_some_and(|end: usize| head.len() >= end + Fingerprint::TEXT);
            if !enough {
                head.extend_from_slice(bytes);
                header_end = memchr::memmem::find(&head, b"\r\n\r\n").map(|at| at + 4);
            }
        })?;
        let (header, text) = head.split_at(header_end.unwrap_or(head.len()));
        Ok(Fingerprint::new(size, header, text))
    }

    /// Returns pieces of it; only these are buffered. If only the file without the header lines of
    /// mail readers has the size `wanted`, the pieces are of that.
    pub fn excerpt(mut self, wanted: Option<u64>) -> io::Result<Excerpt> {
        let mut size = self.wire_size(false)?;
        let mut bare = false;
        if wanted.is_some_and(|wanted| wanted < size) {
            let less = self.wire_size(true)?;
            bare = wanted == Some(less);
            size = if bare { less } else { size };
        }
        let ranges = Excerpt::ranges(size);
        let mut pieces = vec![Vec::new(); ranges.len()];
        let mut at = 0;
        self.wire(bare, |bytes| {
            for ((from, length), piece) in ranges.iter().zip(&mut pieces) {
                let skip = usize::try_from(from.saturating_sub(at)).unwrap_or(usize::MAX);
                let end = (from + length).saturating_sub(at);
                let end = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
                piece.extend_from_slice(bytes.get(skip..end).unwrap_or_default());
            }
            at += bytes.len() as u64;
        })?;
        let pieces = pieces.iter().map(Vec::as_slice);
        Ok(Excerpt::of_pieces(size, pieces))
    }

    /// Returns its bytes without the header lines of mail readers; `None` if it has none.
    pub fn bare_size(mut self) -> io::Result<Option<u64>> {
        let (mut bare, mut piece) = (Bare::default(), vec![0; PIECE]);
        let (mut read, mut left) = (0, 0);
        while !bare.is_over() {
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                bare.end(&mut |part| left += part.len() as u64);
                break;
            }
            read += count as u64;
            let part = piece.get(..count).unwrap_or_default();
            bare.pass(part, &mut |part| left += part.len() as u64);
        }
        Ok((left < read).then(|| self.size() - (read - left)))
    }

    fn wire_size(&mut self, bare: bool) -> io::Result<u64> {
        let mut size = 0;
        self.wire(bare, |bytes| size += bytes.len() as u64)?;
        Ok(size)
    }

    /// Passes its wire bytes on, then seeks to its start.
    fn wire(&mut self, bare: bool, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let (mut add, mut less) = (ToWire::default(), bare.then(Bare::default));
        let (mut piece, mut out) = (vec![0; PIECE], Vec::new());
        loop {
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                if let Some(less) = less {
                    less.end(&mut take);
                }
                return self.file.rewind();
            }
            out.clear();
            add.convert(piece.get(..count).unwrap_or_default(), &mut out);
            match &mut less {
                Some(less) => less.pass(&out, &mut take),
                None => take(&out),
            }
        }
    }

    /// Sends it into a sink.
    pub async fn send<S: Sink<MaildirId>>(
        mut self,
        path: &Path,
        about: About<MaildirId>,
        sink: &mut S,
    ) -> Result<(), StoreError> {
        if self.size() <= SMALL {
            let mut bytes = Vec::new();
            if let Err(error) = self.file.read_to_end(&mut bytes) {
                return sink
                    .fail(about.id, format!("{}: {error}", path.display()))
                    .await;
            }
            let mut wire = Vec::with_capacity(bytes.len() + bytes.len() / 16);
            ToWire::default().convert(&bytes, &mut wire);
            sink.begin(wire.len() as u64, Some(&about)).await?;
            sink.chunk(&wire).await?;
            return sink.end(about).await;
        }
        let size = match self.wire_size(false) {
            Ok(size) => size,
            Err(error) => {
                return sink
                    .fail(about.id, format!("{}: {error}", path.display()))
                    .await;
            }
        };
        sink.begin(size, Some(&about)).await?;
        match self.stream(size, sink).await? {
            Streamed::Whole => sink.end(about).await,
            Streamed::Changed => sink.abandon().await,
        }
    }

    async fn stream<S: Sink<MaildirId>>(
        &mut self,
        size: u64,
        sink: &mut S,
    ) -> Result<Streamed, StoreError> {
        let (mut add, mut piece, mut sent) = (ToWire::default(), vec![0; PIECE], 0);
        let mut out = Vec::with_capacity(PIECE + PIECE / 8);
        loop {
            let Ok(count) = self.file.read(&mut piece) else {
                return Ok(Streamed::Changed);
            };
            if count == 0 {
                break;
            }
            out.clear();
            add.convert(piece.get(..count).unwrap_or_default(), &mut out);
            sent += out.len() as u64;
            if sent > size {
                return Ok(Streamed::Changed);
            }
            sink.chunk(&out).await?;
        }
        let after = self.file.about().ok();
        let stamp = |meta: &PathMetadata| (meta.size, meta.modified);
        let same = after.is_some_and(|after| stamp(&after) == stamp(&self.meta));
        Ok(if same && sent == size {
            Streamed::Whole
        } else {
            Streamed::Changed
        })
    }
}

enum Streamed {
    Whole,
    Changed,
}
