//! A mailbox that was read on disk and is to be read on the server.

use crate::engine::snapshot::listing::Overview;
use crate::model::{MailboxBase, MailboxName, MaildirId, Outline, Side, Uid};
use crate::reconcile::messages::Known;
use crate::reconcile::{Cursor, Look, MailboxAction};
use crate::state::UidDoubt;
use crate::store::{Depth, Prefetch};

/// A mailbox with its snapshot of the disk.
pub(in crate::engine) struct Asked {
    pub action: Option<MailboxAction>,
    pub outline: Outline,
    /// The base; `None`: not loaded yet, as the disk did not change, or only as recorded.
    pub base: Option<MailboxBase>,
    pub local: Look<MaildirId>,
    /// Whether the disk was read and is as recorded.
    pub agrees: bool,
    /// The snapshot of the server by the listing.
    pub there: Option<Look<Uid>>,
    /// The cursor of the server.
    pub cursor: Option<Cursor>,
    pub depth: Depth,
    /// Whether it is compared message by message.
    pub full: bool,
    /// Whether its UIDs are suspected.
    pub doubted: Option<UidDoubt>,
}

impl Asked {
    /// A mailbox of both sides that is read for changes.
    pub fn of(outline: Outline, local: Look<MaildirId>, overview: &Overview) -> Asked {
        Asked {
            action: None,
            base: None,
            local,
            agrees: false,
            there: None,
            cursor: overview.cursor(Side::Remote, &outline.name).cloned(),
            depth: Depth::Changes,
            full: false,
            doubted: overview.doubted.get(&outline.key).copied(),
            outline,
        }
    }

    /// Returns the requests to the server.
    pub fn next(&self) -> Prefetch<'_> {
        Prefetch::Look(&self.outline, self.cursor.as_ref(), self.depth)
    }

    /// Whether messages may have been moved into it: on disk only if it has new files.
    pub fn sides_with_news(&self) -> &'static [Side] {
        let known = self.base.as_ref().map(Known::of);
        let known = |file| known.as_ref().is_some_and(|known| known.file(file));
        match self.local.seen.keys().any(|file| !known(file)) {
            true => &Side::BOTH,
            false => &[Side::Remote],
        }
    }

    /// Returns the mailbox.
    pub fn name(&self) -> &MailboxName {
        &self.outline.name
    }
}
