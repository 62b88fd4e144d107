//! Runs a cycle of one account: snapshot, plan, execute, record.
//!
//! Reading order: [`run`] (the cycle), [`context`] (what a cycle works with), [`pass_state`] (what
//! its passes share), [`pass_limits`] (when it ends), [`phases`] (one pass), then the rooms:
//! [`snapshot`] reads both sides, [`identify`] finds which new message is which known one,
//! [`recovery`] resolves intents of an interrupted run, [`plan`] applies the guard, [`execute`]
//! changes the sides and records it, [`checkpoint`] saves cursors. [`report`] is the result for the
//! user. [`repair`] serves `mailtide repair` only.
//!
//! First run, daily run, repair, dry run: one path, this one.

mod checkpoint;
mod context;
mod execute;
mod identify;
mod pass_limits;
mod pass_state;
mod phases;
mod plan;
mod recovery;
mod repair;
pub mod report;
mod run;
mod snapshot;

#[cfg(test)]
#[path = "plain_values_tests.rs"]
mod plain_values;

#[cfg(test)]
mod plain_tests;

pub use context::{Context, Options, Reach, World};
pub use repair::{Verified, verify};
pub use report::{Counts, Event, Observer, Report, Severity, Silent, Stop, Trouble, severity};
