//! What the server in memory makes of uploads, where it is none of the best.

use super::memory::{Box_, Habit, Memory, MemoryId, Message};
use mailtide::model::*;
use mailtide::store::Delivery;

impl<I: MemoryId> Memory<I> {
    /// A message as it is stored.
    pub(super) fn made_of(&self, mut message: Message) -> Message {
        let inner = self.inner.borrow();
        message.flags = message.flags.difference(&inner.drops_flags);
        message.flags = message.flags.difference(&inner.forgets);
        message.date = inner.dates.unwrap_or(message.date);
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
        self.inner.borrow().sizes.map_or(size, |told| told(size))
    }

    /// Cheap evidence, with what it tells wrong.
    pub(super) fn told_print(&self, body: &[u8]) -> Fingerprint {
        let cuts = self.inner.borrow().cuts_headers;
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
    fn next_id(&mut self) -> I {
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
