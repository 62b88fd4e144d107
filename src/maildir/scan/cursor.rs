//! The cursor of a mailbox on disk: proves that nothing changed since.

use crate::maildir::scan::Times;
use crate::reconcile::Cursor;

/// The timestamps of a mailbox and the time when they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedTimes {
    /// The timestamps.
    pub times: Times,
    /// The time when they were read, ns since 1970.
    pub at: i64,
}

impl RecordedTimes {
    /// Parses its text.
    pub fn read(cursor: &Cursor) -> Option<RecordedTimes> {
        let mut numbers = cursor.0.split(' ').map(|n| n.parse::<i64>().ok());
        let mut next = || numbers.next().flatten();
        let times = Times {
            cur: next()?,
            new: next()?,
            keywords: next()?,
        };
        Some(RecordedTimes { times, at: next()? })
    }

    /// Returns its text.
    pub fn write(&self) -> Cursor {
        let Times { cur, new, keywords } = self.times;
        Cursor(format!("{cur} {new} {keywords} {}", self.at))
    }

    /// Whether nothing can have changed: the timestamps are equal and were old enough when they
    /// were read.
    pub fn surely(&self, times: &Times) -> bool {
        self.times == *times && self.times.blur(self.at) == 0
    }
}
