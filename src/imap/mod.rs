//! The remote side: an IMAP server.
//!
//! Reading order: [`road`] (TCP), [`connect`] (TLS, login; with [`tls`], [`gate`], [`hush`]),
//! [`wire`] (lines and literals), [`value`], [`fetched`] and [`reply`] (what the server says),
//! [`command`] (what we say), [`session`] (commands and their answers; [`opened`], [`ahead`],
//! [`answer`], [`allowance`], [`learned`], [`patience`]), [`listen`] (what the server says by
//! itself), then the store: [`store`], [`call`], [`tier`], [`cursor`], [`list`], [`look`],
//! [`read`], [`mod@write`], [`leave`], [`ours`], [`unseen`], [`delete`], [`subscribe`],
//! [`append`], [`kin`],
//! [`transfer`], [`serve`]. Beside them [`names`], [`uid_set`], [`date`]. For people who look
//! at mail: [`folders`], [`search`], and [`reader`] with [`meter`] and [`structure`].

mod road;

pub mod connect;

pub mod tls;

mod gate;

mod hush;

mod wire;

mod value;

mod fetched;

mod program;
mod reply;

mod code;

mod command;

mod patience;

mod answer;

mod allowance;

mod learned;

mod session;

mod call;

mod opened;

mod ahead;

mod listen;

mod store;

mod tier;

mod cursor;

mod look;

mod read;

mod write;

mod ours;

mod unseen;

mod leave;

mod delete;

mod subscribe;

mod append;

mod kin;

mod transfer;

mod list;

mod serve;

mod names;

mod uid_set;

mod date;

mod folders;

mod search;

mod meter;

mod structure;

mod reader;

#[cfg(test)]
#[path = "played_tests.rs"]
mod played;

#[cfg(any(test, fuzzing))]
pub mod claims;

pub use connect::{Auth, Compress, Plaintext, Secret, Server, TELLTALES, TlsMode, Window};
pub use folders::{Census, Folder, Visit};
pub use learned::{Learned, Trait};
pub use listen::{Ear, Heard, Listener, Standing};
pub use reader::{Envelope, Examined, Items, Range, ReadError, Reader};
pub use road::{Dial, Road};
pub use search::{Hits, In, Key, Offers, Searched, Unsearched};
pub use store::{Access, Beside, ImapStore, Settings};
pub use tier::Tier;
pub use tls::Trust;
pub use wire::Stream;
