//! Errors of a side, classified by the caller's duty. None of them means that something is absent.

use std::time::Duration;

/// Why an operation failed. The text says what failed, on what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The network or the server failed: stop this account and retry later.
    #[error("{0}")]
    Retry(String),
    /// The server asked for patience: retry, but not before the delay it named.
    #[error("{what}")]
    Busy {
        /// The server's text and the command.
        what: String,
        /// The least delay, if the server named one.
        wait: Option<Duration>,
    },
    /// This mailbox failed: continue with the others and report it.
    #[error("{0}")]
    Mailbox(String),
    /// The side changed since the plan was made: plan again.
    #[error("{0}")]
    Stale(String),
    /// A UID means another message than before although UIDVALIDITY is the same. Nothing was
    /// changed; all UIDs have to be matched again.
    #[error("{0}")]
    Renumbered(String),
    /// The user has to act, for example because a mailbox name is invalid.
    #[error("{0}")]
    NeedsUser(String),
    /// The server refused the login. A retry with the same secret could lock the account.
    #[error("{0}")]
    LoginRefused(String),
    /// A guard refused the account: the Maildir is missing, or the server lists no mailboxes.
    #[error("{0}")]
    Guard(String),
    /// An impossible state, a defect of mailtide.
    #[error("{0} (this is a defect in mailtide, please report it)")]
    Bug(String),
}

impl StoreError {
    /// Whether the other mailboxes of the account can continue.
    pub fn is_local_to_mailbox(&self) -> bool {
        matches!(
            self,
            StoreError::Mailbox(_) | StoreError::Stale(_) | StoreError::Renumbered(_)
        )
    }
}
