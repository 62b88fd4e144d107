//! The local side: a Maildir as other programs expect it.
//!
//! Reading order: [`fs`] (the file system as a trait, syncs), [`format`](mod@format) (names,
//! keywords, line ends, the marker), [`scan`] (scans so that absence is proof),
//! [`write`](mod@write) (a file appears only whole and durable), [`quarantine`] (deleted messages),
//! [`read`], and [`store`] with [`local_store`], which make the store from them. [`watch`] reports
//! changes of other programs, [`display`] reads for people who look at mail.
//!
//! The `maildir` crate is not used to read or write mail (decision 0005); `inspect` lets it count
//! messages as an independent reader.

mod fs;

mod format;

mod scan;

mod write;

mod quarantine;

mod read;

mod store;

mod local_store;

mod watch;

mod inspect;

mod display;

#[cfg(any(test, fuzzing))]
pub mod claims;

pub use display::{Beginning, Counted, Glance, beginning, named_time, pieces};
pub use format::file_name::{flags, origin, split};
pub use format::layout::Layout;
pub use format::marker::{Claim, OpenedRoot, Root, lock_path};
pub use format::owner::{Marker, Owner};
pub use fs::real::RealFs;
pub use fs::{Create, Fs, Input, Kind, Output, PathMetadata, Space};
pub use inspect::{free_space, independent_count, letters};
pub use quarantine::lookup::QuarantinedMessage;
pub use store::MaildirStore;
pub use watch::{Watch, Watched};

#[cfg(test)]
#[path = "watched_tests.rs"]
mod watched;
