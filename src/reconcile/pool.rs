//! New messages of one content, each used once. The work depends on those used, not on how many are
//! equal.

use super::sighting::Sighting;
use crate::model::{Id, Kin, MailboxName};
use std::collections::{BTreeMap, VecDeque};

/// Up to this many messages are searched one by one.
const FEW: usize = 8;

/// The message to take: the first that matches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a, I> {
    /// One with this id, anywhere.
    Named(&'a I),
    /// One in this mailbox.
    In(&'a MailboxName),
    /// One in this mailbox, or with the same id on the server.
    Akin(&'a MailboxName, Option<Kin>),
    /// Any.
    Any,
}

impl<I: Id> Wanted<'_, I> {
    fn is(&self, new: &Sighting<I>) -> bool {
        match self {
            Wanted::Named(id) => new.id == **id,
            Wanted::In(mailbox) => new.mailbox == **mailbox,
            Wanted::Akin(mailbox, kin) => {
                new.mailbox == **mailbox || (kin.is_some() && new.kin == *kin)
            }
            Wanted::Any => true,
        }
    }
}

/// Indexes of messages in order; taken ones are removed lazily.
type Queue = VecDeque<usize>;

#[derive(Debug)]
struct Index<I> {
    ids: BTreeMap<I, Queue>,
    mailboxes: BTreeMap<MailboxName, Queue>,
    kins: BTreeMap<Kin, Queue>,
    all: Queue,
}

impl<I: Id> Index<I> {
    fn of(items: &[Option<Sighting<I>>]) -> Index<I> {
        let mut index = Index {
            ids: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            kins: BTreeMap::new(),
            all: Queue::new(),
        };
        for (at, new) in items.iter().enumerate() {
            if let Some(new) = new {
                index.add(at, new);
            }
        }
        index
    }

    fn add(&mut self, at: usize, new: &Sighting<I>) {
        self.ids.entry(new.id.clone()).or_default().push_back(at);
        let mailbox = self.mailboxes.entry(new.mailbox.clone()).or_default();
        mailbox.push_back(at);
        if let Some(kin) = new.kin {
            self.kins.entry(kin).or_default().push_back(at);
        }
        self.all.push_back(at);
    }
}

/// Returns the first index whose message was not taken.
fn first<I>(items: &[Option<Sighting<I>>], queue: Option<&mut Queue>) -> Option<usize> {
    let queue = queue?;
    while let Some(at) = queue.front() {
        if items.get(*at).is_some_and(Option::is_some) {
            return Some(*at);
        }
        queue.pop_front();
    }
    None
}

/// New messages of one content.
#[derive(Debug)]
pub(super) struct Pool<I> {
    items: Vec<Option<Sighting<I>>>,
    /// The indexes, made for more than a few messages.
    index: Option<Index<I>>,
}

impl<I> Default for Pool<I> {
    fn default() -> Pool<I> {
        Pool {
            items: Vec::new(),
            index: None,
        }
    }
}

impl<I: Id> Pool<I> {
    pub fn push(&mut self, new: Sighting<I>) {
        if let Some(index) = &mut self.index {
            index.add(self.items.len(), &new);
        }
        self.items.push(Some(new));
    }

    /// Takes the first match; `None`: there is none.
    pub fn take(&mut self, wanted: &Wanted<'_, I>) -> Option<Sighting<I>> {
        let at = self.first(wanted)?;
        self.items.get_mut(at)?.take()
    }

    /// Whether there is a match.
    pub fn has(&mut self, wanted: &Wanted<'_, I>) -> bool {
        self.first(wanted).is_some()
    }

    fn first(&mut self, wanted: &Wanted<'_, I>) -> Option<usize> {
        let items = &self.items;
        if items.len() <= FEW {
            let is = |new: &Option<Sighting<I>>| new.as_ref().is_some_and(|new| wanted.is(new));
            return items.iter().position(is);
        }
        let index = self.index.get_or_insert_with(|| Index::of(items));
        match wanted {
            Wanted::Named(id) => first(items, index.ids.get_mut(id)),
            Wanted::In(mailbox) => first(items, index.mailboxes.get_mut(mailbox)),
            Wanted::Akin(mailbox, kin) => {
                let there = first(items, index.mailboxes.get_mut(mailbox));
                let queue = kin.and_then(|kin| index.kins.get_mut(&kin));
                [there, first(items, queue)].into_iter().flatten().min()
            }
            Wanted::Any => first(items, Some(&mut index.all)),
        }
    }

    /// Takes the first match after `from`, and advances `from`: for conditions that never hold
    /// again once they do not.
    pub fn take_after(
        &mut self,
        from: &mut usize,
        mut fits: impl FnMut(&Sighting<I>) -> bool,
    ) -> Option<Sighting<I>> {
        while let Some(slot) = self.items.get_mut(*from) {
            if slot.as_ref().is_some_and(&mut fits) {
                return slot.take();
            }
            *from += 1;
        }
        None
    }

    /// Returns those with this id.
    pub fn take_named(
        &mut self,
        id: &I,
        mut fits: impl FnMut(&Sighting<I>) -> bool,
    ) -> Option<Sighting<I>> {
        let items = &mut self.items;
        let mut fits =
            |new: &Option<Sighting<I>>| new.as_ref().is_some_and(|new| new.id == *id && fits(new));
        let at = match items.len() <= FEW {
            true => items.iter().position(fits),
            false => {
                let index = self.index.get_or_insert_with(|| Index::of(items));
                let queue = index.ids.get(id)?;
                let mut places = queue.iter().copied();
                places.find(|at| items.get(*at).is_some_and(&mut fits))
            }
        };
        items.get_mut(at?)?.take()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Sighting<I>> {
        self.items.iter().flatten()
    }

    /// Removes those that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(&Sighting<I>) -> bool) {
        for slot in &mut self.items {
            if slot.as_ref().is_some_and(|new| !keep(new)) {
                *slot = None;
            }
        }
    }

    /// Returns all that were not taken, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Sighting<I>> + use<I> {
        self.index = None;
        std::mem::take(&mut self.items).into_iter().flatten()
    }
}
