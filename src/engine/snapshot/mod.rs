//! Snapshots of both sides. Changes neither side; changes the state only after a UIDVALIDITY
//! change.

pub(super) mod account;
pub(super) mod base;
pub(super) mod duplicate_listing;
pub(super) mod edited;
pub(super) mod listing;
pub(super) mod mailbox;
pub(super) mod read;
pub(super) mod remote;
pub(super) mod renames;
pub(super) mod request;
pub(super) mod uid_proof;
pub(super) mod uidvalidity;
pub(super) mod unchanged;
