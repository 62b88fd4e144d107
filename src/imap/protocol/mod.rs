//! The text of commands and responses. No I/O except in [`wire`].

pub mod code;
pub mod command;
pub mod date;
pub mod fetch_reply;
pub mod names;
pub mod reply;
pub mod secret_mask;
pub mod server_id;
pub mod uid_set;
pub mod value;
pub mod wire;
