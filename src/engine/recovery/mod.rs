//! Resolves intents of an interrupted run: uploads and moves that may have happened.

pub(super) mod moved_files;
pub(super) mod moved_messages;
pub(super) mod moves;
pub(super) mod unlisted;
