//! Reads MIME messages for people: headers, decoded text, the tree of parts, one part.
//!
//! Reading order: [`message`] (a message that is read), [`summary`] (the headers of a listing),
//! [`mod@text`] (the text for a terminal; [`flowed`] lines), [`parts`] (the tree, with the part
//! numbers of IMAP), [`decode`] (one part as a server hands it out), [`visible`] (characters that
//! act on a terminal).
//!
//! The engine does not use this room: no decision of a sync depends on how a message is read.
//! Broken messages give what can be read of them; none is an error, and none panics.

mod message;

mod summary;

mod text;

mod flowed;

mod parts;

mod decode;

mod visible;

pub use decode::{TextPieces, described, file_name, header_of};
pub use message::Mail;
pub use parts::PartContent;
pub use summary::{Person, Summary};
pub use visible::{line, lines};

#[cfg(test)]
#[path = "mime_tests.rs"]
mod tests;
