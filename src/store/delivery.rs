//! Delivery of messages into a mailbox.

use super::StoreError;
use crate::model::{Flags, Id, Origin, Stamp, Timestamp};

/// A message to deliver.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// A number of the caller, returned with the outcome.
    pub tag: usize,
    /// Its flags.
    pub flags: Flags,
    /// Its INTERNALDATE.
    pub date: Option<Timestamp>,
    /// Its origin, which becomes part of the file name.
    pub origin: Option<Origin>,
}

/// Receives messages. A message that is dropped before `finish` leaves no visible file.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait Receiver {
    /// The id of a message on this side.
    type Id: Id;

    /// Begins a message of this many bytes; APPEND needs the size in advance.
    async fn begin(&mut self, size: u64, delivery: Option<&Delivery>) -> Result<(), StoreError>;

    /// The next bytes, with CRLF line ends.
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Ends the message: it is complete and may be stored.
    async fn end(&mut self, delivery: Delivery) -> Result<(), StoreError>;

    /// Drops the message that was begun.
    async fn abandon(&mut self) -> Result<(), StoreError>;

    /// Makes all messages durable and visible, and returns an outcome for each.
    async fn finish(self) -> Published<Self::Id>;
}

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered<I> {
    /// The message is stored and durable.
    Stored {
        /// Its id; `None` if the server did not return one (no UIDPLUS): its content identifies it.
        id: Option<I>,
        /// Bytes as stored.
        stored: u64,
        /// Its file; `None` on the server.
        stamp: Option<Stamp>,
    },
    /// The side refused the message with this text.
    Refused(String),
    /// The connection broke before the response: the message may be stored.
    Unanswered(StoreError),
}

/// The outcomes by tag, or the error that prevented all.
pub type Published<I> = Result<Vec<(usize, Delivered<I>)>, StoreError>;
