//! The side in memory as a store.

use super::fuse::Fuse;
use super::memory::{Memory, MemoryId, Message, called};
use super::memory_serve::object;
use super::memory_sides::{MemoryReceiver, Target};
use mailtide::model::*;
use mailtide::reconcile::leaving::passing_name;
use mailtide::reconcile::{Coverage, Cursor, FlagMask, Identity, Listed, Look, News, Presence};
use mailtide::store::*;
use std::collections::{BTreeMap, BTreeSet};

impl<I: MemoryId> MailStore for Memory<I> {
    type Id = I;
    type Receiver = MemoryReceiver<I>;

    async fn list(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.inner.borrow_mut().counts.lists += 1;
        let inner = self.inner.borrow();
        let listed = inner.boxes.iter().map(|(name, b)| Listed {
            name: name.clone(),
            presence: Presence::Mailbox,
            view: false,
            news: match (inner.deltas, left.get(name) == Some(&b.mark())) {
                (false, _) => News::Untold,
                (true, true) => News::None,
                (true, false) => News::Some,
            },
            special_use: None,
            census: b.census.clone(),
            identity: Some(Identity {
                text: b.called.map_or(b.uid_validity.to_string(), str::to_owned),
                proves: inner.proves,
            }),
        });
        let containers = inner.containers.iter().map(|name| Listed {
            name: name.clone(),
            presence: Presence::Container,
            view: false,
            news: News::Some,
            special_use: None,
            census: None,
            identity: None,
        });
        Ok(listed.chain(containers).collect())
    }

    async fn look(&mut self, ask: &Ask<'_>) -> Result<Look<I>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        {
            let counts = &mut self.inner.borrow_mut().counts;
            counts.looks += 1;
            counts.known += ask.base.pairs.len();
        }
        let name = &ask.base.name;
        if self.inner.borrow().breaks_look.contains(name) {
            self.inner.borrow_mut().breaks += 1;
            return Err(StoreError::Retry("the connection broke at a look".into()));
        }
        let inner = self.inner.borrow();
        let gone = || StoreError::Mailbox(format!("no mailbox {name}"));
        let b = inner.boxes.get(name).ok_or_else(gone)?;
        let uid_validity = (I::SIDE == Side::Remote).then_some(UidValidity(b.uid_validity));
        let mut look = Look::unchanged(uid_validity, b.mark());
        look.stores = inner.stores.clone();
        look.sees = inner.stores.clone();
        look.writable = !b.read_only;
        look.remarks = b.remarks.clone();
        look.next = (I::SIDE == Side::Remote).then_some(b.next);
        if b.blind {
            look.coverage = Coverage::Partial;
            return Ok(look);
        }
        let since = ask.cursor.filter(|c| !c.0.is_empty()).and_then(|c| {
            let parts: Vec<u64> = c.0.split(' ').map(|p| p.parse().unwrap()).collect();
            (parts[0] == b.uid_validity).then(|| (parts[1], parts[2]))
        });
        // Put back from a backup.
        look.renumbered = since.is_some_and(|(next, _)| next > u64::from(b.next));
        let since = since.filter(|_| !look.renumbered).map(|(_, modseq)| modseq);
        let tells = inner.deltas && I::SIDE == Side::Remote;
        look.rewound = tells && since.is_some_and(|modseq| modseq > b.modseq);
        let since = since.filter(|_| !look.rewound);
        let delta = inner.deltas && ask.depth == Depth::Changes && since.is_some();
        if delta && I::SIDE == Side::Remote {
            let known = ask.base.outline().last.into_iter();
            let known = known.filter_map(|uid| {
                let message = b.messages.iter().find(|(id, _)| id.any() == uid.any())?;
                Some((message.0.clone(), called(inner.objects, message.1)))
            });
            look.known = known.collect();
        }
        if !delta {
            look.coverage = Coverage::Complete;
        }
        let pairs = ask.base.pairs.iter();
        let known = |pair: &Pair| (pair.size, pair.stamp);
        let sizes: BTreeMap<AnyId, (u64, Option<Stamp>)> = pairs
            .map(|pair| (AnyId::Local(pair.file.clone()), known(pair)))
            .collect();
        look.letters = b.table.clone();
        look.obscured = b.obscured.clone();
        for (id, message) in &b.messages {
            if b.obscured.contains(id) {
                continue;
            }
            if delta && message.modseq <= since.unwrap() && !message.broken && !message.edited {
                continue;
            }
            look.seen.insert(id.clone(), Some(message.flags.clone()));
            note_letters(&mut look, id, message, !sizes.contains_key(&id.any()));
            if !b.dim || sizes.contains_key(&id.any()) {
                look.sizes.insert(id.clone(), message.body.len() as u64);
            }
            if message.broken {
                look.broken.insert(id.clone());
            }
            let Weight { size, stamp } = message.weight();
            let full = ask.depth == Depth::Everything;
            match sizes.get(&id.any()) {
                Some((known, _)) if message.edited && *known != size => {
                    look.edited.insert(id.clone());
                }
                Some((_, known)) if full && *known != stamp => {
                    look.touched.insert(id.clone());
                }
                _ => {}
            }
            look.origins
                .extend(id.origin().map(|origin| (id.clone(), origin)));
        }
        if delta {
            let expunged = b.expunged.iter().filter(|(at, _)| *at > since.unwrap());
            let gone = expunged.map(|(_, id)| id.clone()).collect();
            look.coverage = Coverage::Delta { gone };
        }
        if b.dim {
            look.coverage = Coverage::Partial;
        }
        Ok(look)
    }

    async fn fingerprints(
        &mut self,
        place: &Place,
        ids: &[I],
        sizes: Option<&BTreeSet<u64>>,
    ) -> Result<Vec<(I, Fingerprint)>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.break_heads(place, ids.iter())?;
        let locked = self.inner.borrow().locked.clone();
        self.told(place, |b| {
            let there = ids
                .iter()
                .filter_map(|id| b.messages.get(id).map(|m| (id, m)));
            let prints = there
                .filter(|(_, m)| !m.broken && !locked.contains(&m.body))
                .map(|(id, m)| (id.clone(), m.body.clone()));
            Ok(prints.collect::<Vec<_>>())
        })
        .map(|bodies| {
            let prints = bodies.into_iter();
            let prints = prints.map(|(id, body)| (id, self.told_print(&body)));
            let fits = |(_, f): &(I, Fingerprint)| sizes.is_none_or(|s| s.contains(&f.whole));
            prints.filter(fits).collect()
        })
    }

    async fn read<S: Sink<I>>(
        &mut self,
        place: &Place,
        ids: &[I],
        sink: &mut S,
    ) -> Result<(), StoreError> {
        for id in ids {
            let found = self.at(place, |b| Ok(b.messages.get(id).cloned()))?;
            let Some(message) = found else { continue };
            if self.inner.borrow().mute.contains(&message.body) {
                continue;
            }
            if message.broken || self.inner.borrow().locked.contains(&message.body) {
                sink.fail(id.clone(), "its body cannot be had".into())
                    .await?;
                continue;
            }
            let about = About {
                id: id.clone(),
                flags: message.flags.clone(),
                date: Some(Timestamp(message.date)),
                stored: self.told_size(&message.body),
                stamp: message.weight().stamp.filter(|_| I::SIDE == Side::Local),
                kin: self.inner.borrow().objects.then(|| object(&message)),
            };
            self.inner.borrow_mut().counts.reads += 1;
            sink.begin(message.body.len() as u64, Some(&about)).await?;
            let (left, right) = message.body.split_at(message.body.len() / 2);
            sink.chunk(left).await?;
            if let Err(error) = self.step().and_then(|()| self.break_at(&message.body)) {
                sink.abandon().await?;
                return Err(error);
            }
            sink.chunk(right).await?;
            sink.end(about).await?;
        }
        Ok(())
    }

    async fn excerpts(
        &mut self,
        place: &Place,
        ids: &[(I, Option<u64>)],
    ) -> Result<Vec<(I, Excerpt)>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.break_heads(place, ids.iter().map(|(id, _)| id))?;
        let locked = self.inner.borrow().locked.clone();
        self.told(place, |b| {
            let there = ids
                .iter()
                .filter_map(|(id, _)| Some((id.clone(), b.messages.get(id)?)));
            let whole = there.filter(|(_, m)| !m.broken && !locked.contains(&m.body));
            Ok(whole
                .map(|(id, m)| (id, Excerpt::of_wire(&m.body)))
                .collect())
        })
    }

    async fn transfer(
        &mut self,
        from: &Place,
        to: &Place,
        how: Transfer,
        shifts: &[Shift<I>],
    ) -> Result<Vec<(I, Option<I>)>, StoreError> {
        self.check_expected(from)?;
        let mut done = Vec::new();
        let (tells, by_copy) = {
            let inner = self.inner.borrow();
            let remote = I::SIDE == Side::Remote;
            (inner.tells || !remote, inner.moves_by_copy && remote)
        };
        for shift in shifts {
            self.refuses_change(from, &shift.id)?;
        }
        for shift in shifts {
            Fuse::turn(&self.fuse).await;
            self.step()?;
            self.break_change(from, &shift.id)?;
            let Some(mut message) = self.at(from, |b| Ok(b.messages.get(&shift.id).cloned()))?
            else {
                continue;
            };
            self.wrote();
            let origin = shift.delivery.as_ref().and_then(|d| d.origin);
            if let Some(delivery) = &shift.delivery {
                message.flags = delivery.flags.clone();
            }
            (message.stale, message.meant) = (BTreeSet::new(), None);
            let keeps = how == Transfer::Move && I::SIDE == Side::Local && !shift.renamed;
            let drops = self.inner.borrow().odd.drops_copies;
            let new = self.at(to, |b| match keeps && !b.messages.contains_key(&shift.id) {
                true => {
                    b.put_as(shift.id.clone(), message);
                    Ok(shift.id.clone())
                }
                false if drops => Ok(b.next_id()),
                false => Ok(b.put(message, origin)),
            })?;
            if how == Transfer::Move {
                if by_copy {
                    self.step()?;
                }
                self.at(from, |b| Ok(b.drop_message(&shift.id)))?;
            }
            self.step()?;
            match (tells, how) {
                (true, _) => done.push((shift.id.clone(), Some(new))),
                (false, Transfer::Copy) => done.push((shift.id.clone(), None)),
                (false, Transfer::Move) => {}
            }
        }
        Ok(done)
    }

    async fn rename_mailbox(
        &mut self,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<(), StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        let there = {
            let inner = self.inner.borrow();
            if inner.stuck.contains(from) {
                return Err(StoreError::Mailbox(format!("{from} is not renamed")));
            }
            (inner.boxes.contains_key(from), inner.boxes.contains_key(to))
        };
        match there {
            (true, false) => self.rename(from, to),
            (false, true) => return Ok(()),
            _ => return Err(StoreError::Stale("in the way, or gone".into())),
        }
        self.wrote();
        self.step()
    }

    async fn receive(&mut self, place: &Place) -> Result<MemoryReceiver<I>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.at(place, |_| Ok(()))?;
        Ok(self.receiver(place, Target::Mailbox))
    }

    async fn set_flags(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<I>],
    ) -> Result<Vec<I>, StoreError> {
        self.check_expected(place)?;
        let mut done = Vec::new();
        for edit in edits {
            Fuse::turn(&self.fuse).await;
            self.step()?;
            self.break_change(place, &edit.id)?;
            if self.is_fixed(place, &edit.id) {
                continue;
            }
            let stores = self.decline(place, &edit.change.add);
            let stores = stores.without(&self.inner.borrow().odd.forgets);
            let there = self.at(place, |b| {
                b.modseq += 1;
                let modseq = b.modseq;
                let Some(message) = b.messages.get_mut(&edit.id) else {
                    return Ok(false);
                };
                message.modseq = modseq;
                message.flags = stores.keep(&edit.change.apply(&message.flags));
                (message.stale, message.meant) = (BTreeSet::new(), None);
                let flags = message.flags.clone();
                b.give_letters(&flags);
                Ok(true)
            })?;
            self.wrote();
            done.extend(there.then(|| edit.id.clone()));
        }
        Ok(done)
    }

    async fn remove(
        &mut self,
        place: &Place,
        removals: &[Removal<I>],
    ) -> Result<Vec<(I, Removed)>, StoreError> {
        let (marks, mut done) = (self.inner.borrow().marks, Vec::new());
        for removal in removals {
            self.refuses_change(place, &removal.id)?;
        }
        for removal in removals {
            Fuse::turn(&self.fuse).await;
            self.step()?;
            self.break_change(place, &removal.id)?;
            let body = self.at(place, |b| {
                let Some(message) = b.messages.get_mut(&removal.id) else {
                    return Ok(None);
                };
                if !removal.still_holds(&message.flags) {
                    return Ok(None);
                }
                if marks {
                    message.flags.insert(SystemFlag::Deleted);
                    b.modseq += 1;
                    message.modseq = b.modseq;
                    return Ok(Some(Vec::new()));
                }
                Ok(b.drop_message(&removal.id).map(|m| m.body))
            })?;
            self.wrote();
            let Some(body) = body else { continue };
            let mut how = match marks {
                true => Removed::Marked,
                false => Removed::Gone,
            };
            if I::SIDE == Side::Local {
                let mut inner = self.inner.borrow_mut();
                inner.quarantine.push(body);
                let number = inner.quarantine.len() - 1;
                how = Removed::Kept(format!("day/{number}").into_bytes());
            }
            done.push((removal.id.clone(), how));
        }
        Ok(done)
    }

    fn keeps_removed(&self, _: &MailboxName) -> bool {
        false
    }

    async fn create_mailbox(&mut self, name: &MailboxName) -> Result<(), StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.wrote();
        self.create(name);
        Ok(())
    }

    async fn delete_mailbox(&mut self, base: &MailboxBase) -> Result<End, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.wrote();
        if let Some(end) = self.is_deleted_otherwise(base) {
            return end;
        }
        if I::SIDE == Side::Remote && self.fuse.borrow().beside.is_some() {
            return self.delete_by_passing_name(base).await;
        }
        let mut inner = self.inner.borrow_mut();
        let gone = inner.boxes.remove(&base.name).unwrap();
        if I::SIDE == Side::Local {
            inner
                .quarantine
                .extend(gone.messages.into_values().map(|m| m.body));
        }
        Ok(End::Gone)
    }

    async fn confirm_absent(&mut self, name: &MailboxName) -> Result<bool, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        Ok(!self.inner.borrow().boxes.contains_key(name))
    }
}

impl<I: MemoryId> Memory<I> {
    /// How the deletion of a mailbox ends that is not carried out.
    fn is_deleted_otherwise(&self, base: &MailboxBase) -> Option<Result<End, StoreError>> {
        let inner = self.inner.borrow();
        let Some(b) = inner.boxes.get(&base.name) else {
            return Some(Ok(End::Gone));
        };
        let marked = base.aside.iter().filter(|aside| aside.is_disposable());
        let known: BTreeSet<AnyId> = base
            .pairs
            .iter()
            .flat_map(|pair| [AnyId::Remote(pair.uid), AnyId::Local(pair.file.clone())])
            .chain(marked.map(|aside| aside.id.clone()))
            .collect();
        if b.messages.keys().any(|id| !known.contains(&id.any())) {
            return Some(Err(StoreError::Stale("it holds new mail".into())));
        }
        if inner.stuck.contains(&base.name) {
            return Some(Ok(End::Stays("it cannot be renamed".into())));
        }
        let other = |uid_validity: UidValidity| uid_validity.0 != b.uid_validity;
        let other = I::SIDE == Side::Remote && base.uid_validity.is_some_and(other);
        other.then(|| Err(StoreError::Stale("it is another mailbox".into())))
    }

    /// A mailbox gets a name in passing, and is deleted when nothing came to it meanwhile.
    async fn delete_by_passing_name(&self, base: &MailboxBase) -> Result<End, StoreError> {
        let names = self.names();
        if names.iter().any(|name| name.below(&base.name).is_some()) {
            return Ok(End::Stays("mailboxes lie below it".into()));
        }
        let free = |n| passing_name(&base.name, n).filter(|name| !names.contains(name));
        let passing = (1..).find_map(free).unwrap();
        let before = self.ids(&base.name);
        self.rename(&base.name, &passing);
        Fuse::turn(&self.fuse).await;
        self.step()?;
        if !self.names().contains(&passing) {
            return Err(StoreError::Stale("it is gone".into()));
        }
        if self.ids(&passing) != before {
            if !self.names().contains(&base.name) {
                self.rename(&passing, &base.name);
            }
            return Err(StoreError::Stale("it holds new mail".into()));
        }
        Fuse::turn(&self.fuse).await;
        self.step()?;
        if !self.names().contains(&passing) && self.names().contains(&base.name) {
            return Err(StoreError::Stale("it has its name back".into()));
        }
        self.inner.borrow_mut().boxes.remove(&passing);
        Ok(End::Gone)
    }

    /// Whether a file cannot be changed; notes that.
    fn is_fixed(&self, place: &Place, id: &I) -> bool {
        let mut inner = self.inner.borrow_mut();
        let b = inner.boxes.get(&place.mailbox);
        let message = b.and_then(|b| b.messages.get(id));
        let fixed = message.is_some_and(|message| inner.fixed.contains(&message.body));
        if fixed {
            inner.unchanged.push(Obstacle {
                mailbox: place.mailbox.clone(),
                id: id.clone(),
                why: "its name is too long".into(),
            });
        }
        fixed
    }

    /// What a mailbox can store of this; notes the keywords that it refuses.
    fn decline(&self, place: &Place, add: &Flags) -> FlagMask {
        let mut inner = self.inner.borrow_mut();
        let refused = add.intersection(&inner.declines);
        for keyword in refused.keywords() {
            inner.declined.push(RefusedKeyword {
                mailbox: place.mailbox.clone(),
                keyword: keyword.clone(),
                why: "no".into(),
            });
        }
        inner.stores.without(&refused)
    }
}

/// What the letters in the name of a file tell a look.
pub(super) fn note_letters<I: MemoryId>(look: &mut Look<I>, id: &I, message: &Message, new: bool) {
    let mut letters = look.letters.of(&message.flags);
    letters.extend(&message.stale);
    let upper = message.flags.bits().count_ones() as usize;
    let upper = upper + usize::from(message.flags.has_keyword(&Keyword::forwarded()));
    if upper + letters.len() == 12 {
        look.cut.insert(id.clone());
    }
    if new && !letters.is_empty() {
        look.carried.insert(id.clone(), letters);
    } else if !new && !message.stale.is_empty() {
        look.vague.insert(id.clone());
    }
}
