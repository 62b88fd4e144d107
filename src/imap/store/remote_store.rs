//! [`ImapStore`] as a [`RemoteStore`], with the requests that can be pipelined.

use crate::imap::net::connection_limit::Purpose;
use crate::imap::protocol::command::Command;
use crate::imap::session::Session;
use crate::imap::session::sync_capability::{Tier, plain, tier};
use crate::imap::store::ImapStore;
use crate::imap::store::expunge::flags_of;
use crate::imap::store::message_id::Objects;
use crate::model::{Kin, MailboxName, Outline, Uid};
use crate::reconcile::{Cursor, Look};
use crate::store::{Place, Prefetch, RefusedKeyword, RemoteStore, StoreError};

impl RemoteStore for ImapStore {
    fn has_object_ids(&self) -> bool {
        self.objects.get() != Objects::None
    }

    fn has_atomic_move(&self) -> bool {
        self.moves.get()
    }

    async fn prefetch(&mut self, next: &[Prefetch<'_>]) -> Result<(), StoreError> {
        let mut session = self.take().await?;
        let done = async {
            let commands = self.foreseen(&session, next)?;
            session.foresee(commands).await
        }
        .await;
        self.put(session);
        done
    }

    async fn pipeline_after(&mut self, next: &[Prefetch<'_>]) -> Result<(), StoreError> {
        let session = self.take().await?;
        let commands = self.foreseen(&session, next);
        self.put(session);
        self.after = commands?;
        Ok(())
    }

    fn expect_object_ids(&mut self, place: &Place, known: Vec<(Uid, Kin)>) {
        self.expected.insert(place.mailbox.clone(), known);
    }

    fn assume_unchanged(&mut self, of: &Outline, left: &Cursor) -> Option<Look<Uid>> {
        self.left_as_listed(of, left)
    }

    fn cursor_after_own_changes(&self, mailbox: &MailboxName, left: &Cursor) -> Option<Cursor> {
        self.cursor_after_us(mailbox, left)
    }

    fn take_refused(&mut self) -> Vec<RefusedKeyword> {
        std::mem::take(&mut self.refused)
    }

    fn max_parallel(&self, changes: usize) -> usize {
        let beside = &self.settings.beside;
        match self.turn() >= beside.near {
            true => changes
                .div_ceil(beside.worth.max(1))
                .min(self.settings.connections),
            false => 1,
        }
    }

    fn second_handle(&mut self) -> Option<ImapStore> {
        self.beside()
    }

    async fn connect(&mut self) -> bool {
        match self.take().await {
            Ok(session) => {
                self.put(session);
                true
            }
            Err(error) => {
                tracing::info!(%error, "no further connection; going on with those there are");
                false
            }
        }
    }

    fn gives_way(&self) -> bool {
        self.server.purpose == Purpose::Extra && self.server.limit().is_wanted()
    }

    async fn disconnect(&mut self) {
        self.close().await;
    }

    async fn object_ids(
        &mut self,
        place: &Place,
        ids: &[Uid],
    ) -> Result<Vec<(Uid, Kin)>, StoreError> {
        let mut session = self.take().await?;
        let kin = match self.open(&mut session, place).await {
            Ok(()) => crate::imap::store::message_id::kin(&mut session, ids).await,
            Err(error) => Err(error),
        };
        self.put(session);
        kin
    }
}

impl ImapStore {
    /// Returns the first commands of these requests. A mailbox that cannot be requested is skipped;
    /// the later request returns its error.
    fn foreseen(
        &self,
        session: &Session,
        next: &[Prefetch<'_>],
    ) -> Result<Vec<Command>, StoreError> {
        let access = self.settings.access;
        let mut commands: Vec<Command> = Vec::new();
        for question in next {
            let mailbox = match question {
                Prefetch::Look(of, ..) => &of.name,
                Prefetch::Flags(place, _)
                | Prefetch::Read(place, _)
                | Prefetch::Kin(place, _)
                | Prefetch::Remove(place, _) => &place.mailbox,
            };
            let Ok(name) = self.wire_name(mailbox) else {
                continue;
            };
            if let Prefetch::Look(of, cursor, depth) = question {
                let (ask, grown) = ((*of, *cursor, *depth), self.grown.get(&of.name).copied());
                commands.extend(crate::imap::store::snapshot::foreseen(
                    session, &name, access, ask, grown,
                )?);
                continue;
            }
            commands.push(Command::select(&name, access, plain(session))?);
            commands.extend(match question {
                Prefetch::Read(_, uids) => crate::imap::store::fetch::foreseen(session, uids),
                Prefetch::Kin(_, uids) => crate::imap::store::message_id::foreseen(session, uids),
                // Without CONDSTORE only the short time protects concurrent changes.
                Prefetch::Remove(place, uids) => {
                    let mut asked = match self.trash_for(&place.mailbox) {
                        Some(_) => crate::imap::store::message_id::foreseen(session, uids),
                        None => Vec::new(),
                    };
                    if tier(session) != Tier::Plain {
                        asked.extend(flags_of(uids));
                    }
                    asked
                }
                Prefetch::Flags(place, uids) if self.unseen.borrow().contains(&place.mailbox) => {
                    crate::imap::store::message_id::foreseen(session, uids)
                }
                Prefetch::Flags(..) | Prefetch::Look(..) => Vec::new(),
            });
        }
        Ok(commands)
    }
}
