//! Reading files. Links and odd files are never followed or opened; a file that changes while it
//! is read is given up.

use super::line_ends::ToWire;
use crate::model::{Excerpt, Fingerprint, MaildirId, Timestamp};
use crate::store::{About, Sink, StoreError};
use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Read at once.
const PIECE: usize = 64 << 10;
/// Files up to this size are read into memory once; larger ones are read twice, first to learn
/// their size on the wire.
const SMALL: u64 = 1 << 20;

/// An open message.
pub struct Message {
    file: File,
    meta: Metadata,
}

impl Message {
    /// Opens a regular file; anything else is an error.
    pub fn open(path: &Path) -> io::Result<Message> {
        // NONBLOCK: opening a FIFO must not hang. NOFOLLOW: a link is not a message.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        let custom = i32::try_from(flags).unwrap_or(0);
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(custom)
            .open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Message { file, meta })
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.meta.len()
    }

    /// Its mtime.
    pub fn date(&self) -> Timestamp {
        Timestamp(self.meta.mtime())
    }

    /// Its fingerprint, by header and the beginning of the text.
    pub fn fingerprint(mut self) -> io::Result<Fingerprint> {
        let (mut add, mut head, mut size) = (ToWire::default(), Vec::new(), 0_u64);
        let mut piece = vec![0; PIECE];
        let mut header_end = None;
        loop {
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            let mut out = Vec::with_capacity(count + count / 16);
            add.convert(piece.get(..count).unwrap_or_default(), &mut out);
            size += out.len() as u64;
            let enough = header_end.is_some_and(|end: usize| head.len() >= end + Fingerprint::TEXT);
            if !enough {
                head.extend_from_slice(&out);
                header_end = memchr::memmem::find(&head, b"\r\n\r\n").map(|at| at + 4);
            }
        }
        let (header, text) = head.split_at(header_end.unwrap_or(head.len()));
        Ok(Fingerprint::new(size, header, text))
    }

    /// Pieces of it.
    pub fn excerpt(mut self) -> io::Result<Excerpt> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let mut wire = Vec::with_capacity(bytes.len() + bytes.len() / 16);
        ToWire::default().convert(&bytes, &mut wire);
        Ok(Excerpt::of_wire(&wire))
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
        let size = match self.wire_size() {
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
        let after = self.file.metadata().ok();
        let stamp = |meta: &Metadata| (meta.len(), meta.mtime(), meta.mtime_nsec());
        let same = after.is_some_and(|after| stamp(&after) == stamp(&self.meta));
        Ok(if same && sent == size {
            Streamed::Whole
        } else {
            Streamed::Changed
        })
    }

    fn wire_size(&mut self) -> io::Result<u64> {
        let (mut add, mut piece, mut size) = (ToWire::default(), vec![0; PIECE], 0);
        let mut out = Vec::with_capacity(PIECE + PIECE / 8);
        loop {
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                io::Seek::rewind(&mut self.file)?;
                return Ok(size);
            }
            out.clear();
            add.convert(piece.get(..count).unwrap_or_default(), &mut out);
            size += out.len() as u64;
        }
    }
}

enum Streamed {
    Whole,
    Changed,
}
