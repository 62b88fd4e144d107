//! Moves within one side, where the other side moved: no body is transferred. Records the actual
//! places; a cut run finds messages by the same evidence. Moves on the server are recorded
//! beforehand like uploads, as that evidence is lost if message or file move again before the next
//! run (`cut_moves`).

use super::account::Account;
use super::breaks::IN_SUCCESSION;
use super::evidence::kin_there;
use super::narrow::narrowed;
use super::pass_state::PassState;
use super::prove::sample;
use super::report::Ended;
use super::singly::{Parts, parts};
use super::work::{Work, Works};
use crate::model::{AnyId, Flags, Id, MailboxName, MaildirId, PairId, Side, Uid};
use crate::reconcile::action::Move;
use crate::reconcile::{Action, Outcome};
use crate::state::{Change, Doubt, Moved, Source, Trail};
use crate::store::{LocalStore, Place, RemoteStore, Removal, Removed, Shift, StoreError, Transfer};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Messages that are recorded together.
pub(super) const BATCH: usize = 5000;

/// Moved messages by former and, if known, new UID.
type Transferred = Vec<(Uid, Option<Uid>)>;

/// Source and target.
pub(super) type Route = (Side, MailboxName, MailboxName);

impl<R: RemoteStore<Id = Uid>, L: LocalStore<Id = MaildirId>> Account<'_, R, L> {
    /// Moves within one side.
    pub(super) async fn move_mail(
        &mut self,
        works: &mut Works,
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        let mut routes: BTreeMap<Route, Vec<Move>> = BTreeMap::new();
        for (to, work) in works.iter() {
            for action in &work.plan.actions {
                if let Action::Move(one) = action {
                    let route = (one.id.side(), one.from.clone(), to.clone());
                    routes.entry(route).or_default().push((**one).clone());
                }
            }
        }
        let names: Vec<MailboxName> = works.keys().cloned().collect();
        for to in names {
            let done = self.note_names(works, &to);
            self.settle(&to, done, works, pass)?;
        }
        for ((side, from, to), moves) in routes {
            for batch in moves.chunks(BATCH) {
                self.check_stop()?;
                let done = match side {
                    Side::Local => self.move_here(works, (&from, &to), batch, pass).await,
                    Side::Remote => self.move_parts(works, (&from, &to), batch, pass).await,
                };
                if let (Side::Remote, Err(Ended::Store(StoreError::Mailbox(why)))) = (side, &done) {
                    let why = format!("it was moved to {to} here: {why}");
                    self.refuse_changes(batch.iter().map(|one| one.pair.id), &why)?;
                }
                self.settle(&to, done, works, pass)?;
            }
        }
        Ok(())
    }

    /// Moves on the server. If a move is a COPY first, messages at which the connection broke are
    /// sent separately, when a snapshot proved that they were not copied.
    async fn move_parts(
        &mut self,
        works: &Works,
        route: (&MailboxName, &MailboxName),
        moves: &[Move],
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        let key = self.state.mailbox_key(route.0)?;
        let Some(key) = key.filter(|_| !self.remote.has_atomic_move()) else {
            return self.move_there(works, route, moves, pass).await;
        };
        let known = self.state.suspects()?.remove(&key).unwrap_or_default();
        let refused = self.state.refused_changes()?;
        let breaks = |one: &Move| known.get(&one.id).copied().unwrap_or(0);
        let attempts = |one: &Move| {
            let before = refused.iter().find(|before| before.pair == one.pair.id);
            before.map_or(0, |before| before.attempts)
        };
        let passed = pass.counts.moved_remote > 0;
        let Parts { parts, culprits } = parts(moves.to_vec(), breaks, attempts, passed);
        let why = format!("the connection breaks when it is moved to {}", route.1);
        self.refuse_changes(culprits.iter().map(|one| one.pair.id), &why)?;
        let (mut broke, mut count) = (None, 0);
        for part in parts {
            let ids: Vec<AnyId> = part.iter().map(|one| one.id.clone()).collect();
            match self.move_there(works, route, &part, pass).await {
                Ok(()) => self.state.clear_suspects(key, &ids)?,
                Err(Ended::Store(error @ StoreError::Retry(_))) => {
                    self.state.suspect(key, &ids)?;
                    count += 1;
                    if count >= IN_SUCCESSION || !self.remote.connect().await {
                        return Err(error.into());
                    }
                    broke = Some(error);
                }
                Err(ended) => return Err(ended),
            }
        }
        match broke {
            None => Ok(()),
            Some(error) => {
                let what = format!(
                    "the connection broke while messages were moved from {} to {}; it is looked \
                     for them, and those that were not moved are sent by themselves: {error}",
                    route.0, route.1
                );
                pass.trouble(Some(route.1), &StoreError::Mailbox(what.clone()));
                // The server refused nothing.
                Err(StoreError::Stale(what).into())
            }
        }
    }

    pub(super) fn settle(
        &self,
        name: &MailboxName,
        done: Result<(), Ended>,
        works: &mut Works,
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        if self.tolerate(name, done, pass)?.is_err()
            && let Some(work) = works.get_mut(name)
        {
            work.sound = false;
        }
        Ok(())
    }

    /// Returns the mailbox with its recorded UIDVALIDITY.
    pub(super) fn place(&self, works: &Works, name: &MailboxName) -> Result<Place, Ended> {
        if let Some(work) = works.get(name) {
            return Ok(work.place());
        }
        let uid_validity = match self.state.mailbox_key(name)? {
            Some(key) => self.state.uid_validity(key)?,
            None => None,
        };
        let mailbox = name.clone();
        Ok(Place {
            mailbox,
            uid_validity,
        })
    }

    /// Records messages that both sides have in one place.
    fn note_names(&mut self, works: &Works, to: &MailboxName) -> Result<(), Ended> {
        let Some(work) = works.get(to) else {
            return Ok(());
        };
        let (mut moved, mut changes) = (Vec::new(), Vec::new());
        for action in &work.plan.actions {
            if let Action::Rekey(new) = action {
                moved.push(Moved {
                    pair: new.pair.id,
                    to: work.base.key,
                    uid: new.uid,
                    file: Some(new.file.clone()),
                    size: new.size,
                });
                let why = format!("with {}; both sides have it here", new.uid);
                changes.push(work.change(Side::Local, "linked", new.file.any(), why));
            }
        }
        self.state.apply_moves(&moved, &changes)?;
        Ok(())
    }

    async fn move_here(
        &mut self,
        works: &Works,
        (from, to): (&MailboxName, &MailboxName),
        moves: &[Move],
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        let source = self.place(works, from)?;
        let Some(work) = works.get(to) else {
            return Ok(());
        };
        let (mut names, mut leaving) = (BTreeMap::new(), BTreeMap::new());
        for one in moves {
            if let (AnyId::Local(file), AnyId::Remote(uid)) = (&one.id, &one.partner) {
                match &one.arrived {
                    Some(AnyId::Local(new)) => {
                        leaving.insert(file.clone(), (one, *uid, new.clone()));
                    }
                    _ => drop(names.insert(file.clone(), (one, *uid))),
                }
            }
        }
        let mut arrived: Vec<(&Move, Uid, MaildirId)> = Vec::new();
        let removals: Vec<Removal<MaildirId>> = leaving.keys().cloned().map(removal).collect();
        if !removals.is_empty() {
            for (file, _) in self.local.remove(&source, &removals).await? {
                arrived.extend(leaving.remove(&file));
            }
        }
        // One that is gone keeps its id in the base until that is decided.
        let mut shifts: Vec<Shift<MaildirId>> = Vec::new();
        for (file, (one, _)) in &names {
            let known = self.state.pair(one.pair.id)?;
            shifts.push(Shift {
                renamed: self.state.has_file(work.base.key, file)?,
                agreed: known.map(|known| known.pair.flags).unwrap_or_default(),
                ..shift(file.clone())
            });
        }
        if !shifts.is_empty() {
            let (place, how) = (work.place(), Transfer::Move);
            let done = self.local.transfer(&source, &place, how, &shifts).await?;
            for (old, new) in done {
                if let (Some((one, uid)), Some(new)) = (names.remove(&old), new) {
                    arrived.push((one, uid, new));
                }
            }
        }
        let note = |(one, uid, file): &(&Move, Uid, MaildirId)| {
            let moved = Moved {
                pair: one.pair.id,
                to: work.base.key,
                uid: *uid,
                file: Some(file.clone()),
                size: one.size,
            };
            let why = format!("from {from}, as {uid} was moved there");
            let trail = Some(Trail::from(from).of_pair(one.pair.id));
            let change = work.change(Side::Local, "moved", file.any(), why);
            (moved, Change { trail, ..change })
        };
        let (moved, changes): (Vec<Moved>, Vec<Change>) = arrived.iter().map(note).unzip();
        pass.counts.moved_local += moved.len();
        self.state.apply_moves(&moved, &changes)?;
        Ok(())
    }

    async fn move_there(
        &mut self,
        works: &Works,
        (from, to): (&MailboxName, &MailboxName),
        moves: &[Move],
        pass: &mut PassState,
    ) -> Result<(), Ended> {
        let source = self.place(works, from)?;
        let Some(work) = works.get(to) else {
            return Ok(());
        };
        let (mut names, mut leaving) = (BTreeMap::new(), BTreeMap::new());
        for one in moves {
            if let (AnyId::Remote(uid), AnyId::Local(file)) = (&one.id, &one.partner) {
                match &one.arrived {
                    Some(AnyId::Remote(new)) => {
                        leaving.insert(*uid, (one, *new, file.clone()));
                    }
                    _ => drop(names.insert(*uid, (one, file.clone()))),
                }
            }
        }
        let mut arrived: Vec<(&Move, Uid, MaildirId)> = Vec::new();
        let mut marked: BTreeSet<Uid> = BTreeSet::new();
        let pairs = leaving.iter().map(|(uid, (one, ..))| (*uid, one.pair.id));
        let pairs: BTreeMap<Uid, PairId> = pairs.collect();
        let removals: Vec<Removal<Uid>> = match pairs.is_empty() {
            true => Vec::new(),
            false => {
                let proven = self.proven(&source, &pairs).await?;
                proven.into_iter().map(removal).collect()
            }
        };
        if !removals.is_empty() {
            for (uid, how) in self.remote.remove(&source, &removals).await? {
                arrived.extend(leaving.remove(&uid));
                if how == Removed::Marked {
                    marked.insert(uid);
                }
            }
        }
        if !names.is_empty() {
            let done = self.transfer_there(works, &source, work, &names).await?;
            for (old, new) in done {
                if let (Some((one, file)), Some(new)) = (names.remove(&old), new) {
                    arrived.push((one, new, file));
                }
            }
        }
        let note = |(one, uid, file): &(&Move, Uid, MaildirId)| {
            let moved = Moved {
                pair: one.pair.id,
                to: work.base.key,
                uid: *uid,
                file: Some(file.clone()),
                size: one.size,
            };
            let why = format!("from {from}, as {file} was moved here");
            let trail = Some(Trail::from(from).of_pair(one.pair.id));
            let change = work.change(Side::Remote, "moved", uid.any(), why);
            (moved, Change { trail, ..change })
        };
        let (moved, changes): (Vec<Moved>, Vec<Change>) = arrived.iter().map(note).unzip();
        pass.counts.moved_remote += moved.len();
        self.state.apply_moves(&moved, &changes)?;
        self.leave_marked(from, marked)?;
        Ok(())
    }

    async fn transfer_there(
        &mut self,
        works: &Works,
        source: &Place,
        work: &Work,
        names: &BTreeMap<Uid, (&Move, MaildirId)>,
    ) -> Result<Vec<(Uid, Option<Uid>)>, Ended> {
        let from = match works.get(&source.mailbox) {
            Some(work) => Some(work.base.key),
            None => self.state.mailbox_key(&source.mailbox)?,
        };
        let note = |(uid, (one, file)): (&Uid, &(&Move, MaildirId))| {
            let (pair, mailbox, uid) = (one.pair.id, from?, *uid);
            Some((file.clone(), Source { pair, mailbox, uid }))
        };
        let notes: Vec<(MaildirId, Source)> = names.iter().filter_map(note).collect();
        let (key, now) = (work.base.key, (self.world.now)());
        self.state.begin_moves(key, &notes, work.top, now)?;
        let shifts: Vec<Shift<Uid>> = names.keys().copied().map(shift).collect();
        let place = work.place();
        let uids: Vec<Uid> = names.keys().copied().collect();
        if let Some(from) = from {
            let expected = self.expected(from, &sample(&uids))?;
            self.remote.expect_object_ids(source, expected);
        }
        let done = self
            .transfer_narrowed((source, &place), &shifts, names)
            .await?;
        if let (Err(StoreError::Renumbered(_)), Some(from)) = (&done, from) {
            self.state.doubt(from, Doubt::Suspected)?;
        }
        if let Err(error) = &done
            && error.is_local_to_mailbox()
        {
            // The server answered NO: earlier parts stay, and nothing happens later.
            self.state.begin_moves(key, &notes, work.top, 0)?;
        }
        Ok(done?)
    }

    /// Moves messages; those at which the connection breaks are refused. A COPY is not sent again.
    async fn transfer_narrowed(
        &mut self,
        (source, place): (&Place, &Place),
        shifts: &[Shift<Uid>],
        names: &BTreeMap<Uid, (&Move, MaildirId)>,
    ) -> Result<Result<Transferred, StoreError>, Ended> {
        let how = Transfer::Move;
        if !self.remote.has_atomic_move() {
            return Ok(self.remote.transfer(source, place, how, shifts).await);
        }
        let (done, key) = (
            RefCell::new(Vec::new()),
            self.state.mailbox_key(&source.mailbox)?,
        );
        let uids: Vec<Uid> = shifts.iter().map(|shift| shift.id).collect();
        let expected = match key {
            Some(key) => self.expected(key, &sample(&uids))?,
            None => Vec::new(),
        };
        let send = async |remote: &mut R, shifts: &[Shift<Uid>]| {
            remote.expect_object_ids(source, expected.clone());
            let moved = remote.transfer(source, place, how, shifts).await?;
            done.borrow_mut().extend(moved);
            Ok(())
        };
        let culprits = match narrowed(&mut *self.remote, shifts, send).await {
            Ok(culprits) => culprits,
            Err(error) => return Ok(Err(error)),
        };
        for culprit in culprits {
            let why = format!("the connection breaks when it is moved: {}", culprit.error);
            let pair = names.get(&culprit.change.id).map(|(one, _)| one.pair.id);
            self.refuse_changes(pair.into_iter(), &why)?;
        }
        Ok(Ok(done.into_inner()))
    }

    /// Records originals that stay marked `\Deleted` on a server that cannot expunge single
    /// messages, so that they are not new.
    fn leave_marked(&mut self, from: &MailboxName, marked: BTreeSet<Uid>) -> Result<(), Ended> {
        if marked.is_empty() {
            return Ok(());
        }
        if let Some(key) = self.state.mailbox_key(from)? {
            let aside = |uid| Outcome::Alone {
                pair: None,
                aside: super::remove_there::marked(uid, crate::model::Flags::default()),
            };
            let outcomes: Vec<Outcome> = marked.into_iter().map(aside).collect();
            self.state.apply(key, &outcomes, &[])?;
        }
        Ok(())
    }

    /// Records ids of messages on the server, if unknown.
    pub(super) async fn learn_kin(&mut self, works: &Works) -> Result<(), Ended> {
        let names = self.state.mailboxes()?.into_iter();
        let names: BTreeMap<_, _> = names.map(|(name, key)| (key, name)).collect();
        for (key, nameless) in self.state.nameless()? {
            let Some(name) = names.get(&key).filter(|name| self.concerns(name)) else {
                continue;
            };
            let uids: Vec<Uid> = nameless.keys().copied().collect();
            let place = self.place(works, name)?;
            let kin = match kin_there(&mut *self.remote, &place, &uids).await {
                Ok(kin) => kin,
                Err(error) if error.is_local_to_mailbox() => {
                    tracing::debug!(mailbox = %name, %error, "ids not learned");
                    continue;
                }
                Err(error) => return Err(StoreError::into(error)),
            };
            let pair = |(uid, kin)| Some((*nameless.get(&uid)?, kin));
            let learned: Vec<_> = kin.into_iter().filter_map(pair).collect();
            self.state.learn_kin(&learned)?;
        }
        Ok(())
    }
}

fn removal<I>(id: I) -> Removal<I> {
    Removal {
        id,
        saw: None,
        elsewhere: true,
    }
}

fn shift<I>(id: I) -> Shift<I> {
    Shift {
        id,
        delivery: None,
        size: None,
        renamed: false,
        agreed: Flags::default(),
    }
}
