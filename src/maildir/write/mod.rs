//! Changes on disk.

mod create_mailbox;
pub mod deliver;
pub mod flags;
mod publish;
mod rename;
pub mod transfer;
