//! Errors of a side, by what the caller must do. None of them means "absent".

use std::time::Duration;

/// Why a side could not do it. The text says what failed, on what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The network or the server failed: stop this account for now, try again later.
    #[error("{0}")]
    Retry(String),
    /// The server asks for patience: as above, but not before the time it names.
    #[error("{what}")]
    Busy {
        /// What it said, to what.
        what: String,
        /// How long to wait at least, if it said so.
        wait: Option<Duration>,
    },
    /// This mailbox cannot be worked on: leave it, go on with the others, tell the user.
    #[error("{0}")]
    Mailbox(String),
    /// What the plan saw no longer holds: plan again.
    #[error("{0}")]
    Stale(String),
    /// A UID means another message than the one that it was learned for, although UIDVALIDITY is
    /// the same: nothing was changed; all UIDs are to be looked for anew.
    #[error("{0}")]
    Renumbered(String),
    /// Only the user can lift this: a wrong password, say.
    #[error("{0}")]
    NeedsUser(String),
    /// The login was refused. Trying again with the same secret could lock the user out.
    #[error("{0}")]
    LoginRefused(String),
    /// A guard holds the whole account: a missing Maildir, a server that lists nothing.
    #[error("{0}")]
    Guard(String),
    /// An impossible state; a defect of mailtide.
    #[error("{0} (this is a defect in mailtide, please report it)")]
    Bug(String),
}

impl StoreError {
    /// Whether other mailboxes of the account can go on.
    pub fn is_local_to_mailbox(&self) -> bool {
        matches!(
            self,
            StoreError::Mailbox(_) | StoreError::Stale(_) | StoreError::Renumbered(_)
        )
    }
}
