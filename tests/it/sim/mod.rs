//! The whole program below the command line, against a server and a disk that fail on demand, and
//! fail again for the same seed. One seed, one trace.
//!
//! `cargo run --release --example sim -- --seeds N` for the night; `MAILTIDE_SIM=N` sets the number
//! in the test (`simulated.rs`). A seed that fails prints how to repeat it.

mod disk;
pub mod field;
mod fs;
pub mod habits;
mod judge;
mod lies;
mod line;
mod mail;
mod on_messages;
pub mod play;
pub mod profile;
pub mod scenes;
pub mod serve;
mod session;
pub mod stage;
mod strangers;
mod users;
mod words;
