//! The border: what a side must be able to do for the engine. One trait serves both sides.
//!
//! Contract, for every implementation (`tests/it/contract.rs` checks it):
//! * No error is ever answered with "nothing there". What could not be learned is an `Err`, or a
//!   look whose coverage says so.
//! * A message becomes visible only whole, durable, and under a name that was free.
//! * A change carries what the plan saw; where that no longer holds, the store leaves the message
//!   alone and does not report it as done.
//! * Nothing is removed but the very messages named.
//!
//! Futures here are not `Send`: an account lives on one thread (decision 0003).

mod delivery;

mod edit;

pub mod error;

pub use delivery::{Delivered, Delivery, Published, Receiver};
pub use edit::{End, FlagEdit, Obstacle, RefusedKeyword, Removal, Removed};
pub use error::StoreError;

use crate::model::{
    Excerpt, Fingerprint, Flags, Id, Kin, Letters, MailboxBase, MailboxName, Outline, Recorded,
    Stamp, Timestamp, UidValidity, Unlike,
};
use crate::reconcile::{Cursor, Listed, Look};
use std::collections::{BTreeMap, BTreeSet};

/// One side of an account.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait Store: Sized {
    /// How this side names messages.
    type Id: Id;
    /// Takes messages in.
    type Receiver: Receiver<Id = Self::Id>;

    /// The cheap look at everything: all mailboxes, and which of them cannot have changed since
    /// they were left with these cursors. Complete or an error.
    async fn list(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError>;

    /// Looks into one mailbox. Changes nothing.
    async fn look(&mut self, ask: &Ask<'_>) -> Result<Look<Self::Id>, StoreError>;

    /// Cheap evidence about messages; those whose size is not among `sizes` may be left out, and
    /// those that are gone are.
    async fn fingerprints(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
        sizes: Option<&BTreeSet<u64>>,
    ) -> Result<Vec<(Self::Id, Fingerprint)>, StoreError>;

    /// Reads messages into a sink, with CRLF line ends, in any order. A message that is gone is
    /// passed over silently: it is neither ended nor failed.
    async fn read<S: Sink<Self::Id>>(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
        sink: &mut S,
    ) -> Result<(), StoreError>;

    /// Begins to take messages into a mailbox. The server's side can take in more by another
    /// receiver before the first is finished.
    async fn receive(&mut self, place: &Place) -> Result<Self::Receiver, StoreError>;

    /// Changes flags; answers with the messages for which the change now holds.
    async fn set_flags(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<Self::Id>],
    ) -> Result<Vec<Self::Id>, StoreError>;

    /// Takes messages away; answers with what became of each that is away or marked.
    async fn remove(
        &mut self,
        place: &Place,
        removals: &[Removal<Self::Id>],
    ) -> Result<Vec<(Self::Id, Removed)>, StoreError>;

    /// Whether what is removed from this mailbox stays readable on that side (a trash mailbox).
    fn keeps_removed(&self, mailbox: &MailboxName) -> bool;

    /// Pieces of messages, to tell whether two that look alike are one. The size on the wire is
    /// found out where it is not given; messages that are gone are left out. On disk the size says
    /// whether the message is meant as it is, or without the header lines that mail readers add.
    async fn excerpts(
        &mut self,
        place: &Place,
        ids: &[(Self::Id, Option<u64>)],
    ) -> Result<Vec<(Self::Id, Excerpt)>, StoreError>;

    /// Moves or copies messages to another mailbox of this side, without their bytes passing
    /// through us. Answers with those that surely are in the target by now, and their names there
    /// (`None`: it is not told). A moved message has left its mailbox.
    async fn transfer(
        &mut self,
        from: &Place,
        to: &Place,
        how: Transfer,
        shifts: &[Shift<Self::Id>],
    ) -> Result<Vec<(Self::Id, Option<Self::Id>)>, StoreError>;

    /// Gives a mailbox another name, its inferiors too where the side does that. One that has it
    /// already is no error; `Stale` when another mailbox has the name.
    async fn rename_mailbox(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError>;

    /// Creates a mailbox, its parents too. One that is there already is no error.
    async fn create_mailbox(&mut self, name: &MailboxName) -> Result<(), StoreError>;

    /// Deletes a mailbox that holds nothing but pairs of this base and what we marked ourselves.
    /// `Stale` when it holds others, what was set aside included. What arrives in it meanwhile is
    /// not lost.
    async fn delete_mailbox(&mut self, base: &MailboxBase) -> Result<End, StoreError>;

    /// Asks a second time, and differently, whether a mailbox that was not listed is surely not
    /// there.
    async fn confirm_absent(&mut self, name: &MailboxName) -> Result<bool, StoreError>;
}

/// What only a server can tell.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait Serve: Store {
    /// Whether the server gives messages ids of its own (EMAILID, X-GM-MSGID). Known after the
    /// first listing.
    fn names_messages(&self) -> bool;

    /// Whether the server moves messages in one step (MOVE, RFC 6851), so that it cannot do so
    /// twice. Known after the first listing.
    fn moves_at_once(&self) -> bool;

    /// Tells what will be asked next, in this order, so that a far-away server can begin with it.
    /// Answers may then be as old as this call.
    async fn foresee(&mut self, next: &[Next<'_>]) -> Result<(), StoreError>;

    /// Tells what will be asked after the next change of flags or removal, to be sent along with
    /// it.
    async fn afterwards(&mut self, next: &[Next<'_>]) -> Result<(), StoreError>;

    /// Tells what some messages were called that are changed next in a mailbox. Where that is done
    /// without a look before, and one of them is called otherwise by then, nothing is changed:
    /// [`StoreError::Renumbered`].
    fn presume(&mut self, place: &Place, known: Vec<(Self::Id, Kin)>);

    /// A look at a mailbox of which the last listing showed that nothing happened since it was left
    /// like this, for one in which nothing but flags and what is known to be gone here is to be
    /// changed. `None`: it has to be looked at. What does not hold any more when it is changed is
    /// `Stale` then, and the next time it is looked at.
    fn as_listed(&mut self, of: &Outline, left: &Cursor) -> Option<Look<Self::Id>>;

    /// Where a mailbox is left by now that a look left like this, if it is proven that nothing but
    /// changes of flags and removals that were asked for here happened in it since.
    fn left_by_us(&self, mailbox: &MailboxName, left: &Cursor) -> Option<Cursor>;

    /// The keywords that the server refused since this was asked last although it says that it
    /// takes any. Of a change of flags, the others were made all the same.
    fn take_refused(&mut self) -> Vec<RefusedKeyword>;

    /// Over how many connections changes are best made that each wait for the server once.
    fn lanes(&self, changes: usize) -> usize;

    /// A second, independent handle on the server, not connected yet; `None` when there are to be
    /// no more.
    fn fork(&mut self) -> Option<Self>;

    /// Connects, where no connection is open. `false`: the server does not allow it, which is no
    /// failure of a handle that was forked.
    async fn connect(&mut self) -> bool;

    /// Ends the connection of a handle that was forked, politely.
    async fn disconnect(&mut self);

    /// What messages are called wherever they lie; those that are gone are left out.
    async fn kin(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
    ) -> Result<Vec<(Self::Id, Kin)>, StoreError>;
}

/// What only the side that keeps the user's files can do.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait Keep: Store {
    /// Begins to take messages into the quarantine of a mailbox, out of the user's sight. They are
    /// named by their paths below it.
    async fn quarantine(&mut self, place: &Place) -> Result<Self::Receiver, StoreError>;

    /// Flags that are set and messages that are removed from now on need not be durable before
    /// [`Keep::settle`]: until then nothing may be agreed on them.
    fn hold_syncs(&mut self);

    /// Makes all that durable, and ends the holding.
    async fn settle(&mut self) -> Result<(), StoreError>;

    /// What [`Keep::look_for`] will be asked next, in this order: the reading may begin now. It is
    /// forgotten with the next listing, and with whatever is changed.
    fn foresee(&mut self, next: &[(MailboxName, Depth)]);

    /// A look at a mailbox in which nothing changed since the cursor, for which nothing need be
    /// known of its messages. `None`: it has to be looked at.
    async fn unchanged(
        &mut self,
        mailbox: &MailboxName,
        cursor: &Cursor,
    ) -> Result<Option<Look<Self::Id>>, StoreError>;

    /// A look at what a mailbox holds beside what was recorded of it, and the messages of which it
    /// holds something else; the look does not say which are gone. What is as it was recorded is
    /// not kept, so that the mailbox may be of any size. `None`: it has to be looked at.
    ///
    /// [`Depth::Everything`] compares weights, too, and only tells whether all but the content of
    /// files that were touched is as it was recorded.
    async fn look_for(
        &mut self,
        mailbox: &MailboxName,
        recorded: Recorded,
        cursor: Option<&Cursor>,
        depth: Depth,
    ) -> Result<Option<(Look<Self::Id>, Unlike)>, StoreError>;

    /// [`Store::create_mailbox`] for several, which is much cheaper; answers in their order.
    async fn create_mailboxes(&mut self, names: &[MailboxName]) -> Vec<Result<(), StoreError>>;

    /// [`Receiver::finish`] for several receivers of mailboxes together, which is much cheaper;
    /// answers in their order.
    async fn publish(&mut self, receivers: Vec<Self::Receiver>) -> Vec<Published<Self::Id>>;

    /// Files of a mailbox that could not be read since the last listing: their content is unknown.
    fn unreadable(&self, mailbox: &MailboxName) -> Vec<Obstacle<Self::Id>>;

    /// Messages that could not be changed by themselves, since this was asked last.
    fn take_unchanged(&mut self) -> Vec<Obstacle<Self::Id>>;

    /// What was seen in a mailbox need not be kept in mind any more.
    fn forget(&mut self, mailbox: &MailboxName);

    /// Whether what others change in a mailbox from now on surely shows in its time stamps. Right
    /// after a change it does not, for a moment.
    fn is_at_rest(&self, mailbox: &MailboxName) -> bool;

    /// Gives a message that was edited in place a new name, and says which.
    async fn split(&mut self, place: &Place, id: &Self::Id) -> Result<Self::Id, StoreError>;

    /// The letters of keywords in a mailbox; `None`: there is no such mailbox.
    async fn letters(&mut self, mailbox: &MailboxName) -> Result<Option<Letters>, StoreError>;

    /// The different tables of letters of all mailboxes that were listed.
    async fn tables(&mut self) -> Result<Vec<Letters>, StoreError>;

    /// The bytes of those messages that carry header lines added by mail readers, without these.
    async fn bare_sizes(
        &mut self,
        place: &Place,
        ids: &[Self::Id],
    ) -> Result<Vec<(Self::Id, u64)>, StoreError>;

    /// Pieces of a message in quarantine, see [`Store::excerpts`]; `None` when it is no longer
    /// there.
    async fn kept_excerpt(
        &mut self,
        path: &[u8],
        size: Option<u64>,
    ) -> Result<Option<Excerpt>, StoreError>;

    /// Takes a message out of quarantine into a mailbox; `None` when it is no longer there.
    async fn recall(
        &mut self,
        place: &Place,
        path: &[u8],
        delivery: &Delivery,
    ) -> Result<Option<(Self::Id, u64)>, StoreError>;
}

/// A mailbox in the UIDVALIDITY that the plan was made in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// The UIDVALIDITY; the store refuses with `Stale` when it is another by now.
    pub epoch: Option<UidValidity>,
}

/// A question about one mailbox.
#[derive(Debug)]
pub struct Ask<'a> {
    /// What is known of it.
    pub base: &'a MailboxBase,
    /// Where this side was left.
    pub cursor: Option<&'a Cursor>,
    /// How thorough the look shall be.
    pub depth: Depth,
}

/// A question that will be asked.
#[derive(Debug)]
pub enum Next<'a> {
    /// [`Store::look`], as an [`Ask`] says it.
    Look(&'a Outline, Option<&'a Cursor>, Depth),
    /// [`Store::read`].
    Read(&'a Place, &'a [crate::model::Uid]),
    /// [`Serve::kin`].
    Kin(&'a Place, &'a [crate::model::Uid]),
    /// [`Store::set_flags`], in which nothing but the opening is a question, and what these are
    /// called ([`Serve::presume`]).
    Flags(&'a Place, &'a [crate::model::Uid]),
    /// [`Store::remove`].
    Remove(&'a Place, &'a [crate::model::Uid]),
}

/// How thorough a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What changed since the cursor.
    Changes,
    /// All messages, whatever the cursor says; on disk their sizes too, and which files were
    /// touched since their content was last known.
    Everything,
}

/// What is known of a message that is being copied.
#[derive(Clone, Debug)]
pub struct About<I> {
    /// Its name where it comes from.
    pub id: I,
    /// Its flags there.
    pub flags: Flags,
    /// Its INTERNALDATE or mtime.
    pub date: Option<Timestamp>,
    /// Bytes as stored there.
    pub stored: u64,
    /// Its file before it was read; `None` on the server, and where the next change may not show.
    pub stamp: Option<Stamp>,
    /// What the server itself calls the message, where it does.
    pub kin: Option<Kin>,
}

/// Takes messages one after another while they are read.
#[allow(
    async_fn_in_trait,
    reason = "an account lives on one thread; see the module's head"
)]
pub trait Sink<I> {
    /// A message of this many bytes begins; `about` when the reader knows it by now.
    async fn begin(&mut self, size: u64, about: Option<&About<I>>) -> Result<(), StoreError>;

    /// The next bytes.
    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// The message is whole.
    async fn end(&mut self, about: About<I>) -> Result<(), StoreError>;

    /// The message that began is not whole and will not be; it must leave no trace.
    async fn abandon(&mut self) -> Result<(), StoreError>;

    /// This message is there, but its content cannot be had.
    async fn fail(&mut self, id: I, why: String) -> Result<(), StoreError>;
}

/// Whether the message stays where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transfer {
    /// It leaves.
    Move,
    /// It stays.
    Copy,
}

/// A message to be moved or copied within one side.
#[derive(Clone, Debug)]
pub struct Shift<I> {
    /// The message.
    pub id: I,
    /// For a copy on disk: where it comes from, for its name, and its flags.
    pub delivery: Option<Delivery>,
    /// For a copy on disk: the bytes that the file must have, or it was edited meanwhile.
    pub size: Option<u64>,
    /// For a move on disk: whether it gets another name, because the base knows a message of its
    /// name there.
    pub renamed: bool,
    /// For a move on disk: the flags last agreed on. Keywords of these that have no letter where
    /// it comes from get one where it goes to.
    pub agreed: Flags,
}
