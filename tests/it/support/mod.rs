//! What the tests share: stores in memory that can fail, and worlds made of two of them.

pub mod dovecot;
pub mod fuse;
pub mod habits;
pub mod kept;
pub mod line;
pub mod memory;
mod memory_breaks;
pub mod memory_serve;
pub mod memory_sides;
pub mod memory_store;
pub mod phone;
pub mod proxy;
pub mod server;
pub mod traits;
pub mod watcher;
pub mod world;
