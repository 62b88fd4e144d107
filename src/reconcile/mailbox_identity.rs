//! The identity of a mailbox on both sides.

use crate::model::{MailboxKey, MailboxName};

/// A mailbox of the base with its identities.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its row.
    pub key: MailboxKey,
    /// Its name.
    pub name: MailboxName,
    /// Its identity on the server; see [`super::Identity`].
    pub remote: Option<String>,
    /// Its identity on disk; see [`super::Identity`].
    pub local: Option<String>,
}
