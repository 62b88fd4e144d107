//! Applies the guard, and defers decisions that need an unreadable mailbox.

pub(super) mod guarding;
pub(super) mod mailboxes;
pub(super) mod messages;
pub(super) mod unreadable;

#[cfg(test)]
mod plan_tests;
