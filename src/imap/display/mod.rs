//! Reads for people who look at mail. Changes nothing, and no sync decision depends on it.

mod body_structure;
pub mod mailboxes;
pub mod reader;
pub mod search;
mod session_adapter;
