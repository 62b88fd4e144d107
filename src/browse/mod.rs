//! Shows what mail there is, here and on the server, to people and programs.
//!
//! Reading order: [`id`] (names of messages), [`row`] (a line of a listing), [`local`] (the
//! Maildir, and what the state knows of it), [`server`] (the server, over a connection of its own),
//! [`listing`] and [`mod@mailboxes`] (both sides joined), [`message`] (one message, or a part of
//! it), [`found`] (the results of a search), [`mod@target`] (a message that others will change).
//!
//! Nothing here writes: no lock is taken, the state is read beside those who write it, and the
//! server is asked with EXAMINE and BODY.PEEK only.

mod id;

mod row;

mod local;

mod server;

mod listing;

mod mailboxes;

mod message;

mod found;

mod target;

pub use found::{Finder, Hit, Lies};
pub use id::{Key, MessageId};
pub use listing::{Listing, list};
pub use local::{Counts, Known, Local};
pub use mailboxes::{Mailbox, mailboxes};
pub use message::{Message, Named, named};
pub use row::{Choice, Row, Sides, Where};
pub use server::Remote;
pub use target::target;
