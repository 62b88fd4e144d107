//! Applies the guard, and defers decisions that need an unreadable mailbox.

pub(super) mod guarding;
pub(super) mod unreadable;
