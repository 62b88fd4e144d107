//! How changes are learned, by what the server can.

use super::command::Since;
use super::session::Session;

/// The ways, from the dearest to the cheapest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// All UIDs and flags each time.
    Plain,
    /// Changed flags, and all UIDs (RFC 7162, CONDSTORE).
    CondStore,
    /// Changed flags and vanished UIDs (RFC 7162, QRESYNC).
    QResync,
}

/// How a mailbox is opened whose past is not asked for.
pub fn plain(session: &Session) -> Since {
    match tier(session) {
        Tier::Plain => Since::Nothing,
        Tier::CondStore | Tier::QResync => Since::CondStore,
    }
}

/// What this server can, and the user has not switched off.
pub fn tier(session: &Session) -> Tier {
    match (session.qresync, session.can("CONDSTORE")) {
        (true, _) => Tier::QResync,
        (false, true) => Tier::CondStore,
        (false, false) => Tier::Plain,
    }
}
