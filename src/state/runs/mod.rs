//! What outlives a run: its history, and what it began, held or learned.

pub mod accepted_uploads;
mod deletion_budget;
pub mod held;
pub mod history;
pub mod intents;
mod retention;
mod server_traits;
pub mod suspects;
pub mod trail;
