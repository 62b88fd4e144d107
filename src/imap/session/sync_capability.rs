//! The source of changes, by the server's capabilities.

use crate::imap::protocol::command::Since;
use crate::imap::session::Session;

/// The tiers, most expensive first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// All UIDs and flags each time.
    Plain,
    /// CONDSTORE (RFC 7162): changed flags, and all UIDs.
    CondStore,
    /// QRESYNC (RFC 7162): changed flags and vanished UIDs.
    QResync,
}

/// Returns the parameter of SELECT without QRESYNC.
pub fn plain(session: &Session) -> Since {
    match tier(session) {
        Tier::Plain => Since::Nothing,
        Tier::CondStore | Tier::QResync => Since::CondStore,
    }
}

/// Returns the tier of this server, without disabled extensions.
pub fn tier(session: &Session) -> Tier {
    match (session.qresync, session.can("CONDSTORE")) {
        (true, _) => Tier::QResync,
        (false, true) => Tier::CondStore,
        (false, false) => Tier::Plain,
    }
}
