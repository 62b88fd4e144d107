//! Searches the mail of an account.
//!
//! Reading order: [`words`] (what is a word), [`query`] (a query as a tree), [`mod@parse`] (how it
//! is written); [`document`] (what of a message is looked through), [`files`] (which messages there
//! are); [`index`] (the words of all messages in a database of their own), [`build`] (how it is
//! brought up to the files), [`find`] (a query as SQL), [`local`] (what is found on disk),
//! [`outside`] (the same by notmuch or mu), [`there`] (a query as the server is asked it),
//! [`elsewhere`] (what is found there).
//!
//! No decision of a sync depends on what is found. The index holds nothing that is not in the
//! files, and may be deleted at any time.

mod words;

mod query;

mod parse;

mod document;

mod files;

mod index;

mod build;

mod find;

mod local;

mod outside;

mod there;

mod elsewhere;

pub use build::{IndexDepth, Progress, bring_up, path as index_path};
pub use document::{Document, Words};
pub use elsewhere::{ServerHits, search_there};
pub use files::{CurOrNew, MailboxDirectory};
pub use find::{SearchHit, begin};
pub use index::{IndexError, MailIndex};
pub use local::{Here, search, within};
pub use outside::{IndexProgram, NamedFile, OutsideError};
pub use parse::{QueryError, parse};
pub use query::{Field, Mark, Query, Term, Text};

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
