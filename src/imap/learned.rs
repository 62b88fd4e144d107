//! What a server was found to do otherwise than it announces. All connections of an account share
//! it, and the caller remembers it.

use std::sync::atomic::{AtomicU8, Ordering};

/// One such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trait {
    /// Answers get mixed up where several commands are under way (imapproxy with a select cache).
    OneAtATime = 1,
    /// AUTHENTICATE PLAIN is refused where LOGIN works (shared mailboxes of Exchange).
    LoginOnly = 2,
    /// MOVE is announced and refused (go-imap).
    NoMove = 4,
}

impl Trait {
    /// All of them.
    pub const ALL: [Trait; 3] = [Trait::OneAtATime, Trait::LoginOnly, Trait::NoMove];

    /// As it is remembered.
    pub fn name(self) -> &'static str {
        match self {
            Trait::OneAtATime => "one-at-a-time",
            Trait::LoginOnly => "login-only",
            Trait::NoMove => "no-move",
        }
    }
}

/// A set of them.
#[derive(Debug, Default)]
pub struct Learned(AtomicU8);

impl Learned {
    /// Notes it.
    pub fn set(&self, found: Trait) {
        let before = self.0.fetch_or(found as u8, Ordering::Relaxed);
        if before & found as u8 == 0 {
            tracing::info!(found = found.name(), "learned of the server");
        }
    }

    /// Whether it was found.
    pub fn has(&self, found: Trait) -> bool {
        self.0.load(Ordering::Relaxed) & found as u8 != 0
    }

    /// The names of all that were found.
    pub fn names(&self) -> Vec<&'static str> {
        let found = Trait::ALL.into_iter().filter(|one| self.has(*one));
        found.map(Trait::name).collect()
    }

    /// Takes over what was remembered; names that mean nothing here are passed over.
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
