//! Where a mailbox of the server was left.

use super::reply::MailboxStatus;
use crate::reconcile::Cursor;

/// Where a mailbox was left: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ (0: none), EXISTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteCursor {
    /// UIDVALIDITY.
    pub epoch: u64,
    /// UIDNEXT.
    pub uid_next: u64,
    /// HIGHESTMODSEQ; 0: none.
    pub modseq: u64,
    /// How many messages.
    pub exists: u64,
}

impl RemoteCursor {
    /// From its text.
    pub fn read(cursor: &Cursor) -> Option<RemoteCursor> {
        let mut numbers = cursor.0.split(' ').map(|n| n.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(RemoteCursor {
            epoch: next()?,
            uid_next: next()?,
            modseq: next()?,
            exists: next()?,
        })
    }

    /// As its text.
    pub fn write(self) -> Cursor {
        let RemoteCursor {
            epoch,
            uid_next,
            modseq,
            exists,
        } = self;
        Cursor(format!("{epoch} {uid_next} {modseq} {exists}"))
    }

    /// Whether a STATUS shows that nothing can have changed.
    pub fn still_holds(&self, status: &MailboxStatus) -> bool {
        self.modseq > 0
            && status.highest_modseq == Some(self.modseq)
            && status.uid_validity == Some(self.epoch)
            && status.uid_next == Some(self.uid_next)
            && status.messages == Some(self.exists)
    }
}
