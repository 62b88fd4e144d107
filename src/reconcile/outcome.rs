//! What really happened and is durable. The base changes through these only, never through
//! intentions.

use crate::model::{AnyId, Aside, ContentHash, Flags, Kin, MaildirId, PairId, Side, Stamp, Uid};

/// One thing that the base has to learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides have the message.
    Paired {
        /// On the server.
        uid: Uid,
        /// On disk.
        file: MaildirId,
        /// What both agreed on.
        flags: Flags,
        /// Its canonical content.
        hash: ContentHash,
        /// Bytes on disk.
        size: u64,
        /// The file when its content was known; `None`: not known.
        stamp: Option<Stamp>,
        /// What its copies on the server have in common, if that is known.
        kin: Option<Kin>,
        /// The pair that this takes the place of.
        replaces: Option<PairId>,
    },
    /// The pair of this message was found by cheap evidence: its contents are yet to be compared.
    Unproven {
        /// On the server.
        uid: Uid,
    },
    /// The server told the UID of a message that was sent to it, and has not listed it yet.
    Unlisted {
        /// The UID, of a pair.
        uid: Uid,
        /// The file.
        file: MaildirId,
        /// The highest UID that was there before.
        above: u32,
        /// How often it said so.
        tries: u32,
    },
    /// A listing shows the message of a file that was sent.
    Listed(MaildirId),
    /// The same, and flags that it lacked were set.
    Corrected(MaildirId),
    /// What a message that was sent is called, as a number.
    Called {
        /// The UID, of a pair.
        uid: Uid,
        /// Its file.
        file: MaildirId,
        /// A number made of its Message-ID, if it has one.
        name: Option<i64>,
    },
    /// Both sides hold these flags, as far as they can.
    Agreed {
        /// The message.
        pair: PairId,
        /// The flags.
        flags: Flags,
    },
    /// Neither side has the message any longer.
    Dropped {
        /// The message.
        pair: PairId,
    },
    /// We are about to take the message away from that side.
    Tombstone {
        /// The message.
        pair: PairId,
        /// Where.
        side: Side,
    },
    /// One side has it, and that is left alone. Drops the pair, if there was one.
    Alone {
        /// The message.
        pair: Option<PairId>,
        /// What remains.
        aside: Aside,
    },
    /// A message that was set aside is gone.
    Unaside(AnyId),
}
