//! Runs a cycle of one account: snapshot, plan, execute, record.
//!
//! Reading order: [`account`] (the cycle and its passes), [`survey`] (looking and planning, with
//! [`overview`], [`rename`], [`alias`], [`look`], [`as_recorded`], [`edits`] and [`scene`]),
//! [`elsewhere`]
//! (the same message in another place, with [`on_disk`], [`relabel`], [`lettered`] and
//! [`letter_notes`] (letters in file names) and [`probe`]; [`flux`] for what moves meanwhile,
//! [`out_of_sight`] for what cannot be looked into, [`astray`] and [`carried`] for what moved
//! while it was uploaded, here or there),
//! [`rematch`] and [`renumber`] (finding the same message again, by [`contents`]), [`unlisted`]
//! (uploads that the server has not shown yet), [`prove`] (whether UIDs mean what they meant),
//! [`confirm`] (whether pairs that look alike are),
//! [`execute`] (doing and recording what is in the [`work`]s, with [`begin`],
//! [`download`], [`arrivals`], [`twins`] (what lies here already), [`breaks`] and [`resend`]
//! (messages at which the connection breaks), [`narrow`] and [`refusals`] (changes that the server
//! refuses), [`upload`], [`shift`], [`duplicate`], [`copy`], [`flags`],
//! [`flags_there`], [`doomed`], [`remove`], [`remove_here`] and [`remove_there`], on several
//! connections by [`lanes`]), [`guarded`] (what the
//! guard is told), [`rest`] (whether that was all), [`pass_state`] (what passes
//! share), [`report`] (the result for the user).
//! [`verify`] is asked for by `mailtide repair` only.
//!
//! First run, daily run, repair, dry run: one path, this one.

pub mod account;

mod overview;

mod survey;

mod scene;

mod look;

mod as_recorded;

mod edits;

mod rename;

mod alias;
mod astray;
mod carried;

mod elsewhere;

mod on_disk;

mod lettered;

mod letter_notes;

mod relabel;

mod probe;

mod flux;

mod out_of_sight;

mod rematch;

mod contents;

mod unlisted;

mod prove;

mod confirm;

mod renumber;

mod pass_limits;
mod pass_state;

mod work;

mod execute;

mod guarded;

mod rest;

pub mod verify;

mod copy;
mod cut_moves;

mod arrivals;

mod breaks;

mod twins;

mod begin;

mod download;

mod upload;

mod resend;

mod evidence;
mod narrow;
mod singly;

mod refusals;

mod shift;

mod duplicate;

mod flags;

mod flags_there;

mod lanes;

mod doomed;

mod remove;

mod remove_here;

mod remove_there;

pub mod report;

#[cfg(test)]
#[path = "plain_values_tests.rs"]
mod plain;

#[cfg(test)]
mod plain_tests;

pub use account::{Account, Options, Reach, World};
pub use report::{Counts, Event, Observer, Report, Severity, Silent, Stop, Trouble, severity};
pub use verify::Verified;
