//! The cursor of a mailbox on the server.

use crate::imap::protocol::reply::StatusReply;
use crate::reconcile::Cursor;

/// UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ (0: none), EXISTS, and whether all changes are permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteCursor {
    /// UIDVALIDITY.
    pub uid_validity: u64,
    /// UIDNEXT.
    pub uid_next: u64,
    /// HIGHESTMODSEQ; 0: none.
    pub modseq: u64,
    /// The number of messages.
    pub exists: u64,
    /// Whether all changes are permitted, also of new flags.
    pub free: bool,
}

/// In the text: all changes are permitted.
const FREE: &str = "free";

impl RemoteCursor {
    /// Parses its text.
    pub fn read(cursor: &Cursor) -> Option<RemoteCursor> {
        let mut words = cursor.0.split(' ');
        let mut next = || words.next().and_then(|n| n.parse::<u64>().ok());
        Some(RemoteCursor {
            uid_validity: next()?,
            uid_next: next()?,
            modseq: next()?,
            exists: next()?,
            free: words.next() == Some(FREE),
        })
    }

    /// Returns its text.
    pub fn write(self) -> Cursor {
        let RemoteCursor {
            uid_validity,
            uid_next,
            modseq,
            exists,
            free,
        } = self;
        let free = if free {
            format!(" {FREE}")
        } else {
            String::new()
        };
        Cursor(format!("{uid_validity} {uid_next} {modseq} {exists}{free}"))
    }

    /// Whether a STATUS proves that nothing changed.
    pub fn still_holds(&self, status: &StatusReply) -> bool {
        self.modseq > 0
            && status.highest_modseq == Some(self.modseq)
            && status.uid_validity == Some(self.uid_validity)
            && status.uid_next == Some(self.uid_next)
            && status.messages == Some(self.exists)
    }

    /// Returns UIDNEXT if a STATUS shows as many more messages as new UIDs: most likely only new
    /// messages arrived.
    pub fn grown(&self, status: &StatusReply) -> Option<u32> {
        let next = status.uid_next?;
        let given = next.checked_sub(self.uid_next).filter(|given| *given > 0)?;
        let same = status.uid_validity == Some(self.uid_validity);
        let grown = status.messages == self.exists.checked_add(given);
        u32::try_from(next).ok().filter(|_| same && grown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_its_text_says() {
        let read = |text: &str| RemoteCursor::read(&Cursor(text.into()));
        let left = |free| RemoteCursor {
            uid_validity: 7,
            uid_next: 10,
            modseq: 3,
            exists: 5,
            free,
        };
        assert_eq!(read("7 10 3 5"), Some(left(false)), "as older ones are");
        assert_eq!(read("7 10 3 5 free"), Some(left(true)));
        assert_eq!(read("7 10 3"), None);
        for free in [false, true] {
            assert_eq!(RemoteCursor::read(&left(free).write()), Some(left(free)));
        }
    }

    #[test]
    fn a_mailbox_has_grown_by_the_uids_that_it_gave() {
        let left = RemoteCursor {
            uid_validity: 7,
            uid_next: 10,
            modseq: 3,
            exists: 5,
            free: true,
        };
        let grown = |uid_validity, uid_next, messages| {
            left.grown(&StatusReply {
                name: b"A".to_vec(),
                messages: Some(messages),
                uid_next: Some(uid_next),
                uid_validity: Some(uid_validity),
                highest_modseq: Some(4),
                ..StatusReply::default()
            })
        };
        assert_eq!(grown(7, 12, 7), Some(12));
        assert_eq!(grown(7, 12, 6), None, "one is gone");
        assert_eq!(grown(7, 10, 5), None, "no more than before");
        assert_eq!(grown(7, 9, 4), None, "less than before");
        assert_eq!(grown(8, 12, 7), None, "another mailbox");
        assert_eq!(grown(7, 1 << 32, (1 << 32) - 5), None, "no UID");
    }
}
