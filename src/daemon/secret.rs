//! The secret of one account for as long as the program runs: fetched when it is first needed, and
//! again when it may have become another. Does not know where secrets come from
//! ([`crate::config::SecretSource`]).

use super::open;
use crate::config::{Account, Auth, ConfigError, Secret};
use crate::imap::{Learned, Server};
use std::cell::RefCell;
use std::sync::Arc;

/// Knows how to enter an account's server.
pub struct Keyring {
    account: Account,
    secret: RefCell<Option<Secret>>,
    /// What the place of the secret looked like when it was fetched.
    trace: RefCell<Option<String>>,
    /// What was found of the server.
    learned: Arc<Learned>,
}

impl Keyring {
    /// Of this account; nothing is fetched yet.
    pub fn new(account: Account) -> Keyring {
        Keyring {
            account,
            secret: RefCell::new(None),
            trace: RefCell::new(None),
            learned: Arc::default(),
        }
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What was found of the server, by any connection.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// How to enter the server now. A password is asked for once: the command that gives it may
    /// ask the user in turn. An access token lives for an hour, so it is fetched for each
    /// connection.
    pub async fn server(&self) -> Result<Server, ConfigError> {
        let kept = self.secret.borrow().clone();
        let secret = match (kept, self.account.auth) {
            (Some(secret), Auth::Password | Auth::Login) => secret,
            _ => {
                *self.trace.borrow_mut() = self.account.secret.trace();
                let secret = self.account.secret.fetch(&self.account.name).await?;
                *self.secret.borrow_mut() = Some(secret.clone());
                secret
            }
        };
        Ok(open::server(&self.account, &secret, &self.learned))
    }

    /// Whether the secret may be another by now, as far as that shows.
    pub fn is_stale(&self) -> bool {
        self.account.secret.trace() != *self.trace.borrow()
    }

    /// Forgets the secret: it was refused, or the user says that there is another.
    pub fn forget(&self) {
        *self.secret.borrow_mut() = None;
    }
}
