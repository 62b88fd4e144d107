//! The bytes of messages on their way: from a file into a mailbox, from the server into quarantine.

use crate::maildir::pieces;
use crate::model::{MaildirId, Uid};
use crate::store::{About, Delivered, Delivery, Receiver, Sink, StoreError};
use std::io;
use std::path::Path;

/// Gives a file to a receiver; answers with the name of the message, if it is told.
pub(super) async fn deliver<R: Receiver>(
    mut receiver: R,
    file: &Path,
    delivery: Delivery,
) -> Result<Option<R::Id>, StoreError> {
    let mut bytes = Vec::new();
    let mut take = |piece: &[u8]| -> io::Result<()> {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let read = pieces(file, &mut take);
    read.map_err(|error| StoreError::NeedsUser(format!("{}: {error}", file.display())))?;
    let wire = wire(&bytes);
    receiver.begin(wire.len() as u64, Some(&delivery)).await?;
    receiver.chunk(&wire).await?;
    receiver.end(delivery).await?;
    match receiver.finish().await?.into_iter().next() {
        Some((_, Delivered::Stored { id, .. })) => Ok(id),
        Some((_, Delivered::Refused(why))) => Err(StoreError::Mailbox(why)),
        Some((_, Delivered::Unanswered(error))) => Err(error),
        None => Err(StoreError::Bug("nothing became of a message".into())),
    }
}

/// With CRLF line ends.
fn wire(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    let mut before = 0;
    for byte in bytes {
        if *byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(*byte);
        before = *byte;
    }
    if !out.ends_with(b"\n") {
        out.extend(b"\r\n");
    }
    out
}

/// Takes one message of the server into quarantine.
pub(super) struct Keeping<R> {
    receiver: R,
    whole: bool,
    failed: Option<String>,
}

impl<R: Receiver<Id = MaildirId>> Keeping<R> {
    pub(super) fn into(receiver: R) -> Keeping<R> {
        Keeping {
            receiver,
            whole: false,
            failed: None,
        }
    }

    /// The path of the message below the quarantine; `None`: the server does not have it.
    pub(super) async fn kept(self) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(why) = self.failed {
            return Err(StoreError::Mailbox(format!(
                "its bytes cannot be kept: {why}"
            )));
        }
        if !self.whole {
            return Ok(None);
        }
        match self.receiver.finish().await?.into_iter().next() {
            Some((_, Delivered::Stored { id: Some(id), .. })) => Ok(Some(id.as_bytes().to_vec())),
            Some((_, Delivered::Refused(why))) => Err(StoreError::Mailbox(why)),
            _ => Err(StoreError::Bug("nothing became of a message".into())),
        }
    }
}

impl<R: Receiver<Id = MaildirId>> Sink<Uid> for Keeping<R> {
    async fn begin(&mut self, size: u64, _: Option<&About<Uid>>) -> Result<(), StoreError> {
        self.receiver.begin(size, None).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.receiver.chunk(bytes).await
    }

    async fn end(&mut self, about: About<Uid>) -> Result<(), StoreError> {
        let delivery = Delivery {
            tag: 0,
            flags: about.flags,
            date: about.date,
            origin: None,
        };
        self.whole = true;
        self.receiver.end(delivery).await
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        self.receiver.abandon().await
    }

    async fn fail(&mut self, _: Uid, why: String) -> Result<(), StoreError> {
        self.failed = Some(why);
        Ok(())
    }
}
