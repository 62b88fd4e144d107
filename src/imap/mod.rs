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

pub use display::mailboxes::{CountsRequest, Folder, Visit};
pub use display::reader::{Envelope, Examined, Items, Range, ReadError, Reader};
pub use display::search::{Hits, In, Offers, SearchKey, Searched, Unsearched};
pub use net::connect::{
    Compress, Credential, LoginMechanism, Plaintext, Server, TELLTALES, TlsMode, Window,
};
pub use net::connection_limit::{ConnectionLimit, Purpose};
pub use net::server_traits::{ServerTrait, ServerTraits};
pub use net::tls::{self, Trust};
pub use net::transport::{Connector, Transport};
pub use protocol::wire::Stream;
pub use session::notify::{Listener, Standing, WatchEvent, WatchTarget};
pub use session::sync_capability::Tier;
pub use store::{Access, ImapStore, ParallelSettings, Settings};
