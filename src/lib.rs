//! mailtide synchronizes IMAP accounts with local Maildirs, in both directions.
//!
//! The promise, in this order: never lose a message, never double one, never delete what nobody
//! deleted; then be fast; then be pleasant.
//!
//! A cycle scans both sides, decides against the base (the state that both sides last agreed on),
//! executes the decisions, and records the outcomes. The decision is a pure function of plain
//! values; all I/O is outside it. `docs/internals/architecture.md` has the map and the invariants.
//!
//! The rooms in reading order:
//!
//! 1. [`model`]: the words of the domain, and [`reconcile`]: what is to be done.
//! 2. [`store`]: what a side must be able to do; [`imap`] and [`maildir`]: the two sides.
//! 3. [`state`]: what is remembered.
//! 4. [`engine`]: one cycle of one account.
//! 5. [`search`]: finding messages; nothing of a sync depends on it.
//! 6. [`config`], [`daemon`], [`cli`]: what the user asked for, signals, and talking to people.
//! 7. [`mime`] and [`browse`]: mail as it is shown to people.

#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod model;

pub mod reconcile;

pub mod store;

pub mod imap;

pub mod maildir;

pub mod state;

pub mod engine;

pub mod search;

pub mod config;

pub mod daemon;

pub mod mime;

pub mod browse;

pub mod cli;

#[cfg(any(test, fuzzing))]
pub mod claims;
