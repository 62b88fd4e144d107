//! The local side: a Maildir as other programs expect it.
//!
//! Reading order: [`disk`] (the file system as a trait; the [`kernel`]'s), [`layout`] (where
//! mailboxes lie), [`file_name`] (what a file's name says), [`keywords`] (letters a to z),
//! [`line_ends`] (LF on disk, CRLF on the wire), [`scan`] (looking, so that absence means
//! something), [`standing`] (a link or a file where a mailbox was), [`ahead`] (before it is asked
//! for), [`deliver`] (a file appears only whole and durable; many at once by [`publish`]),
//! [`marker`] and [`owner`] (whose Maildir this is; [`mounts`]: by which paths it can be reached),
//! [`quarantine`] (deleted bytes), [`store`] (all of it as a store; with [`list`], [`look`],
//! [`read`], [`change`], [`make`],
//! [`long_names`], [`durable`], [`transfer`], [`rename`], [`keep`], [`kept`] and
//! [`cursor`]), [`watch`] (being woken by what other programs do), [`glance`] (mail as it is shown
//! to people).
//!
//! The `maildir` crate is not used to read or write mail (decision 0005); `inspect` lets it count
//! messages as an independent reader.

mod disk;

mod kernel;

mod unsure;

mod layout;

mod file_name;

mod keywords;

mod line_ends;

mod scan;

mod standing;

mod ahead;

mod deliver;

mod publish;

mod mounts;

mod owner;

mod marker;

mod quarantine;

mod read;

mod change;

mod make;

mod long_names;

mod durable;

mod store;

mod look;

mod list;

mod keep;

mod kept;

mod cursor;

mod transfer;

mod rename;

mod watch;

mod inspect;

mod glance;

#[cfg(any(test, fuzzing))]
pub mod claims;

pub use disk::{About, Create, Disk, Input, Kind, Output, Space};
pub use file_name::{flags, split};
pub use glance::{Beginning, Counted, Glance, beginning, named_time, pieces};
pub use inspect::{independent_count, letters};
pub use kept::Kept;
pub use kernel::Kernel;
pub use layout::Layout;
pub use marker::{Claim, Opened, Root, lock_path};
pub use owner::{Marker, Owner};
pub use store::MaildirStore;
pub use watch::{Watch, Watched};

#[cfg(test)]
#[path = "watched_tests.rs"]
mod watched;
