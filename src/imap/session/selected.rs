//! The selected mailbox.

use crate::imap::protocol::command::{Access, Command, MailboxRef, Since};
use crate::imap::protocol::reply::{AnyKeyword, Code, Completion, Fetched, Reply, VanishedEarlier};
use crate::imap::protocol::uid_set::UidSet;
use crate::imap::session::Session;
use crate::imap::session::expect::{must, shown};
use crate::model::{Flags, UidValidity};
use crate::reconcile::FlagMask;
use crate::store::StoreError;

/// A selected mailbox.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Its wire name.
    pub name: Vec<u8>,
    /// Its mode.
    pub access: Access,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT, if known.
    pub uid_next: Option<u32>,
    /// HIGHESTMODSEQ, if it has one.
    pub modseq: Option<u64>,
    /// The current number of messages.
    pub exists: u32,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Whether its UIDs may change their meaning: UIDNOTSTICKY (RFC 4315, 3), or the invalid
    /// UIDVALIDITY 0 (RFC 9051, 9: nz-number).
    pub unstable: bool,
    /// PERMANENTFLAGS, if known.
    pub permanent: Option<(Flags, AnyKeyword)>,
    /// Messages expunged since SELECT or the last listing.
    pub expunged: u32,
    /// UIDs that vanished since then, if the server reports them.
    pub vanished: UidSet,
}

/// The delta of SELECT with QRESYNC.
#[derive(Debug, Default)]
pub struct QresyncDelta {
    /// Vanished messages.
    pub vanished: UidSet,
    /// Messages with changed flags, and new ones.
    pub changed: Vec<Fetched>,
}

impl Selected {
    /// Returns it as a command's argument.
    pub fn door(&self) -> MailboxRef {
        let (name, access) = (self.name.clone(), self.access);
        MailboxRef { name, access }
    }

    /// Returns the flags that it can store.
    pub fn mask(&self) -> FlagMask {
        match &self.permanent {
            // Unknown: all (RFC 9051, 7.1).
            None | Some((_, AnyKeyword::Yes)) => FlagMask::All,
            Some((flags, AnyKeyword::No)) => FlagMask::Only(flags.clone()),
        }
    }

    /// Whether all changes are permitted: any flag, and stable UIDs.
    pub fn is_free(&self) -> bool {
        let writable = self.access == Access::ReadWrite && !self.read_only && !self.unstable;
        writable && self.mask() == FlagMask::All
    }
}

impl Session {
    /// Selects a mailbox.
    pub async fn select(
        &mut self,
        name: &[u8],
        access: Access,
        since: Since,
    ) -> Result<QresyncDelta, StoreError> {
        self.selected = None;
        let command = Command::select(name, access, since)?;
        let (replies, done) = self.run(&command).await?;
        let done = must(done, &format!("open {}", shown(name)))?;
        let mut past = QresyncDelta::default();
        let (mut uid_validity, mut exists) = (None, None);
        let mut open = Selected {
            name: name.to_vec(),
            access,
            uid_validity: UidValidity(0),
            uid_next: None,
            modseq: None,
            exists: 0,
            read_only: done.code == Some(Code::ReadOnly),
            unstable: false,
            permanent: None,
            expunged: 0,
            vanished: UidSet::default(),
        };
        for reply in replies {
            match reply {
                Reply::Exists(count) => exists = Some(count),
                Reply::Vanished(set, VanishedEarlier::Yes) => {
                    past.vanished = past.vanished.union(&set)
                }
                Reply::Fetch(fetched) => past.changed.push(*fetched),
                Reply::Untagged(Completion {
                    code: Some(code), ..
                }) => match code {
                    Code::UidValidity(value) => uid_validity = Some(UidValidity(value)),
                    Code::UidNext(next) => open.uid_next = Some(next),
                    // 0 and NOMODSEQ mean that there is none (RFC 7162, 3.1.2).
                    Code::HighestModSeq(value) => open.modseq = (value > 0).then_some(value),
                    Code::NoModSeq => open.modseq = None,
                    Code::UidNotSticky => open.unstable = true,
                    Code::PermanentFlags(flags, any) => open.permanent = Some((flags, any)),
                    // Earlier responses are about the previous mailbox.
                    Code::Closed => past = QresyncDelta::default(),
                    _ => {}
                },
                _ => {}
            }
        }
        let (Some(uid_validity), Some(exists)) = (uid_validity, exists) else {
            let what = format!(
                "{}: the server gave no UIDVALIDITY or no EXISTS",
                shown(name)
            );
            return Err(StoreError::Mailbox(what));
        };
        (open.uid_validity, open.exists) = (uid_validity, exists);
        open.unstable |= uid_validity == UidValidity(0);
        self.selected = Some(open);
        Ok(past)
    }

    /// Returns the selected mailbox.
    pub fn open_mailbox(&self) -> Result<&Selected, StoreError> {
        self.selected
            .as_ref()
            .ok_or_else(|| StoreError::Bug("no mailbox is open".into()))
    }
}
