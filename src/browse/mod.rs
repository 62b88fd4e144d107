//! Shows what mail there is, here and on the server, to people and programs.
//!
//! Reading order: [`id`] (names of messages), [`row`] (a line of a listing), [`local`] (the
//! Maildir, and what the state knows of it), [`server`] (the server, over a connection of its own),
//! [`listing`] and [`mod@mailboxes`] (both sides joined), [`message`] (one message, or a part of
//! it), [`found`] (the results of a search), [`planned`] (the messages of a plan),
//! [`mod@target`] (a message that others will change).
//!
//! Nothing here writes: no lock is taken, the state is read beside those who write it, and the
//! server is asked with EXAMINE and BODY.PEEK only.

use crate::daemon::OpenError;

/// The result of reading one side or both.
type Result<T> = std::result::Result<T, OpenError>;

mod id;

mod row;

mod local;

mod server;

mod listing;

mod mailboxes;

mod message;

mod found;

mod planned;

mod target;

pub use found::{Finder, Hit, Lies};
pub use id::{MessageId, MessageKey};
pub use listing::{MessageListing, list};
pub use local::{KnownUids, Local, MailboxCounts};
pub use mailboxes::{MailboxRow, mailboxes};
pub use message::{NamedMessage, ShownMessage, named};
pub use planned::{Depth, Facts, Planned, Wanted, facts};
pub use row::{Choice, MessageRow, Sides, Where};
pub use server::Remote;
pub use target::target;
