//! The side in memory as a store.

use super::memory::{Memory, MemoryId};
use mailtide::model::*;
use mailtide::reconcile::{Coverage, Cursor, Listed, Look, Presence};
use mailtide::store::*;
use std::collections::{BTreeMap, BTreeSet};

impl<I: MemoryId> Store for Memory<I> {
    type Id = I;
    type Receiver = MemoryReceiver<I>;

    async fn list(
        &mut self,
        left: &BTreeMap<MailboxName, Cursor>,
    ) -> Result<Vec<Listed>, StoreError> {
        self.step()?;
        let inner = self.inner.borrow();
        let listed = inner.boxes.iter().map(|(name, b)| Listed {
            name: name.clone(),
            presence: Presence::Mailbox,
            view: false,
            unchanged: inner.deltas && left.get(name) == Some(&b.mark()),
            special_use: None,
        });
        Ok(listed.collect())
    }

    async fn look(&mut self, ask: &Ask<'_>) -> Result<Look<I>, StoreError> {
        self.step()?;
        let inner = self.inner.borrow();
        let name = &ask.base.name;
        let gone = || StoreError::Mailbox(format!("no mailbox {name}"));
        let b = inner.boxes.get(name).ok_or_else(gone)?;
        let epoch = (I::SIDE == Side::Remote).then_some(UidValidity(b.epoch));
        let mut look = Look::unchanged(epoch, b.mark());
        look.stores = inner.stores.clone();
        look.sees = inner.stores.clone();
        look.writable = !b.read_only;
        if b.blind {
            look.coverage = Coverage::Partial;
            return Ok(look);
        }
        let since = ask.cursor.filter(|c| !c.0.is_empty()).and_then(|c| {
            let mut parts = c.0.split(' ').map(|p| p.parse::<u64>().unwrap());
            (parts.next() == Some(b.epoch)).then(|| parts.nth(1).unwrap())
        });
        let delta = inner.deltas && ask.depth == Depth::Changes && since.is_some();
        if !delta {
            look.coverage = Coverage::Complete;
        }
        for (id, message) in &b.messages {
            if delta && message.modseq <= since.unwrap() && !message.broken && !message.edited {
                continue;
            }
            look.seen.insert(id.clone(), Some(message.flags.clone()));
            if message.broken {
                look.broken.insert(id.clone());
            }
            if message.edited {
                look.edited.insert(id.clone());
            }
            look.origins
                .extend(id.origin().map(|origin| (id.clone(), origin)));
        }
        if delta {
            let expunged = b.expunged.iter().filter(|(at, _)| *at > since.unwrap());
            let gone = expunged.map(|(_, id)| id.clone()).collect();
            look.coverage = Coverage::Delta { gone };
        }
        Ok(look)
    }

    async fn fingerprints(
        &mut self,
        place: &Place,
        ids: &[I],
        sizes: Option<&BTreeSet<u64>>,
    ) -> Result<Vec<(I, Fingerprint)>, StoreError> {
        self.step()?;
        self.at(place, |b| {
            let there = ids
                .iter()
                .filter_map(|id| b.messages.get(id).map(|m| (id, m)));
            let prints = there
                .filter(|(_, m)| !m.broken)
                .map(|(id, m)| (id.clone(), Fingerprint::of_wire(&m.body)));
            Ok(prints
                .filter(|(_, f)| sizes.is_none_or(|s| s.contains(&f.size)))
                .collect())
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
            if message.broken {
                sink.fail(id.clone(), "its body cannot be had".into())
                    .await?;
                continue;
            }
            let about = About {
                id: id.clone(),
                flags: message.flags.clone(),
                date: Some(Timestamp(message.date)),
                stored: message.body.len() as u64,
            };
            sink.begin(message.body.len() as u64, Some(&about)).await?;
            let (left, right) = message.body.split_at(message.body.len() / 2);
            sink.chunk(left).await?;
            if self.step().is_err() {
                sink.abandon().await?;
                return Err(StoreError::Retry("cut".into()));
            }
            sink.chunk(right).await?;
            sink.end(about).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, place: &Place) -> Result<MemoryReceiver<I>, StoreError> {
        self.step()?;
        self.at(place, |_| Ok(()))?;
        Ok(self.receiver(place, Target::Mailbox))
    }

    async fn set_flags(
        &mut self,
        place: &Place,
        edits: &[FlagEdit<I>],
    ) -> Result<Vec<I>, StoreError> {
        let mut done = Vec::new();
        for edit in edits {
            self.step()?;
            let stores = self.inner.borrow().stores.clone();
            let there = self.at(place, |b| {
                b.modseq += 1;
                let modseq = b.modseq;
                let Some(message) = b.messages.get_mut(&edit.id) else {
                    return Ok(false);
                };
                message.modseq = modseq;
                message.flags = stores.keep(&edit.change.apply(&message.flags));
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
            self.step()?;
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
            if I::SIDE == Side::Local {
                self.inner.borrow_mut().quarantine.push(body);
            }
            done.push((
                removal.id.clone(),
                if marks {
                    Removed::Marked
                } else {
                    Removed::Gone
                },
            ));
        }
        Ok(done)
    }

    fn keeps_removed(&self, _: &MailboxName) -> bool {
        false
    }

    async fn create_mailbox(&mut self, name: &MailboxName) -> Result<(), StoreError> {
        self.step()?;
        self.wrote();
        self.create(name);
        Ok(())
    }

    async fn delete_mailbox(&mut self, base: &MailboxBase) -> Result<(), StoreError> {
        self.step()?;
        self.wrote();
        let mut inner = self.inner.borrow_mut();
        let Some(b) = inner.boxes.get(&base.name) else {
            return Ok(());
        };
        let known: BTreeSet<AnyId> = base
            .pairs
            .iter()
            .flat_map(|pair| [AnyId::Remote(pair.uid), AnyId::Local(pair.file.clone())])
            .chain(base.aside.iter().map(|aside| aside.id.clone()))
            .collect();
        if b.messages.keys().any(|id| !known.contains(&id.any())) {
            return Err(StoreError::Stale("it holds new mail".into()));
        }
        let gone = inner.boxes.remove(&base.name).unwrap();
        if I::SIDE == Side::Local {
            inner
                .quarantine
                .extend(gone.messages.into_values().map(|m| m.body));
        }
        Ok(())
    }

    async fn confirm_absent(&mut self, name: &MailboxName) -> Result<bool, StoreError> {
        self.step()?;
        Ok(!self.inner.borrow().boxes.contains_key(name))
    }

    async fn fork(&mut self) -> Result<Option<Self>, StoreError> {
        Ok(None)
    }
}

impl Keep for Memory<MaildirId> {
    async fn quarantine(&mut self, place: &Place) -> Result<Self::Receiver, StoreError> {
        self.step()?;
        Ok(self.receiver(place, Target::Quarantine))
    }

    async fn split(&mut self, place: &Place, id: &MaildirId) -> Result<MaildirId, StoreError> {
        self.step()?;
        self.wrote();
        self.at(place, |b| {
            let mut message = b.drop_message(id).ok_or(StoreError::Stale("gone".into()))?;
            message.edited = false;
            Ok(b.put(message.body, message.flags, message.date, None))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
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
    waiting: Vec<(Vec<u8>, Delivery)>,
    done: Vec<(usize, Delivered<I>)>,
}

impl<I: MemoryId> Memory<I> {
    fn receiver(&self, place: &Place, target: Target) -> MemoryReceiver<I> {
        MemoryReceiver {
            memory: self.clone(),
            place: place.clone(),
            target,
            body: Vec::new(),
            size: 0,
            waiting: Vec::new(),
            done: Vec::new(),
        }
    }
}

impl<I: MemoryId> MemoryReceiver<I> {
    fn store(&mut self, body: Vec<u8>, delivery: Delivery) -> Result<(), StoreError> {
        let memory = self.memory.clone();
        memory.step()?;
        memory.wrote();
        let outcome = if memory.inner.borrow().refuses.contains(&body) {
            Delivered::Refused("not this one".into())
        } else if self.target == Target::Quarantine {
            let stored = body.len() as u64;
            memory.inner.borrow_mut().quarantine.push(body);
            Delivered::Stored {
                id: Some(I::make(1, None, &|_| false)),
                stored,
            }
        } else {
            let stored = body.len() as u64;
            let mask = memory.inner.borrow().stores.clone();
            let date = delivery.date.map_or(0, |d| d.0);
            let flags = mask.keep(&delivery.flags);
            let id = memory.at(&self.place, |b| {
                Ok(b.put(body, flags, date, delivery.origin))
            })?;
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
            }
        };
        self.done.push((delivery.tag, outcome));
        Ok(())
    }
}

impl<I: MemoryId> Receiver for MemoryReceiver<I> {
    type Id = I;

    async fn begin(&mut self, size: u64, delivery: Option<&Delivery>) -> Result<(), StoreError> {
        self.memory.step()?;
        assert!(
            I::SIDE == Side::Local || delivery.is_some(),
            "APPEND needs to know first"
        );
        self.size = size;
        self.body.clear();
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    async fn end(&mut self, delivery: Delivery) -> Result<(), StoreError> {
        let body = std::mem::take(&mut self.body);
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
        self.body.clear();
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<(usize, Delivered<I>)>, StoreError> {
        self.memory.step()?;
        for (body, delivery) in std::mem::take(&mut self.waiting) {
            self.store(body, delivery)?;
        }
        Ok(self.done)
    }
}
