//! The values of the domain: no I/O, no clock, no decisions.
//!
//! Reading order: [`side`] (which of the two), [`id`] (how each names a message), [`flags`],
//! [`letters`] (keywords in the names of files), [`mailbox`] (names), [`scope`] (some of them),
//! [`bare`] and [`content`] (what makes two
//! messages the same), [`stamp`] (when a file was touched), [`kin`] (what a server calls the same),
//! [`base`] (what both sides last agreed on), [`recorded`] (that in short), [`text`] (from outside,
//! to be shown). [`counted`] counts their comparisons for tests.

pub mod side;

pub mod counted;

pub mod id;

pub mod flags;

pub mod letters;

pub mod mailbox;

pub mod scope;

pub mod bare;

pub mod content;

pub mod stamp;

pub mod kin;

pub mod base;

pub mod recorded;

pub mod text;

pub mod part;

pub use bare::Bare;
pub use base::{Aside, AsideReason, MailboxBase, Outline, Pair, last, span};
pub use content::{Canonical, ContentHash, Excerpt, Fingerprint, Lenient};
pub use flags::{FlagChange, Flags, Keyword, SystemFlag};
pub use id::{AnyId, Id, MaildirId, ModSeq, Origin, PairId, Timestamp, Uid, UidValidity};
pub use kin::{Heading, Kin};
pub use letters::Letters;
pub use mailbox::{MailboxKey, MailboxName};
pub use part::Part;
pub use recorded::{Recorded, Struck, Unlike};
pub use scope::Scope;
pub use side::Side;
pub use stamp::{Stamp, Weight};
pub use text::printable;
