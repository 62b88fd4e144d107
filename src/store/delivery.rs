//! Messages on their way into a mailbox.

use super::StoreError;
use crate::model::{Flags, Id, Origin, Stamp, Timestamp};

/// A message on its way in.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// A number of the caller's, given back with the outcome.
    pub tag: usize,
    /// The flags it shall have.
    pub flags: Flags,
    /// Its INTERNALDATE.
    pub date: Option<Timestamp>,
    /// Where it comes from, for the name of its file.
    pub origin: Option<Origin>,
}

/// Takes messages in. What is dropped before `finish` leaves no visible trace on disk.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait Receiver {
    /// How the receiving side names messages.
    type Id: Id;

    /// A message of this many bytes begins; some receivers need to know it from the start.
    async fn begin(&mut self, size: u64, delivery: Option<&Delivery>) -> Result<(), StoreError>;

    /// The next bytes, with CRLF line ends.
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// The message is whole and may be stored.
    async fn end(&mut self, delivery: Delivery) -> Result<(), StoreError>;

    /// The message that began must not be stored.
    async fn abandon(&mut self) -> Result<(), StoreError>;

    /// Makes everything durable and visible, and tells what became of each.
    async fn finish(self) -> Published<Self::Id>;
}

/// What became of a message that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered<I> {
    /// It is there and durable.
    Stored {
        /// Its name; `None` when the side did not tell (no UIDPLUS): it will be found by content.
        id: Option<I>,
        /// Bytes as stored.
        stored: u64,
        /// The file that was made; `None` on the server.
        stamp: Option<Stamp>,
    },
    /// The side refuses it, in these words.
    Refused(String),
    /// It was sent, and the connection broke before the answer: it may be stored.
    Unanswered(StoreError),
}

/// What became of the messages that a receiver took in, by their tags; or why nothing did.
pub type Published<I> = Result<Vec<(usize, Delivered<I>)>, StoreError>;
