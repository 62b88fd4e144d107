//! What the server in memory makes of uploads, where it is none of the best.

use super::memory::{Box_, Memory, MemoryId, Message};
use mailtide::model::*;
use mailtide::store::Delivery;
use std::collections::BTreeSet;

/// What a server makes of an upload that it says it stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Habit {
    /// The message.
    #[default]
    Keeps,
    /// Nothing.
    Drops,
    /// Nothing, where it has one of this Message-ID: it tells the UID of that.
    Merges,
    /// The message, under another UID than it tells.
    Misnames,
    /// The message with a header line more.
    Rebuilds,
    /// The message without bytes of the header that are no ASCII, and with other NULs.
    Cleans,
}

/// What a server does not do right, or tells wrong.
#[derive(Clone, Debug, Default)]
pub struct Odd {
    /// Flags that are not stored with an upload.
    pub drops_flags: Flags,
    /// Flags that are not stored at all, although it says that they are.
    pub forgets: Flags,
    /// The date of each upload, instead of its own.
    pub dates: Option<i64>,
    /// The size that is told of a message of so many bytes, instead of its own.
    pub sizes: Option<fn(u64) -> u64>,
    /// Headers are told without their first line.
    pub cuts_headers: bool,
    /// Messages at which the connection breaks when they are described.
    pub breaks_heads: BTreeSet<Vec<u8>>,
    /// Copies are told to be made, and are not.
    pub drops_copies: bool,
}

impl<I: MemoryId> Memory<I> {
    /// A message as it is stored.
    pub(super) fn made_of(&self, mut message: Message) -> Message {
        let inner = self.inner.borrow();
        message.flags = message.flags.difference(&inner.odd.drops_flags);
        message.flags = message.flags.difference(&inner.odd.forgets);
        message.date = inner.odd.dates.unwrap_or(message.date);
        message.body = match inner.habit {
            Habit::Rebuilds => [b"X-Made: yes\r\n", &message.body[..]].concat(),
            Habit::Cleans => cleaned(&message.body),
            _ => message.body,
        };
        message
    }

    /// The bytes that it says a message has.
    pub(super) fn told_size(&self, body: &[u8]) -> u64 {
        let size = body.len() as u64;
        self.inner
            .borrow()
            .odd
            .sizes
            .map_or(size, |told| told(size))
    }

    /// Cheap evidence, with what it tells wrong.
    pub(super) fn told_print(&self, body: &[u8]) -> Fingerprint {
        let cuts = self.inner.borrow().odd.cuts_headers;
        let line = body.iter().position(|b| *b == b'\n').filter(|_| cuts);
        let shown = &body[line.map_or(0, |at| at + 1)..];
        let print = Fingerprint::of_wire(shown);
        let whole = self.told_size(body);
        let size = (print.size + whole).saturating_sub(print.whole);
        Fingerprint {
            size,
            whole,
            ..print
        }
    }
}

impl<I: MemoryId> Box_<I> {
    /// Takes in an upload; answers with the name that is told.
    pub(super) fn take_in(&mut self, habit: Habit, message: Message, delivery: &Delivery) -> I {
        let id = |body: &[u8]| {
            let mut heading = Heading::default();
            heading.update(body);
            heading.name()
        };
        let name = id(&message.body);
        let twin = self.messages.iter().find(|(_, m)| id(&m.body) == name);
        match (habit, twin) {
            (Habit::Drops, _) => self.next_id(),
            (Habit::Merges, Some((twin, _))) if name.is_some() => twin.clone(),
            (Habit::Misnames, _) => {
                let told = self.next_id();
                self.put(message, delivery.origin);
                told
            }
            _ => self.put(message, delivery.origin),
        }
    }

    /// A name that nothing has or will have.
    pub(super) fn next_id(&mut self) -> I {
        let id = I::make(self.next, None, &|id| self.messages.contains_key(id));
        self.next += 1;
        id
    }
}

fn cleaned(body: &[u8]) -> Vec<u8> {
    let text = body.windows(4).position(|four| four == b"\r\n\r\n");
    let text = text.unwrap_or(body.len());
    let clean = |(at, byte): (usize, &u8)| match byte {
        0x80.. if at < text => b'X',
        0 => 0x80,
        other => *other,
    };
    body.iter().enumerate().map(clean).collect()
}
