//! Where a mailbox on disk was left, and whether nothing can have changed since.

use super::scan::Times;
use crate::reconcile::Cursor;

/// Where a mailbox was left: its time stamps, and when they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Of the mailbox.
    pub times: Times,
    /// When they were read, ns since 1970.
    pub at: i64,
}

impl Left {
    /// From its text.
    pub fn read(cursor: &Cursor) -> Option<Left> {
        let mut numbers = cursor.0.split(' ').map(|n| n.parse::<i64>().ok());
        let mut next = || numbers.next().flatten();
        let times = Times {
            cur: next()?,
            new: next()?,
            keywords: next()?,
        };
        Some(Left { times, at: next()? })
    }

    /// As text.
    pub fn write(&self) -> Cursor {
        let Times { cur, new, keywords } = self.times;
        Cursor(format!("{cur} {new} {keywords} {}", self.at))
    }

    /// Whether nothing can have changed: equal stamps, old enough when they were read to hide
    /// nothing.
    pub fn surely(&self, times: &Times) -> bool {
        self.times == *times && self.times.blur(self.at) == 0
    }
}
