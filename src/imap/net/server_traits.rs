//! Traits of a server that differ from its capabilities. All connections of an account share them,
//! and the caller stores them.

use std::sync::atomic::{AtomicU8, Ordering};

/// A trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerTrait {
    /// Pipelined answers get mixed up (imapproxy with a select cache).
    OneAtATime = 1,
    /// AUTHENTICATE PLAIN is refused where LOGIN works (shared mailboxes of Exchange).
    LoginOnly = 2,
    /// MOVE is announced and refused (go-imap).
    NoMove = 4,
}

impl ServerTrait {
    /// All traits.
    pub const ALL: [ServerTrait; 3] = [
        ServerTrait::OneAtATime,
        ServerTrait::LoginOnly,
        ServerTrait::NoMove,
    ];

    /// Returns its stored name.
    pub fn name(self) -> &'static str {
        match self {
            ServerTrait::OneAtATime => "one-at-a-time",
            ServerTrait::LoginOnly => "login-only",
            ServerTrait::NoMove => "no-move",
        }
    }
}

/// A set of traits.
#[derive(Debug, Default)]
pub struct ServerTraits(AtomicU8);

impl ServerTraits {
    /// Adds one.
    pub fn set(&self, found: ServerTrait) {
        let before = self.0.fetch_or(found as u8, Ordering::Relaxed);
        if before & found as u8 == 0 {
            tracing::info!(found = found.name(), "learned of the server");
        }
    }

    /// Whether it is set.
    pub fn has(&self, found: ServerTrait) -> bool {
        self.0.load(Ordering::Relaxed) & found as u8 != 0
    }

    /// Returns the names of all that are set.
    pub fn names(&self) -> Vec<&'static str> {
        let found = ServerTrait::ALL.into_iter().filter(|one| self.has(*one));
        found.map(ServerTrait::name).collect()
    }

    /// Sets stored traits; skips unknown names.
    pub fn recall<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            let known = ServerTrait::ALL.into_iter().find(|one| one.name() == name);
            if let Some(found) = known {
                self.0.fetch_or(found as u8, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_recalled_by_name() {
        let found = ServerTraits::default();
        found.set(ServerTrait::NoMove);
        found.set(ServerTrait::OneAtATime);
        let again = ServerTraits::default();
        again.recall(found.names().into_iter().chain(["of-a-later-version"]));
        assert_eq!(again.names(), ["one-at-a-time", "no-move"]);
        assert!(!again.has(ServerTrait::LoginOnly));
    }
}
