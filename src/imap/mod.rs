//! The remote side: an IMAP server.
//!
//! Reading order: [`connect`] (TCP, TLS, login; with [`tls`] and [`gate`]), [`wire`] (lines and
//! literals), [`value`] and [`reply`] (what the server says), [`command`] (what we say),
//! [`session`] (commands and their answers), then the store: [`store`], [`look`], [`read`],
//! [`write`]. Beside them [`names`], [`uid_set`], [`date`].

pub mod connect;

pub mod tls;

mod gate;

mod wire;

mod value;

mod reply;

mod command;

mod session;

mod store;

mod look;

mod read;

mod write;

mod names;

mod uid_set;

mod date;

pub use connect::{Auth, Compress, Plaintext, Secret, Server, TlsMode};
pub use store::{Access, ImapStore, Settings, Tier};
pub use tls::Trust;
