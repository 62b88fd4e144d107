//! The two sides: server and Maildir.

use std::fmt;

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The IMAP server.
    Remote,
    /// The Maildir.
    Local,
}

impl Side {
    /// Both sides.
    pub const BOTH: [Side; 2] = [Side::Remote, Side::Local];
}

impl Side {
    /// Returns the other side.
    pub fn other(self) -> Side {
        match self {
            Side::Remote => Side::Local,
            Side::Local => Side::Remote,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Remote => "remote",
            Side::Local => "local",
        })
    }
}
