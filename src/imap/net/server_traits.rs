//! Traits of a server that differ from its capabilities. All connections of an account share them,
//! and the caller stores them.

use std::sync::atomic::{AtomicU8, Ordering};

/// A trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trait {
    /// Pipelined answers get mixed up (imapproxy with a select cache).
    OneAtATime = 1,
    /// AUTHENTICATE PLAIN is refused where LOGIN works (shared mailboxes of Exchange).
    LoginOnly = 2,
    /// MOVE is announced and refused (go-imap).
    NoMove = 4,
}

impl Trait {
    /// All traits.
    pub const ALL: [Trait; 3] = [Trait::OneAtATime, Trait::LoginOnly, Trait::NoMove];

    /// Returns its stored name.
    pub fn name(self) -> &'static str {
        match self {
            Trait::OneAtATime => "one-at-a-time",
            Trait::LoginOnly => "login-only",
            Trait::NoMove => "no-move",
        }
    }
}

/// A set of traits.
#[derive(Debug, Default)]
pub struct Learned(AtomicU8);

impl Learned {
    /// Adds one.
    pub fn set(&self, found: Trait) {
        let before = self.0.fetch_or(found as u8, Ordering::Relaxed);
        if before & found as u8 == 0 {
            tracing::info!(found = found.name(), "learned of the server");
        }
    }

    /// Whether it is set.
    pub fn has(&self, found: Trait) -> bool {
        self.0.load(Ordering::Relaxed) & found as u8 != 0
    }

    /// Returns the names of all that are set.
    pub fn names(&self) -> Vec<&'static str> {
        let found = Trait::ALL.into_iter().filter(|one| self.has(*one));
        found.map(Trait::name).collect()
    }

    /// Sets stored traits; skips unknown names.
    pub fn recall<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            let known = Trait::ALL.into_iter().find(|one| one.name() == name);
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
        let found = Learned::default();
        found.set(Trait::NoMove);
        found.set(Trait::OneAtATime);
        let again = Learned::default();
        again.recall(found.names().into_iter().chain(["of-a-later-version"]));
        assert_eq!(again.names(), ["one-at-a-time", "no-move"]);
        assert!(!again.has(Trait::LoginOnly));
    }
}
