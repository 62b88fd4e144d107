//! Outcomes: durable results. The base changes by outcomes only, never by intentions.

use crate::model::{AnyId, Aside, ContentHash, Flags, Kin, MaildirId, PairId, Side, Stamp, Uid};

/// A change of the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides have the message.
    Paired {
        /// The UID.
        uid: Uid,
        /// The file.
        file: MaildirId,
        /// The flags agreed on.
        flags: Flags,
        /// The hash of its content.
        hash: ContentHash,
        /// Bytes on disk.
        size: u64,
        /// The stamp of the file when its content was known; `None`: unknown.
        stamp: Option<Stamp>,
        /// The id on the server, if known.
        kin: Option<Kin>,
        /// The pair that this replaces.
        replaces: Option<PairId>,
    },
    /// The pair was linked by cheap evidence: its contents have to be compared.
    Unproven {
        /// The UID.
        uid: Uid,
    },
    /// The server returned the UID of an upload and has not listed it yet.
    Unlisted {
        /// The UID, of a pair.
        uid: Uid,
        /// The file.
        file: MaildirId,
        /// The highest UID before.
        above: u32,
        /// The number of OK responses.
        tries: u32,
    },
    /// A listing shows an uploaded message.
    Listed(MaildirId),
    /// The same, and flags that it lacked were set.
    Corrected(MaildirId),
    /// The number of an uploaded message.
    Called {
        /// The UID, of a pair.
        uid: Uid,
        /// Its file.
        file: MaildirId,
        /// A number made of its Message-ID, if it has one.
        name: Option<i64>,
    },
    /// Both sides have these flags, as far as they can.
    Agreed {
        /// The message.
        pair: PairId,
        /// The flags.
        flags: Flags,
    },
    /// Neither side has the message.
    Dropped {
        /// The message.
        pair: PairId,
    },
    /// We are about to remove the message from that side.
    Tombstone {
        /// The message.
        pair: PairId,
        /// The side.
        side: Side,
    },
    /// One side has it and it is skipped. Removes the pair, if there was one.
    Alone {
        /// The message.
        pair: Option<PairId>,
        /// The skipped message.
        aside: Aside,
    },
    /// A skipped message is gone.
    Unaside(AnyId),
}
