//! The base: pairs of messages, and what else is known of messages and files.

pub mod base;
mod base_summary;
pub mod identity_index;
pub mod letters;
pub mod name_codec;
pub mod outcome;
pub mod refused_changes;
mod uids_by_file;
