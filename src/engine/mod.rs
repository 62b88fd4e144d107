//! Runs one cycle of one account: look, decide, do, record.
//!
//! Reading order: [`account`] (the cycle and its passes), [`survey`] (looking and planning),
//! [`rematch`] (finding the same message again), [`execute`] (doing and recording, with
//! [`download`], [`upload`], [`flags`] and [`remove`]), [`report`] (what is told about it).
//!
//! First run, daily run, repair, dry run: one path, this one.

pub mod account;

mod survey;

mod rematch;

mod execute;

mod copy;

mod download;

mod upload;

mod flags;

mod remove;

pub mod report;

pub use account::{Account, Options, World};
pub use report::{Event, Observer, Report, Severity, Silent, Stop, Trouble};
