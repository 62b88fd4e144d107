//! What only the side in memory that keeps files can do, and taking messages in.

use super::fuse::Fuse;
use super::memory::{Memory, MemoryId, Message};
use super::memory_store::note_letters;
use mailtide::model::*;
use mailtide::reconcile::{Cursor, Look};
use mailtide::store::*;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// What a side was asked for, how often.
#[derive(Debug, Default)]
pub struct Counts {
    /// Bodies in full.
    pub reads: u32,
    /// All mailboxes.
    pub lists: u32,
    /// To make durable what was written, for all mailboxes.
    pub settles: u32,
    /// To publish what came.
    pub published: u32,
    /// To forget what was seen in a mailbox.
    pub forgotten: u32,
    /// Mailboxes that were looked into.
    pub looks: usize,
    /// Pairs that were read of the base for looks.
    pub known: usize,
    /// Looks that were foreseen, that were not, and that were and then not asked for.
    pub foreseen: [usize; 3],
    /// What is foreseen.
    next: VecDeque<(MailboxName, Depth)>,
}

impl Counts {
    fn note_look(&mut self, mailbox: &MailboxName, depth: Depth) {
        let is = |(next, to): &(MailboxName, Depth)| next == mailbox && *to == depth;
        let [foreseen, surprises, idle] = &mut self.foreseen;
        match self.next.iter().position(is) {
            Some(at) => {
                self.next.drain(..=at);
                (*foreseen, *idle) = (*foreseen + 1, *idle + at);
            }
            None => *surprises += 1,
        }
    }
}

impl Memory<MaildirId> {
    fn kept(&self, path: &[u8]) -> Option<Vec<u8>> {
        let number = number(path);
        let body = self.inner.borrow().quarantine.get(number).cloned();
        body.filter(|body| !body.is_empty())
    }
}

/// Where a message lies in quarantine; all of it is of one day.
fn number(path: &[u8]) -> usize {
    let text = std::str::from_utf8(path).unwrap();
    text.strip_prefix("day/").unwrap().parse().unwrap()
}

impl LocalStore for Memory<MaildirId> {
    async fn letters(&mut self, mailbox: &MailboxName) -> Result<Option<Letters>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        let inner = self.inner.borrow();
        Ok(inner.boxes.get(mailbox).map(|b| b.table.clone()))
    }

    async fn letter_tables(&mut self) -> Result<Vec<Letters>, StoreError> {
        let inner = self.inner.borrow();
        Ok(inner.boxes.values().map(|b| b.table.clone()).collect())
    }

    async fn bare_sizes(
        &mut self,
        place: &Place,
        ids: &[MaildirId],
    ) -> Result<Vec<(MaildirId, u64)>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        let locked = self.inner.borrow().locked.clone();
        self.at(place, |b| {
            let body = |id: &MaildirId| Some((id.clone(), b.messages.get(id)?.body.clone()));
            let bodies = ids.iter().filter_map(body);
            let bodies = bodies.filter(|(_, body)| !locked.contains(body));
            let bare = bodies.filter_map(|(id, body)| {
                let (mut bare, mut left) = (Bare::default(), 0);
                bare.pass(&body, &mut |part| left += part.len());
                bare.end(&mut |part| left += part.len());
                (left < body.len()).then_some((id, left as u64))
            });
            Ok(bare.collect())
        })
    }

    async fn quarantined_excerpt(
        &mut self,
        path: &[u8],
        _: Option<u64>,
    ) -> Result<Option<Excerpt>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        Ok(self.kept(path).map(|body| Excerpt::of_wire(&body)))
    }

    async fn restore(
        &mut self,
        place: &Place,
        path: &[u8],
        delivery: &Delivery,
    ) -> Result<Option<(MaildirId, u64)>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        let Some(body) = self.kept(path) else {
            return Ok(None);
        };
        let size = body.len() as u64;
        let message = self.fresh(body, delivery.flags.clone(), 1000);
        let id = self.at(place, |b| Ok(b.put(message, delivery.origin)))?;
        let number = number(path);
        self.inner.borrow_mut().quarantine[number].clear();
        self.wrote();
        self.step()?;
        Ok(Some((id, size)))
    }

    async fn quarantine(&mut self, place: &Place) -> Result<Self::Receiver, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        Ok(self.receiver(place, Target::Quarantine))
    }

    fn hold_syncs(&mut self) {
        self.inner.borrow_mut().held = true;
    }

    async fn sync_all(&mut self) -> Result<(), StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        let mut inner = self.inner.borrow_mut();
        inner.counts.settles += 1;
        inner.held = false;
        inner.unsynced.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn unchanged(
        &mut self,
        mailbox: &MailboxName,
        cursor: &Cursor,
    ) -> Result<Option<Look<MaildirId>>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        let inner = self.inner.borrow();
        let gone = || StoreError::Mailbox(format!("no mailbox {mailbox}"));
        let b = inner.boxes.get(mailbox).ok_or_else(gone)?;
        // Those are shown by each look.
        let odd = |message: &Message| message.broken || message.edited;
        let plain = b.remarks.is_empty()
            && b.obscured.is_empty()
            && !b.blind
            && !b.dim
            && !b.messages.values().any(odd);
        let same = inner.deltas && *cursor == b.mark();
        let look = || {
            let mut look = Look::unchanged(None, b.mark());
            (look.sees, look.stores) = (inner.stores.clone(), inner.stores.clone());
            look.writable = !b.read_only;
            look
        };
        Ok((same && plain).then(look))
    }

    async fn look_for(
        &mut self,
        mailbox: &MailboxName,
        mut recorded: Recorded,
        _: Option<&Cursor>,
        depth: Depth,
    ) -> Result<Option<(Look<MaildirId>, Unlike)>, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.inner.borrow_mut().counts.note_look(mailbox, depth);
        let inner = self.inner.borrow();
        let gone = || StoreError::Mailbox(format!("no mailbox {mailbox}"));
        let b = inner.boxes.get(mailbox).ok_or_else(gone)?;
        let mut odd = !b.remarks.is_empty() || !b.obscured.is_empty() || b.blind || b.dim;
        let mut look = Look::unchanged(None, b.mark());
        look.letters = b.table.clone();
        for (id, message) in &b.messages {
            let weight = (depth == Depth::Everything).then(|| message.weight());
            odd |= message.broken || message.edited;
            let struck = recorded.strike(id.as_bytes(), &message.flags, weight);
            if !matches!(struck, Struck::Same | Struck::Touched) {
                odd |= weight.is_some();
                look.seen.insert(id.clone(), Some(message.flags.clone()));
                note_letters(&mut look, id, message, struck == Struck::New);
            }
            if struck == Struck::New {
                look.sizes.insert(id.clone(), message.body.len() as u64);
                look.origins.extend(id.origin().map(|o| (id.clone(), o)));
            }
        }
        let unlike = recorded.unlike();
        if odd || depth == Depth::Everything && !unlike.is_empty() {
            return Ok(None);
        }
        (look.sees, look.stores) = (inner.stores.clone(), inner.stores.clone());
        look.writable = !b.read_only;
        Ok(Some((look, unlike)))
    }

    async fn create_mailboxes(&mut self, names: &[MailboxName]) -> Vec<Result<(), StoreError>> {
        let mut all = Vec::new();
        for name in names {
            all.push(self.create_mailbox(name).await);
        }
        all
    }

    async fn publish(&mut self, receivers: Vec<Self::Receiver>) -> Vec<Published<MaildirId>> {
        self.inner.borrow_mut().counts.published += 1;
        let mut all = Vec::new();
        for receiver in receivers {
            all.push(receiver.finish().await);
        }
        all
    }

    fn prefetch(&mut self, next: &[(MailboxName, Depth)]) {
        let counts = &mut self.inner.borrow_mut().counts;
        let [.., idle] = &mut counts.foreseen;
        *idle += counts.next.len();
        counts.next = next.iter().cloned().collect();
    }

    fn unreadable(&self, mailbox: &MailboxName) -> Vec<Obstacle<MaildirId>> {
        let inner = self.inner.borrow();
        let all = inner.boxes.get(mailbox).into_iter();
        let all = all.flat_map(|b| &b.messages);
        let locked = all.filter(|(_, message)| inner.locked.contains(&message.body));
        let obstacle = |(id, _): (&MaildirId, _)| Obstacle {
            mailbox: mailbox.clone(),
            id: id.clone(),
            why: "no permission".into(),
        };
        locked.map(obstacle).collect()
    }

    fn take_unchanged(&mut self) -> Vec<Obstacle<MaildirId>> {
        std::mem::take(&mut self.inner.borrow_mut().unchanged)
    }

    fn forget(&mut self, _: &MailboxName) {
        self.inner.borrow_mut().counts.forgotten += 1;
    }

    fn is_stable(&self, _: &MailboxName) -> bool {
        true
    }

    async fn rename_edited(
        &mut self,
        place: &Place,
        id: &MaildirId,
    ) -> Result<MaildirId, StoreError> {
        Fuse::turn(&self.fuse).await;
        self.step()?;
        self.wrote();
        self.at(place, |b| {
            let mut message = b.drop_message(id).ok_or(StoreError::Stale("gone".into()))?;
            message.edited = false;
            Ok(b.put(message, None))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Mailbox,
    Quarantine,
}

/// Remote: stores at each `end`, as APPEND does. Local: all at `finish`, as a batch of files.
#[derive(Debug)]
pub struct MemoryReceiver<I: MemoryId> {
    memory: Memory<I>,
    place: Place,
    target: Target,
    body: Vec<u8>,
    size: u64,
    /// A message has begun.
    open: bool,
    waiting: Vec<(Vec<u8>, Delivery)>,
    done: Vec<(usize, Delivered<I>)>,
}

impl<I: MemoryId> Memory<I> {
    pub(super) fn receiver(&self, place: &Place, target: Target) -> MemoryReceiver<I> {
        MemoryReceiver {
            memory: self.clone(),
            place: place.clone(),
            target,
            body: Vec::new(),
            size: 0,
            open: false,
            waiting: Vec::new(),
            done: Vec::new(),
        }
    }
}

impl<I: MemoryId> MemoryReceiver<I> {
    fn store(&mut self, body: Vec<u8>, delivery: Delivery) -> Result<(), StoreError> {
        let memory = self.memory.clone();
        memory.step()?;
        memory.break_at(&body)?;
        memory.wrote();
        let declined = delivery.flags.intersection(&memory.inner.borrow().declines);
        let refuses = memory.inner.borrow().refuses.contains(&body);
        let outcome = if refuses || !declined.is_empty() {
            Delivered::Refused("not this one".into())
        } else if self.target == Target::Quarantine {
            let stored = body.len() as u64;
            memory.inner.borrow_mut().quarantine.push(body);
            Delivered::Stored {
                id: Some(I::make(1, None, &|_| false)),
                stored,
                stamp: None,
            }
        } else {
            let stored = body.len() as u64;
            let mask = memory.inner.borrow().stores.clone();
            let date = delivery.date.map_or(0, |d| d.0);
            let flags = mask.keep(&delivery.flags);
            let message = memory.made_of(memory.fresh(body, flags, date));
            let habit = memory.inner.borrow().habit;
            let breaks = memory.inner.borrow().breaks_after.contains(&message.body);
            let (id, stamp) = memory.at(&self.place, |b| {
                let id = b.take_in(habit, message, &delivery);
                let stamp = b.messages.get(&id).and_then(|m| m.weight().stamp);
                Ok((id, stamp.filter(|_| I::SIDE == Side::Local)))
            })?;
            if breaks {
                memory.inner.borrow_mut().breaks += 1;
                return Err(StoreError::Retry("no answer came".into()));
            }
            if std::mem::take(&mut memory.inner.borrow_mut().lose_reply) {
                return Err(StoreError::Retry(
                    "connection lost after the last byte".into(),
                ));
            }
            memory.step()?;
            let tells = memory.inner.borrow().tells;
            Delivered::Stored {
                id: tells.then_some(id),
                stored,
                stamp,
            }
        };
        self.done.push((delivery.tag, outcome));
        Ok(())
    }
}

impl<I: MemoryId> Receiver for MemoryReceiver<I> {
    type Id = I;

    async fn begin(&mut self, size: u64, delivery: Option<&Delivery>) -> Result<(), StoreError> {
        Fuse::turn(&self.memory.fuse).await;
        self.memory.step()?;
        assert!(
            I::SIDE == Side::Local || delivery.is_some(),
            "APPEND needs to know first"
        );
        assert!(!self.open, "the message before it did not end");
        (self.size, self.open) = (size, true);
        self.body.clear();
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    async fn end(&mut self, delivery: Delivery) -> Result<(), StoreError> {
        let body = std::mem::take(&mut self.body);
        self.open = false;
        assert_eq!(body.len() as u64, self.size);
        match I::SIDE {
            Side::Remote => self.store(body, delivery),
            Side::Local => {
                self.waiting.push((body, delivery));
                Ok(())
            }
        }
    }

    async fn abandon(&mut self) -> Result<(), StoreError> {
        self.open = false;
        self.body.clear();
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<(usize, Delivered<I>)>, StoreError> {
        Fuse::turn(&self.memory.fuse).await;
        self.memory.step()?;
        for (body, delivery) in std::mem::take(&mut self.waiting) {
            self.store(body, delivery)?;
        }
        Ok(std::mem::take(&mut self.done))
    }
}

/// Half a message must not be left: on a wire it would be taken for the beginning of what follows.
impl<I: MemoryId> Drop for MemoryReceiver<I> {
    fn drop(&mut self) {
        let whole = !self.open || std::thread::panicking();
        assert!(whole, "a message neither ended nor was abandoned");
    }
}
