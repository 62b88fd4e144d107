//! The remote side: an IMAP server.
//!
//! Reading order: [`net`] connects ([`net::transport`], TLS, login); [`protocol`] has the text of
//! commands and responses; [`session`] runs commands and pairs them with their answers, and
//! receives notifications; [`store`] makes the requests of a sync from them. [`display`] reads for
//! people who look at mail.

mod net;

mod protocol;

mod session;

mod store;

mod display;

#[cfg(test)]
#[path = "played_tests.rs"]
mod played;

#[cfg(any(test, fuzzing))]
pub mod claims;

pub use display::mailboxes::{Census, Folder, Visit};
pub use display::reader::{Envelope, Examined, Items, Range, ReadError, Reader};
pub use display::search::{Hits, In, Key, Offers, Searched, Unsearched};
pub use net::connect::{Auth, Compress, Plaintext, Secret, Server, TELLTALES, TlsMode, Window};
pub use net::server_traits::{Learned, Trait};
pub use net::tls::{self, Trust};
pub use net::transport::{Dial, Road};
pub use protocol::wire::Stream;
pub use session::notify::{Ear, Heard, Listener, Standing};
pub use session::sync_capability::Tier;
pub use store::{Access, Beside, ImapStore, Settings};
