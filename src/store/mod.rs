//! The interface of a side towards the engine. One trait serves both sides.
//!
//! Contract of every implementation (`tests/it/contract.rs` checks it):
//! * An error is never reported as absence. A side that could not read something returns `Err`, or
//!   a look with partial coverage.
//! * A message becomes visible only when it is complete and durable, under a name that was free.
//! * A change names the state that the plan saw; if it no longer holds, the store leaves the
//!   message unchanged and does not report success.
//! * Only the named messages are removed.
//!
//! Futures are not `Send`: an account lives on one thread (decision 0003).

mod delivery;

mod edit;

pub mod error;

pub use delivery::{Delivered, Delivery, Published, Receiver};
pub use edit::{End, FlagEdit, Obstacle, RefusedKeyword, Removal, Removed};
pub use error::StoreError;

use crate::model::{
    Excerpt, Fingerprint, Flags, Id, Kin, Letters, MailboxBase, MailboxName, MaildirId, Outline,
    Recorded, Stamp, Timestamp, Uid, UidValidity, Unlike,
};
use crate::reconcile::{Cursor, Listed, Look};
use std::collections::{BTreeMap, BTreeSet};

/// One side of an account.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait MailStore: Sized {
    /// The id of a message on this side.
    type Id: Id;
    /// Receives messages.
    type Receiver: Receiver<Id = Self::Id>;

    /// Lists all mailboxes, and marks those that cannot have changed since these cursors. Complete,
    /// or an error.
    async fn list(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError>;

    /// Reads one mailbox. Changes nothing.
    async fn look(&mut self, ask: &Ask<'_>) -> Result<Look<Self::Id>, StoreError>;

    /// Returns cheap evidence about messages. Messages whose size is not in `sizes` may be omitted;
    /// deleted ones are.
    async fn fingerprints(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
        sizes: Option<&BTreeSet<u64>>,
    ) -> Result<Vec<(Self::Id, Fingerprint)>, StoreError>;

    /// Reads messages into a sink, with CRLF line ends, in any order. A deleted message is omitted:
    /// it is neither ended nor failed.
    async fn read<S: Sink<Self::Id>>(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
        sink: &mut S,
    ) -> Result<(), StoreError>;

    /// Begins a delivery into a mailbox. On the server a second receiver may be used before the
    /// first is finished.
    async fn receive(&mut self, place: &Place) -> Result<Self::Receiver, StoreError>;

    /// Changes flags and returns the messages for which the change holds.
    async fn set_flags(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<Self::Id>],
    ) -> Result<Vec<Self::Id>, StoreError>;

    /// Removes messages and returns the outcome of each that was removed or marked.
    async fn remove(
        &mut self,
        place: &Place,
        removals: &[Removal<Self::Id>],
    ) -> Result<Vec<(Self::Id, Removed)>, StoreError>;

    /// Whether removed messages of this mailbox stay readable on that side (a trash mailbox).
    fn keeps_removed(&self, mailbox: &MailboxName) -> bool;

    /// Returns pieces of messages, to compare two that seem equal. Finds the wire size if it is not
    /// given; omits deleted messages. On disk the size selects the file as it is, or without the
    /// header lines that mail readers add.
    async fn excerpts(
        &mut self,
        place: &Place,
        ids: &[(Self::Id, Option<u64>)],
    ) -> Result<Vec<(Self::Id, Excerpt)>, StoreError>;

    /// Moves or copies messages to another mailbox of this side without transferring their bytes.
    /// Returns those that certainly are in the target, with their ids there (`None`: unknown). A
    /// moved message has left the source.
    async fn transfer(
        &mut self,
        from: &Place,
        to: &Place,
        how: Transfer,
        shifts: &[Shift<Self::Id>],
    ) -> Result<Vec<(Self::Id, Option<Self::Id>)>, StoreError>;

    /// Renames a mailbox, with its inferiors where the side does so. A mailbox that has the name
    /// already is no error; `Stale` if another one has it.
    async fn rename_mailbox(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError>;

    /// Creates a mailbox and its parents. An existing one is no error.
    async fn create_mailbox(&mut self, name: &MailboxName) -> Result<(), StoreError>;

    /// Deletes a mailbox that contains only pairs of this base and messages that we marked. `Stale`
    /// if it contains others, also skipped ones. Messages that arrive meanwhile are not lost.
    async fn delete_mailbox(&mut self, base: &MailboxBase) -> Result<End, StoreError>;

    /// Checks a second time, by another command, that a mailbox that was not listed does not exist.
    async fn confirm_absent(&mut self, name: &MailboxName) -> Result<bool, StoreError>;
}

/// The part of the interface that only a server has.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait RemoteStore: MailStore<Id = Uid> {
    /// Whether the server has message ids (EMAILID, X-GM-MSGID). Known after the first listing.
    fn has_object_ids(&self) -> bool;

    /// Whether the server moves messages atomically (MOVE, RFC 6851). Known after the first
    /// listing.
    fn has_atomic_move(&self) -> bool;

    /// Announces the next requests in order, so that they can be pipelined. Their results may
    /// reflect the time of this call.
    async fn prefetch(&mut self, next: &[Prefetch<'_>]) -> Result<(), StoreError>;

    /// Announces the requests that follow the next change of flags or removal, to be pipelined with
    /// it.
    async fn pipeline_after(&mut self, next: &[Prefetch<'_>]) -> Result<(), StoreError>;

    /// Names the ids of messages that will be changed next without a prior read. If one of them
    /// differs by then, nothing is changed: [`StoreError::Renumbered`].
    fn expect_object_ids(&mut self, place: &Place, known: Vec<(Self::Id, Kin)>);

    /// Returns the recorded snapshot without SELECT if the last listing shows no change since the
    /// checkpoint. Valid only for changes of flags and removals of known messages; later commands
    /// return `Stale` if it did not hold. `None`: the mailbox has to be read.
    fn assume_unchanged(&mut self, of: &Outline, left: &Cursor) -> Option<Look<Self::Id>>;

    /// Returns the cursor after our own changes, if consecutive MODSEQs prove that nothing else
    /// changed.
    fn cursor_after_own_changes(&self, mailbox: &MailboxName, left: &Cursor) -> Option<Cursor>;

    /// Returns the keywords that the server refused since the last call although PERMANENTFLAGS has
    /// `\*`. The other flags of those changes were stored.
    fn take_refused(&mut self) -> Vec<RefusedKeyword>;

    /// The best number of connections for this many changes that each wait for a response.
    fn max_parallel(&self, changes: usize) -> usize;

    /// Returns a second handle on the server, not connected; `None` if no further connection is
    /// allowed.
    fn second_handle(&mut self) -> Option<Self>;

    /// Connects if necessary. `false`: the server allows no further connection, which is no error
    /// for a second handle.
    async fn connect(&mut self) -> bool;

    /// Whether a second handle should end, as other work waits for its connection.
    fn gives_way(&self) -> bool {
        false
    }

    /// Logs out and closes the connection of a second handle.
    async fn disconnect(&mut self);

    /// Returns the server's ids of messages; omits deleted ones.
    async fn object_ids(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
    ) -> Result<Vec<(Self::Id, Kin)>, StoreError>;
}

/// The part of the interface that only the Maildir has.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait LocalStore: MailStore<Id = MaildirId> {
    /// Begins a delivery into the quarantine of a mailbox. The ids are paths in the quarantine.
    async fn quarantine(&mut self, place: &Place) -> Result<Self::Receiver, StoreError>;

    /// Delays fsync of flag changes and removals until [`LocalStore::sync_all`]; until then the
    /// base must not record them.
    fn hold_syncs(&mut self);

    /// Syncs all delayed changes and ends the delay.
    async fn sync_all(&mut self) -> Result<(), StoreError>;

    /// Announces the next calls of [`LocalStore::look_for`] in order, so that the scan can begin.
    /// The next listing and each change discard it.
    fn prefetch(&mut self, next: &[(MailboxName, Depth)]);

    /// Returns the snapshot of a mailbox that did not change since the cursor, without reading
    /// messages. `None`: it has to be read.
    async fn unchanged(
        &mut self,
        mailbox: &MailboxName,
        cursor: &Cursor,
    ) -> Result<Option<Look<Self::Id>>, StoreError>;

    /// Returns a snapshot that contains only differences from the recorded messages, and those
    /// messages; it does not say which are gone. Memory does not grow with the mailbox. `None`: it
    /// has to be read.
    ///
    /// [`Depth::Everything`] compares sizes, too, and tells whether everything but the content of
    /// touched files is as recorded.
    async fn look_for(
        &mut self,
        mailbox: &MailboxName,
        recorded: Recorded,
        cursor: Option<&Cursor>,
        depth: Depth,
    ) -> Result<Option<(Look<Self::Id>, Unlike)>, StoreError>;

    /// [`MailStore::create_mailbox`] for several mailboxes, with fewer fsyncs; results in their
    /// order.
    async fn create_mailboxes(&mut self, names: &[MailboxName]) -> Vec<Result<(), StoreError>>;

    /// [`Receiver::finish`] for receivers of several mailboxes, with fewer fsyncs; results in their
    /// order.
    async fn publish(&mut self, receivers: Vec<Self::Receiver>) -> Vec<Published<Self::Id>>;

    /// Files of a mailbox that could not be read since the last listing.
    fn unreadable(&self, mailbox: &MailboxName) -> Vec<Obstacle<Self::Id>>;

    /// Messages that could not be changed since the last call.
    fn take_unchanged(&mut self) -> Vec<Obstacle<Self::Id>>;

    /// Drops the cached scan of a mailbox.
    fn forget(&mut self, mailbox: &MailboxName);

    /// Whether a further change of a mailbox will alter its mtime. `false` within the timestamp
    /// granularity of the last change.
    fn is_stable(&self, mailbox: &MailboxName) -> bool;

    /// Renames a message that was edited in place, and returns its new id.
    async fn rename_edited(&mut self, place: &Place, id: &Self::Id)
    -> Result<Self::Id, StoreError>;

    /// Returns the keyword letters of a mailbox; `None`: the mailbox does not exist.
    async fn letters(&mut self, mailbox: &MailboxName) -> Result<Option<Letters>, StoreError>;

    /// Returns the distinct letter tables of all mailboxes that were listed.
    async fn letter_tables(&mut self) -> Result<Vec<Letters>, StoreError>;

    /// Returns the sizes, without the header lines that mail readers add, of messages that have
    /// such lines.
    async fn bare_sizes(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
    ) -> Result<Vec<(Self::Id, u64)>, StoreError>;

    /// Returns pieces of a message in quarantine, see [`MailStore::excerpts`]; `None` if it no
    /// longer exists.
    async fn quarantined_excerpt(
        &mut self,
        path: &[u8],
        size: Option<u64>,
    ) -> Result<Option<Excerpt>, StoreError>;

    /// Moves a message from quarantine into a mailbox; `None` if it no longer exists.
    async fn restore(
        &mut self,
        place: &Place,
        path: &[u8],
        delivery: &Delivery,
    ) -> Result<Option<(Self::Id, u64)>, StoreError>;
}

/// A mailbox with the UIDVALIDITY of the plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// The UIDVALIDITY; the store returns `Stale` if it changed.
    pub uid_validity: Option<UidValidity>,
}

/// A request for one mailbox.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The recorded base.
    pub base: &'a MailboxBase,
    /// The cursor of this side.
    pub cursor: Option<&'a Cursor>,
    /// How thorough the read is.
    pub depth: Depth,
}

/// An announced request.
#[derive(Debug)]
pub enum Prefetch<'a> {
    /// [`MailStore::look`] with this [`Ask`].
    Look(&'a Outline, Option<&'a Cursor>, Depth),
    /// [`MailStore::read`].
    Read(&'a Place, &'a [crate::model::Uid]),
    /// [`RemoteStore::object_ids`].
    Kin(&'a Place, &'a [crate::model::Uid]),
    /// [`MailStore::set_flags`], of which only SELECT is a read, with the ids of the messages
    /// ([`RemoteStore::expect_object_ids`]).
    Flags(&'a Place, &'a [crate::model::Uid]),
    /// [`MailStore::remove`].
    Remove(&'a Place, &'a [crate::model::Uid]),
}

/// How thorough a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Changes since the cursor.
    Changes,
    /// All messages; on disk also their sizes, and which files were touched since their content was
    /// recorded.
    Everything,
}

/// A message that is being copied.
#[derive(Clone, Debug)]
pub struct About<I> {
    /// Its id on the source side.
    pub id: I,
    /// Its flags.
    pub flags: Flags,
    /// Its INTERNALDATE or mtime.
    pub date: Option<Timestamp>,
    /// Bytes as stored.
    pub stored: u64,
    /// The stamp of its file before it was read; `None` on the server, or if a further change might
    /// not alter it.
    pub stamp: Option<Stamp>,
    /// The server's id of the message, if it has one.
    pub kin: Option<Kin>,
}

/// Receives messages while they are read.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait Sink<I> {
    /// Begins a message of this many bytes; `about` if the reader knows it already.
    async fn begin(&mut self, size: u64, about: Option<&About<I>>) -> Result<(), StoreError>;

    /// The next bytes.
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Ends the message: it is complete.
    async fn end(&mut self, about: About<I>) -> Result<(), StoreError>;

    /// Drops the message that was begun: it is incomplete.
    async fn abandon(&mut self) -> Result<(), StoreError>;

    /// The message exists, but its content cannot be read.
    async fn fail(&mut self, id: I, why: String) -> Result<(), StoreError>;
}

/// Whether the source keeps the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transfer {
    /// Move.
    Move,
    /// Copy.
    Copy,
}

/// A message to move or copy within one side.
#[derive(Clone, Debug)]
pub struct Shift<I> {
    /// The message.
    pub id: I,
    /// For a copy on disk: its origin, for the file name, and its flags.
    pub delivery: Option<Delivery>,
    /// For a copy on disk: the size that the file must have; another size means that it was edited.
    pub size: Option<u64>,
    /// For a move on disk: whether the file gets a new name, because the base knows a message of
    /// its name in the target.
    /// name there.
    pub renamed: bool,
    /// For a move on disk: the flags last agreed on. Keywords among them without a letter in the
    /// source get a letter in the target.
    pub agreed: Flags,
}
