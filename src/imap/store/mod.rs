//! The server as a [`MailStore`]: mailboxes, and a session for each request.

pub mod append;
pub mod cursor;
mod delete_mailbox;
pub mod expunge;
pub mod fetch;
pub mod flags;
pub mod list;
pub mod message_id;
pub mod modseq_tracker;
pub mod remote_store;
pub mod snapshot;
mod subscribe;
pub mod transfer;
mod unchecked;

use crate::imap::net::connect::Server;
use crate::imap::net::connection_limit::Purpose;
use crate::imap::net::preconnect::PendingConnection;
pub use crate::imap::protocol::command::Access;
use crate::imap::protocol::command::{Command, MailboxRef};
use crate::imap::session::sync_capability::{Tier, plain, tier};
use crate::imap::session::{Session, WireNames};
use crate::imap::store::append::AppendReceiver;
use crate::imap::store::message_id::Objects;
use crate::imap::store::modseq_tracker::Ours;
use crate::model::{Excerpt, Fingerprint, Kin, MailboxBase, MailboxName, Uid, UidValidity};
use crate::reconcile::{Cursor, Listed, Look, Presence};
use crate::store::{
    Ask, End, FlagEdit, MailStore, Place, RefusedKeyword, Removal, Removed, Shift, Sink,
    StoreError, Transfer,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// How the server is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether changes are permitted.
    pub access: Access,
    /// Most connections at once.
    pub connections: usize,
    /// When further connections are opened.
    pub beside: ParallelSettings,
    /// The target of deletions: a special use (`\Trash`) or a mailbox; `None`: expunge.
    pub trash: Option<String>,
}

/// When a further connection is worthwhile.
#[derive(Clone, Debug)]
pub struct ParallelSettings {
    /// Not for a shorter round trip.
    pub near: Duration,
    /// Sequential answers that take as long as connect and login.
    pub worth: usize,
}

impl Default for ParallelSettings {
    fn default() -> ParallelSettings {
        let near = Duration::from_millis(5);
        ParallelSettings { near, worth: 4 }
    }
}

/// A connection that counts against the limit until it is dropped.
struct ConnectionSlot(Rc<Cell<usize>>);

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// The server side of an account.
pub struct ImapStore {
    pub(in crate::imap) server: Rc<Server>,
    pub(in crate::imap) settings: Settings,
    pub(in crate::imap) slot: Rc<RefCell<Option<Session>>>,
    /// A connection begun in the background.
    pub(in crate::imap) call: Option<PendingConnection>,
    pub(in crate::imap) names: Rc<RefCell<WireNames>>,
    pub(in crate::imap) trash: Rc<RefCell<Option<MailboxName>>>,
    pub(in crate::imap) objects: Rc<Cell<Objects>>,
    /// Whether the server has MOVE.
    pub(in crate::imap) moves: Rc<Cell<bool>>,
    /// HIGHESTMODSEQ of the last snapshot, for UNCHANGEDSINCE.
    pub(in crate::imap) looked: BTreeMap<MailboxName, u64>,
    /// Mailboxes with only our own changes since the last snapshot.
    pub(in crate::imap) ours: Rc<RefCell<BTreeMap<MailboxName, Ours>>>,
    /// Mailboxes that are changed by the listing, without a snapshot.
    pub(in crate::imap) unseen: Rc<RefCell<BTreeSet<MailboxName>>>,
    /// UIDNEXT by listing of mailboxes with only new messages.
    pub(in crate::imap) grown: BTreeMap<MailboxName, u32>,
    /// Refused keywords until they are taken.
    pub(in crate::imap) refused: Vec<RefusedKeyword>,
    /// Ids of messages that are changed next.
    pub(in crate::imap) expected: BTreeMap<MailboxName, Vec<(Uid, Kin)>>,
    /// Requests to pipeline with the next change.
    pub(in crate::imap) after: Vec<Command>,
    seats: Rc<Cell<usize>>,
    _seat: ConnectionSlot,
}

/// The longest wait until the server closes a connection for which other work waits.
const POLITE: Duration = Duration::from_secs(3);

impl ImapStore {
    /// Connects with the first request, or earlier by [`Self::call`].
    pub fn new(server: Server, settings: Settings) -> ImapStore {
        let seats = Rc::new(Cell::new(1));
        ImapStore {
            server: Rc::new(server),
            settings,
            slot: Rc::default(),
            call: None,
            names: Rc::default(),
            trash: Rc::default(),
            objects: Rc::default(),
            moves: Rc::default(),
            looked: BTreeMap::new(),
            ours: Rc::default(),
            unseen: Rc::default(),
            grown: BTreeMap::new(),
            refused: Vec::new(),
            expected: BTreeMap::new(),
            after: Vec::new(),
            seats: seats.clone(),
            _seat: ConnectionSlot(seats),
        }
    }

    /// Connects; returns the capabilities and the tier.
    pub async fn greet(&mut self) -> Result<(BTreeSet<String>, Tier), StoreError> {
        let session = self.take().await?;
        let answer = (session.capabilities().clone(), tier(&session));
        self.put(session);
        Ok(answer)
    }

    /// Sets the number of connections.
    pub fn allow(&mut self, connections: usize) {
        self.settings.connections = connections;
    }

    /// Whether a session is open.
    pub fn is_connected(&self) -> bool {
        self.slot.borrow().is_some()
    }

    /// Returns the tier, once known.
    pub fn tier(&self) -> Option<Tier> {
        self.slot.borrow().as_ref().map(tier)
    }

    /// Checks an idle session: after `silent` it must answer NOOP within `patience`, or it is
    /// dropped.
    pub async fn wake(&mut self, silent: Duration, patience: Duration) {
        let kept = self.slot.borrow_mut().take();
        let Some(mut session) = kept else { return };
        if session.silent_for() < silent || session.is_alive(patience).await {
            self.put(session);
        }
    }

    /// Logs out.
    pub async fn close(&mut self) {
        self.call = None;
        let session = self.slot.borrow_mut().take();
        if let Some(session) = session {
            match self.server.limit().is_known(&self.server.user) {
                false => session.log_out().await,
                // Other work may connect as soon as the connection does not count any more.
                true => {
                    let left = tokio::time::timeout(POLITE, session.leave()).await;
                    tracing::trace!(polite = left.is_ok(), "gave way");
                }
            }
        }
    }

    pub(in crate::imap) async fn take(&mut self) -> Result<Session, StoreError> {
        self.take_for(|_| Ok(Vec::new())).await
    }

    /// Returns a second handle, if another connection is permitted.
    pub(in crate::imap) fn beside(&mut self) -> Option<ImapStore> {
        if self.seats.get() >= self.settings.connections {
            return None;
        }
        self.seats.set(self.seats.get() + 1);
        Some(ImapStore {
            refused: Vec::new(),
            after: Vec::new(),
            server: Rc::new(Server {
                purpose: Purpose::Extra,
                ..(*self.server).clone()
            }),
            settings: self.settings.clone(),
            slot: Rc::default(),
            call: None,
            names: self.names.clone(),
            trash: self.trash.clone(),
            objects: self.objects.clone(),
            moves: self.moves.clone(),
            looked: self.looked.clone(),
            ours: self.ours.clone(),
            unseen: self.unseen.clone(),
            grown: BTreeMap::new(),
            expected: BTreeMap::new(),
            seats: self.seats.clone(),
            _seat: ConnectionSlot(self.seats.clone()),
        })
    }

    /// Returns the round trip time, as far as measured.
    pub(in crate::imap) fn turn(&self) -> Duration {
        let slot = self.slot.borrow();
        slot.as_ref().map_or(Duration::ZERO, Session::turn)
    }

    /// Keeps the session for the next request, unless an answer is pending.
    pub(in crate::imap) fn put(&self, session: Session) {
        put_back(&self.slot, session);
    }

    pub(in crate::imap) fn slot(&self) -> Rc<RefCell<Option<Session>>> {
        self.slot.clone()
    }

    pub(in crate::imap) fn wire_name(&self, name: &MailboxName) -> Result<Vec<u8>, StoreError> {
        let known = self.names.borrow().get(name).cloned();
        known.ok_or_else(|| StoreError::Stale(format!("{name} is not on the server")))
    }

    pub(in crate::imap) fn trash_for(&self, mailbox: &MailboxName) -> Option<MailboxName> {
        self.trash.borrow().clone().filter(|trash| trash != mailbox)
    }

    /// Selects a mailbox in the UIDVALIDITY of the plan.
    pub(in crate::imap) async fn open(
        &self,
        session: &mut Session,
        place: &Place,
    ) -> Result<(), StoreError> {
        let name = self.wire_name(&place.mailbox)?;
        let access = self.settings.access;
        let door = MailboxRef { name, access };
        let open = session.selected.as_ref();
        let ready = open.is_some_and(|open| open.door() == door);
        if !ready || session.ahead.opens(&door) {
            session.select(&door.name, access, plain(session)).await?;
        }
        let uid_validity: UidValidity = session.open_mailbox()?.uid_validity;
        if place
            .uid_validity
            .is_some_and(|planned| planned != uid_validity)
        {
            session.selected = None;
            let what = format!("UIDVALIDITY of {} changed", place.mailbox);
            return Err(StoreError::Stale(what));
        }
        Ok(())
    }

    /// Returns the trash mailbox; an error if it is configured and missing.
    pub fn trash_mailbox(&self) -> Result<Option<MailboxName>, StoreError> {
        match (&self.settings.trash, self.trash.borrow().clone()) {
            (None, _) => Ok(None),
            (Some(_), Some(name)) => Ok(Some(name)),
            (Some(wanted), None) => Err(StoreError::NeedsUser(format!(
                "trash = \"{wanted}\": the server has no such mailbox; name one that exists"
            ))),
        }
    }
}

/// Keeps a session, unless an answer is pending.
pub(in crate::imap) fn put_back(slot: &Rc<RefCell<Option<Session>>>, session: Session) {
    if session.is_idle() {
        *slot.borrow_mut() = Some(session);
    }
}

impl MailStore for ImapStore {
    type Id = Uid;
    type Receiver = AppendReceiver;

    async fn list(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        let list = |session: &Session| crate::imap::store::list::foreseen(session);
        let mut session = self.take_for(list).await?;
        self.objects.set(Objects::of(&session));
        self.moves.set(session.can("MOVE"));
        let listed = self.list_with(&mut session, left).await;
        self.put(session);
        let listed = listed?;
        let synced = |one: &Listed| one.presence != Presence::Container;
        if !listed.is_empty() && !listed.iter().any(synced) {
            let what = "the server lists names, and no mailbox among them; nothing was changed";
            return Err(StoreError::Guard(what.into()));
        }
        self.trash_mailbox()?;
        Ok(listed)
    }

    async fn look(&mut self, ask: &Ask<'_>) -> Result<Look<Uid>, StoreError> {
        let name = self.wire_name(&ask.base.name)?;
        let mut session = self.take().await?;
        let look =
            crate::imap::store::snapshot::look(&mut session, &name, self.settings.access, ask)
                .await;
        if let Some(modseq) = session.selected.as_ref().and_then(|open| open.modseq) {
            self.looked.insert(ask.base.name.clone(), modseq);
        }
        self.ours.borrow_mut().remove(&ask.base.name);
        self.note_seen(&ask.base.name);
        self.put(session);
        look
    }

    async fn fingerprints(
        &mut self,
        place: &Place,
        ids: &[Uid],
        sizes: Option<&BTreeSet<u64>>,
    ) -> Result<Vec<(Uid, Fingerprint)>, StoreError> {
        if ids.is_empty() || sizes.is_some_and(BTreeSet::is_empty) {
            return Ok(Vec::new());
        }
        let mut session = self.take().await?;
        let prints = match self.open(&mut session, place).await {
            Ok(()) => crate::imap::store::fetch::fingerprints(&mut session, ids, sizes).await,
            Err(error) => Err(error),
        };
        self.put(session);
        prints
    }

    async fn read<S: Sink<Uid>>(
        &mut self,
        place: &Place,
        ids: &[Uid],
        sink: &mut S,
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut session = self.take().await?;
        let done = match self.open(&mut session, place).await {
            Ok(()) => crate::imap::store::fetch::read(&mut session, ids, sink).await,
            Err(error) => Err(error),
        };
        self.put(session);
        done
    }

    async fn excerpts(
        &mut self,
        place: &Place,
        ids: &[(Uid, Option<u64>)],
    ) -> Result<Vec<(Uid, Excerpt)>, StoreError> {
        let mut session = self.take().await?;
        let excerpts = match self.open(&mut session, place).await {
            Ok(()) => crate::imap::store::transfer::excerpts(&mut session, ids).await,
            Err(error) => Err(error),
        };
        self.put(session);
        excerpts
    }

    async fn transfer(
        &mut self,
        from: &Place,
        to: &Place,
        how: Transfer,
        shifts: &[Shift<Uid>],
    ) -> Result<Vec<(Uid, Option<Uid>)>, StoreError> {
        let uids: BTreeSet<Uid> = shifts.iter().map(|shift| shift.id).collect();
        self.transfer_with(from, to, how, &uids).await
    }

    async fn rename_mailbox(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError> {
        self.rename_with(from, to).await
    }

    async fn receive(&mut self, place: &Place) -> Result<AppendReceiver, StoreError> {
        let name = self.wire_name(&place.mailbox)?;
        let session = self.take().await?;
        Ok(AppendReceiver::new(
            session,
            self.slot(),
            name,
            place.clone(),
        ))
    }

    async fn set_flags(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<Uid>],
    ) -> Result<Vec<Uid>, StoreError> {
        self.set_flags_with(place, edits).await
    }

    async fn remove(
        &mut self,
        place: &Place,
        removals: &[Removal<Uid>],
    ) -> Result<Vec<(Uid, Removed)>, StoreError> {
        self.remove_with(place, removals).await
    }

    fn keeps_removed(&self, mailbox: &MailboxName) -> bool {
        self.trash_for(mailbox).is_some()
    }

    async fn create_mailbox(&mut self, name: &MailboxName) -> Result<(), StoreError> {
        let wire = self.create_with(name).await?;
        self.names.borrow_mut().insert(name.clone(), wire);
        Ok(())
    }

    async fn delete_mailbox(&mut self, base: &MailboxBase) -> Result<End, StoreError> {
        self.delete_with(base).await
    }

    async fn confirm_absent(&mut self, name: &MailboxName) -> Result<bool, StoreError> {
        self.confirm_absent_with(name).await
    }
}
